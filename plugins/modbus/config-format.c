/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config-reader.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int modbus_hex_parse(const char *text, uint64_t *ret)
{
    size_t n = strlen(text);

    if (n < 3 || n > 18 || strncmp(text, "0x", 2) != 0 || strspn(text + 2, "0123456789abcdefABCDEF") != n - 2)
        return -EINVAL;
    *ret = strtoull(text, NULL, 16);
    return 0;
}

static bool read_type(struct reader *r, struct modbus_point *p)
{
    const char *name = reader_string(r, "type");
    struct modbus_format *f = &p->format;
    bool bits = modbus_table_is_bits(p->table);

    if (!name && r->failed)
        return false;
    if (!name && !bits) {
        reader_complain(r, NULL, "no type; expected \"type\": uint16, int16, float32 and so on");
        return false;
    }
    if (name && modbus_type_from_name(name, &f->type) < 0) {
        char names[320];
        modbus_type_list(names, sizeof names);
        reader_complain(r, "type", "unknown type \"%s\"; expected %s", name, names);
        return false;
    }
    if (bits && f->type != TYPE_BIT) {
        reader_complain(r, "type", "a %s is always of type bit", modbus_table_name(p->table));
        return false;
    }
    return true;
}

/* Says that a key makes no sense for this type; true if the key is there. */
bool modbus_misplaced(struct reader *r, const char *key, const struct modbus_point *p)
{
    if (!reader_get(r, key))
        return false;
    reader_complain(r, key, "has no meaning for %s%s",
                    modbus_table_is_bits(p->table) ? "a coil or discrete input" : "type ",
                    modbus_table_is_bits(p->table) ? "" : modbus_type_name(p->format.type));
    return true;
}

static void read_text(struct reader *r, struct modbus_point *p)
{
    static const char *const packings[] = {"two", "low", "high"}, *const words[] = {"forward", "reversed"},
                             *const charsets[] = {"utf8", "latin1"};
    struct text_format *t = &p->format.text;
    unsigned packing = PACKING_TWO, reversed = 0, latin1 = 0;

    if (p->format.type != TYPE_STRING) {
        (void)modbus_misplaced(r, "length", p);
        (void)modbus_misplaced(r, "chars", p);
        (void)modbus_misplaced(r, "words", p);
        (void)modbus_misplaced(r, "charset", p);
        return;
    }
    if (!json_object_object_get_ex(r->object, "length", NULL))
        reader_complain(r, NULL, "no length; expected \"length\": the characters of the text");
    reader_choice(r, "chars", packings, 3, &packing);
    reader_choice(r, "words", words, 2, &reversed);
    reader_choice(r, "charset", charsets, 2, &latin1);
    *t = (struct text_format){
        .length = 1, .packing = (enum text_packing)packing, .words_reversed = reversed != 0, .latin1 = latin1 != 0};
    reader_uint(r, "length", 1, packing == PACKING_TWO ? STRING_BYTES_MAX : STRING_BYTES_MAX / 2, &t->length);
}

static void read_order(struct reader *r, struct modbus_point *p)
{
    struct modbus_format *f = &p->format;
    char names[96];

    f->order = modbus_order(f->type, NULL);
    if (!f->order || (f->type == TYPE_STRING && f->text.packing != PACKING_TWO)) {
        (void)modbus_misplaced(r, "order", p);
        return;
    }
    const char *order = reader_string(r, "order");
    if (order)
        f->order = modbus_order(f->type, order);
    if (!f->order) {
        modbus_order_list(f->type, names, sizeof names);
        reader_complain(r, "order", "\"%s\" is no byte order of a %s; expected one of %s%s", order,
                        modbus_type_name(f->type), names,
                        modbus_type_bits(f->type) > 32 ? ", or ABCD, DCBA, BADC, CDAB for the first four" : "");
        return;
    }
    f->text.bytes_swapped = f->type == TYPE_STRING && f->order[0] == 'B';
}

static bool is_integer(const struct modbus_format *f)
{
    return f->type != TYPE_BIT && f->type != TYPE_STRING && !modbus_type_is_float(f->type);
}

/* A number or its bits. */
static int read_bits(json_object *o, uint64_t max, uint64_t *ret)
{
    uint64_t bits = 0;

    if (json_object_is_type(o, json_type_string)) {
        if (modbus_hex_parse(json_object_get_string(o), &bits) < 0)
            return -EINVAL;
    } else if (json_object_is_type(o, json_type_int) && json_object_get_int64(o) >= 0) {
        bits = json_object_get_uint64(o);
    } else {
        return -EINVAL;
    }
    if (bits > max)
        return -ERANGE;
    *ret = bits;
    return 0;
}

