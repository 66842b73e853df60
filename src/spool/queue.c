/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "spool/queue.h"

#include "base/cleanup.h"
#include "base/limits.h"

#include <string.h>

/* Few for a queue that is drained as it fills, many for one that waits out an outage: each chunk is twice the last. */
#define CHUNK_FIRST 4
#define CHUNK_LARGEST 64
#define STEP_BACK USEC_PER_SEC

struct chunk {
    struct chunk *next;
    uint16_t size, begin, end;
    struct entry entries[];
};

static size_t chunk_bytes(unsigned size)
{
    return sizeof(struct chunk) + size * sizeof(struct entry);
}

/* How many samples the next chunk holds. */
static unsigned next_size(const struct spool_queue *q)
{
    return q->last ? MIN_OF(q->last->size * 2u, (unsigned)CHUNK_LARGEST) : CHUNK_FIRST;
}

static size_t text_bytes(const struct entry *e)
{
    return e->type == SAMPLE_STRING ? strlen(e->s) + 1 : 0;
}

void spool_queue_done(struct spool_queue *q)
{
    while (q->n > 0)
        spool_queue_remove(q, 0);
    for (size_t i = 0; i < q->n_points; i++)
        free(q->points[i].name);
    free(q->points);
    *q = (struct spool_queue){0};
}

/* ---- Points ---- */

static int point_init(struct queue_point *p, const char *name, const char *unit)
{
    size_t n = strlen(name) + 1, n_unit = strlen(unit) + 1;
    char *text = malloc(n + n_unit);

    if (!text)
        return -ENOMEM;
    memcpy(text, name, n);
    memcpy(text + n, unit, n_unit);
    *p = (struct queue_point){.name = text, .unit = text + n};
    return 0;
}

/* The present entry of that name, looked for where it is likely first; -1 if there is none. */
static int point_find(const struct spool_queue *q, const char *name)
{
    for (unsigned k = 0; k < q->n_points; k++) {
        unsigned i = (q->next_point + k) % q->n_points;

        if (!q->points[i].replaced && strcmp(q->points[i].name, name) == 0)
            return (int)i;
    }
    return -1;
}

/* An index for a new entry: at the end, or one that nobody uses any more. Of the latter those that were replaced first.
 */
static int point_slot(struct spool_queue *q)
{
    struct queue_point *points;

    for (unsigned i = 0; i < q->n_points; i++)
        if (q->points[i].replaced && q->points[i].queued == 0) {
            free(q->points[i].name);
            return (int)i;
        }
    if (q->n_points >= POINTS_PER_DEVICE_MAX) {
        for (unsigned i = 0; i < q->n_points; i++)
            if (q->points[i].queued == 0) {
                free(q->points[i].name);
                return (int)i;
            }
        return -ENOBUFS;
    }
    points = reallocarray(q->points, q->n_points + 1u, sizeof(*points));
    if (!points)
        return -ENOMEM;
    q->points = points;
    return q->n_points++;
}

int spool_queue_point(struct spool_queue *q, const char *name, const char *unit)
{
    struct queue_point new;
    int old = point_find(q, name), i, r;

    if (old >= 0 && strcmp(q->points[old].unit, unit) == 0) {
        q->next_point = (uint16_t)((old + 1) % q->n_points);
        return old;
    }
    r = point_init(&new, name, unit);
    if (r < 0)
        return r;
    if (old >= 0) {
        new.last = q->points[old].last;
        new.last_boottime = q->points[old].last_boottime;
        q->points[old].replaced = true;
    }
    i = point_slot(q);
    if (i < 0) {
        free(new.name);
        if (old >= 0)
            q->points[old].replaced = false;
        return i;
    }
    q->points[i] = new;
    q->next_point = (uint16_t)((i + 1) % q->n_points);
    return i;
}

/* ---- Entries ---- */

uint64_t spool_queue_cost(const struct spool_queue *q, const struct entry *e)
{
    bool room = q->last && q->last->end < q->last->size;

    return (room ? 0 : chunk_bytes(next_size(q))) + text_bytes(e);
}

int spool_queue_push(struct spool_queue *q, const struct entry *e)
{
    struct entry copy = *e;
    struct chunk *c = q->last;
    unsigned size = next_size(q);

    if (e->type == SAMPLE_STRING && !(copy.s = strdup(e->s)))
        return -ENOMEM;
    if (!c || c->end == c->size) {
        c = malloc(chunk_bytes(size));
        if (!c) {
            if (e->type == SAMPLE_STRING)
                free(copy.s);
            return -ENOMEM;
        }
        *c = (struct chunk){.size = (uint16_t)size};
        if (q->last)
            q->last->next = c;
        else
            q->first = c;
        q->last = c;
        q->bytes += chunk_bytes(size);
    }
    c->entries[c->end++] = copy;
    q->bytes += text_bytes(e);
    q->points[e->point].queued++;
    q->n++;
    return 0;
}

struct spool_queue_cursor spool_queue_from(const struct spool_queue *q, size_t i)
{
    struct chunk *c = q->first;

    while (c && i >= (size_t)(c->end - c->begin)) {
        i -= (size_t)(c->end - c->begin);
        c = c->next;
    }
    return (struct spool_queue_cursor){c, c ? c->begin + (unsigned)i : 0};
}

struct entry *spool_queue_step(struct spool_queue_cursor *c)
{
    struct entry *e;

    if (!c->chunk)
        return NULL;
    e = &c->chunk->entries[c->at++];
    if (c->at == c->chunk->end) {
        c->chunk = c->chunk->next;
        c->at = c->chunk ? c->chunk->begin : 0;
    }
    return e;
}

struct entry *spool_queue_at(const struct spool_queue *q, size_t i)
{
    struct spool_queue_cursor c = spool_queue_from(q, i);

    return spool_queue_step(&c);
}

static void drop_front(struct spool_queue *q)
{
    struct chunk *c = q->first;

    c->begin++;
    q->n--;
    if (c->begin < c->end)
        return;
    q->first = c->next;
    if (!q->first)
        q->last = NULL;
    q->bytes -= chunk_bytes(c->size);
    free(c);
}

void spool_queue_remove(struct spool_queue *q, size_t i)
{
    struct spool_queue_cursor c = spool_queue_from(q, 0);
    struct entry *e = spool_queue_at(q, i), carried = {0}, next;

    q->bytes -= text_bytes(e);
    q->points[e->point].queued--;
    if (e->type == SAMPLE_STRING)
        free(e->s);
    /* Those before it move up by one. */
    for (size_t k = 0; k <= i; k++) {
        e = spool_queue_step(&c);
        next = *e;
        if (k > 0)
            *e = carried;
        carried = next;
    }
    drop_front(q);
}

uint64_t queue_next_time(uint64_t last, uint64_t time)
{
    if (time > last || last - time > STEP_BACK)
        return time;
    return last + 1;
}
