/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "coap/endpoint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Room beside a block for header, token, options and marker; a longer path has the block halved when it is written. */
#define BESIDE_BLOCK 64

int coap_endpoint_new(const struct coap_endpoint_options *options, struct coap_endpoint **ret)
{
    unsigned nstart = options->nstart ? options->nstart : COAP_NSTART;
    size_t datagram_max = options->datagram_max ? options->datagram_max : COAP_DATAGRAM_MAX;
    unsigned block_size = options->block_size ? options->block_size : (unsigned)COAP_BLOCK_SIZE(COAP_SZX_MAX);
    struct coap_endpoint *ep;
    uint8_t szx = 0;

    while (szx < COAP_SZX_MAX && COAP_BLOCK_SIZE(szx) < block_size)
        szx++;
    if (COAP_BLOCK_SIZE(szx) != block_size || nstart > COAP_NSTART_MAX)
        return -EINVAL;
    if (datagram_max < COAP_DATAGRAM_MIN || datagram_max > COAP_DATAGRAM_LIMIT || !options->ops)
        return -EINVAL;
    ep = calloc(1, sizeof(*ep));
    if (!ep)
        return -ENOMEM;
    ep->ops = options->ops;
    ep->userdata = options->userdata;
    ep->nstart = (uint8_t)nstart;
    ep->size.datagram_max = ep->size.ceiling = (uint16_t)datagram_max;
    ep->size.szx_max = szx;
    ep->size.body_max = options->body_max ? options->body_max : COAP_BODY_MAX;
    ep->random.state = options->seed;
    ep->idle.keepalive = options->keepalive ? options->keepalive : USEC_INFINITY;
    ep->deadline = ep->idle.ping_at = ep->idle.connected_at = USEC_INFINITY;
    ep->connected = true;
    coap_rtt_init(&ep->rtt);
    coap_mids_init(&ep->mids, &ep->random);
    *ret = ep;
    return 0;
}

static void destroy(struct coap_endpoint *ep)
{
    coap_observations_free(ep);
    free(ep->dedup);
    free(ep);
}

struct coap_endpoint *coap_endpoint_free(struct coap_endpoint *ep)
{
    if (!ep || ep->health.doomed)
        return NULL;
    ep->health.doomed = true;
    coap_enter(ep, ep->now);
    while (ep->first)
        coap_exchange_finish(ep->first, -ECANCELED, NULL);
    coap_leave(ep);
    return NULL;
}

uint8_t coap_endpoint_szx(const struct coap_endpoint *ep)
{
    uint8_t szx = ep->size.szx_max;

    while (szx > 0 && COAP_BLOCK_SIZE(szx) + BESIDE_BLOCK > ep->size.datagram_max)
        szx--;
    return szx;
}

void coap_enter(struct coap_endpoint *ep, uint64_t now)
{
    ep->depth++;
    ep->now = MAX_OF(ep->now, now);
}

/* Whether 4.29 or 5.03 keeps it from starting. */
static bool held(const struct coap_endpoint *ep, const struct coap_exchange *x)
{
    return x->kind == COAP_REQUEST && !x->fate.begun && ep->now < ep->hold_until;
}

/* The first exchange that waits to send and whose turn it is; *ret_when: when some exchange's turn comes by time alone.
 */
static struct coap_exchange *next_ready(struct coap_endpoint *ep, uint64_t *ret_when)
{
    struct coap_exchange *ready = NULL;
    unsigned outstanding = 0;
    bool waits_for_hold = false;

    *ret_when = USEC_INFINITY;
    if (!ep->connected)
        return NULL;
    for (struct coap_exchange *x = ep->first; x; x = x->next) {
        if (x->state == COAP_SENT && (++outstanding >= ep->nstart || x->fate.suspect))
            return NULL;
        if (x->state != COAP_QUEUED || ready)
            continue;
        if (held(ep, x))
            waits_for_hold = true;
        else
            ready = x;
    }
    if (ready && ready->fate.suspect && outstanding > 0)
        return NULL;
    if (ready) {
        *ret_when = coap_mids_when(&ep->mids, ep->now);
        return *ret_when <= ep->now ? ready : NULL;
    }
    if (waits_for_hold)
        *ret_when = ep->hold_until;
    return NULL;
}

