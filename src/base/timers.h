/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The timers of all children of an uplink, or of a fleet: a heap of deadlines, and one timer of the event loop for the
 * first. A timer costs 16 bytes in the heap beside itself, and setting one takes O(log n).
 *
 * Loop thread only. In one turn at most TIMERS_PER_TURN fire, and for no longer than TURN_BUDGET, so ten thousand
 * that are due at once leave the loop time for others. A callback may set and stop any timer, and free what holds one
 * after stopping it. */

#include "base/cleanup.h"
#include "base/deadlines.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct timers;

/* Embedded in what owns it; zeroed: stopped. */
struct timer {
    struct deadline deadline; /* first: the heap's is the timer's */
};

/* `fire` is called with each timer that has come, which is stopped then. They may come up to `accuracy` late, so that
 * one wake-up serves many. */
int timers_new(sd_event *event, uint64_t accuracy, void (*fire)(struct timer *timer), struct timers **ret);
/* All timers must be stopped. */
struct timers *timers_free(struct timers *t);
DEFINE_FREEP(struct timers, timers_free)

/* Room for one timer more (or less); to be asked for when its owner is made, so that timer_set() cannot fail. */
int timers_reserve(struct timers *t);
void timers_release(struct timers *t);

/* `at`: CLOCK_BOOTTIME. */
void timer_set(struct timers *t, struct timer *timer, uint64_t at);
void timer_stop(struct timers *t, struct timer *timer);
/* USEC_INFINITY: stopped. */
uint64_t timer_at(const struct timers *t, const struct timer *timer);
