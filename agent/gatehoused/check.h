/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* --check-config: what the files alone do not show. Each driver's sections are read by its plugin, in a driver host
 * that is started for it (the agent never loads a plugin, and starts no process in any other mode); drivers that are
 * not installed and files that the agent's user cannot read are mistakes. Blocks. */

#include "options.h"

#include "config/config.h"

/* 0 or -ENOMEM; mistakes are noted. */
int check_installed(const struct options *o, const struct config *config, struct mistakes *mistakes);
