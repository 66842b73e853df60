/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* An MQTT broker over TLS-PSK on loopback, in the event loop of the test: OpenSSL, one connection at a time, that
 * answers each packet as the test says. Included after coap-peer.h, for run_until(). */

#include <openssl/ssl.h>
#include <signal.h>

struct mqtt_peer {
    sd_event *event;
    sd_event_source *listening, *io;
    int listener, fd;
    uint16_t port;
    SSL_CTX *context;
    SSL *tls;
    uint8_t key[32];
    bool established;
    uint8_t in[4096];
    size_t n_in;
    bool unknown;          /* the identity is */
    bool silent;           /* PUBLISH is not acknowledged */
    bool refuses_v5;       /* CONNACK says so */
    const char *reference; /* the next CONNACK names this server, if it is in version 5 */
    bool says_hello_only;  /* nothing is said after the handshake */
    uint8_t connack, puback, suback;
    unsigned connects, publishes, subscribes, pings, disconnects, closed;
    uint8_t version;
    char topic[128], payload[256], client_id[64];
    bool has_user, has_password; /* in the last CONNECT, which had no will */
    char user[160], password[160];
    char filter[128];
    /* Told of each publication; what it returns is the reason code of PUBACK. NULL: `puback`. */
    uint8_t (*on_publish)(bool retain, const char *topic, const char *payload, size_t n);
};

static struct mqtt_peer *mqtt_peer_now; /* OpenSSL's callbacks have no userdata */

static unsigned mqtt_peer_psk(SSL *tls, const char *identity, unsigned char *psk, unsigned max)
{
    if (mqtt_peer_now->unknown || max < sizeof(mqtt_peer_now->key))
        return 0;
    memcpy(psk, mqtt_peer_now->key, sizeof(mqtt_peer_now->key));
    return sizeof(mqtt_peer_now->key);
}

static inline void mqtt_peer_hang_up(struct mqtt_peer *p)
{
    p->io = sd_event_source_disable_unref(p->io);
    if (p->tls) {
        SSL_free(p->tls);
        close(p->fd);
        p->closed++;
    }
    p->tls = NULL;
    p->fd = -1;
    p->n_in = 0;
    p->established = false;
}

static void mqtt_peer_send(struct mqtt_peer *p, const void *data, size_t n)
{
    assert_int_equal(SSL_write(p->tls, data, (int)n), n);
}

/* CONNACK of version 5: "use another server". */
static void mqtt_peer_refer(struct mqtt_peer *p)
{
    size_t n = strlen(p->reference);
    uint8_t packet[64] = {0x20, (uint8_t)(6 + n), 0, 0x9c, (uint8_t)(3 + n), 0x1c, 0, (uint8_t)n};

    assert_true(8 + n <= sizeof(packet));
    memcpy(packet + 8, p->reference, n);
    p->reference = NULL;
    mqtt_peer_send(p, packet, 8 + n);
    mqtt_peer_hang_up(p);
}

/* CONNACK, in the form of the version. */
static void mqtt_peer_connack(struct mqtt_peer *p)
{
    const uint8_t v5[] = {0x20, 3, 0, p->connack, 0}, v311[] = {0x20, 2, 0, p->connack};

    if (p->version == 5 && p->reference) {
        mqtt_peer_refer(p);
    } else if (p->version == 5 && p->refuses_v5) {
        mqtt_peer_send(p, (const uint8_t[]){0x20, 2, 0, 1}, 4);
        mqtt_peer_hang_up(p);
    } else if (p->version == 5)
        mqtt_peer_send(p, v5, sizeof(v5));
    else
        mqtt_peer_send(p, v311, sizeof(v311));
}

static void mqtt_peer_text(const uint8_t *at, char *ret, size_t size)
{
    unsigned n = (unsigned)at[0] << 8 | at[1];

    assert_true(n < size);
    memcpy(ret, at + 2, n);
    ret[n] = '\0';
}

