/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Every shipped template gives the values of its vectors, and each of its points has one; a device's own configuration
 * goes before its template's. */

#include "modbus/config.h"

#include <dirent.h>
#include <errno.h>
#include <json-c/json_util.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define URL "\"url\": \"tcp://a\""

static uint16_t memory[4][ADDRESSES];
static bool present[4][ADDRESSES];

static void complain(void *context, const char *pointer, const char *message)
{
    (void)context;
    fail_msg("%s: %s", pointer, message);
}

struct complaint {
    char pointer[256], message[1024];
};

static void keep(void *context, const char *pointer, const char *message)
{
    struct complaint *c = context;

    (void)snprintf(c->pointer, sizeof c->pointer, "%s", pointer);
    (void)snprintf(c->message, sizeof c->message, "%s", message);
}

/* --- vectors --- */

static void fill_memory(json_object *blocks)
{
    memset(present, 0, sizeof present);
    for (size_t i = 0; i < json_object_array_length(blocks); i++) {
        json_object *block = json_object_array_get_idx(blocks, i),
                    *registers = json_object_object_get(block, "registers");
        const char *name = json_object_get_string(json_object_object_get(block, "table"));
        int at = json_object_get_int(json_object_object_get(block, "address"));
        enum modbus_table table = TABLE_COIL;
        while (strcmp(modbus_table_name(table), name) != 0)
            table++;
        for (size_t k = 0; k < json_object_array_length(registers); k++, at++) {
            memory[table][at] =
                (uint16_t)strtoul(json_object_get_string(json_object_array_get_idx(registers, k)), NULL, 0);
            present[table][at] = true;
        }
    }
}

static double number_of(const struct gatehouse_value *v)
{
    switch (v->type) {
    case GATEHOUSE_BOOL:
        return v->b;
    case GATEHOUSE_INT:
        return (double)v->x;
    case GATEHOUSE_UINT:
        return (double)v->t;
    case GATEHOUSE_DOUBLE:
        return v->d;
    case GATEHOUSE_STRING:
        break;
    }
    return NAN;
}

/* Expects the vector's value; "no value" where the vector has null. */
static void check_point(const char *file, const struct modbus_point *p, json_object *values)
{
    const uint16_t *registers = memory[p->table] + p->address;
    struct modbus_format f = p->format;
    char text[VALUE_TEXT_MAX];
    struct gatehouse_value v;
    json_object *expected;

    if (!json_object_object_get_ex(values, p->name, &expected))
        fail_msg("%s: %s has no vector", file, p->name);
    for (unsigned i = 0; i < p->count; i++)
        if (!present[p->table][p->address + i])
            fail_msg("%s: %s: its register %u is not in the vector", file, p->name, p->address + i);
    if (p->has_scale_register) {
        assert_true(present[p->table][p->scale_register]);
        f = modbus_format_scaled(&f, (int16_t)memory[p->table][p->scale_register]);
    }
    int r = modbus_decode(&f, registers, p->count, text, &v);
    if (!expected && r != -ENODATA)
        fail_msg("%s: %s: %d and %.17g, not \"no value\"", file, p->name, r, r < 0 ? NAN : number_of(&v));
    if (!expected)
        return;
    if (r < 0)
        fail_msg("%s: %s: no value (%d)", file, p->name, r);
    if (v.type == GATEHOUSE_STRING ? strcmp(v.s, json_object_get_string(expected)) != 0
        : v.type == GATEHOUSE_BOOL ? v.b != (bool)json_object_get_boolean(expected)
                                   : number_of(&v) != json_object_get_double(expected))
        fail_msg("%s: %s: %.17g %s, not %s", file, p->name, number_of(&v), v.type == GATEHOUSE_STRING ? v.s : "",
                 json_object_get_string(expected));
}

static void check_template(const char *name)
{
    char section[256], path[512];
    struct modbus_config *c = NULL;

    (void)snprintf(section, sizeof section, "{" URL ", \"template\": \"%s\"}", name);
    assert_int_equal(modbus_config_read(section, NULL, 0, complain, NULL, &c), 0);
    (void)snprintf(path, sizeof path, "%s/%s.json", TEMPLATES, name);
    json_object *root = json_object_from_file(path), *vectors = json_object_object_get(root, "vectors");
    assert_true(json_object_get_string_len(json_object_object_get(root, "title")) > 0);
    assert_true(json_object_get_string_len(json_object_object_get(root, "source")) > 0);
    assert_true(json_object_array_length(vectors) > 0);
    assert_true(c->n_points > 0);
    for (size_t i = 0; i < json_object_array_length(vectors); i++) {
        json_object *vector = json_object_array_get_idx(vectors, i);
        json_object *values = json_object_object_get(vector, "values");
        fill_memory(json_object_object_get(vector, "memory"));
        for (size_t k = 0; k < c->n_points; k++)
            check_point(name, &c->points[k], values);
    }
    json_object_put(root);
    modbus_config_free(c);
}

