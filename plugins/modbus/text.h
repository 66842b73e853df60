/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Texts in registers: two characters a register or one, in any order of bytes and words. Pure, any thread. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum text_packing {
    PACKING_TWO,
    PACKING_LOW,  /* one character a register, in its low byte */
    PACKING_HIGH, /* the same, in its high byte */
};

struct text_format {
    unsigned length; /* bytes */
    enum text_packing packing;
    bool bytes_swapped;  /* the first of two is the low one */
    bool words_reversed; /* the last register comes first */
    bool latin1;
};

unsigned text_registers(const struct text_format *f);
/* Up to the first NUL or 0xFF, without trailing blanks; what is not UTF-8, and control characters, become '?'. `text`
 * has VALUE_TEXT_MAX bytes. -ENODATA: it begins with 0xFF. */
int text_decode(const struct text_format *f, const uint16_t *registers, char *text);
/* -ERANGE: too long; -EINVAL: a character that Latin-1 does not have. */
int text_encode(const struct text_format *f, const char *s, uint16_t *registers);
