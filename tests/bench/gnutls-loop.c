/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the agent's sessions are measured against: DTLS-PSK clients of GnuTLS over connected UDP sockets on one epoll
 * set, with the priority string of the agent's default suites, and nothing else. Nothing here is the project's.
 *
 *   gnutls-loop FILE IN-FLIGHT
 *
 * FILE has lines PORT IDENTITY HEXKEY, one a session, all at 127.0.0.1. At most IN-FLIGHT handshakes are under way at
 * once. When all sessions stand, one line of JSON: {"sessions", "seconds", "cpu_seconds", "retried", "suite"}. The
 * sessions then stay until standard input ends, and are closed with close_notify. Status 1: a session could not be
 * made. */
#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/dtls.h>
#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PRIORITY                                                                                                       \
    "NONE:+VERS-DTLS1.2:+COMP-NULL:+SIGN-ECDSA-SHA256:+GROUP-X25519:+GROUP-SECP256R1:+ECDHE-PSK:+PSK:"                 \
    "+CHACHA20-POLY1305:+AES-128-GCM:+AES-256-GCM:+AES-128-CCM:+AES-256-CCM:+AEAD"
#define MTU (1280 - 28)
#define EVENTS 64
#define TICK_MS 100 /* between two looks at who has to send again */
#define LINE_MAX_SIZE 512
#define TRIES_MAX 5
#define RETRANSMIT_MS 1000
#define TIMEOUT_MS 5000 /* of a handshake that waits for what does not come again; then from the beginning */

struct client {
    gnutls_session_t session;
    char identity[160], key[160];
    int port, fd;
    unsigned tries;
    bool open;
    struct client *previous, *next; /* of those in the handshake */
};

static struct client *clients, *flying;
static size_t n_clients, n_begun, n_open, n_flying, n_retried;
static gnutls_priority_t priority;
static gnutls_psk_client_credentials_t credentials;
static int epoll_fd;

static void die(const char *what, const char *why)
{
    fprintf(stderr, "gnutls-loop: %s: %s\n", what, why);
    exit(1);
}

static void check(const char *what, int r)
{
    if (r < 0)
        die(what, gnutls_strerror(r));
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int give_key(gnutls_session_t session, char **ret_identity, gnutls_datum_t *ret_key)
{
    struct client *c = gnutls_session_get_ptr(session);
    const gnutls_datum_t hex = {(unsigned char *)c->key, (unsigned)strlen(c->key)};

    *ret_identity = gnutls_strdup(c->identity);
    return gnutls_hex_decode2(&hex, ret_key);
}

static void read_clients(const char *path)
{
    FILE *f = fopen(path, "r");
    char line[LINE_MAX_SIZE];

    if (!f)
        die(path, strerror(errno));
    while (fgets(line, sizeof(line), f)) {
        struct client *c;

        clients = realloc(clients, (n_clients + 1) * sizeof(*clients));
        if (!clients)
            die(path, "out of memory");
        c = &clients[n_clients++];
        *c = (struct client){.fd = -1};
        if (sscanf(line, "%d %159s %159s", &c->port, c->identity, c->key) != 3)
            die(path, "expected lines PORT IDENTITY HEXKEY");
    }
    fclose(f);
}

static void make_socket(struct client *c)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)c->port)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event) < 0)
        die("socket", strerror(errno));
}

static void begin(struct client *c)
{
    make_socket(c);
    check("session", gnutls_init(&c->session, GNUTLS_CLIENT | GNUTLS_DATAGRAM | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL));
    gnutls_session_set_ptr(c->session, c);
    check("priority", gnutls_priority_set(c->session, priority));
    check("credentials", gnutls_credentials_set(c->session, GNUTLS_CRD_PSK, credentials));
    gnutls_transport_set_int(c->session, c->fd);
    gnutls_dtls_set_mtu(c->session, MTU);
    gnutls_dtls_set_timeouts(c->session, RETRANSMIT_MS, TIMEOUT_MS);
    c->previous = NULL;
    c->next = flying;
    if (flying)
        flying->previous = c;
    flying = c;
    n_flying++;
}

static void land(struct client *c)
{
    *(c->previous ? &c->previous->next : &flying) = c->next;
    if (c->next)
        c->next->previous = c->previous;
    n_flying--;
}

static void step(struct client *c)
{
    int r;

    do
        r = gnutls_handshake(c->session);
    while (r < 0 && !gnutls_error_is_fatal(r) && r != GNUTLS_E_AGAIN);
    if (r == GNUTLS_E_AGAIN)
        return;
    land(c);
    if (r >= 0) {
        c->open = true;
        n_open++;
        return;
    }
    if (++c->tries == TRIES_MAX)
        die(c->identity, gnutls_strerror(r));
    n_retried++;
    gnutls_deinit(c->session);
    close(c->fd);
    begin(c);
    step(c);
}

static void receive(struct client *c)
{
    char ignored[2048];

    if (!c->open)
        step(c);
    else
        (void)gnutls_record_recv(c->session, ignored, sizeof(ignored));
}

static void run(size_t in_flight)
{
    struct epoll_event events[EVENTS];
    double looked = seconds();

    while (n_open < n_clients) {
        int n;

        while (n_begun < n_clients && n_flying < in_flight) {
            begin(&clients[n_begun]);
            step(&clients[n_begun++]);
        }
        n = epoll_wait(epoll_fd, events, EVENTS, TICK_MS);
        for (int i = 0; i < n; i++)
            receive(events[i].data.ptr);
        if (seconds() - looked < TICK_MS / 1e3)
            continue;
        looked = seconds();
        for (struct client *c = flying, *next; c; c = next) {
            next = c->next;
            if (gnutls_dtls_get_timeout(c->session) == 0)
                step(c);
        }
    }
}

int main(int argc, char *argv[])
{
    struct rlimit limit;
    double began, cpu;
    char ignored[64];

    if (argc != 3 || atol(argv[2]) < 1) {
        fprintf(stderr, "usage: gnutls-loop FILE IN-FLIGHT\n");
        return 2;
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    read_clients(argv[1]);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    check("priority", gnutls_priority_init(&priority, PRIORITY, NULL));
    check("credentials", gnutls_psk_allocate_client_credentials(&credentials));
    gnutls_psk_set_client_credentials_function(credentials, give_key);
    began = seconds();
    cpu = cpu_seconds();
    run((size_t)atol(argv[2]));
    printf("{\"sessions\": %zu, \"seconds\": %.3f, \"cpu_seconds\": %.3f, \"retried\": %zu, \"suite\": \"%s\"}\n",
           n_open, seconds() - began, cpu_seconds() - cpu, n_retried,
           n_open > 0 ? gnutls_ciphersuite_get(clients[0].session) : "");
    fflush(stdout);
    while (read(STDIN_FILENO, ignored, sizeof(ignored)) > 0)
        continue;
    for (size_t i = 0; i < n_clients; i++)
        (void)gnutls_bye(clients[i].session, GNUTLS_SHUT_WR);
    return 0;
}
