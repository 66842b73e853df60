/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The fleet's counts of rotations: how many devices are in each state, and how many ended in which way since the
 * start. Kept as it happens, so that reading costs nothing. Loop thread; cannot fail. */

#include "rotation/machine.h"

#include <stdbool.h>
#include <stdint.h>

struct device;

/* Behind the states: ROTATION_OFFERED that waits for a key which was main before. */
#define COUNTS_FALLEN ROTATION_STATES
#define COUNTS_STATES (ROTATION_STATES + 1)

struct fleet_counts {
    uint32_t rotating[COUNTS_STATES]; /* devices */
    uint64_t done, abandoned, fell_back;
};

/* A device's part. */
struct counted {
    bool counted;
    uint8_t state; /* as it is counted now */
};

/* It has become one of the fleet's devices, or is one no longer. */
void counts_take(struct device *d, bool counted);
/* It may be in another state. */
void counts_update(struct device *d);
void counts_finished(struct device *d, enum rotation_outcome outcome);
void counts_fell_back(struct device *d);
/* As RotationState shows it. */
const char *counts_state_name(unsigned state);
