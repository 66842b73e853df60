/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/arena.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

struct arena {
    pthread_mutex_t mutex; /* a worker may free the cell that it was handed */
    uint8_t *mapping;      /* guard page, cells, guard page */
    size_t page;
    uint8_t *cells;
    size_t n_free;
    uint16_t next_free[ARENA_CELLS]; /* a stack of free cells */
    struct secret secrets[ARENA_CELLS];
};

#define CELLS_SIZE ((size_t)ARENA_CELLS * ARENA_CELL_SIZE)

static int map_cells(struct arena *a, struct error *e)
{
    struct rlimit limit = {0};

    a->mapping = mmap(NULL, CELLS_SIZE + 2 * a->page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (a->mapping == MAP_FAILED) {
        a->mapping = NULL;
        return error_errno(e, -errno, "cannot map the key arena");
    }
    if (mprotect(a->mapping + a->page, CELLS_SIZE, PROT_READ | PROT_WRITE) < 0)
        return error_errno(e, -errno, "cannot open the key arena");
    a->cells = a->mapping + a->page;
    if (mlock(a->cells, CELLS_SIZE) < 0) {
        int r = -errno;

        getrlimit(RLIMIT_MEMLOCK, &limit);
        if (r == -EPERM && limit.rlim_cur > 0)
            return error_errno(e, r,
                               "cannot lock memory for keys: mlock(2) is forbidden here (in a container of "
                               "systemd-nspawn: --system-call-filter=@memlock)");
        return error_errno(e, r, "cannot lock %zu bytes for keys (RLIMIT_MEMLOCK is %llu; raise LimitMEMLOCK=)",
                           CELLS_SIZE, (unsigned long long)limit.rlim_cur);
    }
    if (madvise(a->cells, CELLS_SIZE, MADV_DONTDUMP) < 0 || madvise(a->cells, CELLS_SIZE, MADV_WIPEONFORK) < 0)
        return error_errno(e, -errno, "cannot keep the key arena out of dumps and children");
    return 0;
}

int arena_new(struct arena **ret, struct error *e)
{
    _cleanup_(arena_freep) struct arena *a = calloc(1, sizeof(*a));
    int r;

    if (!a)
        return -ENOMEM;
    pthread_mutex_init(&a->mutex, NULL);
    a->page = (size_t)sysconf(_SC_PAGESIZE);
    r = map_cells(a, e);
    if (r < 0)
        return r;
    for (size_t i = 0; i < ARENA_CELLS; i++) {
        a->secrets[i] = (struct secret){.arena = a, .bytes = a->cells + i * ARENA_CELL_SIZE};
        a->next_free[i] = (uint16_t)(ARENA_CELLS - 1 - i);
    }
    a->n_free = ARENA_CELLS;
    *ret = TAKE_PTR(a);
    return 0;
}

struct arena *arena_free(struct arena *a)
{
    if (!a)
        return NULL;
    if (a->mapping) {
        if (a->cells)
            gnutls_memset(a->cells, 0, CELLS_SIZE);
        munmap(a->mapping, CELLS_SIZE + 2 * a->page);
    }
    pthread_mutex_destroy(&a->mutex);
    free(a);
    return NULL;
}

int secret_new(struct arena *a, struct secret **ret)
{
    struct secret *s = NULL;

    pthread_mutex_lock(&a->mutex);
    if (a->n_free > 0) {
        s = &a->secrets[a->next_free[--a->n_free]];
        s->size = 0;
    }
    pthread_mutex_unlock(&a->mutex);
    if (!s)
        return -ENOBUFS;
    *ret = s;
    return 0;
}

int secret_random(struct arena *a, size_t n, struct secret **ret)
{
    _cleanup_(secret_freep) struct secret *s = NULL;
    int r;

    if (n > ARENA_CELL_SIZE)
        return -EINVAL;
    r = secret_new(a, &s);
    if (r < 0)
        return r;
    if (gnutls_rnd(GNUTLS_RND_KEY, s->bytes, n) < 0)
        return -EIO;
    s->size = n;
    *ret = TAKE_PTR(s);
    return 0;
}

struct secret *secret_free(struct secret *s)
{
    struct arena *a;

    if (!s)
        return NULL;
    a = s->arena;
    gnutls_memset(s->bytes, 0, ARENA_CELL_SIZE);
    pthread_mutex_lock(&a->mutex);
    s->size = 0;
    a->next_free[a->n_free++] = (uint16_t)(s - a->secrets);
    pthread_mutex_unlock(&a->mutex);
    return NULL;
}

size_t arena_cells_free(const struct arena *a)
{
    return a->n_free;
}
