/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lists of a batch's devices, by what each waits for. */
#include "base/clock.h"
#include "base/limits.h"
#include "device/batch-internal.h"
#include "device/batch.h"
#include "device/internal.h"
#include "rotation/schedule.h"

void batch_put(struct batch_list *list, struct device *d)
{
    d->keys.batch = (struct batch_place){.list = list, .previous = list->last, .since = clock_boottime()};
    *(list->last ? &list->last->keys.batch.next : &list->first) = d;
    list->last = d;
}

void batch_take_out(struct device *d)
{
    struct batch_place place = d->keys.batch;

    if (!place.list)
        return;
    *(place.previous ? &place.previous->keys.batch.next : &place.list->first) = place.next;
    *(place.next ? &place.next->keys.batch.previous : &place.list->last) = place.previous;
    d->keys.batch = (struct batch_place){0};
}

void batch_move(struct batch_list *list, struct device *d)
{
    batch_take_out(d);
    batch_put(list, d);
}

bool batch_only_away(const struct batch *b)
{
    return !b->waiting.first && !b->running.first && !b->late.first;
}

bool batch_is_empty(const struct batch *b)
{
    return batch_only_away(b) && !b->away.first;
}

uint64_t batch_wake(struct fleet *f, uint64_t now)
{
    struct batch *b = f->calendar.batch;
    uint64_t when = USEC_INFINITY;

    if (!b || !b->recorded)
        return USEC_INFINITY;
    if (batch_is_empty(b) || b->failed)
        return now;
    if (b->waiting.first)
        when = schedule_room(f->calendar.schedule, now);
    if (b->late.first)
        when = MIN_OF(when, b->late.first->keys.batch.since + ROTATION_BATCH_PATIENCE);
    if (batch_only_away(b))
        when = MIN_OF(when, b->progressed + ROTATION_BATCH_PATIENCE);
    return when;
}
