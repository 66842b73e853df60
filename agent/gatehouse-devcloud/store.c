/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store.h"

#include "journal.h"

#include "base/durable.h"
#include "base/encode.h"
#include "base/id.h"

#include <fcntl.h>
#include <gnutls/crypto.h>
#include <search.h>
#include <stdio.h>
#include <string.h>

#define PSK_FILE_MAX (16 * 1024 * 1024)

struct store {
    bool replaces;
    void *identities; /* tsearch tree of credentials, deleted ones too */
    void *device_ids; /* tsearch tree of devices that are not forgotten */
    struct device *devices;
    struct journal *journal; /* NULL: nothing is kept */
};

static int compare_identity(const void *a, const void *b)
{
    return strcmp(((const struct credential *)a)->identity, ((const struct credential *)b)->identity);
}

static int compare_device(const void *a, const void *b)
{
    return strcmp(((const struct device *)a)->id, ((const struct device *)b)->id);
}

int store_new(bool replaces, struct store **ret)
{
    struct store *s = calloc(1, sizeof(*s));

    if (!s)
        return -ENOMEM;
    s->replaces = replaces;
    *ret = s;
    return 0;
}

static void credential_free(void *p)
{
    struct credential *c = p;

    gnutls_memset(c->key, 0, sizeof(c->key));
    free(c);
}

static void leave(void *p) {}

struct store *store_free(struct store *s)
{
    if (!s)
        return NULL;
    tdestroy(s->identities, credential_free);
    tdestroy(s->device_ids, leave);
    while (s->devices) {
        struct device *d = s->devices;

        s->devices = d->next;
        free(d);
    }
    journal_free(s->journal);
    free(s);
    return NULL;
}

static struct credential *find_any(struct store *s, const char *identity)
{
    struct credential key;
    struct credential **found;

    if (strlen(identity) > IDENTITY_MAX)
        return NULL;
    snprintf(key.identity, sizeof(key.identity), "%s", identity);
    found = tfind(&key, &s->identities, compare_identity);
    return found ? *found : NULL;
}

struct credential *store_find(struct store *s, const char *identity)
{
    struct credential *c = find_any(s, identity);

    return c && !c->deleted ? c : NULL;
}

struct device *store_device(struct store *s, const char *id)
{
    struct device key;
    struct device **found;

    if (strlen(id) >= sizeof(key.id))
        return NULL;
    snprintf(key.id, sizeof(key.id), "%s", id);
    found = tfind(&key, &s->device_ids, compare_device);
    return found ? *found : NULL;
}

struct device *store_devices(struct store *s)
{
    return s->devices;
}

static struct device *device_add(struct store *s, const char *id, bool named)
{
    struct device *d = calloc(1, sizeof(*d));

