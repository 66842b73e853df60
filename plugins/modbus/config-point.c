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

/* An address as a plain number, or as "0x...", counts from address_base; notation has a table and a base of its own. */
static bool read_address(struct reader *r, const char *key, const struct modbus_config *config, bool *has_table,
                         enum modbus_table *table, uint16_t *ret)
{
    json_object *o = reader_get(r, key);
    unsigned base = config->address_base, address = 0;
    uint64_t number = UINT64_MAX;

    if (!o) {
        if (!r->failed)
            reader_complain(r, NULL, "no %s", key);
        return false;
    }
    if (json_object_is_type(o, json_type_string)) {
        const char *text = json_object_get_string(o);
        enum modbus_table named;
        if (notation_parse(text, &named, &address) == 0) {
            if (*has_table && *table != named) {
                reader_complain(r, key, "%s is in the table %s, but the point is in %s", text, modbus_table_name(named),
                                modbus_table_name(*table));
                return false;
            }
            *has_table = true;
            *table = named;
            *ret = (uint16_t)address;
            return true;
        }
        if (modbus_hex_parse(text, &number) < 0)
            number = UINT64_MAX;
    } else if (json_object_is_type(o, json_type_int) && json_object_get_int64(o) >= 0) {
        number = (uint64_t)json_object_get_int64(o);
    }
    if (number < base || number - base >= ADDRESSES) {
        reader_complain(
            r, key, "expected a number from %u to %u, the same as \"0x...\", or a text like \"40001\" or \"400001\"",
            base, ADDRESSES - 1 + base);
        return false;
    }
    *ret = (uint16_t)(number - base);
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
    if (!read_address(r, "address", config, &has_table, &p->table, &p->address))
        return false;
    if (!has_table) {
        if (!r->failed)
            reader_complain(r, NULL, "no table; expected \"table\": coil, discrete, input or holding");
        return false;
    }
    if (p->writable && p->table != TABLE_COIL && p->table != TABLE_HOLDING)
        reader_complain(r, "writable", "a %s cannot be written; only coil and holding can",
                        modbus_table_name(p->table));
    if (json_object_object_get_ex(r->object, "scale_register", NULL)) {
        p->has_scale_register = true;
        if (modbus_table_is_bits(p->table))
            reader_complain(r, "scale_register", "has no meaning for a coil or discrete input");
        return read_address(r, "scale_register", config, &has_table, &p->table, &p->scale_register);
    }
    return true;
}

static void read_reporting(struct reader *r, const struct modbus_config *config, struct modbus_point *p)
{
    bool plain = p->format.type == TYPE_BIT || p->format.type == TYPE_STRING || p->format.switched ||
                 (p->format.choices && p->format.choices[0].name);

    p->poll = true;
    reader_bool(r, "poll", &p->poll);
    p->interval = config->interval;
    reader_duration(r, "interval", INTERVAL_MIN, INTERVAL_MAX, &p->interval);
    reader_bool(r, "on_change", &p->on_change);
    reader_duration(r, "max_interval", INTERVAL_MIN, INTERVAL_MAX, &p->max_interval);
    if (p->max_interval > 0 && !p->on_change)
        reader_complain(r, "max_interval", "works only with \"on_change\": true");
    if (p->on_change && !p->poll)
        reader_complain(r, "on_change", "has no meaning with \"poll\": false");
    if (plain) {
        (void)modbus_misplaced(r, "deadband", p);
        return;
    }
    reader_double(r, "deadband", &p->deadband);
    if (p->deadband < 0)
        reader_complain(r, "deadband", "may not be negative");
    if (p->deadband > 0 && !p->on_change)
        reader_complain(r, "deadband", "works only with \"on_change\": true");
}

static void read_writing(struct reader *r, const struct modbus_config *config, struct modbus_point *p)
{
    p->write_multiple = config->write_multiple;
    reader_bool(r, "write_multiple", &p->write_multiple);
    reader_duration(r, "write_interval", WRITE_INTERVAL_MIN, INTERVAL_MAX, &p->write_interval);
    if (p->write_interval > 0 && !p->writable)
        reader_complain(r, "write_interval", "works only with \"writable\": true");
}

