/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/timers.h"

#include "base/clock.h"
#include "base/limits.h"

#include <errno.h>
#include <stdlib.h>

#define ROOM_FIRST 16

/* The deadlines stand in the heap itself, so that comparing them touches no owner. */
struct place {
    uint64_t at;
    struct timer *timer;
};

struct timers {
    sd_event_source *source;
    void (*fire)(struct timer *timer);
    struct place *heap; /* from 1 on: the children of i are 2 i and 2 i + 1 */
    size_t n, reserved, room;
    uint64_t armed_for;
};

static void put(struct timers *t, size_t i, struct place p)
{
    t->heap[i] = p;
    p.timer->place = (uint32_t)i;
}

static void sift_up(struct timers *t, size_t i, struct place p)
{
    for (; i > 1 && t->heap[i / 2].at > p.at; i /= 2)
        put(t, i, t->heap[i / 2]);
    put(t, i, p);
}

static void sift_down(struct timers *t, size_t i, struct place p)
{
    for (size_t child; (child = 2 * i) <= t->n; i = child) {
        if (child < t->n && t->heap[child + 1].at < t->heap[child].at)
            child++;
        if (t->heap[child].at >= p.at)
            break;
        put(t, i, t->heap[child]);
    }
    put(t, i, p);
}

static void settle(struct timers *t, size_t i, struct place p)
{
    if (i > 1 && t->heap[i / 2].at > p.at)
        sift_up(t, i, p);
    else
        sift_down(t, i, p);
}

/* Only ever to an earlier time: one that comes too early looks again, which is cheaper than a call for each change. */
static void arm(struct timers *t)
{
    if (t->n == 0 || t->heap[1].at >= t->armed_for)
        return;
    t->armed_for = t->heap[1].at;
    (void)sd_event_source_set_time(t->source, t->armed_for);
    (void)sd_event_source_set_enabled(t->source, SD_EVENT_ONESHOT);
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct timers *t = userdata;
    uint64_t now = clock_boottime(), until = now + TURN_BUDGET;

    for (int i = 0; i < TIMERS_PER_TURN && t->n > 0 && t->heap[1].at <= now && (i == 0 || clock_boottime() < until);
         i++) {
        struct timer *timer = t->heap[1].timer;

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
    free(t->heap);
    free(t);
    return NULL;
}

int timers_reserve(struct timers *t)
{
    size_t room = t->room ? t->room + t->room / 2 : ROOM_FIRST;
    struct place *heap;

    if (t->reserved + 1 >= t->room) {
        heap = reallocarray(t->heap, room, sizeof(*heap));
        if (!heap)
            return -ENOMEM;
        t->heap = heap;
        t->room = room;
    }
    t->reserved++;
    return 0;
}

void timers_release(struct timers *t)
{
    t->reserved--;
}

void timer_set(struct timers *t, struct timer *timer, uint64_t at)
{
    struct place p = {at, timer};

    if (timer->place == 0)
        sift_up(t, ++t->n, p);
    else
        settle(t, timer->place, p);
    arm(t);
}

void timer_stop(struct timers *t, struct timer *timer)
{
    size_t i = timer->place;

    if (i == 0)
        return;
    timer->place = 0;
    t->n--;
    if (i <= t->n)
        settle(t, i, t->heap[t->n + 1]);
}

uint64_t timer_at(const struct timers *t, const struct timer *timer)
{
    return timer->place == 0 ? USEC_INFINITY : t->heap[timer->place].at;
}
