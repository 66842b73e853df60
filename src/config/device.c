/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A device file. */
#include "base/id.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/sample.h"
#include "config/internal.h"
#include "config/point-type.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const own_keys[] = {"device",  "hardware_id",  "uplink",       "driver", "enabled",
                                       "session", "idle_timeout", "expire_after", "points"};

int config_device_bare(const char *id, const char *uplink, struct config_device **ret)
{
    _cleanup_(config_device_unrefp) struct config_device *d = calloc(1, sizeof(*d));

    if (!d)
        return -ENOMEM;
    *d = (struct config_device){
        .refs = 1,
        .id = strdup(id),
        .uplink = strdup(uplink),
        .driver = strdup(""),
        .file = strdup(""),
        .address = strdup(""),
        .section = strdup("{}"),
        .points_text = strdup("{}"),
        .enabled = true,
    };
    if (!d->id || !d->uplink || !d->driver || !d->file || !d->address || !d->section || !d->points_text)
        return -ENOMEM;
    *ret = TAKE_PTR(d);
    return 0;
}

struct config_device *config_device_ref(struct config_device *d)
{
    d->refs++;
    return d;
}

struct config_device *config_device_unref(struct config_device *d)
{
    if (!d || --d->refs > 0)
        return NULL;
    free(d->id);
    free(d->hardware_id);
    free(d->uplink);
    free(d->driver);
    free(d->file);
    free(d->address);
    free(d->section);
    free(d->points_text);
    free(d->client);
    for (size_t i = 0; i < d->n_points; i++) {
        free(d->points[i].name);
        free(d->points[i].unit);
    }
    free(d->points);
    free(d);
    return NULL;
}

void device_file_done(struct device_file *f)
{
    free(f->path);
    free(f->id);
    config_device_unref(f->device);
    *f = (struct device_file){0};
}

static void copy_json(struct reader *r, json_object *o, char **ret)
{
    const char *text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);

    if (text)
        config_copy(r, text, ret);
    else
        r->mistakes->failed = -ENOMEM;
}

static void read_id(struct reader *r, struct value root, struct device_file *f)
{
    const char *id;
    struct value v;

    if (!reader_string(r, root, "device", true, &id))
        return;
    reader_member(r, root, "device", true, &v);
    f->id_at = f->client_at = prescan_value_at(r->map, v.node);
    if (!id_valid(id)) {
        reader_mistake(r, v.node, "\"%.80s\" is not an id for a device; expected " ID_RULE, id);
        return;
    }
    config_copy(r, id, &f->id);
    r->device = f->id;
}

static void read_hardware_id(struct reader *r, struct value root, struct config_device *d, struct device_file *f)
{
    const char *text;
    struct value v;

    if (!reader_string(r, root, "hardware_id", false, &text))
        return;
    reader_member(r, root, "hardware_id", true, &v);
    f->client_at = prescan_value_at(r->map, v.node);
    if (!id_valid(text))
        reader_mistake(r, v.node, "\"hardware_id\" is not " ID_RULE);
    else
        config_copy(r, text, &d->hardware_id);
}

/* NULL-terminated names of the uplinks, for the nearest; the names are c's. */
static const char **uplink_names(const struct config *c)
{
    const char **names = calloc(c->n_uplinks + 1, sizeof(*names));

    for (size_t i = 0; names && i < c->n_uplinks; i++)
        names[i] = c->uplinks[i]->name;
    return names;
}

static void read_uplink(struct reader *r, struct value root, const struct config *c, struct config_device *d)
{
    _cleanup_free_ const char **names = NULL;
    const char *name, *near;
    struct value v;

    if (!reader_string(r, root, "uplink", true, &name))
        return;
    config_copy(r, name, &d->uplink);
    if (!c || config_uplink(c, name))
        return;
    reader_member(r, root, "uplink", true, &v);
    names = uplink_names(c);
    near = names ? nearest_word(name, names) : NULL;
    if (near)
        reader_mistake(r, v.node, "there is no uplink \"%.64s\"; did you mean \"%s\"?", name, near);
    else if (c->n_uplinks == 0)
        reader_mistake(r, v.node, "there is no uplink \"%.64s\"; add it to \"uplinks\" in %s", name, c->file);
    else
        reader_mistake(r, v.node, "there is no uplink \"%.64s\" in %s", name, c->file);
}

