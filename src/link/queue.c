/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/queue.h"

#include "base/map.h"

#include <errno.h>
#include <string.h>

#define SAMPLE_OVERHEAD 32 /* heads, time, a number, flags */

enum turn {
    TURN_READY,
    TURN_PAUSED, /* until `due` */
    TURN_TRIED,  /* until there is an answer to the sample that was taken last */
    TURNS,
};

/* Exists as long as it has samples that wait. */
struct queue_device {
    struct map_node node; /* by id */
    TAILQ_ENTRY(queue_device) by_turn;
    enum turn turn; /* the list that it is in */
    bool cautious;
    uint64_t due;
    size_t n;
    struct queued_list samples;
    char id[];
};

TAILQ_HEAD(device_turns, queue_device);

struct link_queue {
    size_t length, ready, max, n_cautious;
    uint64_t dropped, pushed;
    struct queued_list samples; /* by_age */
    struct device_turns turns[TURNS];
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
    for (int i = 0; i < TURNS; i++)
        TAILQ_INIT(&q->turns[i]);
    *ret = q;
    return 0;
}

/* Goes to the end of that list. */
static void set_turn(struct link_queue *q, struct queue_device *d, enum turn turn)
{
    TAILQ_REMOVE(&q->turns[d->turn], d, by_turn);
    q->ready -= d->turn == TURN_READY ? d->n : 0;
    d->turn = turn;
    q->ready += d->turn == TURN_READY ? d->n : 0;
    TAILQ_INSERT_TAIL(&q->turns[d->turn], d, by_turn);
}

static void set_cautious(struct link_queue *q, struct queue_device *d, bool cautious)
{
    q->n_cautious += (size_t)cautious - (size_t)d->cautious;
    d->cautious = cautious;
}

/* One sample more or less. */
static void count_in(struct link_queue *q, struct queue_device *d)
{
    d->n++;
    q->length++;
    q->ready += d->turn == TURN_READY;
}

static void count_out(struct link_queue *q, struct queue_device *d)
{
    d->n--;
    q->length--;
    q->ready -= d->turn == TURN_READY;
}

static void device_done_if_empty(struct link_queue *q, struct queue_device *d)
{
    if (!TAILQ_EMPTY(&d->samples))
        return;
    map_remove(&q->devices, &d->node);
    TAILQ_REMOVE(&q->turns[d->turn], d, by_turn);
    set_cautious(q, d, false);
    free(d);
}

