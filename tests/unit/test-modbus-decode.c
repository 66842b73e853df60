/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "modbus/decode.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define N(a) (sizeof(a) / sizeof((a)[0]))

static struct modbus_format format(enum modbus_type type, const char *order, unsigned bit)
{
    return (struct modbus_format){
        .type = type, .order = modbus_order(type, order), .bit = bit, .scale = 1, .decimals = -1};
}

/* Integers are exact, in both directions. */
static const struct {
    enum modbus_type type;
    const char *order;
    unsigned bit;
    uint16_t registers[4];
    enum gatehouse_type is;
    int64_t value;
} integers[] = {
    {TYPE_BIT, NULL, 0, {0x0001}, GATEHOUSE_BOOL, 1},
    {TYPE_BIT, NULL, 15, {0x8000}, GATEHOUSE_BOOL, 1},
    {TYPE_BIT, NULL, 15, {0x0000}, GATEHOUSE_BOOL, 0},
    {TYPE_INT8H, NULL, 0, {0xfe00}, GATEHOUSE_INT, -2},
    {TYPE_INT8L, NULL, 0, {0x0080}, GATEHOUSE_INT, -128},
    {TYPE_UINT8H, NULL, 0, {0xfe00}, GATEHOUSE_UINT, 254},
    {TYPE_UINT8L, NULL, 0, {0x00ff}, GATEHOUSE_UINT, 255},
    {TYPE_INT16, NULL, 0, {0xffff}, GATEHOUSE_INT, -1},
    {TYPE_INT16, "BA", 0, {0x0080}, GATEHOUSE_INT, -32768},
    {TYPE_UINT16, "AB", 0, {0x1234}, GATEHOUSE_UINT, 0x1234},
    {TYPE_UINT16, "BA", 0, {0x1234}, GATEHOUSE_UINT, 0x3412},
    {TYPE_INT32, "ABCD", 0, {0xf8a4, 0x32eb}, GATEHOUSE_INT, -123456789},
    {TYPE_UINT32, "ABCD", 0, {0x0102, 0x0304}, GATEHOUSE_UINT, 0x01020304},
    {TYPE_UINT32, "DCBA", 0, {0x0403, 0x0201}, GATEHOUSE_UINT, 0x01020304},
    {TYPE_UINT32, "BADC", 0, {0x0201, 0x0403}, GATEHOUSE_UINT, 0x01020304},
    {TYPE_UINT32, "CDAB", 0, {0x0304, 0x0102}, GATEHOUSE_UINT, 0x01020304},
    {TYPE_UINT32, NULL, 0, {0xffff, 0xffff}, GATEHOUSE_UINT, 0xffffffff},
    {TYPE_INT64, NULL, 0, {0x8000, 0, 0, 0}, GATEHOUSE_INT, INT64_MIN},
    {TYPE_INT64, NULL, 0, {0x0020, 0, 0, 1}, GATEHOUSE_INT, (INT64_C(1) << 53) + 1},
    {TYPE_UINT64, "ABCDEFGH", 0, {0x0102, 0x0304, 0x0506, 0x0708}, GATEHOUSE_UINT, 0x0102030405060708},
    {TYPE_UINT64, "HGFEDCBA", 0, {0x0807, 0x0605, 0x0403, 0x0201}, GATEHOUSE_UINT, 0x0102030405060708},
    {TYPE_UINT64, "BADCFEHG", 0, {0x0201, 0x0403, 0x0605, 0x0807}, GATEHOUSE_UINT, 0x0102030405060708},
    {TYPE_UINT64, "GHEFCDAB", 0, {0x0708, 0x0506, 0x0304, 0x0102}, GATEHOUSE_UINT, 0x0102030405060708},
    {TYPE_UINT64, "EFGHABCD", 0, {0x0506, 0x0708, 0x0102, 0x0304}, GATEHOUSE_UINT, 0x0102030405060708},
};

static void test_integers(void **state)
{
    (void)state;
    for (size_t i = 0; i < N(integers); i++) {
        struct modbus_format f = format(integers[i].type, integers[i].order, integers[i].bit);
        struct gatehouse_value v;
        uint16_t back[4] = {0};
        assert_int_equal(modbus_decode(&f, integers[i].registers, 4, NULL, &v), 0);
        assert_int_equal(v.type, integers[i].is);
        assert_int_equal(v.type == GATEHOUSE_BOOL ? v.b : v.x, integers[i].value);
        assert_int_equal(modbus_encode(&f, &v, back, 4), 0);
        assert_memory_equal(back, integers[i].registers, sizeof back);
        assert_int_equal(modbus_decode(&f, integers[i].registers, modbus_format_registers(&f) - 1, NULL, &v), -EINVAL);
    }
}

