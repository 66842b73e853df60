/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A probe: a fresh full handshake with one credential, then one accepted message. Over CoAP beside the ordinary
 * session; over MQTT, where both would have one client id, in its place: first what is under way there is waited for,
 * then that session ends, and when the probe came to nothing it begins again. */
#include "base/arm.h"
#include "base/clock.h"
#include "base/log.h"
#include "device/connection-table.h"
#include "device/connection.h"
#include "device/facts.h"
#include "device/internal.h"
#include "payload/profile.h"
#include "uplink/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_exclusive(const struct device *d)
{
    return d->uplink->profile->transport == PROFILE_MQTT;
}

bool probe_excludes_session(const struct device *d)
{
    return is_exclusive(d) && d->connections.probe;
}

bool probe_under_way(const struct device *d)
{
    return d->connections.probe && connection_owes(&d->connections.probe->state);
}

void probe_set_why(struct device *d, const char *why)
{
    free(d->connections.probing.why);
    d->connections.probing.why = why && why[0] ? strdup(why) : NULL;
}

static int result_of(const struct device *d, unsigned verdict)
{
    if (verdict & CONNECTION_TELL_ACCEPTED)
        return 0;
    if (verdict & CONNECTION_TELL_REFUSED)
        return -EACCES;
    if (verdict & CONNECTION_TELL_UNREACHABLE)
        return -EHOSTUNREACH;
    if (verdict & CONNECTION_TELL_CANCELLED)
        return -ECANCELED;
    return d->connections.probing.local < 0 ? d->connections.probing.local : -EIO;
}

void probe_ended(struct device *d, unsigned verdict)
{
    void (*done)(struct device * d, int r) = d->connections.probing.done;

    d->connections.probing.done = NULL;
    d->connections.probing.pausing = sd_event_source_disable_unref(d->connections.probing.pausing);
    if (!(verdict & CONNECTION_TELL_ACCEPTED) && is_exclusive(d))
        session_start(d);
    if (verdict && done)
        done(d, result_of(d, verdict));
}

static int begin(struct device *d)
{
    struct connection *c = d->connections.probe;
    const struct vault_entry *entry = device_entry(d);

    if (!entry)
        return -ESHUTDOWN;
    connection_event(c, CONNECTION_EV_START);
    return uplink_session_once(c->session, d->config->id, entry, d->connections.probing.slot);
}

static int on_paused(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct device *d = userdata;
    int r;

    d->connections.probing.pausing = sd_event_source_disable_unref(d->connections.probing.pausing);
    session_stop(d, UPLINK_BYE);
    r = begin(d);
    if (r < 0 && d->connections.probe) {
        d->connections.probing.local = r;
        connection_event(d->connections.probe, CONNECTION_EV_LOCAL_FAILED);
    }
    return 0;
}

/* In the next loop turn, when nothing is under way any more; otherwise after a while in any case. */
static int pause_session(struct device *d)
{
    uint64_t wait = d->delivery.request ? PROBE_PAUSE : 0;

    connection_event(d->connections.probe, CONNECTION_EV_WAIT);
    return timer_arm(d->fleet->event, &d->connections.probing.pausing, clock_boottime() + wait, 1, on_paused, d);
}

void probe_delivery_ended(struct device *d)
{
    if (d->connections.probing.pausing)
        timer_rearm(d->connections.probing.pausing, clock_boottime());
}

int probe_start(struct device *d, enum vault_slot slot, void (*done)(struct device *d, int r))
{
    int r;

    probe_drop(d);
    if (!device_entry(d) || !d->config->enabled || d->disconnected || d->fleet->stopping)
        return -ESHUTDOWN;
    probe_set_why(d, NULL);
    d->connections.probing.slot = slot;
    d->connections.probing.done = done;
    r = connection_new(d, CONNECTION_PROBE, &d->connections.probe);
    if (r >= 0)
        r = is_exclusive(d) ? pause_session(d) : begin(d);
    if (r < 0)
        probe_drop(d);
    return r;
}

void probe_abort(struct device *d)
{
    if (d->connections.probe)
        connection_event(d->connections.probe, CONNECTION_EV_ABORT);
}

void probe_drop(struct device *d)
{
    if (d->connections.probe)
        connection_event(d->connections.probe, CONNECTION_EV_DROP);
    d->connections.probing.done = NULL;
}
