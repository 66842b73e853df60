/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* When the calendar is looked at next. */
#include "base/arm.h"
#include "base/clock.h"
#include "base/limits.h"
#include "device/batch.h"
#include "device/calendar.h"
#include "device/facts.h"
#include "device/internal.h"
#include "rotation/schedule.h"

static const struct window *window_of(const struct fleet *f)
{
    return &f->config->rotation.window;
}

/* Which part of the day it is is known only with a clock. */
bool calendar_is_open(const struct fleet *f)
{
    uint64_t now = clock_realtime();

    return !window_of(f)->set || (clock_synchronized() && window_next(window_of(f), now) <= now);
}

/* The earliest time, of CLOCK_BOOTTIME, at which a key that came of age at `when` may be rotated; looked at again while
 * the window is closed, as the wall clock may be set meanwhile. */
static uint64_t in_window(const struct fleet *f, uint64_t when, uint64_t now)
{
    uint64_t opens, realtime = clock_realtime();

    if (when == USEC_INFINITY || calendar_is_open(f))
        return when;
    opens = window_next(window_of(f), realtime) - realtime;
    return MAX_OF(when, now + MIN_OF(opens, ROTATION_WINDOW_LOOK));
}

void calendar_wake(struct fleet *f)
{
    uint64_t now = clock_boottime(), when = in_window(f, schedule_wake(f->calendar.schedule, now), now);

    when = quiesce_holds(f) ? USEC_INFINITY : MIN_OF(when, batch_wake(f, now));
    timer_rearm(f->calendar.timer, when);
}

uint64_t calendar_shown(const struct fleet *f, uint64_t due)
{
    return window_next(window_of(f), due + (clock_realtime() - clock_boottime()));
}
