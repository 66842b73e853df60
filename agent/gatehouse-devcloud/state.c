/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "state.h"

#include "downlink.h"
#include "hono-set.h"

#include "base/encode.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <search.h>
#include <stdio.h>
#include <string.h>

static int compare_identity(const void *a, const void *b)
{
    return strcmp(((const struct credential *)a)->identity, ((const struct credential *)b)->identity);
}

static int compare_device(const void *a, const void *b)
{
    return strcmp(((const struct device *)a)->id, ((const struct device *)b)->id);
}

/* -- found by something else than their names -- */

struct hardware {
    struct map_node node;
    const char *id; /* the array's */
    struct device *device;
};

struct wanted_key {
    const char *identity_end;
    const void *key;
    size_t size;
};

static int equal_cloud_id(const struct map_node *node, const void *key)
{
    const struct device *d = MAP_ENTRY(node, struct device, by_cloud_id);

    return !d->forgotten && strcmp(d->cloud_id, key) == 0;
}

struct device *state_device_by_cloud_id(struct state *s, const char *cloud_id)
{
    struct map_node *node = map_find(&s->cloud_ids, map_hash_text(cloud_id), equal_cloud_id, cloud_id);

    return node ? MAP_ENTRY(node, struct device, by_cloud_id) : NULL;
}

static int equal_hardware(const struct map_node *node, const void *key)
{
    const struct hardware *h = MAP_ENTRY(node, struct hardware, node);

    return !h->device->forgotten && strcmp(h->id, key) == 0;
}

struct device *state_device_by_hardware(struct state *s, const char *hardware)
{
    struct map_node *node = map_find(&s->hardware, map_hash_text(hardware), equal_hardware, hardware);
    struct device *d;

    if (node)
        return MAP_ENTRY(node, struct hardware, node)->device;
    d = state_device(s, hardware);
    return d && !d->hardware ? d : NULL;
}

/* NULL: its own id is all it has. */
static int set_hardware(struct state *s, struct device *d, json_object *ids)
{
    size_t n = d->hardware ? json_object_array_length(d->hardware) : 0;
    int r = 0;

    for (size_t i = 0; i < n; i++)
        map_remove(&s->hardware, &d->hardware_nodes[i].node);
    free(d->hardware_nodes);
    json_object_put(d->hardware);
    d->hardware = NULL;
    d->hardware_nodes = NULL;
    n = ids ? json_object_array_length(ids) : 0;
    if (n == 0)
        return 0;
    d->hardware_nodes = calloc(n, sizeof(*d->hardware_nodes));
    if (!d->hardware_nodes)
        return -ENOMEM;
    for (size_t i = 0; r >= 0 && i < n; i++) {
        struct hardware *h = &d->hardware_nodes[i];

        h->id = json_object_get_string(json_object_array_get_idx(ids, i)) ?: "";
        h->device = d;
        r = map_insert(&s->hardware, &h->node, map_hash_text(h->id));
    }
    d->hardware = json_object_get(ids);
    return r;
}

static uint64_t key_hash(const void *key, size_t size)
{
    char hex[HEX_SIZE(KEY_MAX)];
    uint64_t hash;

    hex_encode(key, MIN_OF(size, (size_t)KEY_MAX), hex);
    hash = map_hash_text(hex);
    gnutls_memset(hex, 0, sizeof(hex));
    return hash;
}

static int equal_key(const struct map_node *node, const void *key)
{
    const struct secret *k = MAP_ENTRY(node, struct secret, by_key);
    const struct wanted_key *w = key;
    size_t n = strlen(k->credential->identity), m = strlen(w->identity_end);

    return k->key_size == w->size && gnutls_memcmp(k->key, w->key, w->size) == 0 && n >= m &&
           strcmp(k->credential->identity + n - m, w->identity_end) == 0;
}

