/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Per-device accounting and eviction. */
#include "spool/internal.h"

#include <string.h>

struct spool_queue *last_queue(struct spool_device *d)
{
    return d->stored && d->stored->rest.count > 0 ? &d->stored->tail : &d->queue;
}

uint32_t unwritten(const struct spool_device *d)
{
    const struct stored *t = d->stored;

    if (!t)
        return d->queue.n;
    return t->rest.count > 0 ? t->tail.n - t->writing : d->queue.n - t->in_queue - t->writing;
}

struct measure measure(const struct spool_device *d)
{
    const struct stored *t = d->stored;
    struct measure m = {.queued = d->queue.n, .memory = d->queue.bytes, .unwritten = unwritten(d)};

    if (t) {
        m.queued += t->tail.n + t->rest.samples - (t->n_head == 0 && t->rest.count > 0 ? t->gone : 0);
        m.memory += t->tail.bytes;
    }
    m.share = m.memory + (t ? t->bytes : 0);
    if (m.unwritten > 0) {
        const struct spool_queue *q = t && t->rest.count > 0 ? &t->tail : &d->queue;

        m.unwritten_bytes = q->bytes * m.unwritten / q->n;
    }
    return m;
}

static uint64_t share(const struct spool_device *d)
{
    return d->queue.bytes + (d->stored ? d->stored->tail.bytes + d->stored->bytes : 0);
}

/* ---- The heap of shares ---- */

static void heap_put(struct spool *s, size_t i, struct spool_device *d)
{
    s->heap[i] = d;
    d->heap_index = (uint32_t)i;
}

