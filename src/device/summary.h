/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The whole fleet in a few lines, for who looks whether all is well: how many devices are in which state, what is wrong
 * with uplinks, which rotations are under way. One walk over all devices, in which nothing is asked of them that takes
 * long. Loop thread. */

#include "base/limits.h"
#include "device/fleet.h"

/* How many devices say the same; the first of them, and its words. */
struct summary_problem {
    const char *device;
    uint32_t devices;
    char text[ERROR_TEXT_MAX];
};

struct summary_uplink {
    const char *name, *url;
    uint32_t devices, online;
    char reason[ERROR_TEXT_MAX]; /* of the first that should be online and is not; "" */
};

struct summary_rotation {
    const char *device, *state;
    char reason[ERROR_TEXT_MAX];
};

#define SUMMARY_PHASES_MAX 16

/* Names and ids are the fleet's, valid until the loop turn ends. */
struct summary {
    uint32_t states[DEVICE_STATES];
    struct summary_uplink *uplinks;
    size_t n_uplinks;
    struct {
        const char *name;
        uint32_t devices;
    } phases[SUMMARY_PHASES_MAX]; /* of rotations, except idle ones */
    size_t n_phases;
    struct summary_rotation rotations[SUMMARY_ROTATIONS_MAX]; /* whose new key is not main yet, the first few */
    size_t n_rotations;
    struct summary_problem problems[SUMMARY_PROBLEMS_MAX];
    size_t n_problems;
    uint32_t other_problems; /* devices whose words there is no room for */
};

/* -ENOMEM; the caller frees it. */
int fleet_summary(struct fleet *f, struct summary **ret);
struct summary *summary_free(struct summary *s);
DEFINE_FREEP(struct summary, summary_free)

/* Counts a device among those that say the same, as far as there is room. Pure. */
void summary_add_problem(struct summary *s, const char *device, const char *text);
