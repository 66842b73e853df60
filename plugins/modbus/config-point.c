/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config-reader.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int table_from_name(const char *name, enum modbus_table *ret)
{
    static const enum modbus_table tables[] = {TABLE_COIL, TABLE_DISCRETE, TABLE_INPUT, TABLE_HOLDING};

    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        if (strcmp(modbus_table_name(tables[i]), name) == 0) {
            *ret = tables[i];
            return 0;
        }
    return -EINVAL;
}

/* "40001" or "400001": the first digit names the table, the rest counts from 1. */
static int notation_parse(const char *text, enum modbus_table *ret_table, unsigned *ret_address)
{
    size_t n = strlen(text);
    unsigned long number;

    if ((n != 5 && n != 6) || strspn(text, "0123456789") != n)
        return -EINVAL;
    switch (text[0]) {
    case '0':
        *ret_table = TABLE_COIL;
        break;
    case '1':
        *ret_table = TABLE_DISCRETE;
        break;
    case '3':
        *ret_table = TABLE_INPUT;
        break;
    case '4':
        *ret_table = TABLE_HOLDING;
        break;
    default:
        return -EINVAL;
    }
    number = strtoul(text + 1, NULL, 10);
    if (number < 1 || number > ADDRESSES)
        return -EINVAL;
    *ret_address = (unsigned)number - 1;
    return 0;
}

static int hex_parse(const char *text, uint64_t *ret)
{
    size_t n = strlen(text);

    if (n < 3 || n > 18 || strncmp(text, "0x", 2) != 0 || strspn(text + 2, "0123456789abcdefABCDEF") != n - 2)
        return -EINVAL;
    *ret = strtoull(text, NULL, 16);
    return 0;
}

/* `address` as a plain number counts from address_base; so does "0x..."; notation has a table and a base of its own. */
static bool read_address(struct reader *r, const struct modbus_config *config, bool *has_table, struct modbus_point *p)
{
    json_object *o = reader_get(r, "address");
    unsigned base = config->address_base, address = 0;
    uint64_t number = 0;

    if (!o) {
        if (!r->failed)
            reader_complain(r, NULL, "no address");
        return false;
    }
    if (json_object_is_type(o, json_type_string)) {
        const char *text = json_object_get_string(o);
        enum modbus_table table;
        if (notation_parse(text, &table, &address) == 0) {
            if (*has_table && p->table != table) {
                reader_complain(r, "address", "%s is in the table %s, but \"table\" says %s", text,
                                modbus_table_name(table), modbus_table_name(p->table));
                return false;
            }
            *has_table = true;
            p->table = table;
            p->address = (uint16_t)address;
            return true;
        }
        if (hex_parse(text, &number) < 0)
            number = UINT64_MAX;
    } else if (json_object_is_type(o, json_type_int) && json_object_get_int64(o) >= 0) {
        number = (uint64_t)json_object_get_int64(o);
    } else {
        number = UINT64_MAX;
    }
    if (number < base || number - base >= ADDRESSES) {
        reader_complain(
            r, "address",
            "expected a number from %u to %u, the same as \"0x...\", or a text like \"40001\" or \"400001\"", base,
            ADDRESSES - 1 + base);
        return false;
    }
    p->address = (uint16_t)(number - base);
    return true;
}

static bool read_place(struct reader *r, const struct modbus_config *config, struct modbus_point *p)
{
    const char *name = reader_string(r, "table");
    bool has_table = false;

    if (name) {
        if (table_from_name(name, &p->table) < 0) {
            reader_complain(r, "table", "unknown table \"%s\"; expected coil, discrete, input or holding", name);
            return false;
        }
        has_table = true;
    }
    if (!read_address(r, config, &has_table, p))
        return false;
    if (!has_table) {
        if (!r->failed)
            reader_complain(r, NULL, "no table; expected \"table\": coil, discrete, input or holding");
        return false;
    }
    if (p->writable && p->table != TABLE_COIL && p->table != TABLE_HOLDING)
        reader_complain(r, "writable", "a %s cannot be written; only coil and holding can",
                        modbus_table_name(p->table));
    return true;
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
        reader_complain(
            r, "type",
            "unknown type \"%s\"; expected bit, int8h, int8l, uint8h, uint8l, int16, uint16, int32, uint32, "
            "int64, uint64, float16, float32, float64 or string",
            name);
        return false;
    }
    if (bits && f->type != TYPE_BIT) {
        reader_complain(r, "type", "a %s is always of type bit", modbus_table_name(p->table));
        return false;
    }
    return true;
}

/* Says that a key makes no sense for this type; true if the key is there. */
static bool misplaced(struct reader *r, const char *key, const struct modbus_point *p)
{
    if (!reader_get(r, key))
        return false;
    reader_complain(r, key, "has no meaning for %s%s",
                    modbus_table_is_bits(p->table) ? "a coil or discrete input" : "type ",
                    modbus_table_is_bits(p->table) ? "" : modbus_type_name(p->format.type));
    return true;
}

