/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* From registers to values and back: scaling, sentinels, ranges, names. Pure, any thread; the format is the caller's,
 * and was checked when the configuration was read: its order, bit and length fit its type.
 *
 * Registers are in host byte order. A coil or discrete input is a format of type TYPE_BIT and one "register" that is 0
 * or 1. */

#include "modbus-limits.h"
#include "text.h"
#include "types.h"

#include <gatehouse/plugin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A raw value that the device may have, and its name if it has one. */
struct modbus_choice {
    uint64_t raw;
    char *name;
};

struct modbus_format {
    enum modbus_type type;
    const char *order; /* static text, see modbus_order */
    unsigned bit;      /* TYPE_BIT: 0 the least significant */
    struct text_format text;
    uint64_t mask; /* 0: none; else what of the raw value counts, shifted down by `shift` */
    unsigned shift;
    double scale;
    double offset;
    bool scaled;                     /* scale or offset was given: the value is a double */
    int decimals;                    /* rounded to so many; -1: as many as the raw value and the scale have */
    uint64_t invalid[SENTINELS_MAX]; /* raw bit patterns that mean "no value" */
    unsigned n_invalid;
    bool ranged; /* what is outside of these is no value either */
    double valid_min, valid_max;
    bool switched; /* the value is a bool: raw `on` is true, `off` false, all else no value */
    uint64_t on, off;
    bool invert;                   /* of a bool */
    struct modbus_choice *choices; /* the only raw values that count; NULL: all */
    size_t n_choices;
};

/* How many decimal places the product of an integer and `scale` has at most: 0.1 has 1; -1 if that is no short decimal
 * fraction (1/3). */
int modbus_decimals_of(double scale);
/* The format with a scale of ten to the power of `exponent` more, of -10 to 10. */
struct modbus_format modbus_format_scaled(const struct modbus_format *f, int exponent);

/* How many registers (or, for a coil, bits) the value covers: 1 to VALUE_REGISTERS_MAX. */
unsigned modbus_format_registers(const struct modbus_format *f);

/* Whether a pattern of the type fits into what the mask leaves: the bits above it are the sign, or nothing. */
bool modbus_format_fits(const struct modbus_format *f, uint64_t pattern);

/* Decodes n registers. A string value points into `text` (VALUE_TEXT_MAX bytes), or is one of the format's names.
 * -ENODATA: a sentinel, out of the valid range, not one of the choices, or not a finite number; -EINVAL: n is too
 * small. */
int modbus_decode(const struct modbus_format *f, const uint16_t *registers, size_t n, char *text,
                  struct gatehouse_value *ret);
/* Encodes into n registers, which hold what the device has now: types smaller than a register, and masked ones, change
 * only their part. -EINVAL: n is too small, or the value cannot be converted to the type; -ERANGE: it does not fit. */
int modbus_encode(const struct modbus_format *f, const struct gatehouse_value *value, uint16_t *registers, size_t n);
/* Whether modbus_encode needs what the device has now. */
bool modbus_encode_is_partial(const struct modbus_format *f);
/* The range of the type after scaling, in words: "-3276.8 to 3276.7". */
void modbus_range_text(const struct modbus_format *f, char *text, size_t size);
