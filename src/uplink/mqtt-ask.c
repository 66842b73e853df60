/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "uplink/mqtt-ask.h"

#include "base/clock.h"
#include "base/limits.h"
#include "uplink/mqtt-internal.h"
#include "uplink/tls-hello.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

struct mqtt_ask {
    const struct mqtt_shared *shared;
    void (*done)(void *userdata, enum mqtt_failure failure, enum uplink_trouble trouble, const char *reason);
    void *userdata;
    struct resolver_address address;
    char identity[IDENTITY_MAX + 1];
    char *server_name; /* NULL: none */
    enum tls_question question;
    sd_event_source *io, *timer;
    int fd;
    bool sent;
    size_t n; /* of the answer */
    uint8_t answer[TLS_ANSWER_SIZE];
};

static int ask(struct mqtt_ask *a);

static void hang_up(struct mqtt_ask *a)
{
    a->io = sd_event_source_disable_unref(a->io);
    a->fd = safe_close(a->fd);
}

static void finish(struct mqtt_ask *a, const struct handshake_end *end)
{
    struct error e = {0};

    handshake_say(&e, end, a->shared->offer);
    a->done(a->userdata, end->verdict == HANDSHAKE_REFUSED ? MQTT_ANSWERED : MQTT_FAILED, handshake_trouble(end),
            e.text);
}

/* Nobody is there any more: nothing is known. */
static void give_up(struct mqtt_ask *a)
{
    const struct handshake_end end = tls_hello_verdict(TLS_ASK_IDENTITY, -ETIMEDOUT);

    hang_up(a);
    finish(a, &end);
}

static void answered(struct mqtt_ask *a, int answer)
{
    struct handshake_end end = tls_hello_verdict(a->question, answer);

    hang_up(a);
    if (end.verdict == HANDSHAKE_UNCLEAR && a->question + 1 < TLS_QUESTIONS) {
        a->question++;
        if (ask(a) < 0)
            give_up(a);
        return;
    }
    finish(a, &end);
}

static int send_hello(struct mqtt_ask *a)
{
    uint8_t random[TLS_HELLO_RANDOM], hello[TLS_HELLO_MAX];
    const struct tls_hello of = {
        .identity = a->identity,
        .server_name = a->server_name,
        .suites = a->shared->suites,
        .n_suites = a->shared->n_suites,
        .random = random,
    };
    size_t n;

    if (gnutls_rnd(GNUTLS_RND_NONCE, random, sizeof(random)) < 0)
        return -EIO;
    n = tls_hello_make(a->question, &of, hello);
    /* A fresh connection's buffer takes it whole. */
    if (send(a->fd, hello, n, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)n)
        return -errno;
    a->sent = true;
    return sd_event_source_set_io_events(a->io, EPOLLIN);
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    struct mqtt_ask *a = userdata;
    ssize_t n;
    int r;

    if (!a->sent) {
        if (send_hello(a) < 0)
            give_up(a);
        return 0;
    }
    n = recv(fd, a->answer + a->n, sizeof(a->answer) - a->n, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0) {
        answered(a, -ECONNRESET);
        return 0;
    }
    a->n += (size_t)n;
    r = tls_hello_answer(a->answer, a->n);
    if (r != -EAGAIN)
        answered(a, r);
    return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    give_up(userdata);
    return 0;
}

static int ask(struct mqtt_ask *a)
{
    int r;

    a->sent = false;
    a->n = 0;
    a->fd = socket(a->address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (a->fd < 0)
        return -errno;
    if (connect(a->fd, &a->address.any, a->address.size) < 0 && errno != EINPROGRESS)
        return -errno;
    r = sd_event_add_io(a->shared->event, &a->io, a->fd, EPOLLOUT, on_io, a);
    return r < 0 ? r : sd_event_source_set_time_relative(a->timer, TLS_ASK_TIMEOUT);
}

int mqtt_ask_new(const struct mqtt_shared *shared, const struct resolver_address *address, const char *server_name,
                 const char *identity,
                 void (*done)(void *userdata, enum mqtt_failure failure, enum uplink_trouble trouble,
                              const char *reason),
                 void *userdata, struct mqtt_ask **ret, struct error *e)
{
    _cleanup_(mqtt_ask_freep) struct mqtt_ask *a = calloc(1, sizeof(*a));
    int r;

    if (!a)
        return -ENOMEM;
    a->fd = -EBADF;
    a->shared = shared;
    a->address = *address;
    a->done = done;
    a->userdata = userdata;
    a->server_name = server_name ? strdup(server_name) : NULL;
    if (server_name && !a->server_name)
        return -ENOMEM;
    strncpy(a->identity, identity, sizeof(a->identity) - 1);
    r = sd_event_add_time_relative(shared->event, &a->timer, CLOCK_BOOTTIME, TLS_ASK_TIMEOUT, USEC_PER_SEC / 10,
                                   on_timer, a);
    if (r >= 0)
        r = ask(a);
    if (r < 0)
        return error_errno(e, r, "cannot ask the broker why it refused");
    *ret = TAKE_PTR(a);
    return 0;
}

struct mqtt_ask *mqtt_ask_free(struct mqtt_ask *a)
{
    if (!a)
        return NULL;
    hang_up(a);
    sd_event_source_disable_unref(a->timer);
    free(a->server_name);
    free(a);
    return NULL;
}
