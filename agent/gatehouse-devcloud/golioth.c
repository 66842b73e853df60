/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Golioth's management calls; api.h has the list. */
#include "api.h"
#include "events.h"

#include "base/id.h"

#include <stdio.h>
#include <string.h>

#define PER_PAGE_MAX 100
#define HARDWARE_IDS_MAX 16
#define HARDWARE_ID_MAX 128

struct call {
    const char *project;
    struct store *store;
    const struct api_request *request;
    struct device *device; /* that the path names; NULL: it names none */
    const char *last;      /* the path's last segment */
    struct api_answer *answer;
};

/* A member that a body may have. */
struct body {
    const char *name;
    json_object *hardware;
    char identity[IDENTITY_MAX + 1]; /* with the project */
    const char *key;
};

static int code_of(unsigned status)
{
    static const struct {
        unsigned status;
        int code;
    } codes[] = {{400, 3}, {401, 16}, {403, 7}, {404, 5},  {405, 12},
                 {409, 6}, {413, 3},  {429, 8}, {501, 12}, {503, 14}};

    for (size_t i = 0; i < ELEMENTSOF(codes); i++)
        if (codes[i].status == status)
            return codes[i].code;
    return 13;
}

void golioth_refuse(unsigned status, const char *reason, struct api_answer *ret)
{
    json_object *o = json_object_new_object();

    json_object_object_add(o, "code", json_object_new_int(code_of(status)));
    json_object_object_add(o, "message", json_object_new_string(reason));
    json_object_object_add(o, "details", json_object_new_array());
    ret->status = status;
    ret->body = o;
}

static void refuse_r(const struct call *c, int r, const struct error *e)
{
    golioth_refuse(r == -EEXIST ? 409 : r == -ENOENT ? 404 : r == -EINVAL ? 400 : 500, e->text, c->answer);
}

static void answer_data(const struct call *c, json_object *data)
{
    c->answer->status = 200;
    c->answer->body = json_object_new_object();
    json_object_object_add(c->answer->body, "data", data);
}

static int read_identity(json_object *o, const char *project, char *ret, size_t size, struct error *e)
{
    const char *identity = json_get_string(o, "identity"), *at;
    int n;

    if (!identity || !*identity)
        return error_set(e, -EINVAL, "identity: expected a text");
    at = strchr(identity, '@');
    if (at == identity || (at && strcmp(at + 1, project) != 0))
        return error_set(e, -EINVAL, "identity: expected it without '@', or with '@%s' at its end", project);
    n = snprintf(ret, size, at ? "%s" : "%s@%s", identity, project);
    if (n < 0 || (size_t)n >= size)
        return error_set(e, -EINVAL, "identity: with '@%s' it has more than %d bytes", project, IDENTITY_MAX);
    return 0;
}

static int read_key(json_object *o, const char **ret, struct error *e)
{
    const char *key = json_get_string(o, "preSharedKey");
    size_t n = key ? strlen(key) : 0;

    if (n < KEY_MIN || n > KEY_MAX)
        return error_set(e, -EINVAL, "preSharedKey: expected a text of %d to %d characters", KEY_MIN, KEY_MAX);
    for (size_t i = 0; i < n; i++)
        if (key[i] < 0x20 || key[i] == 0x7f)
            return error_set(e, -EINVAL, "preSharedKey: expected printable ASCII");
    *ret = key;
    return 0;
}

static int read_hardware(json_object *o, json_object **ret, struct error *e)
{
    json_object *ids;
    size_t n;

    if (!json_object_object_get_ex(o, "hardwareIds", &ids) || !json_object_is_type(ids, json_type_array) ||
        (n = json_object_array_length(ids)) == 0 || n > HARDWARE_IDS_MAX)
        return error_set(e, -EINVAL, "hardwareIds: expected an array of 1 to %d texts", HARDWARE_IDS_MAX);
    for (size_t i = 0; i < n; i++) {
        json_object *id = json_object_array_get_idx(ids, i);
        size_t length = json_object_is_type(id, json_type_string) ? strlen(json_object_get_string(id)) : 0;

        if (length == 0 || length > HARDWARE_ID_MAX)
            return error_set(e, -EINVAL, "hardwareIds[%zu]: expected a text of 1 to %d bytes", i, HARDWARE_ID_MAX);
    }
    *ret = ids;
    return 0;
}

static int check_fields(json_object *o, const char *known, struct error *e)
{
    json_object_object_foreach (o, key, value) {
        char word[40];

        (void)value;
        snprintf(word, sizeof(word), " %s ", key);
        if (strlen(key) > 32 || !strstr(known, word))
            return error_set(e, -EINVAL, "%.32s: there is no such field", key);
    }
    return 0;
}

/* *ret_object holds what `ret` points to. */
static int read_body(const struct call *c, bool provisioning, json_object **ret_object, struct body *ret,
                     struct error *e)
{
    _cleanup_json_ json_object *o = NULL;
    const char *type;
    int r = json_parse(c->request->body, c->request->size, &o, e);

