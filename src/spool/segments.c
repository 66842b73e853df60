/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "spool/segments.h"

#include "base/cleanup.h"
#include "base/limits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void segments_init(struct segments *g, struct account *a)
{
    *g = (struct segments){.account = a, .heap_index = NOT_IN_HEAP};
}

/* ---- What there is ---- */

static bool is_split(const struct segments *g)
{
    return g->rows && g->rows->rest.count > 0;
}

struct spool_queue *segments_last(struct segments *g)
{
    return is_split(g) ? &g->rows->tail : &g->queue;
}

uint32_t segments_unwritten(const struct segments *g)
{
    const struct segments_rows *t = g->rows;

    if (!t)
        return g->queue.n;
    return t->rest.count > 0 ? t->tail.n - t->writing : g->queue.n - t->in_queue - t->writing;
}

uint64_t segments_only_on_disk(const struct segments *g)
{
    const struct segments_rows *t = g->rows;

    return is_split(g) ? t->rest.samples - (t->n_head == 0 ? t->gone : 0) : 0;
}

bool segments_first_rest(const struct segments *g, struct spool_row *ret, uint32_t *ret_gone)
{
    if (!g->rows || !spool_rows_first(&g->rows->rest, ret))
        return false;
    if (ret_gone)
        *ret_gone = g->rows->n_head == 0 ? g->rows->gone : 0;
    return true;
}

bool segments_first_row(const struct segments *g, struct spool_row *ret)
{
    if (!g->rows || g->rows->n_head == 0)
        return segments_first_rest(g, ret, NULL);
    *ret = g->rows->head[0];
    return true;
}

bool segments_rows_empty(const struct segments_rows *t)
{
    return t->n_head == 0 && t->rest.count == 0 && t->tail.n == 0 && t->writing == 0 && t->writing_gone == 0 &&
           t->unwanted == 0;
}

/* Samples of the i-th row of `head` that have not left. */
static uint32_t left_in(const struct segments_rows *t, uint32_t i)
{
    return t->head[i].n - (i == 0 ? t->gone : 0);
}

/* Whether a later one of the first one's point stands among the first n of the queue. */
static bool has_later(const struct segments *g, uint32_t n)
{
    struct spool_queue_cursor c = spool_queue_from(&g->queue, 0);
    const struct spool_point *points = g->points.points;
    const struct entry *e = spool_queue_step(&c), *later;

    for (uint32_t i = 1; i < n && (later = spool_queue_step(&c)); i++)
        if (!(later->quality & SAMPLE_BOOTTIME) &&
            (later->point == e->point || strcmp(points[later->point].name, points[e->point].name) == 0))
            return true;
    return false;
}

bool segments_later_is_safe(const struct segments *g, bool awaited)
{
    const struct segments_rows *t = g->rows;
    uint32_t n = segments_unwritten(g);

    if (!t || n == 0 || (t->in_queue == 0 && t->writing == 0) || awaited)
        return true;
    return has_later(g, is_split(g) ? g->queue.n : g->queue.n - n);
}

/* ---- Samples come and leave ---- */

int segments_push(struct segments *g, const struct entry *e)
{
    int r = spool_queue_push(segments_last(g), &g->points, e);

    if (r >= 0)
        segments_settle(g);
    return r;
}

/* Takes the i-th row out of `head`: its number, which is to be told when the sums are right. */
static uint64_t head_remove(struct segments_rows *t, uint32_t i)
{
    uint64_t seq = t->head[i].seq;

    t->bytes -= t->head[i].size + SPOOL_ROW_OVERHEAD;
    if (i == 0)
        t->gone = 0;
    memmove(t->head + i, t->head + i + 1, (--t->n_head - i) * sizeof(*t->head));
    return seq;
}

static void release_stored(struct segments *g)
{
    struct segments_rows *t = g->rows;
    uint64_t seq;

    t->in_queue--;
    if (++t->gone < t->head[0].n) {
        segments_settle(g);
        g->account->ops->row_begun(g);
        return;
    }
    seq = head_remove(t, 0);
    segments_settle(g);
    g->account->ops->row_gone(g, seq);
}

void segments_release(struct segments *g)
{
    struct segments_rows *t = g->rows;

    spool_queue_remove(&g->queue, &g->points, 0);
    g->held -= g->held > 0;
    if (t && t->in_queue > 0) {
        release_stored(g);
        return;
    }
    if (t && t->writing > 0) {
        t->writing--;
        t->writing_gone++;
    }
    segments_settle(g);
    if (t)
        g->account->ops->passed(g, 1);
}

/* ---- For room ---- */

/* The first row in memory of which nothing is held, n_head if there is none; the samples of the queue before it. */
static uint32_t head_free(const struct segments *g, uint32_t *ret_at)
{
    const struct segments_rows *t = g->rows;
    uint32_t at = 0, i = 0;

    for (; i < t->n_head && at < g->held; i++)
        at += left_in(t, i);
    *ret_at = at;
    return i;
}

