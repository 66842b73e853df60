/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "request.h"

#include "base/id.h"
#include "base/text.h"
#include "base/units.h"

#include <string.h>

static const char *const types[] = {[TYPE_GOLIOTH] = "golioth", [TYPE_HONO] = "hono", [TYPE_EXEC] = "exec"};

const char *registrar_type_to_string(enum registrar_type type)
{
    return types[type];
}

int registrar_type_from_string(const char *text)
{
    for (size_t i = 0; i < ELEMENTSOF(types); i++)
        if (strcmp(types[i], text) == 0)
            return (int)i;
    return -EINVAL;
}

static int known_only(json_object *o, const char *what, const char *const known[], struct error *e)
{
    if (!json_object_is_type(o, json_type_object))
        return error_set(e, -EINVAL, "%s is no object", what);
    json_object_object_foreach (o, key, v) {
        size_t i = 0;

        (void)v;
        while (known[i] && strcmp(known[i], key) != 0)
            i++;
        if (!known[i])
            return error_set(e, -EINVAL, "%s has an unknown key \"%.64s\"", what, key);
    }
    return 0;
}

/* A text without control characters; absent it is `standard`, unless that is NULL. */
static int text(json_object *o, const char *key, size_t max, const char *standard, const char **ret, struct error *e)
{
    json_object *v;
    const char *t;

    if (!json_object_object_get_ex(o, key, &v)) {
        *ret = standard;
        return standard ? 0 : error_set(e, -EINVAL, "\"%s\" is missing in the request", key);
    }
    t = json_object_is_type(v, json_type_string) ? json_object_get_string(v) : NULL;
    if (!t || strlen(t) != (size_t)json_object_get_string_len(v) || strlen(t) > max || !text_printable(t, strlen(t)))
        return error_set(e, -EINVAL, "\"%s\" of the request is no printable text of at most %zu bytes", key, max);
    *ret = t;
    return 0;
}

static int optional(json_object *o, const char *key, size_t max, const char **ret, struct error *e)
{
    int r = text(o, key, max, "", ret, e);

    if (r >= 0 && !**ret)
        *ret = NULL;
    return r;
}

static int name(json_object *o, const char *key, const char **ret, struct error *e)
{
    int r = text(o, key, DEVICE_ID_MAX, NULL, ret, e);

    return r >= 0 && !id_valid(*ret) ? error_set(e, -EINVAL, "\"%s\" of the request is not " ID_RULE, key) : r;
}

static int cloud_id(json_object *o, const char *key, const char **ret, struct error *e)
{
    int r = text(o, key, CLOUD_ID_MAX, "", ret, e);

    if (r >= 0 && **ret && !answer_id_valid(*ret))
        return error_set(e, -EINVAL, "\"%s\" of the request is no id that can stand in a path", key);
    return r;
}

static int read_settings(json_object *o, struct request *q, struct error *e)
{
    static const char *const https[] = {"type", "project", "tenant", "url", "ca", "proxy", NULL};
    static const char *const exec[] = {"type", "program", "timeout", NULL};
    const char *type, *timeout;
    int r;

    if (!json_object_is_type(o, json_type_object))
        return error_set(e, -EINVAL, "\"registrar\" of the request is no object");
    r = name(o, "type", &type, e);
    if (r < 0)
        return r;
    r = registrar_type_from_string(type);
    if (r < 0)
        return error_set(e, r, "the type \"%s\" is unknown here; expected golioth, hono or exec", type);
    q->type = (enum registrar_type)r;
    r = known_only(o, "\"registrar\" of the request", q->type == TYPE_EXEC ? exec : https, e);
    if (r < 0)
        return r;
    if (q->type == TYPE_EXEC) {
        r = name(o, "program", &q->program, e);
        if (r >= 0)
            r = text(o, "timeout", 32, "30s", &timeout, e);
        if (r >= 0)
            r = duration_parse(timeout, &q->timeout, e);
        q->timeout = MIN_OF(q->timeout, REGISTRAR_BUDGET);
        return r;
    }
    r = name(o, q->type == TYPE_GOLIOTH ? "project" : "tenant", &q->realm, e);
    if (r >= 0)
        r = text(o, "url", HTTPS_URL_MAX, NULL, &q->url, e);
    if (r >= 0 && strncmp(q->url, "https://", 8) != 0)
        r = error_set(e, -EINVAL, "\"url\" of the request is not https://: keys are told to nobody in plain text");
    if (r >= 0)
        r = optional(o, "ca", 4096, &q->ca, e);
    return r < 0 ? r : optional(o, "proxy", HTTPS_URL_MAX, &q->proxy, e);
}

