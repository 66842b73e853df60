/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* That no device of an uplink has a session is said once for all of them, with the reason of one, and so is its end:
 * whoever reads the journal next morning finds the night's outage in it. What concerns one device is in its LastError.
 */
#include "device/outage.h"

#include "base/arm.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "device/connection-table.h"
#include "device/facts.h"
#include "device/internal.h"
#include "uplink/session.h"

/* Devices that are refused, or in conflict, have been named already. */
static bool tries_in_vain(const struct device *d)
{
    switch (device_session_state(d)) {
    case UPLINK_STATE_CONNECTING:
    case UPLINK_STATE_BACKING_OFF:
    case UPLINK_STATE_UNREACHABLE:
        return d->keys.report == ROTATION_REPORT_FINE && device_session_reason(d);
    case UPLINK_STATE_STOPPED:
    case UPLINK_STATE_ONLINE:
    case UPLINK_STATE_REFUSED:
        break;
    }
    return false;
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct shared_uplink *u = userdata;
    const struct device *one = NULL;
    size_t n = 0;

    for (size_t i = 0; i < u->fleet->index.n; i++)
        if (u->fleet->index.devices[i]->uplink == u && tries_in_vain(u->fleet->index.devices[i])) {
            one = one ?: u->fleet->index.devices[i];
            n++;
        }
    if (n == 0)
        return 0; /* the next that fails begins anew */
    u->outage.said = true;
    log_warning(NULL, "uplink %s: no session, for %llu s now, with %zu of its devices trying; %s: %s",
                u->settings->name, (unsigned long long)((clock_boottime() - u->outage.since) / USEC_PER_SEC), n,
                one->config->id, device_session_reason(one));
    return 0;
}

static void over(struct shared_uplink *u)
{
    u->outage.timer = sd_event_source_disable_unref(u->outage.timer);
    if (u->outage.said)
        log_notice(NULL, "uplink %s: there are sessions again, after %llu s", u->settings->name,
                   (unsigned long long)((clock_boottime() - u->outage.since) / USEC_PER_SEC));
    u->outage.said = false;
}

void outage_look(struct device *d)
{
    struct shared_uplink *u = d->uplink;
    uint64_t now = clock_boottime();

    if (u->outage.online > 0) {
        over(u);
        return;
    }
    if (device_phase(d) == CONNECTION_CLOSED || u->outage.said || timer_armed(u->outage.timer) != USEC_INFINITY ||
        d->fleet->stopping)
        return;
    u->outage.since = now;
    (void)timer_arm(d->fleet->event, &u->outage.timer, now + OUTAGE_SAID_AFTER, USEC_PER_SEC, on_time, u);
}
