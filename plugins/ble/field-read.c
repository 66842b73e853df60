/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "field-read.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
#define ELEMENTSOF(array) (sizeof(array) / sizeof(array)[0])
#define DECIMALS_MAX 9

static const struct {
    const char *name;
    enum field_kind kind;
    unsigned size;
} types[] = {
    {"uint8", FIELD_UNSIGNED, 1},
    {"uint16", FIELD_UNSIGNED, 2},
    {"uint24", FIELD_UNSIGNED, 3},
    {"uint32", FIELD_UNSIGNED, 4},
    {"uint40", FIELD_UNSIGNED, 5},
    {"uint48", FIELD_UNSIGNED, 6},
    {"uint64", FIELD_UNSIGNED, 8},
    {"int8", FIELD_SIGNED, 1},
    {"int16", FIELD_SIGNED, 2},
    {"int24", FIELD_SIGNED, 3},
    {"int32", FIELD_SIGNED, 4},
    {"int48", FIELD_SIGNED, 6},
    {"int64", FIELD_SIGNED, 8},
    {"sm8", FIELD_SIGN_MAGNITUDE, 1},
    {"sm16", FIELD_SIGN_MAGNITUDE, 2},
    {"sm24", FIELD_SIGN_MAGNITUDE, 3},
    {"float32", FIELD_FLOAT, 4},
    {"float64", FIELD_FLOAT, 8},
    {"medfloat16", FIELD_MEDICAL, 2},
    {"medfloat32", FIELD_MEDICAL, 4},
    {"bool", FIELD_BOOL, 1},
    {"text", FIELD_TEXT, 0},
    {"hex", FIELD_HEX, 0},
    {"version", FIELD_VERSION, 0},
};

static bool is_whole(enum field_kind kind)
{
    return kind <= FIELD_SIGN_MAGNITUDE || kind == FIELD_BOOL;
}

static bool is_text(enum field_kind kind)
{
    return kind >= FIELD_TEXT;
}

/* --- places --- */

static bool read_type(struct reading *r, json_object *o, struct field_place *place)
{
    const char *name;

    if (!reading_text(r, o, "type", &name))
        return r->failed ? false : reading_complain(r, "type", "missing");
    for (size_t i = 0; i < ELEMENTSOF(types); i++)
        if (strcmp(types[i].name, name) == 0) {
            place->kind = types[i].kind;
            place->size = types[i].size;
            return true;
        }
    return reading_complain(r, "type",
                            "\"%.32s\" is unknown; expected uint8 to uint64, int8 to int64, sm8 to sm24, float32, "
                            "float64, medfloat16, medfloat32, bool, text, hex or version",
                            name);
}

bool field_order_read(struct reading *r, json_object *o, const char *key, bool *ret_big)
{
    const char *order = "little";

    if (!reading_text(r, o, key, &order) && json_object_object_get_ex(o, key, NULL))
        return false;
    if (strcmp(order, "little") != 0 && strcmp(order, "big") != 0)
        return reading_complain(r, key, "expected \"little\" or \"big\"");
    *ret_big = order[0] == 'b';
    return true;
}

/* "bits": [LOWEST, COUNT] */
static bool read_bits(struct reading *r, json_object *o, struct field_place *place)
{
    json_object *list;
    int64_t low = 0, count = 0;

    if (!json_object_object_get_ex(o, "bits", NULL))
        return true;
    if (!reading_get(r, o, "bits", json_type_array, &list))
        return false;
    if (json_object_array_length(list) != 2 || !reading_raw(json_object_array_get_idx(list, 0), &low) ||
        !reading_raw(json_object_array_get_idx(list, 1), &count))
        return reading_complain(r, "bits", "expected two whole numbers: the lowest bit, and how many");
    if (!is_whole(place->kind))
        return reading_complain(r, "bits", "only whole numbers have bits");
    if (low < 0 || count < 1 || low + count > 8 * (int64_t)place->size)
        return reading_complain(r, "bits", "there are bits 0 to %u", 8 * place->size - 1);
    place->bit = (unsigned)low;
    place->bits = (unsigned)count;
    return true;
}

