/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sessions over CoAP: the exchange layer (coap-exchange.h) upon DTLS sessions (dtls.h), of which a second one may be
 * made beside the first. */
#include "base/clock.h"
#include "base/limits.h"
#include "coap/exchange.h"
#include "uplink/dtls.h"
#include "uplink/session-internal.h"
#include "vault/key.h"

#include <errno.h>

struct coap_session {
    struct uplink_session session;
    struct coap_endpoint *endpoint; /* while running */
    struct dtls *open;              /* in use */
    struct dtls *making;            /* in the handshake */
    gnutls_datum_t ticket;          /* of a session that ended, for the next */
    uint64_t ticket_generation;
    uint64_t hinted_at;
    size_t data_max;
    bool hinted; /* ICMP casts doubt on `open` */
};

static struct coap_session *coap(const struct uplink_session *s)
{
    return (struct coap_session *)s;
}

static void add_counters(const struct dtls *d, struct uplink_counters *c)
{
    struct dtls_counters more;

    dtls_counters(d, &more);
    c->datagrams_in += more.datagrams_in;
    c->datagrams_out += more.datagrams_out;
    c->dropped += more.dropped;
    c->renegotiations_refused += more.renegotiations_refused;
}

static void drop_making(struct uplink_session *s)
{
    struct coap_session *c = coap(s);

    if (c->making)
        add_counters(c->making, &s->counters);
    c->making = dtls_free(c->making);
}

static void drop_open(struct uplink_session *s, enum uplink_bye bye)
{
    struct coap_session *c = coap(s);

    if (bye != UPLINK_SILENT)
        dtls_bye(c->open);
    add_counters(c->open, &s->counters);
    c->open = dtls_free(c->open);
}

static void drop_ticket(struct uplink_session *s)
{
    dtls_resumption_free(&coap(s)->ticket);
}

/* ── Doubt ── */

static bool doubted(const struct uplink_session *s)
{
    return coap(s)->hinted || coap_endpoint_stale(coap(s)->endpoint);
}

/* The exchange layer doubts the session in use, or ICMP does. */
static void suspected(struct uplink_session *s)
{
    if (!s->standing.open || s->life == SESSION_ONCE)
        return;
    if (s->attempt.phase == PHASE_NONE) {
        if (clock_boottime() - s->standing.since >= BACKOFF_MAX)
            backoff_reset(&s->attempt.backoff);
        attempt_begin(s);
    }
}

/* ... or does no longer. */
static void answered(struct uplink_session *s)
{
    if (!s->standing.open || s->attempt.fresh)
        return;
    if (s->attempt.phase != PHASE_NONE) {
        session_cancel_attempt(s);
        s->counters.stale_kept++;
    }
    session_set_state(s, UPLINK_STATE_ONLINE, "");
}

/* ── The exchange layer ── */

static int op_send(void *userdata, const uint8_t *datagram, size_t n)
{
    struct coap_session *c = userdata;
    size_t max;
    int r;

    if (!c->open)
        return -ENOTCONN;
    r = dtls_send(c->open, datagram, n);
    max = dtls_data_max(c->open);
    if (max != c->data_max) {
        c->data_max = max;
        coap_endpoint_set_datagram_max(c->endpoint, max);
    }
    return r;
}

static void op_suspect(void *userdata)
{
    struct uplink_session *s = userdata;

    session_enter(s);
    coap_endpoint_ends(coap(s)->endpoint, COAP_END_SILENT);
    suspected(s);
    /* While the new session is being made, the old one may show that it was only loss: the request under way comes
     * again in half a minute, which is too late. */
    if (s->life != SESSION_STOPPED && s->standing.open)
        coap_endpoint_ping_in_doubt(coap(s)->endpoint, clock_boottime());
    session_leave(s);
}

static void op_answered(void *userdata)
{
    struct uplink_session *s = userdata;

    session_enter(s);
    coap_endpoint_ends(coap(s)->endpoint, COAP_END_OTHER);
    answered(s);
    session_leave(s);
}

static void op_deadline(void *userdata, uint64_t deadline)
{
    session_rearm(userdata);
}

static uint64_t op_now(void *userdata)
{
    return clock_boottime();
}

static const struct coap_endpoint_ops endpoint_ops = {
    .send = op_send,
    .suspect = op_suspect,
    .answered = op_answered,
    .rearm = op_deadline,
    .now = op_now,
};