static void mqtt_peer_publish(struct mqtt_peer *p, uint8_t flags, const uint8_t *body, size_t n)
{
    uint8_t reason = p->puback;
    size_t at, from;

    mqtt_peer_text(body, p->topic, sizeof(p->topic));
    at = 2 + strlen(p->topic);
    p->publishes++;
    if (p->version == 5)
        assert_int_equal(body[at + 2] & 0x80, 0);
    from = at + 2 + (p->version == 5 ? 1u + body[at + 2] : 0);
    snprintf(p->payload, sizeof(p->payload), "%.*s", (int)(n - from), (const char *)body + from);
    if (p->on_publish)
        reason = p->on_publish(flags & 1, p->topic, (const char *)body + from, n - from);
    if (p->silent)
        return;
    if (p->version == 5)
        mqtt_peer_send(p, (const uint8_t[]){0x40, 3, body[at], body[at + 1], reason}, 5);
    else
        mqtt_peer_send(p, (const uint8_t[]){0x40, 2, body[at], body[at + 1]}, 4);
}

static void mqtt_peer_connect(struct mqtt_peer *p, const uint8_t *body)
{
    const uint8_t *at = body + 10 + (body[6] == 5 ? 1 + body[10] : 0);

    p->connects++;
    p->version = body[6];
    mqtt_peer_text(at, p->client_id, sizeof(p->client_id));
    at += 2 + strlen(p->client_id);
    p->has_user = body[7] & 0x80;
    p->has_password = body[7] & 0x40;
    if (p->has_user)
        mqtt_peer_text(at, p->user, sizeof(p->user));
    if (p->has_password)
        mqtt_peer_text(at + (p->has_user ? 2 + strlen(p->user) : 0), p->password, sizeof(p->password));
    if (!p->says_hello_only)
        mqtt_peer_connack(p);
}

static void mqtt_peer_packet(struct mqtt_peer *p, uint8_t type, const uint8_t *body, size_t n)
{
    switch (type >> 4) {
    case 1: /* CONNECT */
        mqtt_peer_connect(p, body);
        break;
    case 3: /* PUBLISH */
        mqtt_peer_publish(p, type & 0xf, body, n);
        break;
    case 8: /* SUBSCRIBE */
        p->subscribes++;
        mqtt_peer_text(body + 2 + (p->version == 5 ? 1 + body[2] : 0), p->filter, sizeof(p->filter));
        if (p->version == 5)
            mqtt_peer_send(p, (const uint8_t[]){0x90, 4, body[0], body[1], 0, p->suback}, 6);
        else
            mqtt_peer_send(p, (const uint8_t[]){0x90, 3, body[0], body[1], p->suback}, 5);
        break;
    case 12: /* PINGREQ */
        p->pings++;
        mqtt_peer_send(p, (const uint8_t[]){0xd0, 0}, 2);
        break;
    case 14: /* DISCONNECT */
        p->disconnects++;
        break;
    default:
        break;
    }
}

/* A message of QoS 0. */
static inline void mqtt_peer_message(struct mqtt_peer *p, const char *topic, const char *payload)
{
    uint8_t packet[512];
    size_t n = 2, t = strlen(topic), size = strlen(payload);

    packet[0] = 0x30;
    packet[n++] = (uint8_t)(t >> 8);
    packet[n++] = (uint8_t)t;
    memcpy(packet + n, topic, t);
    n += t;
    if (p->version == 5)
        packet[n++] = 0;
    memcpy(packet + n, payload, size);
    n += size;
    assert_true(n - 2 < 128);
    packet[1] = (uint8_t)(n - 2);
    mqtt_peer_send(p, packet, n);
}

