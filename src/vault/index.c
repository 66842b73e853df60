/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names, keys and identities by hash: what makes "in use, by whom" a look-up. */
#include "vault/internal.h"

#include <stdio.h>
#include <string.h>

static int name_equal(const struct map_node *node, const void *key)
{
    return strcmp(MAP_ENTRY(node, struct name, node)->text, key) == 0;
}

int name_intern(struct vault *v, const char *text, const char **ret)
{
    uint64_t hash = map_hash_text(text);
    struct map_node *node = map_find(&v->names, hash, name_equal, text);
    size_t n = strlen(text) + 1;
    struct name *name;

    if (node) {
        *ret = MAP_ENTRY(node, struct name, node)->text;
        return 0;
    }
    name = malloc(sizeof(*name) + n);
    if (!name)
        return -ENOMEM;
    memcpy(name->text, text, n);
    if (map_insert(&v->names, &name->node, hash) < 0) {
        free(name);
        return -ENOMEM;
    }
    *ret = name->text;
    return 0;
}

static uint64_t digest_hash(const uint8_t *digest)
{
    uint64_t hash;

    memcpy(&hash, digest, sizeof(hash));
    return hash;
}

static int digest_equal(const struct map_node *node, const void *key)
{
    const struct key_row *row = MAP_ENTRY(node, const struct key_row, node);

    return memcmp(row->rest, (const uint8_t *)key + 8, sizeof(row->rest)) == 0;
}

struct key_row *key_row_find(const struct vault *v, const uint8_t *digest)
{
    struct map_node *node = map_find(&v->key_rows, digest_hash(digest), digest_equal, digest);

    return node ? MAP_ENTRY(node, struct key_row, node) : NULL;
}

int key_row_add(struct vault *v, const uint8_t *digest, const char *device, bool committed)
{
    struct key_row *row = malloc(sizeof(*row));

    if (!row)
        return -ENOMEM;
    memcpy(row->rest, digest + 8, sizeof(row->rest));
    row->device = device;
    row->committed = committed;
    if (map_insert(&v->key_rows, &row->node, digest_hash(digest)) < 0) {
        free(row);
        return -ENOMEM;
    }
    return 0;
}

void key_row_remove(struct vault *v, struct key_row *row)
{
    map_remove(&v->key_rows, &row->node);
    free(row);
}

static int identity_equal(const struct map_node *node, const void *key)
{
    return strcmp(MAP_ENTRY(node, struct identity_row, node)->text, key) == 0;
}

struct identity_row *identity_find(const struct vault *v, const char *text)
{
    struct map_node *node = map_find(&v->identities, map_hash_text(text), identity_equal, text);

    return node ? MAP_ENTRY(node, struct identity_row, node) : NULL;
}

bool vault_identity_used(const struct vault *vault, const char *identity)
{
    return identity_find(vault, identity) != NULL;
}

int identity_ref(struct vault *v, const char *text, const char *device, struct identity_row **ret)
{
    struct identity_row *row = identity_find(v, text);
    size_t n = strlen(text) + 1;

    if (!row) {
        row = malloc(sizeof(*row) + n);
        if (!row)
            return -ENOMEM;
        row->device = device;
        row->refs = 0;
        memcpy(row->text, text, n);
        if (map_insert(&v->identities, &row->node, map_hash_text(text)) < 0) {
            free(row);
            return -ENOMEM;
        }
    }
    row->refs++;
    *ret = row;
    return 0;
}

void identity_unref(struct vault *v, struct identity_row *row)
{
    if (!row || --row->refs > 0)
        return;
    map_remove(&v->identities, &row->node);
    free(row);
}

void index_done(struct vault *v)
{
    for (struct map_node *node = map_next(&v->names, NULL), *next; node; node = next) {
        next = map_next(&v->names, node);
        free(MAP_ENTRY(node, struct name, node));
    }
    for (struct map_node *node = map_next(&v->key_rows, NULL), *next; node; node = next) {
        next = map_next(&v->key_rows, node);
        free(MAP_ENTRY(node, struct key_row, node));
    }
    for (struct map_node *node = map_next(&v->identities, NULL), *next; node; node = next) {
        next = map_next(&v->identities, node);
        free(MAP_ENTRY(node, struct identity_row, node));
    }
    map_done(&v->names);
    map_done(&v->key_rows);
    map_done(&v->identities);
}
