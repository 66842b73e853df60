/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/sample-set.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    struct map_node node;
    uint64_t turn; /* when it came, among the others */
    struct sample sample;
    char texts[]; /* point and unit */
};

static int equal(const struct map_node *node, const void *point)
{
    return strcmp(MAP_ENTRY(node, struct entry, node)->sample.point, point) == 0;
}

static void drop(struct sample_set *set, struct entry *e)
{
    map_remove(&set->by_point, &e->node);
    sample_value_done(&e->sample.value);
    free(e);
}

static struct entry *find(struct sample_set *set, const char *point, uint64_t hash)
{
    struct map_node *node = map_find(&set->by_point, hash, equal, point);

    return node ? MAP_ENTRY(node, struct entry, node) : NULL;
}

/* Without a value yet. */
static struct entry *add(struct sample_set *set, const struct sample *s, uint64_t hash)
{
    size_t point = strlen(s->point) + 1, unit = strlen(s->unit) + 1;
    struct entry *e = calloc(1, sizeof(*e) + point + unit);

    if (!e)
        return NULL;
    memcpy(e->texts, s->point, point);
    memcpy(e->texts + point, s->unit, unit);
    e->sample.point = e->texts;
    e->sample.unit = e->texts + point;
    if (map_insert(&set->by_point, &e->node, hash) >= 0)
        return e;
    free(e);
    return NULL;
}

int sample_set_put(struct sample_set *set, const struct sample *s, size_t max)
{
    uint64_t hash = map_hash_text(s->point);
    struct entry *e = find(set, s->point, hash), *added;
    struct sample_value value = {0};

    if (!e && set->by_point.count >= max)
        return -ENOSPC;
    if (sample_value_copy(&s->value, &value) < 0)
        return -ENOMEM;
    added = e && strcmp(e->sample.unit, s->unit) == 0 ? e : add(set, s, hash);
    if (!added) {
        sample_value_done(&value);
        return -ENOMEM;
    }
    if (e && added != e)
        drop(set, e);
    sample_value_done(&added->sample.value);
    added->sample.value = value;
    added->sample.time = s->time;
    added->sample.quality = s->quality;
    added->turn = set->turn++;
    return 0;
}

static int by_turn(const void *a, const void *b)
{
    const struct entry *x = MAP_ENTRY(*(struct sample *const *)a, struct entry, sample);
    const struct entry *y = MAP_ENTRY(*(struct sample *const *)b, struct entry, sample);

    return x->turn < y->turn ? -1 : x->turn > y->turn;
}

static int by_point(const void *a, const void *b)
{
    const struct sample *const *x = a, *const *y = b;

    return strcmp((*x)->point, (*y)->point);
}

int sample_set_list(const struct sample_set *set, enum sample_set_order order, const struct sample ***ret,
                    size_t *ret_n)
{
    const struct sample **all = calloc(set->by_point.count + 1, sizeof(const struct sample *));
    size_t n = 0;

    if (!all)
        return -ENOMEM;
    for (struct map_node *node = map_next(&set->by_point, NULL); node; node = map_next(&set->by_point, node))
        all[n++] = &MAP_ENTRY(node, struct entry, node)->sample;
    qsort(all, n, sizeof(const struct sample *), order == SAMPLE_SET_BY_TURN ? by_turn : by_point);
    *ret = all;
    *ret_n = n;
    return 0;
}

void sample_set_done(struct sample_set *set)
{
    struct map_node *node = map_next(&set->by_point, NULL);

    while (node) {
        struct entry *e = MAP_ENTRY(node, struct entry, node);

        node = map_next(&set->by_point, node);
        drop(set, e);
    }
    map_done(&set->by_point);
    *set = (struct sample_set){0};
}
