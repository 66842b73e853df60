/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* --can-open: whether this version of the agent could open a vault, as an updater wants to know before it goes over to
 * it. A copy is opened, with all that opening does; the vault itself is only read, and may be in use. */

#include "options.h"

#include "config/config.h"

#include <systemd/sd-event.h>

/* Says so in a line of JSON on standard output and in words on standard error; returns the exit status. */
int can_open(sd_event *event, const struct options *o, const struct config *config);