/* Scaled and floating values; `back` is what writing the value gives. */
static const struct {
    enum modbus_type type;
    double scale, offset;
    int decimals;
    uint16_t registers[4];
    double value;
} doubles[] = {
    {TYPE_INT16, 0.1, 0, 1, {215}, 21.5},
    {TYPE_INT16, 0.1, 0, 1, {3}, 0.3},
    {TYPE_INT16, 0.1, 0, 1, {0xffff}, -0.1},
    {TYPE_UINT16, 0.01, -40, 2, {6512}, 25.12},
    {TYPE_UINT16, 10, 0, 0, {6}, 60},
    {TYPE_UINT16, 0.001, 0, 3, {0}, 0},
    {TYPE_INT32, 0.001, 0, 3, {0xffff, 0xfc18}, -1},
    {TYPE_UINT32, 0.1, 0, 1, {0xffff, 0xffff}, 429496729.5},
    {TYPE_FLOAT32, 1, 0, -1, {0x41aa, 0x6666}, 21.3},
    {TYPE_FLOAT32, 1, 0, -1, {0x7f7f, 0xffff}, 3.4028234663852886e38},
    {TYPE_FLOAT32, 1, 0, -1, {0x0000, 0x0001}, 1.4013e-45},
    {TYPE_FLOAT32, 1, 0, -1, {0x4b80, 0x0000}, 16777216},
    {TYPE_FLOAT64, 1, 0, -1, {0xc071, 0x1266, 0x6666, 0x6666}, -273.15},
    {TYPE_FLOAT16, 1, 0, -1, {0x3c00}, 1},
    {TYPE_FLOAT16, 1, 0, -1, {0xc000}, -2},
    {TYPE_FLOAT16, 1, 0, -1, {0x7bff}, 65504},
    {TYPE_FLOAT16, 1, 0, -1, {0x0001}, 0x1p-24},
    {TYPE_FLOAT16, 1, 0, -1, {0x03ff}, 0x3ffp-24},
    {TYPE_FLOAT16, 1, 0, -1, {0x0400}, 0x1p-14},
};

static void test_doubles(void **state)
{
    (void)state;
    for (size_t i = 0; i < N(doubles); i++) {
        struct modbus_format f = format(doubles[i].type, NULL, 0);
        struct gatehouse_value v;
        uint16_t back[4] = {0};
        f.scale = doubles[i].scale;
        f.offset = doubles[i].offset;
        f.scaled = f.scale != 1 || f.offset != 0;
        f.decimals = doubles[i].decimals;
        assert_int_equal(modbus_decode(&f, doubles[i].registers, 4, NULL, &v), 0);
        assert_int_equal(v.type, GATEHOUSE_DOUBLE);
        if (v.d != doubles[i].value)
            fail_msg("%zu: %.17g is not %.17g", i, v.d, doubles[i].value);
        assert_int_equal(modbus_encode(&f, &v, back, 4), 0);
        assert_memory_equal(back, doubles[i].registers, sizeof back);
    }
}

/* Every finite half survives the way there and back; so does every int16 scaled by 0.1, and all halves' neighbours. */
static void test_every_register(void **state)
{
    struct modbus_format half = format(TYPE_FLOAT16, NULL, 0), tenth = format(TYPE_INT16, NULL, 0);

    (void)state;
    tenth.scale = 0.1;
    tenth.scaled = true;
    tenth.decimals = 1;
    for (unsigned i = 0; i < 65536; i++) {
        uint16_t reg = (uint16_t)i, back = 0;
        struct gatehouse_value v;
        int r = modbus_decode(&half, &reg, 1, NULL, &v);
        assert_int_equal(r, (i & 0x7c00) == 0x7c00 ? -ENODATA : 0);
        if (r == 0 && i != 0x8000) {
            assert_int_equal(modbus_encode(&half, &v, &back, 1), 0);
            assert_int_equal(back, reg);
        }
        assert_int_equal(modbus_decode(&tenth, &reg, 1, NULL, &v), 0);
        assert_true(v.d == (int16_t)i / 10.0);
        assert_int_equal(modbus_encode(&tenth, &v, &back, 1), 0);
        assert_int_equal(back, reg);
    }
}

