/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Several points in one write, against a Modbus server process: as test-modbus-plugin.c. */

#include "modbus-host.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const own_server[] = {MODBUS_SERVER, NULL};
static const char *const pymodbus_server[] = {"/usr/bin/python3", PYMODBUS_SERVER, NULL};
static const char *const *command = own_server;

static const char *section(const struct server *s)
{
    static char text[128];

    (void)snprintf(text, sizeof text,
                   "{\"url\": \"tcp://127.0.0.1:%u\", \"unit\": 1, \"interval\": \"1h\", \"timeout\": \"10s\"}",
                   s->port);
    return text;
}

static unsigned last_write(const struct server *s, const char *table, unsigned address)
{
    for (size_t k = s->n_served; k > 0; k--) {
        const struct served *e = &s->served[k - 1];
        if (e->write && e->address == address && strcmp(e->table, table) == 0)
            return e->value;
    }
    return UINT32_MAX;
}

/* The requests that wrote, by what each wrote first; of one request all values have the same time. */
static size_t write_requests(const struct server *s, unsigned *addresses, size_t max)
{
    uint64_t last = 0;
    size_t n = 0;

    for (size_t k = 0; k < s->n_served; k++) {
        const struct served *e = &s->served[k];
        if (!e->write || (n > 0 && e->time == last))
            continue;
        assert_true(n < max);
        addresses[n++] = e->address;
        last = e->time;
    }
    return n;
}

/* Neighbours go in one request, in whatever order they are given; what is read first, and what stands apart, does not.
 */
static void test_write_points(void **state)
{
    static const char *const points[] = {
        "!a {\"table\": \"holding\", \"address\": 10, \"type\": \"int16\", \"scale\": 0.1}",
        "!b {\"table\": \"holding\", \"address\": 11, \"type\": \"int32\"}",
        "!c {\"table\": \"holding\", \"address\": 13, \"type\": \"uint16\"}",
        "!apart {\"table\": \"holding\", \"address\": 15, \"type\": \"uint16\"}",
        "!alone {\"table\": \"holding\", \"address\": 16, \"type\": \"uint16\", \"alone\": true}",
        "!low {\"table\": \"holding\", \"address\": 18, \"type\": \"uint8l\"}",
        "!high {\"table\": \"holding\", \"address\": 18, \"type\": \"uint8h\"}",
        "!name {\"table\": \"holding\", \"address\": 20, \"type\": \"string\", \"length\": 4}",
        "!v1 {\"table\": \"coil\", \"address\": 5}",
        "!v2 {\"table\": \"coil\", \"address\": 6}",
        NULL};
    struct gatehouse_write writes[] = {
        {.point = "c", .value = {GATEHOUSE_INT, .x = 7}},
        {.point = "v2", .value = {GATEHOUSE_BOOL, .b = true}},
        {.point = "low", .value = {GATEHOUSE_UINT, .t = 0x21}},
        {.point = "a", .value = {GATEHOUSE_DOUBLE, .d = 22.54}},
        {.point = "apart", .value = {GATEHOUSE_INT, .x = 8}},
        {.point = "high", .value = {GATEHOUSE_UINT, .t = 0x43}},
        {.point = "b", .value = {GATEHOUSE_INT, .x = -2}},
        {.point = "name", .value = {GATEHOUSE_STRING, .s = "abcd"}},
        {.point = "alone", .value = {GATEHOUSE_INT, .x = 9}},
        {.point = "v1", .value = {GATEHOUSE_BOOL, .b = true}},
    };
    static const unsigned expected[] = {5, 10, 15, 16, 20, 18, 18};
    const size_t n = sizeof writes / sizeof *writes;
    unsigned addresses[16];
    char error[256] = "";
    struct server s;

    (void)state;
    for (size_t i = 0; i < n; i++)
        writes[i].set = writes[i].value;
    server_start(&s, command, NULL);
    struct gatehouse_device *d = host_open(section(&s), points);
    assert_int_equal(host_load()->write_points(d->data, writes, n, error, sizeof error), 0);
    assert_true(writes[3].set.type == GATEHOUSE_DOUBLE && writes[3].set.d == 22.5); /* what was really set */
    assert_string_equal(writes[7].set.s, "abcd");
    server_end(&s, SIGTERM);
    assert_int_equal(write_requests(&s, addresses, 16), sizeof expected / sizeof *expected);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_int_equal(addresses[i], expected[i]);
    assert_int_equal(last_write(&s, "holding", 10), 225);
    assert_int_equal(last_write(&s, "holding", 11), 0xffff);
    assert_int_equal(last_write(&s, "holding", 12), 0xfffe);
    assert_int_equal(last_write(&s, "holding", 13), 7);
    assert_int_equal(last_write(&s, "holding", 15), 8);
    assert_int_equal(last_write(&s, "holding", 16), 9);
    assert_int_equal(last_write(&s, "holding", 18), 0x4321); /* each left the other's half alone */
    assert_int_equal(last_write(&s, "holding", 21), 0x6364);
    assert_int_equal(last_write(&s, "coil", 5), 1);
    assert_int_equal(last_write(&s, "coil", 6), 1);
    host_close(d);
    server_done(&s);
}

