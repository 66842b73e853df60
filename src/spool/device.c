/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Devices, and what they have beyond their queues. */
#include "spool/internal.h"

#include <string.h>

/* ---- What a device has beyond its queue ---- */

struct stored *stored_get(struct spool_device *d)
{
    if (d->stored)
        return d->stored;
    d->stored = calloc(1, sizeof(*d->stored));
    if (!d->stored)
        return NULL;
    d->stored->device = d;
    d->segments.rows = &d->stored->rows;
    return d->stored;
}

void stored_put(struct spool_device *d)
{
    const struct stored *t = d->stored;

    if (!t || !segments_rows_empty(&t->rows) || t->waits.first || t->waits.n_again > 0 || t->due.dirty ||
        t->due.wanting || t->due.caring)
        return;
    free(t->rows.head);
    free(d->stored);
    d->stored = NULL;
    d->segments.rows = NULL;
}

/* ---- Devices ---- */

static int has_id(const struct map_node *node, const void *id)
{
    return strcmp(MAP_ENTRY(node, struct spool_device, node)->id, id) == 0;
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
    if (!d || account_reserve(&s->account, s->devices.count + 1) < 0 || map_insert(&s->devices, &d->node, hash) < 0)
        return NULL;
    d->spool = s;
    segments_init(&d->segments, &s->account);
    memcpy(d->id, id, n);
    return TAKE_PTR(d);
}

struct spool_device *device_of(const struct segments *g)
{
    return (struct spool_device *)(void *)((char *)g - offsetof(struct spool_device, segments));
}

bool has_samples(const struct spool_device *d)
{
    return d->segments.heap_index != NOT_IN_HEAP;
}

struct spool_device *spool_next(const struct spool *s, const struct spool_device *previous)
{
    const struct map_node *node = previous ? &previous->node : NULL;

    while ((node = map_next(&s->devices, node))) {
        struct spool_device *d = MAP_ENTRY(node, struct spool_device, node);

        if (has_samples(d))
            return d;
    }
    return NULL;
}

const char *spool_device_id(const struct spool_device *d)
{
    return d->id;
}

/* ---- What is written, and what there is more of ---- */

bool writes(const struct spool *s)
{
    return s->state != SPOOL_CLOSED && s->settings.durability != SPOOL_MEMORY;
}

bool waits_for_disk(const struct spool_device *d)
{
    const struct spool *s = d->spool;

    return writes(s) && (s->settings.durability == SPOOL_ALWAYS || !d->up);
}

void say_more(struct spool_device *d)
{
    const struct spool *s = d->spool;

    if (has_samples(d) && s->options.ops && s->options.ops->more && !s->stopping)
        s->options.ops->more(d->id, s->options.userdata);
}

void say_more_of_all(struct spool *s)
{
    if (s->options.ops && s->options.ops->more_of_all && !s->stopping)
        s->options.ops->more_of_all(s->options.userdata);
}
