/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "senml.h"

#include "base/id.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define RELATIVE_TIME_BELOW 268435456.0 /* 2^28, RFC 8428 section 4.5.3 */
#define PROBE_NAME "_probe"
#define FULL_NAME_MAX (DEVICE_ID_MAX + 1 + SENML_NAME_MAX)

/* Base fields, which hold for the record they stand in and all that follow. */
struct base {
    const char *name;
    const char *unit;
    double time;
    double value;
};

struct senml_pack *senml_pack_free(struct senml_pack *p)
{
    if (!p)
        return NULL;
    for (size_t i = 0; i < p->count; i++)
        json_object_put(p->records[i].value);
    free(p->records);
    free(p);
    return NULL;
}

static int number(json_object *o, const char *key, double *ret, struct error *e)
{
    json_object *v;

    if (!json_object_object_get_ex(o, key, &v))
        return 0;
    if (!json_object_is_type(v, json_type_double) && !json_object_is_type(v, json_type_int))
        return error_set(e, -EINVAL, "\"%s\" is not a number", key);
    *ret = json_object_get_double(v);
    return 1;
}

static int string(json_object *o, const char *key, const char **ret, struct error *e)
{
    json_object *v;

    if (!json_object_object_get_ex(o, key, &v))
        return 0;
    if (!json_object_is_type(v, json_type_string))
        return error_set(e, -EINVAL, "\"%s\" is not a string", key);
    *ret = json_object_get_string(v);
    return 1;
}

static int read_base(json_object *o, struct base *b, struct error *e)
{
    json_object *version;
    int r = string(o, "bn", &b->name, e);

    if (r >= 0)
        r = string(o, "bu", &b->unit, e);
    if (r >= 0)
        r = number(o, "bt", &b->time, e);
    if (r >= 0)
        r = number(o, "bv", &b->value, e);
    if (r >= 0 && json_object_object_get_ex(o, "bver", &version) && json_object_get_int(version) != 10)
        return error_set(e, -EINVAL, "\"bver\" is not 10");
    return r;
}

/* RFC 8428 section 4.4: a field whose label ends with '_' must be understood. */
static int check_labels(json_object *o, struct error *e)
{
    json_object_object_foreach (o, key, value) {
        size_t n = strlen(key);

        (void)value;
        if (n > 0 && key[n - 1] == '_')
            return error_set(e, -EINVAL, "field \"%s\" must be understood, and is not", key);
    }
    return 0;
}

/* RFC 8428 section 4.5.1, except for the first character: the probe's name is one that no point can have. */
static bool name_valid(const char *name)
{
    size_t n = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-:./_");

    return n > 0 && n <= SENML_NAME_MAX && !name[n];
}

static int split_name(struct senml_pack *p, struct senml_record *record, const struct base *b, const char *own,
                      struct error *e)
{
    char full[FULL_NAME_MAX + 1];
    char *colon, *name = full;
    int n = snprintf(full, sizeof(full), "%s%s", b->name, own);

    if (n <= 0 || n > FULL_NAME_MAX)
        return error_set(e, -EINVAL, "the name has %d characters, expected 1 to %d", n, FULL_NAME_MAX);
    colon = strchr(full, ':');
    if (colon) {
        *colon = 0;
        name = colon + 1;
        if (!id_valid(full))
            return error_set(e, -EINVAL, "device '%s': expected %s", full, ID_RULE);
    } else
        full[0] = 0;
    if (!name_valid(name))
        return error_set(e, -EINVAL, "name '%s': expected 1 to %d characters of A-Z a-z 0-9 - : . / _", name,
                         SENML_NAME_MAX);
    if (record != p->records && strcmp(p->device, full) != 0)
        return error_set(e, -EINVAL, "records of two devices, '%s' and '%s', in one pack", p->device, full);
    snprintf(p->device, sizeof(p->device), "%.*s", DEVICE_ID_MAX, full);
    snprintf(record->name, sizeof(record->name), "%.*s", SENML_NAME_MAX, name);
    return 0;
}

static int read_value(json_object *o, struct senml_record *record, const struct base *b, struct error *e)
{
    static const struct {
        const char *key;
        json_type types[2];
    } fields[] = {
        {"v", {json_type_double, json_type_int}},
        {"vs", {json_type_string, json_type_string}},
        {"vb", {json_type_boolean, json_type_boolean}},
        {"vd", {json_type_string, json_type_string}},
    };
    json_object *v, *found = NULL;

    for (size_t i = 0; i < ELEMENTSOF(fields); i++) {
        if (!json_object_object_get_ex(o, fields[i].key, &v))
            continue;
        if (found)
            return error_set(e, -EINVAL, "two values in one record");
        if (!json_object_is_type(v, fields[i].types[0]) && !json_object_is_type(v, fields[i].types[1]))
            return error_set(e, -EINVAL, "\"%s\" is of the wrong type", fields[i].key);
        found = v;
    }
    if (!found)
        return error_set(e, -EINVAL, "no value");
    if (b->value != 0 && json_object_object_get_ex(o, "v", &v))
        record->value = json_object_new_double(b->value + json_object_get_double(v));
    else
        record->value = json_object_get(found);
    return 0;
}

static int read_record(json_object *o, uint64_t now, struct base *b, struct senml_pack *p, struct error *e)
{
    struct senml_record *record = &p->records[p->count];
    const char *name = "", *unit;
    double time = 0;
    int r;

    if (!json_object_is_type(o, json_type_object))
        return error_set(e, -EINVAL, "not an object");
    r = check_labels(o, e);
    if (r >= 0)
        r = read_base(o, b, e);
    unit = b->unit;
    if (r >= 0)
        r = string(o, "n", &name, e);
    if (r >= 0)
        r = string(o, "u", &unit, e);
    if (r >= 0)
        r = number(o, "t", &time, e);
    if (r >= 0)
        r = split_name(p, record, b, name, e);
    if (r < 0)
        return r;
    if (strlen(unit) > UNIT_MAX)
        return error_set(e, -EINVAL, "the unit has over %d characters", UNIT_MAX);
    time += b->time;
    if (!isfinite(time))
        return error_set(e, -EINVAL, "the time is not finite");
    record->time = time < RELATIVE_TIME_BELOW ? (double)now / USEC_PER_SEC + time : time;
    snprintf(record->unit, sizeof(record->unit), "%s", unit);
    r = read_value(o, record, b, e);
    if (r >= 0)
        p->count++;
    return r;
}

int senml_read(const char *text, size_t n, uint64_t now, struct senml_pack **ret, struct error *e)
{
    _cleanup_(senml_pack_freep) struct senml_pack *p = NULL;
    _cleanup_json_ json_object *array = NULL;
    struct base base = {.name = "", .unit = ""};
    size_t count;
    int r = json_parse(text, n, &array, e);

    if (r < 0)
        return r;
    if (!json_object_is_type(array, json_type_array))
        return error_set(e, -EINVAL, "a SenML pack is a JSON array");
    count = json_object_array_length(array);
    if (count == 0 || count > SENML_RECORDS_MAX)
        return error_set(e, -EINVAL, "a pack has 1 to %d records, not %zu", SENML_RECORDS_MAX, count);
    p = calloc(1, sizeof(*p));
    if (!p || !(p->records = calloc(count, sizeof(*p->records))))
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        r = read_record(json_object_array_get_idx(array, i), now, &base, p, e);
        if (r < 0)
            return error_prefix(e, r, "record %zu", i);
    }
    p->probe = count == 1 && strcmp(p->records[0].name, PROBE_NAME) == 0;
    *ret = TAKE_PTR(p);
    return 0;
}
