/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "uplink/dtls-internal.h"

#include "base/clock.h"
#include "base/limits.h"
#include "uplink/handshake.h"
#include "uplink/suites.h"
#include "uplink/udp.h"

#include <gnutls/dtls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADERS_V4 28 /* IP and UDP */
#define HEADERS_V6 48
#define SEND_TRIES 3
#define RECORDS_PER_DATAGRAM_MAX 64 /* looked at in one call, whatever the datagram claims to hold */

/* ── The socket under GnuTLS ── */

/* The kernel knows of a narrower path: what comes is made smaller; a handshake's flight may be fragmented. */
static void shrink(struct dtls *d)
{
    d->mtu = DTLS_MTU_FLOOR;
    udp_allow_fragments(d->fd, d->v6);
    if (!d->open)
        gnutls_dtls_set_mtu(d->session, (unsigned)d->mtu);
}

/* A datagram that cannot be sent is lost: retransmission is the business of the layers above, and an error here would
 * end the session in GnuTLS. */
static ssize_t push(gnutls_transport_ptr_t ptr, const void *data, size_t n)
{
    struct dtls *d = ptr;

    d->counters.datagrams_out++;
    for (int i = 0; i < SEND_TRIES && send(d->fd, data, n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0; i++) {
        /* An ICMP error that waits on the socket is reported instead of sending; the next call sends. */
        if (udp_is_network_error(errno))
            d->icmp = errno;
        else if (errno == EMSGSIZE) {
            shrink(d);
            if (d->open && n > d->mtu)
                break; /* dtls_data_max() has changed: what was in it comes again, in smaller pieces */
        } else if (errno != EINTR)
            break;
    }
    return (ssize_t)n;
}

static ssize_t pull(gnutls_transport_ptr_t ptr, void *buffer, size_t size)
{
    struct dtls *d = ptr;
    struct dtls_shared *s = d->shared;
    size_t n = s->pending;

    if (s->pending_for != d || n == 0) {
        d->starved = true;
        gnutls_transport_set_errno(d->session, EAGAIN);
        return -1;
    }
    s->pending = 0;
    if (n > size)
        n = size;
    memcpy(buffer, s->datagram, n);
    return (ssize_t)n;
}

static int pull_timeout(gnutls_transport_ptr_t ptr, unsigned ms)
{
    struct dtls *d = ptr;

    return d->shared->pending_for == d && d->shared->pending > 0;
}

/* ── Ends and callbacks ── */

static void destroy(struct dtls *d)
{
    if (d->session)
        gnutls_deinit(d->session);
    free(d);
}

static void leave(struct dtls *d)
{
    if (--d->busy == 0 && d->freed)
        destroy(d);
}

static void unwatch(struct dtls *d)
{
    if (d->watched)
        sockets_remove(d->shared->sockets, d->fd, &d->watch);
    d->watched = false;
}

static void end(struct dtls *d)
{
    d->ended = true;
    d->open = false;
    unwatch(d);
}

static void fail(struct dtls *d, enum dtls_failure failure, enum uplink_trouble trouble, const char *reason)
{
    if (d->ended || d->freed)
        return;
    end(d);
    d->ops->failed(d->userdata, failure, trouble, reason);
}

static void closed(struct dtls *d, const char *reason)
{
    if (d->ended || d->freed)
        return;
    end(d);
    d->ops->closed(d->userdata, reason);
}

/* ── Handshake ── */

/* The server had all it needed to judge the key: only a full handshake gets there before it is over. */
static bool was_answered(const struct dtls *d)
{
    return d->times.heard_at != 0 && d->times.finished_at != 0;
}

static enum handshake_stage stage_of(const struct dtls *d)
{
    return was_answered(d) ? HANDSHAKE_PROVED : d->times.flight_at != 0 ? HANDSHAKE_CHOSEN : HANDSHAKE_HELLO;
}

static void fail_as(struct dtls *d, const struct handshake_end *end)
{
    struct error e = {0};

    if (end->verdict != HANDSHAKE_REFUSED && d->cookie > HANDSHAKE_COOKIE_MAX && d->times.flight_at == 0)
        handshake_say_cookie(&e, d->cookie);
    else
        handshake_say(&e, end, d->shared->offer);
    fail(d,
         end->verdict == HANDSHAKE_REFUSED ? DTLS_ANSWERED
         : end->verdict == HANDSHAKE_OURS  ? DTLS_LOCAL
                                           : DTLS_FAILED,
         handshake_trouble(end), e.text);
}

static void handshake_failed(struct dtls *d, int r)
{
    bool alert = r == GNUTLS_E_FATAL_ALERT_RECEIVED || r == GNUTLS_E_WARNING_ALERT_RECEIVED;
    struct handshake_end end =
        alert ? handshake_alert((int)gnutls_alert_get(d->session), stage_of(d)) : handshake_gnutls(r, stage_of(d));

    fail_as(d, &end);
}

static void handshake_done(struct dtls *d)
{
    d->open = true;
    d->ops->opened(d->userdata);
}

static void handshake_step(struct dtls *d, uint64_t now)
{
    struct error what = {0};
    int r;

    d->what = &what;
    do {
        r = gnutls_handshake(d->session);
        if (r == GNUTLS_E_WARNING_ALERT_RECEIVED && gnutls_alert_get(d->session) == GNUTLS_A_CLOSE_NOTIFY)
            break;
    } while (r < 0 && !gnutls_error_is_fatal(r) && r != GNUTLS_E_AGAIN);
    d->what = NULL;
    if (d->times.finished_at == 0 && gnutls_handshake_get_last_out(d->session) == GNUTLS_HANDSHAKE_FINISHED)
        d->times.finished_at = now;
    if (d->local_error < 0)
        fail(d, DTLS_LOCAL, UPLINK_TROUBLE_LOCAL, what.text);
    else if (r == 0)
        handshake_done(d);
    else if (r == GNUTLS_E_TIMEDOUT)
        fail(d, DTLS_FAILED, UPLINK_TROUBLE_OTHER, "the clock was stepped during the handshake");
    else if (r != GNUTLS_E_AGAIN)
        handshake_failed(d, r);
    if (d->ended || d->freed)
        return;
    /* GnuTLS counts milliseconds: a step too early would do nothing. */
    d->times.retransmit_at = now + (gnutls_dtls_get_timeout(d->session) + 1) * USEC_PER_MSEC;
    d->ops->rearm(d->userdata);
}

static void hinted(struct dtls *d)
{
    struct error e = {0};
    int error = d->icmp;

    d->icmp = 0;
    if (d->ended || d->freed)
        return;
    if (d->open) {
        d->ops->hinted(d->userdata);
    } else if (d->times.heard_at == 0) {
        error_set(&e, 0, error == ECONNREFUSED ? "nothing listens there (ICMP: port unreachable)" : "no way there (%s)",
                  strerror(error));
        fail(d, DTLS_UNREACHABLE, uplink_trouble_of_errno(error), e.text);
    }
}

static uint64_t silence_ends(const struct dtls *d)
{
    uint64_t end = d->times.started_at + DTLS_HANDSHAKE_TIMEOUT;

    if (d->times.finished_at != 0)
        end = d->times.finished_at + d->times.judgement;
    if (d->times.finished_at == 0 && d->times.flight_at != 0)
        end = MIN_OF(end, d->times.flight_at + DTLS_FLIGHT_SILENCE);
    if (d->times.heard_at == 0)
        end = MIN_OF(end, d->times.started_at + d->times.first_answer);
    if (d->times.alert_at != 0)
        end = MIN_OF(end, MAX_OF(d->times.alert_at, d->times.heard_at) + DTLS_ALERT_SILENCE);
    return end;
}

static void handshake_silence(struct dtls *d)
{
    enum uplink_trouble trouble;
    struct error e = {0};

    if (d->times.alert_at != 0) {
        struct handshake_end end = handshake_alert(d->alert, stage_of(d));

        fail_as(d, &end);
        return;
    }
    trouble = handshake_say_silent(&e, was_answered(d), d->times.heard_at != 0, d->shared->offer);
    fail(d, was_answered(d) ? DTLS_ANSWERED : d->times.heard_at != 0 ? DTLS_FAILED : DTLS_UNREACHABLE, trouble, e.text);
}

void dtls_begin(struct dtls *d, uint64_t now)
{
    d->busy++;
    d->begun = true;
    d->times.started_at = now;
    handshake_step(d, now);
    if (d->icmp)
        hinted(d);
    leave(d);
}

uint64_t dtls_deadline(const struct dtls *d)
{
    uint64_t silence = d->begun ? silence_ends(d) : 0;

    return !d->begun || d->open || d->ended ? USEC_INFINITY : MIN_OF(d->times.retransmit_at, silence);
}

void dtls_tick(struct dtls *d, uint64_t now)
{
    if (!d->begun || d->open || d->ended)
        return;
    d->busy++;
    if (now >= silence_ends(d))
        handshake_silence(d);
    else
        handshake_step(d, now);
    if (d->icmp)
        hinted(d);
    leave(d);
}

/* ── Receiving ── */

static void one_record(struct dtls *d)
{
    struct dtls_shared *s = d->shared;
    ssize_t n = gnutls_record_recv(d->session, s->plain, sizeof(s->plain));
    struct error e = {0};

    if (n > 0) {
        d->ops->received(d->userdata, s->plain, (size_t)n);
    } else if (n == 0) {
        closed(d, "the server closed the session");
    } else if (n == GNUTLS_E_REHANDSHAKE) {
        d->counters.renegotiations_refused++;
        (void)gnutls_alert_send(d->session, GNUTLS_AL_WARNING, GNUTLS_A_NO_RENEGOTIATION);
    } else if (n == GNUTLS_E_FATAL_ALERT_RECEIVED) {
        error_set(&e, 0, "the server ended the session (%s)",
                  handshake_alert((int)gnutls_alert_get(d->session), HANDSHAKE_PROVED).what);
        closed(d, e.text);
    } else if (gnutls_error_is_fatal((int)n)) {
        error_set(&e, 0, "the session broke: %s", gnutls_strerror((int)n));
        closed(d, e.text);
    }
}

/* Between our Finished and the server's, an alert in clear text can come from anybody: GnuTLS would end the handshake,
 * and the key would be thought refused. If it is the server's, nothing else comes behind it. */
static void remember_alert(struct dtls *d)
{
    struct dtls_shared *s = d->shared;
    int alert = -1;

    s->pending = dtls_sift_alerts(s->datagram, s->pending, &alert);
    if (alert < 0 || d->times.alert_at != 0)
        return;
    d->alert = alert;
    d->times.alert_at = clock_boottime();
    d->ops->rearm(d->userdata);
}

static void process(struct dtls *d, size_t n)
{
    struct dtls_shared *s = d->shared;
    struct dtls_seen seen;

    d->counters.datagrams_in++;
    s->pending = dtls_sift(s->datagram, n, d->open, &d->counters.dropped);
    if (!d->open && d->times.finished_at != 0)
        remember_alert(d);
    if (s->pending == 0)
        return;
    s->pending_for = d;
    d->starved = false;
    if (!d->open) {
        dtls_look(s->datagram, s->pending, &seen);
        d->times.heard_at = clock_boottime();
        if (seen.cookie > 0)
            d->cookie = seen.cookie;
        /* GnuTLS takes the first message of the server's flight for the receipt of ours, and no longer repeats ours; a
         * server that waits for that before it repeats its own, as GnuTLS's does, waits in vain. Only a new handshake
         * helps then. */
        if (seen.flight)
            d->times.flight_at = d->times.heard_at;
        handshake_step(d, d->times.heard_at);
    }
    /* The last datagram of a handshake may hold the first data. */
    for (int i = 0; d->open && !d->freed && !d->starved && i < RECORDS_PER_DATAGRAM_MAX; i++)
        one_record(d);
    s->pending_for = NULL;
    s->pending = 0;
}

static void on_readable(struct socket_watch *watch)
{
    struct dtls *d = (struct dtls *)(void *)((char *)watch - offsetof(struct dtls, watch));
    ssize_t n;

    if (d->ended)
        return;
    d->busy++;
    n = recv(d->fd, d->shared->datagram, sizeof(d->shared->datagram), MSG_DONTWAIT | MSG_TRUNC);
    if (n > (ssize_t)sizeof(d->shared->datagram))
        d->counters.dropped++;
    else if (n >= 0)
        process(d, (size_t)n);
    else if (udp_is_network_error(errno))
        d->icmp = errno;
    if (d->icmp)
        hinted(d);
    leave(d);
}

/* ── Making one ── */

static int set_up_session(struct dtls *d, const struct dtls_options *options)
{
    const char *server_name = options->server_name;
    int r = gnutls_init(&d->session, GNUTLS_CLIENT | GNUTLS_DATAGRAM | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL);

    if (r < 0)
        return r;
    gnutls_session_set_ptr(d->session, d);
    r = gnutls_priority_set(d->session, d->shared->priority);
    if (r >= 0)
        r = gnutls_credentials_set(d->session, GNUTLS_CRD_PSK, d->shared->credentials);
    if (r >= 0 && server_name)
        r = gnutls_server_name_set(d->session, GNUTLS_NAME_DNS, server_name, strlen(server_name));
    if (r < 0)
        return r;
    gnutls_transport_set_ptr(d->session, d);
    gnutls_transport_set_push_function(d->session, push);
    gnutls_transport_set_pull_function(d->session, pull);
    gnutls_transport_set_pull_timeout_function(d->session, pull_timeout);
    gnutls_dtls_set_mtu(d->session, (unsigned)d->mtu);
    /* GnuTLS counts by the wall clock and gets more time than it needs: the end of a handshake is ours to find. */
    gnutls_dtls_set_timeouts(d->session, DTLS_RETRANSMIT / USEC_PER_MSEC, 3 * DTLS_HANDSHAKE_TIMEOUT / USEC_PER_MSEC);
    /* A ticket that cannot be used makes a full handshake. */
    if (options->resume && options->resume->size > 0)
        (void)gnutls_session_set_data(d->session, options->resume->data, options->resume->size);
    return 0;
}

int dtls_new(const struct dtls_options *options, struct dtls **ret, struct error *e)
{
    _cleanup_(dtls_freep) struct dtls *d = calloc(1, sizeof(*d));
    int r;

    if (!d)
        return -ENOMEM;
    d->fd = -EBADF;
    d->shared = options->shared;
    d->ops = options->ops;
    d->userdata = options->userdata;
    d->times.first_answer = options->first_answer;
    d->times.judgement = options->judgement;
    d->v6 = options->address->any.sa_family == AF_INET6;
    d->mtu = DTLS_MTU - (d->v6 ? HEADERS_V6 : HEADERS_V4);
    r = udp_connect(options->address, &d->fd, e);
    if (r < 0)
        return r;
    r = set_up_session(d, options);
    if (r < 0)
        return error_set(e, r == GNUTLS_E_MEMORY_ERROR ? -ENOMEM : -EIO, "GnuTLS: %s", gnutls_strerror(r));
    d->watch.readable = on_readable;
    r = sockets_add(d->shared->sockets, d->fd, &d->watch);
    if (r < 0)
        return error_errno(e, r, "cannot wait for the UDP socket");
    d->watched = true;
    *ret = TAKE_PTR(d);
    return 0;
}

struct dtls *dtls_free(struct dtls *d)
{
    if (!d || d->freed)
        return NULL;
    unwatch(d);
    d->freed = true;
    d->ended = true;
    d->open = false;
    if (d->shared->pending_for == d)
        d->shared->pending_for = NULL;
    d->fd = safe_close(d->fd);
    if (d->busy == 0)
        destroy(d);
    return NULL;
}

/* ── Using one ── */

int dtls_send(struct dtls *d, const void *data, size_t n)
{
    ssize_t r;

    if (!d->open)
        return -ENOTCONN;
    if (n > dtls_data_max(d))
        return -EMSGSIZE;
    do
        r = gnutls_record_send(d->session, data, n);
    while (r == GNUTLS_E_INTERRUPTED);
    return r == GNUTLS_E_LARGE_PACKET ? -EMSGSIZE : r < 0 ? -EIO : 0;
}

size_t dtls_data_max(const struct dtls *d)
{
    size_t by_gnutls = gnutls_dtls_get_data_mtu(d->session);
    size_t overhead = gnutls_dtls_get_mtu(d->session) - by_gnutls;

    return d->mtu > overhead ? MIN_OF(by_gnutls, d->mtu - overhead) : 0;
}

void dtls_bye(struct dtls *d)
{
    if (!d->open || d->ended)
        return;
    (void)gnutls_bye(d->session, GNUTLS_SHUT_WR);
    d->open = false;
    d->ended = true;
}

gnutls_session_t dtls_session(const struct dtls *d)
{
    return d->session;
}

uint64_t dtls_judged_in(const struct dtls *d)
{
    return was_answered(d) && d->times.heard_at > d->times.finished_at ? d->times.heard_at - d->times.finished_at : 0;
}

int dtls_local_address(const struct dtls *d, struct resolver_address *ret)
{
    return udp_local_address(d->fd, ret);
}

void dtls_counters(const struct dtls *d, struct dtls_counters *ret)
{
    *ret = d->counters;
    ret->dropped += gnutls_record_get_discarded(d->session);
}