static uint64_t earliest(struct coap_endpoint *ep, uint64_t queue_when)
{
    uint64_t when = MIN_OF(queue_when, coap_observations_deadline(ep));

    when = MIN_OF(when, ep->idle.ping_at);
    for (struct coap_exchange *x = ep->first; x; x = x->next)
        if (x->state != COAP_QUEUED)
            when = MIN_OF(when, x->out.deadline);
    return when;
}

/* Tells the owner what was found on the way; false when there is nothing (more) to tell. */
static bool tell(struct coap_endpoint *ep)
{
    bool suspect, answered = ep->health.tell_answered;

    if (ep->health.doubt && ep->connected && !coap_exchange_ping_in_doubt(ep))
        ep->health.suspect = ep->health.tell_suspect = true;
    suspect = ep->health.tell_suspect;
    ep->health.doubt = ep->health.tell_suspect = ep->health.tell_answered = false;
    if (answered && ep->ops->answered)
        ep->ops->answered(ep->userdata);
    if (suspect && !ep->health.doomed && ep->ops->suspect)
        ep->ops->suspect(ep->userdata);
    return suspect || answered;
}

static void settle(struct coap_endpoint *ep)
{
    uint64_t when = USEC_INFINITY;

    while (!ep->health.doomed) {
        struct coap_exchange *x;

        if (tell(ep))
            continue;
        x = next_ready(ep, &when);
        if (!x)
            break;
        coap_exchange_start(x);
    }
    if (ep->health.doomed)
        return;
    when = ep->connected ? earliest(ep, when) : USEC_INFINITY;
    if (when == ep->deadline)
        return;
    ep->deadline = when;
    if (ep->ops->rearm)
        ep->ops->rearm(ep->userdata, when);
}

void coap_leave(struct coap_endpoint *ep)
{
    if (ep->depth == 1)
        settle(ep);
    if (--ep->depth == 0 && ep->health.doomed)
        destroy(ep);
}

int coap_endpoint_send(struct coap_endpoint *ep, const uint8_t *datagram, size_t n)
{
    ep->counts.sent++;
    ep->idle.sent_at = ep->now;
    return ep->ops->send(ep->userdata, datagram, n);
}

static void send_empty(struct coap_endpoint *ep, uint8_t type, uint16_t mid)
{
    struct coap_message m = {.type = type, .code = COAP_EMPTY, .mid = mid};
    uint8_t buf[4];
    ssize_t n = coap_message_write(&m, buf, sizeof(buf));

    if (n > 0)
        coap_endpoint_send(ep, buf, (size_t)n);
}

static void reject(struct coap_endpoint *ep, uint8_t type, uint16_t mid)
{
    if (type == COAP_CON)
        send_empty(ep, COAP_RST, mid);
}

/* Messages that the peer sent on its own come again when our reply was lost: the same reply, and nothing more. */
static bool is_duplicate(struct coap_endpoint *ep, const struct coap_message *m)
{
    if (!ep->dedup)
        return false;
    for (size_t i = 0; i < COAP_DEDUP_MAX; i++) {
        if (ep->dedup->seen[i].at == 0 || ep->dedup->seen[i].mid != m->mid || ep->dedup->seen[i].type != m->type)
            continue;
        if (ep->now >= ep->dedup->seen[i].at + COAP_EXCHANGE_LIFETIME)
            continue;
        ep->counts.duplicates++;
        if (m->type == COAP_CON)
            send_empty(ep, ep->dedup->seen[i].reply, m->mid);
        return true;
    }
    return false;
}

/* Replies to a message of the peer's, and keeps the reply for its repeats. Non-confirmable ones get none but RST. */
static void reply(struct coap_endpoint *ep, const struct coap_message *m, uint8_t type)
{
    if (!ep->dedup)
        ep->dedup = calloc(1, sizeof(*ep->dedup));
    if (ep->dedup) {
        unsigned i = ep->dedup->next++ % COAP_DEDUP_MAX;

        ep->dedup->seen[i].at = MAX_OF(ep->now, UINT64_C(1));
        ep->dedup->seen[i].mid = m->mid;
        ep->dedup->seen[i].type = m->type;
        ep->dedup->seen[i].reply = type;
    }
    if (m->type == COAP_CON || type == COAP_RST)
        send_empty(ep, type, m->mid);
}

