/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where only the latest value of each point is of use: while the queue has something that the cloud has not taken, what
 * comes waits here, one sample a point, a newer one in the place of an older one. So an outage leaves as many samples
 * as there are points, and what was under way. In memory: at the end of the agent, or of the device, it goes to the
 * queue. */
#include "base/clock.h"
#include "device/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct waiting {
    struct map_node node;
    uint64_t turn; /* when it came, among the others */
    struct sample sample;
    struct sample_value value; /* its own copy */
    char unit[UNIT_MAX];
    char name[];
};

struct latest {
    struct map by_name;
    uint64_t turn;
};

static int equal(const struct map_node *node, const void *name)
{
    return strcmp(MAP_ENTRY(node, struct waiting, node)->name, name) == 0;
}

static struct waiting *place(struct latest *l, const char *name)
{
    uint64_t hash = map_hash_text(name);
    struct map_node *node = map_find(&l->by_name, hash, equal, name);
    struct waiting *w;

    if (node)
        return MAP_ENTRY(node, struct waiting, node);
    w = l->by_name.count < POINTS_PER_DEVICE_MAX ? calloc(1, sizeof(*w) + strlen(name) + 1) : NULL;
    if (!w)
        return NULL;
    memcpy(w->name, name, strlen(name) + 1);
    if (map_insert(&l->by_name, &w->node, hash) >= 0)
        return w;
    free(w);
    return NULL;
}

static int put(struct latest *l, const struct sample *s)
{
    struct sample_value value = {0};
    struct waiting *w;

    if (sample_value_copy(&s->value, &value) < 0)
        return -ENOMEM;
    w = place(l, s->point);
    if (!w) {
        sample_value_done(&value);
        return -ENOMEM;
    }
    sample_value_done(&w->value);
    w->value = value;
    memcpy(w->unit, s->unit, MIN_OF(strlen(s->unit) + 1, sizeof(w->unit)));
    w->unit[sizeof(w->unit) - 1] = 0;
    w->sample = (struct sample){w->name, s->time, value, w->unit, s->quality};
    w->turn = l->turn++;
    return 0;
}

static bool wanted(const struct device *d)
{
    switch (d->uplink->settings->order) {
    case CONFIG_ORDER_PROFILE:
        return d->uplink->profile->latest;
    case CONFIG_ORDER_OLDEST:
        return false;
    case CONFIG_ORDER_LATEST:
        return true;
    }
    return false;
}

bool latest_take(struct device *d, const struct sample *samples, size_t n)
{
    struct spool_counts counts;

    if (!wanted(d))
        return false;
    spool_device_counts(d->queue, &counts);
    if (counts.queued == 0 && !d->delivery.latest)
        return false;
    if (!d->delivery.latest)
        d->delivery.latest = calloc(1, sizeof(*d->delivery.latest));
    if (!d->delivery.latest)
        return false;
    for (size_t i = 0; i < n; i++)
        if (put(d->delivery.latest, &samples[i]) < 0)
            spool_append(d->queue, clock_boottime(), &samples[i], 1, NULL, NULL);
    return true;
}

static int by_turn(const void *a, const void *b)
{
    const struct waiting *x = *(struct waiting *const *)a, *y = *(struct waiting *const *)b;

    return x->turn < y->turn ? -1 : 1;
}

/* Into the queue, in the order in which they came. */
static void append(struct device *d, struct latest *l)
{
    _cleanup_free_ struct waiting **all = calloc(l->by_name.count + 1, sizeof(*all));
    size_t n = 0;

    if (!all)
        return;
    for (struct map_node *node = map_next(&l->by_name, NULL); node; node = map_next(&l->by_name, node))
        all[n++] = MAP_ENTRY(node, struct waiting, node);
    qsort(all, n, sizeof(struct waiting *), by_turn);
    for (size_t i = 0; i < n; i++)
        spool_append(d->queue, clock_boottime(), &all[i]->sample, 1, NULL, NULL);
}

static void latest_free(struct latest *l)
{
    struct map_node *node = map_next(&l->by_name, NULL);

    while (node) {
        struct waiting *w = MAP_ENTRY(node, struct waiting, node);

        node = map_next(&l->by_name, node);
        map_remove(&l->by_name, &w->node);
        sample_value_done(&w->value);
        free(w);
    }
    map_done(&l->by_name);
    free(l);
}

void latest_release(struct device *d)
{
    struct latest *l = d->delivery.latest;

    if (!l)
        return;
    d->delivery.latest = NULL;
    if (d->queue)
        append(d, l);
    latest_free(l);
}
