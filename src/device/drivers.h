/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Sets of devices for drivers, and reports from them. Loop thread. */

#include "config/config.h"
#include "link/host.h"

struct fleet;

extern const struct link_host_ops drivers_link_ops;
/* Tells the driver all its devices; it leaves open what did not change. */
int drivers_update(struct fleet *f, const char *driver, struct error *e);
/* Every driver that has devices now, and those that had some under the configuration `before` (may be NULL). */
int drivers_update_all(struct fleet *f, const struct config *before, struct error *e);
