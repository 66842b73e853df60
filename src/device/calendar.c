/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which rotations begin, and when: a batch that somebody asked for first, then what came of age, in its window; and who
 * holds one of the turns. */
#include "base/clock.h"
#include "base/log.h"
#include "device/internal.h"
#include "device/quiesce.h"

#include <gnutls/crypto.h>

#define GATHER_FROM 8 /* rotations that run at once */
#define GATHER_DELAY (50 * USEC_PER_MSEC)

/* ── Turns ── */

static void arm_turns(struct fleet *f)
{
    timer_rearm(f->turn_timer, f->turns ? f->turns->turn.until : USEC_INFINITY);
}

/* Those that run side by side come to their commits one after the other: each waits a little for the rest. */
static void gather(struct fleet *f)
{
    bool many = f->n_turns >= GATHER_FROM;

    vault_gather(f->vault, many ? f->n_turns : 1, many ? GATHER_DELAY : 0);
}

/* The schedule has counted it. */
static void hold(struct device *d)
{
    struct fleet *f = d->fleet;

    if (d->turn.until != 0) {
        schedule_finished(f->schedule);
        return;
    }
    d->turn = (struct turn){.previous = f->turns_last, .until = clock_boottime() + ROTATION_TURN_MAX};
    *(f->turns_last ? &f->turns_last->turn.next : &f->turns) = d;
    f->turns_last = d;
    f->n_turns++;
    if (f->turns == d)
        arm_turns(f);
    gather(f);
}

bool turn_take(struct device *d, bool under_way)
{
    if (d->turn.until != 0)
        return true;
    if (!schedule_begin(d->fleet->schedule, clock_boottime(), under_way))
        return false;
    hold(d);
    return true;
}

void turn_release(struct device *d)
{
    struct fleet *f = d->fleet;
    struct turn turn = d->turn;

    if (turn.until == 0)
        return;
    *(turn.previous ? &turn.previous->turn.next : &f->turns) = turn.next;
    *(turn.next ? &turn.next->turn.previous : &f->turns_last) = turn.previous;
    d->turn = (struct turn){0};
    f->n_turns--;
    schedule_finished(f->schedule);
    arm_turns(f);
    gather(f);
    calendar_wake(f);
}

/* A registrar that asks to come again for ever keeps its own devices waiting, and nobody else's. */
static void end_late(struct device *d)
{
    log_notice(d->config->id, "its rotation takes long: it goes on, and others begin meanwhile");
    rotate_end_turn(d);
}

void turn_again(struct device *d)
{
    if (d->turn.until != 0 && ++d->turn.again >= ROTATION_TURN_AGAIN_MAX)
        end_late(d);
}

static int on_turn(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct fleet *f = userdata;
    uint64_t now = clock_boottime();

    while (f->turns && f->turns->turn.until <= now)
        end_late(f->turns);
    arm_turns(f);
    return 0;
}

/* ── The calendar ── */

static const struct window *window_of(const struct fleet *f)
{
    return &f->config->rotation.window;
}

/* Which part of the day it is is known only with a clock. */
static bool window_is_open(const struct fleet *f)
{
    uint64_t now = clock_realtime();

    return !window_of(f)->set || (clock_synchronized() && window_next(window_of(f), now) <= now);
}

/* The earliest time, of CLOCK_BOOTTIME, at which a key that came of age at `when` may be rotated; looked at again while
 * the window is closed, as the wall clock may be set meanwhile. */
static uint64_t in_window(const struct fleet *f, uint64_t when, uint64_t now)
{
    uint64_t opens, realtime = clock_realtime();

    if (when == USEC_INFINITY || window_is_open(f))
        return when;
    opens = window_next(window_of(f), realtime) - realtime;
    return MAX_OF(when, now + MIN_OF(opens, ROTATION_WINDOW_LOOK));
}

void calendar_wake(struct fleet *f)
{
    uint64_t now = clock_boottime(), when = in_window(f, schedule_wake(f->schedule, now), now);

    when = quiesce_holds(f) ? USEC_INFINITY : MIN_OF(when, batch_wake(f, now));
    timer_rearm(f->schedule_timer, when);
}

uint64_t calendar_shown(const struct fleet *f, uint64_t due)
{
    return window_next(window_of(f), due + (clock_realtime() - clock_boottime()));
}

/* It is time. */
static void begin_due(struct device *d)
{
    /* Before the event: its refusal ends it, and may come at once. Nobody who is away takes a turn from the others. */
    d->scheduled = true;
    if (d->rotation && rotate_heard(d) && rotate_ask(d, false, true) >= 0)
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
    while (window_is_open(f) && (entry = schedule_take(f->schedule, clock_boottime()))) {
        hold(entry->userdata);
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
                                    .seed = f->schedule_seed};
}

void calendar_set_policy(struct fleet *f)
{
    const struct schedule_policy policy = policy_of(f);

    schedule_set_policy(f->schedule, &policy);
    calendar_wake(f);
}

int calendar_init(struct fleet *f)
{
    struct schedule_policy policy;
    int r;

    gnutls_rnd(GNUTLS_RND_NONCE, &f->schedule_seed, sizeof(f->schedule_seed));
    policy = policy_of(f);
    r = schedule_new(&policy, &f->schedule);
    if (r >= 0)
        r = timer_make(f->event, &f->schedule_timer, 10 * USEC_PER_MSEC, on_schedule, f);
    if (r >= 0)
        r = timer_make(f->event, &f->turn_timer, USEC_PER_SEC, on_turn, f);
    return r;
}

void calendar_done(struct fleet *f)
{
    sd_event_source_disable_unref(f->schedule_timer);
    sd_event_source_disable_unref(f->turn_timer);
    schedule_free(f->schedule);
}
