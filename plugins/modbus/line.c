/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where long has 32 bits, the fortified ppoll() of glibc 2.36 (Debian 12 on armhf) hands its 64-bit time to the system
 * call for 32-bit times, which sees zero seconds and zero nanoseconds: no wait at all. tests/unit/test-time-symbols.py
 * looks for it. */
#undef _FORTIFY_SOURCE

#include "line.h"

#include "host.h"
#include "pdu.h"
#include "tcp.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static bool is_serial(const struct line *l)
{
    return l->url->transport == TRANSPORT_RTU;
}

static enum framing framing_of(const struct line *l)
{
    return l->url->transport == TRANSPORT_TCP ? FRAMING_TCP : FRAMING_RTU;
}

bool line_has_broadcast(const struct line *l)
{
    return framing_of(l) == FRAMING_RTU;
}

void line_init(struct line *l, const struct modbus_url *url, const struct serial_settings *settings)
{
    *l = (struct line){.url = url, .settings = settings, .fd = -1};
}

int line_open(struct line *l, uint64_t timeout, char *error, size_t error_size)
{
    int fd = -1, r = is_serial(l) ? serial_open(l->url, l->settings, &fd, error, error_size)
                                  : tcp_connect(l->url, timeout, &fd, error, error_size);

    if (r < 0)
        return r;
    line_init(l, l->url, l->settings);
    l->fd = fd;
    switch (l->settings->echo) {
    case ECHO_AUTO:
        break;
    case ECHO_YES:
        l->echo = LINE_ECHO_YES;
        break;
    case ECHO_NO:
        l->echo = LINE_ECHO_NO;
        break;
    }
    return 0;
}

void line_close(struct line *l)
{
    if (l->fd < 0)
        return;
    if (is_serial(l))
        serial_close(l->fd);
    else
        close(l->fd);
    l->fd = -1;
}

bool line_echo_is_unknown(const struct line *l)
{
    return framing_of(l) == FRAMING_RTU && l->echo == LINE_ECHO_UNKNOWN;
}

/* --- bytes --- */

