/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "server.h"

#include "events.h"
#include "observe.h"
#include "resources.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <linux/filter.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define SESSION_IDLE_SECONDS 86400 /* libcoap's own 300 would drop quiet children */
#define HANDSHAKES_MAX 100000
#define RECEIVE_BUFFER (8 * 1024 * 1024)
#define SOCKETS_LOOKED_AT 1024 /* those of management calls may stand before it */
#define HELD_INTERVAL (10 * USEC_PER_MSEC)
#define KEY_PROOF_TIMEOUT (5 * USEC_PER_SEC)
#define NO_PROOF "no valid Finished: wrong key, or packets lost"

struct server {
    struct store *store;
    struct faults faults;
    struct addrinfo *address;
    coap_address_t bound;
    coap_context_t *context;
    int socket; /* libcoap's own; not ours to close */
    TAILQ_HEAD(, client) clients;
    TAILQ_HEAD(, client) unproven; /* given a key to prove, the longest waiting first */
    struct client *finished;       /* whose handshake ended in this turn */
    size_t established, held;
    uint64_t silent_until;       /* 0: not silent */
    uint64_t clock_ms, clock_at; /* what time it is told to be, and since when; 0: the real one */
};

static void no_longer_unproven(struct client *c)
{
    if (c->key_due > 0)
        TAILQ_REMOVE(&c->server->unproven, c, unproven);
    c->key_due = 0;
}

static void client_free(struct client *c)
{
    TAILQ_REMOVE(&c->server->clients, c, all);
    no_longer_unproven(c);
    c->server->held -= c->held;
    if (c->established)
        c->server->established--;
    if (c->server->finished == c)
        c->server->finished = NULL;
    for (size_t i = 0; i < CLIENT_EXCHANGES; i++)
        free(c->exchanges[i].body);
    free(c);
}

