/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device/device.h"

#include "base/arm.h"
#include "base/clock.h"
#include "device/calendar.h"
#include "device/connected.h"
#include "device/connection-table.h"
#include "device/connection.h"
#include "device/damage.h"
#include "device/delivery.h"
#include "device/facts.h"
#include "device/idle.h"
#include "device/internal.h"
#include "device/last-error.h"
#include "device/lifetime.h"
#include "device/login.h"
#include "device/registration.h"
#include "device/rotate-words.h"
#include "device/rotate.h"
#include "device/send-gate.h"
#include "device/sensor-key.h"
#include "device/turns.h"
#include "device/uplinks.h"
#include "rotation/carrier.h"
#include "spool/spool.h"
#include "uplink/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int device_new(struct fleet *f, struct config_device *config, struct device **ret, struct error *e)
{
    _cleanup_(device_freep) struct device *d = calloc(1, sizeof(*d));
    int r;

    if (!d)
        return -ENOMEM;
    *d = (struct device){.fleet = f,
                         .config = config_device_ref(config),
                         .connections = {.ops = &device_connection_ops},
                         .sensor = {.reported = SENSOR_UNKNOWN}};
    d->keys.schedule.userdata = d;
    d->queue = spool_device(f->spool, config->id);
    if (!d->queue)
        return -ENOMEM;
    r = vault_opaque_id(f->vault, config->id, d->opaque);
    if (r >= 0)
        r = shared_uplink_get(f, config->uplink, &d->uplink, e);
    if (r >= 0)
        r = rotate_init(d, e);
    if (r < 0)
        return error_prefix(e, r, "device %s", config->id);
    *ret = TAKE_PTR(d);
    return 0;
}

void device_start(struct device *d)
{
    if (!d->tombstone)
        damage_tell(d);
    if (d->keys.rotation)
        rotation_carrier_start(d->keys.rotation);
    if (rotate_under_way(d) && !d->uplink->registrar->traits.manual)
        turn_take(d, true);
    rotate_schedule(d, true);
    session_start(d);
    registration_start(d);
    sensor_key_due(d);
}

/* ── What is shown ── */

const char *device_id(const struct device *d)
{
    return d->config->id;
}

const char *device_driver(const struct device *d)
{
    return d->config->driver;
}

const char *device_uplink(const struct device *d)
{
    return d->config->uplink;
}

static enum device_state session_device_state(enum uplink_state state)
{
    switch (state) {
    case UPLINK_STATE_ONLINE:
        return DEVICE_ONLINE;
    case UPLINK_STATE_STOPPED:
    case UPLINK_STATE_CONNECTING:
        return DEVICE_CONNECTING;
    case UPLINK_STATE_BACKING_OFF:
        return DEVICE_BACKING_OFF;
    case UPLINK_STATE_UNREACHABLE:
        return DEVICE_UNREACHABLE;
    case UPLINK_STATE_REFUSED:
        return DEVICE_REFUSED;
    }
    return DEVICE_CONNECTING;
}

static bool usable(const struct vault_entry *entry, enum vault_slot slot)
{
    const struct vault_credential *c = entry ? vault_credential(entry, slot) : NULL;

    return c && c->present && !c->quarantined;
}

enum device_state device_state(const struct device *d)
{
    if (!d->config->enabled)
        return DEVICE_DISABLED;
    if (device_damaged(d))
        return DEVICE_DAMAGED;
    if (d->disconnected)
        return DEVICE_DISABLED;
    if (!usable(device_entry(d), VAULT_MAIN))
        return DEVICE_NO_CREDENTIAL;
    if (d->keys.report == ROTATION_REPORT_CONFLICT || registration_conflict(d))
        return DEVICE_CONFLICT;
    if (restored_waits(d))
        return DEVICE_RESTORED;
    if (registration_pending(d))
        return DEVICE_UNREGISTERED;
    if (d->keys.report == ROTATION_REPORT_REFUSED || device_session_state(d) == UPLINK_STATE_REFUSED)
        return DEVICE_REFUSED;
    if (!drivers_connected(d))
        return DEVICE_NO_DRIVER;
    if (device_phase(d) == CONNECTION_CLOSED && !idle_wants(d))
        return DEVICE_IDLE;
    return session_device_state(device_session_state(d));
}