static void heap_sift(struct spool *s, struct spool_device *d)
{
    size_t i = d->heap_index;
    uint64_t own = share(d);

    while (i > 0 && share(s->heap[(i - 1) / 2]) < own) {
        heap_put(s, i, s->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    for (;;) {
        size_t child = 2 * i + 1;

        if (child + 1 < s->n_heap && share(s->heap[child + 1]) > share(s->heap[child]))
            child++;
        if (child >= s->n_heap || share(s->heap[child]) <= own)
            break;
        heap_put(s, i, s->heap[child]);
        i = child;
    }
    heap_put(s, i, d);
}

void changed(struct spool_device *d, const struct measure *before)
{
    struct spool *s = d->spool;
    struct measure m = measure(d);
    struct spool_device *last;

    s->totals.queued += m.queued - before->queued;
    s->totals.bytes += m.share - before->share;
    s->memory += m.memory - before->memory;
    s->unwritten += m.unwritten - before->unwritten;
    s->unwritten_bytes += m.unwritten_bytes - before->unwritten_bytes;
    s->disk += (m.share - m.memory) - (before->share - before->memory);
    if (m.queued > 0 && d->heap_index == NOT_IN_HEAP)
        heap_put(s, s->n_heap++, d);
    if (m.queued > 0) {
        if (m.share != before->share)
            heap_sift(s, d);
    } else if (d->heap_index != NOT_IN_HEAP) {
        last = s->heap[--s->n_heap];
        if (last != d) {
            heap_put(s, d->heap_index, last);
            heap_sift(s, last);
        }
        d->heap_index = NOT_IN_HEAP;
    }
}

/* ---- Leaving ---- */

void count_dropped(struct spool_device *d, uint64_t n)
{
    d->dropped += n;
    d->spool->totals.dropped += n;
    if (d->stored && writes(d->spool)) {
        d->stored->counts_changed = true;
        device_care(d);
    }
}

static void head_popped(struct spool_device *d, uint32_t i)
{
    struct stored *t = d->stored;

    t->bytes -= t->head[i].size + SPOOL_ROW_OVERHEAD;
    delete_row(d->spool, t->head[i].seq);
    if (i == 0)
        t->gone = 0;
    memmove(t->head + i, t->head + i + 1, (--t->n_head - i) * sizeof(*t->head));
}

/* The first sample of the queue, of which the account is settled by the caller. */
static void release_first(struct spool_device *d)
{
    struct stored *t = d->stored;

    spool_queue_remove(&d->queue, &d->points, 0);
    d->held -= d->held > 0;
    if (!t)
        return;
    if (t->in_queue > 0) {
        t->in_queue--;
        if (++t->gone == t->head[0].n)
            head_popped(d, 0);
        else if (!t->cursor_changed) {
            t->cursor_changed = true;
            device_care(d);
        }
        return;
    }
    if (t->writing > 0) {
        t->writing--;
        t->writing_gone++;
    }
    passed(d, 1);
}

void release(struct spool_device *d)
{
    struct measure before = measure(d);

    release_first(d);
    changed(d, &before);
    if (d->stored && unwritten(d) == 0)
        not_dirty(d->stored);
}

/* Whether a later one of its point stands among the first n of the queue. */
static bool has_later(const struct spool_device *d, uint32_t n)
{
    struct spool_queue_cursor c = spool_queue_from(&d->queue, 0);
    const struct spool_point *points = d->points.points;
    const struct entry *e = spool_queue_step(&c), *later;

    for (uint32_t i = 1; i < n && (later = spool_queue_step(&c)); i++)
        if (!(later->quality & SAMPLE_BOOTTIME) &&
            (later->point == e->point || strcmp(points[later->point].name, points[e->point].name) == 0))
            return true;
    return false;
}

bool later_is_safe(const struct spool_device *d)
{
    const struct stored *t = d->stored;
    uint32_t n = unwritten(d);

    if (!t || n == 0 || !writes(d->spool) || (t->in_queue == 0 && t->writing == 0))
        return true;
    if (t->last_waiter && t->last_waiter->until >= t->passed + t->writing + n)
        return true;
    return has_later(d, t->rest.count > 0 ? d->queue.n : d->queue.n - n);
}

void rest_popped(struct spool_device *d)
{
    struct stored *t = d->stored;

    spool_rows_pop(&t->rest);
    if (t->rest.count == 0)
        spool_queue_join(&d->queue, &t->tail);
}

/* The first row in memory of which nothing is held, n_head if there is none; the samples of the queue before it. */
static uint32_t head_free(const struct spool_device *d, uint32_t *ret_at)
{
    const struct stored *t = d->stored;
    uint32_t at = 0, i = 0;

    for (; i < t->n_head && at < d->held; i++)
        at += t->head[i].n - (i == 0 ? t->gone : 0);
    *ret_at = at;
    return i;
}

static bool evict_head(struct spool_device *d)
{
    struct stored *t = d->stored;
    uint32_t at, i = head_free(d, &at), n;

    if (i == t->n_head)
        return false;
    n = t->head[i].n - (i == 0 ? t->gone : 0);
    for (uint32_t k = 0; k < n; k++)
        spool_queue_remove(&d->queue, &d->points, at);
    t->in_queue -= n;
    head_popped(d, i);
    count_dropped(d, n);
    return true;
}

static bool evict_rest(struct spool_device *d)
{
    struct stored *t = d->stored;
    struct spool_row row;

    if (!spool_rows_first(&t->rest, &row))
        return false;
    count_dropped(d, row.n - (t->n_head == 0 ? t->gone : 0));
    if (t->n_head == 0)
        t->gone = 0;
    t->bytes -= row.size + SPOOL_ROW_OVERHEAD;
    delete_row(d->spool, row.seq);
    rest_popped(d);
    return true;
}

/* Where the oldest that is in no row, and not held, stands in the last queue; beyond its end if there is none that may
 * go. What somebody waits for stays. */
static uint32_t unwritten_free(const struct spool_device *d)
{
    const struct stored *t = d->stored;
    bool split = t && t->rest.count > 0;
    const struct spool_queue *q = split ? &t->tail : &d->queue;
    uint32_t at = q->n - unwritten(d);

    if (t && (t->first_waiter || again_unsafe(t)))
        return q->n;
    return split ? at : MAX_OF(at, d->held);
}

static bool evict_unwritten(struct spool_device *d)
{
    struct spool_queue *q = last_queue(d);
    uint32_t at = unwritten_free(d);

    if (at >= q->n)
        return false;
    spool_queue_remove(q, &d->points, at);
    count_dropped(d, 1);
    if (d->stored)
        passed(d, 1);
    return true;
}

bool evict(struct spool_device *d, bool rows)
{
    struct measure before = measure(d);
    bool found = (d->stored && (evict_head(d) || evict_rest(d))) || (!rows && evict_unwritten(d));

    if (found)
        changed(d, &before);
    return found;
}

/* The device with most that stands in memory alone and may go. */
static struct spool_device *largest_unwritten(const struct spool *s)
{
    struct spool_device *best = NULL;
    uint64_t most = 0;

    for (size_t i = 0; i < s->n_heap; i++) {
        struct spool_device *d = s->heap[i];
        uint64_t bytes = measure(d).unwritten_bytes;

        if (bytes > most && unwritten_free(d) < last_queue(d)->n) {
            best = d;
            most = bytes;
        }
    }
    return best;
}

bool evict_memory(struct spool *s)
{
    struct spool_device *d = largest_unwritten(s);
    struct measure before;

    if (!d)
        return false;
    before = measure(d);
    for (unsigned i = 0; i < SPOOL_EVICTED_AT_ONCE && evict_unwritten(d); i++)
        ;
    changed(d, &before);
    return true;
}

/* ---- Bounds ---- */

/* After that one by share, the largest first; of those with the same share by their place. */
static struct spool_device *next_largest(const struct spool *s, const struct spool_device *after)
{
    struct spool_device *best = NULL;

    for (size_t i = 0; i < s->n_heap; i++) {
        struct spool_device *d = s->heap[i];
        bool later = share(d) < share(after) || (share(d) == share(after) && i > after->heap_index);

        if (later && (!best || share(d) > share(best)))
            best = d;
    }
    return best;
}

/* From the largest share, or, when all of that is under way, from the next. */
static bool evict_largest(struct spool *s, bool rows)
{
    struct spool_device *d = s->n_heap > 0 ? s->heap[0] : NULL;

    while (d && !evict(d, rows))
        d = next_largest(s, d);
    return d != NULL;
}

bool make_room(struct spool *s, uint64_t more)
{
    uint64_t most = writes(s) ? SPOOL_MEMORY_MAX : MIN_OF(s->settings.max_bytes, (uint64_t)SPOOL_MEMORY_MAX);

    if (writes(s))
        return s->unwritten_bytes + more <= most;
    while (s->memory + more > most)
        if (!evict_largest(s, false))
            return false;
    return true;
}

void enforce(struct spool *s)
{
    while (s->disk > s->settings.max_bytes && evict_largest(s, true))
        ;
}

/* ---- Age ---- */

/* Seconds of CLOCK_BOOTTIME at which the row arrived, had its boot been this one; false if that is not known. */
static bool row_arrived(const struct spool *s, const struct spool_row *row, int64_t *ret)
{
    const struct boot *b = boot_of(s, row->seq), *present = &s->boots[s->boot];

    if (!b)
        return false;
    *ret = row->arrived;
    if (b == present)
        return true;
    if (!boots_compare(b, present))
        return false;
    *ret += (b->stored.offset - present->stored.offset) / (int64_t)USEC_PER_SEC;
    return true;
}

/* Whether the next to be evicted arrived before that: as evict() looks for it. */
static bool next_is_old(const struct spool_device *d, int64_t oldest)
{
    const struct stored *t = d->stored;
    const struct spool_queue *q = t && t->rest.count > 0 ? &t->tail : &d->queue;
    uint32_t i = t ? head_free(d, &(uint32_t){0}) : 0, at;
    struct spool_row row;
    int64_t arrived;

    if (t && i < t->n_head)
        return row_arrived(d->spool, &t->head[i], &arrived) && arrived < oldest;
    if (t && spool_rows_first(&t->rest, &row))
        return row_arrived(d->spool, &row, &arrived) && arrived < oldest;
    at = unwritten_free(d);
    return at < q->n && (int64_t)(int32_t)spool_queue_at(q, at)->arrived < oldest;
}

void drop_old(struct spool_device *d, uint64_t now)
{
    int64_t oldest = ((int64_t)now - (int64_t)d->spool->settings.max_age) / (int64_t)USEC_PER_SEC;
    struct measure before = measure(d);
    uint32_t n = 0;

    while (d->held == 0 && d->queue.n > 0 && (int64_t)(int32_t)spool_queue_at(&d->queue, 0)->arrived < oldest) {
        release_first(d);
        n++;
    }
    if (n > 0) {
        count_dropped(d, n);
        changed(d, &before);
    }
    while (next_is_old(d, oldest) && evict(d, false))
        ;
}

/* ---- Looking at all of them ---- */

struct spool_device *spool_next(const struct spool *s, const struct spool_device *previous)
{
    const struct map_node *node = previous ? &previous->node : NULL;

    while ((node = map_next(&s->devices, node))) {
        struct spool_device *d = MAP_ENTRY(node, struct spool_device, node);

        if (d->heap_index != NOT_IN_HEAP)
            return d;
    }
    return NULL;
}

const char *spool_device_id(const struct spool_device *d)
{
    return d->id;
}

void spool_age(struct spool_device *d, uint64_t now)
{
    drop_old(d, now);
}
