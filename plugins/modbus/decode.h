/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* From registers to values and back: types, byte orders, scaling, sentinels. Pure, any thread; the format is the
 * caller's, and was checked when the configuration was read: its order, bit and length fit its type.
 *
 * Registers are in host byte order, as libmodbus gives them. A coil or discrete input is a format of type TYPE_BIT and
 * one "register" that is 0 or 1. */

#include "modbus-limits.h"

#include <gatehouse/plugin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum modbus_type {
    TYPE_BIT,
    TYPE_INT8H,
    TYPE_INT8L,
    TYPE_UINT8H,
    TYPE_UINT8L,
    TYPE_INT16,
    TYPE_UINT16,
    TYPE_INT32,
    TYPE_UINT32,
    TYPE_INT64,
    TYPE_UINT64,
    TYPE_FLOAT16,
    TYPE_FLOAT32,
    TYPE_FLOAT64,
    TYPE_STRING,
    TYPE_COUNT,
};

struct modbus_format {
    enum modbus_type type;
    const char
        *order;      /* static text: at i, the letter of the byte that is i-th on the wire, 'A' the most significant */
    unsigned bit;    /* TYPE_BIT: 0 the least significant */
    unsigned length; /* TYPE_STRING: bytes */
    double scale;
    double offset;
    bool scaled;                     /* scale or offset was given: the value is a double */
    int decimals;                    /* rounded to so many; -1: not rounded */
    uint64_t invalid[SENTINELS_MAX]; /* raw bit patterns that mean "no value" */
    unsigned n_invalid;
};

/* "int16" and so on; -EINVAL for an unknown name. */
int modbus_type_from_name(const char *name, enum modbus_type *ret);
const char *modbus_type_name(enum modbus_type type);
/* How many bits the raw value has; 0 for a string. */
unsigned modbus_type_bits(enum modbus_type type);
bool modbus_type_is_float(enum modbus_type type);

/* The static text for an order that the type may have; NULL name: the type's default. NULL if it may not. */
const char *modbus_order(enum modbus_type type, const char *name);
/* How many decimal places the product of an integer and `scale` has at most: 0.1 has 1; -1 if that is no short decimal
 * fraction (1/3). */
int modbus_decimals_of(double scale);

/* How many registers (or, for a coil, bits) the value covers: 1 to VALUE_REGISTERS_MAX. */
unsigned modbus_format_registers(const struct modbus_format *f);

/* The raw bit pattern of a number in this type, for sentinels. -ERANGE if it does not fit. Not for strings. */
int modbus_pattern_from_int(enum modbus_type type, int64_t number, uint64_t *ret);
int modbus_pattern_from_uint(enum modbus_type type, uint64_t number, uint64_t *ret);
int modbus_pattern_from_double(enum modbus_type type, double number, uint64_t *ret);

/* Decodes n registers. A string value points into `text` (VALUE_TEXT_MAX bytes). -ENODATA: a sentinel, or not a finite
 * number; -EINVAL: n is too small. */
int modbus_decode(const struct modbus_format *f, const uint16_t *registers, size_t n, char *text,
                  struct gatehouse_value *ret);
/* Encodes into n registers, which hold what the device has now: types smaller than a register change only their part.
 * -EINVAL: n is too small, or the value cannot be converted to the type; -ERANGE: it does not fit. */
int modbus_encode(const struct modbus_format *f, const struct gatehouse_value *value, uint16_t *registers, size_t n);
/* Whether modbus_encode needs what the device has now. */
bool modbus_encode_is_partial(const struct modbus_format *f);
/* What the type can hold after scaling, in words: "-3276.8 to 3276.7". */
void modbus_range_text(const struct modbus_format *f, char *text, size_t size);
