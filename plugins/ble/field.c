/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "field.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXACT_MAX 9007199254740992.0 /* 2^53: whole numbers to here are exact in a double */

/* --- whole numbers --- */

/* The bytes of the place, or NULL. */
static const uint8_t *locate(const struct field_place *p, const uint8_t *bytes, size_t n, size_t *ret_size)
{
    size_t at = p->at >= 0 ? (size_t)p->at : n - (size_t)-p->at;

    if (p->at < 0 && (size_t)-p->at > n)
        return NULL;
    if (at > n || p->size > n - at)
        return NULL;
    *ret_size = p->size ? p->size : n - at;
    return bytes + at;
}

static uint64_t load(const uint8_t *bytes, size_t size, bool big)
{
    uint64_t value = 0;

    for (size_t i = 0; i < size; i++)
        value = value << 8 | bytes[big ? i : size - 1 - i];
    return value;
}

/* The bits of the place, and how many they are. */
static bool load_bits(const struct field_place *p, const uint8_t *bytes, size_t n, uint64_t *ret, unsigned *ret_bits)
{
    size_t size;
    const uint8_t *at = locate(p, bytes, n, &size);

    if (!at)
        return false;
    *ret_bits = p->bits ? p->bits : 8 * p->size;
    *ret = load(at, size, p->big) >> p->bit & (UINT64_MAX >> (64 - *ret_bits));
    return true;
}

static int64_t with_sign(uint64_t raw, unsigned bits, enum field_kind kind)
{
    uint64_t sign = UINT64_C(1) << (bits - 1);

    if (kind == FIELD_SIGNED && raw & sign)
        return (int64_t)(raw | ~(sign | (sign - 1)));
    if (kind == FIELD_SIGN_MAGNITUDE && raw & sign)
        return -(int64_t)(raw & ~sign);
    return (int64_t)raw;
}

static bool whole_number(const struct field_place *p, const uint8_t *bytes, size_t n, int64_t *ret)
{
    uint64_t raw;
    unsigned bits;

    if (!load_bits(p, bytes, n, &raw, &bits))
        return false;
    *ret = with_sign(raw, bits, p->kind);
    return true;
}

/* --- conditions --- */

static bool condition_holds(const struct field_condition *c, const uint8_t *bytes, size_t n)
{
    int64_t value;

    if (!whole_number(&c->place, bytes, n, &value))
        return false;
    for (size_t i = 0; i < c->n_equals; i++)
        if (c->equals[i] == value)
            return true;
    return c->n_equals == 0 && value >= c->min && value <= c->max;
}

bool field_conditions_hold(const struct field_condition *when, size_t n_when, const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n_when; i++)
        if (!condition_holds(&when[i], bytes, n))
            return false;
    return true;
}

/* --- values --- */

static double power_of_ten(int exponent)
{
    double power = 1;

    for (int i = 0; i < exponent; i++)
        power *= 10;
    return power;
}

/* A number that is whole except for the last bits of a double becomes whole. */
static double times(double factor, double power)
{
    double product = factor * power, whole = round(product);

    return fabs(product - whole) < 1e-9 * fabs(whole) ? whole : product;
}

/* Decimal fractions are worked out in whole numbers and divided once, so 243 * 0.1 is 24.3. */
static double scaled(const struct field *f, double raw, double plus)
{
    double power = f->decimals > 0 ? power_of_ten(f->decimals) : 1;
    double value =
        raw * times(f->scale, power) / f->scale_by + times(f->offset, power) + plus * times(f->plus_scale, power);

    if (f->power > 0)
        value = (pow(f->power, raw * f->scale / f->scale_by) + f->offset) * power;
    if (f->decimals >= 0 && fabs(value) < EXACT_MAX)
        value = round(value);
    return value / power + 0.0; /* no -0 */
}

/* IEEE 11073-20601: the values around the largest mantissa mean "no number". False for these. */
static bool medical(uint64_t raw, unsigned size, double *ret)
{
    unsigned bits = size == 2 ? 12 : 24;
    int64_t mantissa = with_sign(raw & ((UINT64_C(1) << bits) - 1), bits, FIELD_SIGNED);
    int64_t exponent = with_sign(raw >> bits, size == 2 ? 4 : 8, FIELD_SIGNED);
    int64_t reserved = (INT64_C(1) << (bits - 1)) - 2;

    if (exponent == 0 && (mantissa >= reserved || mantissa <= -reserved))
        return false;
    /* Divided rather than multiplied by a fraction: 368 with the exponent -1 is 36.8. */
    *ret = exponent < 0 ? (double)mantissa / pow(10, (double)-exponent) : (double)mantissa * pow(10, (double)exponent);
    return true;
}

