/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "look.h"

#include "device-internal.h"
#include "look-internal.h"
#include "pdu.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct look_complaint {
    char *text;
    size_t size;
    bool any;
};

static void keep_first(void *context, const char *pointer, const char *message)
{
    struct look_complaint *c = context;

    if (!c->any)
        (void)snprintf(c->text, c->size, "%s: %s", pointer, message);
    c->any = true;
}

int look_fail(char *error, size_t size, const char *text)
{
    (void)snprintf(error, size, "%s", text);
    return -EINVAL;
}

int look_config(json_object *section, const struct gatehouse_point *points, size_t n_points, struct modbus_config **ret,
                char *error, size_t error_size)
{
    struct look_complaint complaint = {.text = error, .size = error_size};

    return modbus_config_read(look_text(section), points, n_points, keep_first, &complaint, ret);
}

json_object *look_options(const char *options, const char *key, json_object **ret_value)
{
    json_object *o = json_tokener_parse(options), *value = NULL;

    if (!json_object_is_type(o, json_type_object)) {
        json_object_put(o);
        return NULL;
    }
    if (json_object_object_get_ex(o, key, &value))
        *ret_value = json_object_get(value);
    json_object_object_del(o, key);
    return o;
}

/* --- reading --- */

#define READ_EXPECTED "expected \"read\": \"TABLE:ADDRESS[:REGISTERS[:TYPE[:ORDER]]]\", such as \"input:0:2:float32\""

/* The keys of a point, from "input:0:2:float32"; it is as many values as fit into the registers. NULL: out of memory or
 * not of that form. */
static json_object *point_of(const char *text)
{
    char copy[96], *rest = copy, *parts[5] = {0}, group[8] = "g";
    enum modbus_type type = TYPE_UINT16;
    unsigned long registers = 1;
    size_t n = 0;

    if (strlen(text) >= sizeof copy)
        return NULL;
    (void)snprintf(copy, sizeof copy, "%s", text);
    while (rest && n < 5)
        parts[n++] = strsep(&rest, ":");
    if (rest || n < 2 || strspn(parts[1], "0123456789") != strlen(parts[1]) || strlen(parts[1]) - 1 > 5)
        return NULL;
    if (n > 2 && (strspn(parts[2], "0123456789") != strlen(parts[2]) || strlen(parts[2]) - 1 > 3))
        return NULL;
    if (n > 2)
        registers = strtoul(parts[2], NULL, 10);
    bool bits = strcmp(parts[0], "coil") == 0 || strcmp(parts[0], "discrete") == 0;
    if (bits)
        type = TYPE_BIT;
    if (n > 3 && modbus_type_from_name(parts[3], &type) < 0)
        return NULL;
    unsigned each = modbus_type_bits(type) <= 16 ? 1 : modbus_type_bits(type) / 16;
    if (registers == 0 || (type != TYPE_STRING && registers % each != 0))
        return NULL;
    json_object *o = json_object_new_object();
    json_object_object_add(o, "table", json_object_new_string(parts[0]));
    json_object_object_add(o, "address", json_object_new_int64((int64_t)strtoul(parts[1], NULL, 10)));
    if (!bits)
        json_object_object_add(o, "type", json_object_new_string(modbus_type_name(type)));
    if (type == TYPE_STRING)
        json_object_object_add(o, "length", json_object_new_int64((int64_t)registers * 2));
    else
        json_object_object_add(o, "count", json_object_new_int64((int64_t)(registers / each)));
    if (n > 4)
        json_object_object_add(o, "order", json_object_new_string(parts[4]));
    json_object_object_add(o, "group", json_object_new_string(group));
    return o;
}

static int take_values(const struct modbus_config *c, const uint16_t *values,
                       void (*take)(void *context, const struct gatehouse_value *value), void *context, char *error,
                       size_t error_size)
{
    char text[VALUE_TEXT_MAX];
    struct gatehouse_value v;

    for (size_t i = 0; i < c->n_points; i++) {
        const struct modbus_point *p = &c->points[i];
        if (modbus_decode(&p->format, values + (p->address - p->read_address), p->count, text, &v) < 0) {
            (void)snprintf(error, error_size, "%s %u: no valid value", modbus_table_name(p->table), p->address);
            return -ENODATA;
        }
        take(context, &v);
    }
    return 0;
}

static int read_one(json_object *section, const char *text,
                    void (*take)(void *context, const struct gatehouse_value *value), void *context, char *error,
                    size_t error_size)
{
    json_object *point = point_of(text);
    struct gatehouse_point p = {.name = "read", .config = point ? look_text(point) : NULL};
    struct modbus_server *server = NULL;
    struct modbus_config *c = NULL;
    uint16_t values[READ_BITS_MAX];
    struct modbus_failure failure;

    if (!point)
        return look_fail(error, error_size, READ_EXPECTED);
    int r = look_config(section, &p, 1, &c, error, error_size);
    json_object_put(point);
    if (r < 0)
        return r;
    struct server_terms terms = device_terms(c);
    r = server_get(&c->url, &c->serial, &server, error, error_size);
    for (unsigned tries = 0; r == 0; tries++) {
        r = server_read(server, &terms, c->points[0].table, c->points[0].read_address, c->points[0].read_count, values,
                        &failure);
        if (r == 0 || tries >= c->retries || failure.kind == FAILURE_SERVER)
            break;
        r = 0;
    }
    if (r == 0)
        r = take_values(c, values, take, context, error, error_size);
    else if (server)
        (void)snprintf(error, error_size, "%s: %s", text, failure.text);
    server_put(server);
    modbus_config_free(c);
    return r;
}

int look_read(const char *options, void (*take)(void *context, const struct gatehouse_value *value), void *context,
              char *error, size_t error_size)
{
    json_object *what = NULL, *section = look_options(options, "read", &what);
    char *copy = NULL, *rest, *text;
    int r = 0;

    if (!section || !json_object_is_type(what, json_type_string))
        r = look_fail(error, error_size, section ? READ_EXPECTED : "expected a JSON object");
    else if (!(copy = strdup(json_object_get_string(what))))
        r = -ENOMEM;
    rest = copy;
    while (r == 0 && (text = strsep(&rest, ",")))
        r = read_one(section, text, take, context, error, error_size);
    free(copy);
    json_object_put(what);
    json_object_put(section);
    return r;
}
