/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/text.h"

#include "base/utf8.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The bytes of the printable character at the beginning; 0: it is none. */
static size_t printable_length(const char *text, size_t n)
{
    const uint8_t *c = (const uint8_t *)text;
    size_t k = utf8_length(text, n);

    return k == 0 || c[0] < 0x20 || c[0] == 0x7f || (k == 2 && c[0] == 0xc2 && c[1] < 0xa0) ? 0 : k;
}

bool text_printable(const void *data, size_t n)
{
    const char *p = data;

    while (n > 0) {
        size_t k = printable_length(p, n);

        if (k == 0)
            return false;
        p += k;
        n -= k;
    }
    return true;
}

void text_trim(char *text)
{
    size_t n = strlen(text);

    for (size_t back = 1; back <= 3 && back <= n; back++) {
        uint8_t c = (uint8_t)text[n - back];

        if (c < 0x80)
            return;
        if (c < 0xc0)
            continue; /* not the first byte of its character */
        if (utf8_length(text + n - back, back) == 0)
            text[n - back] = 0;
        return;
    }
}

void text_repair(char *text)
{
    for (size_t n = strlen(text), k; n > 0; text += k, n -= k) {
        k = utf8_length(text, n);
        if (k == 0) {
            *text = '?';
            k = 1;
        }
    }
}

void text_clean(char *text)
{
    for (size_t n = strlen(text), k; n > 0; text += k, n -= k) {
        k = printable_length(text, n);
        if (k == 0) {
            *text = '?';
            k = 1;
        }
    }
}

char *double_format(double value, char text[DOUBLE_TEXT_MAX])
{
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(text, DOUBLE_TEXT_MAX, "%.*g", precision, value);
        if (strtod(text, NULL) == value)
            break;
    }
    return text;
}
