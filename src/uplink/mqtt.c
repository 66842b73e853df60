/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "base/limits.h"
#include "uplink/mqtt-internal.h"
#include "uplink/udp.h"

#include <errno.h>
#include <fcntl.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <netdb.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define LOOK_AGAIN USEC_PER_SEC

/* ── Shared ── */

int mqtt_shared_new(sd_event *event, const char *const *suites, struct mqtt_shared **ret, struct error *e)
{
    _cleanup_(mqtt_shared_freep) struct mqtt_shared *s = calloc(1, sizeof(*s));
    int r;

    if (!s)
        return -ENOMEM;
    s->event = sd_event_ref(event);
    (void)mosquitto_lib_init();
    s->null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (s->null < 0)
        return error_errno(e, -errno, "cannot open /dev/null");
    r = mqtt_tls_new(s, suites, e);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(s);
    return 0;
}

struct mqtt_shared *mqtt_shared_free(struct mqtt_shared *s)
{
    if (!s)
        return NULL;
    SSL_CTX_free(s->tls);
    s->null = safe_close(s->null);
    (void)mosquitto_lib_cleanup();
    free(s->offer);
    sd_event_unref(s->event);
    free(s);
    return NULL;
}

/* ── Ends ── */

static void destroy(struct mqtt *m)
{
    /* Said from within a callback of libmosquitto's, it has only been queued. */
    if (m->end.said_bye && mosquitto_socket(m->mosquitto) >= 0)
        (void)mosquitto_loop_write(m->mosquitto, 1);
    mqtt_login_forget(m);
    mosquitto_destroy(m->mosquitto);
    mqtt_login_scrub(&m->login); /* a CONNECT that was never sent goes only now */
    mqtt_tls_forget(m);
    free(m->end.refers_to);
    free(m);
}

/* Returns whose turn it was: an op may begin another connection. */
static struct mqtt *enter(struct mqtt *m)
{
    struct mqtt *before = m->shared->current;

    m->busy++;
    m->shared->current = m;
    return before;
}

static void leave(struct mqtt *m, struct mqtt *before)
{
    m->shared->current = before;
    if (--m->busy == 0 && m->freed)
        destroy(m);
}

/* The descriptor may be closed already, and its number another's as soon as an op is called. */
static void end(struct mqtt *m)
{
    m->phase = MQTT_ENDED;
    m->source = sd_event_source_disable_unref(m->source);
}

static void fail_of(struct mqtt *m, enum mqtt_failure failure, enum uplink_trouble trouble, const char *reason)
{
    if (m->freed || m->phase == MQTT_ENDED)
        return;
    end(m);
    mqtt_tls_forget(m);
    m->ops->failed(m->userdata, failure, trouble, reason);
}

static void fail(struct mqtt *m, enum mqtt_failure failure, const char *reason)
{
    static const enum uplink_trouble troubles[] = {
        [MQTT_UNREACHABLE] = UPLINK_TROUBLE_SILENT, [MQTT_ANSWERED] = UPLINK_TROUBLE_KEY,
        [MQTT_UNCLEAR] = UPLINK_TROUBLE_SUITES,     [MQTT_FAILED] = UPLINK_TROUBLE_OTHER,
        [MQTT_VERSION] = UPLINK_TROUBLE_OTHER,      [MQTT_HUNG_UP] = UPLINK_TROUBLE_OTHER,
        [MQTT_LOCAL] = UPLINK_TROUBLE_LOCAL,
    };

    fail_of(m, failure, troubles[failure], reason);
}

static void closed(struct mqtt *m, enum mqtt_blame blame, uint8_t code, const char *reason)
{
    if (m->freed || m->phase == MQTT_ENDED)
        return;
    end(m);
    m->ops->closed(m->userdata, blame, code, reason);
}

/* ── Steps ── */

static bool handshake_done(const struct mqtt *m)
{
    SSL *ssl = mqtt_ssl(m);

    return ssl && SSL_is_init_finished(ssl);
}

/* Notes what has gone over the wire since the last look, for the keepalive. Returns whether something came. */
static bool note_traffic(struct mqtt *m, uint64_t now)
{
    SSL *ssl = mqtt_ssl(m);
    uint64_t in = ssl ? BIO_number_read(SSL_get_rbio(ssl)) : m->time.bytes_in;
    uint64_t out = ssl ? BIO_number_written(SSL_get_wbio(ssl)) : m->time.bytes_out;
    bool came = in != m->time.bytes_in;

    if (came)
        m->time.pinged_at = 0;
    if (out != m->time.bytes_out)
        m->time.sent_at = now;
    m->time.bytes_in = in;
    m->time.bytes_out = out;
    return came;
}