static int start(struct uplink_session *s)
{
    struct coap_endpoint_options options = {
        .ops = &endpoint_ops,
        .userdata = s,
        .nstart = s->uplink->nstart,
        .keepalive = s->uplink->keepalive,
    };
    struct coap_session *c = coap(s);
    int r;

    r = coap_endpoint_new(&options, &c->endpoint);
    if (r < 0)
        return r;
    coap_endpoint_disconnected(c->endpoint, clock_boottime());
    return 0;
}

static void stop(struct uplink_session *s)
{
    struct coap_endpoint *endpoint = TAKE_PTR(coap(s)->endpoint);

    (void)coap_endpoint_free(endpoint);
}

static void lost(struct uplink_session *s)
{
    coap_endpoint_disconnected(coap(s)->endpoint, clock_boottime());
}

/* ── The DTLS sessions ── */

static void op_failed(void *userdata, enum dtls_failure failure, enum uplink_trouble trouble, const char *reason)
{
    static const enum uplink_result results[] = {
        [DTLS_UNREACHABLE] = UPLINK_UNREACHABLE,
        [DTLS_ANSWERED] = UPLINK_REFUSED_ANSWER,
        [DTLS_FAILED] = UPLINK_FAILED,
        [DTLS_LOCAL] = UPLINK_LOCAL,
    };

    attempt_failed(userdata, results[failure], trouble, reason);
}

static void op_opened(void *userdata)
{
    struct uplink_session *s = userdata;
    struct coap_session *c = coap(s);
    bool full = !dtls_resumed(c->making);

    if (full)
        s->uplink->answer_took = dtls_judged_in(c->making);

    session_enter(s);
    if (s->standing.open)
        s->counters.stale_switches++;
    session_drop_open(s, UPLINK_BYE);
    c->open = TAKE_PTR(c->making);
    c->hinted = false;
    attempt_opened(s, full);
    c->data_max = dtls_data_max(c->open);
    coap_endpoint_set_datagram_max(c->endpoint, c->data_max);
    coap_endpoint_reconnected(c->endpoint, clock_boottime());
    session_leave(s);
}

static void op_received(void *userdata, const uint8_t *data, size_t n)
{
    struct uplink_session *s = userdata;
    struct coap_session *c = coap(s);

    session_enter(s);
    if (c->hinted) {
        c->hinted = false;
        if (!coap_endpoint_stale(c->endpoint))
            answered(s);
    }
    coap_endpoint_receive(c->endpoint, clock_boottime(), data, n);
    session_leave(s);
}

static void op_closed(void *userdata, const char *reason)
{
    struct uplink_session *s = userdata;
    struct coap_session *c = coap(s);

    if (!s->attempt.fresh && c->ticket.size == 0 && dtls_resumption(c->open, &c->ticket) == 0)
        c->ticket_generation = s->standing.generation;
    coap_endpoint_ends(c->endpoint, COAP_END_HUNG_UP);
    /* No reason to wait as for a server that is away: something else comes instead, soon. */
    if (coap_endpoint_asks(c->endpoint))
        backoff_reset(&s->attempt.backoff);
    attempt_closed(s, reason);
}

/* Messages that anybody can send may hasten, once in a while, but not decide. */
static void op_hinted(void *userdata)
{
    struct uplink_session *s = userdata;
    struct coap_session *c = coap(s);
    uint64_t now = clock_boottime();

    if (c->hinted_at != 0 && now - c->hinted_at < BACKOFF_MAX)
        return;
    c->hinted_at = now;
    session_enter(s);
    c->hinted = true;
    suspected(s);
    session_leave(s);
}

static void op_rearm(void *userdata)
{
    session_rearm(userdata);
}

static int op_key(void *userdata, const char **ret_identity, struct secret **ret_key, struct error *e)
{
    return attempt_key(userdata, ret_identity, ret_key, e);
}

static const struct dtls_ops dtls_ops = {
    .key = op_key,
    .opened = op_opened,
    .failed = op_failed,
    .received = op_received,
    .closed = op_closed,
    .hinted = op_hinted,
    .rearm = op_rearm,
};

/* The ticket that the handshake may offer: of the session in use, or of the last one; never of another key. */
static const gnutls_datum_t *find_ticket(struct uplink_session *s, uint64_t generation)
{
    struct coap_session *c = coap(s);

    if (s->attempt.fresh || s->attempt.ticketless || s->life == SESSION_ONCE)
        return NULL;
    if (c->open && s->standing.generation == generation && c->ticket.size == 0 &&
        dtls_resumption(c->open, &c->ticket) == 0)
        c->ticket_generation = generation;
    if (c->ticket.size > 0 && c->ticket_generation != generation)
        drop_ticket(s);
    return c->ticket.size > 0 ? &c->ticket : NULL;
}