/* The exchange that we sent under this message id and that is not finished. */
static struct coap_exchange *match_mid(struct coap_endpoint *ep, uint16_t mid)
{
    for (struct coap_exchange *x = ep->first; x; x = x->next)
        if (x->state != COAP_QUEUED && x->out.mid == mid)
            return x;
    return NULL;
}

static bool has_token(const struct coap_exchange *x, const struct coap_message *m)
{
    return x->kind == COAP_REQUEST && m->token_size == COAP_TOKEN_SIZE &&
           memcmp(m->token, x->token, COAP_TOKEN_SIZE) == 0;
}

static struct coap_exchange *match_token(struct coap_endpoint *ep, const struct coap_message *m)
{
    for (struct coap_exchange *x = ep->first; x; x = x->next)
        if (x->state != COAP_QUEUED && has_token(x, m))
            return x;
    return NULL;
}

static void receive_reset(struct coap_endpoint *ep, const struct coap_message *m)
{
    struct coap_exchange *x = match_mid(ep, m->mid);

    if (!x)
        return;
    coap_exchange_heard(x, true);
    coap_exchange_finish(x, x->kind == COAP_REQUEST ? -ECONNRESET : 0, NULL);
}

static void receive_ack(struct coap_endpoint *ep, const struct coap_message *m)
{
    struct coap_exchange *x = match_mid(ep, m->mid);

    if (!x || (x->kind == COAP_REQUEST && !x->out.confirmable))
        return;
    if (m->code == COAP_EMPTY) {
        coap_exchange_heard(x, true);
        if (x->kind == COAP_PING) {
            coap_exchange_finish(x, 0, NULL); /* some answer pings so */
        } else if (x->state == COAP_SENT) {
            x->state = COAP_WAITING;
            x->out.deadline = ep->now + COAP_SEPARATE_TIMEOUT;
        }
        return;
    }
    if (!has_token(x, m)) {
        ep->counts.unknown_token++;
        return;
    }
    coap_exchange_heard(x, true);
    if (coap_message_unsupported(m)) {
        ep->counts.rejected++;
        coap_exchange_finish(x, -EBADMSG, NULL);
        return;
    }
    coap_exchange_respond(x, m);
}

/* A separate response or a notification, confirmable or not. */
static void receive_response(struct coap_endpoint *ep, const struct coap_message *m)
{
    struct coap_exchange *x;
    struct coap_observation *o;

    if (is_duplicate(ep, m))
        return;
    x = match_token(ep, m);
    o = x ? NULL : coap_observations_match(ep, m);
    if (!x && !o) {
        ep->counts.unknown_token++;
        reply(ep, m, COAP_RST);
        return;
    }
    if (x)
        coap_exchange_heard(x, false);
    if (coap_message_unsupported(m)) {
        ep->counts.rejected++;
        reply(ep, m, COAP_RST);
        if (x)
            coap_exchange_finish(x, -EBADMSG, NULL);
        return;
    }
    reply(ep, m, COAP_ACK);
    if (x)
        coap_exchange_respond(x, m);
    else
        coap_observation_respond(o, m);
}

static void dispatch(struct coap_endpoint *ep, const struct coap_message *m)
{
    unsigned class = COAP_CODE_CLASS(m->code);
    bool response = class == 2 || class == 4 || class == 5;

    if (m->type == COAP_RST) {
        /* With a code it is malformed; it ends what it names all the same, so nothing is gained by asking. */
        receive_reset(ep, m);
    } else if (m->type == COAP_ACK) {
        if (response || m->code == COAP_EMPTY)
            receive_ack(ep, m);
        else
            ep->counts.rejected++;
    } else if (response) {
        receive_response(ep, m);
    } else if (m->code == COAP_EMPTY && m->type == COAP_CON) {
        send_empty(ep, COAP_RST, m->mid); /* ping */
    } else {
        /* Requests (we serve nothing), and codes that nobody has defined. */
        ep->counts.rejected++;
        reject(ep, m->type, m->mid);
    }
}

