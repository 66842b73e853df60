/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bytes.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* n bytes from the 2 n digits at text; false at the first character that is none. */
static bool hex_exact(const char *text, uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int high = digit(text[2 * i]), low = high < 0 ? -1 : digit(text[2 * i + 1]);
        if (low < 0)
            return false;
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

int bytes_from_hex(const char *text, uint8_t *bytes, size_t size, size_t *ret_n)
{
    size_t n = strlen(text);

    if (n % 2 != 0 || n / 2 > size || !hex_exact(text, bytes, n / 2))
        return -EINVAL;
    *ret_n = n / 2;
    return 0;
}

int address_parse(const char *text, uint8_t ret[6])
{
    uint8_t bytes[6];

    if (strlen(text) != 17)
        return -EINVAL;
    for (size_t i = 0; i < 6; i++)
        if (!hex_exact(text + 3 * i, &bytes[i], 1) || (i < 5 && text[3 * i + 2] != ':'))
            return -EINVAL;
    memcpy(ret, bytes, sizeof bytes);
    return 0;
}

int uuid_parse(const char *text, struct ble_uuid *ret)
{
    /* The base UUID of the Bluetooth specification, into which the short ones are put. */
    struct ble_uuid uuid = {{0, 0, 0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0x80, 0x5f, 0x9b, 0x34, 0xfb}};
    static const unsigned char groups[] = {4, 2, 2, 2, 6};
    size_t n = strlen(text), at = 0;

    if (n == 6 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        text += 2;
        n = 4;
    }
    if (n == 4 || n == 8) {
        if (!hex_exact(text, uuid.bytes + 4 - n / 2, n / 2))
            return -EINVAL;
        *ret = uuid;
        return 0;
    }
    if (n != 36)
        return -EINVAL;
    for (size_t i = 0; i < sizeof groups; i++) {
        if (!hex_exact(text, uuid.bytes + at, groups[i]))
            return -EINVAL;
        at += groups[i];
        text += 2 * groups[i];
        if (i + 1 < sizeof groups && *text++ != '-')
            return -EINVAL;
    }
    *ret = uuid;
    return 0;
}

bool uuid_equal(const struct ble_uuid *a, const struct ble_uuid *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}