static void read_shape(struct reader *r, struct modbus_point *p)
{
    struct modbus_format *f = &p->format;

    if (f->type != TYPE_BIT || modbus_table_is_bits(p->table)) {
        (void)misplaced(r, "bit", p);
    } else {
        if (!json_object_object_get_ex(r->object, "bit", NULL))
            reader_complain(r, NULL, "no bit; expected \"bit\": 0 (the least significant) to 15");
        reader_uint(r, "bit", 0, 15, &f->bit);
    }
    if (f->type != TYPE_STRING) {
        (void)misplaced(r, "length", p);
    } else {
        if (!json_object_object_get_ex(r->object, "length", NULL))
            reader_complain(r, NULL, "no length; expected \"length\": the bytes of the text");
        f->length = 1;
        reader_uint(r, "length", 1, STRING_BYTES_MAX, &f->length);
    }
    f->order = modbus_order(f->type, NULL);
    if (!f->order) {
        (void)misplaced(r, "order", p);
        return;
    }
    const char *order = reader_string(r, "order");
    if (order)
        f->order = modbus_order(f->type, order);
    if (!f->order)
        reader_complain(r, "order", "\"%s\" is no byte order of a %s; expected %s", order, modbus_type_name(f->type),
                        modbus_type_bits(f->type) == 64   ? "ABCDEFGH, HGFEDCBA, BADCFEHG, GHEFCDAB or EFGHABCD"
                        : modbus_type_bits(f->type) == 32 ? "ABCD, DCBA, BADC or CDAB"
                                                          : "AB or BA");
}

static void read_scaling(struct reader *r, struct modbus_point *p)
{
    struct modbus_format *f = &p->format;
    unsigned decimals = DECIMALS_MAX + 1;

    f->scale = 1;
    f->decimals = -1;
    if (f->type == TYPE_BIT || f->type == TYPE_STRING) {
        (void)misplaced(r, "scale", p);
        (void)misplaced(r, "offset", p);
        (void)misplaced(r, "decimals", p);
        return;
    }
    f->scaled =
        json_object_object_get_ex(r->object, "scale", NULL) || json_object_object_get_ex(r->object, "offset", NULL);
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
        if (hex_parse(json_object_get_string(o), &pattern) < 0)
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
        (void)misplaced(r, "invalid", p);
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

static void read_reporting(struct reader *r, const struct modbus_config *config, struct modbus_point *p)
{
    p->interval = config->interval;
    reader_duration(r, "interval", INTERVAL_MIN, INTERVAL_MAX, &p->interval);
    reader_bool(r, "on_change", &p->on_change);
    if (p->format.type == TYPE_BIT || p->format.type == TYPE_STRING) {
        (void)misplaced(r, "deadband", p);
        return;
    }
    reader_double(r, "deadband", &p->deadband);
    if (p->deadband < 0)
        reader_complain(r, "deadband", "may not be negative");
    if (p->deadband > 0 && !p->on_change)
        reader_complain(r, "deadband", "works only with \"on_change\": true");
}

static void read_extent(struct reader *r, const struct modbus_config *config, struct modbus_point *p)
{
    p->count = (uint16_t)modbus_format_registers(&p->format);
    if ((unsigned)p->address + p->count > ADDRESSES)
        reader_complain(r, "address", "%s needs %u registers, beyond the last address",
                        modbus_type_name(p->format.type), p->count);
    if (!modbus_table_is_bits(p->table) && p->count > config->limits.max_registers)
        reader_complain(r, "type", "needs %u registers in one request, but max_registers is %u", p->count,
                        config->limits.max_registers);
}

static void read_keys(struct reader *r, const struct modbus_config *config, struct modbus_point *p)
{
    if (!read_place(r, config, p) || !read_type(r, p))
        return;
    read_shape(r, p);
    if (!p->format.order && modbus_type_bits(p->format.type) > 8)
        return;
    read_scaling(r, p);
    read_invalid(r, p);
    read_reporting(r, config, p);
    read_extent(r, config, p);
    reader_finish(r);
}

bool modbus_point_read(const struct modbus_config *config, const struct gatehouse_point *point,
                       gatehouse_complain complain, void *context, struct modbus_point *ret)
{
    struct modbus_point p = {.writable = point->writable};
    char pointer[128];
    struct reader r;

    (void)snprintf(pointer, sizeof pointer, "/points/%s", point->name);
    if (!reader_open(&r, point->config, complain, context, pointer))
        return false;
    read_keys(&r, config, &p);
    json_object_put(r.object);
    if (r.failed)
        return false;
    p.name = strdup(point->name);
    p.unit = point->unit ? strdup(point->unit) : NULL;
    if (!p.name || (point->unit && !p.unit)) {
        modbus_point_done(&p);
        complain(context, pointer, "out of memory");
        return false;
    }
    *ret = p;
    return true;
}

void modbus_point_done(struct modbus_point *point)
{
    free(point->name);
    free(point->unit);
}
