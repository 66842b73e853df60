/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Changes: a list of steps, checked as far as can be when each is added. */
#include "base/id.h"
#include "base/text.h"
#include "vault/internal.h"
#include "vault/weak.h"

#include <string.h>

struct vault_change *vault_change_new(struct vault *vault, const char *device, const char *uplink)
{
    struct vault_change *c = calloc(1, sizeof(*c));
    int r;

    if (!c)
        return NULL;
    c->vault = vault;
    c->last = &c->first;
    if (!entry_names_valid(device, uplink)) {
        c->failed = error_set(&c->error, -EINVAL, "not a device and uplink name: " ID_RULE);
        return c;
    }
    r = entry_get(vault, device, uplink, &c->entry);
    if (r < 0) {
        free(c);
        return NULL;
    }
    return c;
}

struct vault_change *vault_change_free(struct vault_change *c)
{
    if (!c)
        return NULL;
    change_unprepare(c);
    for (struct step *step = c->first, *next; step; step = next) {
        struct key_row *row = step->key_reserved ? key_row_find(c->vault, step->digest) : NULL;

        next = step->next;
        if (row && !row->committed)
            key_row_remove(c->vault, row);
        identity_unref(c->vault, step->identity);
        free(step);
    }
    free(c);
    return NULL;
}

static int fail(struct vault_change *c, int r)
{
    if (c->failed == 0)
        c->failed =
            error_errno(&c->error, r, "cannot change the credentials of %s", c->entry ? c->entry->device : "a device");
    return r;
}

static int add_step(struct vault_change *c, enum step_type type, enum vault_slot slot, const void *data, size_t n,
                    struct step **ret)
{
    struct step *step;

    if (c->failed < 0)
        return c->failed;
    step = calloc(1, sizeof(*step) + n);
    if (!step)
        return fail(c, -ENOMEM);
    step->type = type;
    step->slot = slot;
    step->size = n;
    if (n > 0)
        memcpy(step->data, data, n);
    *c->last = step;
    c->last = &step->next;
    if (ret)
        *ret = step;
    return 0;
}

static int check_form(const char *identity, enum vault_kind kind, const struct secret *key, unsigned flags,
                      struct error *e)
{
    size_t n = strlen(identity);
    const char *weak;

    if (n == 0 || n > IDENTITY_MAX)
        return error_set(e, -EINVAL, "an identity has 1 to %d bytes, this has %zu", IDENTITY_MAX, n);
    if (!text_printable(identity, n))
        return error_set(e, -EINVAL, "an identity is UTF-8 without control characters");
    if (kind == VAULT_LOGIN)
        return key->size >= 1 && key->size <= DEVICE_LOGIN_MAX ? 0 : error_set(e, -EINVAL, "not a login");
    if (key->size < KEY_MIN || key->size > KEY_MAX)
        return error_set(e, -EINVAL, "a key has %d to %d bytes, this has %zu", KEY_MIN, KEY_MAX, key->size);
    weak = flags & VAULT_FORCE_WEAK || kind == VAULT_BIND ? NULL : weak_key(key->bytes, key->size);
    if (weak)
        return error_set(e, -EKEYREJECTED, "the key is weak: %s (force it if it must be)", weak);
    return 0;
}

/* After a reset, which slot was main is not known. */
static bool holds_key(const struct vault_change *c, enum vault_slot slot, const uint8_t *digest)
{
    if (change_resets(c))
        return change_held_slot(c->entry, digest) >= 0;
    return change_held_slot(c->entry, digest) == (int)entry_physical(c->entry, slot);
}

static int check_key(const struct vault_change *c, enum vault_slot slot, const uint8_t *digest, bool *ret_reserve,
                     struct error *e)
{
    const struct key_row *row = key_row_find(c->vault, digest);