struct credential *state_find_key(struct state *s, const char *identity_end, const void *key, size_t size)
{
    struct wanted_key wanted = {.identity_end = identity_end, .key = key, .size = size};
    struct map_node *node = map_find(&s->keys, key_hash(key, size), equal_key, &wanted);

    return node ? MAP_ENTRY(node, struct secret, by_key)->credential : NULL;
}

static int index_secrets(struct state *s, struct credential *c)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < c->count; i++) {
        struct secret *k = &c->secrets[i];

        r = map_insert(&s->keys, &k->by_key, key_hash(k->key, k->key_size));
        if (r >= 0)
            k->credential = c;
    }
    return r;
}

/* -- one by one -- */

static void empty(struct credential *c)
{
    if (c->secrets)
        gnutls_memset(c->secrets, 0, c->count * sizeof(*c->secrets));
    free(c->secrets);
    json_object_put(c->shown);
    c->secrets = NULL;
    c->count = 0;
    c->shown = NULL;
}

static void credential_free(void *p)
{
    empty(p);
    free(p);
}

static void leave(void *p) {}

void state_done(struct state *s)
{
    tdestroy(s->identities, credential_free);
    tdestroy(s->device_ids, leave);
    while (s->devices) {
        struct device *d = s->devices;

        s->devices = d->next;
        json_object_put(d->hardware);
        json_object_put(d->others);
        free(d->hardware_nodes);
        downlink_free(d->downlink);
        json_object_put(d->settings);
        free(d);
    }
    map_done(&s->cloud_ids);
    map_done(&s->hardware);
    map_done(&s->keys);
    *s = (struct state){};
}

struct credential *state_find(struct state *s, const char *identity)
{
    struct credential key;
    struct credential **found;

    if (strlen(identity) > IDENTITY_MAX)
        return NULL;
    snprintf(key.identity, sizeof(key.identity), "%s", identity);
    found = tfind(&key, &s->identities, compare_identity);
    return found ? *found : NULL;
}

static struct device *find_device(struct state *s, const char *id)
{
    struct device key;
    struct device **found;

    if (strlen(id) >= sizeof(key.id))
        return NULL;
    snprintf(key.id, sizeof(key.id), "%s", id);
    found = tfind(&key, &s->device_ids, compare_device);
    return found ? *found : NULL;
}

struct device *state_device(struct state *s, const char *id)
{
    struct device *d = find_device(s, id);

    return d && !d->forgotten ? d : NULL;
}

/* Derived, so that a device which the management calls did not make has the same one after a restart. */
static void derive(const char *what, const char *text, size_t length, char *ret)
{
    uint8_t digest[32];
    char hex[HEX_SIZE(sizeof(digest))], joined[512];

    snprintf(joined, sizeof(joined), "%s %s", what, text);
    if (gnutls_hash_fast(GNUTLS_DIG_SHA256, joined, strlen(joined), digest) < 0)
        memset(digest, 0, sizeof(digest));
    hex_encode(digest, sizeof(digest), hex);
    snprintf(ret, length + 1, "%.*s", (int)length, hex);
}

