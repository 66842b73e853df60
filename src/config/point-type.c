/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config/point-type.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "base/limits.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define HALF_MAX 65504.0

/* The range of each type. */
static const struct {
    const char *name;
    enum point_kind kind;
    double min, max;
    bool whole;
} types[] = {
    {"bit", POINT_BOOLEAN, 0, 1, true},
    {"bool", POINT_BOOLEAN, 0, 1, true},
    {"boolean", POINT_BOOLEAN, 0, 1, true},
    {"int8", POINT_NUMBER, INT8_MIN, INT8_MAX, true},
    {"int8h", POINT_NUMBER, INT8_MIN, INT8_MAX, true},
    {"int8l", POINT_NUMBER, INT8_MIN, INT8_MAX, true},
    {"uint8", POINT_NUMBER, 0, UINT8_MAX, true},
    {"uint8h", POINT_NUMBER, 0, UINT8_MAX, true},
    {"uint8l", POINT_NUMBER, 0, UINT8_MAX, true},
    {"int16", POINT_NUMBER, INT16_MIN, INT16_MAX, true},
    {"uint16", POINT_NUMBER, 0, UINT16_MAX, true},
    {"sm16", POINT_NUMBER, -INT16_MAX, INT16_MAX, true},
    {"bcd16", POINT_NUMBER, 0, 9999, true},
    {"int24", POINT_NUMBER, -8388608, 8388607, true},
    {"uint24", POINT_NUMBER, 0, 16777215, true},
    {"int32", POINT_NUMBER, INT32_MIN, INT32_MAX, true},
    {"uint32", POINT_NUMBER, 0, UINT32_MAX, true},
    {"sm32", POINT_NUMBER, -INT32_MAX, INT32_MAX, true},
    {"bcd32", POINT_NUMBER, 0, 99999999, true},
    {"mod10k32", POINT_NUMBER, 0, 99999999, true},
    {"int48", POINT_NUMBER, -140737488355328.0, 140737488355327.0, true},
    {"uint48", POINT_NUMBER, 0, 281474976710655.0, true},
    {"mod10k48", POINT_NUMBER, 0, 999999999999.0, true},
    {"int64", POINT_NUMBER, (double)INT64_MIN, (double)INT64_MAX, true},
    {"uint64", POINT_NUMBER, 0, (double)UINT64_MAX, true},
    {"bcd64", POINT_NUMBER, 0, 9999999999999999.0, true},
    {"mod10k64", POINT_NUMBER, 0, 9999999999999999.0, true},
    {"float16", POINT_NUMBER, -HALF_MAX, HALF_MAX, false},
    {"float32", POINT_NUMBER, -(double)FLT_MAX, (double)FLT_MAX, false},
    {"float64", POINT_NUMBER, -DBL_MAX, DBL_MAX, false},
    {"string", POINT_TEXT, -INFINITY, INFINITY, false},
    {"text", POINT_TEXT, -INFINITY, INFINITY, false},
};

static double number(json_object *point, const char *key, double otherwise)
{
    json_object *o;

    return json_object_object_get_ex(point, key, &o) &&
                   (json_object_is_type(o, json_type_int) || json_object_is_type(o, json_type_double))
               ? json_object_get_double(o)
               : otherwise;
}

/* A table of single bits: by its name, or by the first digit of an address such as "00017". */
static bool of_bits(json_object *point)
{
    const char *table = json_get_string(point, "table"), *address = json_get_string(point, "address");

    if (table)
        return strcmp(table, "coil") == 0 || strcmp(table, "discrete") == 0;
    return address && (address[0] == '0' || address[0] == '1') && strlen(address) >= 5 &&
           strspn(address, "0123456789") == strlen(address);
}

struct point_type point_type_of(json_object *point)
{
    struct point_type ret = {.kind = POINT_UNKNOWN, .min = -INFINITY, .max = INFINITY};
    const char *name = json_get_string(point, "type") ?: (of_bits(point) ? "bit" : NULL);
    double scale = number(point, "scale", 1), offset = number(point, "offset", 0), a, b;

    for (size_t i = 0; name && i < ELEMENTSOF(types); i++) {
        if (strcmp(types[i].name, name) != 0)
            continue;
        ret.kind = types[i].kind;
        if (ret.kind != POINT_NUMBER)
            return ret;
        /* A register that holds the exponent may come to anything. */
        if (json_object_object_get_ex(point, "scale_register", NULL))
            return ret;
        a = types[i].min * scale + offset;
        b = types[i].max * scale + offset;
        if (!isfinite(a) || !isfinite(b))
            return ret;
        ret.min = MIN_OF(a, b);
        ret.max = MAX_OF(a, b);
        ret.step = types[i].whole ? fabs(scale) : 0;
        return ret;
    }
    return ret;
}