    *ret_reserve = !row;
    if (!row || (row->committed && holds_key(c, slot, digest)))
        return 0;
    if (names_shared_keys(row->device) && entry_shares_keys(c->entry))
        return 0;
    if (strcmp(row->device, VAULT_OF_LOGIN) == 0)
        return error_set(e, -EEXIST, "this very key is or was a login: a cloud needs another one");
    if (strcmp(row->device, VAULT_OF_SENSOR) == 0)
        return error_set(e, -EEXIST,
                         "this very key is or was a sensor's bind key, which its driver knows: a cloud needs another "
                         "one");
    if (strcmp(c->entry->uplink, VAULT_OF_LOGIN) == 0)
        return error_set(e, -EEXIST, "device %s has or had this very text as a key: a login is no key", row->device);
    if (entry_shares_keys(c->entry))
        return error_set(e, -EEXIST,
                         "device %s has or had this very key for a cloud, and no driver may know that: is it the "
                         "sensor's bind key?",
                         row->device);
    if (row->committed && slot == VAULT_BACKUP && holds_key(c, VAULT_MAIN, digest))
        return error_set(
            e, -EEXIST,
            "device %s has or had this very key, now in main with identity %s: once the cloud refuses that, "
            "`key set %s IDENTITY --force` corrects the identity",
            row->device, vault_credential(c->entry, VAULT_MAIN)->identity, row->device);
    return error_set(e, -EEXIST, "device %s has or had this very key%s: each key is for one device, and once",
                     row->device, strcmp(row->device, c->entry->device) == 0 ? ", for this or another uplink" : "");
}

/* Whether a step before this one changes what a slot holds. */
static bool slots_change(const struct vault_change *c)
{
    for (const struct step *step = c->first; step; step = step->next)
        if (step->type == STEP_PUT || step->type == STEP_SWAP || step->type == STEP_FORGET ||
            step->type == STEP_RESET || step->type == STEP_REMOVE)
            return true;
    return false;
}

static int check_identity(const struct vault_change *c, enum vault_slot slot, const char *identity, unsigned flags,
                          struct error *e)
{
    const struct identity_row *row = identity_find(c->vault, identity);
    enum vault_slot other_slot = slot == VAULT_MAIN ? VAULT_BACKUP : VAULT_MAIN;
    const struct vault_credential *other = vault_credential(c->entry, other_slot);

    if (row && strcmp(row->device, c->entry->device) != 0)
        return error_set(e, -EADDRINUSE, "device %s has the identity %s", row->device, identity);
    /* Then the other slot is not what it seems: it is looked at again on commit. */
    if (!(flags & VAULT_SHARES_IDENTITY) && !slots_change(c) && other->present && !other->quarantined &&
        strcmp(other->identity, identity) == 0)
        return error_set(
            e, -EADDRINUSE,
            other_slot == VAULT_MAIN
                ? "the %1$s slot of %2$s has the identity %3$s: `key set %2$s %3$s --force` puts another key in "
                  "its place once the cloud refuses it, `key forget %2$s %1$s --force` empties it"
                : "the %1$s slot of %2$s has the identity %3$s: `key forget %2$s %1$s` first",
            vault_slot_to_string(other_slot), c->entry->device, identity);
    return 0;
}

/* The key waits sealed, not in the arena: thousands of puts may wait for one commit. */
static int add_put(struct vault_change *c, enum vault_slot slot, const struct record_header *header,
                   const struct secret *key, const uint8_t *digest, bool reserve, unsigned flags)
{
    const struct record_place place = entry_place(c->vault, c->entry);
    uint8_t record[RECORD_MAX];
    struct step *step;
    size_t size;
    int r = record_seal(c->vault->seals.waiting_key, &place, header, key, record, &size);

    if (r >= 0)
        r = add_step(c, STEP_PUT, slot, record, size, &step);
    if (r < 0)
        return r;
    step->flags = flags;
    step->key_shared = entry_shares_keys(c->entry);
    memcpy(step->digest, digest, DIGEST_SIZE);
    if (reserve) {
        r = key_row_add(c->vault, digest, entry_key_owner(c->entry), false);
        step->key_reserved = r >= 0;
    }
    return r < 0 ? r : identity_ref(c->vault, header->identity, c->entry->device, &step->identity);
}

static bool kind_fits(const struct vault_entry *entry, enum vault_kind kind)
{
    if (strcmp(entry->uplink, VAULT_OF_SENSOR) == 0)
        return kind == VAULT_BIND;
    return (strcmp(entry->uplink, VAULT_OF_LOGIN) == 0) == (kind == VAULT_LOGIN);
}

