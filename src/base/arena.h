/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The locked arena: the only memory in which key bytes stand unsealed.
 *
 * One mapping of ARENA_CELLS cells of ARENA_CELL_SIZE bytes, mlock()ed, left out of core dumps (MADV_DONTDUMP), empty
 * in a forked child (MADV_WIPEONFORK), between two guard pages. A cell is wiped when it is freed, so the arena also
 * bounds how many handshakes can hold a key at once. Loop thread, or one worker at a time for a cell handed to it.
 *
 * arena_new fails with -ENOMEM/-EPERM and says which limit (LimitMEMLOCK=) is short; nothing falls back to ordinary
 * memory. */

#include "base/cleanup.h"
#include "base/error.h"
#include "base/limits.h"

#include <stddef.h>
#include <stdint.h>

struct arena;
/* A key or secret in the arena: `size` of the ARENA_CELL_SIZE bytes at `bytes` are in use. */
struct secret {
    struct arena *arena;
    uint8_t *bytes;
    size_t size;
};

int arena_new(struct arena **ret, struct error *e);
/* All cells are wiped, also those still in use; their owners may not touch them afterwards. */
struct arena *arena_free(struct arena *a);
DEFINE_FREEP(struct arena, arena_free)

/* A zeroed cell with size 0. -ENOBUFS when all are in use: wait for a handshake to end. */
int secret_new(struct arena *a, struct secret **ret);
/* A cell with n random bytes (gnutls_rnd, GNUTLS_RND_KEY). */
int secret_random(struct arena *a, size_t n, struct secret **ret);
/* Wipes and gives back the cell. */
struct secret *secret_free(struct secret *s);
DEFINE_FREEP(struct secret, secret_free)

size_t arena_cells_free(const struct arena *a);