static void read_mask(struct reader *r, struct modbus_point *p)
{
    struct modbus_format *f = &p->format;
    bool plain = modbus_type_kind(f->type) == KIND_UNSIGNED || modbus_type_kind(f->type) == KIND_SIGNED;
    uint64_t max = f->type == TYPE_STRING ? 0 : UINT64_MAX >> (64 - modbus_type_bits(f->type));
    json_object *o;

    if (!plain || f->type == TYPE_BIT || modbus_type_bits(f->type) < 16) {
        (void)modbus_misplaced(r, "mask", p);
        (void)modbus_misplaced(r, "shift", p);
        return;
    }
    o = reader_get(r, "mask");
    if (!o) {
        if (reader_get(r, "shift"))
            reader_complain(r, "shift", "works only with \"mask\"");
        return;
    }
    if (read_bits(o, max, &f->mask) < 0 || f->mask == 0) {
        reader_complain(r, "mask", "expected a number from 1 to %llu, or its bits like \"0x0ff0\"",
                        (unsigned long long)max);
        f->mask = 0;
        return;
    }
    f->shift = (unsigned)__builtin_ctzll(f->mask);
    reader_uint(r, "shift", 0, (unsigned)__builtin_ctzll(f->mask), &f->shift);
}

static void read_shape(struct reader *r, struct modbus_point *p)
{
    struct modbus_format *f = &p->format;

    if (f->type != TYPE_BIT || modbus_table_is_bits(p->table)) {
        (void)modbus_misplaced(r, "bit", p);
    } else {
        if (!json_object_object_get_ex(r->object, "bit", NULL))
            reader_complain(r, NULL, "no bit; expected \"bit\": 0 (the least significant) to 15");
        reader_uint(r, "bit", 0, 15, &f->bit);
    }
    read_text(r, p);
    read_order(r, p);
    read_mask(r, p);
}

static void read_scaling(struct reader *r, struct modbus_point *p)
{
    struct modbus_format *f = &p->format;
    unsigned decimals = DECIMALS_MAX + 1;

    f->scale = 1;
    f->decimals = -1;
    if (f->type == TYPE_BIT || f->type == TYPE_STRING) {
        (void)modbus_misplaced(r, "scale", p);
        (void)modbus_misplaced(r, "offset", p);
        (void)modbus_misplaced(r, "decimals", p);
        return;
    }
    f->scaled = p->has_scale_register || json_object_object_get_ex(r->object, "scale", NULL) ||
                json_object_object_get_ex(r->object, "offset", NULL);
    reader_double(r, "scale", &f->scale);
    if (f->scale == 0) {
        reader_complain(r, "scale", "may not be 0");
        f->scale = 1;
    }
    reader_double(r, "offset", &f->offset);
    reader_uint(r, "decimals", 0, DECIMALS_MAX, &decimals);
    if (decimals <= DECIMALS_MAX) {
        if (!f->scaled && !modbus_type_is_float(f->type))
            reader_complain(r, "decimals", "has no meaning for a whole number without scale or offset");
        f->decimals = (int)decimals;
    } else if (f->scaled && !modbus_type_is_float(f->type)) {
        int a = modbus_decimals_of(f->scale), b = modbus_decimals_of(f->offset);
        f->decimals = a < 0 || b < 0 ? -1 : a > b ? a : b;
    }
}

static int read_sentinel(json_object *o, enum modbus_type type, uint64_t *ret)
{
    unsigned bits = modbus_type_bits(type);
    uint64_t pattern;

    switch (json_object_get_type(o)) {
    case json_type_int:
        if (json_object_get_int64(o) >= 0)
            return modbus_pattern_from_uint(type, json_object_get_uint64(o), ret);
        return modbus_pattern_from_int(type, json_object_get_int64(o), ret);
    case json_type_double:
        return modbus_type_is_float(type) ? modbus_pattern_from_double(type, json_object_get_double(o), ret) : -EINVAL;
    case json_type_string:
        if (modbus_hex_parse(json_object_get_string(o), &pattern) < 0)
            return -EINVAL;
        if (pattern > UINT64_MAX >> (64 - bits))
            return -ERANGE;
        *ret = pattern;
        return 0;
    case json_type_null:
    case json_type_boolean:
    case json_type_object:
    case json_type_array:
        break;
    }
    return -EINVAL;
}

