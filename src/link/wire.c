/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/wire.h"

#include "base/cleanup.h"
#include "base/id.h"
#include "base/json.h"
#include "base/names.h"

#include <errno.h>
#include <string.h>

int wire_append_value(sd_bus_message *m, const struct sample_value *v)
{
    switch (v->type) {
    case SAMPLE_BOOL:
        return sd_bus_message_append(m, "v", "b", (int)v->b);
    case SAMPLE_INT:
        return sd_bus_message_append(m, "v", "x", v->x);
    case SAMPLE_UINT:
        return sd_bus_message_append(m, "v", "t", v->t);
    case SAMPLE_DOUBLE:
        return sd_bus_message_append(m, "v", "d", v->d);
    case SAMPLE_STRING:
        return sd_bus_message_append(m, "v", "s", v->s);
    }
    return -EINVAL;
}

static int read_basic(sd_bus_message *m, char type, struct sample_value *ret)
{
    struct sample_value v = {.type = (enum sample_type)type};
    int boolean = 0, r;

    switch (v.type) {
    case SAMPLE_BOOL:
        r = sd_bus_message_read_basic(m, type, &boolean);
        v.b = boolean != 0;
        break;
    case SAMPLE_INT:
        r = sd_bus_message_read_basic(m, type, &v.x);
        break;
    case SAMPLE_UINT:
        r = sd_bus_message_read_basic(m, type, &v.t);
        break;
    case SAMPLE_DOUBLE:
        r = sd_bus_message_read_basic(m, type, &v.d);
        break;
    case SAMPLE_STRING:
        r = sd_bus_message_read_basic(m, type, &v.s);
        break;
    default: /* a letter from the wire */
        return -EINVAL;
    }
    if (r < 0)
        return r;
    if (r == 0 || !sample_value_valid(&v))
        return -EINVAL;
    *ret = v;
    return 0;
}

int wire_read_value(sd_bus_message *m, struct sample_value *ret)
{
    const char *contents;
    char type;
    int r = sd_bus_message_peek_type(m, &type, &contents);

    if (r < 0)
        return r;
    if (r == 0 || type != SD_BUS_TYPE_VARIANT || strlen(contents) != 1)
        return -EINVAL;
    r = sd_bus_message_enter_container(m, SD_BUS_TYPE_VARIANT, contents);
    if (r >= 0)
        r = read_basic(m, contents[0], ret);
    return r < 0 ? r : sd_bus_message_exit_container(m);
}

int wire_append_samples(sd_bus_message *m, const struct sample *samples, size_t n)
{
    int r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "(" WIRE_SAMPLE ")");

    for (size_t i = 0; i < n && r >= 0; i++) {
        r = sd_bus_message_open_container(m, SD_BUS_TYPE_STRUCT, WIRE_SAMPLE);
        if (r >= 0)
            r = sd_bus_message_append(m, "st", samples[i].point, samples[i].time);
        if (r >= 0)
            r = wire_append_value(m, &samples[i].value);
        if (r >= 0)
            r = sd_bus_message_append(m, "su", samples[i].unit, samples[i].quality);
        if (r >= 0)
            r = sd_bus_message_close_container(m);
    }
    return r < 0 ? r : sd_bus_message_close_container(m);
}

static int read_sample(sd_bus_message *m, struct sample *s)
{
    int r = sd_bus_message_read(m, "st", &s->point, &s->time);

    if (r >= 0)
        r = wire_read_value(m, &s->value);
    if (r >= 0)
        r = sd_bus_message_read(m, "su", &s->unit, &s->quality);
    if (r < 0)
        return r;
    return id_valid(s->point) && sample_unit_valid(s->unit) && !(s->quality & ~(uint32_t)SAMPLE_QUALITY_ALL) ? 0
                                                                                                             : -EINVAL;
}

int wire_read_samples(sd_bus_message *m, struct sample *samples, size_t max)
{
    size_t n = 0;
    int r = sd_bus_message_enter_container(m, SD_BUS_TYPE_ARRAY, "(" WIRE_SAMPLE ")");

    while (r >= 0) {
        r = sd_bus_message_enter_container(m, SD_BUS_TYPE_STRUCT, WIRE_SAMPLE);
        if (r <= 0)
            break;
        if (n == max)
            return -E2BIG;
        r = read_sample(m, &samples[n++]);
        if (r >= 0)
            r = sd_bus_message_exit_container(m);
    }
    if (r >= 0)
        r = sd_bus_message_exit_container(m);
    return r < 0 ? r : (int)n;
}

