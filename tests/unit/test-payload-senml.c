/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SenML packs: their very bytes, and that what json-c reads from them is what was put in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "payload/senml.h"

#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define T UINT64_C(1700000000123456)

static const struct {
    const char *what;
    struct sample samples[4];
    const char *body;
} table[] = {
    {"one",
     {{"flow", T, {SAMPLE_DOUBLE, .d = 20.5}, "Cel", 0}},
     "[{\"bn\":\"b:\",\"bt\":1700000000.123456,\"n\":\"flow\",\"u\":\"Cel\",\"v\":20.5}]"},
    {"a unit in common",
     {{"a", T, {SAMPLE_DOUBLE, .d = 0.1}, "Cel", 0}, {"b", T + 1000000, {SAMPLE_DOUBLE, .d = -1e22}, "Cel", 0}},
     "[{\"bn\":\"b:\",\"bt\":1700000000.123456,\"bu\":\"Cel\",\"n\":\"a\",\"v\":0.1},"
     "{\"n\":\"b\",\"t\":1,\"v\":-1e+22}]"},
    {"units of their own",
     {{"a", T, {SAMPLE_INT, .x = INT64_MIN}, "W", 0}, {"b", T, {SAMPLE_UINT, .t = UINT64_MAX}, "Cel", 0}},
     "[{\"bn\":\"b:\",\"bt\":1700000000.123456,\"n\":\"a\",\"u\":\"W\",\"v\":-9223372036854775808},"
     "{\"n\":\"b\",\"u\":\"Cel\",\"v\":18446744073709551615}]"},
    {"no unit, and then one",
     {{"a", T, {SAMPLE_BOOL, .b = true}, "", 0}, {"b", T, {SAMPLE_BOOL, .b = false}, "x", 0}},
     "[{\"bn\":\"b:\",\"bt\":1700000000.123456,\"n\":\"a\",\"vb\":true},{\"n\":\"b\",\"u\":\"x\",\"vb\":false}]"},
    {"times",
     {{"a", 1700000000000000, {SAMPLE_INT, .x = 1}, "", 0},
      {"a", 1700000000000001, {SAMPLE_INT, .x = 2}, "", 0},
      {"a", 1700000000100000, {SAMPLE_INT, .x = 3}, "", 0},
      {"a", 1699999998999999, {SAMPLE_INT, .x = 4}, "", 0}},
     "[{\"bn\":\"b:\",\"bt\":1700000000,\"n\":\"a\",\"v\":1},{\"n\":\"a\",\"t\":0.000001,\"v\":2},"
     "{\"n\":\"a\",\"t\":0.1,\"v\":3},{\"n\":\"a\",\"t\":-1.000001,\"v\":4}]"},
    {"text",
     {{"s", 5000000, {SAMPLE_STRING, .s = "a\"b\\c\nd\x01\x7f/\xc3\xa4\xf0\x9f\x98\x80"}, "\"", 0}},
     "[{\"bn\":\"b:\",\"bt\":5,\"n\":\"s\",\"u\":\"\\\"\",\"vs\":\"a\\\"b\\\\c\\nd\\u0001\x7f/\xc3\xa4\xf0\x9f\x98\x80"
     "\"}]"},
    {"quality",
     {{"a", 5000000, {SAMPLE_INT, .x = 1}, "", SAMPLE_BAD | SAMPLE_STALE},
      {"a", 5000000, {SAMPLE_INT, .x = 2}, "", SAMPLE_OUT_OF_RANGE | SAMPLE_STALE},
      {"a", 5000000, {SAMPLE_INT, .x = 3}, "", SAMPLE_STALE},
      {"a", 5000000, {SAMPLE_INT, .x = 4}, "", SAMPLE_GOOD}},
     "[{\"bn\":\"b:\",\"bt\":5,\"n\":\"a/bad\",\"v\":1},{\"n\":\"a/out-of-range\",\"v\":2},"
     "{\"n\":\"a/stale\",\"v\":3},{\"n\":\"a\",\"v\":4}]"},
};

static void test_bytes(void **state)
{
    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        _cleanup_free_ char *body = NULL;
        size_t n = 0, size;

        while (n < 4 && table[i].samples[n].point)
            n++;
        assert_int_equal(senml_pack(false, "b:", table[i].samples, n, 4096, &body, &size), n);
        if (strcmp(body, table[i].body) != 0)
            fail_msg("%s: %s", table[i].what, body);
        assert_int_equal(size, strlen(body));
    }
}

static void test_what_cannot_be_said(void **state)
{
    struct sample samples[] = {
        {"a", T, {SAMPLE_INT, .x = 1}, "", 0},
        {"a", T, {SAMPLE_DOUBLE, .d = NAN}, "", 0},
        {"a", T, {SAMPLE_DOUBLE, .d = INFINITY}, "", 0},
        {"a", T, {SAMPLE_INT, .x = 1}, "", SAMPLE_BOOTTIME},
        {"long", T, {SAMPLE_STRING, .s = "0123456789012345678901234567890123456789"}, "", 0},
    };
    char *body = NULL;
    size_t size;

    assert_int_equal(senml_pack(false, "b:", samples, 5, 4096, &body, &size), 1);
    free(body);
    body = NULL;
    for (int i = 1; i <= 3; i++)
        assert_int_equal(senml_pack(false, "b:", &samples[i], 1, 4096, &body, &size), -EINVAL);
    assert_int_equal(senml_pack(false, "b:", samples, 0, 4096, &body, &size), -EINVAL);
    assert_int_equal(senml_pack(false, "b:", &samples[4], 1, 64, &body, &size), -EMSGSIZE);
    assert_null(body);
}

