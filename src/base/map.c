/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/map.h"

#include "base/hash.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

#define BUCKETS_MIN 16

static uint64_t seed;
static pthread_once_t seed_once = PTHREAD_ONCE_INIT;

static void make_seed(void)
{
    if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed))
        seed = (uint64_t)(uintptr_t)&seed;
}

uint64_t map_hash_combine(uint64_t a, uint64_t b)
{
    uint64_t h = a ^ (b + UINT64_C(0x9e3779b97f4a7c15) + (a << 6) + (a >> 2));

    h = (h ^ (h >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    return h ^ (h >> 27);
}

uint64_t map_hash_text(const char *text)
{
    pthread_once(&seed_once, make_seed);
    return map_hash_combine(hash_text(HASH_BEGIN ^ seed, text), seed);
}

void map_done(struct map *map)
{
    free(map->buckets);
    *map = (struct map){0};
}

static struct map_node **bucket(const struct map *map, uint64_t hash)
{
    return &map->buckets[hash & (map->n_buckets - 1)];
}

static int grow(struct map *map)
{
    struct map larger = {.n_buckets = map->n_buckets ? map->n_buckets * 2 : BUCKETS_MIN, .count = map->count};

    larger.buckets = calloc(larger.n_buckets, sizeof(*larger.buckets));
    if (!larger.buckets)
        return -ENOMEM;
    for (size_t i = 0; i < map->n_buckets; i++)
        for (struct map_node *node = map->buckets[i], *next; node; node = next) {
            struct map_node **first = bucket(&larger, node->hash);

            next = node->next;
            node->next = *first;
            *first = node;
        }
    free(map->buckets);
    *map = larger;
    return 0;
}

int map_insert(struct map *map, struct map_node *node, uint64_t hash)
{
    struct map_node **first;

    /* A map that cannot grow still works, only slower; without buckets it does not. */
    if (map->count >= map->n_buckets && grow(map) < 0 && map->n_buckets == 0)
        return -ENOMEM;
    first = bucket(map, hash);
    *node = (struct map_node){.next = *first, .hash = hash};
    *first = node;
    map->count++;
    return 0;
}

void map_remove(struct map *map, struct map_node *node)
{
    for (struct map_node **p = bucket(map, node->hash); *p; p = &(*p)->next)
        if (*p == node) {
            *p = node->next;
            map->count--;
            return;
        }
}

struct map_node *map_find(const struct map *map, uint64_t hash,
                          int (*equal)(const struct map_node *node, const void *key), const void *key)
{
    struct map_node *node = map->n_buckets ? *bucket(map, hash) : NULL;

    while (node && !(node->hash == hash && equal(node, key)))
        node = node->next;
    return node;
}

struct map_node *map_next(const struct map *map, const struct map_node *previous)
{
    size_t i = 0;

    if (previous) {
        if (previous->next)
            return previous->next;
        i = (previous->hash & (map->n_buckets - 1)) + 1;
    }
    for (; i < map->n_buckets; i++)
        if (map->buckets[i])
            return map->buckets[i];
    return NULL;
}