void coap_endpoint_receive(struct coap_endpoint *ep, uint64_t now, const uint8_t *datagram, size_t n)
{
    struct coap_message m;

    if (ep->health.doomed)
        return;
    coap_enter(ep, now);
    ep->counts.received++;
    if (coap_message_parse(datagram, n, &m) == 0) {
        dispatch(ep, &m);
    } else {
        uint8_t type;
        uint16_t mid;

        ep->counts.malformed++;
        if (coap_message_parse_header(datagram, n, &type, &mid) == 0)
            reject(ep, type, mid);
    }
    coap_leave(ep);
}

uint64_t coap_endpoint_deadline(const struct coap_endpoint *ep)
{
    return ep->deadline;
}

/* ── Keepalive ── */

/* Set anew only when it has come, so that it costs the messages in between nothing. */
static void schedule_ping(struct coap_endpoint *ep)
{
    uint64_t half = ep->idle.keepalive / 2, early = MIN_OF(half / 4, COAP_PING_EARLY);

    if (ep->idle.keepalive != USEC_INFINITY)
        ep->idle.ping_at = MAX_OF(ep->idle.sent_at + half, ep->now) + coap_random_upto(&ep->random, half - early);
}

/* Outstanding messages are sent again if unanswered. A request that was acknowledged, and that the peer holds
 * until it has something to say, is not. */
static bool is_outstanding(const struct coap_endpoint *ep)
{
    for (const struct coap_exchange *x = ep->first; x; x = x->next)
        if (x->state == COAP_SENT)
            return true;
    return false;
}

/* A young session is silent if nothing was sent since its first seconds: see COAP_SETTLE_AFTER. */
static bool is_silent(const struct coap_endpoint *ep)
{
    if (ep->idle.connected_at != USEC_INFINITY)
        return ep->idle.sent_at < ep->idle.connected_at + COAP_SETTLED_BY;
    return ep->now - ep->idle.sent_at >= ep->idle.keepalive / 2;
}

static void look_for_silence(struct coap_endpoint *ep)
{
    /* Outstanding requests are retransmitted, ever later, and none is started before they are answered. */
    if (is_silent(ep)) {
        if (is_outstanding(ep))
            coap_exchange_ping_now(ep);
        else
            (void)coap_ping(ep, ep->now, NULL, NULL, NULL);
        ep->idle.sent_at = ep->now;
    }
    ep->idle.connected_at = USEC_INFINITY;
    schedule_ping(ep);
}

static struct coap_exchange *first_due(const struct coap_endpoint *ep)
{
    for (struct coap_exchange *x = ep->first; x; x = x->next)
        if (x->state != COAP_QUEUED && x->out.deadline <= ep->now)
            return x;
    return NULL;
}

void coap_endpoint_tick(struct coap_endpoint *ep, uint64_t now)
{
    struct coap_exchange *x;

    if (ep->health.doomed)
        return;
    coap_enter(ep, now);
    while (ep->connected && !ep->health.doomed && (x = first_due(ep)))
        coap_exchange_expire(x);
    if (ep->connected && !ep->health.doomed)
        coap_observations_tick(ep);
    if (ep->connected && !ep->health.doomed && ep->idle.ping_at <= ep->now)
        look_for_silence(ep);
    coap_leave(ep);
}

void coap_endpoint_set_datagram_max(struct coap_endpoint *ep, size_t datagram_max)
{
    datagram_max = MAX_OF(datagram_max, (size_t)COAP_DATAGRAM_MIN);
    ep->size.ceiling = (uint16_t)MIN_OF(datagram_max, (size_t)COAP_DATAGRAM_LIMIT);
    ep->size.datagram_max = (uint16_t)coap_path_max(&ep->size.path, ep->size.ceiling, ep->now);
    if (ep->health.doomed)
        return;
    coap_enter(ep, ep->now);
    for (struct coap_exchange *x = ep->first; x; x = x->next)
        if (x->state == COAP_SENT && x->out.wire_size > ep->size.datagram_max)
            x->state = COAP_QUEUED; /* cannot have arrived: anew, in smaller blocks */
    coap_leave(ep);
}

void coap_endpoint_disconnected(struct coap_endpoint *ep, uint64_t now)
{
    if (ep->health.doomed)
        return;
    coap_enter(ep, now);
    ep->connected = false;
    coap_leave(ep);
}

static struct coap_exchange *first_secret(const struct coap_endpoint *ep)
{
    for (struct coap_exchange *x = ep->first; x; x = x->next)
        if (x->ask.secret)
            return x;
    return NULL;
}