static enum field_result floating(const struct field *f, const uint8_t *bytes, size_t n, double *ret)
{
    uint64_t raw;
    unsigned bits;

    if (!load_bits(&f->place, bytes, n, &raw, &bits))
        return FIELD_TRUNCATED;
    for (size_t i = 0; i < f->n_invalid; i++)
        if ((uint64_t)f->invalid[i] == raw)
            return FIELD_NO_VALUE;
    if (f->place.kind == FIELD_MEDICAL)
        return medical(raw, f->place.size, ret) ? FIELD_VALUE : FIELD_NO_VALUE;
    if (f->place.size == 4) {
        uint32_t word = (uint32_t)raw;
        float value;
        memcpy(&value, &word, sizeof value);
        *ret = (double)value;
    } else {
        memcpy(ret, &raw, sizeof *ret);
    }
    return isfinite(*ret) ? FIELD_VALUE : FIELD_NO_VALUE;
}

static enum field_result check_range(const struct field *f, const struct gatehouse_value *v)
{
    double value = v->type == GATEHOUSE_DOUBLE ? v->d : v->type == GATEHOUSE_UINT ? (double)v->t : (double)v->x;

    if (!isfinite(value))
        return FIELD_NO_VALUE;
    return f->ranged && (value < f->min || value > f->max) ? FIELD_NO_VALUE : FIELD_VALUE;
}

static enum field_result decode_float(const struct field *f, const uint8_t *bytes, size_t n,
                                      struct gatehouse_value *ret)
{
    double value = 0;
    enum field_result r = floating(f, bytes, n, &value);

    if (r != FIELD_VALUE)
        return r;
    if (f->scaled)
        value = scaled(f, value, 0);
    if (field_conditions_hold(f->negative, f->n_negative, bytes, n) && f->n_negative > 0)
        value = -value;
    struct gatehouse_value v = {.type = GATEHOUSE_DOUBLE, .d = value};
    r = check_range(f, &v);
    if (r == FIELD_VALUE)
        *ret = v;
    return r;
}

static enum field_result choose(const struct field *f, int64_t raw, char *text, struct gatehouse_value *ret)
{
    for (size_t i = 0; i < f->n_choices; i++)
        if (f->choices[i].raw == raw) {
            (void)snprintf(text, FIELD_TEXT_MAX + 1, "%s", f->choices[i].name);
            *ret = (struct gatehouse_value){.type = GATEHOUSE_STRING, .s = text};
            return FIELD_VALUE;
        }
    return FIELD_NO_VALUE;
}

/* An unsigned one may fill all 64 bits. */
static int64_t reduce(const struct field *f, int64_t raw)
{
    bool is_signed = f->place.kind != FIELD_UNSIGNED;

    if (f->divide)
        raw = is_signed ? raw / (int64_t)f->divide : (int64_t)((uint64_t)raw / f->divide);
    if (f->modulo)
        raw = is_signed ? raw % (int64_t)f->modulo : (int64_t)((uint64_t)raw % f->modulo);
    return raw;
}

static double as_double(enum field_kind kind, int64_t raw)
{
    return kind == FIELD_UNSIGNED ? (double)(uint64_t)raw : (double)raw;
}

/* Without the overflow of the least one. */
static int64_t negate(int64_t value)
{
    return (int64_t)(0 - (uint64_t)value);
}

static enum field_result decode_whole(const struct field *f, const uint8_t *bytes, size_t n, char *text,
                                      struct gatehouse_value *ret)
{
    int64_t raw, plus = 0;
    struct gatehouse_value v;

