/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Single timers of the event loop, on CLOCK_BOOTTIME. A timer is made when it is first armed, fires once for each
 * arming, and belongs to its owner, who ends it with sd_event_source_disable_unref(). Loop thread only. Where many
 * children have a timer each, base/timers.h costs less. */

#include <stdint.h>
#include <systemd/sd-event.h>

/* Sets *source to fire at `at`, whether it was armed or not, and makes it if it is NULL. Negative errno: only if it
 * could not be made. `at` USEC_INFINITY: it is disarmed. */
int timer_arm(sd_event *event, sd_event_source **source, uint64_t at, uint64_t accuracy,
              sd_event_time_handler_t handler, void *userdata);
/* Makes one that is not armed, so that timer_rearm() cannot fail. */
int timer_make(sd_event *event, sd_event_source **ret, uint64_t accuracy, sd_event_time_handler_t handler,
               void *userdata);
/* The same for one that exists; its accuracy stays. */
void timer_rearm(sd_event_source *source, uint64_t at);
/* When it fires; USEC_INFINITY: it is not armed, or NULL. */
uint64_t timer_armed(sd_event_source *source);
