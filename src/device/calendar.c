/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device/calendar.h"

#include "base/arm.h"
#include "base/clock.h"
#include "device/batch.h"
#include "device/facts.h"
#include "device/internal.h"
#include "device/quiesce.h"
#include "device/rotate.h"
#include "device/turns.h"
#include "rotation/schedule.h"

#include <gnutls/crypto.h>

/* It is time. */
static void begin_due(struct device *d)
{
    /* Before the event: its refusal ends it, and may come at once. Nobody who is away takes a turn from the others. */
    d->keys.scheduled = true;
    if (d->keys.rotation && rotate_heard(d) && rotate_ask(d, false, true) >= 0)
        return;
    rotate_end_turn(d);
    rotate_schedule(d, true); /* another time */
}

static int on_schedule(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct fleet *f = userdata;
    struct schedule_entry *entry;

    if (quiesce_holds(f))
        return 0; /* its end wakes the calendar */
    batch_run(f, clock_boottime());
    while (calendar_is_open(f) && (entry = schedule_take(f->calendar.schedule, clock_boottime()))) {
        turn_hold(entry->userdata);
        begin_due(entry->userdata);
    }
    calendar_wake(f);
    return 0;
}

static struct schedule_policy policy_of(const struct fleet *f)
{
    const struct config_rotation *rotation = &f->config->rotation;

    return (struct schedule_policy){.max_age = rotation->max_age,
                                    .concurrent = rotation->concurrent,
                                    .rate = rotation->rate,
                                    .seed = f->calendar.seed};
}

void calendar_set_policy(struct fleet *f)
{
    const struct schedule_policy policy = policy_of(f);

    schedule_set_policy(f->calendar.schedule, &policy);
    calendar_wake(f);
}

int calendar_init(struct fleet *f)
{
    struct schedule_policy policy;
    int r;

    gnutls_rnd(GNUTLS_RND_NONCE, &f->calendar.seed, sizeof(f->calendar.seed));
    policy = policy_of(f);
    r = schedule_new(&policy, &f->calendar.schedule);
    if (r >= 0)
        r = timer_make(f->event, &f->calendar.timer, 10 * USEC_PER_MSEC, on_schedule, f);
    if (r >= 0)
        r = turns_init(f);
    return r;
}

void calendar_done(struct fleet *f)
{
    sd_event_source_disable_unref(f->calendar.timer);
    turns_done(f);
    schedule_free(f->calendar.schedule);
}
