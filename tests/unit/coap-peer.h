/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A CoAP server over DTLS-PSK on loopback, in the event loop of the test: GnuTLS, one identity, what is asked is
 * answered as the test says. Included after vault-scratch.h. */

#include "coap/message.h"

#include <arpa/inet.h>
#include <gnutls/dtls.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#ifndef DEADLINE_SECONDS
#define DEADLINE_SECONDS 120 /* for every event; judges no machine */
#endif

#define PEER_OBSERVED 4 /* paths in a session */
#define PEER_KEYS 8
#define PEER_ANSWERS 16

struct coap_peer;

struct peer_observed {
    char path[32];
    uint8_t token[8];
    size_t token_size;
};

/* An answer, for a request that comes again: on a busy machine it is on its way twice. */
struct peer_answer {
    uint16_t mid;
    size_t n; /* 0: none */
    uint8_t datagram[512];
};

struct peer_session {
    struct peer_session *next;
    struct coap_peer *peer;
    gnutls_session_t tls;
    struct sockaddr_in address;
    const uint8_t *pending;
    size_t n_pending;
    bool open;
    uint8_t observe_token[8];
    size_t observe_token_size;
    struct peer_observed observed[PEER_OBSERVED];
    size_t n_observed;
    struct peer_answer answers[PEER_ANSWERS];
    size_t n_answers;
};

/* Of one identity; all others have the peer's key. */
struct peer_key {
    char identity[64];
    uint8_t bytes[64];
    size_t size;
};

struct coap_peer {
    sd_event *event;
    sd_event_source *io;
    int fd;
    uint16_t port;
    gnutls_psk_server_credentials_t credentials;
    gnutls_priority_t priority;
    gnutls_datum_t ticket_key;
    uint8_t key[32];
    void (*key_of)(const char *identity, uint8_t ret[32]); /* NULL: everybody has `key` */
    struct peer_session *sessions;
    struct peer_key keys[PEER_KEYS];
    size_t n_keys;
    char refused[64]; /* an identity that is not known */
    bool unknown;     /* no identity is */
    bool silent;      /* nothing is answered within a session */
    bool deaf;        /* nothing is read at all */
    uint8_t code;     /* of answers */
    const char *payload;
    unsigned handshakes, resumed, requests;
    uint8_t last_method;
    char last_payload[256];
    /* Changes the answer, and may add to it what lives until it is sent. NULL: all are answered alike. */
    void (*on_request)(struct peer_session *p, const struct coap_message *m, const char *path,
                       struct coap_message *answer);
    uint16_t notified;
};