/* Sections of all drivers have the same names for it. */
static void copy_address(struct reader *r, json_object *section, char **ret)
{
    const char *place = json_get_string(section, "url") ?: json_get_string(section, "address");
    json_object *unit = json_object_object_get(section, "unit");
    _cleanup_free_ char *text = NULL;

    if (!place)
        return;
    if (!json_object_is_type(unit, json_type_int))
        config_copy(r, place, ret);
    else if (asprintf(&text, "%s, unit %d", place, json_object_get_int(unit)) >= 0)
        config_copy(r, text, ret);
}

/* The driver, its section, and that nothing else stands there. */
static void read_driver(struct reader *r, struct value root, struct config_device *d)
{
    const char *known[ELEMENTSOF(own_keys) + 2] = {0}, *name = NULL;
    bool good;
    struct value v;

    memcpy(known, own_keys, sizeof(own_keys));
    good = reader_string(r, root, "driver", true, &name);
    if (good) {
        reader_member(r, root, "driver", true, &v);
        good = id_valid(name);
        for (size_t i = 0; i < ELEMENTSOF(own_keys); i++)
            good = good && strcmp(name, own_keys[i]) != 0;
        if (!good)
            reader_mistake(r, v.node, "\"%.64s\" is not the name of a driver; expected one such as \"modbus\"", name);
    }
    /* Without the driver's name its section cannot be told from a mistake. */
    if (!good)
        return;
    known[ELEMENTSOF(own_keys)] = name;
    reader_known(r, root, known);
    config_copy(r, name, &d->driver);
    if (reader_object(r, root, name, false, &v)) {
        copy_json(r, v.json, &d->section);
        copy_address(r, v.json, &d->address);
        d->templated = json_get_string(v.json, "template") != NULL;
    } else
        config_copy(r, "{}", &d->section);
}

static void read_limits(struct reader *r, struct value v, struct config_point *p)
{
    static const char *const limits[] = {"min", "max"};
    struct value at;

    for (size_t i = 0; i < ELEMENTSOF(limits); i++)
        if (reader_number(r, v, limits[i], i == 0 ? &p->min : &p->max) && !p->writable) {
            reader_member(r, v, limits[i], true, &at);
            reader_mistake_key(
                r, at.node, "\"%s\" bounds what may be written, but this point is not \"writable\": true", limits[i]);
        }
    if (p->min > p->max)
        reader_mistake(r, v.node, "\"min\" is greater than \"max\"");
}

/* Of the agent alone: the driver need not know, and so a new limit does not disturb it. */
static void delete_own(struct json_object *point)
{
    static const char *const own[] = {"min", "max", "expire_after"};

    for (size_t i = 0; i < ELEMENTSOF(own); i++)
        json_object_object_del(point, own[i]);
}

static void read_type(struct value v, struct config_point *p)
{
    struct point_type type = point_type_of(v.json);

    p->kind = type.kind;
    p->type_min = type.min;
    p->type_max = type.max;
    p->type_step = type.step;
}

static void read_point(struct reader *r, const char *name, struct value v, uint64_t expire_after,
                       struct config_point *p)
{
    const char *unit;
    struct value at;

    p->min = -INFINITY;
    p->max = INFINITY;
    p->type_min = -INFINITY;
    p->type_max = INFINITY;
    p->expire_after = expire_after;
    config_copy(r, name, &p->name);
    if (!id_valid(name))
        reader_mistake_key(r, v.node, "\"%.80s\" is not a name for a point; expected " ID_RULE, name);
    if (!json_object_is_type(v.json, json_type_object)) {
        reader_mistake(r, v.node, "the point \"%.64s\" is not an object {...}", name);
        return;
    }
    if (reader_string(r, v, "unit", false, &unit)) {
        reader_member(r, v, "unit", true, &at);
        if (!sample_unit_valid(unit))
            reader_mistake(r, at.node,
                           "\"unit\" has over %d bytes or a control character; expected one such as \"Cel\"",
                           UNIT_MAX - 1);
        else
            config_copy(r, unit, &p->unit);
    }
    reader_bool(r, v, "writable", &p->writable);
    read_limits(r, v, p);
    reader_duration(r, v, "expire_after", USEC_PER_SEC, CONFIG_DURATION_MAX, &p->expire_after);
    read_type(v, p);
    delete_own(v.json);
}

