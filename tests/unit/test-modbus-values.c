/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Points as they are configured: what their registers mean, and what a value that is written becomes. */

#include "modbus/config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define N(a) (sizeof(a) / sizeof((a)[0]))
#define REGISTERS 8
#define NONE "(none)"

static void complain(void *context, const char *pointer, const char *message)
{
    (void)context;
    fail_msg("%s: %s", pointer, message);
}

static struct modbus_config *read_point(const char *keys)
{
    struct gatehouse_point point = {.name = "p", .writable = true};
    struct modbus_config *c = NULL;
    char text[512];

    (void)snprintf(text, sizeof text, "{\"table\": \"holding\", \"address\": 0, %s}", keys);
    point.config = text;
    assert_int_equal(modbus_config_read("{\"url\": \"tcp://a\"}", &point, 1, complain, NULL, &c), 0);
    return c;
}

static const char *value_text(const struct gatehouse_value *v)
{
    static char text[300];

    switch (v->type) {
    case GATEHOUSE_BOOL:
        return v->b ? "true" : "false";
    case GATEHOUSE_INT:
        (void)snprintf(text, sizeof text, "%lld", (long long)v->x);
        break;
    case GATEHOUSE_UINT:
        (void)snprintf(text, sizeof text, "%llu", (unsigned long long)v->t);
        break;
    case GATEHOUSE_DOUBLE:
        (void)snprintf(text, sizeof text, "%.17g", v->d);
        break;
    case GATEHOUSE_STRING:
        (void)snprintf(text, sizeof text, "\"%s\"", v->s);
        break;
    }
    return text;
}

