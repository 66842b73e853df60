/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Bytes as people write them: hexadecimal text, Bluetooth addresses, UUIDs. Pure, any thread. Each returns 0 and fills
 * its result, or -EINVAL and leaves it. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ble_uuid {
    uint8_t bytes[16]; /* as they are written, the most significant first */
};

/* "0512FC": an even number of digits of either case, at most 2 * size. *ret_n bytes. */
int bytes_from_hex(const char *text, uint8_t *bytes, size_t size, size_t *ret_n);
/* "A4:C1:38:02:83:F4", of either case; in the order written. */
int address_parse(const char *text, uint8_t ret[6]);
/* "fcd2", "0xfcd2", "0000fcd2" or all 36 characters, of either case. */
int uuid_parse(const char *text, struct ble_uuid *ret);
bool uuid_equal(const struct ble_uuid *a, const struct ble_uuid *b);
