/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/told.h"

#include "base/map.h"

#include <stdlib.h>
#include <string.h>

/* There is one for each device, so that it is small: half of a hash is enough (one change in 2^32 would be missed), and
 * the id stands behind the hashes. */
struct entry {
    struct map_node by_id;
    uint64_t shown; /* bits of those that were read since, and were not as signalled */
    uint32_t n;
    uint32_t hashes[];
};

struct told {
    struct map map;
};

struct told *told_new(void)
{
    return calloc(1, sizeof(struct told));
}

static const char *id_of(const struct entry *entry)
{
    return (const char *)&entry->hashes[entry->n];
}

static int has_id(const struct map_node *node, const void *id)
{
    return strcmp(id_of(MAP_ENTRY(node, const struct entry, by_id)), id) == 0;
}

static struct entry *find(const struct told *t, const char *id)
{
    struct map_node *node = map_find(&t->map, map_hash_text(id), has_id, id);

    return node ? MAP_ENTRY(node, struct entry, by_id) : NULL;
}

static void drop(struct told *t, struct entry *entry)
{
    map_remove(&t->map, &entry->by_id);
    free(entry);
}

static uint32_t half(uint64_t hash)
{
    return (uint32_t)(hash ^ (hash >> 32));
}

static void remember(struct entry *entry, const uint64_t *hashes)
{
    for (size_t i = 0; i < entry->n; i++)
        entry->hashes[i] = half(hashes[i]);
}

static void add(struct told *t, const char *id, const uint64_t *hashes, size_t n)
{
    size_t size = strlen(id) + 1;
    struct entry *entry = calloc(1, sizeof(*entry) + n * sizeof(*entry->hashes) + size);

    if (!entry)
        return;
    entry->n = (uint32_t)n;
    remember(entry, hashes);
    memcpy(&entry->hashes[n], id, size);
    if (map_insert(&t->map, &entry->by_id, map_hash_text(id)) < 0)
        free(entry);
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
        if (!entry || entry->hashes[i] != half(hashes[i]))
            changed |= UINT64_C(1) << i;
    if (entry) {
        changed |= entry->shown;
        entry->shown = 0;
        remember(entry, hashes);
    } else {
        add(t, id, hashes, n);
    }
    return changed;
}

void told_shown(struct told *t, const char *id, size_t first, const uint64_t *hashes, size_t n)
{
    struct entry *entry = find(t, id);

    for (size_t i = 0; entry && i < n && first + i < entry->n; i++)
        if (entry->hashes[first + i] != half(hashes[i]))
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
    for (struct map_node *node = map_next(&t->map, NULL), *next; node; node = next) {
        next = map_next(&t->map, node);
        drop(t, MAP_ENTRY(node, struct entry, by_id));
    }
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