/* Takes what has arrived: how much, 0 for nothing. */
static int take_bytes(struct line *l, int flags)
{
    if (l->in.n == sizeof l->in.bytes)
        l->in.n = 0; /* nothing but noise */
    size_t room = sizeof l->in.bytes - l->in.n;
    ssize_t n =
        is_serial(l) ? read(l->fd, l->in.bytes + l->in.n, room) : recv(l->fd, l->in.bytes + l->in.n, room, flags);

    if (n > 0) {
        if (l->trace)
            trace_take(l->trace, l->in.bytes + l->in.n, (size_t)n);
        l->in.n += (size_t)n;
        l->last_byte = monotonic_now();
        return (int)n;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    /* A tty that was hung up reads as at its end; one in raw mode that has nothing to say does too, on some drivers. */
    if (n == 0 && is_serial(l))
        return 0;
    return n == 0 ? -ECONNRESET : -errno;
}

/* Until something can be read. A line that hangs up can be read, and then tells. */
static int wait_readable(struct line *l, uint64_t deadline)
{
    for (;;) {
        struct pollfd p = {.fd = l->fd, .events = POLLIN};
        uint64_t now = monotonic_now();
        struct timespec t = {0};
        if (now < deadline)
            t = (struct timespec){(time_t)((deadline - now) / SEC), (long)((deadline - now) % SEC) * 1000};
        int r = ppoll(&p, 1, &t, NULL);
        if (r > 0 && is_serial(l) && p.revents & (POLLHUP | POLLERR | POLLNVAL))
            return -EIO;
        if (r > 0)
            return 0;
        if (r < 0 && errno != EINTR)
            return -errno;
        if (r == 0)
            return -ETIMEDOUT;
    }
}

/* The first bytes of a TCP answer are waited for within recv itself: one system call less for each request. */
static int receive_first(struct line *l, uint64_t timeout)
{
    struct timeval t = {.tv_sec = (time_t)(timeout / SEC), .tv_usec = (suseconds_t)(timeout % SEC)};

    if (l->receive_timeout != timeout) {
        if (setsockopt(l->fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t) < 0)
            return -errno;
        l->receive_timeout = timeout;
    }
    return take_bytes(l, 0);
}

/* --- before a request --- */

static void wait_until(uint64_t when)
{
    struct timespec t = {.tv_sec = (time_t)(when / SEC), .tv_nsec = (long)(when % SEC) * 1000};

    if (when > monotonic_now())
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
            ;
}

/* Whether the late answer to `owed` would be taken for one to r. To the same request it would be right. */
static bool is_confusable(const struct frame_request *owed, const struct frame_request *r)
{
    return owed->unit == r->unit && owed->pdu[0] == r->pdu[0] &&
           pdu_answer_size(owed->pdu, owed->pdu_size) == pdu_answer_size(r->pdu, r->pdu_size) &&
           (owed->pdu_size != r->pdu_size || memcmp(owed->pdu, r->pdu, r->pdu_size) != 0);
}

/* Until the late answer has come, or can be taken for lost. */
static int settle(struct line *l, struct line_owed *owed)
{
    struct frame_answer answer;
    struct frame_noise noise = {0};
    int r;

    while (owed->until > 0) {
        r = take_bytes(l, MSG_DONTWAIT);
        if (r < 0)
            return r;
        if (frame_take(&l->in, &owed->request, &answer, &noise) == FRAME_GOOD || monotonic_now() >= owed->until) {
            owed->until = 0;
            return 0;
        }
        r = wait_readable(l, owed->until);
        if (r < 0 && r != -ETIMEDOUT)
            return r;
    }
    return 0;
}

static int settle_confusable(struct line *l, const struct frame_request *r)
{
    int result = 0;

    for (size_t i = 0; i < OWED_MAX && result == 0; i++)
        if (l->owed[i].until > 0 && is_confusable(&l->owed[i].request, r))
            result = settle(l, &l->owed[i]);
    return result;
}

/* Notes that the answer to `request` may come late: also the second one, of a request that was repeated. */
static void owe(struct line *l, const struct frame_request *request, uint64_t timeout)
{
    struct line_owed *slot = &l->owed[0];

    for (size_t i = 0; i < OWED_MAX; i++) {
        if (l->owed[i].until < slot->until)
            slot = &l->owed[i];
        if (l->owed[i].until > 0 && l->owed[i].request.unit == request->unit &&
            !is_confusable(&l->owed[i].request, request) && l->owed[i].request.pdu[0] == request->pdu[0]) {
            slot = &l->owed[i];
            break;
        }
    }
    *slot = (struct line_owed){.until = monotonic_now() + timeout, .request = *request};
}

static bool is_owed(const struct line *l, const struct frame_request *request)
{
    uint64_t now = monotonic_now();

    for (size_t i = 0; i < OWED_MAX; i++)
        if (l->owed[i].until > now && l->owed[i].request.unit == request->unit &&
            l->owed[i].request.pdu_size == request->pdu_size &&
            memcmp(l->owed[i].request.pdu, request->pdu, request->pdu_size) == 0)
            return true;
    return false;
}

/* On RTU: until the line has been silent for the pause, however long ago what was read came; then nothing of it is
 * left. A line that never falls silent is not waited for. */
static int make_silent(struct line *l, const struct frame_request *request, uint64_t pause)
{
    uint64_t give_up;
    int r = settle_confusable(l, request);

    if (r == 0)
        r = wait_readable(l, 0); /* whether the adapter was unplugged */
    if (r < 0 && r != -ETIMEDOUT)
        return r;
    give_up = monotonic_now() + 4 * pause + SILENCE_MAX;
    do {
        wait_until(l->last_byte + pause);
        l->in.n = 0;
        r = take_bytes(l, MSG_DONTWAIT);
    } while (r > 0 && monotonic_now() < give_up);
    l->in.n = 0;
    return r < 0 ? r : 0;
}

static int prepare(struct line *l, const struct line_terms *terms, const struct frame_request *request)
{
    bool is_write = request->pdu[0] > PDU_READ_INPUT;
    int r;

    if (request->framing == FRAMING_RTU)
        return make_silent(l, request, terms->pause);
    if (terms->pause > 0)
        wait_until(l->last_byte + terms->pause);
    /* A read finds out by itself that the peer has closed, and can be repeated; a write may not be sent in vain. */
    if (is_write || !terms->check_transaction) {
        r = take_bytes(l, MSG_DONTWAIT);
        if (r < 0)
            return r;
    }
    frame_flush(&l->in, FRAMING_TCP);
    return 0;
}

static int send_socket(struct line *l, const uint8_t *bytes, size_t n, uint64_t deadline)
{
    while (n > 0) {
        ssize_t sent = send(l->fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) {
            bytes += sent;
            n -= (size_t)sent;
            continue;
        }
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return errno == EPIPE ? -ECONNRESET : -errno;
        struct pollfd p = {.fd = l->fd, .events = POLLOUT};
        uint64_t now = monotonic_now();
        if (now >= deadline)
            return -ETIMEDOUT;
        (void)poll(&p, 1, (int)((deadline - now) / MSEC + 1));
    }
    return 0;
}

/* --- the answer --- */

struct waiting {
    const struct frame_request *request;
    uint8_t adu[ADU_MAX];
    size_t adu_size;
    bool echo_dropped;
};

/* Learns from the answer to a request that its echo cannot be mistaken for, or from complete silence. */
static void learn_echo(struct line *l, const struct waiting *w, const struct frame_noise *noise)
{
    if (l->settings->echo != ECHO_AUTO || framing_of(l) != FRAMING_RTU)
        return;
    if (w->echo_dropped) {
        l->echo = LINE_ECHO_YES;
        l->echo_missed = 0;
    } else if (noise->bytes < w->adu_size) {
        /* The first bytes are too few for an echo that was damaged. */
        l->echo_missed++;
        if (l->echo == LINE_ECHO_UNKNOWN || l->echo_missed >= ECHO_FORGET)
            l->echo = LINE_ECHO_NO;
    }
}

static bool echo_is_answer(const struct frame_request *r)
{
    return r->pdu[0] == PDU_WRITE_COIL || r->pdu[0] == PDU_WRITE_REGISTER;
}

static enum frame_verdict look(struct line *l, struct waiting *w, struct frame_answer *ret, struct frame_noise *noise)
{
    bool may_be_answer = echo_is_answer(w->request);

    if (w->request->framing == FRAMING_TCP)
        return frame_take(&l->in, w->request, ret, noise);
    if (!w->echo_dropped && l->settings->echo != ECHO_NO && (!may_be_answer || l->echo == LINE_ECHO_YES))
        w->echo_dropped = frame_drop_echo(&l->in, w->adu, w->adu_size);
    if (may_be_answer && l->echo == LINE_ECHO_YES && !w->echo_dropped)
        return FRAME_WAIT;
    enum frame_verdict verdict = frame_take(&l->in, w->request, ret, noise);
    if (verdict == FRAME_GOOD && !may_be_answer)
        learn_echo(l, w, noise);
    return verdict;
}

static int receive(struct line *l, struct waiting *w, uint64_t deadline, uint64_t timeout, struct frame_answer *ret,
                   struct frame_noise *noise)
{
    int r = is_serial(l) ? wait_readable(l, deadline) : receive_first(l, timeout);

    for (;;) {
        if (r < 0)
            return r;
        if (is_serial(l)) {
            r = take_bytes(l, 0);
            if (r < 0)
                return r;
        }
        switch (look(l, w, ret, noise)) {
        case FRAME_GOOD:
            return 0;
        case FRAME_ODD:
            return -EBADMSG;
        case FRAME_LOST:
            return -EPROTO;
        case FRAME_WAIT:
            break;
        }
        if (monotonic_now() >= deadline)
            return -ETIMEDOUT;
        r = wait_readable(l, deadline);
        if (r == 0 && !is_serial(l))
            r = take_bytes(l, MSG_DONTWAIT);
    }
}

/* An answer that came damaged does not come again. */
static bool has_come(const struct waiting *w, const struct frame_noise *noise)
{
    return noise->bad_crc > 0 || noise->bytes + 2 >= frame_answer_size(w->request);
}

static void conclude(struct line *l, const struct waiting *w, int r, uint64_t timeout, const struct frame_noise *noise)
{
    if (r == -ETIMEDOUT && !echo_is_answer(w->request) && (w->echo_dropped || noise->bytes == 0))
        learn_echo(l, w, noise);
    if ((r == -ETIMEDOUT && !has_come(w, noise)) || (r == 0 && is_owed(l, w->request)))
        owe(l, w->request, timeout);
}

/* --- the trace --- */

static void trace_request(struct line *l, const struct line_terms *terms, const struct waiting *w)
{
    char bus[BUS_MAX];

    modbus_url_bus(l->url, bus, sizeof bus);
    if (l->trace->n > 0)
        trace_came(terms->device, bus, l->trace, UINT64_MAX);
    trace_sent(terms->device, bus, w->adu, w->adu_size);
}

static void trace_answer(struct line *l, const struct line_terms *terms, int r)
{
    char bus[BUS_MAX];

    modbus_url_bus(l->url, bus, sizeof bus);
    trace_came(terms->device, bus, l->trace, (r == 0 ? l->last_byte : monotonic_now()) - l->sent_at);
}

/* --- all of it --- */

static int send_request(struct line *l, const struct waiting *w, uint64_t timeout)
{
    int r = is_serial(l) ? serial_send(l->fd, l->url, l->settings, w->adu, w->adu_size)
                         : send_socket(l, w->adu, w->adu_size, monotonic_now() + timeout);

    l->last_byte = l->sent_at = monotonic_now();
    return r == -ETIMEDOUT ? -EIO : r; /* half a request may have gone out */
}

static int exchange(struct line *l, const struct line_terms *terms, struct waiting *w, struct frame_answer *ret,
                    struct frame_noise *noise)
{
    uint64_t timeout = terms->timeout;
    int r = prepare(l, terms, w->request);

    if (r < 0)
        return -ENOTCONN;
    if (l->trace)
        trace_request(l, terms, w);
    r = send_request(l, w, timeout);
    if (r < 0)
        return r;
    if (line_has_broadcast(l) && terms->unit == 0) {
        l->last_byte += terms->turnaround;
        return 0;
    }
    if (is_serial(l))
        timeout += modbus_url_time(l->url, frame_answer_size(w->request));
    r = receive(l, w, l->last_byte + timeout, timeout, ret, noise);
    if (w->request->framing == FRAMING_RTU)
        conclude(l, w, r, timeout, noise);
    if (l->trace)
        trace_answer(l, terms, r);
    return r;
}

int line_exchange(struct line *l, const struct line_terms *terms, const uint8_t *pdu, size_t pdu_size,
                  struct frame_answer *ret, struct frame_noise *ret_noise)
{
    struct frame_request request = {.framing = framing_of(l),
                                    .transaction = ++l->transaction,
                                    .check_transaction = terms->check_transaction,
                                    .unit = terms->unit,
                                    .pdu_size = pdu_size};
    struct waiting w = {.request = &request};
    struct trace trace;
    int r;

    *ret_noise = (struct frame_noise){0};
    ret->pdu_size = 0;
    memcpy(request.pdu, pdu, pdu_size);
    w.adu_size = frame_encode(&request, w.adu);
    trace.n = 0;
    l->trace = terms->trace ? &trace : NULL;
    r = exchange(l, terms, &w, ret, ret_noise);
    l->trace = NULL;
    return r;
}