static void test_shipped(void **state)
{
    DIR *d = opendir(TEMPLATES);
    unsigned n = 0;

    (void)state;
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        size_t length = strlen(e->d_name);
        if (length < 6 || strcmp(e->d_name + length - 5, ".json") != 0)
            continue;
        e->d_name[length - 5] = '\0';
        check_template(e->d_name);
        n++;
    }
    closedir(d);
    assert_true(n >= 12);
}

/* --- what goes first --- */

static const struct modbus_point *point(const struct modbus_config *c, const char *name)
{
    for (size_t i = 0; i < c->n_points; i++)
        if (strcmp(c->points[i].name, name) == 0)
            return &c->points[i];
    return NULL;
}

static void test_changed(void **state)
{
    const struct gatehouse_point points[] = {
        {.name = "voltage", .unit = "kV", .config = "{\"scale\": 0.001, \"interval\": \"5s\"}"},
        {.name = "extra",
         .config = "{\"table\": \"holding\", \"address\": 2, \"type\": \"float32\"}",
         .writable = true},
        {.name = "current", .config = "{\"poll\": false}"},
    };
    struct modbus_config *c = NULL;

    (void)state;
    assert_int_equal(modbus_config_read("{" URL ", \"template\": \"eastron-sdm120\", \"max_gap\": 0}", points, 3,
                                        complain, NULL, &c),
                     0);
    assert_int_equal(c->limits.max_gap, 0);        /* the device's own */
    assert_int_equal(c->limits.max_registers, 80); /* the template's */
    assert_int_equal(c->points[0].address, 0);
    assert_string_equal(point(c, "voltage")->unit, "kV");
    assert_true(point(c, "voltage")->format.scale == 0.001);
    assert_int_equal(point(c, "voltage")->interval, 5 * SEC);
    assert_string_equal(point(c, "power")->unit, "W");
    assert_false(point(c, "power")->writable);
    assert_false(point(c, "current")->poll);
    assert_true(point(c, "extra")->writable);
    assert_int_equal(c->n_points, 14);
    modbus_config_free(c);
}

static const struct {
    const char *section;
    const char *point;
    const char *pointer;
    const char *message;
} mistakes[] = {
    {"{" URL ", \"template\": 1}", NULL, "/section/template", "expected a string"},
    {"{" URL ", \"template\": \"no-such\"}", NULL, "/section/template", "no template \"no-such\" (No such file"},
    {"{" URL ", \"template\": \"../eastron-sdm120\"}", NULL, "/section/template", "no template"},
    {"{" URL ", \"template\": \"\"}", NULL, "/section/template", "no template"},
    {"{" URL ", \"template\": \"eastron-sdm120\", \"speed\": 1}", NULL, "/section/speed", "unknown key"},
    {"{" URL ", \"template\": \"eastron-sdm120\"}", "{\"tabel\": 1}", "/points/voltage/tabel", "unknown key"},
    /* A mistake that shows in what only the template says */
    {"{" URL ", \"template\": \"eastron-sdm120\", \"max_registers\": 1}", NULL, "/section/template",
     "template eastron-sdm120: points/"},
    {"{" URL ", \"template\": \"eastron-sdm120\", \"unit\": 256}", NULL, "/section/unit", "0 to 255"},
};

static void test_mistakes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        struct gatehouse_point p = {.name = "voltage", .config = mistakes[i].point};
        struct complaint c = {0};
        assert_int_equal(modbus_config_read(mistakes[i].section, &p, p.config != NULL, keep, &c, NULL), -EINVAL);
        if (strcmp(c.pointer, mistakes[i].pointer) != 0 || !strstr(c.message, mistakes[i].message))
            fail_msg("%zu: %s: %s", i, c.pointer, c.message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shipped),
        cmocka_unit_test(test_changed),
        cmocka_unit_test(test_mistakes),
    };

    return setenv("GATEHOUSE_MODBUS_TEMPLATES", TEMPLATES, 1) < 0 ||
           cmocka_run_group_tests_name("modbus-templates", tests, NULL, NULL);
}
