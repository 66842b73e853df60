/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "decode.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A double holds any decimal of so many digits. */
#define DIGITS_EXACT 15

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

struct modbus_format modbus_format_scaled(const struct modbus_format *f, int exponent)
{
    struct modbus_format r = *f;

    for (int i = 0; i < exponent; i++)
        r.scale *= 10;
    for (int i = 0; i > exponent; i--)
        r.scale /= 10;
    if (r.decimals >= 0 && exponent < 0)
        r.decimals -= exponent;
    return r;
}

unsigned modbus_format_registers(const struct modbus_format *f)
{
    if (f->type == TYPE_STRING)
        return text_registers(&f->text);
    return modbus_type_bits(f->type) <= 16 ? 1 : modbus_type_bits(f->type) / 16;
}

bool modbus_encode_is_partial(const struct modbus_format *f)
{
    return f->mask != 0 || (modbus_type_bits(f->type) != 0 && modbus_type_bits(f->type) < 16);
}

/* How many bits the mask left. */
static unsigned width_of(const struct modbus_format *f)
{
    unsigned bits = 0;

    if (f->mask == 0)
        return modbus_type_bits(f->type);
    for (uint64_t mask = f->mask >> f->shift; mask != 0; mask >>= 1)
        bits++;
    return bits;
}

bool modbus_format_fits(const struct modbus_format *f, uint64_t pattern)
{
    unsigned width = width_of(f);
    uint64_t type_mask = UINT64_MAX >> (64 - modbus_type_bits(f->type)),
             above = type_mask & ~(UINT64_MAX >> (64 - width));

    if (modbus_type_kind(f->type) == KIND_SIGNED && pattern >> (width - 1) & 1)
        return (pattern & above) == above;
    return (pattern & above) == 0;
}

/* --- scaling --- */

/* An integer below 2^53 divided by a power of ten is the double nearest to that decimal. */
static double round_decimals(double x, int decimals)
{
    static const double powers[DIGITS_EXACT + 1] = {1,   1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                    1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};

    if (decimals < 0 || decimals > DIGITS_EXACT)
        return x;
    double whole = round(x * powers[decimals]);
    return fabs(whole) < 0x1p53 ? whole / powers[decimals] : x;
}

/* The decimal that is meant: what a multiplication adds stands behind the fifteenth digit. */
static double without_dust(double x)
{
    char text[40];

    (void)snprintf(text, sizeof text, "%.*g", DIGITS_EXACT, x);
    return strtod(text, NULL);
}

/* The product of two decimals has as many places as both together. */
static double scale_float(const struct modbus_format *f, double x)
{
    int a = modbus_decimals_of(x), b = modbus_decimals_of(f->scale), c = modbus_decimals_of(f->offset);
    double y = x * f->scale + f->offset;

    if (a < 0 || b < 0 || c < 0)
        return without_dust(y);
    return round_decimals(y, a + b > c ? a + b : c);
}

static int double_value(const struct modbus_format *f, double x, struct gatehouse_value *ret)
{
    if (f->scaled)
        x = modbus_type_is_float(f->type) ? scale_float(f, x) : x * f->scale + f->offset;
    if (f->decimals >= 0)
        x = round_decimals(x, f->decimals);
    else if (f->scaled && !modbus_type_is_float(f->type) && fabs(x) < 1e15)
        x = without_dust(x);
    if (!isfinite(x) || (f->ranged && (x < f->valid_min || x > f->valid_max)))
        return -ENODATA;
    ret->type = GATEHOUSE_DOUBLE;
    ret->d = x == 0 ? 0 : x; /* no negative zero */
    return 0;
}

static int integer_value(const struct modbus_format *f, uint64_t raw, struct gatehouse_value *ret)
{
    bool is_signed = false;
    int64_t x = 0;
    int r = modbus_integer_from_pattern(f->type, raw, width_of(f), &x, &is_signed);

    if (r < 0)
        return r;
    double number = is_signed ? (double)x : (double)(uint64_t)x;
    if (f->scaled)
        return double_value(f, number, ret);
    if (f->ranged && (number < f->valid_min || number > f->valid_max))
        return -ENODATA;
    if (is_signed)
        *ret = (struct gatehouse_value){.type = GATEHOUSE_INT, .x = x};
    else
        *ret = (struct gatehouse_value){.type = GATEHOUSE_UINT, .t = (uint64_t)x};
    return 0;
}

/* --- names and switches --- */

static int bool_value(const struct modbus_format *f, uint64_t raw, struct gatehouse_value *ret)
{
    bool on = f->switched ? raw == f->on : raw != 0;

    if (f->switched && !on && raw != f->off)
        return -ENODATA;
    *ret = (struct gatehouse_value){.type = GATEHOUSE_BOOL, .b = on != f->invert};
    return 0;
}

static const struct modbus_choice *choice_of(const struct modbus_format *f, uint64_t raw)
{
    for (size_t i = 0; i < f->n_choices; i++)
        if (f->choices[i].raw == raw)
            return &f->choices[i];
    return NULL;
}

int modbus_decode(const struct modbus_format *f, const uint16_t *registers, size_t n, char *text,
                  struct gatehouse_value *ret)
{
    const struct modbus_choice *choice = NULL;

