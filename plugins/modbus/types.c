/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "types.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    unsigned bits;
    enum type_kind kind;
} types[TYPE_COUNT] = {
    [TYPE_BIT] = {"bit", 1, KIND_UNSIGNED},          [TYPE_INT8H] = {"int8h", 8, KIND_SIGNED},
    [TYPE_INT8L] = {"int8l", 8, KIND_SIGNED},        [TYPE_UINT8H] = {"uint8h", 8, KIND_UNSIGNED},
    [TYPE_UINT8L] = {"uint8l", 8, KIND_UNSIGNED},    [TYPE_INT16] = {"int16", 16, KIND_SIGNED},
    [TYPE_UINT16] = {"uint16", 16, KIND_UNSIGNED},   [TYPE_INT32] = {"int32", 32, KIND_SIGNED},
    [TYPE_UINT32] = {"uint32", 32, KIND_UNSIGNED},   [TYPE_INT48] = {"int48", 48, KIND_SIGNED},
    [TYPE_UINT48] = {"uint48", 48, KIND_UNSIGNED},   [TYPE_INT64] = {"int64", 64, KIND_SIGNED},
    [TYPE_UINT64] = {"uint64", 64, KIND_UNSIGNED},   [TYPE_BCD16] = {"bcd16", 16, KIND_BCD},
    [TYPE_BCD32] = {"bcd32", 32, KIND_BCD},          [TYPE_BCD64] = {"bcd64", 64, KIND_BCD},
    [TYPE_MOD10K32] = {"mod10k32", 32, KIND_MOD10K}, [TYPE_MOD10K48] = {"mod10k48", 48, KIND_MOD10K},
    [TYPE_MOD10K64] = {"mod10k64", 64, KIND_MOD10K}, [TYPE_SM16] = {"sm16", 16, KIND_SIGN_MAGNITUDE},
    [TYPE_SM32] = {"sm32", 32, KIND_SIGN_MAGNITUDE}, [TYPE_FLOAT16] = {"float16", 16, KIND_FLOAT},
    [TYPE_FLOAT32] = {"float32", 32, KIND_FLOAT},    [TYPE_FLOAT64] = {"float64", 64, KIND_FLOAT},
    [TYPE_STRING] = {"string", 0, KIND_TEXT},
};

/* The first of each width is the default. Four letters name the same of wider types: whole, reversed, bytes swapped in
 * each register, registers reversed. */
static const struct {
    unsigned bits;
    const char *name;
    const char *also;
} orders[] = {
    {16, "AB", ""},           {16, "BA", ""},           {32, "ABCD", ""},         {32, "DCBA", ""},
    {32, "BADC", ""},         {32, "CDAB", ""},         {48, "ABCDEF", "ABCD"},   {48, "FEDCBA", "DCBA"},
    {48, "BADCFE", "BADC"},   {48, "EFCDAB", "CDAB"},   {64, "ABCDEFGH", "ABCD"}, {64, "HGFEDCBA", "DCBA"},
    {64, "BADCFEHG", "BADC"}, {64, "GHEFCDAB", "CDAB"}, {64, "EFGHABCD", ""},     {64, "CDABGHEF", ""},
    {64, "DCBAHGFE", ""},     {64, "FEHGBADC", ""},
};

int modbus_type_from_name(const char *name, enum modbus_type *ret)
{
    for (unsigned i = 0; i < TYPE_COUNT; i++)
        if (strcmp(types[i].name, name) == 0) {
            *ret = (enum modbus_type)i;
            return 0;
        }
    return -EINVAL;
}

const char *modbus_type_name(enum modbus_type type)
{
    return types[type].name;
}

unsigned modbus_type_bits(enum modbus_type type)
{
    return types[type].bits;
}

enum type_kind modbus_type_kind(enum modbus_type type)
{
    return types[type].kind;
}

