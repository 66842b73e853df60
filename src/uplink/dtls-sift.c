/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "uplink/dtls.h"

#include <string.h>

/* RFC 6347 section 4.1: type, version (2), epoch (2), sequence number (6), length (2). */
#define RECORD_HEADER 13
#define TYPE_FIRST 20 /* change_cipher_spec, alert, handshake, application_data */
#define TYPE_LAST 23
#define VERSION_MAJOR 0xfe

size_t dtls_sift(uint8_t *datagram, size_t n, bool encrypted_only, uint64_t *dropped)
{
    size_t at = 0, kept = 0;

    while (n - at >= RECORD_HEADER) {
        const uint8_t *h = datagram + at;
        size_t record = RECORD_HEADER + ((size_t)h[11] << 8 | h[12]);
        unsigned epoch = (unsigned)(h[3] << 8 | h[4]);

        if (h[0] < TYPE_FIRST || h[0] > TYPE_LAST || h[1] != VERSION_MAJOR || record == RECORD_HEADER ||
            record > n - at)
            break;
        if (encrypted_only && epoch == 0) {
            ++*dropped;
        } else {
            memmove(datagram + kept, h, record);
            kept += record;
        }
        at += record;
    }
    /* What does not parse takes the rest of its datagram with it: there is no telling where the next record begins. */
    if (at < n || n == 0)
        ++*dropped;
    return kept;
}
