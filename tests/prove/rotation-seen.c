/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The worlds that were seen: their keys in the order in which they were met, and an open table of (hash, number) beside
 * them. A key is looked at where the whole hash agrees, and compared whole: no world is taken for another. */
#include "rotation-model.h"

#include <stdlib.h>
#include <sys/mman.h>

#define LARGE_PAGE ((size_t)2 << 20)

static uint32_t packed_hash(const struct packed *p)
{
    uint64_t h = p->words[0] * UINT64_C(0x9e3779b97f4a7c15);

    h = (h ^ h >> 32 ^ p->words[1]) * UINT64_C(0xd6e8feb86659fd93);
    return (uint32_t)(h ^ h >> 32);
}

void set_prefetch(const struct set *s, const struct packed *key)
{
    __builtin_prefetch(&s->table[packed_hash(key) & s->mask]);
}

void set_prefetch_node(const struct set *s, const struct packed *key)
{
    uint32_t hash = packed_hash(key);
    uint64_t place = s->table[hash & s->mask];

    if (place && place >> 32 == hash)
        __builtin_prefetch(&s->nodes[(uint32_t)place - 1]);
}

static void *must(void *p)
{
    if (!p)
        abort();
    return p;
}

/* Zeroed, in large pages if there are such: nearly every look at it is somewhere else. */
static uint64_t *new_table(size_t places)
{
    size_t size = places * sizeof(uint64_t);
    uint64_t *table = must(aligned_alloc(size < LARGE_PAGE ? 64 : LARGE_PAGE, size));

    if (size >= LARGE_PAGE)
        madvise(table, size, MADV_HUGEPAGE);
    return memset(table, 0, size);
}

/* What stands in the table says where it belongs: the nodes are not looked at. */
static void set_grow(struct set *s)
{
    uint32_t old = s->mask + 1;
    uint64_t *from = s->table;

    s->table = new_table((size_t)old * 2);
    s->mask = old * 2 - 1;
    for (uint32_t i = 0; i < old; i++) {
        uint32_t at = (uint32_t)(from[i] >> 32) & s->mask;

        if (from[i] == 0)
            continue;
        while (s->table[at])
            at = (at + 1) & s->mask;
        s->table[at] = from[i];
    }
    free(from);
}

static bool same(const struct packed *a, const struct packed *b)
{
    return a->words[0] == b->words[0] && a->words[1] == b->words[1];
}

/* The key's node, or NULL and the place where it is to stand. */
static const struct node *find(const struct set *s, const struct packed *key, uint32_t hash, uint32_t *ret_at)
{
    uint32_t at = hash & s->mask;

    for (; s->table[at]; at = (at + 1) & s->mask) {
        const struct node *node = &s->nodes[(uint32_t)s->table[at] - 1];

        if (s->table[at] >> 32 == hash && same(&node->key, key))
            return node;
    }
    *ret_at = at;
    return NULL;
}

const struct node *set_find(const struct set *s, const struct packed *key)
{
    uint32_t at;

    return find(s, key, packed_hash(key), &at);
}

void set_add(struct set *s, const struct packed *key, uint32_t from, uint32_t branch_index)
{
    uint32_t at, hash = packed_hash(key);

    if (find(s, key, hash, &at))
        return;
    if (s->n == s->allocated) {
        s->allocated = s->allocated * 2 + 1024;
        s->nodes = must(realloc(s->nodes, s->allocated * sizeof(*s->nodes)));
    }
    s->nodes[s->n++] = (struct node){*key, from, branch_index};
    s->table[at] = (uint64_t)hash << 32 | s->n;
    if (s->n >= s->mask / 2)
        set_grow(s);
}

void set_reset(struct set *s)
{
    free(s->nodes);
    free(s->table);
    memset(s, 0, sizeof(*s));
    s->mask = 1023;
    s->table = new_table(s->mask + 1);
}
