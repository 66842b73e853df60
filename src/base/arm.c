/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/arm.h"

#include "base/limits.h"

void timer_rearm(sd_event_source *source, uint64_t at)
{
    /* Neither fails for a timer of this process that exists. */
    (void)sd_event_source_set_time(source, at);
    (void)sd_event_source_set_enabled(source, at == USEC_INFINITY ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
}

int timer_arm(sd_event *event, sd_event_source **source, uint64_t at, uint64_t accuracy,
              sd_event_time_handler_t handler, void *userdata)
{
    int r = 0;

    if (*source)
        (void)sd_event_source_set_time_accuracy(*source, accuracy);
    else
        r = sd_event_add_time(event, source, CLOCK_BOOTTIME, at, accuracy, handler, userdata);
    if (r < 0)
        return r;
    timer_rearm(*source, at);
    return 0;
}

int timer_make(sd_event *event, sd_event_source **ret, uint64_t accuracy, sd_event_time_handler_t handler,
               void *userdata)
{
    return timer_arm(event, ret, USEC_INFINITY, accuracy, handler, userdata);
}

uint64_t timer_armed(sd_event_source *source)
{
    uint64_t at;

    if (!source || sd_event_source_get_enabled(source, NULL) <= 0 || sd_event_source_get_time(source, &at) < 0)
        return USEC_INFINITY;
    return at;
}