/* What is read, and written back: the same registers. */
static const struct {
    const char *keys;
    uint16_t registers[REGISTERS];
    const char *value;
} both[] = {
    {"\"type\": \"uint48\"", {1, 2, 3}, "4295098371"},
    {"\"type\": \"uint48\"", {0xffff, 0xffff, 0xffff}, "281474976710655"},
    {"\"type\": \"uint48\", \"order\": \"CDAB\"", {3, 2, 1}, "4295098371"},
    {"\"type\": \"uint48\", \"order\": \"FEDCBA\"", {0x0300, 0x0200, 0x0100}, "4295098371"},
    {"\"type\": \"int48\"", {0xffff, 0xffff, 0xfffe}, "-2"},
    {"\"type\": \"bcd16\"", {0x1234}, "1234"},
    {"\"type\": \"bcd16\", \"scale\": 0.1", {0x1234}, "123.40000000000001"},
    {"\"type\": \"bcd32\"", {0x1234, 0x5678}, "12345678"},
    {"\"type\": \"bcd32\", \"order\": \"CDAB\"", {0x5678, 0x1234}, "12345678"},
    {"\"type\": \"bcd64\"", {0x9999, 0x9999, 0x9999, 0x9999}, "9999999999999999"},
    {"\"type\": \"mod10k32\"", {1, 2345}, "12345"},
    {"\"type\": \"mod10k32\", \"order\": \"CDAB\"", {2345, 1}, "12345"},
    {"\"type\": \"mod10k48\"", {1, 0, 9999}, "100009999"},
    {"\"type\": \"mod10k64\"", {9999, 9999, 9999, 9999}, "9999999999999999"},
    {"\"type\": \"sm16\"", {0x8005}, "-5"},
    {"\"type\": \"sm16\"", {0x7fff}, "32767"},
    {"\"type\": \"sm32\"", {0x8000, 0x0001}, "-1"},
    {"\"type\": \"int64\", \"order\": \"CDAB\"", {4, 3, 2, 1}, "281483566841860"},
    {"\"type\": \"int64\", \"order\": \"CDABGHEF\"", {2, 1, 4, 3}, "281483566841860"},
    {"\"type\": \"uint16\", \"mask\": \"0x0ff0\"", {0x0120}, "18"},
    {"\"type\": \"uint16\", \"mask\": \"0x0ff0\", \"shift\": 0", {0x0120}, "288"},
    {"\"type\": \"int16\", \"mask\": \"0x00f0\"", {0x00e0}, "-2"},
    {"\"type\": \"uint16\", \"mask\": \"0xff00\", \"scale\": 0.5", {0x0300}, "1.5"},
    {"\"type\": \"uint16\", \"on\": 255, \"off\": 0", {255}, "true"},
    {"\"type\": \"uint16\", \"on\": 255, \"off\": 0, \"invert\": true", {255}, "false"},
    {"\"type\": \"uint16\", \"on\": \"0xff00\", \"off\": 0", {0}, "false"},
    {"\"type\": \"bit\", \"bit\": 3, \"invert\": true", {0x0008}, "false"},
    {"\"type\": \"uint16\", \"values\": [\"off\", \"heat\", \"cool\"]", {2}, "\"cool\""},
    {"\"type\": \"uint16\", \"values\": {\"4\": \"MPPT\", \"7\": \"fault\"}", {4}, "\"MPPT\""},
    {"\"type\": \"uint16\", \"mask\": \"0x0300\", \"values\": [\"a\", \"b\", \"c\"]", {0x0100}, "\"b\""},
    {"\"type\": \"uint16\", \"values\": [0, 5, 10]", {5}, "5"},
    /* raw values below zero, and those of types whose bits are no plain number */
    {"\"type\": \"int16\", \"values\": [-1, 0, 1]", {0xffff}, "-1"},
    {"\"type\": \"uint16\", \"values\": [\"0x8000\", 1]", {0x8000}, "32768"},
    {"\"type\": \"int16\", \"values\": {\"-1\": \"none\", \"1\": \"one\"}", {0xffff}, "\"none\""},
    {"\"type\": \"int16\", \"values\": {\"0x8000\": \"none\", \"1\": \"one\"}", {0x8000}, "\"none\""},
    {"\"type\": \"int32\", \"on\": -1, \"off\": 0", {0xffff, 0xffff}, "true"},
    {"\"type\": \"int16\", \"on\": 65280, \"off\": 0", {0xff00}, "true"},
    {"\"type\": \"sm16\", \"values\": {\"-5\": \"low\", \"5\": \"high\"}", {0x8005}, "\"low\""},
    {"\"type\": \"bcd16\", \"on\": 10, \"off\": 0", {0x0010}, "true"},
    {"\"type\": \"bcd16\", \"values\": [0, 10, 20]", {0x0020}, "20"},
    {"\"type\": \"mod10k32\", \"values\": {\"10001\": \"far\"}", {1, 1}, "\"far\""},
    {"\"type\": \"int16\", \"mask\": \"0x00f0\", \"values\": {\"-2\": \"down\", \"1\": \"up\"}", {0x00e0}, "\"down\""},
    {"\"type\": \"int16\", \"mask\": \"0x00f0\", \"on\": 14, \"off\": 0", {0x00e0}, "true"},
    /* more digits than a double holds for sure are written as they were read */
    {"\"type\": \"uint64\", \"scale\": 0.01", {0x0004, 0x62d5, 0x3c8a, 0xbac0}, "12345678901234.56"},
    {"\"type\": \"string\", \"length\": 3, \"chars\": \"low\"", {0x0041, 0x0062, 0x0063}, "\"Abc\""},
    {"\"type\": \"string\", \"length\": 3, \"chars\": \"high\"", {0x4100, 0x6200, 0x6300}, "\"Abc\""},
    {"\"type\": \"string\", \"length\": 4, \"words\": \"reversed\"", {0x6364, 0x4162}, "\"Abcd\""},
    {"\"type\": \"string\", \"length\": 4, \"words\": \"reversed\", \"order\": \"BA\"", {0x6463, 0x6241}, "\"Abcd\""},
    {"\"type\": \"string\", \"length\": 4, \"charset\": \"latin1\"", {0x4be4, 0x6c74}, "\"K\xc3\xa4lt\""},
    /* no binary dust, whatever the type */
    {"\"type\": \"uint32\", \"scale\": 0.00001", {1, 57920}, "1.23456"},
    {"\"type\": \"float32\", \"scale\": 0.1", {0xc3db, 0x4000}, "-43.850000000000001"},
    {"\"type\": \"float32\", \"scale\": 0.001", {0x449a, 0x51ec}, "1.23456"},
    {"\"type\": \"float64\", \"scale\": 0.1", {0x3fc9, 0x9999, 0x9999, 0x999a}, "0.02"},
};