/* Waits for what can happen next. Not for room to write when OpenSSL waits for the other side: there would be room, and
 * nothing to do with it. */
void mqtt_await(struct mqtt *m)
{
    SSL *ssl = mqtt_ssl(m);
    uint32_t events = m->in.rests_until ? 0 : EPOLLIN | EPOLLRDHUP;

    if (!m->source)
        return;
    if (m->phase == MQTT_TCP || (ssl && SSL_want_write(ssl)) ||
        (handshake_done(m) && mosquitto_want_write(m->mosquitto)))
        events |= EPOLLOUT;
    if (events != m->events && sd_event_source_set_io_events(m->source, events) >= 0)
        m->events = events;
}

static void tls_failed(struct mqtt *m)
{
    struct error e = {0};
    enum uplink_trouble trouble;
    enum mqtt_failure failure = mqtt_tls_ended(m, &trouble, &e);

    fail_of(m, failure, trouble, e.text);
}

/* Adds what the broker itself says of it. */
static void add_words(const struct mqtt *m, struct error *e, const char *text)
{
    error_set(e, 0, "%s%s%s%s%s", text, m->end.reference[0] ? "; it names the server " : "", m->end.reference,
              m->end.words[0] ? "; it says " : "", m->end.words);
}

static void not_let_in(struct mqtt *m)
{
    uint8_t code = (uint8_t)m->end.connack;
    bool refuses = mqtt_connack_refuses(m->terms.version, code);
    struct error words = {0}, e;

    add_words(m, &words, mqtt_connack_text(m->terms.version, code));
    error_set(&e, 0, "%s%s", words.text, refuses ? mqtt_login_hint(m) : "");
    if (mqtt_connack_wants_older(m->terms.version, code))
        fail(m, MQTT_VERSION, "the broker does not speak MQTT 5");
    else
        fail(m, refuses ? MQTT_ANSWERED : MQTT_FAILED, e.text);
}

static bool is_not_mqtt(const struct mqtt *m)
{
    return m->end.gone == MOSQ_ERR_PROTOCOL || m->end.gone == MOSQ_ERR_MALFORMED_PACKET;
}

static void open_over(struct mqtt *m)
{
    struct error e = {"the broker closed the connection"};
    bool said = m->end.gone >= 0 && MQTT_FAILS(m->end.gone);
    enum mqtt_blame blame =
        m->end.lost == ETIMEDOUT || udp_is_network_error(m->end.lost) ? MQTT_BLAMES_SILENCE : MQTT_BLAMES_MESSAGE;

    if (said) {
        blame = mqtt_disconnect_blames((uint8_t)m->end.gone);
        add_words(m, &e, mqtt_disconnect_text((uint8_t)m->end.gone));
    } else if (is_not_mqtt(m)) {
        blame = MQTT_BLAMES_NOTHING;
        error_set(&e, 0, "the broker sent what is not MQTT");
    } else if (m->tls.alert >= 0)
        error_set(&e, 0, "the broker ended the TLS session (alert: %s)", SSL_alert_desc_string_long(m->tls.alert));
    else if (m->tls.no_connection == ETIMEDOUT)
        error_set(&e, 0, "what was sent to the broker is not acknowledged by TCP: the path to it is dead");
    else if (clock_boottime() - m->time.opened_at < BACKOFF_MAX)
        error_set(&e, 0,
                  "the broker closed the connection soon after it was made: does another client use the same "
                  "client id?");
    closed(m, blame, said ? (uint8_t)m->end.gone : 0, e.text);
}

/* The connection has ended, whoever found out. */
static void over(struct mqtt *m)
{
    switch (m->phase) {
    case MQTT_TCP:
    case MQTT_TLS:
        tls_failed(m);
        break;
    case MQTT_CONNACK:
        if (m->end.connack > 0)
            not_let_in(m);
        else if (m->terms.version == MQTT_V5 && is_not_mqtt(m))
            /* A refusal in the form of 3.1.1, which lacks the properties: newer versions of the library do not pass it
             * on. */
            fail(m, MQTT_VERSION, "the broker does not answer in MQTT 5");
        else
            fail(m, m->terms.version == MQTT_V5 ? MQTT_HUNG_UP : MQTT_FAILED,
                 "the broker closed the connection without an answer to CONNECT");
        break;
    case MQTT_OPEN:
        open_over(m);
        break;
    case MQTT_ENDED:
        break;
    }
}

