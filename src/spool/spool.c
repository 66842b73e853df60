/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "spool/spool.h"

#include "base/limits.h"
#include "base/map.h"
#include "spool/queue.h"

#include <string.h>

#define NOT_IN_HEAP SIZE_MAX

struct spool_device {
    struct spool *spool;
    struct map_node node; /* by id */
    struct spool_queue queue;
    size_t held;
    size_t heap_index;
    uint64_t accepted, rejected, dropped;
    char id[];
};

struct spool {
    uint64_t max_bytes, max_age;
    bool stamped;
    int64_t offset;
    struct map devices;
    struct spool_device **heap; /* those with samples, the largest share first; room for all devices */
    size_t n_heap, heap_room;
    struct spool_counts totals;
};

/* ---- The heap of shares ---- */

static void heap_put(struct spool *s, size_t i, struct spool_device *d)
{
    s->heap[i] = d;
    d->heap_index = i;
}

static void heap_sift(struct spool *s, struct spool_device *d)
{
    size_t i = d->heap_index;

    while (i > 0 && s->heap[(i - 1) / 2]->queue.bytes < d->queue.bytes) {
        heap_put(s, i, s->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    for (;;) {
        size_t child = 2 * i + 1;

        if (child + 1 < s->n_heap && s->heap[child + 1]->queue.bytes > s->heap[child]->queue.bytes)
            child++;
        if (child >= s->n_heap || s->heap[child]->queue.bytes <= d->queue.bytes)
            break;
        heap_put(s, i, s->heap[child]);
        i = child;
    }
    heap_put(s, i, d);
}

/* After a change of a device's queue, which had `n` samples in `bytes` before. */
static void changed(struct spool_device *d, size_t n, uint64_t bytes)
{
    struct spool *s = d->spool;
    struct spool_device *last;

    s->totals.queued = s->totals.queued + d->queue.n - n;
    s->totals.bytes = s->totals.bytes + d->queue.bytes - bytes;
    if (d->queue.n > 0 && d->heap_index == NOT_IN_HEAP)
        heap_put(s, s->n_heap++, d);
    if (d->queue.n > 0) {
        if (d->queue.bytes != bytes)
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

/* ---- Leaving the queue ---- */

static void remove_at(struct spool_device *d, size_t i)
{
    size_t n = d->queue.n;
    uint64_t bytes = d->queue.bytes;

    spool_queue_remove(&d->queue, i);
    changed(d, n, bytes);
}

/* Drops the oldest that is not held. */
static bool drop_one(struct spool_device *d)
{
    if (d->queue.n <= d->held)
        return false;
    remove_at(d, d->held);
    d->dropped++;
    d->spool->totals.dropped++;
    return true;
}

/* The device with the largest share that has something to drop. */
static struct spool_device *largest(struct spool *s)
{
    struct spool_device *best = NULL;

    if (s->n_heap > 0 && s->heap[0]->queue.n > s->heap[0]->held)
        return s->heap[0];
    /* Only when the largest share is wholly under way. */
    for (size_t i = 0; i < s->n_heap; i++)
        if (s->heap[i]->queue.n > s->heap[i]->held && (!best || s->heap[i]->queue.bytes > best->queue.bytes))
            best = s->heap[i];
    return best;
}

/* Drops until `more` bytes have room; false if what is held leaves none. */
static bool make_room(struct spool *s, uint64_t more)
{
    while (s->totals.bytes + more > s->max_bytes) {
        struct spool_device *d = largest(s);

        if (!d)
            return false;
        drop_one(d);
    }
    return true;
}

static void drop_old(struct spool_device *d, uint64_t now)
{
    uint64_t max_age = d->spool->max_age;

    if (d->held > 0 || now < max_age)
        return;
    while (d->queue.n > 0 && spool_queue_at(&d->queue, 0)->arrived < (now - max_age) / USEC_PER_SEC)
        drop_one(d);
}

/* ---- Time ---- */

static uint64_t shifted(uint64_t time, int64_t offset)
{
    return time + (uint64_t)offset;
}

/* The first sample that waits for its time, or how many there are. */
static size_t first_unstamped(const struct spool_device *d)
{
    struct spool_queue_cursor c = spool_queue_from(&d->queue, 0);
    const struct entry *e;
    size_t i = 0;

    while ((e = spool_queue_step(&c)) && !(e->quality & SAMPLE_BOOTTIME))
        i++;
    return i;
}

/* Stamps what waits for it. What stands behind that has not been sent either, and gets into order with it. */
static void stamp_device(struct spool_device *d, int64_t offset)
{
    size_t first = first_unstamped(d), i = 0;
    struct spool_queue_cursor c = spool_queue_from(&d->queue, 0);
    struct entry *e;

    for (size_t k = 0; k < d->queue.n_points; k++) {
        struct queue_point *p = &d->queue.points[k];

        if (p->last_boottime || (p->queued > 0 && first < d->queue.n))
            p->last = 0;
        p->last_boottime = false;
    }
    for (; first < d->queue.n && (e = spool_queue_step(&c)); i++) {
        struct queue_point *p = &d->queue.points[e->point];

        if (e->quality & SAMPLE_BOOTTIME)
            e->time = shifted(e->time, offset);
        e->quality &= (uint8_t)~SAMPLE_BOOTTIME;
        if (i >= first && p->last != 0)
            e->time = queue_next_time(p->last, e->time);
        p->last = e->time;
    }
}

void spool_stamp(struct spool *s, int64_t offset)
{
    s->stamped = true;
    s->offset = offset;
    for (struct map_node *node = map_next(&s->devices, NULL); node; node = map_next(&s->devices, node))
        stamp_device(MAP_ENTRY(node, struct spool_device, node), offset);
}

bool spool_stamped(const struct spool *s)
{
    return s->stamped;
}

/* ---- Devices ---- */

static int has_id(const struct map_node *node, const void *id)
{
    return strcmp(MAP_ENTRY(node, struct spool_device, node)->id, id) == 0;
}

static int reserve_heap(struct spool *s)
{
    size_t room = MAX_OF(s->heap_room * 2, (size_t)16);
    struct spool_device **heap;

    if (s->devices.count < s->heap_room)
        return 0;
    heap = reallocarray(s->heap, room, sizeof(*heap));
    if (!heap)
        return -ENOMEM;
    s->heap = heap;
    s->heap_room = room;
    return 0;
}

struct spool_device *spool_device(struct spool *s, const char *id)
{
    uint64_t hash = map_hash_text(id);
    struct map_node *node = map_find(&s->devices, hash, has_id, id);
    _cleanup_free_ struct spool_device *d = NULL;
    size_t n = strlen(id) + 1;

    if (node)
        return MAP_ENTRY(node, struct spool_device, node);
    d = calloc(1, sizeof(*d) + n);
    if (!d || reserve_heap(s) < 0 || map_insert(&s->devices, &d->node, hash) < 0)
        return NULL;
    d->spool = s;
    d->heap_index = NOT_IN_HEAP;
    memcpy(d->id, id, n);
    return TAKE_PTR(d);
}

void spool_forget(struct spool_device *d)
{
    struct spool *s = d->spool;
    size_t n = d->queue.n;
    uint64_t bytes = d->queue.bytes;

    map_remove(&s->devices, &d->node);
    s->totals.dropped += n;
    spool_queue_done(&d->queue);
    changed(d, n, bytes);
    free(d);
}

int spool_new(const struct spool_settings *settings, struct spool **ret)
{
    struct spool *s = calloc(1, sizeof(*s));

    if (!s)
        return -ENOMEM;
    spool_set(s, settings);
    *ret = s;
    return 0;
}

struct spool *spool_free(struct spool *s)
{
    if (!s)
        return NULL;
    for (struct map_node *node = map_next(&s->devices, NULL), *next; node; node = next) {
        next = map_next(&s->devices, node);
        spool_forget(MAP_ENTRY(node, struct spool_device, node));
    }
    map_done(&s->devices);
    free(s->heap);
    free(s);
    return NULL;
}

void spool_set(struct spool *s, const struct spool_settings *settings)
{
    s->max_bytes = settings->max_bytes < SPOOL_MEMORY_MAX ? settings->max_bytes : SPOOL_MEMORY_MAX;
    s->max_age = settings->max_age;
    make_room(s, 0);
}

/* ---- Samples ---- */

static void set_value(struct entry *e, const struct sample_value *v)
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

static void get_value(const struct entry *e, struct sample_value *v)
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

static bool append_one(struct spool_device *d, uint64_t now, const struct sample *sample)
{
    struct spool *s = d->spool;
    struct entry e = {.time = sample->time, .quality = (uint8_t)(sample->quality & SAMPLE_QUALITY_ALL)};
    struct queue_point *p;
    size_t n;
    uint64_t bytes;
    bool boottime;
    int i;

    set_value(&e, &sample->value);
    i = spool_queue_point(&d->queue, sample->point, sample->unit ?: "");
    if (i < 0)
        return false;
    e.point = (uint16_t)i;
    e.arrived = (uint32_t)(now / USEC_PER_SEC);
    if ((e.quality & SAMPLE_BOOTTIME) && s->stamped) {
        e.time = shifted(e.time, s->offset);
        e.quality &= (uint8_t)~SAMPLE_BOOTTIME;
    }
    if (d->queue.n >= SPOOL_DEVICE_SAMPLES_MAX && !drop_one(d))
        return false;
    if (!make_room(s, spool_queue_cost(&d->queue, &e)))
        return false;
    p = &d->queue.points[i];
    boottime = e.quality & SAMPLE_BOOTTIME;
    if (p->last != 0 && p->last_boottime == boottime)
        e.time = queue_next_time(p->last, e.time);
    n = d->queue.n;
    bytes = d->queue.bytes;
    if (spool_queue_push(&d->queue, &e) < 0)
        return false;
    changed(d, n, bytes);
    p->last = e.time;
    p->last_boottime = boottime;
    return true;
}

void spool_append(struct spool_device *d, uint64_t now, const struct sample *samples, size_t n,
                  void (*done)(void *userdata), void *userdata)
{
    drop_old(d, now);
    for (size_t i = 0; i < n; i++)
        if (!append_one(d, now, &samples[i])) {
            d->dropped++;
            d->spool->totals.dropped++;
        }
    if (done)
        done(userdata);
}

size_t spool_peek(struct spool_device *d, uint64_t now, size_t from, struct sample *ret, size_t max)
{
    struct spool_queue_cursor c;
    size_t n = 0;

    drop_old(d, now);
    if (from >= d->queue.n)
        return 0;
    for (c = spool_queue_from(&d->queue, from); n < max; n++) {
        const struct entry *e = spool_queue_step(&c);

        if (!e || (e->quality & SAMPLE_BOOTTIME))
            break;
        ret[n] = (struct sample){
            .point = d->queue.points[e->point].name,
            .time = e->time,
            .unit = d->queue.points[e->point].unit,
            .quality = e->quality,
        };
        get_value(e, &ret[n].value);
    }
    return n;
}

void spool_hold(struct spool_device *d, size_t n)
{
    d->held = n < d->queue.n ? n : d->queue.n;
}

/* The first n leave; returns how many there were. */
static size_t release(struct spool_device *d, size_t n)
{
    size_t released = 0;

    while (released < n && d->queue.n > 0) {
        remove_at(d, 0);
        released++;
    }
    d->held -= d->held < released ? d->held : released;
    return released;
}

void spool_accept(struct spool_device *d, size_t n)
{
    n = release(d, n);
    d->accepted += n;
    d->spool->totals.accepted += n;
}

void spool_reject(struct spool_device *d, size_t n)
{
    n = release(d, n);
    d->rejected += n;
    d->spool->totals.rejected += n;
}

void spool_device_counts(const struct spool_device *d, struct spool_counts *ret)
{
    *ret = (struct spool_counts){
        .queued = d->queue.n,
        .bytes = d->queue.bytes,
        .accepted = d->accepted,
        .rejected = d->rejected,
        .dropped = d->dropped,
    };
}

void spool_counts(const struct spool *s, struct spool_counts *ret)
{
    *ret = s->totals;
}
