/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The input of a connection, before libmosquitto sees it: it would go on reading for as long as a packet lasts
 * and bytes come, and would believe any length. So once the handshake is done OpenSSL is let at the socket only to take
 * one record after the other, and in what they hold the packets' headers are looked at. */
#include "base/cleanup.h"
#include "base/limits.h"
#include "uplink/mqtt-internal.h"

#include <errno.h>
#include <openssl/err.h>

/* libmosquitto has a CONNECT to send from the beginning, which OpenSSL may write in the call that ends the handshake.
 */
static bool is_mute(const struct mqtt *m)
{
    return m->terms.only_handshake && m->in.read_max == 0;
}

/* Without leave to read there seems to be nothing to read, and a mute one seems not to be able to write. */
static long on_bio(BIO *bio, int what, const char *data, size_t size, int argi, long argl, int r, size_t *processed)
{
    const struct mqtt *m = (const void *)BIO_get_callback_arg(bio);

    if (what == BIO_CB_WRITE && is_mute(m)) {
        BIO_clear_retry_flags(bio);
        BIO_set_retry_write(bio);
        return -1;
    }
    if (what != BIO_CB_READ || BIO_number_read(bio) < m->in.read_max)
        return r;
    BIO_clear_retry_flags(bio);
    BIO_set_retry_read(bio);
    return -1;
}

void mqtt_read_watch(struct mqtt *m, SSL *ssl)
{
    BIO *bio = SSL_get_rbio(ssl);

    if (!bio || BIO_get_callback_ex(bio))
        return;
    BIO_set_callback_arg(bio, (char *)m);
    BIO_set_callback_ex(bio, on_bio);
}

void mqtt_read_close(struct mqtt *m)
{
    m->in.read_max = 0;
}

bool mqtt_read_allowed(struct mqtt *m, uint64_t now)
{
    uint32_t due = MIN_OF(m->in.frames.packets - m->in.paid, (uint32_t)MQTT_PACKETS_BURST);

    if (now < m->in.rests_until)
        return false;
    m->in.rests_until = 0;
    if (due == 0)
        return true;
    if (ratelimit_take(&m->in.rate, now, due)) {
        m->in.paid = m->in.frames.packets;
        return true;
    }
    m->in.rests_until = MAX_OF(ratelimit_next(&m->in.rate, now, due), now + MQTT_READ_REST);
    return false;
}

void mqtt_read_begin(struct mqtt *m, SSL *ssl, uint64_t *ret_max)
{
    *ret_max = BIO_number_read(SSL_get_rbio(ssl)) + MQTT_READ_TURN;
}

int mqtt_read_record(struct mqtt *m, SSL *ssl, uint64_t max)
{
    static uint8_t record[SSL3_RT_MAX_PLAIN_LENGTH]; /* read before this returns */
    int n, r;

    ERR_clear_error();
    errno = 0;
    m->in.read_max = max;
    n = SSL_peek(ssl, record, sizeof(record));
    m->in.read_max = 0;
    if (n <= 0) {
        int error = errno, why = SSL_get_error(ssl, n);

        ERR_clear_error();
        m->end.lost = why == SSL_ERROR_SYSCALL ? error : 0;
        return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? 0 : -ENOTCONN;
    }
    r = mqtt_frames_feed(&m->in.frames, record, (size_t)n, m->what);
    m->in.misbehaves = r < 0;
    return r < 0 ? r : 1;
}
