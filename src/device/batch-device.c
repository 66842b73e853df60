/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The part of a device in a batch: how it ends, and when it waits. */
#include "base/clock.h"
#include "device/batch-internal.h"
#include "device/batch.h"
#include "device/calendar.h"
#include "device/internal.h"
#include "device/job.h"

void batch_end_one(struct batch *b, struct device *d, bool ok, const char *outcome, const char *reason)
{
    batch_take_out(d);
    b->progressed = clock_boottime();
    job_progress(b->fleet->jobs, b->job, d->config->id, ok, outcome, reason);
    calendar_wake(b->fleet);
}

void batch_ended(struct device *d, bool ok, const char *outcome, const char *reason)
{
    struct batch *b = d->fleet->calendar.batch;
    struct batch_list *list = d->keys.batch.list;

    /* One that waits has not been asked yet: what was refused is somebody else's. */
    if (!b || !list || (!ok && list != &b->running && list != &b->late))
        return;
    batch_end_one(b, d, ok, outcome, reason);
}

void batch_online(struct device *d)
{
    struct batch *b = d->fleet->calendar.batch;

    if (!b || d->keys.batch.list != &b->away)
        return;
    batch_move(&b->waiting, d);
    calendar_wake(d->fleet);
}

void batch_turn_over(struct device *d)
{
    struct batch *b = d->fleet->calendar.batch;

    if (b && d->keys.batch.list == &b->running)
        batch_move(&b->late, d);
}

void batch_gone(struct device *d)
{
    if (d->fleet->calendar.batch && d->keys.batch.list)
        batch_end_one(d->fleet->calendar.batch, d, false, "cancelled", "the device is gone");
}

void batch_waiting(struct device *d, const char *reason)
{
    if (d->keys.batch.list && d->fleet->calendar.batch)
        job_waiting(d->fleet->calendar.batch->job, d->config->id, reason);
}
