/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "text.h"

#include "modbus-limits.h"

#include <errno.h>
#include <string.h>

#define NONE 0xff

unsigned text_registers(const struct text_format *f)
{
    return f->packing == PACKING_TWO ? (f->length + 1) / 2 : f->length;
}

/* Where the i-th character stands: the register, and by how much its byte is shifted. */
static unsigned place(const struct text_format *f, unsigned i, unsigned *ret_shift)
{
    unsigned n = text_registers(f), reg = f->packing == PACKING_TWO ? i / 2 : i;
    bool high = f->packing == PACKING_HIGH || (f->packing == PACKING_TWO && (i % 2 == 0) != f->bytes_swapped);

    *ret_shift = high ? 8 : 0;
    return f->words_reversed ? n - 1 - reg : reg;
}

/* The length of the UTF-8 sequence at s of at most n bytes, 0 if there is none. */
static size_t utf8_sequence(const unsigned char *s, size_t n)
{
    size_t length = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : 4;

    if (length == 1)
        return 1;
    if (s[0] < 0xc2 || s[0] > 0xf4 || length > n)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
        (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return length;
}

static size_t put_latin1(char *text, size_t n, unsigned char byte)
{
    if (byte < 0x80) {
        text[n++] = (char)byte;
    } else if (n + 2 < VALUE_TEXT_MAX) {
        text[n++] = (char)(0xc0 | byte >> 6);
        text[n++] = (char)(0x80 | (byte & 0x3f));
    }
    return n;
}

static void mask_garbage(char *text, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t length = utf8_sequence((const unsigned char *)text + i, n - i);
        bool control = (unsigned char)text[i] < 0x20 || text[i] == 0x7f;
        if (length == 0 || control) {
            text[i] = '?';
            length = 1;
        }
        i += length;
    }
}

int text_decode(const struct text_format *f, const uint16_t *registers, char *text)
{
    size_t n = 0;

    for (unsigned i = 0; i < f->length && n + 1 < VALUE_TEXT_MAX; i++) {
        unsigned shift, reg = place(f, i, &shift);
        unsigned char byte = (unsigned char)(registers[reg] >> shift & 0xff);
        if (byte == NONE && i == 0)
            return -ENODATA;
        if (byte == 0 || byte == NONE)
            break;
        if (f->latin1)
            n = put_latin1(text, n, byte);
        else
            text[n++] = (char)byte;
    }
    while (n > 0 && text[n - 1] == ' ')
        n--;
    text[n] = '\0';
    mask_garbage(text, n);
    return 0;
}

/* The next character as one byte; how many bytes it took, or -EINVAL. */
static int get_latin1(const unsigned char *s, uint16_t *ret)
{
    if (s[0] < 0x80) {
        *ret = s[0];
        return 1;
    }
    if ((s[0] == 0xc2 || s[0] == 0xc3) && (s[1] & 0xc0) == 0x80) {
        *ret = (uint16_t)((s[0] & 3) << 6 | (s[1] & 0x3f));
        return 2;
    }
    return -EINVAL;
}

int text_encode(const struct text_format *f, const char *s, uint16_t *registers)
{
    const unsigned char *p = (const unsigned char *)s;

    memset(registers, 0, text_registers(f) * sizeof registers[0]);
    for (unsigned i = 0; *p; i++) {
        uint16_t byte = *p;
        int used = f->latin1 ? get_latin1(p, &byte) : 1;
        unsigned shift;
        if (used < 0)
            return used;
        if (i == f->length)
            return -ERANGE;
        unsigned reg = place(f, i, &shift);
        registers[reg] |= (uint16_t)(byte << shift);
        p += used;
    }
    return 0;
}
