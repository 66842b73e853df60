/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One DTLS 1.2 PSK session of a client over its own connected UDP socket, never blocking: GnuTLS on the uplink's
 * set of sockets.
 *
 * The owner makes it, begins it, and calls dtls_tick() when dtls_deadline() has come; it keeps the one timer. The key
 * is asked for when GnuTLS needs it, once a full handshake, and its cell is wiped before that call returns; GnuTLS's
 * copies are its own to wipe, which it does when the master secret is made. What all sessions of an uplink have in
 * common (suites, credentials callback, buffers for one datagram) is a struct dtls_shared, so an idle session is
 * GnuTLS's state and little else.
 *
 * After our Finished only silence decides: an alert in clear text, which anybody can send, gives it its words, and two
 * seconds instead of all that the owner would wait.
 *
 * Datagrams are sifted before GnuTLS sees them: an empty one would end a session there, and in an open session whatever
 * is not encrypted (epoch 0) can only be forged or left over. Bad, replayed and sifted records are dropped and counted.
 *
 * Loop thread only. dtls_free() may be called from any op. */

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "uplink/resolver.h"
#include "uplink/sockets.h"
#include "uplink/trouble.h"

#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dtls;
struct dtls_shared;

/* `sockets` is kept by reference; `suites` as suites_priority() takes them. */
int dtls_shared_new(struct sockets *sockets, const char *const *suites, struct dtls_shared **ret, struct error *e);
struct dtls_shared *dtls_shared_free(struct dtls_shared *s);
DEFINE_FREEP(struct dtls_shared, dtls_shared_free)

/* How a handshake failed. */
enum dtls_failure {
    DTLS_UNREACHABLE, /* nothing came back, or ICMP said so */
    DTLS_ANSWERED,    /* ServerHelloDone came, our Finished went, then silence, or an alert that servers send which do
                         not accept key or identity (handshake.h) */
    DTLS_FAILED,      /* something came back, but the handshake ended for a reason that says nothing of the key */
    DTLS_LOCAL,       /* our side: no socket, no key */
};

struct dtls_ops {
    /* The identity (valid for the call) and key; the cell is freed by the session. A negative errno with words fails
     * the handshake as DTLS_LOCAL. */
    int (*key)(void *userdata, const char **ret_identity, struct secret **ret_key, struct error *e);
    void (*opened)(void *userdata);
    void (*failed)(void *userdata, enum dtls_failure failure, enum uplink_trouble trouble, const char *reason);
    /* A datagram's worth of application data. */
    void (*received)(void *userdata, const uint8_t *data, size_t n);
    /* An open session has ended: close_notify, a fatal alert inside the session, or an error of ours. */
    void (*closed)(void *userdata, const char *reason);
    /* ICMP says that an open session's datagrams do not arrive: a hint, anybody on the path can send it. */
    void (*hinted)(void *userdata);
    /* dtls_deadline() has changed. */
    void (*rearm)(void *userdata);
};

struct dtls_options {
    struct dtls_shared *shared;
    const struct dtls_ops *ops;
    void *userdata;
    const struct resolver_address *address;
    const char *server_name;      /* sent as SNI; NULL: none */
    const gnutls_datum_t *resume; /* from dtls_resumption(); NULL or empty: a full handshake */
    uint64_t first_answer;        /* how long to wait for any answer */
    uint64_t judgement;           /* and after our proof of the key */
};

/* Makes the socket and the session; nothing is sent yet. */
int dtls_new(const struct dtls_options *options, struct dtls **ret, struct error *e);
struct dtls *dtls_free(struct dtls *d);
DEFINE_FREEP(struct dtls, dtls_free)

/* Sends the first flight. May call ops, as may all below. */
void dtls_begin(struct dtls *d, uint64_t now);
/* USEC_INFINITY once open. */
uint64_t dtls_deadline(const struct dtls *d);
void dtls_tick(struct dtls *d, uint64_t now);

/* Calls no op. 0, -EMSGSIZE (more than dtls_data_max(), which may just have shrunk), -ENOTCONN. A datagram that the
 * kernel does not take is lost, as on the wire. */
int dtls_send(struct dtls *d, const void *data, size_t n);
/* The payload that one datagram may carry: from an MTU of DTLS_MTU, lowered when the kernel reports a narrower path. */
size_t dtls_data_max(const struct dtls *d);
/* Sends close_notify, without waiting. */
void dtls_bye(struct dtls *d);

/* The server's time to answer our proof of the key, of an open session whose handshake was a full one. */
uint64_t dtls_judged_in(const struct dtls *d);
bool dtls_resumed(const struct dtls *d);
gnutls_session_t dtls_session(const struct dtls *d);
/* The data by which a later handshake with the same key may resume; -ENODATA if the session cannot be resumed. Holds
 * the master secret: free with dtls_resumption_free(). */
int dtls_resumption(struct dtls *d, gnutls_datum_t *ret);
void dtls_resumption_free(gnutls_datum_t *data);

/* The local address that the kernel chose (without its port), for noticing that it would choose another now. */
int dtls_local_address(const struct dtls *d, struct resolver_address *ret);

struct dtls_counters {
    uint64_t datagrams_in, datagrams_out;
    uint64_t dropped;
    uint64_t renegotiations_refused;
};
void dtls_counters(const struct dtls *d, struct dtls_counters *ret);

/* Keeps, in place, the records of a datagram that GnuTLS may see: whole, of a known type and version; in clear text
 * only what a server may say in a PSK handshake, with `encrypted_only` nothing. Returns the size kept and counts the
 * others. Pure; for dtls.c and its tests. */
size_t dtls_sift(uint8_t *datagram, size_t n, bool encrypted_only, uint64_t *dropped);

/* Of what was sifted, takes the alerts in clear text out; ret: the description of the first that would end a handshake,
 * untouched if there is none. Returns the size kept. Pure, likewise. */
size_t dtls_sift_alerts(uint8_t *datagram, size_t n, int *ret_alert);

/* The first record of a sifted datagram: of the server's flight, or a request for a cookie of that size. Pure. */
struct dtls_seen {
    bool flight;
    size_t cookie;
};
void dtls_look(const uint8_t *datagram, size_t n, struct dtls_seen *ret);