/* Takes whole packets off what has come; false: there is no whole one. */
static bool mqtt_peer_take(struct mqtt_peer *p)
{
    size_t length = 0, at = 1, whole;
    unsigned shift = 0;
    uint8_t packet[sizeof(p->in)];

    do {
        if (at >= p->n_in)
            return false;
        length |= (size_t)(p->in[at] & 0x7f) << shift;
        shift += 7;
    } while (p->in[at++] & 0x80);
    whole = at + length;
    if (p->n_in < whole)
        return false;
    memcpy(packet, p->in, whole);
    p->n_in -= whole;
    memmove(p->in, p->in + whole, p->n_in);
    mqtt_peer_packet(p, packet[0], packet + at, length);
    return p->tls != NULL;
}

static int on_mqtt_peer_io(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    struct mqtt_peer *p = userdata;
    int n;

    mqtt_peer_now = p;
    if (!p->established) {
        n = SSL_accept(p->tls);
        if (n <= 0 && SSL_get_error(p->tls, n) != SSL_ERROR_WANT_READ)
            mqtt_peer_hang_up(p);
        else if (n > 0)
            p->established = true;
        if (n <= 0)
            return 0;
    }
    n = SSL_read(p->tls, p->in + p->n_in, (int)(sizeof(p->in) - p->n_in));
    if (n <= 0) {
        if (SSL_get_error(p->tls, n) != SSL_ERROR_WANT_READ)
            mqtt_peer_hang_up(p);
        return 0;
    }
    p->n_in += (size_t)n;
    while (mqtt_peer_take(p))
        ;
    return 0;
}

static int on_mqtt_peer_accept(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    struct mqtt_peer *p = userdata;
    int accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (accepted < 0)
        return 0;
    mqtt_peer_hang_up(p);
    p->fd = accepted;
    p->tls = SSL_new(p->context);
    assert_int_equal(SSL_set_fd(p->tls, accepted), 1);
    SSL_set_accept_state(p->tls);
    assert_int_equal(sd_event_add_io(p->event, &p->io, accepted, POLLIN, on_mqtt_peer_io, p), 0);
    return 0;
}

static inline void mqtt_peer_share_port(int fd)
{
    int on = 1;

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), 0);
}

/* Nobody listens at its port from now on, and nobody else can: it stays taken. */
static inline void mqtt_peer_deafen(struct mqtt_peer *p)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_port = htons(p->port)};
    int holder = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(holder >= 0);
    mqtt_peer_share_port(holder);
    assert_int_equal(bind(holder, (const struct sockaddr *)&address, sizeof(address)), 0);
    p->listening = sd_event_source_disable_unref(p->listening);
    close(p->listener);
    p->listener = holder;
}

/* `most`: TLS1_2_VERSION or TLS1_3_VERSION. */
static inline void mqtt_peer_begin(struct mqtt_peer *p, sd_event *event, const uint8_t key[32], int most)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(address);

    signal(SIGPIPE, SIG_IGN);
    *p = (struct mqtt_peer){.event = event, .fd = -1};
    memcpy(p->key, key, sizeof(p->key));
    p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(p->listener >= 0);
    mqtt_peer_share_port(p->listener);
    assert_int_equal(bind(p->listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(p->listener, 8), 0);
    assert_int_equal(getsockname(p->listener, (struct sockaddr *)&address, &size), 0);
    p->port = ntohs(address.sin_port);
    p->context = SSL_CTX_new(TLS_server_method());
    assert_non_null(p->context);
    SSL_CTX_set_max_proto_version(p->context, most);
    assert_int_equal(SSL_CTX_set_cipher_list(p->context, "PSK"), 1);
    SSL_CTX_set_psk_server_callback(p->context, mqtt_peer_psk);
    assert_int_equal(sd_event_add_io(event, &p->listening, p->listener, POLLIN, on_mqtt_peer_accept, p), 0);
}

static inline void mqtt_peer_end(struct mqtt_peer *p)
{
    mqtt_peer_hang_up(p);
    sd_event_source_disable_unref(p->listening);
    close(p->listener);
    SSL_CTX_free(p->context);
}