/* Runs the loop until the condition holds. */
#define run_until(event, condition)                                                                                    \
    do {                                                                                                               \
        time_t begun = time(NULL);                                                                                     \
                                                                                                                       \
        while (!(condition)) {                                                                                         \
            assert_true(sd_event_run(event, 100 * USEC_PER_MSEC) >= 0);                                                \
            if (time(NULL) - begun > DEADLINE_SECONDS)                                                                 \
                fail_msg("did not come to pass: %s", #condition);                                                      \
        }                                                                                                              \
    } while (0)

static int peer_key(gnutls_session_t tls, const char *identity, gnutls_datum_t *ret)
{
    struct coap_peer *peer = ((struct peer_session *)gnutls_session_get_ptr(tls))->peer;
    const uint8_t *bytes = peer->key;
    size_t size = sizeof(peer->key);

    if (peer->unknown || strcmp(peer->refused, identity) == 0)
        return -1;
    if (peer->key_of)
        peer->key_of(identity, peer->key);
    for (size_t i = 0; i < peer->n_keys; i++)
        if (strcmp(peer->keys[i].identity, identity) == 0) {
            bytes = peer->keys[i].bytes;
            size = peer->keys[i].size;
        }
    ret->data = gnutls_malloc(size);
    ret->size = (unsigned)size;
    memcpy(ret->data, bytes, size);
    return 0;
}

static ssize_t peer_push(gnutls_transport_ptr_t ptr, const void *data, size_t n)
{
    struct peer_session *p = ptr;

    return sendto(p->peer->fd, data, n, 0, (struct sockaddr *)&p->address, sizeof(p->address));
}

static ssize_t peer_pull(gnutls_transport_ptr_t ptr, void *buffer, size_t size)
{
    struct peer_session *p = ptr;
    size_t n = MIN_OF(p->n_pending, size);

    if (n == 0) {
        gnutls_transport_set_errno(p->tls, EAGAIN);
        return -1;
    }
    memcpy(buffer, p->pending, n);
    p->n_pending = 0;
    return (ssize_t)n;
}

static int peer_pull_timeout(gnutls_transport_ptr_t ptr, unsigned ms)
{
    return ((struct peer_session *)ptr)->n_pending > 0;
}

static struct peer_session *peer_session_of(struct coap_peer *peer, const struct sockaddr_in *address)
{
    struct peer_session *p = peer->sessions;

    while (p && p->address.sin_port != address->sin_port)
        p = p->next;
    if (p)
        return p;
    p = calloc(1, sizeof(*p));
    assert_non_null(p);
    *p = (struct peer_session){.next = peer->sessions, .peer = peer, .address = *address};
    peer->sessions = p;
    assert_int_equal(gnutls_init(&p->tls, GNUTLS_SERVER | GNUTLS_DATAGRAM | GNUTLS_NONBLOCK), 0);
    gnutls_session_set_ptr(p->tls, p);
    gnutls_priority_set(p->tls, peer->priority);
    gnutls_credentials_set(p->tls, GNUTLS_CRD_PSK, peer->credentials);
    assert_int_equal(gnutls_session_ticket_enable_server(p->tls, &peer->ticket_key), 0);
    gnutls_transport_set_ptr(p->tls, p);
    gnutls_transport_set_push_function(p->tls, peer_push);
    gnutls_transport_set_pull_function(p->tls, peer_pull);
    gnutls_transport_set_pull_timeout_function(p->tls, peer_pull_timeout);
    gnutls_dtls_set_mtu(p->tls, 1200);
    return p;
}

static void peer_session_end(struct coap_peer *peer, struct peer_session *p)
{
    struct peer_session **at = &peer->sessions;

    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    gnutls_deinit(p->tls);
    free(p);
}

static void peer_send(struct peer_session *p, struct coap_message *m)
{
    uint8_t datagram[512];
    ssize_t n = coap_message_write(m, datagram, sizeof(datagram));
    struct peer_answer *answer = &p->answers[p->n_answers % PEER_ANSWERS];

    assert_true(n > 0);
    assert_int_equal(gnutls_record_send(p->tls, datagram, (size_t)n), n);
    if (m->type != COAP_ACK)
        return;
    *answer = (struct peer_answer){.mid = m->mid, .n = (size_t)n};
    memcpy(answer->datagram, datagram, (size_t)n);
    p->n_answers++;
}

/* Whether that request was answered before, and is again. */
static bool peer_repeats(struct peer_session *p, const struct coap_message *m)
{
    for (size_t i = 0; m->type == COAP_CON && m->code != COAP_EMPTY && i < PEER_ANSWERS; i++)
        if (p->answers[i].n > 0 && p->answers[i].mid == m->mid) {
            assert_true(gnutls_record_send(p->tls, p->answers[i].datagram, p->answers[i].n) > 0);
            return true;
        }
    return false;
}

/* Uri-Path, with '/' between its segments. */
static void peer_path(const struct coap_message *m, char *ret, size_t size)
{
    size_t n = 0;

    ret[0] = 0;
    for (size_t i = 0; i < m->n_options; i++)
        if (m->options[i].number == COAP_OPT_URI_PATH && n < size)
            n += (size_t)snprintf(ret + n, size - n, "%s%.*s", n > 0 ? "/" : "", m->options[i].length,
                                  (const char *)m->options[i].value);
}

static void peer_observe(struct peer_session *p, const struct coap_message *m, const char *path)
{
    struct peer_observed *at = p->observed;

    memcpy(p->observe_token, m->token, m->token_size);
    p->observe_token_size = m->token_size;
    while (at < p->observed + p->n_observed && strcmp(at->path, path) != 0)
        at++;
    assert_true(at < p->observed + PEER_OBSERVED);
    if (at == p->observed + p->n_observed)
        p->n_observed++;
    snprintf(at->path, sizeof(at->path), "%s", path);
    memcpy(at->token, m->token, m->token_size);
    at->token_size = m->token_size;
}

/* A request is answered with the code and payload of the peer, a ping with RST. */
static void peer_answer(struct peer_session *p, const struct coap_message *m)
{
    struct coap_peer *peer = p->peer;
    struct coap_message answer = {.type = COAP_ACK, .code = peer->code, .mid = m->mid, .token_size = m->token_size};
    char path[128];
    uint32_t observe;

    if (m->type == COAP_CON && m->code == COAP_EMPTY) {
        struct coap_message rst = {.type = COAP_RST, .mid = m->mid};

        peer_send(p, &rst);
        return;
    }
    if (m->code == COAP_EMPTY || COAP_CODE_CLASS(m->code) != 0)
        return;
    peer->requests++;
    peer->last_method = m->code;
    snprintf(peer->last_payload, sizeof(peer->last_payload), "%.*s", (int)m->payload_size, (const char *)m->payload);
    memcpy(answer.token, m->token, m->token_size);
    peer_path(m, path, sizeof(path));
    if (coap_message_get_uint(m, COAP_OPT_OBSERVE, &observe) == 0 && observe == 0) {
        peer_observe(p, m, path);
        assert_int_equal(coap_message_add_uint(&answer, COAP_OPT_OBSERVE, 1), 0);
    }
    if (peer->payload) {
        answer.payload = (const uint8_t *)peer->payload;
        answer.payload_size = strlen(peer->payload);
    }
    if (peer->on_request)
        peer->on_request(p, m, path, &answer);
    peer_send(p, &answer);
}

/* Notifies the observer of this session. */
static inline void peer_notify(struct peer_session *p, uint32_t number, const char *payload)
{
    struct coap_message m = {.type = COAP_NON, .code = COAP_CONTENT, .mid = (uint16_t)(1000 + number)};

    memcpy(m.token, p->observe_token, p->observe_token_size);
    m.token_size = p->observe_token_size;
    assert_int_equal(coap_message_add_uint(&m, COAP_OPT_OBSERVE, number), 0);
    m.payload = (const uint8_t *)payload;
    m.payload_size = strlen(payload);
    peer_send(p, &m);
}

/* Notifies whoever observes that path, in whichever session. False: nobody does. */
static inline bool peer_tell(struct coap_peer *peer, const char *path, uint32_t format, const void *payload, size_t n)
{
    bool told = false;

    for (struct peer_session *p = peer->sessions; p; p = p->next)
        for (size_t i = 0; i < p->n_observed; i++) {
            const struct peer_observed *at = &p->observed[i];
            struct coap_message m = {.type = COAP_NON, .code = COAP_CONTENT, .token_size = at->token_size};

            if (strcmp(at->path, path) != 0)
                continue;
            m.mid = (uint16_t)(2000 + ++peer->notified);
            memcpy(m.token, at->token, at->token_size);
            assert_int_equal(coap_message_add_uint(&m, COAP_OPT_OBSERVE, 1u + peer->notified), 0);
            assert_int_equal(coap_message_add_uint(&m, COAP_OPT_CONTENT_FORMAT, format), 0);
            m.payload = payload;
            m.payload_size = n;
            peer_send(p, &m);
            told = true;
        }
    return told;
}

static void peer_take(struct coap_peer *peer, struct peer_session *p)
{
    struct coap_message m;
    uint8_t plain[2048];
    ssize_t n;
    int r;

    if (!p->open) {
        r = gnutls_handshake(p->tls);
        if (r < 0 && gnutls_error_is_fatal(r)) {
            gnutls_alert_send_appropriate(p->tls, r);
            peer_session_end(peer, p);
        } else if (r == 0) {
            p->open = true;
            peer->handshakes++;
            peer->resumed += gnutls_session_is_resumed(p->tls) != 0;
        }
        return;
    }
    n = gnutls_record_recv(p->tls, plain, sizeof(plain));
    if (n == 0 || (n < 0 && gnutls_error_is_fatal((int)n)))
        peer_session_end(peer, p);
    else if (n > 0 && !peer->silent && coap_message_parse(plain, (size_t)n, &m) == 0 && !peer_repeats(p, &m))
        peer_answer(p, &m);
}

static int on_peer_io(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    struct coap_peer *peer = userdata;
    struct sockaddr_in from;
    socklen_t size = sizeof(from);
    uint8_t datagram[2048];
    ssize_t n = recvfrom(fd, datagram, sizeof(datagram), MSG_DONTWAIT, (struct sockaddr *)&from, &size);
    struct peer_session *p;

    if (n <= 0 || peer->deaf)
        return 0;
    p = peer_session_of(peer, &from);
    p->pending = datagram;
    p->n_pending = (size_t)n;
    peer_take(peer, p);
    return 0;
}

static inline void peer_begin(struct coap_peer *peer, sd_event *event, const uint8_t key[32])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(address);

    *peer = (struct coap_peer){.event = event, .code = COAP_CHANGED};
    memcpy(peer->key, key, sizeof(peer->key));
    peer->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(peer->fd >= 0);
    assert_int_equal(bind(peer->fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(getsockname(peer->fd, (struct sockaddr *)&address, &size), 0);
    peer->port = ntohs(address.sin_port);
    assert_int_equal(gnutls_psk_allocate_server_credentials(&peer->credentials), 0);
    gnutls_psk_set_server_credentials_function(peer->credentials, peer_key);
    assert_int_equal(gnutls_priority_init(&peer->priority, "NORMAL:+ECDHE-PSK:+PSK:-VERS-ALL:+VERS-DTLS1.2", NULL), 0);
    assert_int_equal(gnutls_session_ticket_key_generate(&peer->ticket_key), 0);
    assert_int_equal(sd_event_add_io(event, &peer->io, peer->fd, POLLIN, on_peer_io, peer), 0);
}

/* Nobody listens at its port from now on, and nobody else can: it stays taken, by a socket that hears only another one.
 */
static inline void peer_deafen(struct coap_peer *peer)
{
    const struct sockaddr_in elsewhere = {
        .sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_port = htons(9)};

    peer->io = sd_event_source_disable_unref(peer->io);
    assert_int_equal(connect(peer->fd, (const struct sockaddr *)&elsewhere, sizeof(elsewhere)), 0);
}

/* All sessions end, with close_notify. */
static inline void peer_hang_up(struct coap_peer *peer)
{
    while (peer->sessions) {
        if (peer->sessions->open)
            gnutls_bye(peer->sessions->tls, GNUTLS_SHUT_WR);
        peer_session_end(peer, peer->sessions);
    }
}

static inline void peer_end(struct coap_peer *peer)
{
    while (peer->sessions)
        peer_session_end(peer, peer->sessions);
    sd_event_source_disable_unref(peer->io);
    close(peer->fd);
    gnutls_psk_free_server_credentials(peer->credentials);
    gnutls_priority_deinit(peer->priority);
    gnutls_free(peer->ticket_key.data);
}
