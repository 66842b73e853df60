/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hono-set.h"

#include "timestamp.h"

#include "base/encode.h"

#include <gnutls/crypto.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define TYPES "psk, hashed-password, x509-cert or rpk"
#define ALNUM "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

/* Where in the set something is wrong. */
struct place {
    const struct device *device;
    const char *tenant;
    const char *type;
    const char *auth_id;
    char text[64];
};

size_t hono_auth_id_length(const char *identity, const char *tenant)
{
    const char *at = strrchr(identity, '@');

    return at && strcmp(at + 1, tenant) == 0 ? (size_t)(at - identity) : 0;
}

bool hono_entry_is_psk(json_object *entry)
{
    const char *type = json_get_string(entry, "type");

    return type && strcmp(type, "psk") == 0;
}

static bool is_type(json_object *o, const char *key, enum json_type type, json_object **ret)
{
    return json_object_object_get_ex(o, key, ret) && json_object_is_type(*ret, type);
}

static int check_members(json_object *o, const char *known, const char *where, struct error *e)
{
    json_object_object_foreach (o, key, value) {
        char word[40];

        (void)value;
        snprintf(word, sizeof(word), " %s ", key);
        if (strlen(key) > 32 || !strstr(known, word))
            return error_set(e, -EINVAL, "%s.%.32s: there is no such property", where, key);
    }
    return 0;
}

/* RFC 3339, in microseconds since 1970. */
static int read_time(const char *text, uint64_t *ret)
{
    double seconds;
    int r = timestamp_read(text, &seconds);

    if (r >= 0)
        *ret = (uint64_t)seconds * USEC_PER_SEC;
    return r;
}

static json_object *time_text(uint64_t when)
{
    time_t seconds = (time_t)(when / USEC_PER_SEC);
    char text[32];
    struct tm tm;

    if (!gmtime_r(&seconds, &tm) || strftime(text, sizeof(text), "%FT%TZ", &tm) == 0)
        return NULL;
    return json_object_new_string(text);
}

static int copy_time(json_object *from, json_object *to, const char *key, const char *where, uint64_t *ret,
                     struct error *e)
{
    json_object *v;

    if (!json_object_object_get_ex(from, key, &v))
        return 0;
    if (!json_object_is_type(v, json_type_string) || read_time(json_object_get_string(v), ret) < 0)
        return error_set(e, -EINVAL, "%s.%s: expected a time such as 2026-12-24T19:00:00Z", where, key);
    json_object_object_add(to, key, time_text(*ret));
    return 0;
}

static const struct secret *old_secret(const struct place *p, const char *id)
{
    for (const struct credential *c = p->device->credentials; c; c = c->next) {
        size_t n = hono_auth_id_length(c->identity, p->tenant);

        if (n != strlen(p->auth_id) || strncmp(c->identity, p->auth_id, n) != 0)
            continue;
        for (size_t i = 0; i < c->count; i++)
            if (strcmp(c->secrets[i].id, id) == 0)
                return &c->secrets[i];
    }
    return NULL;
}

/* A secret of an entry that is no key: there is nothing but its id to know it by. */
static bool old_other(const struct place *p, const char *id)
{
    for (size_t i = 0; p->device->others && i < json_object_array_length(p->device->others); i++) {
        json_object *entry = json_object_array_get_idx(p->device->others, i), *secrets;

        if (strcmp(json_get_string(entry, "type") ?: "", p->type) != 0 ||
            strcmp(json_get_string(entry, "auth-id") ?: "", p->auth_id) != 0 ||
            !json_object_object_get_ex(entry, "secrets", &secrets))
            continue;
        for (size_t k = 0; k < json_object_array_length(secrets); k++)
            if (strcmp(json_get_string(json_object_array_get_idx(secrets, k), "id") ?: "", id) == 0)
                return true;
    }
    return false;
}