/* Takes the oldest out of the queue; it is the first of its device, whose order is that of age. */
static void drop_oldest(struct link_queue *q)
{
    struct queued *s = TAILQ_FIRST(&q->samples);

    TAILQ_REMOVE(&q->samples, s, by_age);
    TAILQ_REMOVE(&s->of->samples, s, by_device);
    count_out(q, s->of);
    device_done_if_empty(q, s->of);
    free(s);
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

static struct queue_device *device_find(const struct link_queue *q, const char *id, uint64_t hash)
{
    struct map_node *node = map_find(&q->devices, hash, has_id, id);

    return node ? MAP_ENTRY(node, struct queue_device, node) : NULL;
}

/* The device of that id, made if it has nothing waiting. */
static struct queue_device *device_get(struct link_queue *q, const char *id)
{
    uint64_t hash = map_hash_text(id);
    struct queue_device *d = device_find(q, id, hash);
    size_t n = strlen(id) + 1;

    if (d)
        return d;
    d = calloc(1, sizeof(*d) + n);
    if (!d || map_insert(&q->devices, &d->node, hash) < 0) {
        free(d);
        return NULL;
    }
    TAILQ_INIT(&d->samples);
    memcpy(d->id, id, n);
    TAILQ_INSERT_TAIL(&q->turns[TURN_READY], d, by_turn);
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
    s->number = q->pushed++;
    TAILQ_INSERT_TAIL(&q->samples, s, by_age);
    TAILQ_INSERT_TAIL(&s->of->samples, s, by_device);
    count_in(q, s->of);
}

bool link_queue_take(struct link_queue *q, size_t max, size_t max_size, struct link_queue_batch *ret)
{
    struct queue_device *d = TAILQ_FIRST(&q->turns[TURN_READY]);
    struct queued *s;

    if (!d || max == 0)
        return false;
    if (d->cautious)
        max = 1;
    TAILQ_INIT(&ret->samples);
    ret->size = 0;
    for (ret->n = 0; ret->n < max && (s = TAILQ_FIRST(&d->samples)); ret->n++) {
        if (ret->n > 0 && ret->size + s->size > max_size)
            break;
        ret->size += s->size;
        TAILQ_REMOVE(&d->samples, s, by_device);
        TAILQ_REMOVE(&q->samples, s, by_age);
        TAILQ_INSERT_TAIL(&ret->samples, s, by_device);
        count_out(q, d);
    }
    set_turn(q, d, d->cautious ? TURN_TRIED : TURN_READY);
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

/* Before the first that is younger, looked for from `near` on (NULL: the front), which is no older than s. */
static void insert_by_age(struct link_queue *q, struct queued *s, struct queued *near)
{
    struct queued *before = near ?: TAILQ_FIRST(&q->samples);

    while (near && (near = TAILQ_PREV(near, queued_list, by_age)) && near->number > s->number)
        before = near;
    while (!near && before && before->number < s->number)
        before = TAILQ_NEXT(before, by_age);
    if (before)
        TAILQ_INSERT_BEFORE(before, s, by_age);
    else
        TAILQ_INSERT_TAIL(&q->samples, s, by_age);
}

static void insert_by_device(struct queued *s, struct queued *near)
{
    struct queued_list *samples = &s->of->samples;
    struct queued *before = near ?: TAILQ_FIRST(samples);

    while (near && (near = TAILQ_PREV(near, queued_list, by_device)) && near->number > s->number)
        before = near;
    while (!near && before && before->number < s->number)
        before = TAILQ_NEXT(before, by_device);
    if (before)
        TAILQ_INSERT_BEFORE(before, s, by_device);
    else
        TAILQ_INSERT_TAIL(samples, s, by_device);
}

void link_queue_batch_back(struct link_queue *q, struct link_queue_batch *b)
{
    struct queue_device *d = device_get(q, TAILQ_FIRST(&b->samples)->device);
    struct queued *s, *younger = NULL;

    /* From the newest to the oldest, so that those left over are the oldest. */
    while ((s = TAILQ_LAST(&b->samples, queued_list))) {
        TAILQ_REMOVE(&b->samples, s, by_device);
        if (!d || q->length >= q->max) {
            free(s);
            q->dropped++;
            continue;
        }
        s->of = d;
        insert_by_age(q, s, younger);
        insert_by_device(s, younger);
        count_in(q, d);
        younger = s;
    }
    if (d)
        device_done_if_empty(q, d);
    b->n = 0;
}

/* ---- One device waits ---- */

void link_queue_pause(struct link_queue *q, const char *device, uint64_t until)
{
    struct queue_device *d = device_find(q, device, map_hash_text(device));

    if (!d)
        return;
    d->due = until;
    set_cautious(q, d, true);
    set_turn(q, d, TURN_PAUSED);
}

uint64_t link_queue_resume(struct link_queue *q, uint64_t now, size_t max)
{
    struct queue_device *d;

    for (; max > 0 && (d = TAILQ_FIRST(&q->turns[TURN_PAUSED])) && d->due <= now; max--)
        set_turn(q, d, TURN_READY);
    d = TAILQ_FIRST(&q->turns[TURN_PAUSED]);
    return d ? d->due : UINT64_MAX;
}

void link_queue_go_on(struct link_queue *q, const char *device)
{
    struct queue_device *d = q->n_cautious > 0 ? device_find(q, device, map_hash_text(device)) : NULL;

    if (!d || !d->cautious)
        return;
    set_cautious(q, d, false);
    set_turn(q, d, TURN_READY);
}

void link_queue_go_on_all(struct link_queue *q)
{
    struct queue_device *d;

    for (enum turn turn = TURN_PAUSED; turn < TURNS; turn++)
        while ((d = TAILQ_FIRST(&q->turns[turn])))
            set_turn(q, d, TURN_READY);
    TAILQ_FOREACH (d, &q->turns[TURN_READY], by_turn)
        set_cautious(q, d, false);
}

size_t link_queue_ready(const struct link_queue *q)
{
    return q->ready;
}

size_t link_queue_length(const struct link_queue *q)
{
    return q->length;
}

uint64_t link_queue_dropped(const struct link_queue *q)
{
    return q->dropped;
}
