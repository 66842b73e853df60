/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Devices whose record in the vault does not open. A damaged device has no session and no rotation until an operator
 * has put a key in its place, or removed it. Loop thread. */

#include "base/error.h"
#include "vault/vault.h"

#include <stdbool.h>
#include <stddef.h>

struct device;

/* The device stops: its main key, or all that the vault has of it, does not open, or contradicts itself. */
bool device_damaged(const struct device *d);
/* The damage, and the ways out; of an entry in quarantine, or a device that is damaged. */
const char *damage_words(const struct device *d, const struct vault_entry *entry, char *buffer, size_t size);
/* Once, to the journal; nothing if all is well. */
void damage_tell(const struct device *d);
/* Of a damaged device: -EBUSY with the way out unless main is set by force. */
int damage_refuses(const struct device *d, enum vault_slot slot, bool force, struct error *e);
/* Nothing that stands in the vault beside the counters can be relied upon. */
bool damage_lost_all(const struct device *d, const struct vault_entry *entry);
/* Into the journal: the cloud accepts that key still, and what would be deleted there cannot be named with a key that
 * is lost. */
void damage_tell_left(const struct vault_entry *entry, enum vault_slot slot);
/* Whether only backup is, which an operator may forget by force. */
bool damage_of_backup(const struct device *d);
/* No new key before that is put right: there is no main, or the old one could not be deleted at the cloud. */
bool damage_stops_rotation(const struct device *d);
/* Commits the key of the act in place of what is damaged, or forgets it, and begins the device anew, which ends the
 * act; less than 0: not begun. */
int damage_mend(struct device *d, struct error *e);
/* Whether the cloud can be asked to delete its credentials although they do not open. */
bool damage_deletable(const struct device *d);
/* Forgets what is damaged and says what is left at the cloud. `done` (may be NULL) once that is durable. */
int damage_forget(struct vault *vault, const struct vault_entry *entry, vault_done_fn *done, void *userdata);
