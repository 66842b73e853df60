/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A management call: a line "METHOD PATH IF-MATCH QUERY", then the body. Whatever it is, the answer has a status and,
 * of an error, a reason; every credential can be used; no key is shown; what the set shows can be put back as it is. */
#include "api.h"
#include "hono-set.h"

#include <stdlib.h>
#include <string.h>

#define FIELDS 4
#define HEAD_MAX 1024

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct api api = {.project = "p", .tenant = "t"};

static void check(bool good)
{
    if (!good)
        abort();
}

static struct store *make_store(void)
{
    static const char *const identities[] = {"a-1@p", "b-1@t", "c-1@t"};
    struct credential *c;
    struct store *s;

    check(store_new(false, &s) >= 0);
    for (size_t i = 0; i < ELEMENTSOF(identities); i++) {
        char key[KEY_MIN + 1] = "0123456789abcdef";

        key[0] = (char)('k' + i);
        check(store_put(s, identities[i], key, KEY_MIN, i < 2 ? "d" : "e", &c, NULL) >= 0);
    }
    return s;
}

static void check_set(const struct device *d)
{
    _cleanup_json_ json_object *shown = hono_set_show(d, api.tenant), *read = NULL;

    for (size_t i = 0; i < json_object_array_length(shown); i++) {
        json_object *secrets;

        check(json_object_object_get_ex(json_object_array_get_idx(shown, i), "secrets", &secrets));
        for (size_t k = 0; k < json_object_array_length(secrets); k++)
            check(!json_object_object_get_ex(json_object_array_get_idx(secrets, k), "key", NULL));
    }
    check(hono_set_read(shown, d, api.tenant, &read, NULL) >= 0);
    check(json_object_array_length(read) == json_object_array_length(shown));
}

static void check_store(struct store *s)
{
    for (struct device *d = store_devices(s); d; d = d->next) {
        if (d->forgotten) {
            check(!d->credentials && store_device(s, d->id) != d);
            continue;
        }
        check(d->version[0] && strlen(d->cloud_id) == CLOUD_DEVICE_ID_LENGTH);
        for (const struct credential *c = d->credentials; c; c = c->next) {
            check(!c->deleted && c->count > 0 && c->device == d && store_find(s, c->identity) == c);
            for (size_t i = 0; i < c->count; i++)
                check(c->secrets[i].key_size >= KEY_MIN && c->secrets[i].key_size <= KEY_MAX && c->secrets[i].id[0]);
        }
        check_set(d);
    }
}

/* "name=value&name=value" */
static json_object *query_of(char *text)
{
    json_object *query = json_object_new_object();
    char *pair;

    while ((pair = strsep(&text, "&"))) {
        char *value = strchr(pair, '=');

        if (value)
            *value++ = 0;
        json_object_object_add(query, pair, json_object_new_string(value ?: ""));
    }
    return query;
}

static void run(struct store *s, char *fields[FIELDS], const char *body, size_t size)
{
    _cleanup_json_ json_object *query = fields[3] ? query_of(fields[3]) : NULL;
    struct api_request q = {.method = fields[0] ?: "",
                            .path = fields[1] ?: "",
                            .if_match = fields[2] && fields[2][0] ? fields[2] : NULL,
                            .query = query,
                            .content_type = "application/json",
                            .body = body,
                            .size = size,
                            .silent = true};
    struct api_answer a;

    api_run(&api, s, &q, NULL, &a);
    check(a.status >= 200 && a.status < 600 && (a.status < 400 || a.body));
    check_store(s);
    api_answer_done(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_(store_freep) struct store *s = NULL, *copy = NULL;
    const uint8_t *newline = memchr(data, '\n', size);
    char head[HEAD_MAX], *rest = head, *fields[FIELDS];
    size_t n = newline ? (size_t)(newline - data) : size;

    if (n >= sizeof(head) || size - n > API_BODY_MAX)
        return 0;
    memcpy(head, data, n);
    head[n] = 0;
    for (size_t i = 0; i < FIELDS; i++)
        fields[i] = strsep(&rest, " ");
    s = make_store();
    run(s, fields, newline ? (const char *)newline + 1 : "", newline ? size - n - 1 : 0);
    check(store_copy(s, false, "", &copy) >= 0 && store_changes(copy) == store_changes(s));
    check_store(copy);
    check(store_restore(s, 3, NULL) >= 0);
    check_store(s);
    return 0;
}