static void begin_phase(struct mqtt *m, enum mqtt_phase phase, uint64_t deadline)
{
    m->phase = phase;
    m->time.deadline = deadline;
    m->ops->rearm(m->userdata);
}

static uint64_t keepalive_usec(const struct mqtt *m)
{
    uint64_t all = m->terms.keepalive * USEC_PER_SEC;

    return m->terms.keepalive > 0 ? all - MIN_OF(all / 4, MQTT_PING_EARLY) : USEC_INFINITY / 4;
}

static void advance(struct mqtt *m, uint64_t now)
{
    if (m->phase == MQTT_TLS && handshake_done(m) && !mqtt_tls_proved(mqtt_ssl(m))) {
        m->tls.certificate = true;
        tls_failed(m);
        return;
    }
    if (m->phase == MQTT_TLS && handshake_done(m) && m->terms.only_handshake) {
        end(m);
        m->ops->opened(m->userdata);
        return;
    }
    if (m->phase == MQTT_TLS && handshake_done(m))
        begin_phase(m, MQTT_CONNACK, now + MQTT_CONNACK_TIMEOUT);
    if (m->phase != MQTT_CONNACK || m->end.connack != 0)
        return;
    if (m->terms.no_qos1) {
        fail(m, MQTT_FAILED, "the broker takes no messages of QoS 1, which are all that we send");
        return;
    }
    m->time.opened_at = m->time.sent_at = now;
    m->time.look_at = now + keepalive_usec(m);
    begin_phase(m, MQTT_OPEN, USEC_INFINITY);
    m->ops->opened(m->userdata);
}

/* epoll does not report bytes that OpenSSL has taken from the socket, and libmosquitto stops before them if an errno of
 * ours, from within an op, is EAGAIN. */
static int read_taken(struct mqtt *m, uint64_t now)
{
    int r;

    do {
        r = mosquitto_loop_read(m->mosquitto, 1);
        if (r == MOSQ_ERR_SUCCESS && !m->freed)
            advance(m, now);
    } while (r == MOSQ_ERR_SUCCESS && !m->freed && m->phase != MQTT_ENDED && mqtt_ssl(m) &&
             SSL_pending(mqtt_ssl(m)) > 0);
    return r;
}

/* Record by record, each looked at before libmosquitto reads it; what more has come waits for another turn. */
static int read_all(struct mqtt *m, uint64_t now)
{
    uint64_t max;
    int r;

    if (!handshake_done(m))
        return read_taken(m, now);
    mqtt_read_begin(m, mqtt_ssl(m), &max);
    do {
        if (!mqtt_read_allowed(m, now)) {
            m->ops->rearm(m->userdata);
            return MOSQ_ERR_SUCCESS;
        }
        r = mqtt_read_record(m, mqtt_ssl(m), max);
        if (r <= 0)
            return r == -ENOTCONN ? MOSQ_ERR_CONN_LOST : MOSQ_ERR_SUCCESS;
        r = read_taken(m, now);
    } while (r == MOSQ_ERR_SUCCESS && !m->freed && m->phase != MQTT_ENDED && mqtt_ssl(m));
    return r;
}

/* Our answers would pile up here. */
static bool does_not_read(struct mqtt *m)
{
    if (!mosquitto_want_write(m->mosquitto))
        m->in.answered = m->in.frames.published;
    return m->in.frames.published - m->in.answered > MQTT_UNREAD_MAX;
}

static void misbehaved(struct mqtt *m, const char *words)
{
    if (m->phase == MQTT_OPEN)
        closed(m, MQTT_BLAMES_NOTHING, 0, words);
    else
        fail(m, MQTT_FAILED, words);
}

static void step(struct mqtt *m, uint32_t events, uint64_t now)
{
    struct error what = {""};
    bool came;
    int r;

    if (m->terms.only_handshake && handshake_done(m)) {
        advance(m, now);
        return;
    }
    m->what = &what;
    r = read_all(m, now);
    if (r == MOSQ_ERR_SUCCESS && !m->freed && m->phase != MQTT_ENDED && handshake_done(m) &&
        mosquitto_want_write(m->mosquitto))
        r = mosquitto_loop_write(m->mosquitto, 1);
    m->what = NULL;
    if (m->freed || m->phase == MQTT_ENDED)
        return;
    came = note_traffic(m, now);
    if (m->tls.local_error < 0)
        fail(m, MQTT_LOCAL, what.text);
    else if (m->in.misbehaves)
        misbehaved(m, what.text);
    else if (does_not_read(m))
        misbehaved(m, "the broker sends messages, but does not read what we answer");
    else if (r != MOSQ_ERR_SUCCESS || m->end.gone >= 0 || mosquitto_socket(m->mosquitto) < 0)
        over(m);
    else if (!came && (events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP)))
        over(m); /* libmosquitto would wait for ever, and be called for ever */
    else
        mqtt_await(m);
}

