/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Backups of the vault, and putting one back.
 *
 * A backup is the whole database, sealed under HKDF(vault key, "gatehouse v1 backup"). Its head has the vault key
 * twice: under the keyfile, and under the recovery key, if there was one. So it opens with the keyfile of its time, or
 * that recovery key, and with nothing else.
 *
 * Format 1 has the first wrap under HKDF(keyfile, "gatehouse v1 backup"), without the bind value, since a backup that
 * somebody asks for is for another board too. Format 2 has the vault's own wrap there, under keyfile and bind value:
 * for those that are made by themselves and lie where the vault lies, or binding it would be worth nothing.
 *
 * "GHVB", format, vault id, epoch, keyfile check, wrap, the three subkeys, whether there is a
 * recovery wrap, its check, the wrap; then nonce, ciphertext, tag, with all before as associated data. */

#include "vault/keys.h"
#include "vault/vault.h"

/* ── Making one: loop thread, open vault ── */

enum vault_backup_for {
    VAULT_BACKUP_ANY_BOARD,
    VAULT_BACKUP_THIS_BOARD, /* of a bound vault: opens with the bind value too; of another the same as above */
};

/* `data` is the callee's (free) on r = 0, otherwise NULL. */
typedef void vault_backup_done_fn(int r, uint8_t *data, size_t n, const struct error *e, void *userdata);
/* A copy of what is committed, sealed on the worker; `done` is called on the loop, once, never from within. -EBUSY
 * during a rekey. */
int vault_backup(struct vault *vault, enum vault_backup_for who, vault_backup_done_fn *done, void *userdata,
                 struct error *e);
/* The same, blocking, into a new file of mode 0600. */
int vault_backup_sync(struct vault *vault, const char *file, struct error *e);

/* ── Putting it back: no agent runs ── */

struct vault_restore {
    const char *path, *file;           /* of vault.db, of the backup */
    const char *keyfile;               /* seals the restored vault; NULL: the credential */
    const char *backup_keyfile;        /* opens the backup; NULL: the same */
    const struct secret *recovery_key; /* opens the backup instead; NULL: the keyfile does */
    const void *bind;
    size_t bind_size;
    bool force;
    /* Called for each difference from the present vault. May be NULL. */
    void (*differs)(const char *device, const char *uplink, const char *how, void *userdata);
    void *userdata;
};

#define VAULT_REPLACED_MAX 4096

/* Makes the backup the vault, with each entry marked as restored and each identity counter VAULT_COUNTER_LEAP past what
 * either knew. The present vault, if any, is kept beside it under the name that `replaced` gets ("" if there was none).
 * Returns the number of entries. -ESTALE: the present vault is newer, another one, or cannot be read, and not forced
 * (nothing was changed). -EKEYREJECTED: neither keyfile nor recovery key opens it. -EBADMSG: no backup, or damaged.
 * -EBUSY: an agent runs. */
int vault_restore(sd_event *event, struct arena *arena, const struct vault_restore *options,
                  char replaced[VAULT_REPLACED_MAX], struct error *e);

/* ── The format; pure ── */

#define BACKUP_HEAD_SIZE (4 + 1 + VAULT_ID_SIZE + 8 + 2 * KEYFILE_CHECK_SIZE + 5 * WRAP_SIZE + 1)

struct backup {
    struct sealed_keys sealed; /* of format 1 without the wrap of the keyfile; `bound`: of format 2 */
    uint8_t wrap[WRAP_SIZE];   /* of format 1: under the keyfile, without bind */
    const uint8_t *head;
    const uint8_t *box;
    size_t box_size;
};

/* The first bytes of every backup. */
#define BACKUP_BEGIN_SIZE 5
/* Whether it is a backup that opens without the bind value. */
bool backup_is_unbound(const uint8_t begin[BACKUP_BEGIN_SIZE]);

/* `wrap` NULL: the vault's own, for format 2. */
void backup_head(const struct sealed_keys *sealed, const uint8_t wrap[WRAP_SIZE], uint8_t ret[BACKUP_HEAD_SIZE]);
/* *ret points into `data`. -EBADMSG, -EPROTONOSUPPORT: of a later format. */
int backup_parse(const uint8_t *data, size_t n, struct backup *ret);
/* The database in it (free). -EBADMSG: not authentic. */
int backup_open(const struct backup *b, const struct vault_keys *keys, uint8_t **ret, size_t *ret_size,
                struct error *e);
