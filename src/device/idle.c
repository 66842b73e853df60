/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sessions on demand, of devices that have something to say now and then: connected when there is something to send,
 * disconnected after idle_timeout without anything. */
#include "device/idle.h"

#include "base/arm.h"
#include "base/clock.h"
#include "base/log.h"
#include "device/connection-table.h"
#include "device/connection.h"
#include "device/downlink.h"
#include "device/facts.h"
#include "device/internal.h"
#include "spool/spool.h"
#include "uplink/session.h"

/* Something is under way, or waits for a session. */
static bool busy(const struct device *d)
{
    struct spool_counts counts;

    if (d->tombstone || d->delivery.request || session_proving(d) || probe_under_way(d) || d->keys.call ||
        downlink_busy(d) || rotate_under_way(d))
        return true;
    spool_device_counts(d->queue, &counts);
    return counts.queued > 0;
}

bool idle_wants(const struct device *d)
{
    return !d->config->on_demand || clock_boottime() < d->idle.until || busy(d);
}

static int on_idle(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct device *d = userdata;

    if (!d->config->on_demand || device_phase(d) == CONNECTION_CLOSED)
        return 0;
    if (idle_wants(d)) {
        timer_rearm(source, MAX_OF(d->idle.until, clock_boottime() + USEC_PER_SEC));
        return 0;
    }
    log_debug(d->config->id, "nothing to send: disconnected until there is");
    session_stop(d, UPLINK_BYE);
    return 0;
}

void idle_touch(struct device *d)
{
    if (!d->config->on_demand)
        return;
    d->idle.until = clock_boottime() + d->config->idle_timeout;
    if (timer_arm(d->fleet->event, &d->idle.timer, d->idle.until, USEC_PER_SEC, on_idle, d) < 0)
        return; /* it stays connected */
    if (device_phase(d) == CONNECTION_CLOSED)
        session_start(d);
}

void idle_done(struct device *d)
{
    d->idle.timer = sd_event_source_disable_unref(d->idle.timer);
}
