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

void spool_queue_done(struct spool_queue *q, struct spool_points *points)
{
    while (q->n > 0)
        spool_queue_remove(q, points, 0);
}

/* ---- Points ---- */

static int point_init(struct spool_point *p, const char *name, const char *unit)
{
    size_t n = strlen(name) + 1, n_unit = strlen(unit) + 1;
    char *text = malloc(n + n_unit);

    if (!text)
        return -ENOMEM;
    memcpy(text, name, n);
    memcpy(text + n, unit, n_unit);
    *p = (struct spool_point){.name = text, .unit = text + n};
    return 0;
}

void spool_points_done(struct spool_points *points)
{
    for (size_t i = 0; i < points->n; i++)
        free(points->points[i].name);
    free(points->points);
    *points = (struct spool_points){0};
}

/* The present entry of that name, looked for where it is likely first; -1 if there is none. */
static int point_find(const struct spool_points *points, const char *name)
{
    for (unsigned k = 0; k < points->n; k++) {
        unsigned i = (points->next + k) % points->n;

        if (!points->points[i].replaced && strcmp(points->points[i].name, name) == 0)
            return (int)i;
    }
    return -1;
}

/* An index for a new entry: at the end, or one that nobody uses any more. Of the latter those that were replaced first.
 */
static int point_slot(struct spool_points *points)
{
    struct spool_point *p;

    for (unsigned i = 0; i < points->n; i++)
        if (points->points[i].replaced && points->points[i].queued == 0) {
            free(points->points[i].name);
            return (int)i;
        }
    if (points->n >= POINTS_PER_DEVICE_MAX) {
        for (unsigned i = 0; i < points->n; i++)
            if (points->points[i].queued == 0) {
                free(points->points[i].name);
                return (int)i;
            }
        return -ENOBUFS;
    }
    p = reallocarray(points->points, points->n + 1u, sizeof(*p));
    if (!p)
        return -ENOMEM;
    points->points = p;
    return points->n++;
}

int spool_points_get(struct spool_points *points, const char *name, const char *unit)
{
    struct spool_point new;
    int old = point_find(points, name), i, r;

    if (old >= 0 && strcmp(points->points[old].unit, unit) == 0) {
        points->next = (uint16_t)((old + 1) % points->n);
        return old;
    }
    r = point_init(&new, name, unit);
    if (r < 0)
        return r;
    if (old >= 0) {
        new.last = points->points[old].last;
        new.last_boottime = points->points[old].last_boottime;
        new.newest = points->points[old].newest;
        points->points[old].replaced = true;
    }
    i = point_slot(points);
    if (i < 0) {
        free(new.name);
        if (old >= 0)
            points->points[old].replaced = false;
        return i;
    }
    points->points[i] = new;
    points->next = (uint16_t)((i + 1) % points->n);
    return i;
}

bool spool_points_more(const struct spool_points *points, const struct entry *e)
{
    const struct spool_point *p = &points->points[e->point];

    if (p->queued > 1)
        return true;
    for (unsigned i = 0; i < points->n; i++) {
        const struct spool_point *other = &points->points[i];

        if (other != p && other->queued > 0 && (p->replaced || other->replaced) && strcmp(other->name, p->name) == 0)
            return true;
    }
    return false;
}

bool spool_points_overtaken(const struct spool_points *points, const struct entry *e)
{
    const struct spool_point *p = &points->points[e->point];
    int present = p->replaced ? point_find(points, p->name) : -1;

    if (e->quality & SAMPLE_BOOTTIME)
        return false;
    return e->time < p->newest || (present >= 0 && e->time < points->points[present].newest);
}

/* ---- Entries ---- */

void spool_entry_set(struct entry *e, const struct sample_value *v)
{
    e->type = (uint8_t)v->type;
    switch (v->type) {
    case SAMPLE_BOOL:
        e->b = v->b;
        break;
    case SAMPLE_INT:
        e->x = v->x;
        break;
    case SAMPLE_UINT:
        e->t = v->t;
        break;
    case SAMPLE_DOUBLE:
        e->d = v->d;
        break;
    case SAMPLE_STRING:
        e->s = (char *)v->s;
        break;
    }
}

void spool_entry_value(const struct entry *e, struct sample_value *v)
{
    v->type = (enum sample_type)e->type;
    switch (v->type) {
    case SAMPLE_BOOL:
        v->b = e->b;
        break;
    case SAMPLE_INT:
        v->x = e->x;
        break;
    case SAMPLE_UINT:
        v->t = e->t;
        break;
    case SAMPLE_DOUBLE:
        v->d = e->d;
        break;
    case SAMPLE_STRING:
        v->s = e->s;
        break;
    }
}

