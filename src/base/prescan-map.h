/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The values of a prescanned file, by parent and key. prescan.c fills it, prescan-map.c answers from it; others include
 * base/prescan.h. */

#include "base/prescan.h"
#include "base/strbuf.h"

struct prescan_node {
    uint32_t parent;
    size_t key; /* offset in keys; for an element, its index */
    struct position key_at, value_at;
    bool member;
};

struct prescan {
    struct prescan_node *nodes;
    size_t n, allocated;
    struct strbuf keys; /* NUL-terminated, one behind the other */
    uint32_t *table;    /* open addressing: node number + 1 by parent and key; 0 is free */
    size_t table_size;  /* a power of 2 */
};

/* The member `key` or, if it is no member, the element `index`; PRESCAN_NONE. */
uint32_t prescan_find(const struct prescan *s, uint32_t parent, bool member, const char *key, size_t index);
/* Copies the node, whose key is in s->keys. 0 or -ENOMEM. */
int prescan_add(struct prescan *s, const struct prescan_node *node, uint32_t *ret);
