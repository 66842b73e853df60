/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The vault's own keys, all in the arena.
 *
 * The vault key is random and stands in vault.db only wrapped: "GHVW", format, nonce, ciphertext, tag, under
 * HKDF(keyfile, and SHA-256 of the bind value if there is one). From it come the keys that seal records and states;
 * three more are random and sealed under it, so that a new vault key can carry them over: the index key (uniqueness),
 * the fingerprint key and the identity key. */

#include "base/arena.h"
#include "vault/seal.h"
#include "vault/vault.h"

#include <stdbool.h>

#define WRAP_SIZE (5 + SEAL_OVERHEAD + SEAL_KEY_SIZE)
#define KEYFILE_CHECK_SIZE 8

/* A wrap row is found by its kind; `recovery` is a second wrap of the same vault key. */
#define WRAP_KEYFILE "keyfile"
#define WRAP_RECOVERY "recovery"
#define WRAP_BACKUP "backup" /* in the head of a backup */

struct vault_keys {
    uint8_t vault_id[VAULT_ID_SIZE];
    uint64_t epoch; /* rises with each new vault key */
    struct secret *vault, *record, *state;
    struct secret *index, *fingerprint, *identity;
};

/* The keys as vault.db stores them. */
struct sealed_keys {
    uint8_t vault_id[VAULT_ID_SIZE];
    uint64_t epoch;
    bool bound;                                /* wrapped with a bind value */
    uint8_t keyfile_check[KEYFILE_CHECK_SIZE]; /* tells a wrong keyfile from a changed bind value */
    uint8_t wrap[WRAP_SIZE];
    uint8_t index[WRAP_SIZE], fingerprint[WRAP_SIZE], identity[WRAP_SIZE];
    bool has_recovery;
    uint8_t recovery_check[KEYFILE_CHECK_SIZE];
    uint8_t recovery[WRAP_SIZE]; /* of the vault key, under HKDF(recovery key) */
};

/* New random keys, and their sealed form. */
int keys_make(const struct secret *keyfile, const void *bind, size_t bind_size, struct vault_keys *ret,
              struct sealed_keys *ret_sealed, struct error *e);
/* A new vault key of the next epoch, sealed under this keyfile; index, fingerprint and identity key are carried over.
 */
int keys_renew(const struct vault_keys *now, const struct secret *keyfile, const void *bind, size_t bind_size,
               struct vault_keys *ret, struct sealed_keys *ret_sealed, struct error *e);
/* The same keys under another keyfile or bind value; a recovery wrap in *sealed stays. */
int keys_seal(const struct vault_keys *keys, const struct secret *keyfile, const void *bind, size_t bind_size,
              struct sealed_keys *sealed, struct error *e);
/* The second wrap, into *sealed. */
int keys_seal_recovery(const struct vault_keys *keys, const struct secret *recovery_key, struct sealed_keys *sealed,
                       struct error *e);
/* -ENOKEY: there is no recovery wrap. -EKEYREJECTED: not its key. */
int keys_open_recovery(const struct secret *recovery_key, const struct sealed_keys *sealed, struct vault_keys *ret,
                       struct error *e);
/* The vault key for a backup, which a keyfile opens without the bind value: a backup is for another board, too. */
int keys_seal_backup(const struct vault_keys *keys, const struct secret *backup_key, uint8_t wrap[WRAP_SIZE]);
int keys_open_backup(const struct secret *backup_key, const struct sealed_keys *sealed, const uint8_t wrap[WRAP_SIZE],
                     struct vault_keys *ret, struct error *e);
/* 1 if these were sealed with this keyfile, 0 if not. */
int keys_match(const struct secret *keyfile, const struct sealed_keys *sealed);
/* -EKEYREJECTED: wrong keyfile or bind value (the text says which); -EBADMSG: corrupt. */
int keys_open(const struct secret *keyfile, const void *bind, size_t bind_size, const struct sealed_keys *sealed,
              struct vault_keys *ret, struct error *e);
void keys_done(struct vault_keys *keys);

/* HMAC under the index key: equal keys collide whatever encoding they came in. */
int keys_index(const struct vault_keys *keys, const struct secret *key, uint8_t ret_digest[DIGEST_SIZE]);
int keys_fingerprint(const struct vault_keys *keys, const struct secret *key, char ret_text[FINGERPRINT_TEXT_SIZE]);
/* A number for a device and uplink that nobody without the vault can compute; a rekey carries it over. */
int keys_entry_id(const struct vault_keys *keys, const char *device, const char *uplink, uint64_t *ret_id);
int keys_opaque_id(const struct vault_keys *keys, const char *device, char ret_id[OPAQUE_ID_SIZE]);
