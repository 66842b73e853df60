/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A key in the place of what is damaged. */
#include "device/act.h"
#include "device/damage.h"
#include "device/facts.h"
#include "device/internal.h"
#include "device/membership.h"
#include "device/notify.h"

#include <errno.h>

/* Everything else that the rotation knew still holds. */
static int change_rotation(struct device *d, struct vault_change *change,
                           void (*edit)(struct device *d, struct rotation_durable *durable))
{
    struct rotation_durable durable;
    uint8_t blob[ROTATION_BLOB_MAX];
    size_t n = 0;
    const void *before = vault_rotation(device_entry(d), &n);
    ssize_t size;

    if (!before)
        return 0;
    if (rotation_decode(before, n, &durable) < 0)
        return vault_change_rotation(change, NULL, 0);
    edit(d, &durable);
    size = rotation_encode(&durable, blob, sizeof(blob));
    return size < 0 ? (int)size : vault_change_rotation(change, blob, (size_t)size);
}

static void main_is_new(struct device *d, struct rotation_durable *durable)
{
    durable->main_id = durable->conflict = false;
    fleet_stamp_now(d->fleet, &durable->main_since);
}

static void backup_is_gone(struct device *d, struct rotation_durable *durable)
{
    durable->state = ROTATION_IDLE;
    durable->has_backup = durable->backup_id = false;
    durable->retire_now = durable->give_up = durable->unsettled = false;
    fleet_stamp_now(d->fleet, &durable->entered);
}

static int describe(struct device *d, struct vault_change *change, struct error *e)
{
    unsigned flags = d->uplink->settings->registrar.replaces ? VAULT_SHARES_IDENTITY : 0;
    int r = 0;

    if (d->keys.act->type == ROTATION_EV_FORGET_BACKUP) {
        damage_tell_left(device_entry(d), VAULT_BACKUP);
        r = vault_change_forget(change, VAULT_BACKUP);
        return r < 0 ? r : change_rotation(d, change, backup_is_gone);
    }

    if (damage_lost_all(d, device_entry(d)))
        r = vault_change_reset(change);
    if (r >= 0)
        r = vault_change_put(change, VAULT_MAIN, d->keys.act->identity, VAULT_PSK, d->keys.act->key,
                             flags | VAULT_FORCE_WEAK, e);
    if (r >= 0 && !damage_lost_all(d, device_entry(d)))
        r = change_rotation(d, change, main_is_new);
    return r;
}

/* The device begins anew with what the vault has now; its samples stay. */
static int begin_anew(struct device *d, struct error *e)
{
    _cleanup_(config_device_unrefp) struct config_device *config = config_device_ref(d->config);
    struct fleet *f = d->fleet;
    int r;

    fleet_drop(f, d, false);
    r = fleet_start_device(f, config, e);
    if (r >= 0)
        fleet_changed(f);
    return r;
}

static void on_mended(int r, const struct error *e, void *userdata)
{
    struct device *d = userdata;
    struct error error = e ? *e : (struct error){0};
    const device_done done = d->keys.act->done;
    void *done_userdata = d->keys.act->userdata;

    d->keys.mending = NULL;
    act_drop(d);
    if (r >= 0)
        r = begin_anew(d, &error);
    done(r, &error, done_userdata);
}

int damage_mend(struct device *d, struct error *e)
{
    _cleanup_(vault_change_freep) struct vault_change *change =
        vault_change_new(d->fleet->vault, d->config->id, d->config->uplink);
    int r = change ? describe(d, change, e) : -ENOMEM;

    if (r < 0)
        return r;
    d->keys.mending = change;
    r = vault_commit(d->fleet->vault, TAKE_PTR(change), on_mended, d);
    if (r < 0)
        d->keys.mending = NULL;
    return r;
}
