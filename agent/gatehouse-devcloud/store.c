/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store.h"

#include "hono-set.h"
#include "psk-file.h"
#include "state.h"

#include "base/clock.h"
#include "base/durable.h"
#include "base/encode.h"
#include "base/id.h"

#include <fcntl.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <string.h>

struct store {
    bool replaces;
    struct state state;
    struct journal *journal;       /* NULL: nothing is kept */
    struct journal_entry *history; /* all that was applied */
    size_t changes, allocated;
    struct psk_line *psk_lines; /* the PSK file as it was read last */
    size_t n_psk_lines;
};

int store_new(bool replaces, struct store **ret)
{
    struct store *s = calloc(1, sizeof(*s));

    if (!s)
        return -ENOMEM;
    s->replaces = replaces;
    *ret = s;
    return 0;
}

struct store *store_free(struct store *s)
{
    if (!s)
        return NULL;
    state_done(&s->state);
    for (size_t i = 0; i < s->changes; i++)
        journal_entry_done(&s->history[i]);
    free(s->history);
    journal_free(s->journal);
    psk_lines_free(s->psk_lines, s->n_psk_lines);
    free(s);
    return NULL;
}

struct credential *store_find(struct store *s, const char *identity)
{
    struct credential *c = state_find(&s->state, identity);

    return c && !c->deleted ? c : NULL;
}

struct device *store_device(struct store *s, const char *id)
{
    return state_device(&s->state, id);
}

struct device *store_devices(struct store *s)
{
    return s->state.devices;
}

struct device *store_device_by_cloud_id(struct store *s, const char *cloud_id)
{
    return state_device_by_cloud_id(&s->state, cloud_id);
}

struct device *store_device_by_hardware(struct store *s, const char *hardware)
{
    return state_device_by_hardware(&s->state, hardware);
}

struct credential *store_find_key(struct store *s, const char *identity_end, const void *key, size_t size)
{
    return state_find_key(&s->state, identity_end, key, size);
}

static bool same_key(const struct secret *k, const void *key, size_t size)
{
    return k->key_size == size && gnutls_memcmp(k->key, key, size) == 0;
}

const struct secret *credential_secret(const struct credential *c)
{
    uint64_t now = clock_realtime();

    if (c->deleted || c->disabled)
        return NULL;
    for (size_t i = 0; i < c->count; i++) {
        const struct secret *k = &c->secrets[i];

        if (!k->disabled && k->not_before <= now && now < k->not_after)
            return k;
    }
    return NULL;
}

static int remember(struct store *s, const struct journal_entry *j)
{
    if (s->changes == s->allocated) {
        size_t n = s->allocated ? s->allocated * 2 : 64;
        struct journal_entry *more = reallocarray(s->history, n, sizeof(*more));

        if (!more)
            return -ENOMEM;
        s->history = more;
        s->allocated = n;
    }
    s->history[s->changes] = *j;
    json_object_get(j->details);
    s->changes++;
    return 0;
}

static int replay(void *userdata, const struct journal_entry *j)
{
    struct store *s = userdata;
    int r = remember(s, j);

    return r < 0 ? r : state_apply(&s->state, j);
}

/* Kept first, then done. */
static int commit(struct store *s, const struct journal_entry *j, struct error *e)
{
    int r = s->journal ? journal_append(s->journal, j, e) : 0;

    return r < 0 ? r : replay(s, j);
}

int store_open_state(struct store *s, const char *path, struct error *e)
{
    return journal_open(path, replay, s, &s->journal, e);
}

size_t store_changes(const struct store *s)
{
    return s->changes;
}

int store_restore(struct store *s, size_t changes, struct error *e)
{
    int r = s->journal && changes < s->changes ? journal_cut(s->journal, changes, e) : 0;

    if (r < 0)
        return r;
    while (s->changes > changes)
        journal_entry_done(&s->history[--s->changes]);
    state_clear(&s->state);
    for (size_t i = 0; r >= 0 && i < s->changes; i++)
        r = state_apply(&s->state, &s->history[i]);
    state_forget_absent(&s->state);
    return r;
}

/* Which entry was the last of that device; SIZE_MAX: none. */
static size_t last_change(const struct store *s, const char *device)
{
    for (size_t i = s->changes; i > 0; i--)
        if (!device[0] || strcmp(s->history[i - 1].device, device) == 0)
            return i - 1;
    return SIZE_MAX;
}