void coap_endpoint_ends(struct coap_endpoint *ep, enum coap_end end)
{
    ep->health.end = end;
}

size_t coap_endpoint_path_bound(const struct coap_endpoint *ep)
{
    return ep->size.path.bound < ep->size.ceiling ? ep->size.path.bound : 0;
}

bool coap_endpoint_asks(const struct coap_endpoint *ep)
{
    for (const struct coap_exchange *x = ep->first; x; x = x->next)
        if (x->kind == COAP_REQUEST && x->out.confirmable && x->fate.begun && x->state != COAP_QUEUED)
            return true;
    return false;
}

/* The exchange that was alone under way when the session ended, possibly because of it; a retry may be in vain:
 * then it is returned. */
static struct coap_exchange *find_blamed(struct coap_endpoint *ep)
{
    struct coap_exchange *blamed = NULL;
    unsigned n = 0;

    for (struct coap_exchange *x = ep->first; x; x = x->next)
        if (x->kind == COAP_REQUEST && x->out.confirmable && x->fate.begun && x->state != COAP_QUEUED) {
            n++;
            blamed = x;
        }
    if (ep->health.end == COAP_END_OTHER || n == 0)
        return NULL;
    if (n > 1) {
        for (struct coap_exchange *x = ep->first; x; x = x->next)
            x->fate.suspect |=
                x->kind == COAP_REQUEST && x->out.confirmable && x->fate.begun && x->state != COAP_QUEUED;
        return NULL;
    }
    blamed->fate.suspect = true;
    return ++blamed->fate.ends >= blamed->fate.patience ? blamed : NULL;
}

void coap_endpoint_reconnected(struct coap_endpoint *ep, uint64_t now)
{
    struct coap_exchange *x, *blamed;
    int r = ep->health.end == COAP_END_HUNG_UP ? -ECONNABORTED : -ETIMEDOUT;

    if (ep->health.doomed)
        return;
    coap_enter(ep, now);
    blamed = find_blamed(ep);
    ep->health.end = COAP_END_OTHER;
    ep->connected = true;
    ep->idle.sent_at = ep->idle.connected_at = ep->now;
    if (ep->idle.keepalive != USEC_INFINITY)
        ep->idle.ping_at = ep->now + COAP_SETTLE_AFTER + coap_random_upto(&ep->random, COAP_SETTLE_JITTER);
    ep->health.suspect = ep->health.tell_suspect = ep->health.tell_answered = ep->health.doubt = false;
    ep->health.unanswered = 0;
    /* The peer's message ids are another session's now (RFC 7252 section 9.1.1). */
    free(ep->dedup);
    ep->dedup = NULL;
    if (ep->health.doubt_ping)
        coap_exchange_finish(ep->health.doubt_ping, -ECANCELED, NULL);
    while (!ep->health.doomed && (x = first_secret(ep)))
        coap_exchange_finish(x, -ECANCELED, NULL);
    if (!ep->health.doomed)
        coap_observations_reconnect(ep);
    for (x = ep->health.doomed ? NULL : ep->first; x; x = x->next)
        if (x->fate.begun && (x->kind == COAP_PING || x->out.confirmable))
            coap_exchange_rewind(x);
    for (x = ep->health.doomed ? NULL : ep->first; x; x = x->next)
        if (x == blamed)
            break;
    if (x)
        coap_exchange_finish(x, r, NULL);
    coap_leave(ep);
}

bool coap_endpoint_stale(const struct coap_endpoint *ep)
{
    return ep->health.suspect;
}

void coap_endpoint_statistics(const struct coap_endpoint *ep, struct coap_statistics *ret)
{
    *ret = (struct coap_statistics){
        .sent = ep->counts.sent,
        .received = ep->counts.received,
        .retransmitted = ep->counts.retransmitted,
        .duplicates = ep->counts.duplicates,
        .malformed = ep->counts.malformed,
        .unknown_token = ep->counts.unknown_token,
        .rejected = ep->counts.rejected,
        .rtt = ep->rtt.srtt,
        .rto = ep->rtt.rto,
        .loss_permille = (uint32_t)((uint64_t)ep->loss.share * 1000 / 65536),
        .exchanges = ep->n_exchanges,
    };
}
