/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/queue.h"

#include "base/map.h"

#include <errno.h>
#include <string.h>

#define SAMPLE_OVERHEAD 32 /* heads, time, a number, flags */

/* Exists as long as it has samples that wait. */
struct queue_device {
    struct map_node node; /* by id */
    TAILQ_ENTRY(queue_device) by_turn;
    struct queued_list samples;
    char id[];
};

TAILQ_HEAD(device_turns, queue_device);

struct link_queue {
    size_t length, max;
    uint64_t dropped;
    struct queued_list samples; /* by_age */
    struct device_turns turns;
    struct map devices;
};

static int has_id(const struct map_node *node, const void *id)
{
    return strcmp(MAP_ENTRY(node, struct queue_device, node)->id, id) == 0;
}

int link_queue_new(size_t max, struct link_queue **ret)
{
    struct link_queue *q = calloc(1, sizeof(*q));

    if (!q)
        return -ENOMEM;
    q->max = max;
    TAILQ_INIT(&q->samples);
    TAILQ_INIT(&q->turns);
    *ret = q;
    return 0;
}

static void device_done_if_empty(struct link_queue *q, struct queue_device *d)
{
    if (!TAILQ_EMPTY(&d->samples))
        return;
    map_remove(&q->devices, &d->node);
    TAILQ_REMOVE(&q->turns, d, by_turn);
    free(d);
}

/* Takes the oldest out of the queue; it is the first of its device, whose order is that of age. */
static void drop_oldest(struct link_queue *q)
{
    struct queued *s = TAILQ_FIRST(&q->samples);

    TAILQ_REMOVE(&q->samples, s, by_age);
    TAILQ_REMOVE(&s->of->samples, s, by_device);
    device_done_if_empty(q, s->of);
    free(s);
    q->length--;
}

struct link_queue *link_queue_free(struct link_queue *q)
{
    if (!q)
        return NULL;
    while (!TAILQ_EMPTY(&q->samples))
        drop_oldest(q);
    map_done(&q->devices);
    free(q);
    return NULL;
}

static char *put_string(char **at, const char *text)
{
    char *start = *at;
    size_t n = strlen(text) + 1;

    memcpy(start, text, n);
    *at += n;
    return start;
}

struct queued *queued_new(const char *device, const struct sample *sample)
{
    bool text = sample->value.type == SAMPLE_STRING;
    size_t n =
        strlen(device) + strlen(sample->point) + strlen(sample->unit) + 3 + (text ? strlen(sample->value.s) + 1 : 0);
    struct queued *s = malloc(sizeof(*s) + n);
    char *at;

    if (!s)
        return NULL;
    at = s->strings;
    s->size = n + SAMPLE_OVERHEAD;
    s->of = NULL;
    s->device = put_string(&at, device);
    s->sample = *sample;
    s->sample.point = put_string(&at, sample->point);
    s->sample.unit = put_string(&at, sample->unit);
    if (text)
        s->sample.value.s = put_string(&at, sample->value.s);
    return s;
}

/* The device of that id, made if it has nothing waiting. */
static struct queue_device *device_get(struct link_queue *q, const char *id)
{
    uint64_t hash = map_hash_text(id);
    struct map_node *node = map_find(&q->devices, hash, has_id, id);
    size_t n = strlen(id) + 1;
    struct queue_device *d;

    if (node)
        return MAP_ENTRY(node, struct queue_device, node);
    d = malloc(sizeof(*d) + n);
    if (!d || map_insert(&q->devices, &d->node, hash) < 0) {
        free(d);
        return NULL;
    }
    TAILQ_INIT(&d->samples);
    memcpy(d->id, id, n);
    TAILQ_INSERT_TAIL(&q->turns, d, by_turn);
    return d;
}

/* That of the sample before, mostly. */
static struct queue_device *device_of(struct link_queue *q, const struct queued *s)
{
    const struct queued *before = TAILQ_LAST(&q->samples, queued_list);

    return before && strcmp(before->of->id, s->device) == 0 ? before->of : device_get(q, s->device);
}

void link_queue_push(struct link_queue *q, struct queued *s)
{
    /* Room first: dropping may end the very device that s is of. */
    while (q->length >= q->max && q->length > 0) {
        drop_oldest(q);
        q->dropped++;
    }
    s->of = q->max > 0 ? device_of(q, s) : NULL;
    if (!s->of) {
        q->dropped++;
        free(s);
        return;
    }
    TAILQ_INSERT_TAIL(&q->samples, s, by_age);
    TAILQ_INSERT_TAIL(&s->of->samples, s, by_device);
    q->length++;
}

bool link_queue_take(struct link_queue *q, size_t max, size_t max_size, struct link_queue_batch *ret)
{
    struct queue_device *d = TAILQ_FIRST(&q->turns);
    struct queued *s;

    if (!d || max == 0)
        return false;
    TAILQ_INIT(&ret->samples);
    ret->size = 0;
    for (ret->n = 0; ret->n < max && (s = TAILQ_FIRST(&d->samples)); ret->n++) {
        if (ret->n > 0 && ret->size + s->size > max_size)
            break;
        ret->size += s->size;
        TAILQ_REMOVE(&d->samples, s, by_device);
        TAILQ_REMOVE(&q->samples, s, by_age);
        TAILQ_INSERT_TAIL(&ret->samples, s, by_device);
        q->length--;
    }
    TAILQ_REMOVE(&q->turns, d, by_turn);
    TAILQ_INSERT_TAIL(&q->turns, d, by_turn);
    device_done_if_empty(q, d);
    return true;
}

void link_queue_batch_done(struct link_queue_batch *b)
{
    struct queued *s;

    while ((s = TAILQ_FIRST(&b->samples))) {
        TAILQ_REMOVE(&b->samples, s, by_device);
        free(s);
    }
    b->n = 0;
}

void link_queue_batch_back(struct link_queue *q, struct link_queue_batch *b)
{
    struct queue_device *d = device_get(q, TAILQ_FIRST(&b->samples)->device);
    struct queued *s;

    /* From the newest to the oldest, so that those left over are the oldest. */
    while ((s = TAILQ_LAST(&b->samples, queued_list))) {
        TAILQ_REMOVE(&b->samples, s, by_device);
        if (!d || q->length >= q->max) {
            free(s);
            q->dropped++;
            continue;
        }
        s->of = d;
        TAILQ_INSERT_HEAD(&d->samples, s, by_device);
        TAILQ_INSERT_HEAD(&q->samples, s, by_age);
        q->length++;
    }
    if (d)
        device_done_if_empty(q, d);
    b->n = 0;
}

size_t link_queue_length(const struct link_queue *q)
{
    return q->length;
}

uint64_t link_queue_dropped(const struct link_queue *q)
{
    return q->dropped;
}