static const struct {
    enum modbus_type type;
    uint64_t invalid;
    uint16_t registers[4];
    int r;
} sentinels[] = {
    {TYPE_INT16, 0x8000, {0x8000}, -ENODATA},
    {TYPE_INT16, 0x8000, {0x7fff}, 0},
    {TYPE_UINT32, 0xffffffff, {0xffff, 0xffff}, -ENODATA},
    {TYPE_UINT32, 0xffffffff, {0xffff, 0xfffe}, 0},
    {TYPE_INT8L, 0x80, {0x1280}, -ENODATA},
    {TYPE_FLOAT32, 0x7f7fffff, {0x7f7f, 0xffff}, -ENODATA},
    {TYPE_FLOAT32, 0, {0x7fc0, 0x0000}, -ENODATA}, /* NaN needs no sentinel */
    {TYPE_FLOAT64, 0, {0x7ff0, 0, 0, 0}, -ENODATA},
};

static void test_sentinels(void **state)
{
    (void)state;
    for (size_t i = 0; i < N(sentinels); i++) {
        struct modbus_format f = format(sentinels[i].type, NULL, 0);
        struct gatehouse_value v;
        f.invalid[f.n_invalid++] = sentinels[i].invalid;
        assert_int_equal(modbus_decode(&f, sentinels[i].registers, 4, NULL, &v), sentinels[i].r);
    }
}

#define X(n)                                                                                                           \
    {                                                                                                                  \
        GATEHOUSE_INT, .x = (n)                                                                                        \
    }
#define T(n)                                                                                                           \
    {                                                                                                                  \
        GATEHOUSE_UINT, .t = (n)                                                                                       \
    }
#define D(n)                                                                                                           \
    {                                                                                                                  \
        GATEHOUSE_DOUBLE, .d = (n)                                                                                     \
    }
#define S(n)                                                                                                           \
    {                                                                                                                  \
        GATEHOUSE_STRING, .s = (n)                                                                                     \
    }

static const struct {
    enum modbus_type type;
    double scale;
    struct gatehouse_value value;
    int r;
    uint16_t first;
} writes[] = {
    {TYPE_INT16, 1, X(32767), 0, 0x7fff},
    {TYPE_INT16, 1, X(32768), -ERANGE, 0},
    {TYPE_INT16, 1, X(-32769), -ERANGE, 0},
    {TYPE_INT16, 1, D(-3.4), 0, 0xfffd},
    {TYPE_INT16, 1, D(1e300), -ERANGE, 0},
    {TYPE_INT16, 1, D(NAN), -EINVAL, 0},
    {TYPE_INT16, 1, S("1"), -EINVAL, 0},
    {TYPE_UINT16, 1, X(-1), -ERANGE, 0},
    {TYPE_UINT16, 1, T(65536), -ERANGE, 0},
    {TYPE_UINT16, 0.1, D(-0.04), 0, 0},
    {TYPE_UINT16, 0.1, D(-0.06), -ERANGE, 0},
    {TYPE_UINT16, 0.1, X(6553), 0, 65530},
    {TYPE_UINT16, -0.5, X(-3), 0, 6},
    {TYPE_BIT, 1, X(2), -ERANGE, 0},
    {TYPE_BIT, 1, T(1), 0, 1},
    {TYPE_INT64, 1, T(UINT64_MAX), -ERANGE, 0},
    {TYPE_INT64, 1, D(-0x1p63), 0, 0x8000},
    {TYPE_INT64, 1, D(0x1p63), -ERANGE, 0},
    {TYPE_UINT64, 1, D(0x1p64), -ERANGE, 0},
    {TYPE_UINT64, 1, T(UINT64_MAX), 0, 0xffff},
    {TYPE_FLOAT16, 1, D(65520), -ERANGE, 0},
    {TYPE_FLOAT16, 1, D(65519), 0, 0x7bff},
    {TYPE_FLOAT32, 1, D(1e39), -ERANGE, 0},
    {TYPE_FLOAT32, 1, X(1), 0, 0x3f80},
};

static void test_writes(void **state)
{
    (void)state;
    for (size_t i = 0; i < N(writes); i++) {
        struct modbus_format f = format(writes[i].type, NULL, 0);
        uint16_t registers[4] = {0};
        char range[96];
        f.scale = writes[i].scale;
        f.scaled = f.scale != 1;
        int r = modbus_encode(&f, &writes[i].value, registers, 4);
        if (r != writes[i].r)
            fail_msg("%zu: %d, not %d", i, r, writes[i].r);
        if (r == 0)
            assert_int_equal(registers[0], writes[i].first);
        modbus_range_text(&f, range, sizeof range);
        assert_true(strlen(range) > 3);
    }
}

