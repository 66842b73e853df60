/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream.h"

#include "timestamp.h"

#include <stdio.h>
#include <string.h>

#define TIME_MEMBER "ts"

static int read_time(json_object *o, uint64_t now, double *ret, struct error *e)
{
    json_object *ts;

    *ret = (double)now / USEC_PER_SEC;
    if (!json_object_object_get_ex(o, TIME_MEMBER, &ts))
        return 0;
    if (!json_object_is_type(ts, json_type_string) || timestamp_read(json_object_get_string(ts), ret) < 0)
        return error_set(e, -EINVAL, "\"" TIME_MEMBER "\": expected a time as 2024-10-01T12:00:00Z");
    return 0;
}

static bool is_value(json_object *v)
{
    return json_object_is_type(v, json_type_int) || json_object_is_type(v, json_type_double) ||
           json_object_is_type(v, json_type_boolean) || json_object_is_type(v, json_type_string);
}

static int add(struct senml_pack *p, const char *name, json_object *value, double time, struct error *e)
{
    struct senml_record *record = &p->records[p->count];

    if (!name[0] || strlen(name) > SENML_NAME_MAX || !is_value(value))
        return error_set(e, -EINVAL, "\"%.*s\": expected a number, a text or a bool under a name of 1 to %d characters",
                         SENML_NAME_MAX, name, SENML_NAME_MAX);
    if (p->count == SENML_RECORDS_MAX)
        return error_set(e, -EINVAL, "over %d values", SENML_RECORDS_MAX);
    snprintf(record->name, sizeof(record->name), "%s", name);
    record->value = json_object_get(value);
    record->time = time;
    p->count++;
    return 0;
}

static int read_one(json_object *o, uint64_t now, struct senml_pack *p, struct error *e)
{
    double time;
    int r;

    if (!json_object_is_type(o, json_type_object))
        return error_set(e, -EINVAL, "not an object");
    r = read_time(o, now, &time, e);
    json_object_object_foreach (o, name, value) {
        if (r >= 0 && strcmp(name, TIME_MEMBER) != 0)
            r = add(p, name, value, time, e);
    }
    return r;
}

int stream_read(const char *text, size_t n, uint64_t now, struct senml_pack **ret, struct error *e)
{
    _cleanup_(senml_pack_freep) struct senml_pack *p = calloc(1, sizeof(*p));
    _cleanup_json_ json_object *body = NULL;
    int r = json_parse(text, n, &body, e);

    if (r < 0)
        return r;
    if (!p || !(p->records = calloc(SENML_RECORDS_MAX, sizeof(*p->records))))
        return -ENOMEM;
    if (!json_object_is_type(body, json_type_array))
        r = read_one(body, now, p, e);
    else
        for (size_t i = 0; r >= 0 && i < json_object_array_length(body); i++) {
            r = read_one(json_object_array_get_idx(body, i), now, p, e);
            if (r < 0)
                r = error_prefix(e, r, "record %zu", i);
        }
    if (r >= 0)
        *ret = TAKE_PTR(p);
    return r < 0 ? r : 0;
}