static int read_key(json_object *o, struct request *q, struct error *e)
{
    int r;

    if (q->action != WIRE_PUT) {
        if (json_object_object_get_ex(o, "key", NULL) || json_object_object_get_ex(o, "encoding", NULL))
            return error_set(e, -EINVAL, "only a put brings a key");
        return 0;
    }
    r = name(o, "encoding", &q->encoding, e);
    if (r >= 0)
        r = text(o, "key", 2 * KEY_MAX, NULL, &q->key, e);
    if (r < 0)
        return r;
    if (q->type == TYPE_GOLIOTH && strcmp(q->encoding, "text") != 0)
        return error_set(e, -EINVAL, "Golioth takes keys as text, not as %s", q->encoding);
    if (q->type == TYPE_HONO && strcmp(q->encoding, "base64") != 0)
        return error_set(e, -EINVAL, "Hono takes keys as base64, not as %s", q->encoding);
    return q->key[0] ? 0 : error_set(e, -EINVAL, "the key of the request is empty");
}

static int boolean(json_object *o, const char *key, bool *ret, struct error *e)
{
    json_object *v;

    if (!json_object_object_get_ex(o, key, &v) || !json_object_is_type(v, json_type_boolean))
        return error_set(e, -EINVAL, "\"%s\" of the request is neither true nor false", key);
    *ret = json_object_get_boolean(v);
    return 0;
}

static int read_root(json_object *o, struct request *q, struct error *e)
{
    static const char *const known[] = {"action",   "device",    "hardware_id", "identity", "cloud_id",
                                        "other_id", "offered",   "create",      "mode",     "clock",
                                        "key",      "registrar", "encoding",    NULL};
    const char *action, *mode;
    json_object *settings = NULL;
    int r = known_only(o, "the request", known, e);

    if (r >= 0)
        r = name(o, "action", &action, e);
    if (r < 0)
        return r;
    r = wire_action_from_string(action);
    if (r < 0)
        return error_set(e, r, "the action \"%s\" is unknown here; expected put, find or delete", action);
    q->action = (enum wire_action)r;
    r = name(o, "device", &q->device, e);
    q->hardware_id = q->device;
    if (r >= 0 && json_object_object_get_ex(o, "hardware_id", NULL))
        r = name(o, "hardware_id", &q->hardware_id, e);
    if (r >= 0)
        r = text(o, "identity", IDENTITY_MAX, NULL, &q->identity, e);
    if (r >= 0)
        r = cloud_id(o, "cloud_id", &q->cloud_id, e);
    if (r >= 0)
        r = cloud_id(o, "other_id", &q->other_id, e);
    if (r >= 0)
        r = boolean(o, "offered", &q->offered, e);
    if (r >= 0)
        r = boolean(o, "create", &q->create, e);
    if (r >= 0)
        r = boolean(o, "clock", &q->clock, e);
    if (r >= 0)
        r = name(o, "mode", &mode, e);
    if (r < 0)
        return r;
    q->replaces = strcmp(mode, "replaces") == 0;
    if (!q->replaces && strcmp(mode, "adds") != 0)
        return error_set(e, -EINVAL, "the mode \"%s\" is unknown here; expected adds or replaces", mode);
    json_object_object_get_ex(o, "registrar", &settings);
    r = read_settings(settings, q, e);
    return r < 0 ? r : read_key(o, q, e);
}

int request_parse(const char *text_, size_t n, struct request *ret, struct error *e)
{
    struct request q = {0};
    int r = wire_parse(text_, n, &q.root, e);

    if (r < 0)
        return r;
    r = read_root(q.root, &q, e);
    if (r < 0) {
        request_done(&q);
        return r;
    }
    *ret = q;
    return 0;
}

void request_done(struct request *q)
{
    json_object_put(q->root);
    *q = (struct request){0};
}
