/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Consequences of the events of a device's main connection: for its deliveries, its keys, and all that is shown. */
#include "device/connected.h"

#include "base/log.h"
#include "device/announce.h"
#include "device/batch.h"
#include "device/connection-table.h"
#include "device/connection.h"
#include "device/delivery.h"
#include "device/downlink.h"
#include "device/facts.h"
#include "device/idle.h"
#include "device/internal.h"
#include "device/notify.h"
#include "device/online.h"
#include "device/outage.h"
#include "device/registration.h"
#include "device/restored.h"
#include "spool/spool.h"
#include "uplink/session.h"

static bool wanted(const struct device *d)
{
    const struct vault_entry *entry = device_entry(d);
    const struct vault_credential *main = entry ? vault_credential(entry, VAULT_MAIN) : NULL;

    return d->config->enabled && !d->disconnected && !d->fleet->stopping && d->keys.rotation && main && main->present &&
           !main->quarantined && idle_wants(d) &&
           (d->tombstone || !registration_pending(d)); /* that the cloud refuses it is what a removal waits for */
}

static void on_state(struct device *d, enum uplink_state state, const char *reason)
{
    session_count(d);
    outage_look(d);
    if (state == UPLINK_STATE_BACKING_OFF)
        standstill_why(d, reason);
    else if (state != UPLINK_STATE_ONLINE && state != UPLINK_STATE_CONNECTING)
        standstill_over(d, false);
    if (d->queue)
        spool_line(d->queue, state == UPLINK_STATE_ONLINE);
}

static void on_online(struct device *d)
{
    idle_touch(d);
    announce_begin(d);
    downlink_online(d);
    delivery_kick(d);
    batch_online(d);
}

static void on_ended(struct device *d)
{
    downlink_stopped(d);
    delivery_stopped(d);
}

/* A proof of the old key says nothing about the new one; and commands arrive over the new session. */
static void on_moved(struct device *d)
{
    delivery_moved(d);
    announce_end(d);
    availability_end(d);
    downlink_leave(d);
}

static void on_verdict(struct device *d, enum connection_action verdict)
{
    if (verdict == CONNECTION_TELL_ACCEPTED) {
        restored_accepted(d);
        rotate_event(d, ROTATION_EV_MAIN_ACCEPTED);
    } else if (verdict == CONNECTION_TELL_REFUSED) {
        rotate_event(d, ROTATION_EV_MAIN_REFUSED);
    } else if (verdict == CONNECTION_TELL_UNREACHABLE) {
        rotate_event(d, ROTATION_EV_MAIN_UNREACHABLE);
    }
}

const struct connection_ops device_connection_ops = {
    .wanted = wanted,
    .unwanted = registration_start,
    .state = on_state,
    .greet = on_online,
    .kick = delivery_kick,
    .ended = on_ended,
    .moved = on_moved,
    .accepted = availability_kick,
    .verdict = on_verdict,
    .changed = device_changed,
};