static int put(struct vault_change *c, enum vault_slot slot, const char *identity, enum vault_kind kind,
               const struct secret *key, unsigned flags, struct error *e)
{
    struct record_header header = {.kind = kind, .slot = RECORD_SLOT_WAITING};
    uint8_t digest[DIGEST_SIZE];
    bool reserve = false;
    int r = check_form(identity, kind, key, flags, e);

    if (r >= 0) {
        r = keys_index(&c->vault->seals.keys, key, digest);
        if (r < 0)
            error_errno(e, r, "cannot look the key up");
    }
    if (r >= 0 && !kind_fits(c->entry, kind))
        r = error_set(e, -EINVAL, "%s: a key of kind %s does not belong there", c->entry->device,
                      vault_kind_to_string(kind));
    if (r >= 0)
        r = check_key(c, slot, digest, &reserve, e);
    if (r >= 0)
        r = check_identity(c, slot, identity, flags, e);
    if (r < 0)
        return r;
    memcpy(header.identity, identity, strlen(identity) + 1);
    r = add_put(c, slot, &header, key, digest, reserve, flags);
    return r < 0 ? error_errno(e, r, "cannot keep the key of %s", c->entry->device) : 0;
}

int vault_change_put(struct vault_change *c, enum vault_slot slot, const char *identity, enum vault_kind kind,
                     const struct secret *key, unsigned flags, struct error *e)
{
    struct error reason = {0};
    int r = c->failed;

    if (r >= 0)
        r = put(c, slot, identity, kind, key, flags, &reason);
    if (r < 0 && c->failed == 0) {
        c->failed = r;
        c->error = reason;
    }
    return r < 0 ? error_set(e, r, "%s", c->error.text) : 0;
}

int vault_put_check(struct vault *vault, const char *device, const char *uplink, const char *identity,
                    const struct secret *key, unsigned flags, struct error *e)
{
    _cleanup_(vault_change_freep) struct vault_change *c = vault_change_new(vault, device, uplink);

    return c ? vault_change_put(c, VAULT_MAIN, identity, VAULT_PSK, key, flags, e) : -ENOMEM;
}

int vault_change_swap(struct vault_change *c)
{
    return add_step(c, STEP_SWAP, VAULT_MAIN, NULL, 0, NULL);
}

int vault_change_forget(struct vault_change *c, enum vault_slot slot)
{
    return add_step(c, STEP_FORGET, slot, NULL, 0, NULL);
}

int vault_change_reset(struct vault_change *c)
{
    return add_step(c, STEP_RESET, VAULT_MAIN, NULL, 0, NULL);
}

int vault_change_remove(struct vault_change *c)
{
    return add_step(c, STEP_REMOVE, VAULT_MAIN, NULL, 0, NULL);
}

int vault_change_rotation(struct vault_change *c, const void *blob, size_t n)
{
    if (n > VAULT_ROTATION_MAX)
        return fail(c, -EMSGSIZE);
    return add_step(c, STEP_ROTATION, VAULT_MAIN, blob, n, NULL);
}

int vault_change_cloud_id(struct vault_change *c, enum vault_slot slot, const char *id)
{
    size_t n = strlen(id);

    if (n > CLOUD_ID_MAX || !text_printable(id, n))
        return fail(c, -EINVAL);
    return add_step(c, STEP_CLOUD_ID, slot, id, n + 1, NULL);
}

static int add_value(struct vault_change *c, enum step_type type, enum vault_slot slot, uint64_t value)
{
    struct step *step;
    int r = add_step(c, type, slot, NULL, 0, &step);

    if (r >= 0)
        step->value = value;
    return r;
}

int vault_change_counter(struct vault_change *c, uint64_t n)
{
    return add_value(c, STEP_COUNTER, VAULT_MAIN, n);
}

int vault_change_restored(struct vault_change *c, bool restored)
{
    return add_value(c, STEP_RESTORED, VAULT_MAIN, restored);
}

int vault_change_registration(struct vault_change *c, enum vault_registration registration)
{
    return add_value(c, STEP_REGISTRATION, VAULT_MAIN, registration);
}

int vault_change_authenticated(struct vault_change *c, enum vault_slot slot, uint64_t when)
{
    return add_value(c, STEP_AUTHENTICATED, slot, when);
}
