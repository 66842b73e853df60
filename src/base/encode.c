/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/encode.h"

#include <errno.h>

/* 1 if low <= c <= high, without a branch. */
static int between(int c, int low, int high)
{
    return (int)(((unsigned)(low - 1 - c) & (unsigned)(c - high - 1)) >> (sizeof(unsigned) * 8 - 1));
}

static char hex_digit(int v)
{
    return (char)('0' + v + between(v, 10, 15) * ('a' - '0' - 10));
}

/* 0..15, or -1 */
static int hex_value(int c)
{
    return -1 + between(c, '0', '9') * (c - '0' + 1) + between(c, 'a', 'f') * (c - 'a' + 11) +
           between(c, 'A', 'F') * (c - 'A' + 11);
}

static char base64_digit(int v)
{
    return (char)(between(v, 0, 25) * ('A' + v) + between(v, 26, 51) * ('a' + v - 26) +
                  between(v, 52, 61) * ('0' + v - 52) + between(v, 62, 62) * '+' + between(v, 63, 63) * '/');
}

/* 0..63, or -1 */
static int base64_value(int c)
{
    return -1 + between(c, 'A', 'Z') * (c - 'A' + 1) + between(c, 'a', 'z') * (c - 'a' + 27) +
           between(c, '0', '9') * (c - '0' + 53) + between(c, '+', '+') * 63 + between(c, '/', '/') * 64;
}

void hex_encode(const void *data, size_t n, char *text)
{
    const uint8_t *p = data;

    for (size_t i = 0; i < n; i++) {
        *text++ = hex_digit(p[i] >> 4);
        *text++ = hex_digit(p[i] & 15);
    }
    *text = 0;
}

void base64_encode(const void *data, size_t n, char *text)
{
    const uint8_t *p = data;

    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i;
        uint32_t v = (uint32_t)p[i] << 16 | (left > 1 ? (uint32_t)p[i + 1] << 8 : 0) | (left > 2 ? p[i + 2] : 0);

        *text++ = base64_digit((int)(v >> 18 & 63));
        *text++ = base64_digit((int)(v >> 12 & 63));
        *text++ = left > 1 ? base64_digit((int)(v >> 6 & 63)) : '=';
        *text++ = left > 2 ? base64_digit((int)(v & 63)) : '=';
    }
    *text = 0;
}

void base32_encode(const void *data, size_t n, char *text)
{
    const uint8_t *p = data;
    uint32_t bits = 0;
    int have = 0;

    for (size_t i = 0; i < n; i++) {
        bits = bits << 8 | p[i];
        for (have += 8; have >= 5; have -= 5)
            *text++ = "abcdefghijklmnopqrstuvwxyz234567"[bits >> (have - 5) & 31];
    }
    if (have > 0)
        *text++ = "abcdefghijklmnopqrstuvwxyz234567"[bits << (5 - have) & 31];
    *text = 0;
}

ssize_t hex_decode(const char *text, size_t n, void *data, size_t size)
{
    uint8_t *p = data;
    int bad = 0;

    if (n % 2)
        return -EINVAL;
    if (n / 2 > size)
        return -ENOBUFS;
    for (size_t i = 0; i < n; i += 2) {
        int high = hex_value((unsigned char)text[i]), low = hex_value((unsigned char)text[i + 1]);

        bad |= high | low;
        p[i / 2] = (uint8_t)((unsigned)high << 4 | ((unsigned)low & 15));
    }
    return bad < 0 ? -EINVAL : (ssize_t)(n / 2);
}

ssize_t base64_decode(const char *text, size_t n, void *data, size_t size)
{
    uint8_t *p = data;
    size_t pad = 0, written = 0;

    if (n % 4)
        return -EINVAL;
    while (pad < 2 && pad < n && text[n - 1 - pad] == '=')
        pad++;
    if (n / 4 * 3 - pad > size)
        return -ENOBUFS;
    for (size_t i = 0; i < n; i += 4) {
        size_t take = i + 4 == n ? 3 - pad : 3;
        uint32_t v = 0;
        int bad = 0;

        for (size_t k = 0; k < 4; k++) {
            int digit = k > take ? 0 : base64_value((unsigned char)text[i + k]);

            bad |= digit;
            v = v << 6 | ((uint32_t)digit & 63);
        }
        /* bits beyond the last byte must be zero, or two texts would name one key */
        if (bad < 0 || (take < 3 && v & (0xffffffu >> (8 * take))))
            return -EINVAL;
        for (size_t k = 0; k < take; k++)
            p[written++] = (uint8_t)(v >> (16 - 8 * k));
    }
    return (ssize_t)written;
}
