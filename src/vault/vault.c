/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vault/vault.h"

#include "base/encode.h"
#include "base/id.h"
#include "base/log.h"
#include "base/names.h"
#include "vault/internal.h"
#include "vault/key.h"
#include "vault/keyfile.h"

#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static int check_options(const struct vault_options *options, struct error *e)
{
    if (options->bind && (options->bind_size == 0 || options->bind_size > VAULT_BIND_MAX))
        return error_set(e, -EINVAL, "a bind value has 1 to %d bytes, this has %zu", VAULT_BIND_MAX,
                         options->bind_size);
    return 0;
}

static int look_at_file_system(struct vault *v, const struct vault_options *options, struct error *e)
{
    char directory[PATH_MAX], why[VOLATILE_WHY_MAX] = "";
    int answer;

    if (snprintf(directory, sizeof(directory), "%s", options->path) >= (int)sizeof(directory))
        return error_set(e, -ENAMETOOLONG, "%s: the path is too long", options->path);
    answer = volatile_check(dirname(directory), why);
    if (answer < 0)
        return error_errno(e, answer, "cannot look at the file system of %s", options->path);
    v->durable = answer != VOLATILE_YES || options->allow_volatile;
    memcpy(v->why, why, sizeof(v->why));
    return 0;
}

static int on_key_row(const uint8_t *digest, const char *device, void *userdata)
{
    struct vault *v = userdata;
    const char *name;
    int r = name_intern(v, device, &name);

    return r < 0 ? r : key_row_add(v, digest, name, true);
}

static int on_row(const struct store_row *row, void *userdata)
{
    struct vault *v = userdata;
    struct vault_entry *entry;
    int r;

    /* Not ours, whoever put it there; vault_verify() reports it. */
    if (!entry_names_valid(row->device, row->uplink))
        return 0;
    r = entry_get(v, row->device, row->uplink, &entry);
    if (r >= 0)
        r = entry_load(v, entry, row);
    if (r < 0)
        return r;
    v->n_live += entry->live;
    if (entry->quarantine)
        log_debug(entry->device, "quarantined: %s", entry->quarantine);
    return 0;
}

static int create(struct vault *v, const struct vault_options *options, const struct secret *keyfile, struct error *e)
{
    struct vault_keys made = {0};
    struct sealed_keys sealed;
    int r = keys_make(keyfile, options->bind, options->bind_size, &made, &sealed, e);

    if (r >= 0)
        r = store_create(v->store, &sealed, e);
    keys_done(&made);
    return r;
}

/* The keyfile that the vault was sealed with: a rekey that was cut short has left the right one under its first name.
 * What is wrong with the other is of interest only where neither is right. */
static int choose_keyfile(struct vault *v, const struct vault_options *options, struct secret **keyfile)
{
    _cleanup_(secret_freep) struct secret *next = NULL;
    int r = *keyfile ? keys_match(*keyfile, &v->seals.sealed) : 0;

    if (r != 0 || keyfile_read_next(v->arena, options->keyfile, &next, NULL) < 0)
        return r;
    r = keys_match(next, &v->seals.sealed);
    if (r > 0) {
        secret_free(*keyfile);
        *keyfile = TAKE_PTR(next);
        v->opened_with_next = true;
    }
    return r;
}

/* The keyfile alone opens an unbound vault, so binding it on first request gives nothing away. */
static int adopt_bind(struct vault *v, const struct vault_options *options, const struct secret *keyfile,
                      struct error *e)
{
    struct sealed_keys sealed = v->seals.sealed;
    int r = keys_open(keyfile, NULL, 0, &sealed, &v->seals.keys, e);

    if (r >= 0)
        r = keys_seal(&v->seals.keys, keyfile, options->bind, options->bind_size, &sealed, e);
    if (r >= 0)
        r = store_begin(v->store, e);
    if (r < 0)
        return r;
    r = store_write_keys(v->store, &sealed, e);
    if (r < 0) {
        store_rollback(v->store);
        return r;
    }
    r = store_commit(v->store, e);
    if (r >= 0)
        v->seals.sealed = sealed;
    return r;
}

static int open_keys(struct vault *v, const struct vault_options *options, struct error *e)
{
    _cleanup_(secret_freep) struct secret *keyfile = NULL;
    struct error unreadable = {0};
    int unread = keyfile_read(v->arena, options->keyfile, &keyfile, &unreadable);
    int r = store_exists(v->store, e);

    if (r < 0)
        return r;
    if (r == 0)
        r = unread < 0 ? error_set(e, -ENOKEY, "%s", unreadable.text) : create(v, options, keyfile, e);
    if (r >= 0)
        r = store_open(v->store, &v->seals.sealed, e);
    if (r < 0)
        return r;
    r = choose_keyfile(v, options, &keyfile);
    if (r < 0)
        return error_errno(e, r, "cannot look at the keyfile");
    if (!keyfile)
        return error_set(e, -ENOKEY, "%s", unreadable.text);
    r = options->adopt_bind && options->bind && !v->seals.sealed.bound
            ? adopt_bind(v, options, keyfile, e)
            : keys_open(keyfile, options->bind, options->bind_size, &v->seals.sealed, &v->seals.keys, e);
    if (r >= 0)
        r = derive_key(keyfile, v->seals.keys.vault_id, LABEL_BACKUP, &v->seals.backup_key);
    return r < 0
               ? error_prefix(e, r, "cannot open %s with keyfile %s", options->path, options->keyfile ?: CREDENTIAL_KEY)
               : 0;
}