uint32_t spool_queue_cost(const struct spool_queue *q, const struct entry *e)
{
    bool room = q->last && q->last->end < q->last->size;

    return (uint32_t)((room ? 0 : chunk_bytes(next_size(q))) + text_bytes(e));
}

/* Takes the entry over, its text included. */
static int push(struct spool_queue *q, const struct entry *e)
{
    struct chunk *c = q->last;
    unsigned size = next_size(q);

    if (!c || c->end == c->size) {
        c = malloc(chunk_bytes(size));
        if (!c)
            return -ENOMEM;
        *c = (struct chunk){.size = (uint16_t)size};
        if (q->last)
            q->last->next = c;
        else
            q->first = c;
        q->last = c;
        q->bytes += (uint32_t)chunk_bytes(size);
    }
    c->entries[c->end++] = *e;
    q->bytes += (uint32_t)text_bytes(e);
    q->n++;
    return 0;
}

int spool_queue_push(struct spool_queue *q, struct spool_points *points, const struct entry *e)
{
    struct entry copy = *e;
    int r;

    if (e->type == SAMPLE_STRING && !(copy.s = strdup(e->s)))
        return -ENOMEM;
    r = push(q, &copy);
    if (r < 0) {
        if (e->type == SAMPLE_STRING)
            free(copy.s);
        return r;
    }
    points->points[e->point].queued++;
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
    q->bytes -= (uint32_t)chunk_bytes(c->size);
    free(c);
}

/* Takes the i-th out, whatever becomes of its text. */
static void take(struct spool_queue *q, size_t i)
{
    struct spool_queue_cursor c = spool_queue_from(q, 0);
    struct entry carried = {0}, next;

    q->bytes -= (uint32_t)text_bytes(spool_queue_at(q, i));
    /* Those before it move up by one. */
    for (size_t k = 0; k <= i; k++) {
        struct entry *e = spool_queue_step(&c);

        next = *e;
        if (k > 0)
            *e = carried;
        carried = next;
    }
    drop_front(q);
}

void spool_queue_remove(struct spool_queue *q, struct spool_points *points, size_t i)
{
    struct entry e = *spool_queue_at(q, i);

    points->points[e.point].queued--;
    take(q, i);
    if (e.type == SAMPLE_STRING)
        free(e.s);
}

/* Only what stands before `end` in this chunk stays (NULL: nothing); the `n` entries beyond are somebody else's now. */
static void cut(struct spool_queue *q, struct chunk *last, unsigned end, size_t n, uint32_t texts)
{
    struct chunk *c = last ? last->next : q->first;

    q->n -= (uint32_t)n;
    q->bytes -= texts;
    while (c) {
        struct chunk *next = c->next;

        q->bytes -= (uint32_t)chunk_bytes(c->size);
        free(c);
        c = next;
    }
    q->last = last;
    if (last) {
        last->next = NULL;
        last->end = (uint16_t)end;
    } else
        q->first = NULL;
}

int spool_queue_move(struct spool_queue *q, size_t i, struct spool_queue *to)
{
    struct spool_queue_cursor c = spool_queue_from(q, i), last = spool_queue_from(q, i > 0 ? i - 1 : 0);
    struct spool_queue moved = {0};
    const struct entry *e;
    uint32_t texts = 0;
    int r = 0;

    while (r >= 0 && (e = spool_queue_step(&c))) {
        texts += (uint32_t)text_bytes(e);
        r = push(&moved, e);
    }
    if (r < 0) {
        while (moved.n > 0)
            take(&moved, 0);
        return r;
    }
    cut(q, i > 0 ? last.chunk : NULL, last.at + 1, moved.n, texts);
    spool_queue_join(to, &moved);
    return 0;
}

void spool_queue_join(struct spool_queue *q, struct spool_queue *behind)
{
    if (!behind->first)
        return;
    if (q->last)
        q->last->next = behind->first;
    else
        q->first = behind->first;
    q->last = behind->last;
    q->n += behind->n;
    q->bytes += behind->bytes;
    *behind = (struct spool_queue){0};
}

uint64_t queue_next_time(uint64_t last, uint64_t time)
{
    if (time > last || last - time > STEP_BACK)
        return time;
    return last + 1;
}