static bool read_place(struct reading *r, json_object *o, struct field_place *ret)
{
    struct field_place place = {.at = 0};
    int64_t at = 0, length = 0;

    if (!read_type(r, o, &place) || !field_order_read(r, o, "order", &place.big) || !read_bits(r, o, &place))
        return false;
    if (!reading_whole(r, o, "at", -CHARACTERISTIC_BYTES_MAX, CHARACTERISTIC_BYTES_MAX, &at) && r->failed)
        return false;
    if (reading_whole(r, o, "length", 1, CHARACTERISTIC_BYTES_MAX, &length) && !is_text(place.kind))
        return reading_complain(r, "length", "only text, hex and version have a length");
    place.at = (int)at;
    place.size = length ? (unsigned)length : place.size;
    *ret = place;
    return true;
}

/* --- lists of raw values --- */

/* "0x8000" of an int16 is its bit pattern. */
static int64_t as_read(const struct field_place *p, int64_t value)
{
    unsigned bits = p->bits ? p->bits : 8 * p->size;

    if (p->kind != FIELD_SIGNED || bits >= 64 || value < INT64_C(1) << (bits - 1) || value >= INT64_C(1) << bits)
        return value;
    return value - (INT64_C(1) << bits);
}

/* One raw value or a list of them. */
static bool read_raws(struct reading *r, json_object *o, const char *key, const struct field_place *place,
                      int64_t *values, size_t max, size_t *ret_n)
{
    json_object *value = NULL;
    size_t n = 0;

    if (!json_object_object_get_ex(o, key, &value))
        return true;
    if (reading_raw(value, &values[0])) {
        values[0] = as_read(place, values[0]);
        *ret_n = 1;
        return true;
    }
    if (json_object_is_type(value, json_type_array))
        n = json_object_array_length(value);
    bool good = n >= 1 && n <= max;
    for (size_t i = 0; i < n && good; i++)
        good = reading_raw(json_object_array_get_idx(value, i), &values[i]);
    if (!good)
        return reading_complain(r, key, "expected a whole number, \"0x...\", or a list of 1 to %zu of them", max);
    for (size_t i = 0; i < n; i++)
        values[i] = as_read(place, values[i]);
    *ret_n = n;
    return true;
}

/* --- conditions --- */

static bool read_condition(struct reading *r, json_object *o, struct field_condition *ret)
{
    static const char *const known[] = {"at", "type", "order", "bits", "equals", "min", "max"};
    struct field_condition c = {.min = INT64_MIN, .max = INT64_MAX};

    reading_known(r, o, known, ELEMENTSOF(known));
    if (r->failed || !read_place(r, o, &c.place))
        return false;
    if (!is_whole(c.place.kind))
        return reading_complain(r, "type", "a condition needs a whole number");
    if (!read_raws(r, o, "equals", &c.place, c.equals, FIELD_EQUALS_MAX, &c.n_equals))
        return false;
    bool ranged = reading_whole(r, o, "min", INT64_MIN, INT64_MAX, &c.min);
    ranged |= reading_whole(r, o, "max", INT64_MIN, INT64_MAX, &c.max);
    if (r->failed)
        return false;
    if (ranged == (c.n_equals > 0))
        return reading_complain(r, NULL, "a condition needs either \"equals\", or \"min\", \"max\" or both");
    *ret = c;
    return true;
}

bool field_conditions_read(struct reading *r, json_object *o, const char *key, struct field_condition **ret,
                           size_t *ret_n)
{
    json_object *value = NULL;
    size_t n = 1, before, inner;

    if (!json_object_object_get_ex(o, key, &value))
        return true;
    bool list = json_object_is_type(value, json_type_array);
    if (list)
        n = json_object_array_length(value);
    if ((!list && !json_object_is_type(value, json_type_object)) || n < 1 || n > FIELD_CONDITIONS_MAX)
        return reading_complain(r, key, "expected a condition, or a list of 1 to %d of them", FIELD_CONDITIONS_MAX);
    *ret = calloc(n, sizeof **ret);
    if (!*ret)
        return reading_complain(r, key, "out of memory");
    *ret_n = n;
    before = reading_enter(r, key);
    for (size_t i = 0; i < n; i++) {
        json_object *one = list ? json_object_array_get_idx(value, i) : value;
        inner = list ? reading_enter_index(r, i) : strlen(r->pointer);
        if (!json_object_is_type(one, json_type_object))
            reading_complain(r, NULL, "expected an object");
        else
            (void)read_condition(r, one, &(*ret)[i]);
        reading_leave(r, inner);
    }
    reading_leave(r, before);
    return !r->failed;
}

/* --- values --- */

