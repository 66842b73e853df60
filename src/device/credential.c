/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The operator's acts on keys. Each is an event of the device's rotation, which knows whether it is safe,
 * commits it, and replies. One at a time. */
#include "base/log.h"
#include "device/act.h"
#include "device/connection-table.h"
#include "device/connection.h"
#include "device/damage.h"
#include "device/device.h"
#include "device/facts.h"
#include "device/idle.h"
#include "device/internal.h"
#include "device/notify.h"
#include "device/registration.h"
#include "uplink/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void on_key(int r, struct secret *key, const struct error *e, void *userdata)
{
    struct device *d = userdata;
    struct error error = {0};

    d->keys.act->reading = NULL;
    if (r < 0) {
        act_end(d, r, e);
        return;
    }
    d->keys.act->key = key;
    if (!d->keys.act->mends) {
        act_submit(d, d->keys.act->force);
        return;
    }
    r = damage_mend(d, &error);
    if (r < 0)
        act_end(d, r, &error);
}

int device_set_credential(struct device *d, enum vault_slot slot, const char *identity, int fd,
                          enum vault_encoding encoding, bool force, device_done done, void *userdata, struct error *e)
{
    bool damaged = device_damaged(d);
    int r = damaged ? damage_refuses(d, slot, force, e) : 0;

    if (r >= 0)
        r = act_begin(d, slot == VAULT_MAIN ? ROTATION_EV_SET_MAIN : ROTATION_EV_SET_BACKUP, done, userdata, e);
    if (r < 0)
        return r;
    d->keys.act->force = force;
    d->keys.act->mends = damaged;
    d->keys.act->identity = strdup(identity);
    r = d->keys.act->identity
            ? vault_key_read(d->fleet->arena, d->fleet->event, fd, encoding, on_key, d, &d->keys.act->reading, e)
            : -ENOMEM;
    if (r < 0)
        act_drop(d);
    return r;
}

int device_export_credential(struct device *d, enum vault_slot slot, device_exported done, void *userdata,
                             struct error *e)
{
    const struct vault_entry *entry = device_entry(d);
    int r;

    if (!entry || !vault_credential(entry, slot)->present)
        return error_set(e, -ENOKEY, "%s has no %s key", d->config->id, vault_slot_to_string(slot));
    r = act_begin(d, ROTATION_EV_EXPORT, NULL, userdata, e);
    if (r < 0)
        return r;
    d->keys.act->exported = done;
    d->keys.act->slot = slot;
    if (slot == VAULT_MAIN)
        act_end(d, 0, NULL);
    else
        act_submit(d, false);
    return 0;
}

int device_promote(struct device *d, device_done done, void *userdata, struct error *e)
{
    int r;

    if (!d->config->enabled || d->disconnected)
        return error_set(e, -EBUSY, "%s is disabled: connect it first", d->config->id);
    r = act_begin(d, ROTATION_EV_PROMOTE, done, userdata, e);
    if (r >= 0)
        act_submit(d, false);
    return r;
}

int device_forget_credential(struct device *d, enum vault_slot slot, bool force, device_done done, void *userdata,
                             struct error *e)
{
    int r = act_begin(d, slot == VAULT_MAIN ? ROTATION_EV_FORGET_MAIN : ROTATION_EV_FORGET_BACKUP, done, userdata, e);

    if (r < 0)
        return r;
    if (slot == VAULT_MAIN || !force || !damage_of_backup(d)) {
        act_submit(d, force);
        return 0;
    }
    r = damage_mend(d, e);
    if (r < 0)
        act_drop(d);
    return r;
}

void device_connect(struct device *d)
{
    bool was = d->disconnected;

    d->disconnected = false;
    idle_touch(d);
    if (was && device_phase(d) == CONNECTION_CLOSED)
        session_start(d);
    else if (device_session(d) && device_phase(d) != CONNECTION_CLOSED)
        uplink_session_hurry(device_session(d));
    rotate_event(d, ROTATION_EV_CONNECT);
    registration_retry(d);
    device_changed(d);
}

void device_disconnect(struct device *d)
{
    d->disconnected = true;
    probe_abort(d);
    session_stop(d, UPLINK_BYE_FOR_GOOD);
    device_changed(d);
}
