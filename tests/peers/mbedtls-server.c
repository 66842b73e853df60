/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A DTLS-PSK server upon mbedTLS, as microcontrollers and some clouds have it, for the uplink's tests: with cookies,
 * and with as much of CoAP as they need. What is PUT anywhere is what a GET anywhere brings.
 *
 *   mbedtls-server PORT FILE [SECONDS]
 *
 * FILE has lines IDENTITY:HEXKEY. Each identity is looked up for so many SECONDS.
 * Says on standard output "listening", "session SUITE" for each handshake done, and
 * "failed -0xN" for each that was not. At 127.0.0.1. */
#include <arpa/inet.h>
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/ssl.h>
#include <mbedtls/ssl_cookie.h>
#include <mbedtls/timing.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SESSIONS 16
#define KEYS 16
#define DATAGRAM_MAX 2048
#define TICK_MS 50
#define COAP_HEADER 4
#define COAP_EMPTY 0x00
#define COAP_GET 0x01
#define COAP_CHANGED 0x44
#define COAP_CONTENT 0x45

struct session {
    mbedtls_ssl_context ssl;
    mbedtls_timing_delay_context timer;
    struct sockaddr_in peer;
    const uint8_t *in; /* the datagram being taken */
    size_t n_in;
    bool used, open;
};

static struct session sessions[SESSIONS];
static struct {
    char identity[160];
    uint8_t key[64];
    size_t size;
} keys[KEYS];
static size_t n_keys;
static uint8_t kept[DATAGRAM_MAX];
static size_t n_kept;
static int udp;
static unsigned lookup_takes;
static mbedtls_ssl_config config;
static mbedtls_ctr_drbg_context drbg;
static mbedtls_entropy_context entropy;
static mbedtls_ssl_cookie_ctx cookies;

static void check(const char *what, int r)
{
    if (r == 0)
        return;
    fprintf(stderr, "mbedtls-server: %s: -0x%04x\n", what, (unsigned)-r);
    exit(1);
}

static void read_keys(const char *path)
{
    FILE *f = fopen(path, "r");
    char hex[160];

    check(path, f ? 0 : -1);
    while (n_keys < KEYS && fscanf(f, "%159[^:]:%159s ", keys[n_keys].identity, hex) == 2) {
        size_t n = strlen(hex) / 2;

        for (size_t i = 0; i < n && i < sizeof(keys[0].key); i++)
            sscanf(hex + 2 * i, "%2hhx", &keys[n_keys].key[i]);
        keys[n_keys++].size = n;
    }
    fclose(f);
}

static int find_key(void *userdata, mbedtls_ssl_context *ssl, const unsigned char *identity, size_t n)
{
    sleep(lookup_takes);
    for (size_t i = 0; i < n_keys; i++)
        if (strlen(keys[i].identity) == n && memcmp(keys[i].identity, identity, n) == 0)
            return mbedtls_ssl_set_hs_psk(ssl, keys[i].key, keys[i].size);
    return -1;
}

static int on_send(void *userdata, const unsigned char *data, size_t n)
{
    struct session *s = userdata;

    return (int)sendto(udp, data, n, 0, (const struct sockaddr *)&s->peer, sizeof(s->peer));
}

static int on_recv(void *userdata, unsigned char *buffer, size_t size)
{
    struct session *s = userdata;
    size_t n = s->n_in < size ? s->n_in : size;

    if (n == 0)
        return MBEDTLS_ERR_SSL_WANT_READ;
    memcpy(buffer, s->in, n);
    s->n_in = 0;
    return (int)n;
}

static void set_up(void)
{
    mbedtls_entropy_init(&entropy);
    mbedtls_ctr_drbg_init(&drbg);
    mbedtls_ssl_cookie_init(&cookies);
    mbedtls_ssl_config_init(&config);
    check("random", mbedtls_ctr_drbg_seed(&drbg, mbedtls_entropy_func, &entropy, NULL, 0));
    check("config", mbedtls_ssl_config_defaults(&config, MBEDTLS_SSL_IS_SERVER, MBEDTLS_SSL_TRANSPORT_DATAGRAM,
                                                MBEDTLS_SSL_PRESET_DEFAULT));
    check("cookies", mbedtls_ssl_cookie_setup(&cookies, mbedtls_ctr_drbg_random, &drbg));
    mbedtls_ssl_conf_rng(&config, mbedtls_ctr_drbg_random, &drbg);
    mbedtls_ssl_conf_psk_cb(&config, find_key, NULL);
    mbedtls_ssl_conf_dtls_cookies(&config, mbedtls_ssl_cookie_write, mbedtls_ssl_cookie_check, &cookies);
}

static void end(struct session *s)
{
    mbedtls_ssl_free(&s->ssl);
    s->used = false;
}

static struct session *find_session(const struct sockaddr_in *peer)
{
    struct session *free_one = &sessions[0]; /* the first makes room if all are used */