/* ---- Random samples ---- */

static double random_double(void)
{
    union {
        uint64_t u;
        double d;
    } v;

    do
        v.u = (uint64_t)rand() << 42 ^ (uint64_t)rand() << 21 ^ (uint64_t)rand();
    while (!isfinite(v.d));
    return v.d;
}

static struct sample random_sample(uint64_t now)
{
    static const char *const points[] = {"a", "flow_temp", "x.y-z", "0"};
    static const char *const units[] = {"Cel", "Cel", "Cel", "%RH", ""};
    static const char *const texts[] = {"", "on", "\"\\/\b\f\n\r\t\x02", "\xe2\x82\xac",
                                        "a longer text than the others"};
    struct sample s = {.point = points[rand() % 4], .unit = units[rand() % 5]};

    s.time = now + (uint64_t)(rand() % 3) * (uint64_t)(rand() % 5000000);
    switch (rand() % 5) {
    case 0:
        s.value = (struct sample_value){SAMPLE_BOOL, .b = rand() % 2};
        break;
    case 1:
        s.value = (struct sample_value){SAMPLE_INT, .x = (int64_t)rand() << (rand() % 33) ^ -(rand() % 2)};
        break;
    case 2:
        s.value = (struct sample_value){SAMPLE_UINT, .t = (uint64_t)rand() << (rand() % 34)};
        break;
    case 3:
        s.value = (struct sample_value){SAMPLE_DOUBLE, .d = rand() % 2 ? random_double() : rand() % 1000 / 10.0};
        break;
    default:
        s.value = (struct sample_value){SAMPLE_STRING, .s = texts[rand() % 5]};
        break;
    }
    return s;
}

static void check_value(json_object *record, const struct sample *s)
{
    const char *key = s->value.type == SAMPLE_BOOL ? "vb" : s->value.type == SAMPLE_STRING ? "vs" : "v";
    json_object *v;

    assert_true(json_object_object_get_ex(record, key, &v));
    switch (s->value.type) {
    case SAMPLE_BOOL:
        assert_int_equal(json_object_get_boolean(v), s->value.b);
        break;
    case SAMPLE_INT:
        assert_true(json_object_get_int64(v) == s->value.x);
        break;
    case SAMPLE_UINT:
        assert_true(json_object_get_uint64(v) == s->value.t);
        break;
    case SAMPLE_DOUBLE:
        assert_true(json_object_get_double(v) == s->value.d);
        break;
    case SAMPLE_STRING:
        assert_string_equal(json_object_get_string(v), s->value.s);
        break;
    }
}

/* A receiver that resolves as RFC 8428 section 4.6 says, in doubles. */
static void check_pack(const char *body, size_t size, const struct sample *samples, size_t n)
{
    _cleanup_json_ json_object *pack = NULL;
    const char *base_unit = "";
    double base_time = 0;

    struct error e = {0};

    if (json_parse(body, size, &pack, &e) < 0)
        fail_msg("%s: %s", e.text, body);
    assert_int_equal(json_object_array_length(pack), n);
    for (size_t i = 0; i < n; i++) {
        json_object *record = json_object_array_get_idx(pack, i), *v;
        double time = 0;

        if (json_object_object_get_ex(record, "bt", &v))
            base_time = json_object_get_double(v);
        if (json_object_object_get_ex(record, "bu", &v))
            base_unit = json_object_get_string(v);
        if (json_object_object_get_ex(record, "t", &v))
            time = json_object_get_double(v);
        assert_true((uint64_t)llround((base_time + time) * 1e6) == samples[i].time);
        assert_string_equal(json_get_string(record, "n"), samples[i].point);
        assert_string_equal(json_get_string(record, "u") ?: base_unit, samples[i].unit);
        assert_string_equal(json_get_string(record, "bn") ?: "dev:", "dev:");
        check_value(record, &samples[i]);
    }
}

static void test_random(void **state)
{
    srand(3);
    for (int round = 0; round < 5000; round++) {
        _cleanup_free_ char *body = NULL, *again = NULL, *smaller = NULL;
        struct sample samples[40];
        size_t n = 1 + (size_t)(rand() % 40), max = 120 + (size_t)(rand() % 1200), size, size_again;
        int taken, r;

        for (size_t i = 0; i < n; i++)
            samples[i] = random_sample(T + i * 1000000);
        taken = senml_pack(false, "dev:", samples, n, max, &body, &size);
        if (taken == -EMSGSIZE)
            continue;
        assert_true(taken >= 1 && (size_t)taken <= n);
        assert_true(size <= max && strlen(body) == size);
        check_pack(body, size, samples, (size_t)taken);
        /* A retry passes what was taken, and has the same bytes. */
        assert_int_equal(senml_pack(false, "dev:", samples, (size_t)taken, max, &again, &size_again), taken);
        assert_string_equal(again, body);
        /* Within one byte less it is another pack. */
        r = senml_pack(false, "dev:", samples, (size_t)taken, size - 1, &smaller, &size_again);
        assert_true(r == -EMSGSIZE || r < taken);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_what_cannot_be_said),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
