/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/deadlines.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdlib.h>

#define ROOM_FIRST 16

/* The times stand in the heap itself, so that comparing them touches no owner. */
struct deadline_place {
    uint64_t at;
    struct deadline *deadline;
};

/* From 1 on: the children of i are 2 i and 2 i + 1. */
static void put(struct deadlines *d, size_t i, struct deadline_place p)
{
    d->heap[i] = p;
    p.deadline->place = (uint32_t)i;
}

static void sift_up(struct deadlines *d, size_t i, struct deadline_place p)
{
    for (; i > 1 && d->heap[i / 2].at > p.at; i /= 2)
        put(d, i, d->heap[i / 2]);
    put(d, i, p);
}

static void sift_down(struct deadlines *d, size_t i, struct deadline_place p)
{
    for (size_t child; (child = 2 * i) <= d->n; i = child) {
        if (child < d->n && d->heap[child + 1].at < d->heap[child].at)
            child++;
        if (d->heap[child].at >= p.at)
            break;
        put(d, i, d->heap[child]);
    }
    put(d, i, p);
}

static void settle(struct deadlines *d, size_t i, struct deadline_place p)
{
    if (i > 1 && d->heap[i / 2].at > p.at)
        sift_up(d, i, p);
    else
        sift_down(d, i, p);
}

void deadlines_done(struct deadlines *d)
{
    free(d->heap);
    *d = (struct deadlines){.heap = NULL};
}

int deadlines_reserve(struct deadlines *d)
{
    size_t room = d->room ? d->room + d->room / 2 : ROOM_FIRST;
    struct deadline_place *heap;

    if (d->reserved + 1 >= d->room) {
        heap = reallocarray(d->heap, room, sizeof(*heap));
        if (!heap)
            return -ENOMEM;
        d->heap = heap;
        d->room = room;
    }
    d->reserved++;
    return 0;
}

void deadlines_release(struct deadlines *d)
{
    d->reserved--;
}

void deadline_set(struct deadlines *d, struct deadline *deadline, uint64_t at, uint32_t slack)
{
    struct deadline_place p = {at, deadline};

    deadline->slack = slack;
    if (deadline->place == 0)
        sift_up(d, ++d->n, p);
    else
        settle(d, deadline->place, p);
}

void deadline_stop(struct deadlines *d, struct deadline *deadline)
{
    size_t i = deadline->place;

    if (i == 0)
        return;
    deadline->place = 0;
    d->n--;
    if (i <= d->n)
        settle(d, i, d->heap[d->n + 1]);
}

uint64_t deadline_at(const struct deadlines *d, const struct deadline *deadline)
{
    return deadline->place == 0 ? UINT64_MAX : d->heap[deadline->place].at;
}

struct deadline *deadlines_first(const struct deadlines *d)
{
    return d->n == 0 ? NULL : d->heap[1].deadline;
}

uint64_t deadlines_first_at(const struct deadlines *d)
{
    return d->n == 0 ? UINT64_MAX : d->heap[1].at;
}

/* Only below what is due before the best so far: these are about to be served anyway. */
static uint64_t latest_from(const struct deadlines *d, size_t i, uint64_t best)
{
    const struct deadline_place *p = &d->heap[i];

    if (i > d->n || p->at >= best)
        return best;
    if (p->at + p->deadline->slack >= p->at)
        best = MIN_OF(best, p->at + p->deadline->slack);
    best = latest_from(d, 2 * i, best);
    return latest_from(d, 2 * i + 1, best);
}

uint64_t deadlines_latest(const struct deadlines *d)
{
    return latest_from(d, 1, UINT64_MAX);
}
