/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The worker, and whether the disk works. */
#include "base/clock.h"
#include "spool/file.h"

void submit(struct spool *s, int (*run)(void *userdata), void (*done)(int r, void *userdata), void *userdata)
{
    int r = s->workers ? workers_submit(s->workers, run, done, userdata) : -EAGAIN;

    if (r == -EAGAIN)
        done(run(userdata), userdata);
    else if (r < 0)
        done(r, userdata);
}

void disk_failed(struct spool *s, int r, const struct error *e)
{
    struct trouble *t = &s->trouble;

    t->last = *e;
    if (r == -EBADMSG && s->state != SPOOL_FAILED) {
        t->damaged = true;
        t->damage = *e;
        return;
    }
    if (!t->failing && s->options.ops && s->options.ops->disk)
        s->options.ops->disk(e, s->options.userdata);
    t->failing = true;
    give_up_offline(s);
    spool_arm(s, s->due.retry_timer, clock_boottime() + SPOOL_RETRY_INTERVAL);
}

void disk_works(struct spool *s)
{
    if (s->trouble.failing && s->options.ops && s->options.ops->disk)
        s->options.ops->disk(NULL, s->options.userdata);
    s->trouble.failing = false;
}
