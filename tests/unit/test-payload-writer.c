/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* JSON and CBOR, byte for byte: the examples of RFC 8949 appendix A, and each number of half precision. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "payload/senml.h"
#include "payload/writer.h"

#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *hex(struct writer *w)
{
    static char text[2048];

    text[0] = 0;
    for (size_t i = 0; i < w->out.length; i++)
        snprintf(text + 2 * i, 3, "%02x", (unsigned)(uint8_t)w->out.text[i]);
    strbuf_done(&w->out);
    return text;
}

static const char *text(struct writer *w)
{
    static char copy[2048];

    snprintf(copy, sizeof(copy), "%s", w->out.text ?: "");
    strbuf_done(&w->out);
    return copy;
}

static void test_doubles(void **state)
{
    static const struct {
        double value;
        const char *cbor, *json;
    } table[] = {
        {0.0, "f90000", "0"},
        {-0.0, "f98000", "-0"},
        {1.0, "f93c00", "1"},
        {1.1, "fb3ff199999999999a", "1.1"},
        {1.5, "f93e00", "1.5"},
        {65504.0, "f97bff", "65504"},
        {100000.0, "fa47c35000", "100000"},
        {3.4028234663852886e+38, "fa7f7fffff", "3.4028234663852886e+38"},
        {1.0e+300, "fb7e37e43c8800759c", "1e+300"},
        {5.960464477539063e-8, "f90001", "5.9604644775390625e-08"},
        {0.00006103515625, "f90400", "6.103515625e-05"},
        {-4.0, "f9c400", "-4"},
        {-4.1, "fbc010666666666666", "-4.1"},
        {65505.0, "fa477fe100", "65505"},
        {FLT_TRUE_MIN, "fa00000001", "1.401298464324817e-45"},
        {DBL_TRUE_MIN, "fb0000000000000001", "4.94065645841247e-324"},
        {0.1, "fb3fb999999999999a", "0.1"},
    };

    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        struct writer cbor = {.cbor = true}, json = {0};

        writer_double(&cbor, table[i].value);
        writer_double(&json, table[i].value);
        assert_string_equal(hex(&cbor), table[i].cbor);
        assert_string_equal(text(&json), table[i].json);
    }
}

/* Each finite half is written as itself, and its neighbours among the singles are not. */
static void test_halves(void **state)
{
    for (unsigned bits = 0; bits < 0x10000; bits++) {
        unsigned exponent = bits >> 10 & 31, mantissa = bits & 1023;
        double value = exponent == 0 ? ldexp(mantissa, -24) : ldexp(mantissa + 1024, (int)exponent - 25);
        struct writer w = {.cbor = true}, next = {.cbor = true};
        char expected[8];

        if (exponent == 31)
            continue;
        value = bits & 0x8000 ? -value : value;
        writer_double(&w, value);
        snprintf(expected, sizeof(expected), "f9%04x", bits);
        assert_string_equal(hex(&w), expected);
        writer_double(&next, nextafterf((float)value, INFINITY));
        assert_int_equal(next.out.length, 5);
        strbuf_done(&next.out);
    }
}

static void test_integers(void **state)
{
    static const struct {
        struct sample_value value;
        const char *cbor, *json;
    } table[] = {
        {{SAMPLE_INT, .x = 0}, "00", "0"},
        {{SAMPLE_INT, .x = 23}, "17", "23"},
        {{SAMPLE_INT, .x = 24}, "1818", "24"},
        {{SAMPLE_INT, .x = 255}, "18ff", "255"},
        {{SAMPLE_INT, .x = 256}, "190100", "256"},
        {{SAMPLE_INT, .x = 1000000}, "1a000f4240", "1000000"},
        {{SAMPLE_INT, .x = 1000000000000}, "1b000000e8d4a51000", "1000000000000"},
        {{SAMPLE_UINT, .t = UINT64_MAX}, "1bffffffffffffffff", "18446744073709551615"},
        {{SAMPLE_INT, .x = -1}, "20", "-1"},
        {{SAMPLE_INT, .x = -10}, "29", "-10"},
        {{SAMPLE_INT, .x = -1000}, "3903e7", "-1000"},
        {{SAMPLE_INT, .x = INT64_MIN}, "3b7fffffffffffffff", "-9223372036854775808"},
        {{SAMPLE_BOOL, .b = true}, "f5", "true"},
        {{SAMPLE_BOOL, .b = false}, "f4", "false"},
        {{SAMPLE_STRING, .s = ""}, "60", "\"\""},
        {{SAMPLE_STRING, .s = "\"\\\n\t\xc3\xbc"}, "66225c0a09c3bc", "\"\\\"\\\\\\n\\u0009\xc3\xbc\""},
    };

    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        struct writer cbor = {.cbor = true}, json = {0};

        writer_value(&cbor, &table[i].value);
        writer_value(&json, &table[i].value);
        assert_string_equal(hex(&cbor), table[i].cbor);
        assert_string_equal(text(&json), table[i].json);
    }
}

