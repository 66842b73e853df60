/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/prescan-map.h"

#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

static uint64_t hash(uint32_t parent, bool member, const char *key, size_t index)
{
    uint64_t h = hash_bytes(HASH_BEGIN, &parent, sizeof(parent));

    h = member ? hash_text(h, key) : hash_bytes(h, &index, sizeof(index));
    return h * UINT64_C(0x9e3779b97f4a7c15);
}

static uint64_t node_hash(const struct prescan *s, const struct prescan_node *node)
{
    return hash(node->parent, node->member, node->member ? s->keys.text + node->key : "", node->key);
}

static void table_put(struct prescan *s, uint32_t number)
{
    size_t i = (node_hash(s, &s->nodes[number]) >> 20) & (s->table_size - 1);

    while (s->table[i])
        i = (i + 1) & (s->table_size - 1);
    s->table[i] = number + 1;
}

static int table_grow(struct prescan *s)
{
    size_t size = s->table_size ? s->table_size * 2 : 32;
    uint32_t *table = calloc(size, sizeof(*table));

    if (!table)
        return -ENOMEM;
    free(s->table);
    s->table = table;
    s->table_size = size;
    for (uint32_t i = 1; i < s->n; i++)
        table_put(s, i);
    return 0;
}

uint32_t prescan_find(const struct prescan *s, uint32_t parent, bool member, const char *key, size_t index)
{
    size_t i;

    if (!s->table)
        return PRESCAN_NONE;
    for (i = (hash(parent, member, key, index) >> 20) & (s->table_size - 1); s->table[i];
         i = (i + 1) & (s->table_size - 1)) {
        const struct prescan_node *node = &s->nodes[s->table[i] - 1];

        if (node->parent != parent || node->member != member)
            continue;
        if (member ? strcmp(s->keys.text + node->key, key) == 0 : node->key == index)
            return s->table[i] - 1;
    }
    return PRESCAN_NONE;
}

int prescan_add(struct prescan *s, const struct prescan_node *node, uint32_t *ret)
{
    struct prescan_node *nodes;
    int r;

    if (s->n == s->allocated) {
        nodes = reallocarray(s->nodes, s->allocated ? s->allocated * 2 : 16, sizeof(*nodes));
        if (!nodes)
            return -ENOMEM;
        s->nodes = nodes;
        s->allocated = s->allocated ? s->allocated * 2 : 16;
    }
    s->nodes[s->n++] = *node;
    *ret = (uint32_t)(s->n - 1);
    if (*ret == PRESCAN_ROOT)
        return 0;
    if (s->n * 2 > s->table_size) {
        r = table_grow(s);
        return r;
    }
    table_put(s, *ret);
    return 0;
}

struct prescan *prescan_free(struct prescan *s)
{
    if (!s)
        return NULL;
    free(s->nodes);
    free(s->table);
    strbuf_done(&s->keys);
    free(s);
    return NULL;
}

size_t prescan_count(const struct prescan *s)
{
    return s->n;
}

uint32_t prescan_child(const struct prescan *s, uint32_t node, const char *key)
{
    uint32_t child = prescan_find(s, node, true, key, 0);
    char *end;
    unsigned long long index;

    if (child != PRESCAN_NONE || key[0] < '0' || key[0] > '9' || (key[0] == '0' && key[1]))
        return child;
    errno = 0;
    index = strtoull(key, &end, 10);
    return *end || errno ? PRESCAN_NONE : prescan_find(s, node, false, "", (size_t)index);
}

uint32_t prescan_parent(const struct prescan *s, uint32_t node)
{
    return s->nodes[node].parent;
}

const char *prescan_key(const struct prescan *s, uint32_t node)
{
    return s->nodes[node].member ? s->keys.text + s->nodes[node].key : "";
}

bool prescan_is_member(const struct prescan *s, uint32_t node)
{
    return s->nodes[node].member;
}

struct position prescan_value_at(const struct prescan *s, uint32_t node)
{
    return s->nodes[node].value_at;
}

struct position prescan_key_at(const struct prescan *s, uint32_t node)
{
    return s->nodes[node].key_at;
}

/* One token of a JSON pointer, "~1" and "~0" undone; returns where the next begins, at '/' or the end. */
static const char *token(const char *pointer, char *text, size_t size)
{
    size_t n = 0;

    for (; *pointer && *pointer != '/'; pointer++) {
        char b = *pointer;

        if (b == '~' && (pointer[1] == '0' || pointer[1] == '1'))
            b = *++pointer == '0' ? '~' : '/';
        if (n + 1 < size)
            text[n++] = b;
    }
    text[n] = 0;
    return pointer;
}

uint32_t prescan_pointer(const struct prescan *s, const char *pointer)
{
    uint32_t node = PRESCAN_ROOT;
    char text[256];

    while (*pointer == '/') {
        uint32_t child;

        pointer = token(pointer + 1, text, sizeof(text));
        child = prescan_child(s, node, text);
        if (child == PRESCAN_NONE)
            break;
        node = child;
    }
    return node;
}
