/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "decode.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    unsigned bits;
    bool is_signed;
    bool is_float;
} types[TYPE_COUNT] = {
    [TYPE_BIT] = {"bit", 1, false, false},         [TYPE_INT8H] = {"int8h", 8, true, false},
    [TYPE_INT8L] = {"int8l", 8, true, false},      [TYPE_UINT8H] = {"uint8h", 8, false, false},
    [TYPE_UINT8L] = {"uint8l", 8, false, false},   [TYPE_INT16] = {"int16", 16, true, false},
    [TYPE_UINT16] = {"uint16", 16, false, false},  [TYPE_INT32] = {"int32", 32, true, false},
    [TYPE_UINT32] = {"uint32", 32, false, false},  [TYPE_INT64] = {"int64", 64, true, false},
    [TYPE_UINT64] = {"uint64", 64, false, false},  [TYPE_FLOAT16] = {"float16", 16, false, true},
    [TYPE_FLOAT32] = {"float32", 32, false, true}, [TYPE_FLOAT64] = {"float64", 64, false, true},
    [TYPE_STRING] = {"string", 0, false, false},
};

/* The first of each width is the default. Those of 64 bits: whole, reversed, bytes swapped in each register, registers
 * reversed, and the two halves swapped. */
static const struct {
    unsigned bits;
    const char *name;
} orders[] = {
    {16, "AB"},       {16, "BA"},       {32, "ABCD"},     {32, "DCBA"},     {32, "BADC"},     {32, "CDAB"},
    {64, "ABCDEFGH"}, {64, "HGFEDCBA"}, {64, "BADCFEHG"}, {64, "GHEFCDAB"}, {64, "EFGHABCD"},
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

bool modbus_type_is_float(enum modbus_type type)
{
    return types[type].is_float;
}

const char *modbus_order(enum modbus_type type, const char *name)
{
    unsigned bits = type == TYPE_STRING ? 16 : types[type].bits;

    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++)
        if (orders[i].bits == bits && (!name || strcmp(orders[i].name, name) == 0))
            return orders[i].name;
    return NULL;
}

int modbus_decimals_of(double scale)
{
    double power = 1;

    for (int d = 0; d <= DECIMALS_MAX; d++, power *= 10) {
        double x = scale * power;
        if (fabs(x) >= 0x1p53)
            break;
        if (fabs(x - nearbyint(x)) <= 1e-12 * fabs(x))
            return d;
    }
    return -1;
}

unsigned modbus_format_registers(const struct modbus_format *f)
{
    if (f->type == TYPE_STRING)
        return (f->length + 1) / 2;
    return types[f->type].bits <= 16 ? 1 : types[f->type].bits / 16;
}

bool modbus_encode_is_partial(const struct modbus_format *f)
{
    return types[f->type].bits != 0 && types[f->type].bits < 16;
}

/* --- raw bit patterns --- */

static uint64_t mask_of(enum modbus_type type)
{
    return UINT64_MAX >> (64 - types[type].bits);
}

static int64_t sign_extend(uint64_t raw, unsigned bits)
{
    uint64_t sign = UINT64_C(1) << (bits - 1);

    return (int64_t)((raw ^ sign) - sign);
}

static uint64_t raw_gather(const struct modbus_format *f, const uint16_t *registers)
{
    unsigned n = types[f->type].bits / 8;
    uint64_t raw = 0;

    for (unsigned i = 0; i < n; i++) {
        uint64_t byte = i % 2 == 0 ? registers[i / 2] >> 8 : registers[i / 2] & 0xff;
        unsigned significance = n - 1 - (unsigned)(f->order[i] - 'A');
        raw |= byte << (8 * significance);
    }
    return raw;
}

static void raw_scatter(const struct modbus_format *f, uint64_t raw, uint16_t *registers)
{
    unsigned n = types[f->type].bits / 8;

    for (unsigned i = 0; i < n; i++) {
        unsigned significance = n - 1 - (unsigned)(f->order[i] - 'A');
        uint16_t byte = (raw >> (8 * significance)) & 0xff;
        registers[i / 2] = i % 2 == 0 ? (uint16_t)(byte << 8) : (uint16_t)(registers[i / 2] | byte);
    }
}

static uint64_t raw_get(const struct modbus_format *f, const uint16_t *registers)
{
    switch (f->type) {
    case TYPE_BIT:
        return (registers[0] >> f->bit) & 1;
    case TYPE_INT8H:
    case TYPE_UINT8H:
        return registers[0] >> 8;
    case TYPE_INT8L:
    case TYPE_UINT8L:
        return registers[0] & 0xff;
    case TYPE_INT16:
    case TYPE_UINT16:
    case TYPE_INT32:
    case TYPE_UINT32:
    case TYPE_INT64:
    case TYPE_UINT64:
    case TYPE_FLOAT16:
    case TYPE_FLOAT32:
    case TYPE_FLOAT64:
        return raw_gather(f, registers);
    case TYPE_STRING:
    case TYPE_COUNT:
        break;
    }
    return 0;
}

