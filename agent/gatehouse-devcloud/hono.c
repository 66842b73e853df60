/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Eclipse Hono's device registry management calls; api.h has the list. */
#include "api.h"
#include "events.h"
#include "hono-set.h"

#include "base/id.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

struct call {
    const char *tenant;
    struct store *store;
    const struct api_request *request;
    const char *id;        /* of the device */
    struct device *device; /* NULL: not there */
    struct api_answer *answer;
};

void hono_refuse(unsigned status, const char *reason, struct api_answer *ret)
{
    ret->status = status;
    ret->body = json_object_new_object();
    json_object_object_add(ret->body, "error", json_object_new_string(reason));
}

static void answer_version(const struct call *c, unsigned status, json_object *body)
{
    c->answer->status = status;
    c->answer->body = body;
    snprintf(c->answer->etag, sizeof(c->answer->etag), "%s", c->device->version);
}

static void get_credentials(const struct call *c)
{
    if (!c->device)
        return hono_refuse(404, "no such device", c->answer);
    answer_version(c, 200, hono_set_show(c->device, c->tenant));
}

/* No auth-id of the set is another device's. */
static int check_owners(const struct call *c, json_object *set, struct error *e)
{
    for (size_t i = 0; i < json_object_array_length(set); i++) {
        json_object *entry = json_object_array_get_idx(set, i);
        char identity[IDENTITY_MAX + 1];
        const struct credential *k;

        if (!hono_entry_is_psk(entry))
            continue;
        snprintf(identity, sizeof(identity), "%s@%s", json_get_string(entry, "auth-id"), c->tenant);
        k = store_find(c->store, identity);
        if (k && k->device != c->device)
            return error_set(e, -EEXIST, "[%zu].auth-id: credentials of another device have '%s'", i,
                             json_get_string(entry, "auth-id"));
    }
    return 0;
}

static bool is_json(const char *content_type)
{
    const char *name = "application/json";
    size_t n = strlen(name);

    return content_type && strncasecmp(content_type, name, n) == 0 && strchr("; ", content_type[n]);
}

static void put_credentials(const struct call *c)
{
    _cleanup_json_ json_object *given = NULL, *set = NULL, *before = NULL;
    const char *if_match = c->request->if_match;
    struct error e = {};
    int r;

    if (!is_json(c->request->content_type))
        return hono_refuse(400, "header content-type: expected application/json", c->answer);
    if (!c->device)
        return hono_refuse(404, "no such device", c->answer);
    if (if_match && strcmp(if_match, c->device->version) != 0)
        return hono_refuse(412, "header if-match: the credentials have another version by now", c->answer);
    before = api_credentials(c->device);
    r = json_parse(c->request->body, c->request->size, &given, &e);
    if (r >= 0)
        r = hono_set_read(given, c->device, c->tenant, &set, &e);
    if (r >= 0)
        r = check_owners(c, set, &e);
    if (r >= 0)
        r = store_set(c->store, c->device, c->tenant, set, &e);
    if (r < 0)
        return hono_refuse(r == -EINVAL ? 400 : r == -EEXIST ? 409 : 500, e.text, c->answer);
    if (!c->request->silent)
        api_tell_changes(c->device, before);
    answer_version(c, 204, NULL);
}

static void post_device(const struct call *c)
{
    struct device *d;
    struct error e = {};
    int r;

    if (c->device)
        return hono_refuse(409, "this device is there already", c->answer);
    if (!id_valid(c->id))
        return hono_refuse(400, "device id: expected " ID_RULE, c->answer);
    r = store_provision(c->store, c->id, NULL, NULL, NULL, 0, &d, &e);
    if (r < 0)
        return hono_refuse(500, e.text, c->answer);
    c->answer->status = 201;
    c->answer->body = json_object_new_object();
    json_object_object_add(c->answer->body, "id", json_object_new_string(d->id));
}

static void get_device(const struct call *c)
{
    if (!c->device)
        return hono_refuse(404, "no such device", c->answer);
    c->answer->status = 200;
    c->answer->body = json_object_new_object();
}

static const struct route {
    const char *method;
    const char *resource;
    void (*run)(const struct call *c);
} routes[] = {
    {"GET", "credentials", get_credentials},
    {"PUT", "credentials", put_credentials},
    {"POST", "devices", post_device},
    {"GET", "devices", get_device},
};

void hono_run(const char *tenant, struct store *s, const struct api_request *q, const struct api_path *p,
              struct api_answer *ret)
{
    struct call c = {.tenant = tenant, .store = s, .request = q, .answer = ret};

    if (p->count != 4 || !p->segments[3][0])
        return hono_refuse(404, "no such path", ret);
    if (strcmp(p->segments[2], tenant) != 0)
        return hono_refuse(404, "no such tenant", ret);
    c.id = p->segments[3];
    c.device = store_device(s, c.id);
    for (size_t i = 0; i < ELEMENTSOF(routes); i++)
        if (strcmp(routes[i].resource, p->segments[1]) == 0 && strcmp(routes[i].method, q->method) == 0)
            return routes[i].run(&c);
    hono_refuse(405, "not this method", ret);
}