/* One silence after our proof is soon believed, since it may be the line's; two would make the key refused. */
static uint64_t patience(const struct uplink_session *s)
{
    uint64_t usual = 2 * s->uplink->answer_took;
    uint64_t least = s->life == SESSION_ONCE || s->attempt.refused > 0 ? DTLS_FINISHED_PATIENCE : DTLS_FINISHED_SILENCE;

    usual = MIN_OF(usual, 2 * DTLS_FINISHED_PATIENCE);
    return MAX_OF(least, usual);
}

static int make(struct uplink_session *s, const struct vault_credential *credential, struct error *e)
{
    struct uplink *u = s->uplink;
    struct coap_session *c = coap(s);
    const gnutls_datum_t *ticket = find_ticket(s, credential->generation);
    /* Some servers are deaf to a new handshake from the address and port of a session that they still have: after this
     * agent was killed, among many children some get such a port again. */
    struct dtls_options options = {
        .shared = u->dtls,
        .ops = &dtls_ops,
        .userdata = s,
        .address = &s->attempt.address,
        .server_name = session_host(s)->server_name,
        .resume = ticket,
        .first_answer = attempt_address_wait(s, DTLS_NEXT_SOCKET),
        .judgement = patience(s),
    };

    int r;

    s->attempt.full = !ticket;
    r = dtls_new(&options, &c->making, e);
    if (r < 0)
        return r;
    dtls_begin(c->making, clock_boottime());
    return 0;
}

/* ── What an owner sees ── */

static uint64_t deadline(const struct uplink_session *s)
{
    const struct coap_session *c = coap(s);
    uint64_t at = coap_endpoint_deadline(c->endpoint);

    return c->making ? MIN_OF(at, dtls_deadline(c->making)) : at;
}

static void tick(struct uplink_session *s, uint64_t now)
{
    struct coap_session *c = coap(s);

    if (c->making && now >= dtls_deadline(c->making))
        dtls_tick(c->making, now);
    if (s->life != SESSION_STOPPED && now >= coap_endpoint_deadline(c->endpoint))
        coap_endpoint_tick(c->endpoint, now);
}

static int local_address(const struct uplink_session *s, struct resolver_address *ret)
{
    return dtls_local_address(coap(s)->open, ret);
}

static void count(const struct uplink_session *s, struct uplink_counters *ret)
{
    const struct coap_session *c = coap(s);

    if (c->making)
        add_counters(c->making, ret);
    if (c->open)
        add_counters(c->open, ret);
}

static void info(const struct uplink_session *s, struct uplink_info *ret)
{
    const struct coap_session *c = coap(s);
    struct coap_statistics statistics;

    ret->resumed = dtls_resumed(c->open);
    ret->tells_refusals = true;
    suite_text(dtls_session(c->open), ret->suite);
    suite_group(dtls_session(c->open), ret->group);
    ret->forward_secrecy = suite_forward_secrecy(dtls_session(c->open));
    if (!c->endpoint)
        return;
    coap_endpoint_statistics(c->endpoint, &statistics);
    ret->rtt = statistics.rtt;
}

static int request(struct uplink_session *s, const struct uplink_request *request, uplink_done done, void *userdata,
                   struct uplink_call **ret)
{
    return coap_request(coap(s)->endpoint, clock_boottime(), request, done, userdata, ret);
}

static int subscribe(struct uplink_session *s, const char *target, int accept, uplink_notification notify,
                     void *userdata, struct uplink_subscription **ret)
{
    return coap_observe(coap(s)->endpoint, clock_boottime(), target, accept, notify, userdata, ret);
}

/* Bytes of a datagram beside the payload of a request: header, token, options. */
#define BESIDE_PAYLOAD 96

static size_t payload_max(const struct uplink_session *s)
{
    size_t bound = coap(s)->endpoint ? coap_endpoint_path_bound(coap(s)->endpoint) : 0;

    return bound > 0 ? bound - BESIDE_PAYLOAD : 0;
}

const struct transport coap_transport = {
    .size = sizeof(struct coap_session),
    .start = start,
    .stop = stop,
    .make = make,
    .drop_making = drop_making,
    .drop_open = drop_open,
    .lost = lost,
    .drop_ticket = drop_ticket,
    .doubted = doubted,
    .deadline = deadline,
    .tick = tick,
    .local_address = local_address,
    .count = count,
    .info = info,
    .payload_max = payload_max,
    .request = request,
    .subscribe = subscribe,
};