bool modbus_type_is_float(enum modbus_type type)
{
    return types[type].kind == KIND_FLOAT;
}

void modbus_type_list(char *text, size_t size)
{
    size_t n = 0;

    for (unsigned i = 0; i < TYPE_COUNT && n < size; i++)
        n += (size_t)snprintf(text + n, size - n, "%s%s",
                              i == 0               ? ""
                              : i + 1 < TYPE_COUNT ? ", "
                                                   : " or ",
                              types[i].name);
}

const char *modbus_order(enum modbus_type type, const char *name)
{
    unsigned bits = type == TYPE_STRING ? 16 : types[type].bits;

    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++)
        if (orders[i].bits == bits && (!name || strcmp(orders[i].name, name) == 0 || strcmp(orders[i].also, name) == 0))
            return orders[i].name;
    return NULL;
}

void modbus_order_list(enum modbus_type type, char *text, size_t size)
{
    unsigned bits = type == TYPE_STRING ? 16 : types[type].bits;
    size_t n = 0;

    for (size_t i = 0; i < sizeof orders / sizeof orders[0] && n < size; i++)
        if (orders[i].bits == bits)
            n += (size_t)snprintf(text + n, size - n, "%s%s", n == 0 ? "" : ", ", orders[i].name);
}

/* --- bits in registers --- */

static uint64_t gather(unsigned n, const char *order, const uint16_t *registers)
{
    uint64_t raw = 0;

    for (unsigned i = 0; i < n; i++) {
        uint64_t byte = i % 2 == 0 ? registers[i / 2] >> 8 : registers[i / 2] & 0xff;
        unsigned significance = n - 1 - (unsigned)(order[i] - 'A');
        raw |= byte << (8 * significance);
    }
    return raw;
}

static void scatter(unsigned n, const char *order, uint64_t raw, uint16_t *registers)
{
    for (unsigned i = 0; i < n; i++) {
        unsigned significance = n - 1 - (unsigned)(order[i] - 'A');
        uint16_t byte = (raw >> (8 * significance)) & 0xff;
        registers[i / 2] = i % 2 == 0 ? (uint16_t)(byte << 8) : (uint16_t)(registers[i / 2] | byte);
    }
}

uint64_t modbus_raw_get(enum modbus_type type, const char *order, unsigned bit, const uint16_t *registers)
{
    if (type == TYPE_BIT)
        return (registers[0] >> bit) & 1;
    if (type == TYPE_INT8H || type == TYPE_UINT8H)
        return registers[0] >> 8;
    if (type == TYPE_INT8L || type == TYPE_UINT8L)
        return registers[0] & 0xff;
    return gather(types[type].bits / 8, order, registers);
}

void modbus_raw_put(enum modbus_type type, const char *order, unsigned bit, uint64_t raw, uint16_t *registers)
{
    if (type == TYPE_BIT)
        registers[0] = (uint16_t)((registers[0] & ~(1u << bit)) | (unsigned)raw << bit);
    else if (type == TYPE_INT8H || type == TYPE_UINT8H)
        registers[0] = (uint16_t)((registers[0] & 0x00ff) | raw << 8);
    else if (type == TYPE_INT8L || type == TYPE_UINT8L)
        registers[0] = (uint16_t)((registers[0] & 0xff00) | raw);
    else
        scatter(types[type].bits / 8, order, raw, registers);
}

/* --- integers --- */

static uint64_t mask_of(enum modbus_type type)
{
    return UINT64_MAX >> (64 - types[type].bits);
}

static int64_t sign_extend(uint64_t raw, unsigned bits)
{
    uint64_t sign = UINT64_C(1) << (bits - 1);

    return (int64_t)((raw ^ sign) - sign);
}

static uint64_t power10(unsigned n)
{
    uint64_t x = 1;

    while (n-- > 0)
        x *= 10;
    return x;
}

