/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A machine whose clock somebody has set, whatever that of the test is: keys get their ages at once. Included after
 * fleet-bench.h by tests that are linked with own_wall_clock. */

#include "base/clock.h"

bool wrap_synchronized(void) __asm__("__wrap_clock_synchronized");
uint64_t wrap_realtime(void) __asm__("__wrap_clock_realtime");
uint64_t real_realtime(void) __asm__("__real_clock_realtime");

bool wrap_synchronized(void)
{
    return true;
}

uint64_t wrap_realtime(void)
{
    return real_realtime();
}

/* The key of that device has got its age, and with it its place on the calendar. */
static inline void await_dated(struct fleet_bench *f, const char *id)
{
    struct device_status status;

    do {
        assert_true(sd_event_run(f->s->event, 100 * USEC_PER_MSEC) >= 0);
        device_status(bench_find(f, id), &status);
    } while (status.rotation.next == 0);
}
