/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config-reader.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    uint64_t duration;
} units[] = {{"d", DAY}, {"h", HOUR}, {"min", MINUTE}, {"s", SEC}, {"ms", MSEC}};

int duration_parse(const char *text, uint64_t *ret)
{
    size_t digits = strspn(text, "0123456789");

    if (digits == 0 || digits > 9)
        return -EINVAL;
    uint64_t number = strtoull(text, NULL, 10);
    if (number == 0 && text[digits] == '\0') {
        *ret = 0;
        return 0;
    }
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strcmp(text + digits, units[i].name) == 0) {
            *ret = number * units[i].duration;
            return 0;
        }
    return -EINVAL;
}

void duration_format(uint64_t duration, char *text, size_t size)
{
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (duration != 0 && duration % units[i].duration == 0) {
            (void)snprintf(text, size, "%llu%s", (unsigned long long)(duration / units[i].duration), units[i].name);
            return;
        }
    (void)snprintf(text, size, "%lluus", (unsigned long long)duration);
}

/* RFC 6901: '~' and '/' in a key are written ~0 and ~1. */
static void pointer_append(char *pointer, size_t size, const char *key)
{
    size_t n = strlen(pointer);

    if (n + 1 < size)
        pointer[n++] = '/';
    for (; *key && n + 2 < size; key++) {
        if (*key == '~' || *key == '/') {
            pointer[n++] = '~';
            pointer[n++] = *key == '~' ? '0' : '1';
        } else {
            pointer[n++] = *key;
        }
    }
    pointer[n] = '\0';
}

void reader_complain(struct reader *r, const char *key, const char *format, ...)
{
    char pointer[256], message[512];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    (void)snprintf(pointer, sizeof pointer, "%s", r->pointer);
    if (key)
        pointer_append(pointer, sizeof pointer, key);
    r->failed = true;
    r->complain(r->context, pointer, message);
}

bool reader_open(struct reader *r, const char *text, gatehouse_complain complain, void *context, const char *pointer)
{
    enum json_tokener_error error = json_tokener_success;

    *r = (struct reader){.complain = complain, .context = context};
    (void)snprintf(r->pointer, sizeof r->pointer, "%s", pointer);
    r->object = json_tokener_parse_verbose(text, &error);
    if (!r->object || !json_object_is_type(r->object, json_type_object)) {
        reader_complain(r, NULL, "expected a JSON object%s%s", error == json_tokener_success ? "" : ": ",
                        error == json_tokener_success ? "" : json_tokener_error_desc(error));
        json_object_put(r->object);
        r->object = NULL;
        return false;
    }
    return true;
}

void reader_finish(struct reader *r)
{
    json_object_object_foreach (r->object, key, value) {
        bool known = false;
        (void)value;
        for (size_t i = 0; i < r->n_known && !known; i++)
            known = strcmp(r->known[i], key) == 0;
        if (!known)
            reader_complain(r, key, "unknown key");
    }
}

json_object *reader_get(struct reader *r, const char *key)
{
    json_object *value = NULL;

    if (r->n_known < READER_KEYS_MAX)
        r->known[r->n_known++] = key;
    if (json_object_object_get_ex(r->object, key, &value) && !value)
        reader_complain(r, key, "may not be null");
    return value;
}

const char *reader_string(struct reader *r, const char *key)
{
    json_object *value = reader_get(r, key);

    if (!value)
        return NULL;
    if (!json_object_is_type(value, json_type_string)) {
        reader_complain(r, key, "expected a string");
        return NULL;
    }
    if (strlen(json_object_get_string(value)) != (size_t)json_object_get_string_len(value)) {
        reader_complain(r, key, "may not contain a NUL character");
        return NULL;
    }
    return json_object_get_string(value);
}

void reader_uint(struct reader *r, const char *key, unsigned min, unsigned max, unsigned *value)
{
    json_object *o = reader_get(r, key);

    if (!o)
        return;
    int64_t number = json_object_get_int64(o);
    if (!json_object_is_type(o, json_type_int) || number < (int64_t)min || number > (int64_t)max)
        reader_complain(r, key, "expected a whole number from %u to %u", min, max);
    else
        *value = (unsigned)number;
}

void reader_double(struct reader *r, const char *key, double *value)
{
    json_object *o = reader_get(r, key);

    if (!o)
        return;
    if ((!json_object_is_type(o, json_type_double) && !json_object_is_type(o, json_type_int)) ||
        !isfinite(json_object_get_double(o)))
        reader_complain(r, key, "expected a number");
    else
        *value = json_object_get_double(o);
}

void reader_bool(struct reader *r, const char *key, bool *value)
{
    json_object *o = reader_get(r, key);

    if (!o)
        return;
    if (!json_object_is_type(o, json_type_boolean))
        reader_complain(r, key, "expected true or false");
    else
        *value = json_object_get_boolean(o);
}

void reader_duration(struct reader *r, const char *key, uint64_t min, uint64_t max, uint64_t *value)
{
    char low[32] = "0", high[32];
    uint64_t duration;
    json_object *o = reader_get(r, key);

    if (!o)
        return;
    if (json_object_is_type(o, json_type_string) && duration_parse(json_object_get_string(o), &duration) == 0 &&
        duration >= min && duration <= max) {
        *value = duration;
        return;
    }
    if (min > 0)
        duration_format(min, low, sizeof low);
    duration_format(max, high, sizeof high);
    reader_complain(r, key, "expected a duration from \"%s\" to \"%s\", written like 100ms, 1s, 5min, 24h", low, high);
}

void reader_choice(struct reader *r, const char *key, const char *const *names, unsigned n, unsigned *value)
{
    const char *name = reader_string(r, key);
    char expected[128] = "";

    if (!name)
        return;
    for (unsigned i = 0; i < n; i++) {
        size_t used = strlen(expected);
        if (strcmp(names[i], name) == 0) {
            *value = i;
            return;
        }
        (void)snprintf(expected + used, sizeof expected - used, "%s%s",
                       i == 0      ? ""
                       : i + 1 < n ? ", "
                                   : " or ",
                       names[i]);
    }
    reader_complain(r, key, "\"%s\" is unknown; expected %s", name, expected);
}