/* Where the oldest that is in no row, and may go, stands in the last queue; beyond its end if there is none. */
static uint32_t unwritten_free(const struct segments *g)
{
    const struct spool_queue *q = is_split(g) ? &g->rows->tail : &g->queue;
    uint32_t at = q->n - segments_unwritten(g);

    if (g->rows && g->account->ops->awaited(g))
        return q->n;
    return is_split(g) ? at : MAX_OF(at, g->held);
}

bool segments_may_evict_unwritten(const struct segments *g)
{
    return unwritten_free(g) < (is_split(g) ? g->rows->tail.n : g->queue.n);
}

/* The first row of `rest` is in memory, or gone. */
static void rest_pop(struct segments *g)
{
    struct segments_rows *t = g->rows;

    spool_rows_pop(&t->rest);
    if (t->rest.count == 0)
        spool_queue_join(&g->queue, &t->tail);
}

/* The first row of `rest` goes: how many samples with it. */
static uint32_t rest_remove(struct segments *g, const struct spool_row *row)
{
    struct segments_rows *t = g->rows;
    uint32_t n = row->n;

    if (t->n_head == 0) {
        n -= t->gone;
        t->gone = 0;
    }
    t->bytes -= row->size + SPOOL_ROW_OVERHEAD;
    rest_pop(g);
    return n;
}

static bool evict_row(struct segments *g)
{
    struct segments_rows *t = g->rows;
    uint32_t at, i = head_free(g, &at), n;
    struct spool_row row;

    if (i < t->n_head) {
        n = left_in(t, i);
        for (uint32_t k = 0; k < n; k++)
            spool_queue_remove(&g->queue, &g->points, at);
        t->in_queue -= n;
        row.seq = head_remove(t, i);
    } else if (spool_rows_first(&t->rest, &row))
        n = rest_remove(g, &row);
    else
        return false;
    segments_settle(g);
    g->account->ops->row_gone(g, row.seq);
    g->account->ops->dropped(g, n);
    return true;
}

uint32_t segments_evict_unwritten(struct segments *g, uint32_t max)
{
    struct spool_queue *q = segments_last(g);
    uint32_t at = unwritten_free(g), n = 0;

    for (; n < max && at < q->n; n++)
        spool_queue_remove(q, &g->points, at);
    if (n == 0)
        return 0;
    segments_settle(g);
    g->account->ops->dropped(g, n);
    if (g->rows)
        g->account->ops->passed(g, n);
    return n;
}

bool segments_evict(struct segments *g, bool rows)
{
    return (g->rows && evict_row(g)) || (!rows && segments_evict_unwritten(g, 1) > 0);
}

enum segments_next segments_next_out(const struct segments *g, struct spool_row *ret_row, uint32_t *ret_arrived)
{
    const struct segments_rows *t = g->rows;
    const struct spool_queue *q = is_split(g) ? &t->tail : &g->queue;
    uint32_t at, i = t ? head_free(g, &at) : 0;

    if (t && i < t->n_head) {
        *ret_row = t->head[i];
        return SEGMENTS_ROW;
    }
    if (t && spool_rows_first(&t->rest, ret_row))
        return SEGMENTS_ROW;
    at = unwritten_free(g);
    if (at >= q->n)
        return SEGMENTS_NOTHING;
    *ret_arrived = spool_queue_at(q, at)->arrived;
    return SEGMENTS_SAMPLE;
}

/* ---- Into rows ---- */

void segments_writing(struct segments *g, uint32_t n)
{
    g->rows->writing = n;
    g->rows->writing_gone = g->rows->unwanted = 0;
    segments_settle(g);
}

/* One more row of `head`, with room for it. */
static int head_reserve(struct segments_rows *t)
{
    uint32_t room = MAX_OF(t->head_room * 2, 4u);
    struct spool_row *head;

    if (t->n_head < t->head_room)
        return 0;
    head = reallocarray(t->head, room, sizeof(*head));
    if (!head)
        return -ENOMEM;
    t->head = head;
    t->head_room = room;
    return 0;
}

/* Of the row's samples so many are here. False: there is no memory for that. */
static bool row_joins(struct segments *g, const struct spool_row *row, uint32_t left)
{
    struct segments_rows *t = g->rows;

    if (t->rest.count > 0) {
        if (spool_rows_push(&t->rest, row) < 0)
            return false;
        for (uint32_t i = 0; i < left; i++)
            spool_queue_remove(&t->tail, &g->points, 0);
    } else {
        if (head_reserve(t) < 0)
            return false;
        t->head[t->n_head++] = *row;
        t->in_queue += left;
        if (left < row->n)
            t->gone = row->n - left;
    }
    t->bytes += row->size + SPOOL_ROW_OVERHEAD;
    return true;
}

/* The row is not taken, nor are those behind it. */
static void row_unwanted(struct segments *g, const struct spool_row *row)
{
    struct segments_rows *t = g->rows;

    if (t->unwanted == 0)
        t->unwanted = t->writing + t->writing_gone;
    t->unwanted -= row->n;
    t->writing = t->writing_gone = 0;
    segments_settle(g);
    g->account->ops->row_gone(g, row->seq);
}

