/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The contents of registers, as bits: the types, the orders of their bytes, and the way from bits to numbers and back.
 * Pure, any thread. `raw` is a type's bits, the most significant first, whatever the order on the wire. */

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
    TYPE_INT48,
    TYPE_UINT48,
    TYPE_INT64,
    TYPE_UINT64,
    TYPE_BCD16,
    TYPE_BCD32,
    TYPE_BCD64,
    TYPE_MOD10K32, /* each register counts from 0 to 9999 */
    TYPE_MOD10K48,
    TYPE_MOD10K64,
    TYPE_SM16, /* the first bit is the sign, the others the magnitude */
    TYPE_SM32,
    TYPE_FLOAT16,
    TYPE_FLOAT32,
    TYPE_FLOAT64,
    TYPE_STRING,
    TYPE_COUNT,
};

enum type_kind {
    KIND_UNSIGNED,
    KIND_SIGNED,
    KIND_SIGN_MAGNITUDE,
    KIND_BCD,
    KIND_MOD10K,
    KIND_FLOAT,
    KIND_TEXT,
};

/* "int16" and so on; -EINVAL for an unknown name. */
int modbus_type_from_name(const char *name, enum modbus_type *ret);
const char *modbus_type_name(enum modbus_type type);
/* How many bits the raw value has; 0 for a string. */
unsigned modbus_type_bits(enum modbus_type type);
enum type_kind modbus_type_kind(enum modbus_type type);
bool modbus_type_is_float(enum modbus_type type);
/* "bit, int8h … or string" */
void modbus_type_list(char *text, size_t size);
/* The range of an integer of this type; 0 and 0 for floats and strings. */
void modbus_type_range(enum modbus_type type, int64_t *ret_min, uint64_t *ret_max);

/* The static text for an order that the type may have: at i, the letter of the byte that is i-th on the wire, 'A' the
 * most significant. NULL name: the type's default. NULL if it may not. */
const char *modbus_order(enum modbus_type type, const char *name);
void modbus_order_list(enum modbus_type type, char *text, size_t size);

/* Types smaller than a register change only their part. */
uint64_t modbus_raw_get(enum modbus_type type, const char *order, unsigned bit, const uint16_t *registers);
void modbus_raw_put(enum modbus_type type, const char *order, unsigned bit, uint64_t raw, uint16_t *registers);

/* Bits to a number; `bits` is the width that a mask left. *ret is an uint64_t unless *ret_signed. -ENODATA: no number
 * (a digit above 9). Not for floats and strings. */
int modbus_integer_from_pattern(enum modbus_type type, uint64_t raw, unsigned bits, int64_t *ret, bool *ret_signed);
double modbus_double_from_pattern(enum modbus_type type, uint64_t raw);

/* The bits of a number in this type. -ERANGE if it does not fit. Not for strings. */
int modbus_pattern_from_int(enum modbus_type type, int64_t number, uint64_t *ret);
int modbus_pattern_from_uint(enum modbus_type type, uint64_t number, uint64_t *ret);
int modbus_pattern_from_double(enum modbus_type type, double number, uint64_t *ret);
