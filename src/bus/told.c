/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/told.h"

#include "base/map.h"

#include <stdlib.h>
#include <string.h>

struct entry {
    struct map_node by_id;
    char *id;
    uint64_t shown; /* bits of those that were read since, and were not as signalled */
    size_t n;
    uint64_t hashes[];
};

struct told {
    struct map map;
};

struct told *told_new(void)
{
    return calloc(1, sizeof(struct told));
}

static int has_id(const struct map_node *node, const void *id)
{
    return strcmp(MAP_ENTRY(node, const struct entry, by_id)->id, id) == 0;
}

static struct entry *find(const struct told *t, const char *id)
{
    struct map_node *node = map_find(&t->map, map_hash_text(id), has_id, id);

    return node ? MAP_ENTRY(node, struct entry, by_id) : NULL;
}

static void drop(struct told *t, struct entry *entry)
{
    map_remove(&t->map, &entry->by_id);
    free(entry->id);
    free(entry);
}

static void add(struct told *t, const char *id, const uint64_t *hashes, size_t n)
{
    struct entry *entry = calloc(1, sizeof(*entry) + n * sizeof(*hashes));

    if (!entry)
        return;
    entry->id = strdup(id);
    entry->n = n;
    memcpy(entry->hashes, hashes, n * sizeof(*hashes));
    if (!entry->id || map_insert(&t->map, &entry->by_id, map_hash_text(id)) < 0) {
        free(entry->id);
        free(entry);
    }
}

uint64_t told_update(struct told *t, const char *id, const uint64_t *hashes, size_t n)
{
    struct entry *entry = find(t, id);
    uint64_t changed = 0;

    if (entry && entry->n != n) {
        drop(t, entry);
        entry = NULL;
    }
    for (size_t i = 0; i < n; i++)
        if (!entry || entry->hashes[i] != hashes[i])
            changed |= UINT64_C(1) << i;
    if (entry) {
        changed |= entry->shown;
        entry->shown = 0;
        memcpy(entry->hashes, hashes, n * sizeof(*hashes));
    } else {
        add(t, id, hashes, n);
    }
    return changed;
}

void told_shown(struct told *t, const char *id, size_t first, const uint64_t *hashes, size_t n)
{
    struct entry *entry = find(t, id);

    for (size_t i = 0; entry && i < n && first + i < entry->n; i++)
        if (entry->hashes[first + i] != hashes[i])
            entry->shown |= UINT64_C(1) << (first + i);
}

void told_forget(struct told *t, const char *id)
{
    struct entry *entry = find(t, id);

    if (entry)
        drop(t, entry);
}

void told_empty(struct told *t)
{
    struct map_node *node;

    while ((node = map_next(&t->map, NULL)))
        drop(t, MAP_ENTRY(node, struct entry, by_id));
}

struct told *told_free(struct told *t)
{
    if (!t)
        return NULL;
    told_empty(t);
    map_done(&t->map);
    free(t);
    return NULL;
}
