/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Entries in memory: finding, copying, loading. */
#include "base/id.h"
#include "vault/internal.h"

#include <stdio.h>
#include <string.h>

struct entry_name {
    const char *device, *uplink;
};

static int entry_equal(const struct map_node *node, const void *key)
{
    const struct vault_entry *entry = MAP_ENTRY(node, const struct vault_entry, node);
    const struct entry_name *name = key;

    return strcmp(entry->device, name->device) == 0 && strcmp(entry->uplink, name->uplink) == 0;
}

bool names_shared_keys(const char *uplink)
{
    return strcmp(uplink, VAULT_OF_SENSOR) == 0 || strcmp(uplink, VAULT_OF_LOGIN) == 0;
}

bool entry_names_valid(const char *device, const char *uplink)
{
    bool fleet = strcmp(device, VAULT_FLEET) == 0;

    if (fleet)
        return strcmp(uplink, VAULT_FLEET) == 0;
    return id_valid(device) && (id_valid(uplink) || names_shared_keys(uplink));
}

bool entry_shares_keys(const struct vault_entry *entry)
{
    return names_shared_keys(entry->uplink);
}

const char *entry_key_owner(const struct vault_entry *entry)
{
    return entry_shares_keys(entry) ? entry->uplink : entry->device;
}

bool vault_entry_internal(const struct vault_entry *entry)
{
    return !id_valid(entry->uplink);
}

static uint64_t entry_hash(const char *device, const char *uplink)
{
    return map_hash_combine(map_hash_text(device), map_hash_text(uplink));
}

static struct vault_entry *entry_find(const struct vault *v, const char *device, const char *uplink)
{
    const struct entry_name name = {device, uplink};
    struct map_node *node = map_find(&v->entries, entry_hash(device, uplink), entry_equal, &name);

    return node ? MAP_ENTRY(node, struct vault_entry, node) : NULL;
}

int entry_get(struct vault *v, const char *device, const char *uplink, struct vault_entry **ret)
{
    struct vault_entry *entry = entry_find(v, device, uplink);
    int r;

    if (entry) {
        *ret = entry;
        return 0;
    }
    entry = calloc(1, sizeof(*entry));
    if (!entry)
        return -ENOMEM;
    r = name_intern(v, device, &entry->device);
    if (r >= 0)
        r = name_intern(v, uplink, &entry->uplink);
    if (r >= 0)
        r = keys_entry_id(&v->seals.keys, device, uplink, &entry->id);
    if (r >= 0)
        r = map_insert(&v->entries, &entry->node, entry_hash(device, uplink));
    if (r < 0) {
        free(entry);
        return r;
    }
    entry->slots[0].view.identity = entry->slots[0].view.cloud_id = "";
    entry->slots[1].view.identity = entry->slots[1].view.cloud_id = "";
    *ret = entry;
    return 0;
}

struct record_place entry_place(const struct vault *v, const struct vault_entry *entry)
{
    return (struct record_place){.vault_id = v->seals.keys.vault_id, .device = entry->device, .uplink = entry->uplink};
}

void credential_clear(struct credential *c)
{
    free(c->identity);
    free(c->cloud_id);
    free(c->record);
    *c = (struct credential){.view = {.identity = "", .cloud_id = ""}};
}

void entry_clear(struct vault_entry *entry)
{
    credential_clear(&entry->slots[0]);
    credential_clear(&entry->slots[1]);
    free(entry->quarantine);
    free(entry->rotation);
    free(entry->unknown);
    entry->quarantine = NULL;
    entry->rotation = entry->unknown = NULL;
    entry->rotation_size = entry->unknown_size = 0;
}

int credential_text(char **text, const char **view, const char *value)
{
    char *copy = *value ? strdup(value) : NULL;

    if (*value && !copy)
        return -ENOMEM;
    free(*text);
    *text = copy;
    *view = copy ? copy : "";
    return 0;
}

static int copy_bytes(const uint8_t *from, size_t n, uint8_t **ret)
{
    uint8_t *copy = NULL;

    if (n > 0) {
        copy = malloc(n);
        if (!copy)
            return -ENOMEM;
        memcpy(copy, from, n);
    }
    *ret = copy;
    return 0;
}

static int credential_copy(const struct credential *from, struct credential *to)
{
    int r = copy_bytes(from->record, from->record_size, &to->record);

    to->view = from->view;
    to->view.identity = to->view.cloud_id = "";
    to->record_size = to->record ? from->record_size : 0;
    memcpy(to->digest, from->digest, DIGEST_KEPT);
    to->has_digest = from->has_digest;
    if (r >= 0)
        r = credential_text(&to->identity, &to->view.identity, from->view.identity);
    return r < 0 ? r : credential_text(&to->cloud_id, &to->view.cloud_id, from->view.cloud_id);
}