static void read_points(struct reader *r, struct value root, struct config_device *d)
{
    uint64_t expire_after = 0;
    struct value v;
    int n;

    reader_duration(r, root, "expire_after", USEC_PER_SEC, CONFIG_DURATION_MAX, &expire_after);
    d->expire_after = expire_after;
    if (!reader_object(r, root, "points", false, &v)) {
        config_copy(r, "{}", &d->points_text);
        return;
    }
    n = json_object_object_length(v.json);
    if (n > POINTS_PER_DEVICE_MAX) {
        reader_mistake(r, v.node, "there are %d points; a device may have %d", n, POINTS_PER_DEVICE_MAX);
        return;
    }
    d->points = calloc((size_t)n + 1, sizeof(*d->points));
    if (!d->points) {
        r->mistakes->failed = -ENOMEM;
        return;
    }
    json_object_object_foreach (v.json, name, o) {
        struct value point = {o, prescan_child(r->map, v.node, name)};

        read_point(r, name, point, expire_after, &d->points[d->n_points++]);
    }
    copy_json(r, v.json, &d->points_text);
}

static void read_session(struct reader *r, struct value root, struct config_device *d)
{
    static const char *const words[] = {"persistent", "on-demand", NULL};
    unsigned word = 0;
    struct value v;

    reader_word(r, root, "session", words, &word);
    d->on_demand = word == 1;
    d->idle_timeout = IDLE_TIMEOUT_DEFAULT;
    if (reader_duration(r, root, "idle_timeout", IDLE_TIMEOUT_MIN, IDLE_TIMEOUT_MAX, &d->idle_timeout) &&
        !d->on_demand && reader_member(r, root, "idle_timeout", true, &v))
        reader_mistake_key(r, v.node,
                           "\"idle_timeout\" ends a session that is made on demand, but this one is not \"session\": "
                           "\"on-demand\"");
}

static int read_root(struct reader *r, const struct config *c, struct config_device *d, struct device_file *f)
{
    struct value root = reader_root(r);

    if (!json_object_is_type(root.json, json_type_object)) {
        reader_mistake(r, root.node, "expected an object {...} with device, uplink, driver and points");
        return 0;
    }
    read_id(r, root, f);
    read_hardware_id(r, root, d, f);
    config_refuse_secrets(r, "points");
    read_uplink(r, root, c, d);
    read_driver(r, root, d);
    reader_bool(r, root, "enabled", &d->enabled);
    read_session(r, root, d);
    read_points(r, root, d);
    if (f->id)
        config_copy(r, f->id, &d->id);
    return r->mistakes->failed;
}

int config_read_device(const struct config *c, char *text, size_t n, struct device_file *f, struct mistakes *mistakes)
{
    _cleanup_(config_device_unrefp) struct config_device *d = calloc(1, sizeof(*d));
    _cleanup_(reader_done) struct reader r = {0};
    int k;

    if (!d)
        return -ENOMEM;
    d->refs = 1;
    d->enabled = true;
    d->file_digest = config_digest(text, n);
    d->file = strdup(f->path);
    if (!d->file)
        return -ENOMEM;
    k = reader_open(&r, f->path, text, n, mistakes);
    if (k == -EBADMSG)
        return 0;
    if (k >= 0)
        k = read_root(&r, c, d, f);
    if (k < 0 || !reader_good(&r))
        return k;
    k = c ? config_client(c, d) : 0;
    if (k >= 0)
        f->device = TAKE_PTR(d);
    return k;
}