    if (r >= 0 && !json_object_is_type(o, json_type_object))
        r = error_set(e, -EINVAL, "expected a JSON object");
    if (r >= 0)
        r = check_fields(
            o, provisioning ? " name hardwareIds identity preSharedKey type " : " identity preSharedKey type ", e);
    if (r < 0)
        return r;
    type = json_get_string(o, "type");
    if (json_object_object_get_ex(o, "type", NULL) && (!type || strcmp(type, "PRE_SHARED_KEY") != 0))
        return error_set(e, -EINVAL, "type: expected PRE_SHARED_KEY");
    if (provisioning) {
        ret->name = json_get_string(o, "name");
        if (!ret->name || !id_valid(ret->name))
            return error_set(e, -EINVAL, "name: expected %s", ID_RULE);
        r = read_hardware(o, &ret->hardware, e);
    }
    if (r >= 0)
        r = read_identity(o, c->project, ret->identity, sizeof(ret->identity), e);
    if (r >= 0)
        r = read_key(o, &ret->key, e);
    if (r >= 0)
        *ret_object = TAKE_PTR(o);
    return r;
}

/* Neither identity nor key is anybody's in the project. */
static int check_unique(const struct call *c, const struct body *b, struct error *e)
{
    char end[IDENTITY_MAX + 2];

    snprintf(end, sizeof(end), "@%s", c->project);
    if (store_find(c->store, b->identity))
        return error_set(e, -EEXIST, "identity: '%s' already exists in this project", b->identity);
    if (store_find_key(c->store, end, b->key, strlen(b->key)))
        return error_set(e, -EEXIST, "preSharedKey: another credential of this project has this key");
    return 0;
}

static json_object *show_credential(const struct credential *k)
{
    json_object *o = json_object_new_object();

    json_object_object_add(o, "id", json_object_new_string(k->id));
    json_object_object_add(o, "identity", json_object_new_string(k->identity));
    json_object_object_add(o, "type", json_object_new_string("PRE_SHARED_KEY"));
    return o;
}

static json_object *show_device(const struct device *d)
{
    json_object *o = json_object_new_object(), *hardware = d->hardware ? json_object_get(d->hardware) : NULL;

    if (!hardware) {
        hardware = json_object_new_array();
        json_object_array_add(hardware, json_object_new_string(d->id));
    }
    json_object_object_add(o, "id", json_object_new_string(d->cloud_id));
    json_object_object_add(o, "name", json_object_new_string(d->id));
    json_object_object_add(o, "hardwareIds", hardware);
    json_object_object_add(o, "tagIds", json_object_new_array());
    json_object_object_add(o, "enabled", json_object_new_boolean(true));
    return o;
}

static int check_new_device(const struct call *c, const struct body *b, struct error *e)
{
    if (store_device(c->store, b->name))
        return error_set(e, -EEXIST, "name: device '%s' already exists in this project", b->name);
    for (size_t i = 0; i < json_object_array_length(b->hardware); i++) {
        const char *id = json_object_get_string(json_object_array_get_idx(b->hardware, i));

        if (store_device_by_hardware(c->store, id))
            return error_set(e, -EEXIST, "hardwareIds[%zu]: another device has '%.128s'", i, id);
    }
    return check_unique(c, b, e);
}

static void post_provisioning(const struct call *c)
{
    _cleanup_json_ json_object *o = NULL;
    struct body b = {};
    struct device *d;
    json_object *data;
    struct error e = {};
    int r = read_body(c, true, &o, &b, &e);

    if (r >= 0)
        r = check_new_device(c, &b, &e);
    if (r >= 0)
        r = store_provision(c->store, b.name, b.hardware, b.identity, b.key, strlen(b.key), &d, &e);
    if (r < 0)
        return refuse_r(c, r, &e);
    if (!c->request->silent)
        event_credential("credential", "added", d->credentials);
    data = json_object_new_object();
    json_object_object_add(data, "deviceId", json_object_new_string(d->cloud_id));
    answer_data(c, data);
}

static int query_number(const struct call *c, const char *name, unsigned long missing, unsigned long min,
                        unsigned long max, unsigned long *ret, struct error *e)
{
    const char *text = c->request->query ? json_get_string(c->request->query, name) : NULL;
    char *end;

    *ret = text ? strtoul(text, &end, 10) : missing;
    if (text && (!*text || *end || text[0] == '-' || *ret < min || *ret > max))
        return error_set(e, -EINVAL, "%s: expected a number from %lu to %lu", name, min, max);
    return 0;
}

static bool wanted(const struct device *d, const struct device *of_hardware, const char *hardware, const char *name)
{
    return !d->forgotten && (!hardware || d == of_hardware) && (!name || strcmp(d->id, name) == 0);
}

