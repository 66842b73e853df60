/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A device whose record in the vault does not open, or whose rotation contradicts its keys, stops; the others run. Two
 * ways lead out: an operator puts a key in its place by force, or removes the device. Neither needs what is damaged. */
#include "device/damage.h"

#include "base/log.h"
#include "base/messages.h"
#include "device/facts.h"
#include "device/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool damage_lost_all(const struct device *d, const struct vault_entry *entry)
{
    return vault_state_lost(entry) || !d->keys.rotation;
}

bool device_damaged(const struct device *d)
{
    const struct vault_entry *entry = device_entry(d);

    return entry && (damage_lost_all(d, entry) || vault_credential(entry, VAULT_MAIN)->quarantined);
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
                 why ?: (d->keys.problem ?: "its state in the vault is damaged"), id, id);
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

void damage_tell_left(const struct vault_entry *entry, enum vault_slot slot)
{
    const struct vault_credential *c = vault_credential(entry, slot);

    if (c->present)
        log_warning(vault_entry_device(entry), "left at the cloud, to be deleted there by hand: identity %s%s%s",
                    c->identity[0] ? c->identity : "(unknown)", c->cloud_id[0] ? ", id " : "", c->cloud_id);
}

/* ── Removed ── */

bool damage_deletable(const struct device *d)
{
    const struct vault_entry *entry = device_entry(d);

    return d->keys.rotation && entry && !damage_lost_all(d, entry) && !vault_credential(entry, VAULT_BACKUP)->present &&
           registration_possible(d->uplink) && vault_credential(entry, VAULT_MAIN)->cloud_id[0];
}

int damage_forget(struct vault *vault, const struct vault_entry *entry, vault_done_fn *done, void *userdata)
{
    struct vault_change *change = vault_change_new(vault, vault_entry_device(entry), vault_entry_uplink(entry));

    if (!change)
        return -ENOMEM;
    damage_tell_left(entry, VAULT_MAIN);
    damage_tell_left(entry, VAULT_BACKUP);
    vault_change_remove(change);
    return vault_commit(vault, change, done, userdata);
}