static int new_id(json_object *to)
{
    uint8_t random[16];
    char hex[HEX_SIZE(sizeof(random))], text[40];

    if (gnutls_rnd(GNUTLS_RND_NONCE, random, sizeof(random)) < 0)
        return -EIO;
    hex_encode(random, sizeof(random), hex);
    snprintf(text, sizeof(text), "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
    json_object_object_add(to, "id", json_object_new_string(text));
    return 0;
}

/* Its id and, of a psk, its key. */
static int copy_key(json_object *given, json_object *to, const struct place *p, struct error *e)
{
    const char *id = json_get_string(given, "id"), *key = json_get_string(given, "key");
    bool psk = strcmp(p->type, "psk") == 0;
    const struct secret *old = psk && id ? old_secret(p, id) : NULL;
    char text[BASE64_SIZE(KEY_MAX)];
    uint8_t bytes[KEY_MAX];
    ssize_t n;

    if (id && !old && !(old_other(p, id) && !psk))
        return error_set(e, -EINVAL, "%s.id: '%.63s' of %s has no secret of this id", p->text, p->auth_id, p->type);
    if (id)
        json_object_object_add(to, "id", json_object_new_string(id));
    else if (new_id(to) < 0)
        return error_set(e, -EIO, "no random bytes");
    if (!psk)
        return 0;
    if (!key && !old)
        return error_set(e, -EINVAL, "%s.key: expected a key in base64, or the id of a secret that has one", p->text);
    if (key) {
        n = base64_decode(key, strlen(key), bytes, sizeof(bytes));
        gnutls_memset(bytes, 0, sizeof(bytes));
        if (n < KEY_MIN)
            return error_set(e, -EINVAL, "%s.key: expected %d to %d bytes in base64", p->text, KEY_MIN, KEY_MAX);
    } else
        base64_encode(old->key, old->key_size, text);
    json_object_object_add(to, "key", json_object_new_string(key ?: text));
    gnutls_memset(text, 0, sizeof(text));
    return 0;
}

static int read_secret(json_object *given, const struct place *p, json_object *to, struct error *e)
{
    static const char *const known[] = {
        " id enabled not-before not-after comment key ",
        " id enabled not-before not-after comment hash-function pwd-hash salt pwd-plain key algorithm cert ",
    };
    uint64_t not_before = 0, not_after = UINT64_MAX;
    json_object *v;
    int r;

    if (!json_object_is_type(given, json_type_object))
        return error_set(e, -EINVAL, "%s: expected an object", p->text);
    r = check_members(given, known[strcmp(p->type, "psk") != 0], p->text, e);
    if (r >= 0)
        r = copy_key(given, to, p, e);
    if (r >= 0)
        r = copy_time(given, to, "not-before", p->text, &not_before, e);
    if (r >= 0)
        r = copy_time(given, to, "not-after", p->text, &not_after, e);
    if (r < 0)
        return r;
    if (not_after <= not_before)
        return error_set(e, -EINVAL, "%s.not-after: expected a time after not-before", p->text);
    if (json_object_object_get_ex(given, "enabled", &v)) {
        if (!json_object_is_type(v, json_type_boolean))
            return error_set(e, -EINVAL, "%s.enabled: expected true or false", p->text);
        json_object_object_add(to, "enabled", json_object_get(v));
    }
    if (json_object_object_get_ex(given, "comment", &v)) {
        if (!json_object_is_type(v, json_type_string))
            return error_set(e, -EINVAL, "%s.comment: expected a string", p->text);
        json_object_object_add(to, "comment", json_object_get(v));
    }
    return 0;
}

static int read_secrets(json_object *given, struct place *p, size_t number, json_object *to, struct error *e)
{
    json_object *secrets, *list;
    size_t count;
    int r = 0;

    if (!is_type(given, "secrets", json_type_array, &secrets))
        return error_set(e, -EINVAL, "[%zu].secrets: expected an array", number);
    count = json_object_array_length(secrets);
    if (count == 0 || count > HONO_SECRETS_MAX)
        return error_set(e, -EINVAL, "[%zu].secrets: expected 1 to %d secrets", number, HONO_SECRETS_MAX);
    list = json_object_new_array();
    json_object_object_add(to, "secrets", list);
    for (size_t i = 0; r >= 0 && i < count; i++) {
        json_object *secret = json_object_new_object();

        json_object_array_add(list, secret);
        snprintf(p->text, sizeof(p->text), "[%zu].secrets[%zu]", number, i);
        r = read_secret(json_object_array_get_idx(secrets, i), p, secret, e);
    }
    return r;
}

static int read_names(json_object *given, struct place *p, size_t number, struct error *e)
{
    size_t n;

    p->type = json_get_string(given, "type");
    p->auth_id = json_get_string(given, "auth-id");
    if (!p->type || (strcmp(p->type, "psk") != 0 && strcmp(p->type, "hashed-password") != 0 &&
                     strcmp(p->type, "x509-cert") != 0 && strcmp(p->type, "rpk") != 0))
        return error_set(e, -EINVAL, "[%zu].type: expected " TYPES, number);
    n = p->auth_id ? strlen(p->auth_id) : 0;
    if (n == 0 || n + 1 + strlen(p->tenant) > IDENTITY_MAX)
        return error_set(e, -EINVAL, "[%zu].auth-id: expected 1 to %zu characters", number,
                         IDENTITY_MAX - 1 - strlen(p->tenant));
    if (strcmp(p->type, "x509-cert") != 0 && strspn(p->auth_id, ALNUM "-_=.") != n)
        return error_set(e, -EINVAL, "[%zu].auth-id: expected only A-Z a-z 0-9 - _ = .", number);
    return 0;
}

static int read_entry(json_object *given, struct place *p, size_t number, json_object *to, struct error *e)
{
    json_object *v;
    int r;

    if (!json_object_is_type(given, json_type_object))
        return error_set(e, -EINVAL, "[%zu]: expected an object", number);
    snprintf(p->text, sizeof(p->text), "[%zu]", number);
    r = check_members(given, " type auth-id enabled ext secrets ", p->text, e);
    if (r >= 0)
        r = read_names(given, p, number, e);
    if (r < 0)
        return r;
    json_object_object_add(to, "type", json_object_new_string(p->type));
    json_object_object_add(to, "auth-id", json_object_new_string(p->auth_id));
    if (json_object_object_get_ex(given, "enabled", &v)) {
        if (!json_object_is_type(v, json_type_boolean))
            return error_set(e, -EINVAL, "[%zu].enabled: expected true or false", number);
        json_object_object_add(to, "enabled", json_object_get(v));
    }
    if (json_object_object_get_ex(given, "ext", &v)) {
        if (!json_object_is_type(v, json_type_object))
            return error_set(e, -EINVAL, "[%zu].ext: expected an object", number);
        json_object_object_add(to, "ext", json_object_get(v));
    }
    return read_secrets(given, p, number, to, e);
}

/* Whether an earlier entry has the same names. */
static bool named_before(json_object *set, size_t number, const struct place *p)
{
    for (size_t i = 0; i < number; i++) {
        json_object *entry = json_object_array_get_idx(set, i);

        if (strcmp(json_get_string(entry, "type"), p->type) == 0 &&
            strcmp(json_get_string(entry, "auth-id"), p->auth_id) == 0)
            return true;
    }
    return false;
}

int hono_set_read(json_object *given, const struct device *d, const char *tenant, json_object **ret, struct error *e)
{
    _cleanup_json_ json_object *set = json_object_new_array();
    struct place place = {.device = d, .tenant = tenant};

    if (!json_object_is_type(given, json_type_array))
        return error_set(e, -EINVAL, "expected an array of credentials");
    if (json_object_array_length(given) > HONO_ENTRIES_MAX)
        return error_set(e, -EINVAL, "expected at most %d credentials", HONO_ENTRIES_MAX);
    for (size_t i = 0; i < json_object_array_length(given); i++) {
        json_object *entry = json_object_new_object();
        int r;

        json_object_array_add(set, entry);
        r = read_entry(json_object_array_get_idx(given, i), &place, i, entry, e);
        if (r < 0)
            return r;
        if (named_before(set, i, &place))
            return error_set(e, -EINVAL, "[%zu].auth-id: '%.63s' of type %s is there twice", i, place.auth_id,
                             place.type);
    }
    *ret = TAKE_PTR(set);
    return 0;
}

static json_object *show_simple(const struct credential *c, size_t auth_id_length)
{
    json_object *entry = json_object_new_object(), *secrets = json_object_new_array();

    json_object_object_add(entry, "type", json_object_new_string("psk"));
    json_object_object_add(entry, "auth-id", json_object_new_string_len(c->identity, (int)auth_id_length));
    json_object_object_add(entry, "secrets", secrets);
    for (size_t i = 0; i < c->count; i++) {
        json_object *secret = json_object_new_object();

        json_object_object_add(secret, "id", json_object_new_string(c->secrets[i].id));
        json_object_array_add(secrets, secret);
    }
    return entry;
}

json_object *hono_set_show(const struct device *d, const char *tenant)
{
    json_object *set = json_object_new_array();

    for (const struct credential *c = d->credentials; c; c = c->next) {
        size_t n = hono_auth_id_length(c->identity, tenant);

        if (n > 0)
            json_object_array_add(set, c->shown ? json_object_get(c->shown) : show_simple(c, n));
    }
    for (size_t i = 0; d->others && i < json_object_array_length(d->others); i++)
        json_object_array_add(set, json_object_get(json_object_array_get_idx(d->others, i)));
    return set;
}

json_object *hono_entry_without_secrets(json_object *entry)
{
    json_object *copy = NULL, *secrets;

    if (json_object_deep_copy(entry, &copy, NULL) < 0)
        return NULL;
    if (json_object_object_get_ex(copy, "secrets", &secrets))
        for (size_t i = 0; i < json_object_array_length(secrets); i++)
            json_object_object_del(json_object_array_get_idx(secrets, i), "key");
    return copy;
}

static int to_secret(json_object *o, struct secret *s)
{
    const char *id = json_get_string(o, "id"), *key = json_get_string(o, "key");
    const char *not_before = json_get_string(o, "not-before"), *not_after = json_get_string(o, "not-after");
    json_object *enabled;
    ssize_t n = key ? base64_decode(key, strlen(key), s->key, sizeof(s->key)) : -EINVAL;

    if (!id || n < KEY_MIN)
        return -EINVAL;
    snprintf(s->id, sizeof(s->id), "%s", id);
    s->key_size = (size_t)n;
    s->not_after = UINT64_MAX;
    if ((not_before && read_time(not_before, &s->not_before) < 0) ||
        (not_after && read_time(not_after, &s->not_after) < 0))
        return -EINVAL;
    s->disabled = json_object_object_get_ex(o, "enabled", &enabled) && !json_object_get_boolean(enabled);
    return 0;
}

int hono_entry_to_credential(json_object *entry, struct credential *c)
{
    json_object *secrets, *enabled;
    int r = 0;

    if (!is_type(entry, "secrets", json_type_array, &secrets) || json_object_array_length(secrets) == 0)
        return -EINVAL;
    c->secrets = calloc(json_object_array_length(secrets), sizeof(*c->secrets));
    if (!c->secrets)
        return -ENOMEM;
    c->count = json_object_array_length(secrets);
    for (size_t i = 0; r >= 0 && i < c->count; i++)
        r = to_secret(json_object_array_get_idx(secrets, i), &c->secrets[i]);
    snprintf(c->id, sizeof(c->id), "%s", c->secrets[0].id);
    c->disabled = json_object_object_get_ex(entry, "enabled", &enabled) && !json_object_get_boolean(enabled);
    c->shown = hono_entry_without_secrets(entry);
    return r;
}