static void get_devices(const struct call *c)
{
    json_object *query = c->request->query, *list = json_object_new_array(), *o = json_object_new_object();
    const char *hardware = query ? json_get_string(query, "hardwareId") : NULL;
    const char *name = query ? json_get_string(query, "deviceName") : NULL;
    const struct device *of_hardware = hardware ? store_device_by_hardware(c->store, hardware) : NULL;
    unsigned long page = 0, per_page = 0, total = 0;
    struct error e = {};
    int r = query ? check_fields(query, " hardwareId deviceName page perPage ", &e) : 0;

    json_object_object_add(o, "list", list);
    if (r >= 0)
        r = query_number(c, "page", 0, 0, INT32_MAX, &page, &e);
    if (r >= 0)
        r = query_number(c, "perPage", PER_PAGE_MAX, 1, PER_PAGE_MAX, &per_page, &e);
    if (r < 0) {
        json_object_put(o);
        return refuse_r(c, r, &e);
    }
    for (const struct device *d = store_devices(c->store); d; d = d->next) {
        if (!wanted(d, of_hardware, hardware, name))
            continue;
        if (total / per_page == page)
            json_object_array_add(list, show_device(d));
        total++;
    }
    json_object_object_add(o, "page", json_object_new_int64((int64_t)page));
    json_object_object_add(o, "perPage", json_object_new_int64((int64_t)per_page));
    json_object_object_add(o, "total", json_object_new_int64((int64_t)total));
    c->answer->status = 200;
    c->answer->body = o;
}

static void get_device(const struct call *c)
{
    answer_data(c, show_device(c->device));
}

static bool of_project(const struct credential *k, const char *project)
{
    const char *at = strrchr(k->identity, '@');

    return at && strcmp(at + 1, project) == 0;
}

static void get_credentials(const struct call *c)
{
    json_object *list = json_object_new_array();

    for (const struct credential *k = c->device->credentials; k; k = k->next)
        if (of_project(k, c->project))
            json_object_array_add(list, show_credential(k));
    c->answer->status = 200;
    c->answer->body = json_object_new_object();
    json_object_object_add(c->answer->body, "list", list);
}

static void post_credentials(const struct call *c)
{
    _cleanup_json_ json_object *o = NULL;
    struct credential *k;
    struct body b = {};
    struct error e = {};
    int r = read_body(c, false, &o, &b, &e);

    if (r >= 0)
        r = check_unique(c, &b, &e);
    if (r >= 0)
        r = store_offer(c->store, c->device, b.identity, b.key, strlen(b.key), &k, &e);
    if (r < 0)
        return refuse_r(c, r, &e);
    if (!c->request->silent)
        event_credential("credential", "added", k);
    answer_data(c, show_credential(k));
}

static void delete_credential(const struct call *c)
{
    const struct credential *k = c->device->credentials;
    struct credential *gone;
    struct error e = {};
    int r;

    while (k && (strcmp(k->id, c->last) != 0 || !of_project(k, c->project)))
        k = k->next;
    if (!k)
        return golioth_refuse(404, "this device has no such credential", c->answer);
    r = store_delete(c->store, c->device, c->last, &gone, &e);
    if (r < 0)
        return refuse_r(c, r, &e);
    if (!c->request->silent)
        event_credential("deleted", NULL, gone);
    c->answer->status = 200;
    c->answer->body = json_object_new_object();
}

/* After /v1/projects/P: "D" stands for a device's id, "*" for anything. */
static const struct route {
    const char *method;
    const char *path[4];
    size_t count;
    void (*run)(const struct call *c);
} routes[] = {
    {"POST", {"provisioning"}, 1, post_provisioning},
    {"GET", {"devices"}, 1, get_devices},
    {"GET", {"devices", "D"}, 2, get_device},
    {"GET", {"devices", "D", "credentials"}, 3, get_credentials},
    {"POST", {"devices", "D", "credentials"}, 3, post_credentials},
    {"DELETE", {"devices", "D", "credentials", "*"}, 4, delete_credential},
};

static bool is_path(const struct route *route, const struct api_path *p)
{
    if (p->count != route->count + 3)
        return false;
    for (size_t i = 0; i < route->count; i++) {
        const char *wanted_segment = route->path[i], *segment = p->segments[i + 3];

        if (!*segment || (strcmp(wanted_segment, "D") != 0 && strcmp(wanted_segment, "*") != 0 &&
                          strcmp(wanted_segment, segment) != 0))
            return false;
    }
    return true;
}

void golioth_run(const char *project, struct store *s, const struct api_request *q, const struct api_path *p,
                 struct api_answer *ret)
{
    struct call c = {.project = project, .store = s, .request = q, .answer = ret};
    bool there = false;

    if (p->count < 3 || strcmp(p->segments[2], project) != 0)
        return golioth_refuse(404, "no such project", ret);
    c.last = p->segments[p->count - 1];
    for (size_t i = 0; i < ELEMENTSOF(routes); i++) {
        if (!is_path(&routes[i], p))
            continue;
        there = true;
        if (strcmp(routes[i].method, q->method) != 0)
            continue;
        if (routes[i].count > 1 && !(c.device = store_device_by_cloud_id(s, p->segments[4])))
            return golioth_refuse(404, "no such device", ret);
        return routes[i].run(&c);
    }
    golioth_refuse(there ? 405 : 404, there ? "not this method" : "no such path", ret);
}