static void address_text(const coap_address_t *a, char *ret, size_t size)
{
    char host[64], port[8];

    if (getnameinfo(&a->addr.sa, a->size, host, sizeof(host), port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        snprintf(ret, size, "?");
    else
        snprintf(ret, size, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}

static void session_began(coap_session_t *session)
{
    struct server *s = coap_get_app_data(coap_session_get_context(session));
    struct client *c = calloc(1, sizeof(*c));

    if (!c)
        return; /* the handshake will find no client and fail */
    c->server = s;
    c->session = session;
    TAILQ_INSERT_TAIL(&s->clients, c, all);
    address_text(coap_session_get_addr_remote(session), c->peer, sizeof(c->peer));
    coap_session_set_app_data(session, c);
}

static void session_ended(coap_session_t *session)
{
    struct client *c = coap_session_get_app_data(session);

    if (!c)
        return;
    if (c->established)
        event_session_closed(c->device, c->identity, c->peer);
    else if (c->key_due > 0)
        event_handshake_failed(c->device, c->identity, NO_PROOF, c->peer);
    coap_session_set_app_data(session, NULL);
    client_free(c);
}

static int on_event(coap_session_t *session, const coap_event_t event)
{
    if (event == COAP_EVENT_SERVER_SESSION_NEW)
        session_began(session);
    else if (event == COAP_EVENT_SERVER_SESSION_DEL)
        session_ended(session);
    return 0;
}

/* The session's suite is known only once gnutls_handshake() has returned. */
static void tell_established(struct server *s)
{
    struct client *c = s->finished;
    gnutls_kx_algorithm_t kx;

    s->finished = NULL;
    if (!c)
        return;
    kx = gnutls_kx_get(c->tls);
    event_session(c->device, c->identity, gnutls_ciphersuite_get(c->tls) ?: "?",
                  kx == GNUTLS_KX_ECDHE_PSK || kx == GNUTLS_KX_DHE_PSK, c->peer);
}

/* Something that we sent was rejected: a notification that nobody wants any more. */
static void on_nack(coap_session_t *session, const coap_pdu_t *sent, const coap_nack_reason_t reason,
                    const coap_mid_t mid)
{
    struct client *c = coap_session_get_app_data(session);
    coap_bin_const_t token;

    if (!c || !sent || reason != COAP_NACK_RST)
        return;
    token = coap_pdu_get_token(sent);
    observe_rejected(c, &token);
}

/* Our Finished follows the client's, and only the holder of the right key can make one that opens. */
static int on_finished(gnutls_session_t tls, unsigned type, unsigned when, unsigned incoming, const gnutls_datum_t *m)
{
    struct client *c = gnutls_session_get_ptr(tls);

    if (incoming || !c || c->established)
        return 0;
    no_longer_unproven(c);
    c->established = true;
    c->server->established++;
    c->device->sessions++;
    c->server->finished = c;
    return 0;
}

/* GnuTLS drops a Finished that does not open, and waits on: so time tells. */
static void tell_unproven(struct server *s)
{
    uint64_t now = TAILQ_EMPTY(&s->unproven) ? 0 : clock_boottime();
    struct client *c;

    while ((c = TAILQ_FIRST(&s->unproven)) && c->key_due <= now) {
        event_handshake_failed(c->device, c->identity, NO_PROOF, c->peer);
        no_longer_unproven(c);
    }
}

/* Identities come from strangers: what is not plain ASCII is not printed. */
static void printable(const coap_bin_const_t *identity, char *ret, size_t size)
{
    size_t n = MIN_OF(identity->length, size - 1);

    for (size_t i = 0; i < n; i++)
        ret[i] = identity->s[i] > 0x20 && identity->s[i] < 0x7f ? (char)identity->s[i] : '?';
    ret[n] = 0;
}

static struct credential *known(struct server *s, const coap_bin_const_t *identity)
{
    char text[IDENTITY_MAX + 1];

    if (identity->length > IDENTITY_MAX)
        return NULL;
    memcpy(text, identity->s, identity->length);
    text[identity->length] = 0;
    return store_find(s->store, text);
}

static const coap_bin_const_t *find_key(coap_bin_const_t *identity, coap_session_t *session, void *userdata)
{
    static coap_bin_const_t key; /* libcoap copies it before it asks again */
    struct client *c = coap_session_get_app_data(session);
    coap_tls_library_t library;
    const struct secret *secret;
    struct credential *found;
    gnutls_session_t tls;

    if (!c)
        return NULL;
    found = known(c->server, identity);
    secret = found ? credential_secret(found) : NULL;
    if (!secret) {
        printable(identity, c->identity, sizeof(c->identity));
        event_handshake_failed(NULL, c->identity, found ? "no valid secret" : "unknown identity", c->peer);
        return NULL;
    }
    snprintf(c->identity, sizeof(c->identity), "%s", found->identity);
    c->device = found->device;
    tls = coap_session_get_tls(session, &library);
    if (!tls || library != COAP_TLS_LIBRARY_GNUTLS)
        return NULL;
    no_longer_unproven(c);
    c->key_due = clock_boottime() + KEY_PROOF_TIMEOUT;
    TAILQ_INSERT_TAIL(&c->server->unproven, c, unproven);
    c->tls = tls;
    gnutls_session_set_ptr(tls, c);
    gnutls_handshake_set_hook_function(tls, GNUTLS_HANDSHAKE_FINISHED, GNUTLS_HOOK_POST, on_finished);
    key = (coap_bin_const_t){.length = secret->key_size, .s = secret->key};
    return &key;
}

/* libcoap does not show its socket, but this program has no other UDP socket. */
static int find_udp_socket(void)
{
    for (int fd = 0; fd < SOCKETS_LOOKED_AT; fd++) {
        int type = 0, domain = 0;
        socklen_t n = sizeof(type), m = sizeof(domain);

        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0 && type == SOCK_DGRAM &&
            getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &m) == 0 && (domain == AF_INET || domain == AF_INET6))
            return fd;
    }
    return -ENOENT;
}

/* Why there is no endpoint, which libcoap does not return. */
static int bind_error(const struct server *s)
{
    _cleanup_close_ int fd = socket(s->bound.addr.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    return fd < 0 || bind(fd, &s->bound.addr.sa, s->bound.size) < 0 ? -errno : -EIO;
}

static int set_up_context(struct server *s)
{
    coap_dtls_spsk_t psk = {.version = COAP_DTLS_SPSK_SETUP_VERSION, .validate_id_call_back = find_key};
    coap_tick_t now;

    s->context = coap_new_context(NULL);
    if (!s->context)
        return -ENOMEM;
    coap_set_app_data(s->context, s);
    coap_register_event_handler(s->context, on_event);
    coap_register_nack_handler(s->context, on_nack);
    coap_context_set_session_timeout(s->context, SESSION_IDLE_SECONDS);
    coap_context_set_max_handshake_sessions(s->context, HANDSHAKES_MAX);
    coap_context_set_block_mode(s->context, COAP_BLOCK_USE_LIBCOAP | COAP_BLOCK_SINGLE_BODY);
    if (!coap_context_set_psk2(s->context, &psk))
        return -EIO;
    if (!coap_new_endpoint(s->context, &s->bound, COAP_PROTO_DTLS))
        return bind_error(s);
    coap_ticks(&now);
    coap_io_prepare_epoll(s->context, now);
    return resources_add(s->context);
}

static int start(struct server *s, struct error *e)
{
    int size = RECEIVE_BUFFER, no = 0, r = set_up_context(s);
    socklen_t n = sizeof(s->bound.addr);
    char text[80];

    address_text(&s->bound, text, sizeof(text));
    if (r == -EADDRINUSE)
        return error_set(e, r,
                         "cannot listen on coaps://%s: UDP port %u is taken, perhaps by another gatehouse-devcloud; "
                         "stop that one, or choose another port with --port",
                         text, server_port(s));
    if (r < 0)
        return error_errno(e, r, "cannot listen on coaps://%s", text);
    s->socket = find_udp_socket();
    if (s->socket < 0 || getsockname(s->socket, &s->bound.addr.sa, &n) < 0)
        return error_set(e, -EIO, "libcoap opened no UDP socket");
    /* libcoap shares its port with any other that does so too: a second cloud would take this one's handshakes. */
    if (setsockopt(s->socket, SOL_SOCKET, SO_REUSEADDR, &no, sizeof(no)) < 0)
        return error_errno(e, -errno, "coaps://%s: cannot keep the port to itself", text);
    if (setsockopt(s->socket, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
        (void)!setsockopt(s->socket, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    return 0;
}

static void set_loss(bool all)
{
    coap_debug_set_packet_loss(all ? "100%" : "0%");
}

/* Sessions end without close_notify: nothing sent from here on arrives. */
static void stop(struct server *s)
{
    set_loss(true);
    s->finished = NULL;
    if (s->context) {
        coap_register_event_handler(s->context, NULL);
        coap_free_context(s->context);
    }
    s->context = NULL;
    while (!TAILQ_EMPTY(&s->clients))
        client_free(TAILQ_FIRST(&s->clients));
    set_loss(s->silent_until > 0);
}

int server_new(struct store *store, const char *address, unsigned port, struct server **ret, struct error *e)
{
    _cleanup_(server_freep) struct server *s = calloc(1, sizeof(*s));
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICHOST};
    char service[8];
    int r;

    if (!s)
        return -ENOMEM;
    TAILQ_INIT(&s->clients);
    TAILQ_INIT(&s->unproven);
    coap_startup();
    /* Warnings, not more: libcoap's debug output shows payloads. */
    coap_set_log_level((coap_log_t)LOG_CRIT);
    coap_dtls_set_log_level(0);
    s->store = store;
    snprintf(service, sizeof(service), "%u", port);
    r = getaddrinfo(address, service, &hints, &s->address);
    if (r != 0)
        return error_set(e, -EINVAL, "--listen %s: %s", address, gai_strerror(r));
    coap_address_init(&s->bound);
    memcpy(&s->bound.addr, s->address->ai_addr, s->address->ai_addrlen);
    s->bound.size = s->address->ai_addrlen;
    r = start(s, e);
    if (r >= 0)
        *ret = TAKE_PTR(s);
    return r;
}

unsigned server_port(const struct server *s)
{
    return coap_address_get_port(&s->bound);
}

struct server *server_free(struct server *s)
{
    if (!s)
        return NULL;
    stop(s);
    if (s->address)
        freeaddrinfo(s->address);
    coap_cleanup();
    free(s);
    return NULL;
}

int server_fd(const struct server *s)
{
    return coap_context_get_coap_fd(s->context);
}

int server_timeout(const struct server *s)
{
    const struct client *c = TAILQ_FIRST(&s->unproven);
    uint64_t due = s->silent_until > 0 ? s->silent_until : USEC_INFINITY, now = clock_boottime();

    if (c)
        due = MIN_OF(due, c->key_due);
    if (s->held > 0)
        due = MIN_OF(due, now + HELD_INTERVAL);
    if (due == USEC_INFINITY)
        return -1;
    return due <= now ? 0 : (int)MIN_OF((due - now) / USEC_PER_MSEC + 1, UINT64_C(60000));
}

/* libcoap's timer does not always come for what is put aside: not for one of several that are due within a
 * millisecond, when their client is gone. */
static void look_at_held(struct server *s)
{
    coap_tick_t now;

    coap_ticks(&now);
    coap_io_prepare_epoll(s->context, now);
}

void server_process(struct server *s)
{
    struct epoll_event events[4];
    int n;

    if (s->silent_until > 0 && s->silent_until <= clock_boottime())
        server_silence(s, 0);
    n = epoll_wait(server_fd(s), events, ELEMENTSOF(events), 0);
    if (n > 0)
        coap_io_do_epoll(s->context, events, (size_t)n);
    if (s->held > 0)
        look_at_held(s);
    tell_established(s);
    tell_unproven(s);
    set_loss(s->silent_until > 0);
}

int server_restart(struct server *s, struct error *e)
{
    stop(s);
    return start(s, e);
}

void server_set_clock(struct server *s, uint64_t ms)
{
    s->clock_ms = ms;
    s->clock_at = clock_boottime();
}

uint64_t server_clock(const struct server *s)
{
    if (s->clock_ms == 0)
        return clock_realtime() / USEC_PER_MSEC;
    return s->clock_ms + (clock_boottime() - s->clock_at) / USEC_PER_MSEC;
}

int server_silence(struct server *s, uint64_t until)
{
    struct sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
    struct sock_fprog program = {.len = 1, .filter = &drop};
    int unused = 0, r;

    r = until > 0 ? setsockopt(s->socket, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program))
                  : setsockopt(s->socket, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof(unused));
    if (r < 0 && until > 0)
        return -errno;
    s->silent_until = until;
    set_loss(until > 0);
    return 0;
}

void server_lose_answer(struct server *s, bool lose)
{
    set_loss(lose || s->silent_until > 0);
}

struct store *server_store(struct server *s)
{
    return s->store;
}

struct faults *server_faults(struct server *s)
{
    return &s->faults;
}

void server_hold(struct client *c)
{
    c->held++;
    c->server->held++;
}

void server_unhold(struct client *c)
{
    if (c->held == 0)
        return;
    c->held--;
    c->server->held--;
}

size_t server_held(const struct server *s)
{
    return s->held;
}

size_t server_sessions(const struct server *s)
{
    return s->established;
}

struct client *server_clients(struct server *s)
{
    return TAILQ_FIRST(&s->clients);
}
