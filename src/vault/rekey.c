/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rekey: a new vault key under a new keyfile, and everything sealed anew with it in one transaction; or, which changes
 * nothing but a row, the vault key wrapped for a recovery key.
 *
 * It is a batch like any other, so it has its turn between the commits of the changes. On the worker it reads entries
 * that nothing changes meanwhile; the loop then exchanges what was sealed, which is a pointer a record. What does not
 * open (quarantine) is left as it is: it opens no better afterwards. */
#include "vault/internal.h"
#include "vault/keyfile.h"

#include <string.h>

struct rekey_row {
    struct vault_entry *entry;
    uint8_t *state, *records[2];
    size_t state_size, sizes[2];
};

struct rekey {
    struct vault *vault;
    bool recovery;          /* only a wrap of the same vault key is added */
    struct secret *keyfile; /* or the recovery key */
    struct secret *backup_key;
    struct vault_keys keys;
    struct sealed_keys sealed;
    struct rekey_row *rows;
    size_t n;
    vault_done_fn *done;
    void *userdata;
};

static struct rekey *rekey_free(struct rekey *k)
{
    if (!k)
        return NULL;
    for (size_t i = 0; i < k->n; i++) {
        free(k->rows[i].state);
        free(k->rows[i].records[0]);
        free(k->rows[i].records[1]);
    }
    free(k->rows);
    keys_done(&k->keys);
    secret_free(k->keyfile);
    secret_free(k->backup_key);
    free(k);
    return NULL;
}
DEFINE_FREEP(struct rekey, rekey_free)

/* The file may have a row of it, also of one that was removed: what is not sealed anew opens never again. What does not
 * open anyhow stays as it is. */
static bool has_state(const struct vault_entry *entry)
{
    return !entry->state_lost;
}

int rekey_prepare(struct rekey *k, struct error *e)
{
    struct vault *v = k->vault;
    size_t n = 0;
    int r;

    if (k->recovery) {
        k->sealed = v->seals.sealed;
        return keys_seal_recovery(&v->seals.keys, k->keyfile, &k->sealed, e);
    }
    for (struct map_node *node = map_next(&v->entries, NULL); node; node = map_next(&v->entries, node))
        n += has_state(MAP_ENTRY(node, struct vault_entry, node));
    k->rows = calloc(n + 1, sizeof(*k->rows));
    if (!k->rows)
        return error_set(e, -ENOMEM, "out of memory");
    for (struct map_node *node = map_next(&v->entries, NULL); node; node = map_next(&v->entries, node)) {
        struct vault_entry *entry = MAP_ENTRY(node, struct vault_entry, node);

        if (has_state(entry))
            k->rows[k->n++].entry = entry;
    }
    r = derive_key(k->keyfile, v->seals.keys.vault_id, LABEL_BACKUP, &k->backup_key);
    if (r < 0)
        return error_errno(e, r, "cannot derive from the new keyfile");
    return keys_renew(&v->seals.keys, k->keyfile, v->seals.bind, v->seals.bind_size, &k->keys, &k->sealed, e);
}

static int keep(const uint8_t *bytes, size_t n, uint8_t **ret, size_t *ret_size)
{
    *ret = malloc(n);
    if (!*ret)
        return -ENOMEM;
    memcpy(*ret, bytes, n);
    *ret_size = n;
    return 0;
}

static int seal_record(struct rekey *k, struct rekey_row *row, unsigned physical)
{
    const struct credential *c = &row->entry->slots[physical];
    const struct record_place place = entry_place(k->vault, row->entry);
    _cleanup_(secret_freep) struct secret *key = NULL;
    struct record_header header;
    uint8_t record[RECORD_MAX];
    size_t size;
    int r = record_parse(c->record, c->record_size, &header);

    if (r >= 0)
        r = record_open(k->vault->seals.keys.record, &place, (uint8_t)physical, c->view.generation, c->record,
                        c->record_size, &key);
    if (r >= 0)
        r = record_seal(k->keys.record, &place, &header, key, record, &size);
    return r < 0 ? r : keep(record, size, &row->records[physical], &row->sizes[physical]);
}

static int seal_row(struct rekey *k, struct rekey_row *row)
{
    const struct record_place place = entry_place(k->vault, row->entry);
    uint8_t sealed[STATE_SEALED_MAX];
    struct state state;
    size_t size;
    int r;

    entry_to_state(row->entry, &state);
    r = state_seal(k->keys.state, &place, &state, sealed, &size);
    if (r >= 0)
        r = keep(sealed, size, &row->state, &row->state_size);
    for (unsigned i = 0; r >= 0 && i < 2; i++)
        if (row->entry->slots[i].view.present && !row->entry->slots[i].view.quarantined)
            r = seal_record(k, row, i);
    return r;
}

static int write_row(struct rekey *k, const struct rekey_row *row, struct error *e)
{
    struct store_write w = {
        .device = row->entry->device, .uplink = row->entry->uplink, .state = row->state, .state_size = row->state_size};

    for (int i = 0; i < 2; i++) {
        w.slots[i].changed = row->records[i] != NULL;
        w.slots[i].record = row->records[i];
        w.slots[i].size = row->sizes[i];
    }
    return store_write(k->vault->store, &w, e);
}

