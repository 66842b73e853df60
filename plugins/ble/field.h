/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One field of a sensor's bytes: where it is, and what value it makes. Pure, any thread; a struct field is read from
 * JSON by field-read.h and owns its memory. */

#include "decoder-limits.h"

#include <gatehouse/plugin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum field_kind {
    FIELD_UNSIGNED,
    FIELD_SIGNED,         /* two's complement */
    FIELD_SIGN_MAGNITUDE, /* the most significant bit is the sign */
    FIELD_FLOAT,          /* IEEE 754, 32 or 64 bits */
    FIELD_MEDICAL,        /* IEEE 11073-20601, 16 or 32 bits: an exponent of ten above the mantissa */
    FIELD_BOOL,
    FIELD_TEXT,    /* UTF-8 to the first NUL or the end */
    FIELD_HEX,     /* bytes as hexadecimal text, as they come */
    FIELD_VERSION, /* bytes as decimals with dots between, the most significant first */
};

/* A place in the bytes. */
struct field_place {
    enum field_kind kind;
    int at;        /* from the beginning; negative: from the end, -1 the last byte */
    unsigned size; /* bytes, 1 to 8; of text and bytes 0 for all that follow */
    bool big;      /* the most significant byte first */
    unsigned bit;  /* bits: the lowest of them, 0 the least significant */
    unsigned bits; /* 0: all */
};

struct field_condition {
    struct field_place place;
    int64_t equals[FIELD_EQUALS_MAX]; /* n_equals 0: any in the range */
    size_t n_equals;
    int64_t min, max;
};

struct field_choice {
    int64_t raw;
    char *name;
};

struct field {
    char name[FIELD_NAME_MAX + 1];
    char unit[FIELD_UNIT_MAX + 1]; /* "": none */
    struct field_place place;
    bool scaled; /* the value is a double: raw * scale / scale_by + offset */
    double scale, scale_by, offset;
    int decimals;                       /* rounded to so many; -1: not at all */
    unsigned divide;                    /* 0: none; of a whole number, towards zero */
    unsigned modulo;                    /* 0: none */
    double power;                       /* 0: none; else the value is power ^ (raw * scale / scale_by) + offset */
    int64_t invalid[FIELD_INVALID_MAX]; /* raw values that mean "no value" */
    size_t n_invalid;
    bool ranged; /* a value outside of these is no value */
    double min, max;
    bool has_plus; /* a second place, times plus_scale, is added */
    struct field_place plus;
    double plus_scale;
    struct field_condition *when; /* all must hold, or there is no value */
    size_t n_when;
    struct field_condition *negative; /* all hold: the value is negated */
    size_t n_negative;
    struct field_choice *choices; /* NULL: none; else the only raw values that count, and the value is a text */
    size_t n_choices;
    bool event;    /* something that happened: each is a sample, even if equal to the last */
    bool sequence; /* counts advertisements, is no value */
};

enum field_result {
    FIELD_VALUE,
    FIELD_NO_VALUE,  /* invalid, out of range, a condition that does not hold, not finite */
    FIELD_TRUNCATED, /* the bytes end before it */
};

/* A text value is written to `text` (FIELD_TEXT_MAX + 1 bytes). */
enum field_result field_decode(const struct field *f, const uint8_t *bytes, size_t n, char *text,
                               struct gatehouse_value *ret);
/* The whole number at the place of a whole number, for sequence numbers. */
enum field_result field_raw(const struct field *f, const uint8_t *bytes, size_t n, int64_t *ret);
/* Whether all conditions hold; bytes that are not there fulfil none. */
bool field_conditions_hold(const struct field_condition *when, size_t n_when, const uint8_t *bytes, size_t n);

void field_done(struct field *f);