/* How many decimals a factor has: 0.005 has 3; -1 if it is no short decimal fraction. */
static int decimals_of(double factor)
{
    double power = 1;

    for (int decimals = 0; decimals <= DECIMALS_MAX; decimals++, power *= 10)
        if (fabs(factor * power - round(factor * power)) < 1e-9 * fabs(factor * power))
            return decimals;
    return factor == 0 ? 0 : -1;
}

static int more_decimals(int a, int b)
{
    return a < 0 || b < 0 ? -1 : a > b ? a : b;
}

static bool is_number(json_object *o)
{
    return json_object_is_type(o, json_type_int) || json_object_is_type(o, json_type_double);
}

/* "scale": a number, or [NUMERATOR, DENOMINATOR] */
static bool read_scale(struct reading *r, json_object *o, struct field *f)
{
    json_object *value = NULL, *over, *under = NULL;
    bool list;

    if (!json_object_object_get_ex(o, "scale", &value))
        return true;
    list = json_object_is_type(value, json_type_array);
    over = list ? json_object_array_get_idx(value, 0) : value;
    if (list && json_object_array_length(value) == 2)
        under = json_object_array_get_idx(value, 1);
    f->scaled = true;
    f->scale = is_number(over) ? json_object_get_double(over) : 0;
    f->scale_by = !list ? 1 : is_number(under) ? json_object_get_double(under) : 0;
    if (!isfinite(f->scale) || f->scale == 0 || !isfinite(f->scale_by) || f->scale_by == 0)
        return reading_complain(r, "scale", "expected a number or [numerator, denominator], none of them 0");
    return true;
}

static bool read_plus(struct reading *r, json_object *o, struct field *f)
{
    static const char *const known[] = {"at", "type", "order", "bits", "scale"};
    json_object *plus;

    if (!reading_get(r, o, "plus", json_type_object, &plus))
        return !r->failed;
    f->has_plus = f->scaled = true;
    f->plus_scale = 1;
    size_t before = reading_enter(r, "plus");
    reading_known(r, plus, known, ELEMENTSOF(known));
    if (read_place(r, plus, &f->plus) && !is_whole(f->plus.kind))
        reading_complain(r, "type", "expected a whole number");
    (void)reading_number(r, plus, "scale", &f->plus_scale);
    reading_leave(r, before);
    return !r->failed;
}

static bool read_arithmetic(struct reading *r, json_object *o, struct field *f)
{
    int64_t decimals = -1, divide = 0, modulo = 0;

    f->scale = f->scale_by = 1;
    if (!read_scale(r, o, f) || !read_plus(r, o, f))
        return false;
    f->scaled |= reading_number(r, o, "offset", &f->offset);
    if (reading_number(r, o, "power", &f->power)) {
        f->scaled = true;
        if (f->power <= 0)
            return reading_complain(r, "power", "expected a number above 0");
    }
    (void)reading_whole(r, o, "divide", 1, 1000000000, &divide);
    (void)reading_whole(r, o, "modulo", 2, 1000000000, &modulo);
    f->divide = (unsigned)divide;
    f->modulo = (unsigned)modulo;
    f->decimals = f->scale_by == 1 && f->power == 0 ? more_decimals(decimals_of(f->scale), decimals_of(f->offset)) : -1;
    if (f->has_plus)
        f->decimals = more_decimals(f->decimals, decimals_of(f->plus_scale));
    if (f->place.kind == FIELD_FLOAT || f->place.kind == FIELD_MEDICAL)
        f->decimals = -1;
    if (reading_whole(r, o, "decimals", 0, DECIMALS_MAX, &decimals)) {
        f->decimals = (int)decimals;
        f->scaled = true;
    }
    f->min = -HUGE_VAL;
    f->max = HUGE_VAL;
    f->ranged = reading_number(r, o, "min", &f->min);
    f->ranged |= reading_number(r, o, "max", &f->max);
    if (f->min > f->max)
        return reading_complain(r, "min", "is above \"max\"");
    return !r->failed;
}

