/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "reading.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t reading_enter(struct reading *r, const char *key)
{
    size_t before = strlen(r->pointer), n = before;

    if (n + 1 < sizeof r->pointer)
        r->pointer[n++] = '/';
    for (; *key && n + 2 < sizeof r->pointer; key++) {
        if (*key == '~' || *key == '/') {
            r->pointer[n++] = '~';
            r->pointer[n++] = *key == '~' ? '0' : '1';
        } else {
            r->pointer[n++] = *key;
        }
    }
    r->pointer[n] = '\0';
    return before;
}

size_t reading_enter_index(struct reading *r, size_t index)
{
    char key[24];

    (void)snprintf(key, sizeof key, "%zu", index);
    return reading_enter(r, key);
}

void reading_leave(struct reading *r, size_t before)
{
    r->pointer[before] = '\0';
}

bool reading_complain(struct reading *r, const char *key, const char *format, ...)
{
    size_t before = key ? reading_enter(r, key) : strlen(r->pointer);
    char message[512];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    r->failed = true;
    r->complain(r->context, r->path, r->pointer, message);
    reading_leave(r, before);
    return false;
}

void reading_known(struct reading *r, json_object *o, const char *const *names, size_t n)
{
    json_object_object_foreach (o, key, value) {
        bool known = false;
        for (size_t i = 0; i < n && !known; i++)
            known = strcmp(names[i], key) == 0;
        if (!known)
            reading_complain(r, key, "unknown key");
        else if (strcmp(key, "comment") == 0 && !json_object_is_type(value, json_type_string))
            reading_complain(r, key, "expected a string");
    }
}

static const char *article(json_type type)
{
    switch (type) {
    case json_type_object:
        return "an object";
    case json_type_array:
        return "a list";
    case json_type_string:
        return "a string";
    case json_type_boolean:
        return "true or false";
    case json_type_int:
    case json_type_double:
        return "a number";
    case json_type_null:
        break;
    }
    return "a value";
}

bool reading_get(struct reading *r, json_object *o, const char *key, json_type type, json_object **ret)
{
    json_object *value = NULL;

    if (!json_object_object_get_ex(o, key, &value))
        return false;
    if (!json_object_is_type(value, type))
        return reading_complain(r, key, "expected %s", article(type));
    *ret = value;
    return true;
}

bool reading_text(struct reading *r, json_object *o, const char *key, const char **ret)
{
    json_object *value = NULL;

    if (!reading_get(r, o, key, json_type_string, &value))
        return false;
    if (strlen(json_object_get_string(value)) != (size_t)json_object_get_string_len(value))
        return reading_complain(r, key, "may not contain a NUL character");
    *ret = json_object_get_string(value);
    return true;
}

bool reading_bool(struct reading *r, json_object *o, const char *key, bool *ret)
{
    json_object *value = NULL;

    if (!reading_get(r, o, key, json_type_boolean, &value))
        return false;
    *ret = json_object_get_boolean(value);
    return true;
}

bool reading_number(struct reading *r, json_object *o, const char *key, double *ret)
{
    json_object *value = NULL;

    if (!json_object_object_get_ex(o, key, &value))
        return false;
    if ((!json_object_is_type(value, json_type_double) && !json_object_is_type(value, json_type_int)) ||
        !isfinite(json_object_get_double(value)))
        return reading_complain(r, key, "expected a number");
    *ret = json_object_get_double(value);
    return true;
}

bool reading_whole(struct reading *r, json_object *o, const char *key, int64_t min, int64_t max, int64_t *ret)
{
    json_object *value = NULL;

    if (!json_object_object_get_ex(o, key, &value))
        return false;
    int64_t number = json_object_get_int64(value);
    if (!json_object_is_type(value, json_type_int) || number < min || number > max)
        return reading_complain(r, key, "expected a whole number from %" PRId64 " to %" PRId64, min, max);
    *ret = number;
    return true;
}

bool reading_key(const char *key, int64_t *ret)
{
    bool hex = key[0] == '0' && (key[1] == 'x' || key[1] == 'X'), negative = key[0] == '-';
    const char *digits = hex ? key + 2 : negative ? key + 1 : key;
    size_t n = strspn(digits, hex ? "0123456789abcdefABCDEF" : "0123456789");

    if (n == 0 || digits[n] || n > (hex ? 16 : 18))
        return false;
    *ret = hex ? (int64_t)strtoull(digits, NULL, 16) : strtoll(key, NULL, 10);
    return true;
}

bool reading_raw(json_object *o, int64_t *ret)
{
    if (json_object_is_type(o, json_type_int)) {
        *ret = json_object_get_int64(o);
        return true;
    }
    if (!json_object_is_type(o, json_type_string))
        return false;
    const char *text = json_object_get_string(o);
    return strlen(text) == (size_t)json_object_get_string_len(o) && text[0] == '0' && reading_key(text, ret);
}
