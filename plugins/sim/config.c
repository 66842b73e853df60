/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where the parsing is, and whether it went wrong. */
struct parse {
    const char *base; /* JSON pointer of the object */
    gatehouse_complain complain;
    void *context;
    bool failed;
};

static void wrong(struct parse *p, const char *key, const char *message)
{
    char pointer[256];

    p->failed = true;
    snprintf(pointer, sizeof(pointer), "%s/%s", p->base, key);
    if (p->complain)
        p->complain(p->context, pointer, message);
}

int sim_duration_parse(const char *text, uint64_t *ret)
{
    static const struct {
        const char *unit;
        uint64_t microseconds;
    } units[] = {{"us", 1}, {"ms", 1000}, {"s", 1000000}, {"min", 60000000}, {"h", 3600000000}, {"d", 86400000000}};
    char *end;
    uint64_t n;

    if (text[0] < '0' || text[0] > '9')
        return -EINVAL;
    errno = 0;
    n = strtoumax(text, &end, 10);
    if (errno != 0 || n == 0)
        return -EINVAL;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (strcmp(end, units[i].unit) == 0 && n <= UINT64_MAX / units[i].microseconds) {
            *ret = n * units[i].microseconds;
            return 0;
        }
    return -EINVAL;
}

static void take_duration(struct parse *p, const char *key, json_object *value, uint64_t *ret)
{
    if (!json_object_is_type(value, json_type_string) || sim_duration_parse(json_object_get_string(value), ret) < 0)
        wrong(p, key, "expected a duration like \"100ms\", \"1s\" or \"5min\"");
}

static void take_number(struct parse *p, const char *key, json_object *value, double *ret)
{
    if (!json_object_is_type(value, json_type_double) && !json_object_is_type(value, json_type_int))
        wrong(p, key, "expected a number");
    else
        *ret = json_object_get_double(value);
}

static void take_choice(struct parse *p, const char *key, json_object *value, const char *const *names, size_t n,
                        unsigned *ret)
{
    char message[128] = "expected one of";
    const char *text = json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";

    for (unsigned i = 0; i < n; i++) {
        size_t used = strlen(message);

        if (strcmp(names[i], text) == 0) {
            *ret = i;
            return;
        }
        snprintf(message + used, sizeof(message) - used, " %s", names[i]);
    }
    wrong(p, key, message);
}

static void take_constant(struct parse *p, json_object *value, struct sim_point *point)
{
    switch (json_object_get_type(value)) {
    case json_type_boolean:
        point->value = (struct gatehouse_value){.type = GATEHOUSE_BOOL, .b = json_object_get_boolean(value)};
        return;
    case json_type_int:
        point->value = (struct gatehouse_value){.type = GATEHOUSE_INT, .x = json_object_get_int64(value)};
        return;
    case json_type_double:
        point->value = (struct gatehouse_value){.type = GATEHOUSE_DOUBLE, .d = json_object_get_double(value)};
        return;
    case json_type_string:
        if (json_object_get_string_len(value) >= SIM_TEXT_MAX)
            break;
        snprintf(point->text, sizeof(point->text), "%s", json_object_get_string(value));
        point->value = (struct gatehouse_value){.type = GATEHOUSE_STRING, .s = point->text};
        return;
    case json_type_null:
    case json_type_object:
    case json_type_array:
        break;
    }
    wrong(p, "value", "expected true, false, a number, or a text of at most 255 bytes");
}

/* The object, or NULL: complained of. */
static json_object *parse_object(struct parse *p, const char *json)
{
    json_object *object = json_tokener_parse(json);

    if (json_object_is_type(object, json_type_object))
        return object;
    json_object_put(object);
    p->failed = true;
    if (p->complain)
        p->complain(p->context, p->base, "expected an object");
    return NULL;
}

int sim_section_parse(const char *json, struct sim_section *ret, gatehouse_complain complain, void *context)
{
    struct parse p = {.base = "/section", .complain = complain, .context = context};
    struct sim_section s = {.interval = 1000000};
    json_object *object = parse_object(&p, json);

    if (!object)
        return -EINVAL;
    json_object_object_foreach (object, key, value) {
        if (strcmp(key, "interval") == 0)
            take_duration(&p, key, value, &s.interval);
        else if (strcmp(key, "deadline") == 0)
            take_duration(&p, key, value, &s.deadline);
        else if (strcmp(key, "count") == 0 && json_object_is_type(value, json_type_int) &&
                 json_object_get_int64(value) > 0)
            s.count = json_object_get_uint64(value);
        else if (strcmp(key, "count") == 0)
            wrong(&p, key, "expected a whole number above 0");
        else if (strcmp(key, "shared") == 0 && json_object_is_type(value, json_type_boolean))
            s.shared = json_object_get_boolean(value);
        else if (strcmp(key, "shared") == 0)
            wrong(&p, key, "expected true or false");
        else
            wrong(&p, key, "unknown key; there are interval, count, shared, deadline");
    }
    json_object_put(object);
    if (p.failed)
        return -EINVAL;
    *ret = s;
    return 0;
}

static void take_point_key(struct parse *p, const char *key, json_object *value, struct sim_point *point)
{
    static const char *const signals[] = {"sine",    "square",   "saw",       "random",
                                          "counter", "constant", "key-bytes", "key-times"};
    static const char *const faults[] = {"none", "hang", "crash", "error"};
    unsigned choice = 0;

    if (strcmp(key, "signal") == 0) {
        take_choice(p, key, value, signals, sizeof(signals) / sizeof(signals[0]), &choice);
        point->signal = (enum sim_signal)choice;
    } else if (strcmp(key, "fault") == 0) {
        take_choice(p, key, value, faults, sizeof(faults) / sizeof(faults[0]), &choice);
        point->fault = (enum sim_fault)choice;
    } else if (strcmp(key, "period") == 0)
        take_duration(p, key, value, &point->period);
    else if (strcmp(key, "amplitude") == 0)
        take_number(p, key, value, &point->amplitude);
    else if (strcmp(key, "offset") == 0)
        take_number(p, key, value, &point->offset);
    else if (strcmp(key, "value") == 0)
        take_constant(p, value, point);
    else
        wrong(p, key, "unknown key; there are signal, period, amplitude, offset, value, fault");
}

int sim_point_parse(const char *name, const char *json, struct sim_point *ret, gatehouse_complain complain,
                    void *context)
{
    char base[128];
    struct parse p = {.base = base, .complain = complain, .context = context};
    json_object *object;

    snprintf(base, sizeof(base), "/points/%s", name);
    *ret = (struct sim_point){.signal = SIM_SINE, .period = 10000000, .amplitude = 1};
    ret->value = (struct gatehouse_value){.type = GATEHOUSE_DOUBLE, .d = 0};
    object = parse_object(&p, json);
    if (!object)
        return -EINVAL;
    json_object_object_foreach (object, key, value)
        take_point_key(&p, key, value, ret);
    json_object_put(object);
    return p.failed ? -EINVAL : 0;
}