/* Its credentials are other ones from here on: told by what they were and what was done. */
static void changed(struct device *d, const struct journal_entry *j)
{
    const char *details =
        j->kind == JOURNAL_SET ? json_object_to_json_string_ext(j->details, JSON_C_TO_STRING_PLAIN) : "";
    uint8_t digest[32];
    gnutls_hash_hd_t hash;
    char hex[HEX_SIZE(sizeof(digest))];

    if (gnutls_hash_init(&hash, GNUTLS_DIG_SHA256) < 0)
        return;
    gnutls_hash(hash, d->version, strlen(d->version));
    gnutls_hash(hash, &j->kind, sizeof(j->kind));
    gnutls_hash(hash, j->id, strlen(j->id));
    gnutls_hash(hash, j->identity, strlen(j->identity));
    gnutls_hash(hash, details, strlen(details));
    gnutls_hash_deinit(hash, digest);
    hex_encode(digest, sizeof(digest), hex);
    snprintf(d->version, sizeof(d->version), "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

/* The one of this id, made if it is not there. */
static struct device *device_get(struct state *s, const char *id)
{
    struct device *d = find_device(s, id);

    if (d) {
        d->forgotten = false;
        return d;
    }
    d = calloc(1, sizeof(*d));
    if (!d)
        return NULL;
    snprintf(d->id, sizeof(d->id), "%s", id);
    derive("device", id, CLOUD_DEVICE_ID_LENGTH, d->cloud_id);
    if (!tsearch(d, &s->device_ids, compare_device)) {
        free(d);
        return NULL;
    }
    if (map_insert(&s->cloud_ids, &d->by_cloud_id, map_hash_text(d->cloud_id)) < 0) {
        tdelete(d, &s->device_ids, compare_device);
        free(d);
        return NULL;
    }
    d->next = s->devices;
    s->devices = d;
    return d;
}

static int set_details(struct state *s, struct device *d, json_object *details)
{
    const char *cloud = details ? json_get_string(details, "cloud") : NULL;
    json_object *hardware;
    int r = 0;

    if (cloud) {
        map_remove(&s->cloud_ids, &d->by_cloud_id);
        snprintf(d->cloud_id, sizeof(d->cloud_id), "%s", cloud);
        r = map_insert(&s->cloud_ids, &d->by_cloud_id, map_hash_text(d->cloud_id));
    }
    if (r >= 0 && details && json_object_object_get_ex(details, "hardware", &hardware) &&
        json_object_is_type(hardware, json_type_array))
        r = set_hardware(s, d, hardware);
    return r;
}

static void unlink_credential(struct credential *c)
{
    struct credential **p = &c->device->credentials;

    while (*p && *p != c)
        p = &(*p)->next;
    if (*p)
        *p = c->next;
    c->next = NULL;
}

static void delete_credential(struct state *s, struct credential *c)
{
    if (c->deleted)
        return;
    unlink_credential(c);
    for (size_t i = 0; i < c->count; i++)
        if (c->secrets[i].credential)
            map_remove(&s->keys, &c->secrets[i].by_key);
    c->deleted = true;
    empty(c);
}

/* Under this identity, of this device, the newest; without a secret yet. */
static struct credential *credential_get(struct state *s, struct device *d, const char *identity)
{
    struct credential *c = state_find(s, identity), **end = &d->credentials;

    if (!c) {
        c = calloc(1, sizeof(*c));
        if (!c)
            return NULL;
        snprintf(c->identity, sizeof(c->identity), "%s", identity);
        if (!tsearch(c, &s->identities, compare_identity)) {
            free(c);
            return NULL;
        }
    } else
        delete_credential(s, c);
    c->deleted = false;
    c->disabled = false;
    c->device = d;
    while (*end)
        end = &(*end)->next;
    *end = c;
    return c;
}

static int apply_put(struct state *s, const struct journal_entry *j)
{
    struct device *d = device_get(s, j->device);
    struct credential *c = d ? credential_get(s, d, j->identity) : NULL;

    if (!c || set_details(s, d, j->details) < 0)
        return -ENOMEM;
    d->named |= j->named;
    c->secrets = calloc(1, sizeof(*c->secrets));
    if (!c->secrets)
        return -ENOMEM;
    c->count = 1;
    c->secrets[0].not_after = UINT64_MAX;
    snprintf(c->id, sizeof(c->id), "%s", j->id);
    snprintf(c->secrets[0].id, sizeof(c->secrets[0].id), "%s", j->id);
    memcpy(c->secrets[0].key, j->key, j->key_size);
    c->secrets[0].key_size = j->key_size;
    changed(d, j);
    return index_secrets(s, c);
}

static int apply_device(struct state *s, const struct journal_entry *j)
{
    struct device *d = device_get(s, j->device);

    if (!d || set_details(s, d, j->details) < 0)
        return -ENOMEM;
    d->named = true;
    changed(d, j);
    return 0;
}

static void apply_delete(struct state *s, const struct journal_entry *j)
{
    struct credential *c = state_find(s, j->identity);

    if (!c || c->deleted)
        return;
    delete_credential(s, c);
    changed(c->device, j);
}

static int apply_entry(struct state *s, struct device *d, const char *tenant, json_object *entry)
{
    char identity[IDENTITY_MAX + 1];
    struct credential *c;
    int n, r;

    if (!hono_entry_is_psk(entry)) {
        json_object_array_add(d->others, hono_entry_without_secrets(entry));
        return 0;
    }
    n = snprintf(identity, sizeof(identity), "%s@%s", json_get_string(entry, "auth-id") ?: "", tenant);
    if (n < 0 || (size_t)n >= sizeof(identity))
        return -EINVAL;
    c = credential_get(s, d, identity);
    r = c ? hono_entry_to_credential(entry, c) : -ENOMEM;
    return r < 0 ? r : index_secrets(s, c);
}

static int apply_set(struct state *s, const struct journal_entry *j)
{
    const char *tenant = j->details ? json_get_string(j->details, "tenant") : NULL;
    struct device *d = device_get(s, j->device);
    struct credential *next;
    json_object *set;
    int r = 0;

    if (!d)
        return -ENOMEM;
    if (!tenant || !json_object_object_get_ex(j->details, "set", &set) || !json_object_is_type(set, json_type_array))
        return -EINVAL;
    for (struct credential *c = d->credentials; c; c = next) {
        next = c->next;
        if (hono_auth_id_length(c->identity, tenant) > 0)
            delete_credential(s, c);
    }
    json_object_put(d->others);
    d->others = json_object_new_array();
    for (size_t i = 0; r >= 0 && i < json_object_array_length(set); i++)
        r = apply_entry(s, d, tenant, json_object_array_get_idx(set, i));
    changed(d, j);
    return r;
}

static void apply_forget(struct state *s, const char *id)
{
    struct device *d = state_device(s, id);

    if (!d)
        return;
    while (d->credentials)
        delete_credential(s, d->credentials);
    tdelete(d, &s->device_ids, compare_device);
    d->forgotten = true;
}

static void apply_name(struct state *s, const char *id, const char *name)
{
    struct device *d = state_device(s, id), *absent = find_device(s, name);

    if (!d || (absent && !absent->forgotten))
        return;
    if (absent)
        tdelete(absent, &s->device_ids, compare_device);
    tdelete(d, &s->device_ids, compare_device);
    snprintf(d->id, sizeof(d->id), "%s", name);
    d->named = true;
    /* cannot fail: the node just deleted made room */
    (void)!tsearch(d, &s->device_ids, compare_device);
}

int state_apply(struct state *s, const struct journal_entry *j)
{
    switch (j->kind) {
    case JOURNAL_PUT:
        return apply_put(s, j);
    case JOURNAL_DELETE:
        apply_delete(s, j);
        return 0;
    case JOURNAL_FORGET:
        apply_forget(s, j->device);
        return 0;
    case JOURNAL_NAME:
        apply_name(s, j->device, j->name);
        return 0;
    case JOURNAL_DEVICE:
        return apply_device(s, j);
    case JOURNAL_SET:
        return apply_set(s, j);
    }
    return -EINVAL;
}

void state_clear(struct state *s)
{
    for (struct device *d = s->devices; d; d = d->next) {
        while (d->credentials)
            delete_credential(s, d->credentials);
        set_hardware(s, d, NULL);
        json_object_put(d->others);
        d->others = NULL;
        d->version[0] = 0;
        d->named = false;
        d->forgotten = true;
    }
}

void state_forget_absent(struct state *s)
{
    for (struct device *d = s->devices; d; d = d->next)
        if (d->forgotten && find_device(s, d->id) == d)
            tdelete(d, &s->device_ids, compare_device);
}