    if (!d)
        return NULL;
    snprintf(d->id, sizeof(d->id), "%s", id);
    d->named = named;
    if (!tsearch(d, &s->device_ids, compare_device)) {
        free(d);
        return NULL;
    }
    d->next = s->devices;
    s->devices = d;
    return d;
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

/* What a journal line says, done in memory. */
static int apply_put(struct store *s, const struct journal_entry *j)
{
    struct credential *c = find_any(s, j->identity);
    struct device *d = store_device(s, j->device);

    if (!d)
        d = device_add(s, j->device, j->named);
    if (!d)
        return -ENOMEM;
    d->named |= j->named;
    if (!c) {
        c = calloc(1, sizeof(*c));
        if (!c)
            return -ENOMEM;
        snprintf(c->identity, sizeof(c->identity), "%s", j->identity);
        if (!tsearch(c, &s->identities, compare_identity)) {
            free(c);
            return -ENOMEM;
        }
    } else if (!c->deleted)
        unlink_credential(c);
    snprintf(c->id, sizeof(c->id), "%s", j->id);
    memcpy(c->key, j->key, j->key_size);
    c->key_size = j->key_size;
    c->deleted = false;
    c->device = d;
    c->next = d->credentials;
    d->credentials = c;
    return 0;
}

static int apply_delete(struct store *s, const char *identity)
{
    struct credential *c = find_any(s, identity);

    if (c && !c->deleted) {
        unlink_credential(c);
        c->deleted = true;
        gnutls_memset(c->key, 0, sizeof(c->key));
    }
    return 0;
}

static void apply_forget(struct store *s, const char *id)
{
    struct device *d = store_device(s, id);

    if (!d)
        return;
    while (d->credentials)
        apply_delete(s, d->credentials->identity);
    tdelete(d, &s->device_ids, compare_device);
    d->forgotten = true;
}

static void apply_name(struct store *s, struct device *d, const char *name)
{
    tdelete(d, &s->device_ids, compare_device);
    snprintf(d->id, sizeof(d->id), "%s", name);
    d->named = true;
    /* cannot fail: the node just deleted made room */
    (void)!tsearch(d, &s->device_ids, compare_device);
}

static int apply(struct store *s, const struct journal_entry *j)
{
    struct device *d;

    switch (j->kind) {
    case JOURNAL_PUT:
        return apply_put(s, j);
    case JOURNAL_DELETE:
        return apply_delete(s, j->identity);
    case JOURNAL_FORGET:
        apply_forget(s, j->device);
        return 0;
    case JOURNAL_NAME:
        d = store_device(s, j->device);
        if (d && !store_device(s, j->name))
            apply_name(s, d, j->name);
        return 0;
    }
    return -EINVAL;
}

/* Kept first, then done. */
static int commit(struct store *s, const struct journal_entry *j, struct error *e)
{
    int r = s->journal ? journal_append(s->journal, j, e) : 0;

    return r < 0 ? r : apply(s, j);
}

static int replay(void *userdata, const struct journal_entry *j)
{
    return apply(userdata, j);
}

int store_open_state(struct store *s, const char *path, struct error *e)
{
    return journal_open(path, replay, s, &s->journal, e);
}

static int new_entry(const char *identity, const void *key, size_t size, const char *device, bool named,
                     struct journal_entry *ret)
{
    uint8_t random[8];
    char text[HEX_SIZE(sizeof(random))];
    int r = gnutls_rnd(GNUTLS_RND_NONCE, random, sizeof(random));

    if (r < 0)
        return -EIO;
    hex_encode(random, sizeof(random), text);
    *ret = (struct journal_entry){.kind = JOURNAL_PUT, .named = named, .key_size = size};
    snprintf(ret->id, sizeof(ret->id), "c-%s", text);
    snprintf(ret->identity, sizeof(ret->identity), "%s", identity);
    snprintf(ret->device, sizeof(ret->device), "%s", device);
    memcpy(ret->key, key, size);
    return 0;
}

static int check(const char *identity, size_t key_size, struct error *e)
{
    size_t n = strlen(identity);

    if (n == 0 || n > IDENTITY_MAX)
        return error_set(e, -EINVAL, "an identity has 1 to %d bytes, not %zu", IDENTITY_MAX, n);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)identity[i] < 0x20 || identity[i] == 0x7f)
            return error_set(e, -EINVAL, "an identity holds no control characters");
    if (key_size < KEY_MIN || key_size > KEY_MAX)
        return error_set(e, -EINVAL, "a key has %d to %d bytes, not %zu", KEY_MIN, KEY_MAX, key_size);
    return 0;
}

static bool same_key(const struct credential *c, const void *key, size_t size)
{
    return c->key_size == size && gnutls_memcmp(c->key, key, size) == 0;
}

int store_offer(struct store *s, struct device *d, const char *identity, const void *key, size_t size,
                struct credential **ret, struct error *e)
{
    struct credential *c = find_any(s, identity);
    bool there = c && !c->deleted;
    struct journal_entry j;
    int r = check(identity, size, e);

    if (r < 0)
        return r;
    if (there && c->device != d)
        return error_set(e, -EEXIST, "the identity belongs to another device");
    if (there && same_key(c, key, size)) {
        *ret = c;
        return STORE_SAME;
    }
    if (there && !s->replaces)
        return error_set(e, -EEXIST, "the identity has another key");
    if (!there && s->replaces && d->credentials)
        return error_set(e, -EEXIST, "this cloud keeps one identity for a device: offer the new key under it");
    r = new_entry(identity, key, size, d->id, d->named, &j);
    if (r >= 0)
        r = commit(s, &j, e);
    gnutls_memset(&j, 0, sizeof(j));
    if (r < 0)
        return r;
    *ret = find_any(s, identity);
    return there ? STORE_REPLACED : STORE_ADDED;
}

int store_put(struct store *s, const char *identity, const void *key, size_t size, const char *device,
              struct credential **ret, struct error *e)
{
    struct journal_entry j;
    int r = check(identity, size, e);