bool segments_written(struct segments *g, const struct spool_row *row)
{
    struct segments_rows *t = g->rows;
    uint32_t gone = MIN_OF(t->writing_gone, row->n), left = row->n - gone;

    if (t->unwanted > 0 || (left > 0 && !row_joins(g, row, left))) {
        row_unwanted(g, row);
        return false;
    }
    t->writing_gone -= gone;
    t->writing -= left;
    segments_settle(g);
    if (left > 0)
        g->account->ops->passed(g, left);
    else
        g->account->ops->row_gone(g, row->seq);
    return true;
}

void segments_write_failed(struct segments *g)
{
    g->rows->writing = g->rows->writing_gone = 0;
    segments_settle(g);
}

/* ---- Out of memory, and back ---- */

/* The rows from the i-th on, of which `left` samples precede, stand on disk alone again. */
static void put_back(struct segments *g, uint32_t i, uint32_t left)
{
    struct segments_rows *t = g->rows;
    bool first = t->rest.count == 0;

    /* Without memory for it all stays, in other chunks. */
    if (first && spool_queue_move(&g->queue, t->in_queue, &t->tail) < 0)
        return;
    if (spool_rows_prepend(&t->rest, t->head + i, t->n_head - i) < 0) {
        if (first)
            spool_queue_join(&g->queue, &t->tail);
        return;
    }
    t->n_head = i;
    t->in_queue = left;
    while (g->queue.n > left) {
        struct spool_queue cut = {0};

        if (spool_queue_move(&g->queue, left, &cut) >= 0)
            spool_queue_done(&cut, &g->points);
        else
            spool_queue_remove(&g->queue, &g->points, left);
    }
}

void segments_unload(struct segments *g, uint32_t most)
{
    const struct segments_rows *t = g->rows;
    uint32_t left = 0, i = 0;

    if (!t || t->n_head == 0 || t->in_queue <= most)
        return;
    for (; i < t->n_head && left < most; i++)
        left += left_in(t, i);
    if (i == t->n_head)
        return;
    put_back(g, i, left);
    segments_settle(g);
}

int segments_load_begin(struct segments *g)
{
    return head_reserve(g->rows);
}

int segments_load_push(struct segments *g, const struct entry *e)
{
    return spool_queue_push(&g->queue, &g->points, e);
}

void segments_load_end(struct segments *g, const struct spool_row *row, uint32_t pushed, int r)
{
    struct segments_rows *t = g->rows;

    if (r < 0) {
        for (; pushed > 0; pushed--)
            spool_queue_remove(&g->queue, &g->points, g->queue.n - 1);
    } else {
        t->head[t->n_head++] = *row;
        t->in_queue += pushed;
        rest_pop(g);
    }
    segments_settle(g);
}

uint32_t segments_row_unreadable(struct segments *g)
{
    struct spool_row row = {0};
    uint32_t n = spool_rows_first(&g->rows->rest, &row) ? rest_remove(g, &row) : 0;

    segments_settle(g);
    g->account->ops->row_gone(g, row.seq);
    return n;
}

/* ---- With a file ---- */

int segments_found(struct segments *g, const struct spool_row *row, uint32_t gone)
{
    struct segments_rows *t = g->rows;

    if (t->rest.count == 0)
        spool_queue_join(&t->tail, &g->queue);
    if (spool_rows_push(&t->rest, row) < 0) {
        if (t->rest.count == 0)
            spool_queue_join(&g->queue, &t->tail);
        return -ENOMEM;
    }
    if (t->rest.count == 1 && gone < row->n)
        t->gone = gone;
    t->bytes += row->size + SPOOL_ROW_OVERHEAD;
    segments_settle(g);
    return 0;
}

uint64_t segments_lose_rows(struct segments *g)
{
    struct segments_rows *t = g->rows;
    uint64_t lost = segments_only_on_disk(g);

    if (!t)
        return 0;
    spool_rows_done(&t->rest);
    spool_queue_join(&g->queue, &t->tail);
    t->n_head = t->in_queue = t->gone = 0;
    t->bytes = 0;
    segments_settle(g);
    return lost;
}

static void rows_done(struct segments *g, bool rows)
{
    struct segments_rows *t = g->rows;
    struct spool_row row;

    for (uint32_t i = 0; rows && i < t->n_head; i++)
        g->account->ops->row_gone(g, t->head[i].seq);
    for (; rows && spool_rows_first(&t->rest, &row); spool_rows_pop(&t->rest))
        g->account->ops->row_gone(g, row.seq);
    spool_queue_done(&t->tail, &g->points);
    spool_rows_done(&t->rest);
    free(t->head);
    *t = (struct segments_rows){0};
}

void segments_done(struct segments *g, bool rows)
{
    spool_queue_done(&g->queue, &g->points);
    if (g->rows)
        rows_done(g, rows);
    segments_settle(g);
    spool_points_done(&g->points);
}
