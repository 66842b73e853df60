/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The configurations that the sim plugin takes and refuses, and its signals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "signal.h"

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static void note(void *context, const char *pointer, const char *message)
{
    snprintf(context, 128, "%s", pointer);
}

static void test_durations(void **state)
{
    const struct {
        const char *text;
        uint64_t value; /* 0: refused */
    } rows[] = {{"250us", 250},
                {"100ms", 100000},
                {"1s", 1000000},
                {"5min", 300000000},
                {"24h", 86400000000},
                {"90d", 7776000000000},
                {"0s", 0},
                {"1", 0},
                {"s", 0},
                {"-1s", 0},
                {"1.5s", 0},
                {" 1s", 0},
                {"1s ", 0},
                {"99999999999999999999s", 0},
                {"999999999999999999d", 0},
                {"", 0}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t value = 0;

        assert_int_equal(sim_duration_parse(rows[i].text, &value), rows[i].value ? 0 : -22);
        assert_int_equal(value, rows[i].value);
    }
}

static void test_section(void **state)
{
    const struct {
        const char *json, *pointer;
    } rows[] = {{"{}", ""},
                {"{\"interval\": \"100ms\", \"count\": 5, \"shared\": true}", ""},
                {"{\"interval\": 1}", "/section/interval"},
                {"{\"count\": 0}", "/section/count"},
                {"{\"shared\": 1}", "/section/shared"},
                {"{\"intervall\": \"1s\"}", "/section/intervall"},
                {"[]", "/section"},
                {"{", "/section"}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char pointer[128] = "";
        struct sim_section s;

        assert_int_equal(sim_section_parse(rows[i].json, &s, note, pointer), rows[i].pointer[0] ? -22 : 0);
        assert_string_equal(pointer, rows[i].pointer);
    }
}

static void test_point(void **state)
{
    const struct {
        const char *json, *pointer;
    } rows[] = {{"{}", ""},
                {"{\"signal\": \"saw\", \"period\": \"1s\", \"amplitude\": 2, \"offset\": -0.5}", ""},
                {"{\"signal\": \"constant\", \"value\": \"open\"}", ""},
                {"{\"fault\": \"hang\"}", ""},
                {"{\"signal\": \"triangle\"}", "/points/p/signal"},
                {"{\"fault\": true}", "/points/p/fault"},
                {"{\"amplitude\": \"big\"}", "/points/p/amplitude"},
                {"{\"value\": null}", "/points/p/value"},
                {"{\"perod\": \"1s\"}", "/points/p/perod"}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char pointer[128] = "";
        struct sim_point p;

        assert_int_equal(sim_point_parse("p", rows[i].json, &p, note, pointer), rows[i].pointer[0] ? -22 : 0);
        assert_string_equal(pointer, rows[i].pointer);
    }
}

static void test_signals(void **state)
{
    const struct {
        const char *json;
        uint64_t now;
        double value;
    } rows[] = {{"{\"signal\": \"sine\", \"period\": \"4s\"}", 1000000, 1},
                {"{\"signal\": \"sine\", \"period\": \"4s\", \"amplitude\": 2, \"offset\": 10}", 3000000, 8},
                {"{\"signal\": \"square\", \"period\": \"4s\"}", 1900000, 1},
                {"{\"signal\": \"square\", \"period\": \"4s\"}", 2100000, -1},
                {"{\"signal\": \"saw\", \"period\": \"4s\"}", 3000000, 0.5},
                {"{\"signal\": \"random\"}", 0, 0.5}};
    struct gatehouse_value v;
    struct sim_point p;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(sim_point_parse("p", rows[i].json, &p, NULL, NULL), 0);
        v = sim_signal_at(&p, rows[i].now, 0, 0.75);
        assert_int_equal(v.type, GATEHOUSE_DOUBLE);
        assert_true(v.d > rows[i].value - 1e-9 && v.d < rows[i].value + 1e-9);
    }
    assert_int_equal(sim_point_parse("p", "{\"signal\": \"counter\"}", &p, NULL, NULL), 0);
    v = sim_signal_at(&p, 0, 41, 0);
    assert_int_equal(v.type, GATEHOUSE_UINT);
    assert_int_equal(v.t, 41);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_section),
        cmocka_unit_test(test_point),
        cmocka_unit_test(test_signals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
