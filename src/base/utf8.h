/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing beyond U+10FFFF. Pure, any thread. */

#include <stddef.h>

/* The bytes of the character at the beginning of n bytes: 1 to 4, or 0 if there is none or it is not UTF-8. */
size_t utf8_length(const char *text, size_t n);
/* Writes the character, returns its bytes. `code` is no surrogate and at most 0x10FFFF. */
size_t utf8_encode(unsigned code, char text[4]);
