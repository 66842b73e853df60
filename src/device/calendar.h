/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which rotations begin, and when: a batch that somebody asked for first, then what came of age, in its window. Loop
 * thread. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct batch;
struct device;
struct fleet;
struct schedule;
struct timers;

struct calendar {
    struct schedule *schedule;
    uint32_t seed;
    struct device *turns, *turns_last; /* who holds one, the oldest first */
    size_t n_turns;
    struct timers *rotation_timers; /* of the devices */
    sd_event_source *timer, *turn_timer;
    struct batch *batch; /* NULL: none runs */
};

int calendar_init(struct fleet *f);
void calendar_done(struct fleet *f);
/* The configuration is another one. */
void calendar_set_policy(struct fleet *f);
/* Something may have become due, or a turn free. */
void calendar_wake(struct fleet *f);
/* Whether keys that came of age are rotated at this time of the day. */
bool calendar_is_open(const struct fleet *f);
/* When that key, due at `due` of CLOCK_BOOTTIME, is rotated: CLOCK_REALTIME. */
uint64_t calendar_shown(const struct fleet *f, uint64_t due);