int rekey_run(struct rekey *k, struct error *e)
{
    struct store *store = k->vault->store;
    uint8_t versions[VERSIONS_SEALED_SIZE];
    int r = 0;

    for (size_t i = 0; r >= 0 && i < k->n; i++) {
        r = seal_row(k, &k->rows[i]);
        if (r < 0)
            error_errno(e, r, "cannot seal the keys of %s anew", k->rows[i].entry->device);
    }
    if (r < 0)
        return r;
    if (!k->recovery) {
        r = versions_seal(k->keys.state, k->keys.vault_id, &k->vault->versions, versions);
        if (r < 0)
            return error_errno(e, r, "cannot seal the vault's record of versions anew");
    }
    r = store_begin(store, e);
    if (r < 0)
        return r;
    r = store_write_keys(store, &k->sealed, e);
    if (r >= 0 && !k->recovery)
        r = store_write_versions(store, versions, sizeof(versions), e);
    for (size_t i = 0; r >= 0 && i < k->n; i++)
        r = write_row(k, &k->rows[i], e);
    if (r < 0) {
        store_rollback(store);
        return r;
    }
    return store_commit(store, e);
}

void rekey_apply(struct rekey *k)
{
    struct vault *v = k->vault;

    for (size_t i = 0; i < k->n; i++)
        for (int j = 0; j < 2; j++) {
            struct credential *c = &k->rows[i].entry->slots[j];
            uint8_t *old;

            if (!k->rows[i].records[j])
                continue;
            old = c->record;
            c->record = k->rows[i].records[j];
            c->record_size = k->rows[i].sizes[j];
            k->rows[i].records[j] = old;
        }
    v->seals.sealed = k->sealed;
    if (k->recovery)
        return;
    keys_done(&v->seals.keys);
    v->seals.keys = k->keys;
    secret_free(v->seals.backup_key);
    v->seals.backup_key = TAKE_PTR(k->backup_key);
    k->keys = (struct vault_keys){0};
}

static int free_there(void *userdata)
{
    rekey_free(userdata);
    return 0;
}

static void freed(int r, void *userdata)
{
    if (r == -ECANCELED) /* it never got there */
        rekey_free(userdata);
}

void rekey_end(struct rekey *k, int r, const struct error *e)
{
    vault_done_fn *done = k->done;
    void *userdata = k->userdata;

    /* Thousands of records as they were: not in a turn of the loop. */
    if (k->vault->closing || workers_submit(k->vault->workers, free_there, freed, k) < 0)
        rekey_free(k);
    if (done)
        done(r, r < 0 ? e : NULL, userdata);
}

static int rekey_new(struct vault *v, struct secret *keyfile, struct rekey **ret, struct error *e)
{
    _cleanup_(rekey_freep) struct rekey *k = calloc(1, sizeof(*k));
    int r;

    if (!k) {
        secret_free(keyfile);
        return error_set(e, -ENOMEM, "out of memory");
    }
    k->vault = v;
    k->keyfile = keyfile;
    r = keyfile_check_bytes(keyfile, e);
    if (r < 0)
        return error_prefix(e, r, "the new key");
    if (v->closing)
        return error_set(e, -ESHUTDOWN, "the vault is closing");
    if (v->rekey || (v->commits.batch && v->commits.batch->rekey))
        return error_set(e, -EBUSY, "the vault is being rekeyed already");
    /* Its slices would meet records of both keys. */
    if (v->verification)
        return error_set(e, -EBUSY, "the vault is being verified: wait for the end of it");
    /* Its head would be of one key, its contents of another. */
    if (v->backups > 0)
        return error_set(e, -EBUSY, "a backup is being made: wait for the end of it");
    *ret = TAKE_PTR(k);
    return 0;
}

static void begin(struct rekey *k, vault_done_fn *done, void *userdata)
{
    struct vault *v = k->vault;

    k->done = done;
    k->userdata = userdata;
    v->rekey = k;
    v->commits.handed.rekeys++;
    commit_schedule(v);
}

int vault_rekey(struct vault *vault, struct secret *keyfile, vault_done_fn *done, void *userdata, struct error *e)
{
    struct rekey *k = NULL;
    int r = rekey_new(vault, keyfile, &k, e);

    if (r < 0)
        return r;
    r = keys_match(k->keyfile, &vault->seals.sealed);
    if (r != 0) {
        rekey_free(k);
        return r < 0 ? error_errno(e, r, "cannot look at the new keyfile") : 1;
    }
    begin(k, done, userdata);
    return 0;
}

int vault_set_recovery_key(struct vault *vault, struct secret *recovery_key, vault_done_fn *done, void *userdata,
                           struct error *e)
{
    struct rekey *k = NULL;
    int r = rekey_new(vault, recovery_key, &k, e);

    if (r < 0)
        return r;
    k->recovery = true;
    begin(k, done, userdata);
    return 0;
}

bool vault_opened_with_next(const struct vault *vault)
{
    return vault->opened_with_next;
}
