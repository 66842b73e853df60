/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vault/recover.h"

#include "base/encode.h"
#include "vault/keyfile.h"
#include "vault/store.h"

#include <string.h>

/* A line, without what only helps to read it. Whatever is longer than a cell is no such key. */
static int read_line(int fd, struct secret *line, struct error *e)
{
    char c = 0;

    while (c != '\n') {
        ssize_t k = read(fd, &c, 1);

        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return error_errno(e, -errno, "cannot read the recovery key");
        if (k == 0)
            break;
        if (strchr(" -\t\r\n", c))
            continue;
        if (line->size == ARENA_CELL_SIZE)
            return error_set(e, -EINVAL, "that is too long for a recovery key");
        line->bytes[line->size++] = (uint8_t)c;
    }
    explicit_bzero(&c, sizeof(c));
    return 0;
}

int recovery_key_read(struct arena *arena, int fd, struct secret **ret, struct error *e)
{
    _cleanup_(secret_freep) struct secret *line = NULL, *key = NULL;
    int r = secret_new(arena, &line);

    if (r >= 0)
        r = secret_new(arena, &key);
    if (r < 0)
        return error_errno(e, r, "no room for the recovery key");
    r = read_line(fd, line, e);
    if (r < 0)
        return r;
    if (line->size != 2 * SEAL_KEY_SIZE ||
        hex_decode((const char *)line->bytes, line->size, key->bytes, SEAL_KEY_SIZE) < 0)
        return error_set(e, -EINVAL, "a recovery key has %d hex digits, in groups or not; this has %zu characters",
                         2 * SEAL_KEY_SIZE, line->size);
    key->size = SEAL_KEY_SIZE;
    *ret = TAKE_PTR(key);
    return 0;
}

static int write_keys(struct store *store, const struct sealed_keys *sealed, struct error *e)
{
    int r = store_begin(store, e);

    if (r < 0)
        return r;
    r = store_write_keys(store, sealed, e);
    if (r < 0) {
        store_rollback(store);
        return r;
    }
    r = store_commit(store, e);
    if (r >= 0)
        store_accept(store);
    return r;
}

int vault_wrap_anew(struct arena *arena, const struct vault_wrapping *w, const struct vault_keys *keys,
                    const struct secret *recovery_key, struct error *e)
{
    _cleanup_(secret_freep) struct secret *keyfile = NULL;
    _cleanup_(store_freep) struct store *store = NULL;
    _cleanup_(keys_done) struct vault_keys opened = {0};
    struct sealed_keys sealed;
    int r = keyfile_read(arena, w->keyfile, &keyfile, e);

    if (r >= 0)
        r = store_new(w->path, &store, e);
    if (r >= 0)
        r = store_exists(store, e);
    if (r == 0)
        return error_set(e, -ENOENT, "there is no vault %s", w->path);
    if (r >= 0)
        r = store_open(store, &sealed, e);
    if (r >= 0 && !keys)
        r = keys_open_recovery(recovery_key, &sealed, &opened, e);
    if (r >= 0)
        r = keys_seal(keys ?: &opened, keyfile, w->bind, w->bind_size, &sealed, e);
    return r < 0 ? r : write_keys(store, &sealed, e);
}
