/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A chained hash map of nodes embedded in what they find: look-up, insertion and removal in constant time however often
 * entries come and go (json-c's lh_table fills up with tombstones). Owns its buckets, never the nodes. One thread. */

#include <stddef.h>
#include <stdint.h>

struct map_node {
    struct map_node *next;
    uint64_t hash;
};

struct map {
    struct map_node **buckets;
    size_t n_buckets, count;
};

/* The object of `type` that embeds this node as `member`. */
#define MAP_ENTRY(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

/* For text that others choose: seeded once per process. */
uint64_t map_hash_text(const char *text);
uint64_t map_hash_combine(uint64_t a, uint64_t b);

/* A zeroed map is an empty one. Frees the buckets; the nodes are the caller's. */
void map_done(struct map *map);
/* -ENOMEM. Does not look whether an equal one is there. */
int map_insert(struct map *map, struct map_node *node, uint64_t hash);
void map_remove(struct map *map, struct map_node *node);
/* The first node with this hash for which equal() says so. */
struct map_node *map_find(const struct map *map, uint64_t hash,
                          int (*equal)(const struct map_node *node, const void *key), const void *key);
/* All nodes, in no order; begin with NULL. The node returned may be removed only after the next was fetched, and
 * nothing may be inserted meanwhile. */
struct map_node *map_next(const struct map *map, const struct map_node *previous);
