/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The sums of all devices, and who gives way: the one with the largest share. */
#include "base/cleanup.h"
#include "base/limits.h"
#include "spool/segments.h"

#include <errno.h>
#include <stdlib.h>

int account_reserve(struct account *a, size_t n)
{
    size_t room = MAX_OF(a->heap_room * 2, (size_t)16);
    struct segments **heap;

    if (n <= a->heap_room)
        return 0;
    heap = reallocarray(a->heap, room, sizeof(*heap));
    if (!heap)
        return -ENOMEM;
    a->heap = heap;
    a->heap_room = room;
    return 0;
}

void account_done(struct account *a)
{
    free(a->heap);
    *a = (struct account){.ops = a->ops};
}

uint64_t segments_share(const struct segments *g)
{
    return g->settled.memory + g->settled.disk;
}

/* ---- The heap of shares ---- */

static void heap_put(struct account *a, size_t i, struct segments *g)
{
    a->heap[i] = g;
    g->heap_index = (uint32_t)i;
}

static void heap_sift(struct account *a, struct segments *g)
{
    size_t i = g->heap_index;
    uint64_t own = segments_share(g);

    while (i > 0 && segments_share(a->heap[(i - 1) / 2]) < own) {
        heap_put(a, i, a->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    for (;;) {
        size_t child = 2 * i + 1;

        if (child + 1 < a->n_heap && segments_share(a->heap[child + 1]) > segments_share(a->heap[child]))
            child++;
        if (child >= a->n_heap || segments_share(a->heap[child]) <= own)
            break;
        heap_put(a, i, a->heap[child]);
        i = child;
    }
    heap_put(a, i, g);
}

static void heap_leave(struct account *a, struct segments *g)
{
    struct segments *last = a->heap[--a->n_heap];

    if (last != g) {
        heap_put(a, g->heap_index, last);
        heap_sift(a, last);
    }
    g->heap_index = NOT_IN_HEAP;
}

/* ---- Sums ---- */

static struct segments_sums sums_of(const struct segments *g)
{
    const struct segments_rows *t = g->rows;
    struct segments_sums m = {.queued = g->queue.n, .memory = g->queue.bytes, .unwritten = segments_unwritten(g)};

    if (t) {
        m.queued += t->tail.n + segments_only_on_disk(g);
        m.memory += t->tail.bytes;
        m.disk = t->bytes;
    }
    if (m.unwritten > 0) {
        const struct spool_queue *q = t && t->rest.count > 0 ? &t->tail : &g->queue;

        m.unwritten_bytes = (uint32_t)((uint64_t)q->bytes * m.unwritten / q->n);
    }
    return m;
}

void segments_settle(struct segments *g)
{
    struct account *a = g->account;
    struct segments_sums before = g->settled, m = sums_of(g);

    g->settled = m;
    a->queued += m.queued - before.queued;
    a->disk += m.disk - before.disk;
    a->memory += (uint64_t)m.memory - before.memory;
    a->unwritten += (uint64_t)m.unwritten - before.unwritten;
    a->unwritten_bytes += (uint64_t)m.unwritten_bytes - before.unwritten_bytes;
    if (m.queued == 0 && g->heap_index != NOT_IN_HEAP)
        heap_leave(a, g);
    if (m.queued == 0)
        return;
    if (g->heap_index == NOT_IN_HEAP) {
        heap_put(a, a->n_heap++, g);
        heap_sift(a, g);
    } else if (m.memory + m.disk != before.memory + before.disk)
        heap_sift(a, g);
}

/* ---- Giving way ---- */

/* After that one by share, the largest first; of those with the same share by their place. */
static struct segments *next_largest(const struct account *a, const struct segments *after)
{
    struct segments *best = NULL;

    for (size_t i = 0; i < a->n_heap; i++) {
        struct segments *g = a->heap[i];
        uint64_t share = segments_share(g), most = segments_share(after);
        bool later = share < most || (share == most && i > after->heap_index);

        if (later && (!best || share > segments_share(best)))
            best = g;
    }
    return best;
}

/* From the largest share, or, when all of that is under way, from the next. */
static bool evict_largest(struct account *a, bool rows)
{
    struct segments *g = a->n_heap > 0 ? a->heap[0] : NULL;

    while (g && !segments_evict(g, rows))
        g = next_largest(a, g);
    return g != NULL;
}

bool account_bound_disk(struct account *a, uint64_t most)
{
    while (a->disk > most)
        if (!evict_largest(a, true))
            return false;
    return true;
}

bool account_bound_memory(struct account *a, uint64_t most, uint64_t more)
{
    while (a->memory + more > most)
        if (!evict_largest(a, false))
            return false;
    return true;
}

bool account_evict_unwritten(struct account *a)
{
    struct segments *best = NULL;
    uint32_t most = 0;

    for (size_t i = 0; i < a->n_heap; i++)
        if (a->heap[i]->settled.unwritten_bytes > most && segments_may_evict_unwritten(a->heap[i])) {
            best = a->heap[i];
            most = best->settled.unwritten_bytes;
        }
    return best && segments_evict_unwritten(best, SPOOL_EVICTED_AT_ONCE) > 0;
}