static int value_of_json(json_object *o, struct sample_value *ret)
{
    switch (json_object_get_type(o)) {
    case json_type_boolean:
        *ret = (struct sample_value){.type = SAMPLE_BOOL, .b = json_object_get_boolean(o)};
        return 0;
    case json_type_int:
        *ret = (struct sample_value){.type = SAMPLE_INT, .x = json_object_get_int64(o)};
        return 0;
    case json_type_double:
        *ret = (struct sample_value){.type = SAMPLE_DOUBLE, .d = json_object_get_double(o)};
        return 0;
    case json_type_string:
        *ret = (struct sample_value){.type = SAMPLE_STRING, .s = json_object_get_string(o)};
        return 0;
    case json_type_object:
    case json_type_array:
        *ret = (struct sample_value){.type = SAMPLE_STRING,
                                     .s = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN)};
        return 0;
    case json_type_null:
        break;
    }
    return -ENODATA;
}

int wire_append_dict(sd_bus_message *m, json_object *object)
{
    int r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "{sv}");

    json_object_object_foreach (object, key, member) {
        struct sample_value v;

        if (r < 0)
            break;
        if (value_of_json(member, &v) < 0)
            continue;
        r = sd_bus_message_open_container(m, SD_BUS_TYPE_DICT_ENTRY, "sv");
        if (r >= 0)
            r = sd_bus_message_append_basic(m, 's', key);
        if (r >= 0)
            r = wire_append_value(m, &v);
        if (r >= 0)
            r = sd_bus_message_close_container(m);
    }
    return r < 0 ? r : sd_bus_message_close_container(m);
}

static json_object *json_of_value(const struct sample_value *v)
{
    switch (v->type) {
    case SAMPLE_BOOL:
        return json_object_new_boolean(v->b);
    case SAMPLE_INT:
        return json_object_new_int64(v->x);
    case SAMPLE_UINT:
        return json_object_new_uint64(v->t);
    case SAMPLE_DOUBLE:
        return json_object_new_double(v->d);
    case SAMPLE_STRING:
        return json_object_new_string(v->s);
    }
    return NULL;
}

int wire_read_any(sd_bus_message *m, struct sample_value *ret)
{
    const char *contents = NULL;
    union {
        uint32_t u;
        int32_t i;
    } small;
    char type;
    int r = sd_bus_message_peek_type(m, &type, &contents);

    if (r < 0)
        return r;
    if (r == 0 || type != SD_BUS_TYPE_VARIANT || (strcmp(contents, "u") != 0 && strcmp(contents, "i") != 0))
        return wire_read_value(m, ret);
    type = contents[0];
    r = sd_bus_message_read(m, "v", contents, &small);
    if (r < 0)
        return r;
    *ret = (struct sample_value){.type = SAMPLE_INT, .x = type == 'u' ? (int64_t)small.u : small.i};
    return 0;
}

static int read_entry(sd_bus_message *m, json_object *object)
{
    struct sample_value v;
    json_object *member;
    const char *key;
    int r = sd_bus_message_read_basic(m, 's', &key);

    if (r >= 0)
        r = wire_read_any(m, &v);
    if (r < 0)
        return r;
    member = json_of_value(&v);
    if (!member)
        return -ENOMEM;
    if (json_object_object_add(object, key, member) < 0) {
        json_object_put(member);
        return -ENOMEM;
    }
    return 0;
}

int wire_read_dict(sd_bus_message *m, json_object **ret)
{
    _cleanup_json_ json_object *object = json_object_new_object();
    int r;

    if (!object)
        return -ENOMEM;
    r = sd_bus_message_enter_container(m, SD_BUS_TYPE_ARRAY, "{sv}");
    while (r >= 0) {
        r = sd_bus_message_enter_container(m, SD_BUS_TYPE_DICT_ENTRY, "sv");
        if (r <= 0)
            break;
        r = read_entry(m, object);
        if (r >= 0)
            r = sd_bus_message_exit_container(m);
    }
    if (r >= 0)
        r = sd_bus_message_exit_container(m);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(object);
    return 0;
}

static const struct {
    int r;
    const char *name;
} error_names[] = {
    {-ENODEV, ERROR_NO_SUCH_DEVICE}, {-ENOENT, ERROR_NO_SUCH_POINT},
    {-EACCES, ERROR_NOT_WRITABLE},   {-EBUSY, ERROR_BUSY},
    {-ENOTCONN, ERROR_DRIVER_AWAY},  {-EINVAL, ERROR_INVALID_ARGUMENT},
};

int wire_reply_error(sd_bus_message *call, int r, const char *text)
{
    for (size_t i = 0; i < ELEMENTSOF(error_names); i++)
        if (error_names[i].r == r)
            return sd_bus_reply_method_errorf(call, error_names[i].name, "%s", text);
    return sd_bus_reply_method_errnof(call, r, "%s", text);
}

int wire_error_errno(const sd_bus_error *e)
{
    int r;

    for (size_t i = 0; i < ELEMENTSOF(error_names); i++)
        if (sd_bus_error_has_name(e, error_names[i].name))
            return error_names[i].r;
    r = sd_bus_error_get_errno(e);
    return r > 0 ? -r : -EIO;
}