static int keep_bind(struct vault *v, const struct vault_options *options)
{
    if (!options->bind)
        return 0;
    v->seals.bind = malloc(options->bind_size);
    if (!v->seals.bind)
        return -ENOMEM;
    memcpy(v->seals.bind, options->bind, options->bind_size);
    v->seals.bind_size = options->bind_size;
    return 0;
}

static int load(struct vault *v, const struct vault_options *options, struct error *e)
{
    int r = keep_bind(v, options);

    if (r >= 0)
        r = secret_random(v->arena, SEAL_KEY_SIZE, &v->seals.waiting_key);
    if (r < 0)
        return error_errno(e, r, "cannot begin");
    r = store_new(options->path, &v->store, e);
    if (r >= 0)
        r = open_keys(v, options, e);
    if (r >= 0)
        r = store_read_keys(v->store, on_key_row, v, e);
    if (r >= 0)
        r = store_read(v->store, "", "", 0, on_row, v, e);
    if (r >= 0)
        r = put_back_look(v, e);
    if (r >= 0)
        store_accept(v->store);
    return r;
}

int vault_open(sd_event *event, struct arena *arena, const struct vault_options *options, struct vault **ret,
               struct error *e)
{
    _cleanup_(vault_freep) struct vault *v = NULL;
    int r = check_options(options, e);

    if (r < 0)
        return r;
    v = calloc(1, sizeof(*v));
    if (!v)
        return error_set(e, -ENOMEM, "out of memory");
    pthread_mutex_init(&v->store_mutex, NULL);
    v->event = sd_event_ref(event);
    v->arena = arena;
    commit_queue_init(&v->commits.waiting);
    r = look_at_file_system(v, options, e);
    if (r >= 0)
        r = load(v, options, e);
    if (r < 0)
        return r;
    r = commit_init(v);
    if (r < 0)
        return error_errno(e, r, "cannot start the vault's worker");
    *ret = TAKE_PTR(v);
    return 0;
}

struct vault *vault_free(struct vault *vault)
{
    if (!vault)
        return NULL;
    commit_done(vault);
    store_free(vault->store);
    keys_done(&vault->seals.keys);
    secret_free(vault->seals.waiting_key);
    secret_free(vault->seals.backup_key);
    if (vault->seals.bind)
        explicit_bzero(vault->seals.bind, vault->seals.bind_size);
    free(vault->seals.bind);
    for (struct map_node *node = map_next(&vault->entries, NULL), *next; node; node = next) {
        struct vault_entry *entry = MAP_ENTRY(node, struct vault_entry, node);

        next = map_next(&vault->entries, node);
        entry_clear(entry);
        free(entry);
    }
    map_done(&vault->entries);
    index_done(vault);
    pthread_mutex_destroy(&vault->store_mutex);
    sd_event_unref(vault->event);
    free(vault);
    return NULL;
}

bool vault_durable(const struct vault *vault, const char **ret_why)
{
    if (ret_why)
        *ret_why = *vault->why ? vault->why : NULL;
    return vault->durable;
}

size_t vault_entries(const struct vault *vault)
{
    return vault->n_live;
}

void vault_stats(const struct vault *vault, struct vault_stats *ret)
{
    *ret = vault->stats;
}

int vault_opaque_id(const struct vault *vault, const char *device, char ret_id[OPAQUE_ID_SIZE])
{
    return keys_opaque_id(&vault->seals.keys, device, ret_id);
}

int vault_key_digest(const struct vault *vault, const struct secret *key, uint64_t *ret_digest)
{
    uint8_t digest[DIGEST_SIZE];
    int r = keys_index(&vault->seals.keys, key, digest);

    if (r >= 0)
        memcpy(ret_digest, digest, sizeof(*ret_digest));
    return r;
}

int vault_key_generate(struct vault *vault, bool as_text, struct secret **ret)
{
    _cleanup_(secret_freep) struct secret *key = NULL, *text = NULL;
    int r = secret_random(vault->arena, KEY_GENERATED_SIZE, &key);

    if (r >= 0 && as_text)
        r = secret_new(vault->arena, &text);
    if (r < 0)
        return r;
    if (as_text) {
        _Static_assert(HEX_SIZE(KEY_GENERATED_SIZE) <= ARENA_CELL_SIZE && 2 * KEY_GENERATED_SIZE <= KEY_MAX,
                       "a key as text fits");
        hex_encode(key->bytes, key->size, (char *)text->bytes);
        text->size = 2 * key->size;
    }
    *ret = as_text ? TAKE_PTR(text) : TAKE_PTR(key);
    return 0;
}

int vault_key_open(struct vault *vault, const struct vault_entry *entry, enum vault_slot slot, struct secret **ret,
                   struct error *e)
{
    unsigned physical = entry_physical(entry, slot);
    const struct credential *c = &entry->slots[physical];
    const struct record_place place = entry_place(vault, entry);
    int r;

    if (!c->view.present)
        return error_set(e, -ENOENT, "the %s slot of %s is empty", vault_slot_to_string(slot), entry->device);
    if (c->view.quarantined)
        return error_set(e, -EBADMSG, "the %s credential of %s is in quarantine: %s", vault_slot_to_string(slot),
                         entry->device, entry->quarantine);
    r = record_open(vault->seals.keys.record, &place, (uint8_t)physical, c->view.generation, c->record, c->record_size,
                    ret);
    return r < 0 ? error_errno(e, r, "cannot open the %s credential of %s", vault_slot_to_string(slot), entry->device)
                 : 0;
}
