/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The fleet's devices in the order of their ids: how one comes in and goes. Finding them is in device/fleet.h. Loop
 * thread. */

#include <stddef.h>

struct device;
struct fleet;

struct device_index {
    struct device **devices; /* by id */
    size_t n, allocated;
    struct device *tombstones;
};

/* It is counted and shown from now on. 0 or -ENOMEM. */
int fleet_insert(struct fleet *f, struct device *d);
/* Out of the index; the device is the caller's now. */
void fleet_remove(struct fleet *f, struct device *d);