static void read_invalid(struct reader *r, struct modbus_point *p)
{
    struct modbus_format *f = &p->format;
    json_object *o;

    if (f->type == TYPE_BIT || f->type == TYPE_STRING) {
        (void)modbus_misplaced(r, "invalid", p);
        return;
    }
    o = reader_get(r, "invalid");
    if (!o)
        return;
    bool is_array = json_object_is_type(o, json_type_array);
    size_t n = is_array ? json_object_array_length(o) : 1;
    if (n > SENTINELS_MAX) {
        reader_complain(r, "invalid", "at most %d values", SENTINELS_MAX);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        json_object *one = is_array ? json_object_array_get_idx(o, i) : o;
        if (read_sentinel(one, f->type, &f->invalid[f->n_invalid]) < 0) {
            reader_complain(r, "invalid", "expected raw values of type %s (or their bits, as \"0x8000\")",
                            modbus_type_name(f->type));
            return;
        }
        f->n_invalid++;
    }
}

/* The bits of the type that the mask leaves for a value. */
static uint64_t field_of(const struct modbus_format *f)
{
    return f->mask != 0 ? f->mask >> f->shift : UINT64_MAX >> (64 - modbus_type_bits(f->type));
}

/* A pattern of the whole type as it stands in its field. -ERANGE: it does not fit, and would change the bits beside it.
 */
static int fit_field(const struct modbus_format *f, uint64_t pattern, uint64_t *ret)
{
    if (!modbus_format_fits(f, pattern))
        return -ERANGE;
    *ret = pattern & field_of(f);
    return 0;
}

/* A raw value: a number of the type, or the bits of its field, also as a number. */
static int read_raw(const struct modbus_format *f, json_object *o, uint64_t *ret)
{
    uint64_t pattern = 0;
    int r = read_sentinel(o, f->type, &pattern);

    if (r == 0 && !json_object_is_type(o, json_type_string) && fit_field(f, pattern, ret) == 0)
        return 0;
    if (modbus_type_kind(f->type) != KIND_SIGNED && !json_object_is_type(o, json_type_string))
        return -ERANGE;
    return read_bits(o, field_of(f), ret);
}

/* "on" and "off": raw values that mean true and false. */
static void read_switch(struct reader *r, struct modbus_point *p)
{
    struct modbus_format *f = &p->format;
    json_object *on = NULL, *off = NULL;

    if (!is_integer(f)) {
        (void)modbus_misplaced(r, "on", p);
        (void)modbus_misplaced(r, "off", p);
    } else {
        on = reader_get(r, "on");
        off = reader_get(r, "off");
    }
    if (!on != !off)
        reader_complain(r, on ? "on" : "off", "\"on\" and \"off\" belong together");
    if (on && off) {
        f->switched = true;
        if (read_raw(f, on, &f->on) < 0)
            reader_complain(r, "on", "expected a raw value of type %s%s, or its bits", modbus_type_name(f->type),
                            f->mask ? " that fits the mask" : "");
        if (read_raw(f, off, &f->off) < 0)
            reader_complain(r, "off", "expected a raw value of type %s%s, or its bits", modbus_type_name(f->type),
                            f->mask ? " that fits the mask" : "");
        if (f->on == f->off)
            reader_complain(r, "off", "may not be the same as \"on\"");
        if (f->scaled)
            reader_complain(r, "on", "has no meaning together with scale or offset");
    }
    if (f->type == TYPE_BIT || f->switched)
        reader_bool(r, "invert", &f->invert);
    else
        (void)modbus_misplaced(r, "invert", p);
}

static bool add_choice(struct modbus_format *f, uint64_t raw, const char *name)
{
    struct modbus_choice *c = &f->choices[f->n_choices];

    for (size_t i = 0; i < f->n_choices; i++)
        if (f->choices[i].raw == raw || (name && strcmp(f->choices[i].name, name) == 0))
            return false;
    *c = (struct modbus_choice){.raw = raw, .name = name ? strdup(name) : NULL};
    f->n_choices++;
    return !name || c->name;
}

static bool is_name(json_object *o)
{
    return json_object_is_type(o, json_type_string) && json_object_get_string_len(o) > 0 &&
           json_object_get_string_len(o) < VALUE_TEXT_MAX &&
           strlen(json_object_get_string(o)) == (size_t)json_object_get_string_len(o);
}