static void test_both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < N(both); i++) {
        struct modbus_config *c = read_point(both[i].keys);
        const struct modbus_point *p = &c->points[0];
        char text[VALUE_TEXT_MAX], expected[40];
        uint16_t back[REGISTERS] = {0};
        struct gatehouse_value v;
        int r = modbus_decode(&p->format, both[i].registers, p->count, text, &v);
        if (r < 0)
            fail_msg("%s: %d", both[i].keys, r);
        /* A number as the nearest double to the decimal that is meant. */
        (void)snprintf(expected, sizeof expected, "%.17g", strtod(both[i].value, NULL));
        if (strcmp(value_text(&v), v.type == GATEHOUSE_DOUBLE ? expected : both[i].value) != 0)
            fail_msg("%s: %s, not %s", both[i].keys, value_text(&v), both[i].value);
        r = modbus_encode(&p->format, &v, back, p->count);
        if (r < 0 || memcmp(back, both[i].registers, sizeof back) != 0)
            fail_msg("%s: written back %d: %04x %04x %04x %04x", both[i].keys, r, back[0], back[1], back[2], back[3]);
        modbus_config_free(c);
    }
}

static const struct {
    const char *keys;
    uint16_t registers[REGISTERS];
} nothing[] = {
    {"\"type\": \"bcd16\"", {0x12a4}},
    {"\"type\": \"mod10k32\"", {1, 10000}},
    {"\"type\": \"uint16\", \"on\": 255, \"off\": 0", {1}},
    {"\"type\": \"uint16\", \"values\": [\"off\", \"on\"]", {2}},
    {"\"type\": \"uint16\", \"values\": [0, 5, 10]", {6}},
    {"\"type\": \"int16\", \"scale\": 0.1, \"valid_max\": 100", {1001}},
    {"\"type\": \"int16\", \"valid_min\": -40", {0xffd7}},
    {"\"type\": \"float32\", \"valid_max\": 100", {0x42ca, 0}},
    {"\"type\": \"string\", \"length\": 4", {0xffff, 0xffff}},
    {"\"type\": \"string\", \"length\": 4, \"charset\": \"latin1\"", {0xffff, 0xffff}},
    {"\"type\": \"uint16\", \"mask\": \"0x00ff\", \"invalid\": \"0x80ff\"", {0x80ff}},
};

static void test_no_value(void **state)
{
    (void)state;
    for (size_t i = 0; i < N(nothing); i++) {
        struct modbus_config *c = read_point(nothing[i].keys);
        char text[VALUE_TEXT_MAX];
        struct gatehouse_value v;
        int r = modbus_decode(&c->points[0].format, nothing[i].registers, c->points[0].count, text, &v);
        if (r != -ENODATA)
            fail_msg("%s: %d", nothing[i].keys, r);
        modbus_config_free(c);
    }
}

