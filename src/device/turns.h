/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The rotations that may run at once: who holds one of the turns, and for how long. Loop thread. */

#include <stdbool.h>
#include <stdint.h>

struct device;
struct fleet;

/* One of the rotations that may run at once. Held until it has ended, or has taken so long that others go first. */
struct turn {
    struct device *previous, *next; /* in the order in which they began */
    uint64_t until;                 /* CLOCK_BOOTTIME; 0: not held */
    unsigned again;                 /* how often its registrar has asked to come again */
};

int turns_init(struct fleet *f);
void turns_done(struct fleet *f);
/* Takes a turn if one is free; true also if the device has one. `under_way`: its rotation runs, so it takes one anyway.
 */
bool turn_take(struct device *d, bool under_way);
/* The same of one that the schedule has counted. */
void turn_hold(struct device *d);
void turn_release(struct device *d);
/* The registrar wants to be asked again, or did not answer. */
void turn_again(struct device *d);
/* Its rotation no longer counts as one of those that run at once. */
void rotate_end_turn(struct device *d);
