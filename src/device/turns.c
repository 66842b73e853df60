/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device/turns.h"

#include "base/arm.h"
#include "base/clock.h"
#include "base/log.h"
#include "device/batch.h"
#include "device/calendar.h"
#include "device/internal.h"
#include "rotation/schedule.h"

#define GATHER_FROM 8 /* rotations that run at once */
#define GATHER_DELAY (50 * USEC_PER_MSEC)

static void arm_turns(struct fleet *f)
{
    timer_rearm(f->calendar.turn_timer, f->calendar.turns ? f->calendar.turns->keys.turn.until : USEC_INFINITY);
}

/* Those that run side by side come to their commits one after the other: each waits a little for the rest. */
static void gather(struct fleet *f)
{
    bool many = f->calendar.n_turns >= GATHER_FROM;

    vault_gather(f->vault, many ? f->calendar.n_turns : 1, many ? GATHER_DELAY : 0);
}

void turn_hold(struct device *d)
{
    struct fleet *f = d->fleet;

    if (d->keys.turn.until != 0) {
        schedule_finished(f->calendar.schedule);
        return;
    }
    d->keys.turn = (struct turn){.previous = f->calendar.turns_last, .until = clock_boottime() + ROTATION_TURN_MAX};
    *(f->calendar.turns_last ? &f->calendar.turns_last->keys.turn.next : &f->calendar.turns) = d;
    f->calendar.turns_last = d;
    f->calendar.n_turns++;
    if (f->calendar.turns == d)
        arm_turns(f);
    gather(f);
}

bool turn_take(struct device *d, bool under_way)
{
    if (d->keys.turn.until != 0)
        return true;
    if (!schedule_begin(d->fleet->calendar.schedule, clock_boottime(), under_way))
        return false;
    turn_hold(d);
    return true;
}

void turn_release(struct device *d)
{
    struct fleet *f = d->fleet;
    struct turn turn = d->keys.turn;

    if (turn.until == 0)
        return;
    *(turn.previous ? &turn.previous->keys.turn.next : &f->calendar.turns) = turn.next;
    *(turn.next ? &turn.next->keys.turn.previous : &f->calendar.turns_last) = turn.previous;
    d->keys.turn = (struct turn){0};
    f->calendar.n_turns--;
    schedule_finished(f->calendar.schedule);
    arm_turns(f);
    gather(f);
    calendar_wake(f);
}

void rotate_end_turn(struct device *d)
{
    d->keys.scheduled = false;
    batch_turn_over(d);
    turn_release(d);
}

/* A registrar that asks to come again for ever keeps its own devices waiting, and nobody else's. */
static void end_late(struct device *d)
{
    log_notice(d->config->id, "its rotation takes long: it goes on, and others begin meanwhile");
    rotate_end_turn(d);
}

void turn_again(struct device *d)
{
    if (d->keys.turn.until != 0 && ++d->keys.turn.again >= ROTATION_TURN_AGAIN_MAX)
        end_late(d);
}

static int on_turn(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct fleet *f = userdata;
    uint64_t now = clock_boottime();

    while (f->calendar.turns && f->calendar.turns->keys.turn.until <= now)
        end_late(f->calendar.turns);
    arm_turns(f);
    return 0;
}

int turns_init(struct fleet *f)
{
    return timer_make(f->event, &f->calendar.turn_timer, USEC_PER_SEC, on_turn, f);
}

void turns_done(struct fleet *f)
{
    sd_event_source_disable_unref(f->calendar.turn_timer);
}
