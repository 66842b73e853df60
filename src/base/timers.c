/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/timers.h"

#include "base/clock.h"
#include "base/limits.h"

#include <errno.h>
#include <stdlib.h>

struct timers {
    sd_event_source *source;
    void (*fire)(struct timer *timer);
    struct deadlines times;
    uint64_t armed_for;
};

/* Only ever to an earlier time: one that comes too early looks again, which is cheaper than a call for each change. */
static void arm(struct timers *t)
{
    if (deadlines_first_at(&t->times) >= t->armed_for)
        return;
    t->armed_for = deadlines_first_at(&t->times);
    (void)sd_event_source_set_time(t->source, t->armed_for);
    (void)sd_event_source_set_enabled(t->source, SD_EVENT_ONESHOT);
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct timers *t = userdata;
    uint64_t now = clock_boottime(), until = now + TURN_BUDGET;

    for (int i = 0; i < TIMERS_PER_TURN && deadlines_first_at(&t->times) <= now && (i == 0 || clock_boottime() < until);
         i++) {
        struct timer *timer = (struct timer *)deadlines_first(&t->times);

        timer_stop(t, timer);
        t->fire(timer);
    }
    t->armed_for = USEC_INFINITY;
    arm(t);
    return 0;
}

int timers_new(sd_event *event, uint64_t accuracy, void (*fire)(struct timer *timer), struct timers **ret)
{
    _cleanup_(timers_freep) struct timers *t = calloc(1, sizeof(*t));
    int r;

    if (!t)
        return -ENOMEM;
    t->fire = fire;
    t->armed_for = USEC_INFINITY;
    r = sd_event_add_time(event, &t->source, CLOCK_BOOTTIME, 0, accuracy, on_time, t);
    if (r >= 0)
        r = sd_event_source_set_enabled(t->source, SD_EVENT_OFF);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(t);
    return 0;
}

struct timers *timers_free(struct timers *t)
{
    if (!t)
        return NULL;
    sd_event_source_disable_unref(t->source);
    deadlines_done(&t->times);
    free(t);
    return NULL;
}

int timers_reserve(struct timers *t)
{
    return deadlines_reserve(&t->times);
}

void timers_release(struct timers *t)
{
    deadlines_release(&t->times);
}

void timer_set(struct timers *t, struct timer *timer, uint64_t at)
{
    deadline_set(&t->times, &timer->deadline, at, 0);
    arm(t);
}

void timer_stop(struct timers *t, struct timer *timer)
{
    deadline_stop(&t->times, &timer->deadline);
}

uint64_t timer_at(const struct timers *t, const struct timer *timer)
{
    return deadline_at(&t->times, &timer->deadline);
}