    if (n < modbus_format_registers(f))
        return -EINVAL;
    if (f->type == TYPE_STRING) {
        *ret = (struct gatehouse_value){.type = GATEHOUSE_STRING, .s = text};
        return text_decode(&f->text, registers, text);
    }
    uint64_t raw = modbus_raw_get(f->type, f->order, f->bit, registers);
    for (unsigned i = 0; i < f->n_invalid; i++)
        if (raw == f->invalid[i])
            return -ENODATA;
    if (f->mask != 0)
        raw = (raw & f->mask) >> f->shift;
    if (f->choices && !(choice = choice_of(f, raw)))
        return -ENODATA;
    if (choice && choice->name) {
        *ret = (struct gatehouse_value){.type = GATEHOUSE_STRING, .s = choice->name};
        return 0;
    }
    if (f->type == TYPE_BIT || f->switched)
        return bool_value(f, raw, ret);
    if (modbus_type_is_float(f->type))
        return double_value(f, modbus_double_from_pattern(f->type, raw), ret);
    return integer_value(f, raw, ret);
}

/* --- writing --- */

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

/* true and false, and numbers and texts that mean them. */
static int bool_of(const struct gatehouse_value *value, bool *ret)
{
    double number;

    if (value->type == GATEHOUSE_STRING) {
        *ret = strcmp(value->s, "on") == 0 || strcmp(value->s, "true") == 0;
        return *ret || strcmp(value->s, "off") == 0 || strcmp(value->s, "false") == 0 ? 0 : -EINVAL;
    }
    if (number_of(value, &number) < 0)
        return -EINVAL;
    *ret = number != 0;
    return number == 0 || number == 1 ? 0 : -ERANGE;
}

static int pattern_of_number(const struct modbus_format *f, const struct gatehouse_value *value, uint64_t *ret)
{
    double number;
    int r;

    if (!f->scaled && value->type == GATEHOUSE_INT)
        return modbus_pattern_from_int(f->type, value->x, ret);
    if (!f->scaled && value->type == GATEHOUSE_UINT)
        return modbus_pattern_from_uint(f->type, value->t, ret);
    r = number_of(value, &number);
    if (r < 0)
        return r;
    if (f->scaled)
        number = (number - f->offset) / f->scale;
    /* A whole number of more digits is rounded to the nearest one, dust or not. */
    if (f->scaled && fabs(number) < 1e15)
        number = without_dust(number);
    return modbus_pattern_from_double(f->type, number, ret);
}

static int encode_raw(const struct modbus_format *f, const struct gatehouse_value *value, uint64_t *ret)
{
    bool on;
    int r;

    for (size_t i = 0; value->type == GATEHOUSE_STRING && i < f->n_choices; i++)
        if (f->choices[i].name && strcmp(f->choices[i].name, value->s) == 0) {
            *ret = f->choices[i].raw;
            return 0;
        }
    if (f->type == TYPE_BIT || f->switched) {
        r = bool_of(value, &on);
        if (r == 0)
            *ret = !f->switched ? (uint64_t)(on != f->invert) : on != f->invert ? f->on : f->off;
        return r;
    }
    r = pattern_of_number(f, value, ret);
    if (r == 0 && f->mask != 0) {
        if (!modbus_format_fits(f, *ret))
            return -ERANGE;
        *ret &= f->mask >> f->shift;
    }
    return r == 0 && f->choices && !choice_of(f, *ret) ? -ERANGE : r;
}

int modbus_encode(const struct modbus_format *f, const struct gatehouse_value *value, uint16_t *registers, size_t n)
{
    uint64_t raw = 0;
    int r;

    if (n < modbus_format_registers(f))
        return -EINVAL;
    if (f->type == TYPE_STRING)
        return value->type == GATEHOUSE_STRING ? text_encode(&f->text, value->s, registers) : -EINVAL;
    r = encode_raw(f, value, &raw);
    if (r < 0)
        return r;
    if (f->mask != 0)
        raw = (modbus_raw_get(f->type, f->order, f->bit, registers) & ~f->mask) | raw << f->shift;
    modbus_raw_put(f->type, f->order, f->bit, raw, registers);
    return 0;
}

/* --- words --- */

static void choices_text(const struct modbus_format *f, char *text, size_t size)
{
    size_t n = (size_t)snprintf(text, size, "one of");

    for (size_t i = 0; i < f->n_choices && n < size; i++)
        n += f->choices[i].name
                 ? (size_t)snprintf(text + n, size - n, "%s %s", i ? "," : "", f->choices[i].name)
                 : (size_t)snprintf(text + n, size - n, "%s %llu", i ? "," : "", (unsigned long long)f->choices[i].raw);
}

static void numbers_text(const struct modbus_format *f, char *text, size_t size)
{
    uint64_t max;
    int64_t min;

    modbus_type_range(f->type, &min, &max);
    if (f->mask != 0) {
        max = UINT64_MAX >> (64 - width_of(f)) >> (min < 0);
        min = min < 0 ? -(int64_t)max - 1 : 0;
    }
    if (!f->scaled) {
        (void)snprintf(text, size, "%lld to %llu", (long long)min, (unsigned long long)max);
        return;
    }
    double a = round_decimals((double)min * f->scale + f->offset, f->decimals);
    double b = round_decimals((double)max * f->scale + f->offset, f->decimals);
    (void)snprintf(text, size, "%.15g to %.15g", a < b ? a : b, a < b ? b : a);
}

void modbus_range_text(const struct modbus_format *f, char *text, size_t size)
{
    if (f->type == TYPE_STRING)
        (void)snprintf(text, size, "a text of at most %u %s", f->text.length, f->text.latin1 ? "characters" : "bytes");
    else if (f->choices)
        choices_text(f, text, size);
    else if (f->type == TYPE_BIT || f->switched)
        (void)snprintf(text, size, "true or false");
    else if (modbus_type_is_float(f->type))
        (void)snprintf(text, size, "what a %s can hold", modbus_type_name(f->type));
    else
        numbers_text(f, text, size);
}
