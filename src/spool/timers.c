/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The spool's timers, and what each of them does. */
#include "base/clock.h"
#include "spool/file.h"

static int on_commit(sd_event_source *source, uint64_t usec, void *userdata)
{
    commit_now(userdata);
    return 0;
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct spool *s = userdata;

    s->due.cared = 0;
    if (s->state == SPOOL_FAILED)
        open_begin(s);
    else
        commit_now(s);
    return 0;
}

static int on_age(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct spool *s = userdata;

    spool_tick(s, clock_boottime());
    return 0;
}

static int on_wait(sd_event_source *source, uint64_t usec, void *userdata)
{
    waits_over(userdata, clock_boottime());
    return 0;
}

int timers_init(struct spool *s)
{
    struct {
        sd_event_source **timer;
        uint64_t accuracy;
        sd_event_time_handler_t handler;
    } timers[] = {
        {&s->due.commit_timer, 5 * USEC_PER_MSEC, on_commit}, {&s->due.age_timer, 100 * USEC_PER_MSEC, on_age},
        {&s->due.care_timer, 500 * USEC_PER_MSEC, on_commit}, {&s->due.retry_timer, 100 * USEC_PER_MSEC, on_retry},
        {&s->due.wait_timer, 100 * USEC_PER_MSEC, on_wait},
    };

    for (size_t i = 0; i < ELEMENTSOF(timers) && s->options.event; i++) {
        int r = sd_event_add_time(s->options.event, timers[i].timer, CLOCK_BOOTTIME, 0, timers[i].accuracy,
                                  timers[i].handler, s);

        if (r >= 0)
            r = sd_event_source_set_enabled(*timers[i].timer, SD_EVENT_OFF);
        if (r < 0)
            return r;
    }
    return 0;
}

void timers_done(struct spool *s)
{
    sd_event_source_disable_unref(s->due.commit_timer);
    sd_event_source_disable_unref(s->due.age_timer);
    sd_event_source_disable_unref(s->due.care_timer);
    sd_event_source_disable_unref(s->due.retry_timer);
    sd_event_source_disable_unref(s->due.wait_timer);
    s->due.commit_timer = s->due.age_timer = s->due.care_timer = s->due.retry_timer = s->due.wait_timer = NULL;
}