    for (struct session *s = sessions; s < sessions + SESSIONS; s++) {
        if (s->used && s->peer.sin_port == peer->sin_port && s->peer.sin_addr.s_addr == peer->sin_addr.s_addr)
            return s;
        if (!s->used)
            free_one = s;
    }
    if (free_one->used)
        end(free_one);
    *free_one = (struct session){.peer = *peer, .used = true};
    mbedtls_ssl_init(&free_one->ssl);
    check("session", mbedtls_ssl_setup(&free_one->ssl, &config));
    mbedtls_ssl_set_bio(&free_one->ssl, free_one, on_send, on_recv, NULL);
    mbedtls_ssl_set_timer_cb(&free_one->ssl, &free_one->timer, mbedtls_timing_set_delay, mbedtls_timing_get_delay);
    check("session", mbedtls_ssl_set_client_transport_id(&free_one->ssl, (const unsigned char *)peer, sizeof(*peer)));
    return free_one;
}

static void shake_hands(struct session *s)
{
    int r = mbedtls_ssl_handshake(&s->ssl);

    if (r == MBEDTLS_ERR_SSL_WANT_READ || r == MBEDTLS_ERR_SSL_WANT_WRITE)
        return;
    if (r == 0) {
        s->open = true;
        printf("session %s\n", mbedtls_ssl_get_ciphersuite(&s->ssl));
        return;
    }
    if (r != MBEDTLS_ERR_SSL_HELLO_VERIFY_REQUIRED)
        printf("failed -0x%04x\n", (unsigned)-r);
    end(s);
}

/* A confirmable request gets its answer with the acknowledgement; an empty one, a ping, is reset. */
static void answer(struct session *s, const uint8_t *m, size_t n)
{
    size_t token = m[0] & 0xf;
    uint8_t reply[DATAGRAM_MAX] = {0};
    const uint8_t *payload;

    if (n < COAP_HEADER + token || token > 8 || (m[0] & 0x30) != 0)
        return;
    memcpy(reply, m, COAP_HEADER + token);
    if (m[1] == COAP_EMPTY) {
        reply[0] = 0x70;
        (void)mbedtls_ssl_write(&s->ssl, reply, COAP_HEADER);
        return;
    }
    reply[0] = (uint8_t)(0x60 | token);
    reply[1] = m[1] == COAP_GET ? COAP_CONTENT : COAP_CHANGED;
    payload = memchr(m + COAP_HEADER + token, 0xff, n - COAP_HEADER - token);
    if (payload && m[1] != COAP_GET) {
        n_kept = (size_t)(m + n - payload - 1);
        memcpy(kept, payload + 1, n_kept);
    }
    n = COAP_HEADER + token;
    if (m[1] == COAP_GET && n_kept > 0) {
        reply[n] = 0xff;
        memcpy(reply + n + 1, kept, n_kept);
        n += 1 + n_kept;
    }
    (void)mbedtls_ssl_write(&s->ssl, reply, n);
}

static void take(struct session *s)
{
    uint8_t message[DATAGRAM_MAX / 2];
    int r;

    if (!s->open)
        shake_hands(s);
    while (s->used && s->open) {
        r = mbedtls_ssl_read(&s->ssl, message, sizeof(message));
        if (r == MBEDTLS_ERR_SSL_WANT_READ || r == MBEDTLS_ERR_SSL_WANT_WRITE)
            return;
        if (r > 0)
            answer(s, message, (size_t)r);
        else
            end(s);
    }
}

static void receive(void)
{
    uint8_t datagram[DATAGRAM_MAX];
    struct sockaddr_in peer = {0};
    socklen_t size = sizeof(peer);
    ssize_t n = recvfrom(udp, datagram, sizeof(datagram), 0, (struct sockaddr *)&peer, &size);
    struct session *s;

    if (n <= 0)
        return;
    s = find_session(&peer);
    s->in = datagram;
    s->n_in = (size_t)n;
    take(s);
    s->in = NULL;
    s->n_in = 0;
}

int main(int argc, char *argv[])
{
    struct sockaddr_in address = {.sin_family = AF_INET};

    if (argc != 3 && argc != 4) {
        fprintf(stderr, "usage: mbedtls-server PORT FILE [SECONDS]\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    read_keys(argv[2]);
    lookup_takes = argc == 4 ? (unsigned)strtoul(argv[3], NULL, 10) : 0;
    set_up();
    address.sin_port = htons((uint16_t)strtoul(argv[1], NULL, 10));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    check("port", bind(udp, (const struct sockaddr *)&address, sizeof(address)));
    puts("listening");
    for (;;) {
        struct pollfd fd = {.fd = udp, .events = POLLIN};

        if (poll(&fd, 1, TICK_MS) > 0)
            receive();
        for (struct session *s = sessions; s < sessions + SESSIONS; s++)
            if (s->used && !s->open)
                shake_hands(s);
    }
}