int entry_copy(const struct vault_entry *from, struct vault_entry *to)
{
    int r;

    *to = (struct vault_entry){.device = from->device,
                               .uplink = from->uplink,
                               .live = from->live,
                               .restored = from->restored,
                               .main_slot = from->main_slot,
                               .registration = from->registration,
                               .state_lost = from->state_lost,
                               .put_back = from->put_back,
                               .identity_counter = from->identity_counter,
                               .generation = from->generation,
                               .version = from->version,
                               .id = from->id,
                               .rotation_size = from->rotation_size,
                               .unknown_size = from->unknown_size};
    r = credential_copy(&from->slots[0], &to->slots[0]);
    if (r >= 0)
        r = credential_copy(&from->slots[1], &to->slots[1]);
    if (r >= 0)
        r = copy_bytes(from->rotation, from->rotation_size, &to->rotation);
    if (r >= 0)
        r = copy_bytes(from->unknown, from->unknown_size, &to->unknown);
    if (r >= 0 && from->quarantine) {
        to->quarantine = strdup(from->quarantine);
        r = to->quarantine ? 0 : -ENOMEM;
    }
    return r;
}

void entry_to_state(const struct vault_entry *entry, struct state *ret)
{
    *ret = (struct state){.removed = !entry->live,
                          .restored = entry->restored,
                          .main_slot = entry->main_slot,
                          .registration = entry->registration,
                          .identity_counter = entry->identity_counter,
                          .generation = entry->generation,
                          .version = entry->version,
                          .rotation_size = entry->rotation_size,
                          .unknown_size = entry->unknown_size};
    if (entry->rotation_size > 0)
        memcpy(ret->rotation, entry->rotation, entry->rotation_size);
    if (entry->unknown_size > 0)
        memcpy(ret->unknown, entry->unknown, entry->unknown_size);
    for (int i = 0; i < 2; i++) {
        const struct vault_credential *view = &entry->slots[i].view;

        if (!view->present)
            continue;
        ret->slots[i].present = true;
        ret->slots[i].generation = view->generation;
        ret->slots[i].since = view->since;
        ret->slots[i].last_authenticated = view->last_authenticated;
        snprintf(ret->slots[i].cloud_id, sizeof(ret->slots[i].cloud_id), "%s", view->cloud_id);
    }
}

int record_check(const struct vault_keys *keys, const struct record_place *place, unsigned physical,
                 const struct state_slot *state, const uint8_t *record, size_t size, struct secret **ret_key,
                 const char **ret_why)
{
    struct record_header header;
    int r;

    if (!record) {
        *ret_why = "its record is missing";
        return 0;
    }
    if (!state->present) {
        *ret_why = "there is a record of which its state does not know";
        return 0;
    }
    r = record_open(keys->record, place, (uint8_t)physical, state->generation, record, size, ret_key);
    if (r != -EBADMSG)
        return r < 0 ? r : 1;
    if (record_parse(record, size, &header) < 0)
        *ret_why = "its record is cut off or overwritten";
    else if (header.slot != physical || header.generation != state->generation)
        *ret_why = "its record is that of another slot or an older one put back";
    else
        *ret_why = "its record was changed or comes from another place";
    return 0;
}

static int quarantine(struct vault_entry *entry, unsigned physical, const char *why)
{
    char *text;

    if (asprintf(&text, "%s credential: %s", physical == entry->main_slot ? "main" : "backup", why) < 0)
        return -ENOMEM;
    free(entry->quarantine);
    entry->quarantine = text;
    entry->slots[physical].view.quarantined = true;
    entry->slots[physical].view.fingerprint[0] = 0;
    return 0;
}

static int load_key(struct vault *v, struct vault_entry *entry, struct credential *c, const struct secret *key)
{
    uint8_t digest[DIGEST_SIZE];
    struct identity_row *identity;
    int r = keys_fingerprint(&v->seals.keys, key, c->view.fingerprint);

    if (r >= 0)
        r = keys_index(&v->seals.keys, key, digest);
    if (r < 0)
        return r;
    /* The file's content of this slot counts, even if that is another key. */
    if (!c->has_digest)
        memcpy(c->digest, digest, DIGEST_KEPT);
    c->has_digest = true;
    if (!key_row_find(v, digest))
        r = key_row_add(v, digest, entry_key_owner(entry), true);
    return r < 0 ? r : identity_ref(v, c->view.identity, entry->device, &identity);
}

