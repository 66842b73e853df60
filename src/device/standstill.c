/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A session that is online while nothing is accepted: a broker that acknowledges nothing, a server that answers pings
 * only. It is told, with the reason as far as it is known, and told again, less and less often. */
#include "base/arm.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "device/delivery.h"
#include "device/facts.h"
#include "device/internal.h"
#include "device/notify.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void arm(struct device *d, uint64_t when);

static int on_time(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct device *d = userdata;
    struct standstill *s = &d->delivery.standstill;
    uint64_t now = clock_boottime();
    char words[ERROR_TEXT_MAX];

    if (s->since == 0)
        return 0;
    if (now < s->next) {
        arm(d, s->next);
        return 0;
    }
    s->told = true;
    log_warning(d->config->id, "%s", standstill_words(d, words, sizeof(words)));
    s->next = now + MIN_OF(now - s->since, STANDSTILL_SAID_MAX);
    arm(d, s->next);
    device_changed(d);
    return 0;
}

static void arm(struct device *d, uint64_t when)
{
    struct standstill *s = &d->delivery.standstill;

    (void)timer_arm(d->fleet->event, &s->timer, when, USEC_PER_SEC, on_time, d);
}

/* The timer goes on when something is accepted, so that it costs a device that reports all the time little. */
void standstill_begin(struct device *d)
{
    struct standstill *s = &d->delivery.standstill;

    if (s->since != 0)
        return;
    s->since = clock_boottime();
    s->next = s->since + STANDSTILL_SAID_AFTER;
    if (timer_armed(s->timer) == USEC_INFINITY)
        arm(d, s->next);
}

void standstill_why(struct device *d, const char *why)
{
    struct standstill *s = &d->delivery.standstill;

    if (s->since == 0 || !why[0] || (s->why && strcmp(s->why, why) == 0))
        return;
    free(s->why);
    s->why = strdup(why);
    if (s->told)
        device_changed(d);
}

void standstill_over(struct device *d, bool accepted)
{
    struct standstill *s = &d->delivery.standstill;
    bool told = s->told;

    if (s->since == 0)
        return;
    if (told && accepted)
        log_info(d->config->id, "samples are accepted again, after %" PRIu64 " s",
                 (clock_boottime() - s->since) / USEC_PER_SEC);
    s->since = 0;
    s->told = false;
    free(s->why);
    s->why = NULL;
    if (told)
        device_changed(d);
}

void standstill_done(struct device *d)
{
    struct standstill *s = &d->delivery.standstill;

    sd_event_source_disable_unref(s->timer);
    free(s->why);
    *s = (struct standstill){0};
}

const char *standstill_words(const struct device *d, char *buffer, size_t size)
{
    const struct standstill *s = &d->delivery.standstill;

    if (!s->told)
        return NULL;
    snprintf(buffer, size, "samples wait: nothing accepted for %" PRIu64 " s: %s",
             (clock_boottime() - s->since) / USEC_PER_SEC,
             s->why                     ? s->why
             : d->announce.running      ? "the cloud does not answer what announces the device"
             : device_session_reason(d) ? device_session_reason(d)
                                        : "the cloud does not answer");
    return buffer;
}