    if (!whole_number(&f->place, bytes, n, &raw) || (f->has_plus && !whole_number(&f->plus, bytes, n, &plus)))
        return FIELD_TRUNCATED;
    for (size_t i = 0; i < f->n_invalid; i++)
        if (f->invalid[i] == raw)
            return FIELD_NO_VALUE;
    raw = reduce(f, raw);
    if (f->choices)
        return choose(f, raw, text, ret);
    if (f->place.kind == FIELD_BOOL) {
        if (raw != 0 && raw != 1)
            return FIELD_NO_VALUE;
        *ret = (struct gatehouse_value){.type = GATEHOUSE_BOOL, .b = raw == 1};
        return FIELD_VALUE;
    }
    bool negated = f->n_negative > 0 && field_conditions_hold(f->negative, f->n_negative, bytes, n);
    if (f->scaled) {
        double value = scaled(f, as_double(f->place.kind, raw), as_double(f->plus.kind, plus));
        v = (struct gatehouse_value){.type = GATEHOUSE_DOUBLE, .d = negated ? -value : value};
    } else if (f->place.kind == FIELD_UNSIGNED && raw < 0) {
        v = (struct gatehouse_value){.type = GATEHOUSE_UINT, .t = (uint64_t)raw};
    } else {
        v = (struct gatehouse_value){.type = GATEHOUSE_INT, .x = negated ? negate(raw) : raw};
    }
    enum field_result r = check_range(f, &v);
    if (r == FIELD_VALUE)
        *ret = v;
    return r;
}

/* --- texts --- */

/* The length of the UTF-8 character at p, 0 if it is none. */
static size_t character(const uint8_t *p, size_t n)
{
    size_t length = p[0] < 0x80                   ? 1
                    : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
                    : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
                    : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
                                                  : 0;
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t code = length > 1 ? p[0] & (0x7fu >> length) : p[0];

    if (length == 0 || length > n)
        return 0;
    for (size_t i = 1; i < length; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (p[i] & 0x3f);
    }
    bool surrogate = code >= 0xd800 && code < 0xe000, control = code < 0x20 || code == 0x7f;
    return code < least[length] || code > 0x10ffff || surrogate || control ? 0 : length;
}

/* Bytes that are no printable UTF-8 become '?'. */
static void clean_text(const uint8_t *p, size_t n, char *text)
{
    size_t used = 0;

    for (size_t i = 0; i < n && p[i];) {
        size_t length = character(p + i, n - i), least = length ? length : 1;
        if (used + least > FIELD_TEXT_MAX)
            break;
        if (length)
            memcpy(text + used, p + i, length);
        else
            text[used] = '?';
        used += least;
        i += least;
    }
    text[used] = '\0';
}

static enum field_result decode_text(const struct field *f, const uint8_t *bytes, size_t n, char *text,
                                     struct gatehouse_value *ret)
{
    size_t size = 0, used = 0;
    const uint8_t *at = locate(&f->place, bytes, n, &size);

    if (!at)
        return FIELD_TRUNCATED;
    text[0] = '\0';
    if (f->place.kind == FIELD_TEXT) {
        clean_text(at, size, text);
    } else {
        bool hex = f->place.kind == FIELD_HEX;
        if (size * (hex ? 2 : 4) > FIELD_TEXT_MAX)
            return FIELD_NO_VALUE;
        for (size_t i = 0; i < size; i++)
            used += (size_t)snprintf(text + used, FIELD_TEXT_MAX + 1 - used,
                                     hex ? "%02x"
                                     : i ? ".%u"
                                         : "%u",
                                     (unsigned)at[hex || f->place.big ? i : size - 1 - i]);
    }
    *ret = (struct gatehouse_value){.type = GATEHOUSE_STRING, .s = text};
    return FIELD_VALUE;
}

enum field_result field_decode(const struct field *f, const uint8_t *bytes, size_t n, char *text,
                               struct gatehouse_value *ret)
{
    if (!field_conditions_hold(f->when, f->n_when, bytes, n))
        return FIELD_NO_VALUE;
    switch (f->place.kind) {
    case FIELD_UNSIGNED:
    case FIELD_SIGNED:
    case FIELD_SIGN_MAGNITUDE:
    case FIELD_BOOL:
        return decode_whole(f, bytes, n, text, ret);
    case FIELD_FLOAT:
    case FIELD_MEDICAL:
        return decode_float(f, bytes, n, ret);
    case FIELD_TEXT:
    case FIELD_HEX:
    case FIELD_VERSION:
        return decode_text(f, bytes, n, text, ret);
    }
    return FIELD_NO_VALUE;
}

enum field_result field_raw(const struct field *f, const uint8_t *bytes, size_t n, int64_t *ret)
{
    return whole_number(&f->place, bytes, n, ret) ? FIELD_VALUE : FIELD_TRUNCATED;
}

void field_done(struct field *f)
{
    for (size_t i = 0; i < f->n_choices; i++)
        free(f->choices[i].name);
    free(f->choices);
    free(f->when);
    free(f->negative);
    memset(f, 0, sizeof *f);
}
