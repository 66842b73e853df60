/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device/facts.h"

#include "base/clock.h"
#include "device/connection-table.h"
#include "device/internal.h"
#include "rotation/carrier.h"
#include "uplink/session.h"

#include <string.h>

bool drivers_connected(const struct device *d)
{
    const struct link_driver *driver = link_host_find_driver(d->fleet->link, d->config->driver);

    return driver && link_driver_connected(driver);
}

void fleet_stamp_now(struct fleet *f, struct stamp *ret)
{
    *ret = (struct stamp){.boottime = clock_boottime(), .realtime = clock_synchronized() ? clock_realtime() : 0};
    memcpy(ret->boot, f->clock.boot_id, sizeof(ret->boot));
}

bool quiesce_holds(const struct fleet *f)
{
    return f->tasks.quiesce != NULL;
}

/* ── Its main connection ── */

struct uplink_session *device_session(const struct device *d)
{
    return d->connections.main ? d->connections.main->session : NULL;
}

enum connection_phase device_phase(const struct device *d)
{
    return d->connections.main ? d->connections.main->state.phase : CONNECTION_CLOSED;
}

bool device_online(const struct device *d)
{
    return d->connections.main && connection_online(&d->connections.main->state);
}

enum uplink_state device_session_state(const struct device *d)
{
    enum uplink_state state;

    if (device_online(d))
        return UPLINK_STATE_ONLINE;
    if (device_phase(d) == CONNECTION_CLOSED)
        return UPLINK_STATE_STOPPED;
    state = uplink_session_state(d->connections.main->session);
    return state == UPLINK_STATE_ONLINE || state == UPLINK_STATE_STOPPED ? UPLINK_STATE_CONNECTING : state;
}

const char *device_session_reason(const struct device *d)
{
    const char *reason = d->connections.main ? uplink_session_reason(d->connections.main->session) : "";

    return reason[0] ? reason : NULL;
}

bool session_awaits_proof(const struct device *d)
{
    return d->connections.main && connection_blocked(&d->connections.main->state);
}

bool session_proving(const struct device *d)
{
    return d->connections.main && d->connections.main->proof;
}

bool session_leaving(const struct device *d)
{
    return d->connections.leaving;
}

/* ── Its rotation ── */

void rotate_event(struct device *d, enum rotation_event_type type)
{
    if (d->keys.rotation)
        rotation_carrier_event(d->keys.rotation, &(struct rotation_event){.type = type});
}

bool rotate_fallen(const struct device *d)
{
    return d->keys.rotation && rotation_carrier_machine(d->keys.rotation)->d.fallen;
}

bool rotate_under_way(const struct device *d)
{
    enum rotation_state state = d->keys.rotation ? rotation_carrier_machine(d->keys.rotation)->d.state : ROTATION_IDLE;

    return state == ROTATION_STAGED || (state == ROTATION_OFFERED && !rotate_fallen(d)) || state == ROTATION_PROBING;
}

bool rotate_heard(const struct device *d)
{
    return device_online(d) || d->uplink->registrar->traits.out_of_band;
}

bool restored_waits(const struct device *d)
{
    const struct vault_entry *entry = device_entry(d);

    return entry && vault_restored(entry);
}

/* ── Its first registration ── */

enum vault_registration registration_state(const struct device *d)
{
    const struct vault_entry *entry = device_entry(d);

    return entry ? vault_registration(entry) : VAULT_REGISTERED;
}

bool registration_possible(const struct shared_uplink *u)
{
    return u->registrar->traits.out_of_band && !u->registrar->traits.manual;
}

bool registration_pending(const struct device *d)
{
    return registration_possible(d->uplink) && registration_state(d) != VAULT_REGISTERED;
}

bool registration_conflict(const struct device *d)
{
    return registration_pending(d) && registration_state(d) == VAULT_REGISTRATION_CONFLICT;
}

bool registration_unknown(const struct device *d)
{
    return registration_pending(d) && (registration_state(d) == VAULT_REGISTRATION_WAITING ||
                                       (d->keys.registration.unoffered && !d->keys.registration.call));
}

const char *registration_reason(const struct device *d)
{
    if (d->keys.registration.reason)
        return d->keys.registration.reason;
    return registration_conflict(d)
               ? "the cloud did not take its key when it was first registered: `gatehousectl connect` "
                 "tries again, `key forget` and `provision` give it another"
               : "its key waits to be registered at the cloud";
}
