/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device.h"

#include "base/id.h"
#include "base/json.h"

#include <errno.h>
#include <string.h>

/* The agent's keys of a point; unit and writable stay in view of the plugin as members of their own. */
static const char *const agent_keys[] = {"unit", "writable", "min", "max"};

static int point_from_json(const char *name, json_object *keys, json_object *keep, struct gatehouse_point *ret,
                           struct error *e)
{
    struct gatehouse_point p = {.name = name};
    json_object *o;

    if (!id_valid(name))
        return error_set(e, -EINVAL, "/points: a point's name is " ID_RULE);
    if (!json_object_is_type(keys, json_type_object))
        return error_set(e, -EINVAL, "/points/%s: expected an object", name);
    if (json_object_object_get_ex(keys, "unit", &o)) {
        if (!json_object_is_type(o, json_type_string) || !sample_unit_valid(json_object_get_string(o)))
            return error_set(e, -EINVAL, "/points/%s/unit: expected a text of at most %d bytes", name, UNIT_MAX - 1);
        p.unit = json_object_get_string(o);
        if (json_object_array_add(keep, json_object_get(o)) < 0)
            return error_errno(e, -ENOMEM, "/points/%s", name);
    }
    p.writable = json_object_object_get_ex(keys, "writable", &o) && json_object_get_boolean(o);
    for (size_t i = 0; i < ELEMENTSOF(agent_keys); i++)
        json_object_object_del(keys, agent_keys[i]);
    p.config = json_object_to_json_string_ext(keys, JSON_C_TO_STRING_PLAIN);
    if (!p.config)
        return error_errno(e, -ENOMEM, "/points/%s", name);
    *ret = p;
    return 0;
}

int points_from_json(json_object *object, struct gatehouse_point **ret, size_t *ret_n, struct error *e)
{
    _cleanup_free_ struct gatehouse_point *points = NULL;
    json_object *keep;
    size_t n = 0;
    int r = 0;

    if (!json_object_is_type(object, json_type_object))
        return error_set(e, -EINVAL, "/points: expected an object");
    points = calloc((size_t)json_object_object_length(object) + 1, sizeof(*points));
    keep = json_object_new_array();
    if (!points || !keep) {
        json_object_put(keep);
        return error_errno(e, -ENOMEM, "/points");
    }
    json_object_object_foreach (object, name, keys) {
        r = point_from_json(name, keys, keep, &points[n], e);
        if (r < 0)
            break;
        n++;
    }
    /* Units taken out of their points live on beside them, under a name that no point can have. */
    if (json_object_object_add(object, "", keep) < 0) {
        json_object_put(keep);
        r = error_errno(e, -ENOMEM, "/points");
    }
    if (r < 0)
        return r;
    *ret = TAKE_PTR(points);
    *ret_n = n;
    return 0;
}

static int parse(struct gatehouse_device *d, struct error *e)
{
    _cleanup_json_ json_object *section = NULL;
    int r = json_parse(d->section, strlen(d->section), &section, e);

    if (r < 0)
        return error_prefix(e, r, "/section");
    if (!json_object_is_type(section, json_type_object))
        return error_set(e, -EINVAL, "/section: expected an object");
    r = json_parse(d->points_text, strlen(d->points_text), &d->points_json, e);
    if (r < 0)
        return error_prefix(e, r, "/points");
    return points_from_json(d->points_json, &d->points, &d->n_points, e);
}

int device_new(const char *id, const char *section, const char *points, struct gatehouse_device **ret, struct error *e)
{
    _cleanup_(device_freep) struct gatehouse_device *d = calloc(1, sizeof(*d));
    int r;

    if (!d)
        return -ENOMEM;
    TAILQ_INIT(&d->main.later);
    counts_init(&d->counts);
    ratelimit_init(&d->thread.complaints, USEC_PER_MINUTE, 3);
    d->thread.secret_fd = -EBADF;
    d->id = strdup(id);
    d->section = strdup(section);
    d->points_text = strdup(points);
    if (!d->id || !d->section || !d->points_text)
        return -ENOMEM;
    r = parse(d, e);
    if (r == -ENOMEM)
        return r;
    *ret = TAKE_PTR(d);
    return r;
}

struct gatehouse_device *device_free(struct gatehouse_device *d)
{
    if (!d)
        return NULL;
    job_free(d->main.close);
    job_free(d->main.next_secret);
    free(d->main.kept);
    safe_close(d->thread.secret_fd);
    free(d->thread.kept);
    json_object_put(d->points_json);
    free(d->points);
    free(d->main.next_section);
    free(d->main.next_points);
    free(d->main.reason);
    free(d->id);
    free(d->section);
    free(d->points_text);
    counts_done(&d->counts);
    free(d);
    return NULL;
}

static const struct gatehouse_point *find_point(const struct gatehouse_device *d, const char *name, size_t n)
{
    for (size_t i = 0; i < d->n_points; i++)
        if (strncmp(d->points[i].name, name, n) == 0 && d->points[i].name[n] == 0)
            return &d->points[i];
    return NULL;
}

const struct gatehouse_point *device_point(const struct gatehouse_device *d, const char *name)
{
    const struct gatehouse_point *point = find_point(d, name, strlen(name));
    const char *dot = strrchr(name, '.');

    if (point || !dot || !dot[1] || dot[1 + strspn(dot + 1, "0123456789")])
        return point;
    return find_point(d, name, (size_t)(dot - name));
}