int store_copy(const struct store *s, bool before_last, const char *device, struct store **ret)
{
    _cleanup_(store_freep) struct store *copy = NULL;
    size_t leave_out = before_last ? last_change(s, device) : SIZE_MAX;
    int r = store_new(s->replaces, &copy);

    for (size_t i = 0; r >= 0 && i < s->changes; i++)
        if (i != leave_out)
            r = replay(copy, &s->history[i]);
    if (r >= 0)
        *ret = TAKE_PTR(copy);
    return r;
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

int credential_check(const char *identity, size_t key_size, struct error *e)
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

int store_offer(struct store *s, struct device *d, const char *identity, const void *key, size_t size,
                struct credential **ret, struct error *e)
{
    struct credential *c = state_find(&s->state, identity);
    bool there = c && !c->deleted;
    struct journal_entry j;
    int r = credential_check(identity, size, e);

    if (r < 0)
        return r;
    if (there && c->device != d)
        return error_set(e, -EEXIST, "the identity belongs to another device");
    if (there && credential_secret(c) && same_key(credential_secret(c), key, size)) {
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
    journal_entry_done(&j);
    if (r < 0)
        return r;
    *ret = state_find(&s->state, identity);
    return there ? STORE_REPLACED : STORE_ADDED;
}

int store_put(struct store *s, const char *identity, const void *key, size_t size, const char *device,
              struct credential **ret, struct error *e)
{
    struct journal_entry j;
    int r = credential_check(identity, size, e);

    if (r < 0)
        return r;
    if (device && !id_valid(device))
        return error_set(e, -EINVAL, "device id '%s': expected %s", device, ID_RULE);
    r = new_entry(identity, key, size, device ?: identity, device != NULL, &j);
    if (r >= 0)
        r = commit(s, &j, e);
    journal_entry_done(&j);
    if (r >= 0)
        *ret = state_find(&s->state, identity);
    return r;
}

/* The details of a new device in the management calls. */
static json_object *device_details(json_object *hardware)
{
    json_object *details = json_object_new_object();
    uint8_t random[CLOUD_DEVICE_ID_LENGTH / 2];
    char hex[HEX_SIZE(sizeof(random))];

    if (gnutls_rnd(GNUTLS_RND_NONCE, random, sizeof(random)) < 0)
        memset(random, 0, sizeof(random));
    hex_encode(random, sizeof(random), hex);
    json_object_object_add(details, "cloud", json_object_new_string(hex));
    if (hardware)
        json_object_object_add(details, "hardware", json_object_get(hardware));
    return details;
}

int store_provision(struct store *s, const char *device, json_object *hardware, const char *identity, const void *key,
                    size_t size, struct device **ret, struct error *e)
{
    struct journal_entry j = {.kind = JOURNAL_DEVICE};
    int r = identity ? credential_check(identity, size, e) : 0;

    if (r < 0)
        return r;
    if (!id_valid(device))
        return error_set(e, -EINVAL, "device id '%.64s': expected %s", device, ID_RULE);
    snprintf(j.device, sizeof(j.device), "%s", device);
    if (identity)
        r = new_entry(identity, key, size, device, true, &j);
    j.details = device_details(hardware);
    if (r >= 0)
        r = commit(s, &j, e);
    journal_entry_done(&j);
    if (r >= 0)
        *ret = store_device(s, device);
    return r;
}

int store_set(struct store *s, struct device *d, const char *tenant, json_object *set, struct error *e)
{
    struct journal_entry j = {.kind = JOURNAL_SET, .details = json_object_new_object()};
    int r;

    json_object_object_add(j.details, "tenant", json_object_new_string(tenant));
    json_object_object_add(j.details, "set", json_object_get(set));
    snprintf(j.device, sizeof(j.device), "%s", d->id);
    r = commit(s, &j, e);
    journal_entry_done(&j);
    return r;
}

static int delete (struct store *s, struct credential *c, struct credential **ret, struct error *e)
{
    struct journal_entry j = {.kind = JOURNAL_DELETE};
    int r;

    snprintf(j.identity, sizeof(j.identity), "%s", c->identity);
    snprintf(j.device, sizeof(j.device), "%s", c->device->id);
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
    for (struct device *d = s->state.devices; d; d = d->next)
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

static int take_psk_line(struct store *s, const struct psk_line *line, struct error *e)
{
    const struct psk_line *before = psk_lines_find(s->psk_lines, s->n_psk_lines, line->identity);
    struct credential *c;

    if (before ? psk_line_equal(before, line) : state_find(&s->state, line->identity) != NULL)
        return 0;
    return store_put(s, line->identity, line->key, line->key_size, line->device[0] ? line->device : NULL, &c, e);
}

/* Drops a credential that the file gave and takes back; not one that a device has put in its place since. */
static int drop_psk_line(struct store *s, const struct psk_line *line, struct error *e)
{
    struct credential *c = store_find(s, line->identity);
    const struct secret *k = c ? credential_secret(c) : NULL;

    return k && same_key(k, line->key, line->key_size) ? delete (s, c, &c, e) : 0;
}

int store_read_psk_file(struct store *s, const char *path, struct error *e)
{
    struct psk_line *lines = NULL;
    size_t n = 0;
    int r = psk_file_read(path, &lines, &n, e);

    for (size_t i = 0; r >= 0 && i < s->n_psk_lines; i++)
        if (!psk_lines_find(lines, n, s->psk_lines[i].identity))
            r = drop_psk_line(s, &s->psk_lines[i], e);
    for (size_t i = 0; r >= 0 && i < n; i++)
        r = take_psk_line(s, &lines[i], e);
    if (r < 0) {
        psk_lines_free(lines, n);
        return r;
    }
    psk_lines_free(s->psk_lines, s->n_psk_lines);
    s->psk_lines = lines;
    s->n_psk_lines = n;
    return 0;
}

void credential_fingerprint(const struct credential *c, char ret_text[17])
{
    const struct secret *k = credential_secret(c) ?: c->secrets;
    uint8_t digest[32];

    if (!k || gnutls_hash_fast(GNUTLS_DIG_SHA256, k->key, k->key_size, digest) < 0)
        memset(digest, 0, sizeof(digest));
    hex_encode(digest, 8, ret_text);
}