static void unreachable(struct mqtt *m, int error)
{
    struct error e;

    error_set(&e, 0, error == ECONNREFUSED ? "nothing listens there" : "no connection (%s)", strerror(error));
    fail_of(m, MQTT_UNREACHABLE, uplink_trouble_of_errno(error), e.text);
}

static int take_error(int fd)
{
    int error = 0;
    socklen_t size = sizeof(error);

    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : 0;
}

/* libmosquitto does not look whether the connection was made. OpenSSL may have taken the error off the socket. */
static bool tcp_step(struct mqtt *m, uint32_t events, uint64_t now)
{
    int fd = mosquitto_socket(m->mosquitto), error = take_error(fd);
    struct sockaddr_storage peer;
    socklen_t n = sizeof(peer);

    if (error == 0 && (events & (EPOLLERR | EPOLLHUP)) && getpeername(fd, (struct sockaddr *)&peer, &n) < 0)
        error = m->tls.no_connection ?: ECONNREFUSED;
    if (error) {
        unreachable(m, error);
        return false;
    }
    if (!(events & EPOLLOUT))
        return false;
    begin_phase(m, MQTT_TLS, now + m->time.tls_timeout);
    return true;
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    struct mqtt *m = userdata;
    uint64_t now = clock_boottime();
    struct mqtt *before = enter(m);

    if (m->phase == MQTT_OPEN && (events & EPOLLERR))
        m->tls.no_connection = take_error(fd);
    if (m->phase != MQTT_TCP || tcp_step(m, events, now))
        step(m, events, now);
    leave(m, before);
    return 0;
}

/* ── Time ── */

uint64_t mqtt_deadline(const struct mqtt *m)
{
    if (m->phase == MQTT_ENDED)
        return USEC_INFINITY;
    if (m->end.broken)
        return 0;
    if (m->phase != MQTT_OPEN)
        return m->in.rests_until ? MIN_OF(m->time.deadline, m->in.rests_until) : m->time.deadline;
    if (m->in.rests_until)
        return m->in.rests_until;
    return m->time.pinged_at ? MIN_OF(m->time.look_at, m->time.pinged_at + MQTT_ANSWER_TIMEOUT) : m->time.look_at;
}

/* Nothing of libmosquitto's is on its way that a packet of ours would be in the middle of. */
static bool can_write(const struct mqtt *m)
{
    struct pollfd p = {.fd = mosquitto_socket(m->mosquitto), .events = POLLOUT};

    return !mosquitto_want_write(m->mosquitto) && !SSL_want_write(mqtt_ssl(m)) && poll(&p, 1, 0) == 1 &&
           p.revents == POLLOUT;
}

/* libmosquitto would count in whole seconds, and be late: PINGREQ is sent here. */
static void ping(struct mqtt *m, uint64_t now)
{
    static const uint8_t pingreq[] = {0xc0, 0};

    (void)note_traffic(m, now);
    if (m->time.pinged_at && now >= m->time.pinged_at + MQTT_ANSWER_TIMEOUT) {
        closed(m, MQTT_BLAMES_SILENCE, 0, "the broker did not answer PINGREQ");
        return;
    }
    if (now < m->time.look_at)
        return;
    if (now < m->time.sent_at + keepalive_usec(m)) {
        m->time.look_at = m->time.sent_at + keepalive_usec(m);
        return;
    }
    m->time.look_at = now + LOOK_AGAIN;
    if (!can_write(m))
        return; /* the broker does not read: what it has to acknowledge will be missed */
    if (SSL_write(mqtt_ssl(m), pingreq, sizeof(pingreq)) != sizeof(pingreq)) {
        ERR_clear_error();
        over(m);
        return;
    }
    (void)note_traffic(m, now);
    if (!m->time.pinged_at)
        m->time.pinged_at = now;
    m->time.look_at = now + keepalive_usec(m);
    mqtt_await(m);
}