static void raw_put(const struct modbus_format *f, uint64_t raw, uint16_t *registers)
{
    switch (f->type) {
    case TYPE_BIT:
        registers[0] = (uint16_t)((registers[0] & ~(1u << f->bit)) | (unsigned)raw << f->bit);
        break;
    case TYPE_INT8H:
    case TYPE_UINT8H:
        registers[0] = (uint16_t)((registers[0] & 0x00ff) | raw << 8);
        break;
    case TYPE_INT8L:
    case TYPE_UINT8L:
        registers[0] = (uint16_t)((registers[0] & 0xff00) | raw);
        break;
    case TYPE_INT16:
    case TYPE_UINT16:
    case TYPE_INT32:
    case TYPE_UINT32:
    case TYPE_INT64:
    case TYPE_UINT64:
    case TYPE_FLOAT16:
    case TYPE_FLOAT32:
    case TYPE_FLOAT64:
        raw_scatter(f, raw, registers);
        break;
    case TYPE_STRING:
    case TYPE_COUNT:
        break;
    }
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

static double pattern_to_double(enum modbus_type type, uint64_t raw)
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

int modbus_pattern_from_uint(enum modbus_type type, uint64_t number, uint64_t *ret)
{
    if (types[type].is_float)
        return modbus_pattern_from_double(type, (double)number, ret);
    if (number > (types[type].is_signed ? mask_of(type) >> 1 : mask_of(type)))
        return -ERANGE;
    *ret = number;
    return 0;
}

int modbus_pattern_from_int(enum modbus_type type, int64_t number, uint64_t *ret)
{
    if (number >= 0)
        return modbus_pattern_from_uint(type, (uint64_t)number, ret);
    if (types[type].is_float)
        return modbus_pattern_from_double(type, (double)number, ret);
    if (!types[type].is_signed || number < sign_extend(UINT64_C(1) << (types[type].bits - 1), types[type].bits))
        return -ERANGE;
    *ret = (uint64_t)number & mask_of(type);
    return 0;
}

/* --- scaling --- */

/* An integer below 2^53 divided by a power of ten is the double nearest to that decimal. */
static double round_decimals(double x, int decimals)
{
    static const double powers[DECIMALS_MAX + 1] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};

    if (decimals < 0)
        return x;
    double whole = round(x * powers[decimals]);
    return fabs(whole) < 0x1p53 ? whole / powers[decimals] : x;
}

static int double_value(const struct modbus_format *f, double x, struct gatehouse_value *ret)
{
    if (f->scaled)
        x = x * f->scale + f->offset;
    x = round_decimals(x, f->decimals);
    if (!isfinite(x))
        return -ENODATA;
    ret->type = GATEHOUSE_DOUBLE;
    ret->d = x == 0 ? 0 : x; /* no negative zero */
    return 0;
}

/* --- strings --- */

