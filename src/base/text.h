/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Text as we take it from others, and numbers as text. Pure, any thread. */

#include <stdbool.h>
#include <stddef.h>

/* Whether n bytes are valid UTF-8 without control characters (U+0000..1F, U+7F..9F). */
bool text_printable(const void *data, size_t n);
/* Cuts off a last character that is not whole, as when a text was cut to fit: D-Bus takes no text that is not UTF-8. */
void text_trim(char *text);

/* Puts '?' in the place of each byte that is not of valid UTF-8. */
void text_repair(char *text);
/* Puts '?' in the place of each byte that text_printable() would refuse: a terminal obeys such. */
void text_clean(char *text);

/* The shortest text that reads back as the same finite number; LC_NUMERIC is to be "C". Returns `text`. */
#define DOUBLE_TEXT_MAX 32
char *double_format(double value, char text[DOUBLE_TEXT_MAX]);
