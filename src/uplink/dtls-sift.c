/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "uplink/dtls.h"

#include <string.h>

/* RFC 6347 section 4.1: type, version (2), epoch (2), sequence number (6), length (2). */
#define RECORD_HEADER 13
#define TYPE_FIRST 20 /* change_cipher_spec, alert, handshake, application_data */
#define TYPE_LAST 23
#define TYPE_CHANGE_CIPHER_SPEC 20
#define TYPE_ALERT 21
#define TYPE_HANDSHAKE 22
#define VERSION_MAJOR 0xfe
/* RFC 6347 section 4.2.2: type, length (3), message number (2), fragment offset (3), fragment length (3). */
#define MESSAGE_HEADER 12
#define MESSAGE_MAX 16384
#define MESSAGES_MAX 16 /* a server's messages in a handshake, with room */

static size_t number24(const uint8_t *p)
{
    return (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2];
}

/* One fragment of what a server says in clear text. GnuTLS waits in vain for the rest of what makes no sense. */
static bool is_server_message(const uint8_t *m, size_t n)
{
    size_t length, offset, fragment;

    if (n < MESSAGE_HEADER)
        return false;
    length = number24(m + 1);
    offset = number24(m + 6);
    fragment = number24(m + 9);
    if (length > MESSAGE_MAX || offset > length || fragment > length - offset || fragment > n - MESSAGE_HEADER ||
        (m[4] << 8 | m[5]) > MESSAGES_MAX)
        return false;
    switch (m[0]) {
    case GNUTLS_HANDSHAKE_SERVER_HELLO:
    case GNUTLS_HANDSHAKE_HELLO_VERIFY_REQUEST:
    case GNUTLS_HANDSHAKE_NEW_SESSION_TICKET:
    case GNUTLS_HANDSHAKE_SERVER_KEY_EXCHANGE:
    case GNUTLS_HANDSHAKE_SERVER_HELLO_DONE:
        return true;
    default:
        return false;
    }
}

static bool is_plausible_clear(uint8_t type, const uint8_t *payload, size_t n)
{
    switch (type) {
    case TYPE_CHANGE_CIPHER_SPEC:
        return n == 1 && payload[0] == 1;
    case TYPE_ALERT:
        return n == 2;
    case TYPE_HANDSHAKE:
        return is_server_message(payload, n);
    default:
        return false;
    }
}

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
        if (epoch == 0 && (encrypted_only || !is_plausible_clear(h[0], h + RECORD_HEADER, record - RECORD_HEADER))) {
            ++*dropped;
        } else {
            memmove(datagram + kept, h, record);
            kept += record;
        }
        at += record;
    }
    /* A record that does not parse costs the rest of its datagram: the next one's beginning is unknown. */
    if (at < n || n == 0)
        ++*dropped;
    return kept;
}

size_t dtls_sift_alerts(uint8_t *datagram, size_t n, int *ret_alert)
{
    size_t at = 0, kept = 0;
    bool found = false;

    while (n - at >= RECORD_HEADER) {
        const uint8_t *h = datagram + at;
        size_t record = RECORD_HEADER + ((size_t)h[11] << 8 | h[12]);

        if (record > n - at)
            break; /* not sifted */
        if (h[0] == TYPE_ALERT && (h[3] << 8 | h[4]) == 0) {
            const uint8_t *alert = h + RECORD_HEADER;
            bool ends =
                record >= RECORD_HEADER + 2 && (alert[0] == GNUTLS_AL_FATAL || alert[1] == GNUTLS_A_CLOSE_NOTIFY);

            if (ends && !found)
                *ret_alert = alert[1];
            found = found || ends;
        } else {
            memmove(datagram + kept, h, record);
            kept += record;
        }
        at += record;
    }
    return kept;
}

void dtls_look(const uint8_t *datagram, size_t n, struct dtls_seen *ret)
{
    const uint8_t *message = datagram + RECORD_HEADER;
    /* RFC 6347 section 4.2.1: version (2), length of the cookie. */
    size_t cookie_at = RECORD_HEADER + MESSAGE_HEADER + 2;

    *ret = (struct dtls_seen){0};
    if (n < RECORD_HEADER + MESSAGE_HEADER || datagram[0] != TYPE_HANDSHAKE)
        return;
    if (message[0] != GNUTLS_HANDSHAKE_HELLO_VERIFY_REQUEST)
        ret->flight = true;
    else if (n > cookie_at)
        ret->cookie = datagram[cookie_at];
}
