/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A device whose record in the vault does not open, or whose rotation contradicts its keys, stops; the others run. Two
 * ways lead out: an operator puts a key in its place by force, or removes the device. Neither needs what is damaged. */
#include "device/damage.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/messages.h"
#include "device/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Nothing that stands there beside the counters can be relied upon. */
static bool all_lost(const struct device *d, const struct vault_entry *entry)
{
    return vault_state_lost(entry) || !d->rotation;
}

bool device_damaged(const struct device *d)
{
    const struct vault_entry *entry = device_entry(d);

    return entry && (all_lost(d, entry) || vault_credential(entry, VAULT_MAIN)->quarantined);
}

bool damage_of_backup(const struct device *d)
{
    const struct vault_entry *entry = device_entry(d);

    return entry && !device_damaged(d) && vault_credential(entry, VAULT_BACKUP)->quarantined;
}

bool damage_stops_rotation(const struct device *d)
{
    return device_damaged(d) || (damage_of_backup(d) && !vault_credential(device_entry(d), VAULT_BACKUP)->cloud_id[0]);
}

const char *damage_words(const struct device *d, const struct vault_entry *entry, char *buffer, size_t size)
{
    const char *id = d->config->id, *why = vault_quarantine(entry);

    if (!device_damaged(d))
        snprintf(buffer, size,
                 "%s; it cannot become main, nor be "
                 "deleted at the cloud from here: `gatehousectl key forget %s backup --force` forgets it",
                 why, id);
    else
        snprintf(buffer, size,
                 "%s; `gatehousectl key set %s IDENTITY --force` puts a key in its place, the same or another, or "
                 "`gatehousectl device remove %s` removes the device",
                 why ?: (d->rotation_problem ?: "its state in the vault is damaged"), id, id);
    return buffer;
}

void damage_tell(const struct device *d)
{
    const struct vault_entry *entry = device_entry(d);
    char words[ERROR_TEXT_MAX];

    if (!entry || (!vault_quarantine(entry) && !device_damaged(d)))
        return;
    log_audit(LOG_ERR, MESSAGE_DAMAGED, d->config->id, NOBODY, "%s%s",
              device_damaged(d) ? "damaged in the vault: " : "", damage_words(d, entry, words, sizeof(words)));
}

int damage_refuses(const struct device *d, enum vault_slot slot, bool force, struct error *e)
{
    char words[ERROR_TEXT_MAX];

    if (slot == VAULT_MAIN && force)
        return 0;
    return error_set(e, -EBUSY, "%s is damaged in the vault: %s", d->config->id,
                     damage_words(d, device_entry(d), words, sizeof(words)));
}

/* The cloud accepts it still, and what would be deleted there cannot be named with a key that is lost. */
static void tell_left(const struct vault_entry *entry, enum vault_slot slot)
{
    const struct vault_credential *c = vault_credential(entry, slot);

    if (c->present)
        log_warning(vault_entry_device(entry), "left at the cloud, to be deleted there by hand: identity %s%s%s",
                    c->identity[0] ? c->identity : "(unknown)", c->cloud_id[0] ? ", id " : "", c->cloud_id);
}

/* ── A key in its place ── */

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

    if (d->act->type == ROTATION_EV_FORGET_BACKUP) {
        tell_left(device_entry(d), VAULT_BACKUP);
        r = vault_change_forget(change, VAULT_BACKUP);
        return r < 0 ? r : change_rotation(d, change, backup_is_gone);
    }

    if (all_lost(d, device_entry(d)))
        r = vault_change_reset(change);
    if (r >= 0)
        r = vault_change_put(change, VAULT_MAIN, d->act->identity, VAULT_PSK, d->act->key, flags | VAULT_FORCE_WEAK, e);
    if (r >= 0 && !all_lost(d, device_entry(d)))
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
    const device_done done = d->act->done;
    void *done_userdata = d->act->userdata;

    d->mending = NULL;
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
    d->mending = change;
    r = vault_commit(d->fleet->vault, TAKE_PTR(change), on_mended, d);
    if (r < 0)
        d->mending = NULL;
    return r;
}

/* ── Removed ── */

bool damage_deletable(const struct device *d)
{
    const struct vault_entry *entry = device_entry(d);

    return d->rotation && entry && !all_lost(d, entry) && !vault_credential(entry, VAULT_BACKUP)->present &&
           registration_possible(d->uplink) && vault_credential(entry, VAULT_MAIN)->cloud_id[0];
}

int damage_forget(struct vault *vault, const struct vault_entry *entry, vault_done_fn *done, void *userdata)
{
    struct vault_change *change = vault_change_new(vault, vault_entry_device(entry), vault_entry_uplink(entry));

    if (!change)
        return -ENOMEM;
    tell_left(entry, VAULT_MAIN);
    tell_left(entry, VAULT_BACKUP);
    vault_change_remove(change);
    return vault_commit(vault, change, done, userdata);
}