/* epoll tells of what has come meanwhile. */
static void wake(struct mqtt *m)
{
    m->in.rests_until = 0;
    mqtt_await(m);
    m->ops->rearm(m->userdata);
}

void mqtt_tick(struct mqtt *m, uint64_t now)
{
    struct mqtt *before;

    if (now < mqtt_deadline(m))
        return;
    before = enter(m);
    if (m->end.broken)
        over(m);
    else if (m->in.rests_until && now >= m->in.rests_until)
        wake(m);
    else if (m->phase == MQTT_TCP)
        fail(m, MQTT_UNREACHABLE, "no answer to the attempt to connect");
    else if (m->phase == MQTT_TLS && m->time.bytes_in == 0)
        fail(m, MQTT_UNREACHABLE, "it takes the connection but says nothing");
    else if (m->phase == MQTT_TLS)
        fail(m, MQTT_FAILED, "it fell silent in the TLS handshake");
    else if (m->phase == MQTT_CONNACK)
        fail(m, MQTT_FAILED, "the broker does not answer CONNECT");
    else
        ping(m, now);
    leave(m, before);
}

/* ── Making one ── */

int mqtt_new(const struct mqtt_options *options, struct mqtt **ret, struct error *e)
{
    _cleanup_(mqtt_freep) struct mqtt *m = calloc(1, sizeof(*m));
    int r;

    if (!m)
        return error_set(e, -ENOMEM, "out of memory");
    m->shared = options->shared;
    m->ops = options->ops;
    m->userdata = options->userdata;
    m->address = *options->address;
    m->server_name = options->server_name;
    m->terms.version = options->version;
    m->in.frames.five = options->version == MQTT_V5;
    m->terms.keepalive = options->keepalive;
    m->time.tcp_timeout = options->tcp_timeout;
    m->time.tls_timeout = options->tls_timeout;
    m->tls.plain_groups = options->plain_groups;
    m->tls.keyless = options->keyless;
    m->terms.only_handshake = options->only_handshake;
    m->tls.alert = m->tls.own_alert = m->end.connack = m->end.gone = -1;
    m->time.deadline = m->in.read_max = USEC_INFINITY;
    ratelimit_init(&m->in.rate, MQTT_PACKETS_BURST * USEC_PER_SEC / MQTT_PACKETS_PER_SEC, MQTT_PACKETS_BURST);
    r = mqtt_set_up(m, options, e);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(m);
    return 0;
}

struct mqtt *mqtt_free(struct mqtt *m)
{
    if (!m || m->freed)
        return NULL;
    end(m);
    m->freed = true;
    if (m->busy == 0)
        destroy(m);
    return NULL;
}

void mqtt_begin(struct mqtt *m, uint64_t now)
{
    struct mqtt *before = enter(m);
    struct error what = {""};
    int r;

    m->what = &what;
    r = mqtt_connect_to(m, &what);
    m->what = NULL;
    m->time.deadline = now + m->time.tcp_timeout;
    m->events = EPOLLIN | EPOLLOUT | EPOLLRDHUP;
    if (r >= 0)
        r = sd_event_add_io(m->shared->event, &m->source, mosquitto_socket(m->mosquitto), m->events, on_io, m);
    if (r == -EPROTO && m->tls.local_error == 0 && m->tls.no_connection)
        unreachable(m, m->tls.no_connection);
    else if (r == -EPROTO && m->tls.local_error == 0)
        tls_failed(m);
    else if (r < 0 && udp_is_network_error(-r) && m->tls.local_error == 0)
        fail_of(m, MQTT_UNREACHABLE, uplink_trouble_of_errno(-r), what.text[0] ? what.text : strerror(-r));
    else if (r < 0)
        fail(m, MQTT_LOCAL, what.text[0] ? what.text : strerror(-r));
    else
        m->ops->rearm(m->userdata);
    leave(m, before);
}

/* ── Its end ── */

void mqtt_bye(struct mqtt *m, bool with_will)
{
    if (!mqtt_is_open(m))
        return;
    m->end.said_bye = true;
    end(m);
    with_will = with_will && m->terms.has_will;
    /* In 3.1.1 only an end without a word has the will published. */
    if (!with_will || m->terms.version == MQTT_V5)
        (void)mosquitto_disconnect_v5(
            m->mosquitto, with_will ? MQTT_RC_DISCONNECT_WITH_WILL_MSG : MQTT_RC_NORMAL_DISCONNECTION, NULL);
}
