/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* vault.db: the SQLite side of the vault. It sees sealed bytes only.
 *
 * WAL, synchronous=FULL, secure_delete, exclusive; beside it `vault.db.lock`, on which the holder has a lock. A file
 * that is not a vault is recognised by its header before SQLite sees it, and never written to; a new vault is complete
 * before it gets its name. One connection, one thread at a time: the loop's while opening, then the worker's.
 *
 * Errors carry the path and SQLite's reason: -ENOSPC, -EROFS, -EIO, -EBADMSG (corrupt), -EMEDIUMTYPE (not a vault),
 * -EPROTONOSUPPORT (a later format), -EBUSY (held, with the holder's pid), -EEXIST (a key is there already). */

#include "base/error.h"
#include "vault/keys.h"
#include "vault/seal.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store;

/* Takes the lock; the file need not exist yet. */
int store_new(const char *path, struct store **ret, struct error *e);
struct store *store_free(struct store *s);
DEFINE_FREEP(struct store, store_free)

/* Moves the log of a database that nobody holds into it, so that the file is whole by itself; needs no key. One that is
 * damaged keeps its log. */
void store_settle(const char *path);
/* 1 if the file is there, 0 if not. -EBADMSG if only its log is. */
int store_exists(const struct store *s, struct error *e);
/* Makes the file, durably, never over another. */
int store_create(struct store *s, const struct sealed_keys *keys, struct error *e);
int store_open(struct store *s, struct sealed_keys *ret_keys, struct error *e);
/* From here on closing may write to the file: its keys opened. */
void store_accept(struct store *s);

/* One entry as it is read; nothing of it outlives the callback. */
struct store_row {
    const char *device, *uplink;
    const uint8_t *state;
    size_t state_size;
    struct {
        const uint8_t *record; /* NULL: none */
        size_t size;
        const uint8_t *digest; /* DIGEST_SIZE bytes, NULL: none */
    } slots[2];
};

/* Up to `limit` entries (0: all) that follow (after_device, after_uplink) in order; "" and "" for the beginning. */
int store_read(struct store *s, const char *after_device, const char *after_uplink, size_t limit,
               int (*row)(const struct store_row *row, void *userdata), void *userdata, struct error *e);
/* Every key ever held, retired ones included. */
int store_read_keys(struct store *s, int (*row)(const uint8_t *digest, const char *device, void *userdata),
                    void *userdata, struct error *e);
/* SQLite's own look at the file's structure. */
int store_check(struct store *s, struct error *e);

/* One entry as it is to be from now on. */
struct store_write {
    const char *device, *uplink;
    const uint8_t *state;
    size_t state_size;
    struct {
        bool changed;
        const uint8_t *record; /* NULL: forgotten */
        size_t size;
        bool retire_key; /* the key that was in the slot */
    } slots[2];
    struct {
        const uint8_t *digest;
        int slot; /* -1: retired at once */
    } * keys;     /* to be added to the index */
    size_t n_keys;
};

int store_begin(struct store *s, struct error *e);
/* Within a transaction: the vault's keys, sealed anew; there are no other wraps then. */
int store_write_keys(struct store *s, const struct sealed_keys *keys, struct error *e);
/* The one record of struct versions, within a transaction. */
int store_write_versions(struct store *s, const uint8_t *sealed, size_t n, struct error *e);
/* *ret_size 0: there is none; cut to `size`. */
int store_read_versions(struct store *s, uint8_t *ret, size_t size, size_t *ret_size, struct error *e);
int store_write(struct store *s, const struct store_write *w, struct error *e);
/* Durable when it returns 0; after a failure nothing was changed. */
int store_commit(struct store *s, struct error *e);
void store_rollback(struct store *s);
/* The whole database as it would be written to a file without a log. */
int store_image(struct store *s, uint8_t **ret, size_t *ret_size, struct error *e);
void store_image_free(uint8_t *image);
/* Moves the log into the file and empties it, so that what was forgotten stands in neither. */
int store_checkpoint(struct store *s, struct error *e);