    if (r < 0)
        return r;
    if (device && !id_valid(device))
        return error_set(e, -EINVAL, "device id '%s': expected %s", device, ID_RULE);
    r = new_entry(identity, key, size, device ?: identity, device != NULL, &j);
    if (r >= 0)
        r = commit(s, &j, e);
    gnutls_memset(&j, 0, sizeof(j));
    if (r >= 0)
        *ret = find_any(s, identity);
    return r;
}

static int delete (struct store *s, struct credential *c, struct credential **ret, struct error *e)
{
    struct journal_entry j = {.kind = JOURNAL_DELETE};
    int r;

    snprintf(j.identity, sizeof(j.identity), "%s", c->identity);
    r = commit(s, &j, e);
    if (r >= 0)
        *ret = c;
    return r;
}

int store_delete(struct store *s, struct device *d, const char *id, struct credential **ret, struct error *e)
{
    for (struct credential *c = d->credentials; c; c = c->next)
        if (strcmp(c->id, id) == 0)
            return delete (s, c, ret, e);
    return error_set(e, -ENOENT, "no credential '%s'", id);
}

int store_forget_key(struct store *s, const char *text, struct credential **ret, struct error *e)
{
    struct credential *c = store_find(s, text);

    if (c)
        return delete (s, c, ret, e);
    for (struct device *d = s->devices; d; d = d->next)
        if (store_delete(s, d, text, ret, NULL) >= 0)
            return 0;
    return error_set(e, -ENOENT, "no credential has the id or identity '%s'", text);
}

int store_forget_device(struct store *s, const char *id, struct error *e)
{
    struct journal_entry j = {.kind = JOURNAL_FORGET};

    if (!store_device(s, id))
        return error_set(e, -ENOENT, "no device '%s'", id);
    snprintf(j.device, sizeof(j.device), "%s", id);
    return commit(s, &j, e);
}

int store_name(struct store *s, struct device *d, const char *name, struct error *e)
{
    struct journal_entry j = {.kind = JOURNAL_NAME};

    if (!id_valid(name))
        return error_set(e, -EINVAL, "device id '%s': expected %s", name, ID_RULE);
    if (strcmp(d->id, name) == 0) {
        d->named = true;
        return 0;
    }
    if (store_device(s, name))
        return error_set(e, -EEXIST, "device '%s' has other credentials", name);
    snprintf(j.device, sizeof(j.device), "%s", d->id);
    snprintf(j.name, sizeof(j.name), "%s", name);
    return commit(s, &j, e);
}

static int psk_line(struct store *s, char *line, struct error *e)
{
    uint8_t key[KEY_MAX];
    char *hex = strchr(line, ':'), *device;
    struct credential *c;
    ssize_t n;
    int r;

    if (!hex)
        return error_set(e, -EINVAL, "expected identity:hexkey or identity:hexkey:device");
    *hex++ = 0;
    device = strchr(hex, ':');
    if (device)
        *device++ = 0;
    n = hex_decode(hex, strlen(hex), key, sizeof(key));
    if (n < 0)
        return error_set(e, -EINVAL, "the key is not %d to %d bytes in hex", KEY_MIN, KEY_MAX);
    r = find_any(s, line) ? 0 : store_put(s, line, key, (size_t)n, device, &c, e);
    gnutls_memset(key, 0, sizeof(key));
    return r;
}

int store_read_psk_file(struct store *s, const char *path, struct error *e)
{
    _cleanup_free_ char *text = NULL;
    char *rest, *line;
    size_t size, number = 0;
    int r = file_read(AT_FDCWD, path, PSK_FILE_MAX, &text, &size, e);

    if (r < 0)
        return r;
    rest = text;
    while (r >= 0 && (line = strsep(&rest, "\n"))) {
        number++;
        if (*line && *line != '#')
            r = psk_line(s, line, e);
    }
    gnutls_memset(text, 0, size);
    return r < 0 ? error_prefix(e, r, "%s:%zu", path, number) : 0;
}

void credential_fingerprint(const struct credential *c, char ret_text[17])
{
    uint8_t digest[32];

    if (gnutls_hash_fast(GNUTLS_DIG_SHA256, c->key, c->key_size, digest) < 0)
        memset(digest, 0, sizeof(digest));
    hex_encode(digest, 8, ret_text);
}