/* The length of the UTF-8 sequence at s of at most n bytes, 0 if there is none. */
static size_t utf8_sequence(const unsigned char *s, size_t n)
{
    size_t length = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : 4;

    if (length == 1)
        return 1;
    if (s[0] < 0xc2 || s[0] > 0xf4 || length > n)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
        (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return length;
}

/* Up to the first NUL, without trailing blanks; bytes that are not UTF-8 and control characters become '?'. */
static void decode_string(const struct modbus_format *f, const uint16_t *registers, char *text)
{
    bool swapped = f->order[0] == 'B';
    size_t n = 0;

    for (unsigned i = 0; i < f->length; i++) {
        uint16_t reg = registers[i / 2];
        unsigned char byte = (unsigned char)((i % 2 == 0) != swapped ? reg >> 8 : reg & 0xff);
        if (byte == 0)
            break;
        text[n++] = (char)byte;
    }
    while (n > 0 && text[n - 1] == ' ')
        n--;
    text[n] = '\0';
    for (size_t i = 0; i < n;) {
        size_t length = utf8_sequence((const unsigned char *)text + i, n - i);
        if (length == 0 || (unsigned char)text[i] < 0x20 || text[i] == 0x7f) {
            text[i] = '?';
            length = 1;
        }
        i += length;
    }
}

static int encode_string(const struct modbus_format *f, const char *s, uint16_t *registers)
{
    bool swapped = f->order[0] == 'B';
    size_t n = strlen(s);

    if (n > f->length)
        return -ERANGE;
    memset(registers, 0, modbus_format_registers(f) * sizeof registers[0]);
    for (size_t i = 0; i < n; i++) {
        uint16_t byte = (unsigned char)s[i];
        registers[i / 2] |= (uint16_t)((i % 2 == 0) != swapped ? byte << 8 : byte);
    }
    return 0;
}

/* --- values --- */

int modbus_decode(const struct modbus_format *f, const uint16_t *registers, size_t n, char *text,
                  struct gatehouse_value *ret)
{
    if (n < modbus_format_registers(f))
        return -EINVAL;
    if (f->type == TYPE_STRING) {
        decode_string(f, registers, text);
        *ret = (struct gatehouse_value){.type = GATEHOUSE_STRING, .s = text};
        return 0;
    }

    uint64_t raw = raw_get(f, registers);
    for (unsigned i = 0; i < f->n_invalid; i++)
        if (raw == f->invalid[i])
            return -ENODATA;
    if (types[f->type].is_float)
        return double_value(f, pattern_to_double(f->type, raw), ret);
    if (f->type == TYPE_BIT) {
        *ret = (struct gatehouse_value){.type = GATEHOUSE_BOOL, .b = raw != 0};
        return 0;
    }
    if (types[f->type].is_signed) {
        int64_t x = sign_extend(raw, types[f->type].bits);
        if (f->scaled)
            return double_value(f, (double)x, ret);
        *ret = (struct gatehouse_value){.type = GATEHOUSE_INT, .x = x};
        return 0;
    }
    if (f->scaled)
        return double_value(f, (double)raw, ret);
    *ret = (struct gatehouse_value){.type = GATEHOUSE_UINT, .t = raw};
    return 0;
}

static int number_of(const struct gatehouse_value *value, double *ret)
{
    switch (value->type) {
    case GATEHOUSE_BOOL:
        *ret = value->b;
        return 0;
    case GATEHOUSE_INT:
        *ret = (double)value->x;
        return 0;
    case GATEHOUSE_UINT:
        *ret = (double)value->t;
        return 0;
    case GATEHOUSE_DOUBLE:
        *ret = value->d;
        return isfinite(value->d) ? 0 : -EINVAL;
    case GATEHOUSE_STRING:
        break;
    }
    return -EINVAL;
}

int modbus_encode(const struct modbus_format *f, const struct gatehouse_value *value, uint16_t *registers, size_t n)
{
    uint64_t raw;
    double number;
    int r;

    if (n < modbus_format_registers(f))
        return -EINVAL;
    if (f->type == TYPE_STRING)
        return value->type == GATEHOUSE_STRING ? encode_string(f, value->s, registers) : -EINVAL;
    if (!f->scaled && value->type == GATEHOUSE_INT)
        r = modbus_pattern_from_int(f->type, value->x, &raw);
    else if (!f->scaled && value->type == GATEHOUSE_UINT)
        r = modbus_pattern_from_uint(f->type, value->t, &raw);
    else {
        r = number_of(value, &number);
        if (r < 0)
            return r;
        r = modbus_pattern_from_double(f->type, f->scaled ? (number - f->offset) / f->scale : number, &raw);
    }
    if (r < 0)
        return r;
    raw_put(f, raw, registers);
    return 0;
}

void modbus_range_text(const struct modbus_format *f, char *text, size_t size)
{
    unsigned bits = types[f->type].bits;

    if (f->type == TYPE_STRING) {
        (void)snprintf(text, size, "a text of at most %u bytes", f->length);
    } else if (f->type == TYPE_BIT) {
        (void)snprintf(text, size, "true or false");
    } else if (types[f->type].is_float) {
        (void)snprintf(text, size, "what a %s can hold", types[f->type].name);
    } else if (!f->scaled && types[f->type].is_signed) {
        (void)snprintf(text, size, "%lld to %lld", (long long)sign_extend(UINT64_C(1) << (bits - 1), bits),
                       (long long)(mask_of(f->type) >> 1));
    } else if (!f->scaled) {
        (void)snprintf(text, size, "0 to %llu", (unsigned long long)mask_of(f->type));
    } else {
        double low = types[f->type].is_signed ? (double)sign_extend(UINT64_C(1) << (bits - 1), bits) : 0;
        double high = (double)(types[f->type].is_signed ? mask_of(f->type) >> 1 : mask_of(f->type));
        double a = round_decimals(low * f->scale + f->offset, f->decimals);
        double b = round_decimals(high * f->scale + f->offset, f->decimals);
        (void)snprintf(text, size, "%.15g to %.15g", a < b ? a : b, a < b ? b : a);
    }
}