static void read_extent(struct reader *r, const struct modbus_config *config, struct modbus_point *p)
{
    unsigned begin = p->address, end, last = p->address;
    unsigned maximum =
        modbus_table_is_bits(p->table) ? config->limits.max_registers * 16 : config->limits.max_registers;

    p->count = (uint16_t)modbus_format_registers(&p->format);
    reader_uint(r, "count", 1, ROW_MAX, &p->row);
    last += (p->row - 1) * p->count;
    end = last + p->count;
    if (end > ADDRESSES) {
        reader_complain(r, "address", "%s needs %u registers, beyond the last address",
                        modbus_type_name(p->format.type), end - p->address);
        return;
    }
    if (p->count > maximum) {
        reader_complain(r, "type", "needs %u registers in one request, but max_registers is %u", p->count,
                        config->limits.max_registers);
        return;
    }
    end = begin + p->count;
    if (p->has_scale_register && p->scale_register < begin)
        begin = p->scale_register;
    if (p->has_scale_register && p->scale_register + 1u > end)
        end = p->scale_register + 1u;
    if (end - begin > maximum || (p->has_scale_register && p->row > 1 && last + p->count - begin > maximum))
        reader_complain(r, "scale_register",
                        "is read together with the point, but they are %u registers apart and "
                        "max_registers is %u",
                        end - begin, config->limits.max_registers);
    p->read_address = (uint16_t)begin;
    p->read_count = (uint16_t)(end - begin);
}

static void read_grouping(struct reader *r, const struct modbus_config *config, struct modbus_point *p)
{
    const char *group = reader_string(r, "group");

    reader_bool(r, "alone", &p->alone);
    if (group && (*group == '\0' || strlen(group) >= sizeof p->group))
        reader_complain(r, "group", "expected a name of 1 to %zu characters", sizeof p->group - 1);
    else if (group)
        (void)snprintf(p->group, sizeof p->group, "%s", group);
    if (group && p->alone)
        reader_complain(r, "alone", "has no meaning together with \"group\"");
    if (config->unit == 0 && config->url.transport != TRANSPORT_TCP && p->poll)
        reader_complain(r, NULL, "unit 0 is all units of the line, and none of them answers; expected \"poll\": false");
}

static void read_keys(struct reader *r, const struct modbus_config *config, struct modbus_point *p)
{
    if (!read_place(r, config, p) || !modbus_format_read(r, p))
        return;
    read_reporting(r, config, p);
    read_writing(r, config, p);
    read_extent(r, config, p);
    read_grouping(r, config, p);
    reader_finish(r);
}

bool modbus_point_read(const struct modbus_config *config, const struct gatehouse_point *point,
                       gatehouse_complain complain, void *context, struct modbus_point *ret)
{
    struct modbus_point p = {.writable = point->writable, .row = 1};
    char pointer[128];
    struct reader r;

    (void)snprintf(pointer, sizeof pointer, "/points/%s", point->name);
    if (!reader_open(&r, point->config, complain, context, pointer))
        return false;
    read_keys(&r, config, &p);
    if (p.row > 1 && strlen(point->name) + 4 > NAME_MAX_LENGTH)
        reader_complain(&r, "count", "the name is too long for a number behind it");
    json_object_put(r.object);
    p.name = strdup(point->name);
    p.unit = point->unit ? strdup(point->unit) : NULL;
    if (!r.failed && (!p.name || (point->unit && !p.unit))) {
        complain(context, pointer, "out of memory");
        r.failed = true;
    }
    if (r.failed) {
        modbus_point_done(&p);
        return false;
    }
    *ret = p;
    return true;
}

void modbus_point_done(struct modbus_point *point)
{
    free(point->name);
    free(point->unit);
    modbus_format_done(&point->format);
}