/* The session's own, or a new connection in which a refused key is to be proved. */
static uint64_t next_try(const struct device *d, const struct uplink_info *info)
{
    uint64_t at = MIN_OF(info->retry_at > 0 ? info->retry_at : USEC_INFINITY, timer_armed(d->connections.renew));

    return at != USEC_INFINITY ? at + (clock_realtime() - clock_boottime()) : 0;
}

/* Its name and the address behind it: "b.example.com:8883 (192.0.2.1:8883)". */
static const char *server_words(const struct uplink_info *info, char *text, size_t size)
{
    bool same = strcmp(info->server, info->address) == 0;

    snprintf(text, size, "%s%s%s%s%s", info->server, same ? "" : " (", same ? "" : info->address, same ? "" : ")",
             info->referred ? ", as a broker said" : "");
    return text;
}

void device_status(const struct device *d, struct device_status *ret)
{
    const struct vault_entry *entry = device_entry(d);
    const struct vault_credential *main = entry ? vault_credential(entry, VAULT_MAIN) : NULL;
    const struct vault_credential *backup = entry ? vault_credential(entry, VAULT_BACKUP) : NULL;
    static struct uplink_info info; /* `suite` is read within this loop turn, as is the next */
    static char why[ERROR_TEXT_MAX], limits[ERROR_TEXT_MAX], server[ERROR_TEXT_MAX];
    struct spool_counts counts;

    info = (struct uplink_info){0};
    if (device_session(d))
        uplink_session_info(device_session(d), &info);
    spool_device_counts(d->queue, &counts);
    *ret = (struct device_status){
        .id = d->config->id,
        .driver = d->config->driver,
        .uplink = d->config->uplink,
        .file = d->config->file,
        .address = d->config->address,
        .next_try = next_try(d, &info),
        .state = device_state(d),
        .sensor.state = d->sensor.shown,
        .sensor.reason = device_sensor_reason(d, why, sizeof(why)),
        .keys.main_identity = main && main->present ? main->identity : "",
        .keys.main_fingerprint = main && main->present ? main->fingerprint : "",
        .keys.main_since = main && main->present ? main->since : 0,
        .keys.backup_identity = backup && backup->present ? backup->identity : "",
        .keys.backup_fingerprint = backup && backup->present ? backup->fingerprint : "",
        .keys.bind_fingerprint = sensor_key_fingerprint(d),
        .keys.login_fingerprint = login_fingerprint(d),
        .rotation.state = d->keys.rotation ? rotation_carrier_state(d->keys.rotation) : "idle",
        .rotation.reason = "",
        .rotation.next = 0,
        .last_authenticated = main && main->present ? main->last_authenticated : 0,
        .session.server = info.established ? server_words(&info, server, sizeof(server)) : "",
        .session.suite = info.established ? info.suite : "",
        .session.group = info.established ? info.group : "",
        .session.forward_secrecy = info.established && info.forward_secrecy,
        .trouble.kind = info.trouble,
        .trouble.host = info.trouble_host ?: "",
        .trouble.words =
            info.trouble != UPLINK_TROUBLE_NONE && device_session_reason(d) ? device_session_reason(d) : "",
        .last_error = device_last_error(d, entry),
        .messages_refused = device_online(d) && d->connections.answer,
        .limits = delivery_limits(d, limits, sizeof(limits)),
        .sending = send_answer_name(delivery_sends(d)),
        .samples.delivered = counts.accepted,
        .samples.spooled = counts.queued,
        .samples.dropped = counts.dropped,
        .samples.rejected = counts.rejected,
    };
    ret->rotation.reason = rotate_waits(d, &ret->rotation.until);
    if (d->connections.last_authenticated)
        ret->last_authenticated = d->connections.last_authenticated;
    if (d->keys.schedule.due != USEC_INFINITY && d->keys.schedule.due > 0)
        ret->rotation.next = calendar_shown(d->fleet, d->keys.schedule.due);
}
