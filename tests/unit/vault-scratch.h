/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A vault in a scratch directory of its own, for the units of src/vault. Included after cmocka.h's prerequisites. */

#include "scratch-dir.h"

#include "base/durable.h"
#include "vault/key.h"
#include "vault/vault.h"

#include <fcntl.h>
#include <ftw.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct scratch {
    char directory[64], path[96], keyfile[96];
    sd_event *event;
    struct arena *arena;
    struct vault *vault;
    struct vault_options options;
};

static int scratch_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

static inline int scratch_open(struct scratch *s, struct error *e)
{
    return vault_open(s->event, s->arena, &s->options, &s->vault, e);
}

static inline void scratch_reopen(struct scratch *s)
{
    struct error e = {0};

    s->vault = vault_free(s->vault);
    if (scratch_open(s, &e) < 0)
        fail_msg("cannot open again: %s", e.text);
    /* Nobody has put anything back. */
    assert_null(vault_put_back(s->vault));
}

static inline void scratch_write(const char *path, const void *data, size_t n, mode_t mode)
{
    assert_int_equal(durable_write(AT_FDCWD, path, data, n, mode, NULL), 0);
}

/* A directory, a keyfile and options; the vault is not opened. */
static inline int scratch_prepare(void **state)
{
    struct scratch *s = calloc(1, sizeof(*s));
    uint8_t key[KEYFILE_SIZE];

    scratch_directory(s->directory, sizeof(s->directory), "unit");
    snprintf(s->path, sizeof(s->path), "%s/vault.db", s->directory);
    snprintf(s->keyfile, sizeof(s->keyfile), "%s/key", s->directory);
    assert_int_equal(gnutls_rnd(GNUTLS_RND_RANDOM, key, sizeof(key)), 0);
    scratch_write(s->keyfile, key, sizeof(key), 0400);
    assert_int_equal(sd_event_new(&s->event), 0);
    assert_int_equal(arena_new(&s->arena, NULL), 0);
    s->options = (struct vault_options){.path = s->path, .keyfile = s->keyfile, .allow_volatile = true};
    *state = s;
    return 0;
}

static inline int scratch_setup(void **state)
{
    struct error e = {0};

    scratch_prepare(state);
    if (scratch_open(*state, &e) < 0)
        fail_msg("cannot open: %s", e.text);
    return 0;
}

static inline int scratch_teardown(void **state)
{
    struct scratch *s = *state;

    vault_free(s->vault);
    /* Whoever opened a key has given it back. */
    assert_int_equal(arena_cells_free(s->arena), ARENA_CELLS);
    arena_free(s->arena);
    sd_event_unref(s->event);
    nftw(s->directory, scratch_remove, 16, FTW_DEPTH | FTW_PHYS);
    free(s);
    return 0;
}

/* A key that passes for random and is the same for the same number. */
static inline struct secret *scratch_key(struct scratch *s, unsigned number, size_t n)
{
    struct secret *key = NULL;
    uint64_t x = number * UINT64_C(0x9e3779b97f4a7c15) + 1;

    assert_int_equal(secret_new(s->arena, &key), 0);
    for (size_t i = 0; i < n; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        key->bytes[i] = (uint8_t)(x >> 24);
    }
    key->size = n;
    return key;
}

static inline int scratch_put_in(struct vault_change *c, struct scratch *s, enum vault_slot slot, const char *identity,
                                 unsigned number, struct error *e)
{
    _cleanup_(secret_freep) struct secret *key = scratch_key(s, number, 32);

    return vault_change_put(c, slot, identity, VAULT_PSK, key, 0, e);
}

static inline int scratch_put(struct scratch *s, const char *device, enum vault_slot slot, const char *identity,
                              unsigned number, struct error *e)
{
    struct vault_change *c = vault_change_new(s->vault, device, "cloud");

    scratch_put_in(c, s, slot, identity, number, NULL);
    return vault_commit_sync(s->vault, c, e);
}

static inline void scratch_expect_key(struct scratch *s, const char *device, enum vault_slot slot, unsigned number)
{
    _cleanup_(secret_freep) struct secret *key = NULL, *expected = scratch_key(s, number, 32);
    struct vault_entry *entry = vault_find(s->vault, device, "cloud");
    struct error e = {0};

    assert_non_null(entry);
    if (vault_key_open(s->vault, entry, slot, &key, &e) < 0)
        fail_msg("%s", e.text);
    assert_int_equal(key->size, expected->size);
    assert_memory_equal(key->bytes, expected->bytes, key->size);
}

/* A hash of a file's bytes; "" if there is none. */
static inline void scratch_hash(const char *path, uint8_t ret[32])
{
    _cleanup_free_ char *data = NULL;
    size_t n = 0;

    memset(ret, 0, 32);
    if (file_read(AT_FDCWD, path, 64 << 20, &data, &n, NULL) >= 0)
        gnutls_hash_fast(GNUTLS_DIG_SHA256, data, n, ret);
}