static const struct {
    const char *keys;
    struct gatehouse_value value;
    int r;
    uint16_t before, after; /* the first register */
} writes[] = {
    {"\"type\": \"uint16\", \"mask\": \"0x0ff0\"", {GATEHOUSE_UINT, .t = 0xab}, 0, 0xf00f, 0xfabf},
    {"\"type\": \"uint16\", \"mask\": \"0x0ff0\"", {GATEHOUSE_UINT, .t = 0x100}, -ERANGE, 0, 0},
    {"\"type\": \"int16\", \"mask\": \"0x00f0\"", {GATEHOUSE_INT, .x = -8}, 0, 0xffff, 0xff8f},
    {"\"type\": \"int16\", \"mask\": \"0x00f0\"", {GATEHOUSE_INT, .x = 8}, -ERANGE, 0, 0},
    {"\"type\": \"int16\", \"mask\": \"0x00f0\"", {GATEHOUSE_INT, .x = -9}, -ERANGE, 0, 0},
    {"\"type\": \"uint16\", \"on\": 7, \"off\": 3", {GATEHOUSE_BOOL, .b = true}, 0, 0, 7},
    {"\"type\": \"uint16\", \"on\": 7, \"off\": 3", {GATEHOUSE_STRING, .s = "off"}, 0, 0, 3},
    {"\"type\": \"uint16\", \"on\": 7, \"off\": 3", {GATEHOUSE_INT, .x = 7}, -ERANGE, 0, 0},
    {"\"type\": \"uint16\", \"on\": 7, \"off\": 3, \"invert\": true", {GATEHOUSE_BOOL, .b = true}, 0, 0, 3},
    {"\"type\": \"uint16\", \"values\": [\"off\", \"on\"]", {GATEHOUSE_STRING, .s = "on"}, 0, 0, 1},
    {"\"type\": \"uint16\", \"values\": [\"off\", \"on\"]", {GATEHOUSE_STRING, .s = "away"}, -EINVAL, 0, 0},
    {"\"type\": \"uint16\", \"values\": [\"off\", \"on\"]", {GATEHOUSE_INT, .x = 1}, 0, 0, 1},
    {"\"type\": \"uint16\", \"values\": [0, 5]", {GATEHOUSE_INT, .x = 4}, -ERANGE, 0, 0},
    {"\"type\": \"bcd16\"", {GATEHOUSE_INT, .x = 10000}, -ERANGE, 0, 0},
    {"\"type\": \"mod10k32\"", {GATEHOUSE_INT, .x = -1}, -ERANGE, 0, 0},
    {"\"type\": \"sm16\"", {GATEHOUSE_INT, .x = -32768}, -ERANGE, 0, 0},
    {"\"type\": \"string\", \"length\": 2, \"charset\": \"latin1\"",
     {GATEHOUSE_STRING, .s = "\xe2\x82\xac"},
     -EINVAL,
     0,
     0},
    {"\"type\": \"string\", \"length\": 2, \"charset\": \"latin1\"",
     {GATEHOUSE_STRING, .s = "\xc3\xa4z"},
     0,
     0,
     0xe47a},
};

static void test_writes(void **state)
{
    (void)state;
    for (size_t i = 0; i < N(writes); i++) {
        struct modbus_config *c = read_point(writes[i].keys);
        uint16_t registers[REGISTERS] = {writes[i].before};
        char range[256];
        int r = modbus_encode(&c->points[0].format, &writes[i].value, registers, c->points[0].count);
        if (r != writes[i].r || (r == 0 && registers[0] != writes[i].after))
            fail_msg("%s: %d, %04x", writes[i].keys, r, registers[0]);
        modbus_range_text(&c->points[0].format, range, sizeof range);
        assert_true(strlen(range) > 3);
        modbus_config_free(c);
    }
}

static void test_scale_exponent(void **state)
{
    struct modbus_config *c = read_point("\"type\": \"int16\", \"scale_register\": 3");
    uint16_t registers[2] = {12345};
    struct gatehouse_value v;

    (void)state;
    assert_int_equal(c->points[0].read_count, 4);
    struct modbus_format f = modbus_format_scaled(&c->points[0].format, -2);
    assert_int_equal(modbus_decode(&f, registers, 1, NULL, &v), 0);
    assert_true(v.d == 123.45);
    f = modbus_format_scaled(&c->points[0].format, 3);
    assert_int_equal(modbus_decode(&f, registers, 1, NULL, &v), 0);
    assert_true(v.d == 12345000);
    f = modbus_format_scaled(&c->points[0].format, -10);
    assert_int_equal(modbus_decode(&f, registers, 1, NULL, &v), 0);
    assert_true(v.d == 0.0000012345);
    modbus_config_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways),
        cmocka_unit_test(test_no_value),
        cmocka_unit_test(test_writes),
        cmocka_unit_test(test_scale_exponent),
    };

    return cmocka_run_group_tests_name("modbus-values", tests, NULL, NULL);
}