void modbus_type_range(enum modbus_type type, int64_t *ret_min, uint64_t *ret_max)
{
    unsigned bits = types[type].bits;

    switch (types[type].kind) {
    case KIND_UNSIGNED:
        *ret_min = 0;
        *ret_max = mask_of(type);
        return;
    case KIND_SIGNED:
        *ret_min = sign_extend(UINT64_C(1) << (bits - 1), bits);
        *ret_max = mask_of(type) >> 1;
        return;
    case KIND_SIGN_MAGNITUDE:
        *ret_max = mask_of(type) >> 1;
        *ret_min = -(int64_t)*ret_max;
        return;
    case KIND_BCD:
    case KIND_MOD10K:
        *ret_min = 0;
        *ret_max = power10(bits / 4) - 1;
        return;
    case KIND_FLOAT:
    case KIND_TEXT:
        *ret_min = 0;
        *ret_max = 0;
        return;
    }
}

/* Digits of `width` bits each below `base`, the most significant first. */
static int digits_get(uint64_t raw, unsigned bits, unsigned width, uint64_t base, uint64_t *ret)
{
    uint64_t x = 0;

    for (unsigned at = bits; at > 0; at -= width) {
        uint64_t digit = raw >> (at - width) & (UINT64_MAX >> (64 - width));
        if (digit >= base)
            return -ENODATA;
        x = x * base + digit;
    }
    *ret = x;
    return 0;
}

static uint64_t digits_put(uint64_t number, unsigned bits, unsigned width, uint64_t base)
{
    uint64_t raw = 0;

    for (unsigned at = 0; at < bits; at += width, number /= base)
        raw |= number % base << at;
    return raw;
}

int modbus_integer_from_pattern(enum modbus_type type, uint64_t raw, unsigned bits, int64_t *ret, bool *ret_signed)
{
    uint64_t magnitude = raw;
    int r = 0;

    *ret_signed = types[type].kind == KIND_SIGNED || types[type].kind == KIND_SIGN_MAGNITUDE;
    switch (types[type].kind) {
    case KIND_SIGNED:
        *ret = sign_extend(raw, bits);
        return 0;
    case KIND_SIGN_MAGNITUDE:
        magnitude = raw & (mask_of(type) >> 1);
        *ret = magnitude == raw ? (int64_t)magnitude : -(int64_t)magnitude;
        return 0;
    case KIND_BCD:
        r = digits_get(raw, types[type].bits, 4, 10, &magnitude);
        break;
    case KIND_MOD10K:
        r = digits_get(raw, types[type].bits, 16, 10000, &magnitude);
        break;
    case KIND_UNSIGNED:
    case KIND_FLOAT:
    case KIND_TEXT:
        break;
    }
    if (r == 0)
        *ret = (int64_t)magnitude;
    return r;
}

static uint64_t pattern_of(enum modbus_type type, bool negative, uint64_t magnitude)
{
    switch (types[type].kind) {
    case KIND_SIGN_MAGNITUDE:
        return negative ? magnitude | (mask_of(type) ^ mask_of(type) >> 1) : magnitude;
    case KIND_BCD:
        return digits_put(magnitude, types[type].bits, 4, 10);
    case KIND_MOD10K:
        return digits_put(magnitude, types[type].bits, 16, 10000);
    case KIND_UNSIGNED:
    case KIND_SIGNED:
    case KIND_FLOAT:
    case KIND_TEXT:
        break;
    }
    return (negative ? -magnitude : magnitude) & mask_of(type);
}

int modbus_pattern_from_uint(enum modbus_type type, uint64_t number, uint64_t *ret)
{
    uint64_t max = 0; /* of a type without one nothing is in range */
    int64_t min = 0;

    if (types[type].kind == KIND_FLOAT)
        return modbus_pattern_from_double(type, (double)number, ret);
    modbus_type_range(type, &min, &max);
    if (number > max)
        return -ERANGE;
    *ret = pattern_of(type, false, number);
    return 0;
}

