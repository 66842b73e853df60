/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "look.h"

#include "config.h"
#include "device-internal.h"
#include "host.h"
#include "pdu.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUNSPEC_BASE 40000
#define SUNSPEC_COMMON (SUNSPEC_BASE + 4)
#define SUNSPEC_COMMON_SIZE 64
#define SUNSPEC_MARK_1 0x5375 /* "Su" */
#define SUNSPEC_MARK_2 0x6e53 /* "nS" */

struct first_complaint {
    char *text;
    size_t size;
    bool any;
};

static void keep_first(void *context, const char *pointer, const char *message)
{
    struct first_complaint *c = context;

    if (!c->any)
        (void)snprintf(c->text, c->size, "%s: %s", pointer, message);
    c->any = true;
}

static int fail(char *error, size_t size, const char *text)
{
    (void)snprintf(error, size, "%s", text);
    return -EINVAL;
}

/* The options without `key`, which is handed out (NULL if it is not there). The caller puts both. */
static json_object *options_parse(const char *options, const char *key, json_object **ret_value)
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

static const char *text_of(json_object *o)
{
    return json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
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
    struct first_complaint complaint = {.text = error, .size = error_size};
    json_object *point = point_of(text);
    struct gatehouse_point p = {.name = "read", .config = point ? text_of(point) : NULL};
    struct modbus_server *server = NULL;
    struct modbus_config *c = NULL;
    uint16_t values[READ_BITS_MAX];
    struct modbus_failure failure;

    if (!point)
        return fail(error, error_size, READ_EXPECTED);
    int r = modbus_config_read(text_of(section), &p, 1, keep_first, &complaint, &c);
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
    json_object *what = NULL, *section = options_parse(options, "read", &what);
    char *copy = NULL, *rest, *text;
    int r = 0;

    if (!section || !json_object_is_type(what, json_type_string))
        r = fail(error, error_size, section ? READ_EXPECTED : "expected a JSON object");
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

/* --- scanning --- */

static void add_text(json_object *o, const char *key, const char *text)
{
    if (*text)
        json_object_object_add(o, key, json_object_new_string(text));
}

static void add_characters(json_object *o, const char *key, const uint16_t *registers, unsigned length)
{
    const struct text_format f = {.length = length};
    char text[VALUE_TEXT_MAX];

    if (text_decode(&f, registers, text) == 0)
        add_text(o, key, text);
}

static bool add_sunspec(struct modbus_server *s, const struct server_terms *terms, json_object *o)
{
    uint16_t mark[2], common[SUNSPEC_COMMON_SIZE];
    struct modbus_failure failure;

    if (server_read(s, terms, TABLE_HOLDING, SUNSPEC_BASE, 2, mark, &failure) < 0 || mark[0] != SUNSPEC_MARK_1 ||
        mark[1] != SUNSPEC_MARK_2 ||
        server_read(s, terms, TABLE_HOLDING, SUNSPEC_COMMON, SUNSPEC_COMMON_SIZE, common, &failure) < 0)
        return false;
    add_characters(o, "maker", common, 32);
    add_characters(o, "model", common + 16, 32);
    add_characters(o, "version", common + 40, 16);
    add_characters(o, "serial", common + 48, 32);
    json_object_object_add(o, "by", json_object_new_string("SunSpec"));
    return true;
}

static void add_identification(struct modbus_server *s, const struct server_terms *terms, json_object *o)
{
    static const char *const keys[] = {"maker", "model", "version"};
    struct pdu_identification id;
    struct modbus_failure failure;

    if (server_identify(s, terms, &id, &failure) < 0)
        return;
    for (size_t i = 0; i < 3; i++)
        add_text(o, keys[i], id.texts[i]);
    json_object_object_add(o, "by", json_object_new_string("device identification"));
}

/* Whether the unit answered in any way of its own. */
static bool is_there(int r, const struct modbus_failure *failure)
{
    return r == 0 || (failure->kind == FAILURE_EXCEPTION && failure->exception >= 0);
}

static int scan_units(struct modbus_server *s, struct server_terms terms, const char *url, unsigned first,
                      unsigned last, void (*found)(void *context, const char *object), void *context, char *error,
                      size_t error_size)
{
    struct modbus_failure failure;
    uint16_t value;

    for (terms.unit = first; terms.unit <= last; terms.unit++) {
        int r = server_read(s, &terms, TABLE_HOLDING, 0, 1, &value, &failure);
        if (r < 0 && failure.kind == FAILURE_SERVER) {
            (void)snprintf(error, error_size, "%s", failure.text);
            return r;
        }
        if (!is_there(r, &failure))
            continue;
        json_object *o = json_object_new_object();
        json_object_object_add(o, "url", json_object_new_string(url));
        json_object_object_add(o, "unit", json_object_new_int((int)terms.unit));
        if (!add_sunspec(s, &terms, o))
            add_identification(s, &terms, o);
        found(context, text_of(o));
        json_object_put(o);
    }
    return 0;
}

static bool units_of(json_object *units, unsigned *first, unsigned *last)
{
    char rest;
    int n;

    *first = 1;
    *last = 247;
    if (!units)
        return true;
    if (!json_object_is_type(units, json_type_string) && !json_object_is_type(units, json_type_int))
        return false;
    n = sscanf(json_object_get_string(units), "%3u-%3u%c", first, last, &rest);
    if (n == 1)
        *last = *first;
    return (n == 1 || n == 2) && *first <= *last && *last <= 255;
}

int look_scan(const char *options, void (*found)(void *context, const char *object), void *context, char *error,
              size_t error_size)
{
    struct first_complaint complaint = {.text = error, .size = error_size};
    json_object *units = NULL, *section = options_parse(options, "units", &units);
    struct modbus_server *server = NULL;
    struct modbus_config *c = NULL;
    unsigned first, last;
    char bus[BUS_MAX];
    int r;

    if (!section)
        r = fail(error, error_size, "expected a JSON object");
    else if (!units_of(units, &first, &last))
        r = fail(error, error_size, "expected \"units\": \"FIRST-LAST\", such as \"1-247\"");
    else {
        /* A unit that is there answers soon, and most are not there. */
        if (!json_object_object_get_ex(section, "timeout", NULL))
            json_object_object_add(section, "timeout", json_object_new_string("300ms"));
        r = modbus_config_read(text_of(section), NULL, 0, keep_first, &complaint, &c);
    }
    if (r == 0)
        r = server_get(&c->url, &c->serial, &server, error, error_size);
    if (r == 0) {
        modbus_url_bus(&c->url, bus, sizeof bus);
        r = scan_units(server, device_terms(c), bus, first, last, found, context, error, error_size);
    }
    server_put(server);
    modbus_config_free(c);
    json_object_put(units);
    json_object_put(section);
    return r;
}