/* "values": {"1": "press"} */
static bool read_choices(struct reading *r, json_object *o, struct field *f)
{
    json_object *values;

    if (!reading_get(r, o, "values", json_type_object, &values))
        return !r->failed;
    size_t n = (size_t)json_object_object_length(values), i = 0;
    if (n < 1 || n > FIELD_CHOICES_MAX)
        return reading_complain(r, "values", "expected 1 to %d names", FIELD_CHOICES_MAX);
    f->choices = calloc(n, sizeof *f->choices);
    if (!f->choices)
        return reading_complain(r, "values", "out of memory");
    f->n_choices = n;
    size_t before = reading_enter(r, "values");
    json_object_object_foreach (values, key, name) {
        if (!reading_key(key, &f->choices[i].raw))
            reading_complain(r, key, "expected a whole number or \"0x...\" as the key");
        else if (!json_object_is_type(name, json_type_string) || json_object_get_string_len(name) < 1 ||
                 json_object_get_string_len(name) > FIELD_TEXT_MAX)
            reading_complain(r, key, "expected a name of 1 to %d bytes", FIELD_TEXT_MAX);
        else if (!(f->choices[i].name = strdup(json_object_get_string(name))))
            reading_complain(r, key, "out of memory");
        f->choices[i].raw = as_read(&f->place, f->choices[i].raw);
        i++;
    }
    reading_leave(r, before);
    return !r->failed;
}

static bool read_names(struct reading *r, json_object *o, struct field *f)
{
    const char *name = NULL, *unit = "";

    if (!reading_text(r, o, "name", &name))
        return r->failed ? false : reading_complain(r, "name", "missing");
    if (strlen(name) < 1 || strlen(name) > FIELD_NAME_MAX || !strchr(LETTERS, name[0]) ||
        strspn(name, LETTERS "._-") != strlen(name))
        return reading_complain(r, "name", "expected letters, digits, '.', '_', '-', at most %d", FIELD_NAME_MAX);
    if (reading_text(r, o, "unit", &unit) && (strlen(unit) < 1 || strlen(unit) > FIELD_UNIT_MAX))
        return reading_complain(r, "unit", "expected 1 to %d bytes", FIELD_UNIT_MAX);
    (void)snprintf(f->name, sizeof f->name, "%s", name);
    (void)snprintf(f->unit, sizeof f->unit, "%s", unit);
    return !r->failed;
}

/* Refuses keys that make no sense together. */
static bool check_combination(struct reading *r, json_object *o, const struct field *f)
{
    static const char *const numeric[] = {"scale", "offset", "decimals", "divide", "modulo",
                                          "power", "plus",   "min",      "max",    "negative"};

    if (is_text(f->place.kind) && json_object_object_get_ex(o, "invalid", NULL))
        return reading_complain(r, "invalid", "a text has no raw values");
    if (f->choices && !is_whole(f->place.kind))
        return reading_complain(r, "values", "only whole numbers have names");
    for (size_t i = 0; i < ELEMENTSOF(numeric); i++)
        if ((is_text(f->place.kind) || f->place.kind == FIELD_BOOL) && json_object_object_get_ex(o, numeric[i], NULL))
            return reading_complain(r, numeric[i], "only numbers have this");
    if ((f->divide || f->modulo || f->has_plus || f->power > 0) && !is_whole(f->place.kind))
        return reading_complain(r, NULL, "divide, modulo, plus and power need a whole number");
    if (f->sequence && !is_whole(f->place.kind))
        return reading_complain(r, "type", "a sequence number is a whole number");
    return true;
}

bool field_read(struct reading *r, json_object *o, struct field *ret)
{
    static const char *const known[] = {"name",   "unit",  "at",      "type",     "order",  "bits",
                                        "length", "scale", "offset",  "decimals", "divide", "modulo",
                                        "power",  "plus",  "invalid", "min",      "max",    "negative",
                                        "values", "when",  "event",   "sequence", "comment"};
    bool before = r->failed;

    *ret = (struct field){.decimals = -1};
    r->failed = false;
    reading_known(r, o, known, ELEMENTSOF(known));
    (void)reading_bool(r, o, "sequence", &ret->sequence);
    (void)reading_bool(r, o, "event", &ret->event);
    bool good = !r->failed && (ret->sequence || read_names(r, o, ret)) && read_place(r, o, &ret->place) &&
                read_arithmetic(r, o, ret) &&
                read_raws(r, o, "invalid", &ret->place, ret->invalid, FIELD_INVALID_MAX, &ret->n_invalid) &&
                read_choices(r, o, ret) && field_conditions_read(r, o, "when", &ret->when, &ret->n_when) &&
                field_conditions_read(r, o, "negative", &ret->negative, &ret->n_negative) &&
                check_combination(r, o, ret);
    r->failed |= before;
    return good;
}
