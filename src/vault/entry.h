/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Entries in memory (entry.c), and the index of names, keys and identities over all of them (index.c). The vault owns
 * them. Loop thread; used by the files of src/vault only. */

#include "base/map.h"
#include "vault/keys.h"
#include "vault/record.h"
#include "vault/state.h"
#include "vault/store.h"
#include "vault/vault.h"

#define DIGEST_KEPT 16 /* of a key's digest in memory: as good as unique; the file has it whole */

struct credential {
    struct vault_credential view;
    char *identity, *cloud_id; /* what the view shows; NULL: "" */
    uint8_t *record;           /* sealed */
    size_t record_size;
    uint8_t digest[DIGEST_KEPT];
    bool has_digest;
};

struct vault_entry {
    struct map_node node;
    const char *device, *uplink; /* interned in the vault */
    bool live;                   /* otherwise only its counters are kept */
    uint8_t main_slot;           /* the physical slot whose role is main */
    enum vault_registration registration;
    struct credential slots[2]; /* physical */
    char *quarantine;           /* why, or NULL */
    bool state_lost;            /* its state record does not open */
    bool put_back;              /* or is an older one, which is as bad */
    bool restored;              /* from a backup, and none of its keys has authenticated since */
    uint64_t identity_counter, generation;
    uint64_t version; /* rises with each change; 0: of a writer that counted none */
    uint64_t id;      /* of device and uplink, for struct versions */
    uint8_t *rotation, *unknown;
    uint16_t rotation_size, unknown_size;
    struct vault_entry *projected; /* what it will be after the changes of the batch in the making */
};

/* A text that many point at; lives as long as the vault. */
struct name {
    struct map_node node;
    char text[];
};

/* A key that is, was, or is about to be in the vault. */
struct key_row {
    struct map_node node; /* its hash is the first half of the digest kept */
    uint8_t rest[DIGEST_KEPT - 8];
    bool committed;
    const char *device;
};

/* An identity in use; `refs` counts the slots and the waiting changes, all of one device. */
struct identity_row {
    struct map_node node;
    const char *device;
    unsigned refs;
    char text[];
};

bool entry_names_valid(const char *device, const char *uplink);
/* Whether keys of entries with this for an uplink may be others' as well: a sensor's own, logins. */
bool names_shared_keys(const char *uplink);
bool entry_shares_keys(const struct vault_entry *entry);
/* In whose name the index has them: the device's, or for those that are shared the entry's uplink. */
const char *entry_key_owner(const struct vault_entry *entry);
struct record_place entry_place(const struct vault *v, const struct vault_entry *entry);
/* The entry, made hidden if there is none. */
int entry_get(struct vault *v, const char *device, const char *uplink, struct vault_entry **ret);
/* A copy that shares nothing but the interned names. */
int entry_copy(const struct vault_entry *from, struct vault_entry *to);
void entry_clear(struct vault_entry *entry);
void credential_clear(struct credential *c);
/* Sets a text of the view. */
int credential_text(char **text, const char **view, const char *value);
static inline unsigned entry_physical(const struct vault_entry *entry, enum vault_slot slot)
{
    return slot == VAULT_MAIN ? entry->main_slot : 1u - entry->main_slot;
}
/* The state record's contents for an entry. */
void entry_to_state(const struct vault_entry *entry, struct state *ret);
/* Fills a hidden entry from its row; what does not open is put into quarantine. */
int entry_load(struct vault *v, struct vault_entry *entry, const struct store_row *row);
/* Opens the record of a slot as the state says it should be. 1 with the key, 0 with *ret_why when it does not open (or
 * should not be there), or an error that says nothing about the record. */
int record_check(const struct vault_keys *keys, const struct record_place *place, unsigned physical,
                 const struct state_slot *state, const uint8_t *record, size_t size, struct secret **ret_key,
                 const char **ret_why);

/* descriptor.c: how many bytes the text stands for, which are KEY_MIN to KEY_MAX; -EINVAL. Any thread. */
ssize_t key_decode(enum vault_encoding encoding, const char *text, size_t n, uint8_t bytes[ARENA_CELL_SIZE],
                   struct error *e);

/* index.c */
int name_intern(struct vault *v, const char *text, const char **ret);
struct key_row *key_row_find(const struct vault *v, const uint8_t *digest);
int key_row_add(struct vault *v, const uint8_t *digest, const char *device, bool committed);
void key_row_remove(struct vault *v, struct key_row *row);
struct identity_row *identity_find(const struct vault *v, const char *text);
/* Takes a reference; the caller has checked whose it is. */
int identity_ref(struct vault *v, const char *text, const char *device, struct identity_row **ret);
void identity_unref(struct vault *v, struct identity_row *row);
void index_done(struct vault *v);

/* put-back.c: puts into quarantine what is older than the vault says, after all rows were loaded. */
int put_back_look(struct vault *v, struct error *e);