static int load_slot(struct vault *v, struct vault_entry *entry, unsigned physical, const struct state_slot *state,
                     const struct store_row *row)
{
    _cleanup_(secret_freep) struct secret *key = NULL;
    struct credential *c = &entry->slots[physical];
    const struct record_place place = entry_place(v, entry);
    const uint8_t *record = row->slots[physical].record, *digest = row->slots[physical].digest;
    size_t size = MIN_OF(row->slots[physical].size, (size_t)RECORD_MAX);
    struct record_header header = {0};
    const char *why;
    int r;

    if (!state->present && !record)
        return 0;
    c->view.present = true;
    c->view.generation = state->generation;
    c->view.since = state->since;
    c->view.last_authenticated = state->last_authenticated;
    if (record && record_parse(record, row->slots[physical].size, &header) >= 0)
        c->view.kind = header.kind;
    if (digest) {
        memcpy(c->digest, digest, DIGEST_KEPT);
        c->has_digest = true;
    }
    r = credential_text(&c->identity, &c->view.identity, header.identity);
    if (r >= 0)
        r = credential_text(&c->cloud_id, &c->view.cloud_id, state->cloud_id);
    if (r >= 0)
        r = copy_bytes(record, record ? size : 0, &c->record);
    if (r < 0)
        return r;
    c->record_size = record ? size : 0;
    r = record_check(&v->seals.keys, &place, physical, state, record, row->slots[physical].size, &key, &why);
    if (r == 0)
        return quarantine(entry, physical, why);
    return r < 0 ? r : load_key(v, entry, c, key);
}

/* Without its state nobody knows the roles or what the cloud may know: it is removed, or begun again. The counters are
 * set past whatever may have been given out. */
static int load_lost(struct vault_entry *entry, const struct store_row *row)
{
    entry->live = entry->state_lost = true;
    entry->identity_counter = VAULT_COUNTER_LEAP;
    for (unsigned i = 0; i < 2; i++) {
        struct credential *c = &entry->slots[i];
        struct record_header header;

        if (!row->slots[i].record)
            continue;
        c->view.present = c->view.quarantined = true;
        if (row->slots[i].digest) {
            memcpy(c->digest, row->slots[i].digest, DIGEST_KEPT);
            c->has_digest = true;
        }
        if (record_parse(row->slots[i].record, row->slots[i].size, &header) >= 0) {
            entry->generation = MAX_OF(entry->generation, header.generation);
            c->view.kind = header.kind;
            if (credential_text(&c->identity, &c->view.identity, header.identity) < 0)
                return -ENOMEM;
        }
    }
    entry->quarantine = strdup("its state record does not open");
    return entry->quarantine ? 0 : -ENOMEM;
}

int entry_load(struct vault *v, struct vault_entry *entry, const struct store_row *row)
{
    const struct record_place place = entry_place(v, entry);
    struct state state;
    int r = state_open(v->seals.keys.state, &place, row->state, row->state_size, &state);

    if (r == -EBADMSG)
        return load_lost(entry, row);
    if (r < 0)
        return r;
    entry->live = !state.removed;
    entry->restored = state.restored;
    entry->main_slot = state.main_slot;
    entry->registration = state.registration;
    entry->identity_counter = state.identity_counter;
    entry->generation = state.generation;
    entry->version = state.version;
    r = copy_bytes(state.rotation, state.rotation_size, &entry->rotation);
    if (r >= 0)
        r = copy_bytes(state.unknown, state.unknown_size, &entry->unknown);
    entry->rotation_size = (uint16_t)state.rotation_size;
    entry->unknown_size = (uint16_t)state.unknown_size;
    for (unsigned i = 0; r >= 0 && i < 2; i++)
        r = load_slot(v, entry, i, &state.slots[i], row);
    return r;
}

struct vault_entry *vault_find(struct vault *vault, const char *device, const char *uplink)
{
    struct vault_entry *entry = entry_find(vault, device, uplink);

    return entry && entry->live ? entry : NULL;
}

struct vault_entry *vault_next(struct vault *vault, const struct vault_entry *previous)
{
    const struct map_node *node = previous ? &previous->node : NULL;

    while ((node = map_next(&vault->entries, node))) {
        struct vault_entry *entry = MAP_ENTRY(node, struct vault_entry, node);

        if (entry->live)
            return entry;
    }
    return NULL;
}

const char *vault_entry_device(const struct vault_entry *entry)
{
    return entry->device;
}

const char *vault_entry_uplink(const struct vault_entry *entry)
{
    return entry->uplink;
}

const struct vault_credential *vault_credential(const struct vault_entry *entry, enum vault_slot slot)
{
    return &entry->slots[entry_physical(entry, slot)].view;
}

uint64_t vault_identity_counter(const struct vault_entry *entry)
{
    return entry->identity_counter;
}

bool vault_restored(const struct vault_entry *entry)
{
    return entry->restored;
}

const void *vault_rotation(const struct vault_entry *entry, size_t *ret_size)
{
    *ret_size = entry->rotation_size;
    return entry->rotation;
}

enum vault_registration vault_registration(const struct vault_entry *entry)
{
    return entry->registration;
}

const char *vault_quarantine(const struct vault_entry *entry)
{
    return entry->quarantine;
}

bool vault_state_lost(const struct vault_entry *entry)
{
    return entry->state_lost;
}
