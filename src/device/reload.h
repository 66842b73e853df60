/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A reload (fleet_reload()) as others meet it. Loop thread. */

struct device;
struct fleet;

/* reload-wait.c: nothing of the device's queue is under way any more. */
void reload_delivery_ended(struct device *d);
/* The fleet goes, whatever is waited for. */
void reload_leave(struct fleet *f);