static bool is_bits(json_object *o)
{
    uint64_t bits;

    return json_object_is_type(o, json_type_string) && modbus_hex_parse(json_object_get_string(o), &bits) == 0;
}

/* ["off", "on"]: names of 0, 1 …; [0, 5, "0x10"]: the raw values that there are. */
static bool read_list(struct modbus_format *f, json_object *o)
{
    size_t n = json_object_array_length(o);
    json_object *first = json_object_array_get_idx(o, 0);
    bool names = json_object_is_type(first, json_type_string) && !is_bits(first);

    for (size_t i = 0; i < n; i++) {
        json_object *one = json_object_array_get_idx(o, i);
        uint64_t raw = 0;
        if (names ? !is_name(one) || modbus_pattern_from_uint(f->type, i, &raw) < 0 || fit_field(f, raw, &raw) < 0
                  : read_raw(f, one, &raw) < 0)
            return false;
        if (!add_choice(f, raw, names ? json_object_get_string(one) : NULL))
            return false;
    }
    return true;
}

/* A key of the map: a number, or bits. */
static bool read_key(const struct modbus_format *f, const char *key, uint64_t *ret)
{
    json_object *o = strncmp(key, "0x", 2) == 0 ? json_object_new_string(key) : json_tokener_parse(key);
    bool good =
        (json_object_is_type(o, json_type_int) || json_object_is_type(o, json_type_string)) && read_raw(f, o, ret) == 0;

    json_object_put(o);
    return good;
}

/* {"1": "off", "4": "on"} */
static bool read_map(struct modbus_format *f, json_object *o)
{
    json_object_object_foreach (o, key, value) {
        uint64_t raw = 0;
        if (!read_key(f, key, &raw) || !is_name(value) || !add_choice(f, raw, json_object_get_string(value)))
            return false;
    }
    return true;
}

static void read_choices(struct reader *r, struct modbus_point *p)
{
    struct modbus_format *f = &p->format;
    json_object *o;
    bool good;
    size_t n;

    if (!is_integer(f) || f->switched) {
        (void)modbus_misplaced(r, "values", p);
        return;
    }
    o = reader_get(r, "values");
    if (!o)
        return;
    bool is_map = json_object_is_type(o, json_type_object), is_list = json_object_is_type(o, json_type_array);
    n = is_map ? (size_t)json_object_object_length(o) : is_list ? json_object_array_length(o) : 0;
    if (n >= 1 && n <= CHOICES_MAX)
        f->choices = calloc(n, sizeof *f->choices);
    good = f->choices && (is_map ? read_map(f, o) : read_list(f, o));
    if (!good)
        reader_complain(r, "values",
                        "expected 1 to %d names in order of their raw values from 0, an object of raw values and names "
                        "{\"1\": \"off\"}, or the raw values that are allowed; none twice%s",
                        CHOICES_MAX, f->mask ? ", and all within the mask" : "");
    if (f->scaled && f->n_choices > 0 && f->choices[0].name)
        reader_complain(r, "values", "names have no meaning together with scale or offset");
}

static void read_range(struct reader *r, struct modbus_point *p)
{
    struct modbus_format *f = &p->format;
    bool low = json_object_object_get_ex(r->object, "valid_min", NULL);
    bool high = json_object_object_get_ex(r->object, "valid_max", NULL);

    if (f->type == TYPE_BIT || f->type == TYPE_STRING || f->switched || (f->choices && f->choices[0].name)) {
        (void)modbus_misplaced(r, "valid_min", p);
        (void)modbus_misplaced(r, "valid_max", p);
        return;
    }
    f->valid_min = -INFINITY;
    f->valid_max = INFINITY;
    f->ranged = low || high;
    reader_double(r, "valid_min", &f->valid_min);
    reader_double(r, "valid_max", &f->valid_max);
    if (f->valid_min > f->valid_max)
        reader_complain(r, "valid_min", "is more than valid_max");
}

bool modbus_format_read(struct reader *r, struct modbus_point *p)
{
    if (!read_type(r, p))
        return false;
    read_shape(r, p);
    if (!p->format.order && modbus_type_bits(p->format.type) > 8)
        return false;
    read_scaling(r, p);
    read_invalid(r, p);
    read_switch(r, p);
    read_choices(r, p);
    read_range(r, p);
    return true;
}

void modbus_format_done(struct modbus_format *f)
{
    for (size_t i = 0; i < f->n_choices; i++)
        free(f->choices[i].name);
    free(f->choices);
}