static void nested(struct writer *w)
{
    writer_array(w, 3);
    writer_object(w, 2);
    writer_key(w, "a");
    writer_array(w, 0);
    writer_array_end(w);
    writer_key(w, "bn");
    writer_null(w);
    writer_object_end(w);
    writer_object(w, 0);
    writer_object_end(w);
    writer_int(w, 1);
    writer_array_end(w);
}

static void test_containers(void **state)
{
    struct writer json = {0}, cbor = {.cbor = true}, labels = {.cbor = true, .labels = true};

    nested(&json);
    nested(&cbor);
    nested(&labels);
    assert_string_equal(text(&json), "[{\"a\":[],\"bn\":null},{},1]");
    assert_string_equal(hex(&cbor), "83a26161806262"
                                    "6ef6a001");
    assert_string_equal(hex(&labels), "83a261618021f6a001");
}

static void test_times(void **state)
{
    static const struct {
        uint64_t usec;
        const char *seconds, *iso;
    } table[] = {
        {0, "0", "1970-01-01T00:00:00Z"},
        {1, "0.000001", "1970-01-01T00:00:00.000001Z"},
        {1700000000500000, "1700000000.5", "2023-11-14T22:13:20.5Z"},
        {1709210096000010, "1709210096.00001", "2024-02-29T12:34:56.00001Z"},
    };
    struct writer negative = {0}, cbor = {.cbor = true};

    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        struct writer w = {0};

        writer_seconds(&w, false, table[i].usec);
        assert_string_equal(text(&w), table[i].seconds);
        iso_format(&w.out, table[i].usec);
        assert_string_equal(text(&w), table[i].iso);
    }
    writer_seconds(&negative, true, 1500000);
    assert_string_equal(text(&negative), "-1.5");
    writer_seconds(&cbor, true, 3000000);
    writer_seconds(&cbor, false, 1700000000000000);
    writer_seconds(&cbor, false, 1700000000000001);
    assert_string_equal(hex(&cbor), "221a6553f100fb41d954fc40000004");
}

/* In CBOR a time of this century is the double nearest to it, and so never that of another microsecond. */
static void test_microseconds(void **state)
{
    for (uint64_t usec = 4102444799000000; usec < 4102444799001000; usec++) {
        double seconds = (double)usec / 1e6;

        assert_true((uint64_t)llround(seconds * 1e6) == usec);
    }
}

/* RFC 8428 section 5.1.1 and 5.1.2, in our terms; section 6's labels. */
static void test_senml(void **state)
{
    const struct sample samples[] = {{"temperature", 1276020076001000, {SAMPLE_DOUBLE, .d = 23.1}, "Cel", 0},
                                     {"voltage", 1276020071001000, {SAMPLE_DOUBLE, .d = 120.1}, "V", 0}};
    _cleanup_free_ char *json = NULL;
    struct writer cbor = {0};
    size_t size;

    assert_int_equal(senml_pack(false, "urn:dev:ow:10e2073a01080063:", samples, 2, 1000, &json, &size), 2);
    assert_string_equal(
        json, "[{\"bn\":\"urn:dev:ow:10e2073a01080063:\",\"bt\":1276020076.001,\"n\":\"temperature\",\"u\":\"Cel\","
              "\"v\":23.1},{\"n\":\"voltage\",\"t\":-5,\"u\":\"V\",\"v\":120.1}]");
    assert_int_equal(senml_pack(true, "d:", samples, 2, 1000, &cbor.out.text, &cbor.out.length), 2);
    assert_string_equal(hex(&cbor), "82a52162643a22fb41d303a15b0010620"
                                    "06b74656d7065726174757265016343656c02fb403719999999999aa4"
                                    "0067766f6c7461676506240161"
                                    "5602fb405e066666666666");
}

static void test_senml_bounds(void **state)
{
    struct sample samples[300];

    for (size_t i = 0; i < ELEMENTSOF(samples); i++)
        samples[i] = (struct sample){"p", 1000000 * i, {SAMPLE_INT, .x = (int64_t)i}, "", 0};
    for (size_t max = 20; max < 3000; max += 7) {
        _cleanup_free_ char *body = NULL, *again = NULL;
        size_t size, size_again;
        int taken = senml_pack(true, "d:", samples, ELEMENTSOF(samples), max, &body, &size);

        assert_true(taken > 0 && size <= max);
        assert_int_equal(senml_pack(true, "d:", samples, (size_t)taken, max, &again, &size_again), taken);
        assert_memory_equal(again, body, size);
        assert_int_equal((uint8_t)body[0] & 0xe0, 0x80);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_doubles),    cmocka_unit_test(test_halves),       cmocka_unit_test(test_integers),
        cmocka_unit_test(test_containers), cmocka_unit_test(test_times),        cmocka_unit_test(test_microseconds),
        cmocka_unit_test(test_senml),      cmocka_unit_test(test_senml_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
