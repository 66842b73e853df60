/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Collectors that look at the machine itself, with the rights of the caller: the agent's sandbox hides most of it from
 * the agent. Each adds its findings, and what it may not see is noted as `not-looked`. They block on files, and those
 * of the network on name servers and packets, within CHECK_NET_WAIT. For programs with nothing else to do; any thread.
 */

#include "check/findings.h"
#include "check/place.h"

/* files.c */
void check_not_looked(struct findings *f, const char *path, int r);

/* files.c: keyfile, configuration and state directory: modes, owners, kind of file system, room. */
void check_keyfile(const struct check_place *p, struct findings *f);
void check_configuration(const struct check_place *p, const struct mistakes *mistakes, struct findings *f);
