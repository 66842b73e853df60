/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/rounds.h"

#include "base/limits.h"
#include "base/map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

struct entry {
    struct map_node by_id;
    TAILQ_ENTRY(entry) link;
    char id[];
};

struct set {
    struct map map;
    TAILQ_HEAD(, entry) oldest_first;
};

struct rounds {
    uint64_t interval;
    struct set sets[2], *changed, *round; /* for the next round; not yet told in this one */
    uint64_t earliest;                    /* when a round may begin; 0: at any time */
};

static int has_id(const struct map_node *node, const void *id)
{
    return strcmp(MAP_ENTRY(node, const struct entry, by_id)->id, id) == 0;
}

static struct entry *find(const struct set *set, const char *id)
{
    struct map_node *node = map_find(&set->map, map_hash_text(id), has_id, id);

    return node ? MAP_ENTRY(node, struct entry, by_id) : NULL;
}

static void drop(struct set *set, struct entry *entry)
{
    if (!entry)
        return;
    map_remove(&set->map, &entry->by_id);
    TAILQ_REMOVE(&set->oldest_first, entry, link);
    free(entry);
}

static void empty(struct set *set)
{
    while (!TAILQ_EMPTY(&set->oldest_first))
        drop(set, TAILQ_FIRST(&set->oldest_first));
}

struct rounds *rounds_new(uint64_t interval)
{
    struct rounds *r = calloc(1, sizeof(*r));

    if (!r)
        return NULL;
    r->interval = interval;
    r->changed = &r->sets[0];
    r->round = &r->sets[1];
    TAILQ_INIT(&r->changed->oldest_first);
    TAILQ_INIT(&r->round->oldest_first);
    return r;
}

struct rounds *rounds_free(struct rounds *r)
{
    if (!r)
        return NULL;
    rounds_empty(r);
    map_done(&r->sets[0].map);
    map_done(&r->sets[1].map);
    free(r);
    return NULL;
}

int rounds_mark(struct rounds *r, const char *id)
{
    size_t size = strlen(id) + 1;
    struct entry *entry;

    if (find(r->changed, id))
        return 0;
    entry = malloc(sizeof(*entry) + size);
    if (!entry)
        return -ENOMEM;
    memcpy(entry->id, id, size);
    if (map_insert(&r->changed->map, &entry->by_id, map_hash_text(id)) < 0) {
        free(entry);
        return -ENOMEM;
    }
    TAILQ_INSERT_TAIL(&r->changed->oldest_first, entry, link);
    return 0;
}

void rounds_forget(struct rounds *r, const char *id)
{
    drop(r->changed, find(r->changed, id));
    drop(r->round, find(r->round, id));
}

void rounds_empty(struct rounds *r)
{
    empty(r->changed);
    empty(r->round);
}

const char *rounds_first(struct rounds *r, uint64_t now)
{
    /* Its last devices may have been forgotten, so an empty round says nothing of the time. */
    if (TAILQ_EMPTY(&r->round->oldest_first) && now >= r->earliest) {
        struct set *done = r->round;

        r->round = r->changed;
        r->changed = done;
    }
    return TAILQ_EMPTY(&r->round->oldest_first) ? NULL : TAILQ_FIRST(&r->round->oldest_first)->id;
}

void rounds_told(struct rounds *r, uint64_t now)
{
    drop(r->round, TAILQ_FIRST(&r->round->oldest_first));
    r->earliest = now + r->interval;
}

uint64_t rounds_due(const struct rounds *r)
{
    if (!TAILQ_EMPTY(&r->round->oldest_first))
        return 0;
    return TAILQ_EMPTY(&r->changed->oldest_first) ? USEC_INFINITY : r->earliest;
}
