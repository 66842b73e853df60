/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "api.h"

#include "events.h"

#include "base/encode.h"

#include <gnutls/gnutls.h>
#include <stdio.h>
#include <string.h>

#define LOGIN_MAX 1024

void api_answer_done(struct api_answer *a)
{
    json_object_put(a->body);
    *a = (struct api_answer){};
}

/* -EINVAL: not an absolute path, or too long a one. */
static int split(const char *path, struct api_path *ret)
{
    char *rest = ret->text, *segment;

    ret->count = 0;
    if (path[0] != '/' || strlen(path) > API_PATH_MAX)
        return -EINVAL;
    snprintf(ret->text, sizeof(ret->text), "%s", path + 1);
    while ((segment = strsep(&rest, "/"))) {
        if (ret->count == API_SEGMENTS_MAX)
            return -EINVAL;
        ret->segments[ret->count++] = segment;
    }
    return 0;
}

static bool is_golioth(const struct api *api, const struct api_path *p)
{
    return api->project && p->count >= 2 && strcmp(p->segments[0], "v1") == 0 &&
           strcmp(p->segments[1], "projects") == 0;
}

static bool is_hono(const struct api *api, const struct api_path *p)
{
    return api->tenant && p->count >= 2 && strcmp(p->segments[0], "v1") == 0 &&
           (strcmp(p->segments[1], "credentials") == 0 || strcmp(p->segments[1], "devices") == 0);
}

static bool same(const char *a, const char *b)
{
    return a && b && strlen(a) == strlen(b) && gnutls_memcmp(a, b, strlen(a)) == 0;
}

/* "Bearer KEY"; or "Basic" where the key is user:password. */
static bool authorized(const char *header, const char *key)
{
    char wanted[LOGIN_MAX * 2];

    if (!header || strlen(key) > LOGIN_MAX)
        return false;
    if (strchr(key, ':')) {
        char encoded[BASE64_SIZE(LOGIN_MAX)];

        base64_encode(key, strlen(key), encoded);
        snprintf(wanted, sizeof(wanted), "Basic %s", encoded);
    } else
        snprintf(wanted, sizeof(wanted), "Bearer %s", key);
    return same(header, wanted);
}

void api_refuse(const struct api *api, const char *path, unsigned status, const char *reason, struct api_answer *ret)
{
    struct api_path p;

    if (split(path, &p) >= 0 && is_hono(api, &p))
        hono_refuse(status, reason, ret);
    else
        golioth_refuse(status, reason, ret);
}

void api_run(const struct api *api, struct store *s, const struct api_request *q, const char *key,
             struct api_answer *ret)
{
    struct api_path p;

    *ret = (struct api_answer){};
    if (split(q->path, &p) < 0)
        return api_refuse(api, q->path, 404, "no such path", ret);
    if (is_golioth(api, &p)) {
        if (key && !same(q->x_api_key, key))
            return golioth_refuse(401, q->x_api_key ? "header x-api-key: this key is not valid" : "no header x-api-key",
                                  ret);
        return golioth_run(api->project, s, q, &p, ret);
    }
    if (is_hono(api, &p)) {
        if (key && !authorized(q->authorization, key)) {
            hono_refuse(401, q->authorization ? "header authorization: not valid" : "no header authorization", ret);
            ret->authenticate = true;
            return;
        }
        return hono_run(api->tenant, s, q, &p, ret);
    }
    api_refuse(api, q->path, 404, "no such path", ret);
}

const struct device *api_device(const struct api *api, struct store *s, const char *path)
{
    struct api_path p;

    if (split(path, &p) < 0)
        return NULL;
    if (is_golioth(api, &p) && p.count >= 5 && strcmp(p.segments[3], "devices") == 0)
        return store_device_by_cloud_id(s, p.segments[4]);
    if (is_hono(api, &p) && p.count >= 4)
        return store_device(s, p.segments[3]);
    return NULL;
}

json_object *api_credentials(const struct device *d)
{
    json_object *o = json_object_new_object();

    for (const struct credential *c = d->credentials; c; c = c->next)
        json_object_object_add(o, c->identity, json_object_new_string(c->id));
    return o;
}

void api_tell_changes(const struct device *d, json_object *before)
{
    for (const struct credential *c = d->credentials; c; c = c->next) {
        const char *id = json_get_string(before, c->identity);

        if (!id || strcmp(id, c->id) != 0)
            event_credential("credential", id ? "replaced" : "added", c);
        json_object_object_del(before, c->identity);
    }
    json_object_object_foreach (before, identity, id) {
        struct credential gone = {.device = (struct device *)d};

        snprintf(gone.identity, sizeof(gone.identity), "%s", identity);
        snprintf(gone.id, sizeof(gone.id), "%s", json_object_get_string(id));
        event_credential("deleted", NULL, &gone);
    }
}