/* A refused request is made one by one; the answer says what was written before it failed. */
static void test_write_points_refused(void **state)
{
    static const char *const points[] = {"!a {\"table\": \"holding\", \"address\": 98, \"type\": \"uint16\"}",
                                         "!b {\"table\": \"holding\", \"address\": 99, \"type\": \"uint16\"}",
                                         "!c {\"table\": \"holding\", \"address\": 100, \"type\": \"uint16\"}", NULL};
    struct gatehouse_write writes[] = {{.point = "c", .value = {GATEHOUSE_INT, .x = 3}},
                                       {.point = "b", .value = {GATEHOUSE_INT, .x = 2}},
                                       {.point = "a", .value = {GATEHOUSE_INT, .x = 1}}};
    char error[256] = "";
    struct server s;

    (void)state;
    server_start(&s, command, NULL);
    struct gatehouse_device *d = host_open(section(&s), points);
    assert_true(host_load()->write_points(d->data, writes, 3, error, sizeof error) < 0);
    if (!strstr(error, "holding 100") || !strstr(error, "(written before: a, b)"))
        fail_msg("%s", error);
    server_end(&s, SIGTERM);
    assert_int_equal(last_write(&s, "holding", 98), 1);
    assert_int_equal(last_write(&s, "holding", 99), 2);
    host_close(d);
    server_done(&s);
}

/* One that cannot be written keeps the others from being written. */
static void test_write_points_impossible(void **state)
{
    static const char *const points[] = {"!a {\"table\": \"holding\", \"address\": 10, \"type\": \"int16\"}",
                                         "!b {\"table\": \"holding\", \"address\": 12, \"type\": \"int16\"}",
                                         "fixed {\"table\": \"holding\", \"address\": 30, \"type\": \"uint16\"}", NULL};
    static const struct {
        struct gatehouse_write other;
        int r;
        const char *words;
    } rows[] = {
        {{.point = "b", .value = {GATEHOUSE_INT, .x = 40000}}, -ERANGE, "b: beyond what the register can hold"},
        {{.point = "b", .value = {GATEHOUSE_STRING, .s = "x"}}, -EINVAL, "b: not a value of this type"},
        {{.point = "fixed", .value = {GATEHOUSE_INT, .x = 1}}, -EACCES, "fixed is not writable"},
        {{.point = "none", .value = {GATEHOUSE_INT, .x = 1}}, -ENOENT, "no such point: none"},
    };
    struct server s;

    (void)state;
    server_start(&s, command, NULL);
    struct gatehouse_device *d = host_open(section(&s), points);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct gatehouse_write writes[] = {{.point = "a", .value = {GATEHOUSE_INT, .x = 1}}, rows[i].other};
        char error[256] = "";
        assert_int_equal(host_load()->write_points(d->data, writes, 2, error, sizeof error), rows[i].r);
        if (!strstr(error, rows[i].words))
            fail_msg("%s", error);
    }
    server_end(&s, SIGTERM);
    assert_int_equal(last_write(&s, "holding", 10), UINT32_MAX);
    host_close(d);
    server_done(&s);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write_points),
        cmocka_unit_test(test_write_points_refused),
        cmocka_unit_test(test_write_points_impossible),
    };

    if (argc > 1 && strcmp(argv[1], "pymodbus") == 0) {
        if (system("/usr/bin/python3 -c 'import pymodbus' 2>/dev/null") != 0) {
            puts("skipped: /usr/bin/python3 has no pymodbus (python3-pymodbus)");
            return 77;
        }
        command = pymodbus_server;
    }
    return cmocka_run_group_tests_name("modbus-write", tests, NULL, NULL);
}