int modbus_pattern_from_int(enum modbus_type type, int64_t number, uint64_t *ret)
{
    uint64_t max = 0; /* of a type without one nothing is in range */
    int64_t min = 0;

    if (number >= 0)
        return modbus_pattern_from_uint(type, (uint64_t)number, ret);
    if (types[type].kind == KIND_FLOAT)
        return modbus_pattern_from_double(type, (double)number, ret);
    modbus_type_range(type, &min, &max);
    if (number < min)
        return -ERANGE;
    *ret = pattern_of(type, true, -(uint64_t)number);
    return 0;
}

/* --- floating point --- */

static double half_to_double(uint16_t h)
{
    double sign = h & 0x8000 ? -1 : 1;
    int exponent = (h >> 10) & 0x1f;
    int fraction = h & 0x3ff;

    if (exponent == 0x1f)
        return fraction ? NAN : sign * INFINITY;
    if (exponent == 0)
        return sign * ldexp(fraction, -24);
    return sign * ldexp(fraction + 0x400, exponent - 25);
}

/* Rounds to the nearest half, ties to even, as IEEE 754 asks. -ERANGE beyond 65504. */
static int double_to_half(double x, uint16_t *ret)
{
    uint16_t sign = signbit(x) ? 0x8000 : 0;
    double magnitude = fabs(x);
    int exponent;

    if (magnitude == 0) {
        *ret = sign;
        return 0;
    }
    (void)frexp(magnitude, &exponent);
    if (exponent < -13)
        exponent = -13; /* subnormal: units of 2^-24 */
    double units = nearbyint(ldexp(magnitude, 11 - exponent));
    if (units >= 0x800) {
        units /= 2;
        exponent++;
    }
    if (exponent > 16)
        return -ERANGE;
    unsigned bits = (unsigned)units;
    *ret = bits < 0x400 ? (uint16_t)(sign | bits) : (uint16_t)(sign | (unsigned)(exponent + 14) << 10 | (bits - 0x400));
    return 0;
}

/* The shortest decimal that names the same float32: a sensor that sends 21.3f means 21.3, not 21.299999237060547. */
static double float_to_double(float x)
{
    char text[32];

    if (!isfinite(x) || x == truncf(x))
        return (double)x;
    for (int digits = 6; digits <= 9; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, (double)x);
        if (strtof(text, NULL) == x)
            return strtod(text, NULL);
    }
    return (double)x;
}

double modbus_double_from_pattern(enum modbus_type type, uint64_t raw)
{
    if (type == TYPE_FLOAT16)
        return half_to_double((uint16_t)raw);
    if (type == TYPE_FLOAT32) {
        uint32_t bits = (uint32_t)raw;
        float x;
        memcpy(&x, &bits, sizeof x);
        return float_to_double(x);
    }
    double x;
    memcpy(&x, &raw, sizeof x);
    return x;
}

int modbus_pattern_from_double(enum modbus_type type, double number, uint64_t *ret)
{
    if (!isfinite(number))
        return -ERANGE;
    if (type == TYPE_FLOAT16) {
        uint16_t half;
        int r = double_to_half(number, &half);
        if (r < 0)
            return r;
        *ret = half;
        return 0;
    }
    if (type == TYPE_FLOAT32) {
        float x = (float)number;
        uint32_t bits;
        if (!isfinite(x))
            return -ERANGE;
        memcpy(&bits, &x, sizeof bits);
        *ret = bits;
        return 0;
    }
    if (type == TYPE_FLOAT64) {
        memcpy(ret, &number, sizeof number);
        return 0;
    }
    double whole = nearbyint(number);
    if (whole < 0)
        return whole < -0x1p63 ? -ERANGE : modbus_pattern_from_int(type, (int64_t)whole, ret);
    return whole >= 0x1p64 ? -ERANGE : modbus_pattern_from_uint(type, (uint64_t)whole, ret);
}