/* What is smaller than a register leaves the rest of it alone. */
static void test_partial_writes(void **state)
{
    struct modbus_format bit = format(TYPE_BIT, NULL, 4), high = format(TYPE_UINT8H, NULL, 0);
    struct modbus_format low = format(TYPE_INT8L, NULL, 0), whole = format(TYPE_UINT16, NULL, 0);
    struct gatehouse_value off = {GATEHOUSE_BOOL, .b = false}, v = T(0x56);
    uint16_t reg = 0xffff;

    (void)state;
    assert_true(modbus_encode_is_partial(&bit) && modbus_encode_is_partial(&high) && modbus_encode_is_partial(&low));
    assert_false(modbus_encode_is_partial(&whole));
    assert_int_equal(modbus_encode(&bit, &off, &reg, 1), 0);
    assert_int_equal(reg, 0xffef);
    assert_int_equal(modbus_encode(&high, &v, &reg, 1), 0);
    assert_int_equal(reg, 0x56ef);
    assert_int_equal(modbus_encode(&low, &v, &reg, 1), 0);
    assert_int_equal(reg, 0x5656);
}

static const struct {
    const char *order;
    unsigned length;
    uint16_t registers[4];
    const char *text;
} strings[] = {
    {"AB", 4, {0x4162, 0x6364}, "Abcd"},
    {"BA", 4, {0x6241, 0x6463}, "Abcd"},
    {"AB", 3, {0x4162, 0x6364}, "Abc"},
    {"AB", 8, {0x4100, 0x6364}, "A"},
    {"AB", 4, {0x4120, 0x2020}, "A"},
    {"AB", 2, {0x0000}, ""},
    {"AB", 2, {0xc3a9}, "\xc3\xa9"},
    {"AB", 3, {0xc3a9, 0xc300}, "\xc3\xa9?"},
    {"AB", 4, {0xfe41, 0x0a42}, "?A?B"},
    {"AB", 4, {0x41ff, 0x4242}, "A"},    /* 0xff ends it */
    {"AB", 4, {0xeda0, 0x8041}, "???A"}, /* a surrogate */
    {"AB", 4, {0xf09f, 0x9880}, "\xf0\x9f\x98\x80"},
    {"AB", 4, {0xc080, 0x4141}, "??AA"}, /* overlong */
};

static void test_strings(void **state)
{
    (void)state;
    for (size_t i = 0; i < N(strings); i++) {
        struct modbus_format f = format(TYPE_STRING, strings[i].order, 0);
        struct gatehouse_value v;
        char text[VALUE_TEXT_MAX];
        f.text.length = strings[i].length;
        f.text.bytes_swapped = f.order[0] == 'B';
        assert_int_equal(modbus_decode(&f, strings[i].registers, 4, text, &v), 0);
        assert_int_equal(v.type, GATEHOUSE_STRING);
        assert_string_equal(v.s, strings[i].text);
    }
    struct modbus_format f = format(TYPE_STRING, "BA", 0);
    struct gatehouse_value three = S("abc"), five = S("abcde");
    uint16_t registers[2] = {0xffff, 0xffff}, expected[2] = {0x6261, 0x0063};
    f.text.length = 4;
    f.text.bytes_swapped = true;
    assert_int_equal(modbus_encode(&f, &three, registers, 2), 0);
    assert_memory_equal(registers, expected, sizeof registers);
    assert_int_equal(modbus_encode(&f, &five, registers, 2), -ERANGE);
}

static void test_names_and_orders(void **state)
{
    enum modbus_type type;

    (void)state;
    for (unsigned i = 0; i < TYPE_COUNT; i++) {
        assert_int_equal(modbus_type_from_name(modbus_type_name((enum modbus_type)i), &type), 0);
        assert_int_equal(type, i);
    }
    assert_int_equal(modbus_type_from_name("int24", &type), -EINVAL);
    assert_null(modbus_order(TYPE_INT16, "ABCD"));
    assert_null(modbus_order(TYPE_INT32, "AB"));
    assert_null(modbus_order(TYPE_INT32, "ACBD"));
    assert_null(modbus_order(TYPE_INT8H, NULL));
    assert_string_equal(modbus_order(TYPE_FLOAT64, NULL), "ABCDEFGH");
    assert_string_equal(modbus_order(TYPE_STRING, NULL), "AB");
    assert_int_equal(modbus_decimals_of(0.1), 1);
    assert_int_equal(modbus_decimals_of(0.125), 3);
    assert_int_equal(modbus_decimals_of(-40), 0);
    assert_int_equal(modbus_decimals_of(1.0 / 3), -1);
    assert_int_equal(modbus_decimals_of(1e-9), 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers),       cmocka_unit_test(test_doubles),
        cmocka_unit_test(test_every_register), cmocka_unit_test(test_sentinels),
        cmocka_unit_test(test_writes),         cmocka_unit_test(test_partial_writes),
        cmocka_unit_test(test_strings),        cmocka_unit_test(test_names_and_orders),
    };

    return cmocka_run_group_tests_name("modbus-decode", tests, NULL, NULL);
}
