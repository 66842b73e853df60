/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "coap/endpoint.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <string.h>

static int check_request(const struct coap_endpoint *ep, const struct uplink_request *request)
{
    struct coap_message m = {.n_options = 0};
    uint8_t buf[COAP_PATH_MAX];

    if (request->method == COAP_EMPTY || COAP_CODE_CLASS(request->method) != 0)
        return -EINVAL;
    if (request->content_format > UINT16_MAX || request->accept > UINT16_MAX || (request->wants_option & 1))
        return -EINVAL;
    if (coap_message_add_path(&m, request->target, buf, sizeof(buf)) < 0)
        return -EINVAL;
    if (m.n_options + COAP_OTHER_OPTIONS_MAX > COAP_OPTIONS_MAX)
        return -EINVAL;
    return request->payload_size > ep->size.body_max ? -EMSGSIZE : 0;
}

static void cancel(struct uplink_call *call)
{
    struct coap_exchange *x = (struct coap_exchange *)call;
    struct coap_endpoint *ep = x->ep;

    coap_enter(ep, ep->ops->now(ep->userdata));
    coap_exchange_finish(x, -ECANCELED, NULL);
    coap_leave(ep);
}

static struct coap_exchange *append(struct coap_endpoint *ep, enum coap_kind kind, size_t size, uplink_done done,
                                    void *userdata)
{
    struct coap_exchange *x = calloc(1, sizeof(*x) + size);

    if (!x)
        return NULL;
    x->call.cancel = cancel;
    x->ep = ep;
    x->kind = kind;
    x->done = done;
    x->userdata = userdata;
    x->ask.observe = x->ask.content_format = x->ask.accept = -1;
    x->fate.patience = UPLINK_ENDS;
    x->previous = ep->last;
    *(ep->last ? &ep->last->next : &ep->first) = x;
    ep->last = x;
    ep->n_exchanges++;
    return x;
}

int coap_exchange_new(struct coap_endpoint *ep, const struct uplink_request *request, uplink_done done, void *userdata,
                      struct coap_exchange **ret)
{
    size_t path_size = strlen(request->target) + 1;
    struct coap_exchange *x = append(ep, COAP_REQUEST, path_size + request->payload_size, done, userdata);

    if (!x)
        return -ENOMEM;
    x->ask.method = request->method;
    x->ask.content_format = request->content_format;
    x->ask.accept = request->accept;
    x->ask.wants_option = request->wants_option;
    x->ask.non = request->non;
    x->fate.suspect = request->suspect;
    x->ask.divisible = request->divisible;
    x->ask.secret = request->secret;
    if (request->ends)
        x->fate.patience = (uint8_t)request->ends;
    memcpy(x->data, request->target, path_size);
    x->ask.path = x->data;
    if (request->payload_size > 0) {
        memcpy(x->data + path_size, request->payload, request->payload_size);
        x->ask.payload = (const uint8_t *)x->data + path_size;
        x->ask.payload_size = request->payload_size;
    }
    *ret = x;
    return 0;
}

int coap_exchange_new_ping(struct coap_endpoint *ep, uplink_done done, void *userdata, struct coap_exchange **ret)
{
    *ret = append(ep, COAP_PING, 0, done, userdata);
    return *ret ? 0 : -ENOMEM;
}

void coap_exchange_finish(struct coap_exchange *x, int r, const struct uplink_response *response)
{
    struct coap_endpoint *ep = x->ep;

    *(x->previous ? &x->previous->next : &ep->first) = x->next;
    *(x->next ? &x->next->previous : &ep->last) = x->previous;
    ep->n_exchanges--;
    if (ep->health.doubt_ping == x)
        ep->health.doubt_ping = NULL;
    if (x->done)
        x->done(r, response, x->userdata);
    coap_block2_done(&x->block2);
    if (x->ask.secret && x->ask.payload_size > 0)
        gnutls_memset(x->data + ((const char *)x->ask.payload - x->data), 0, x->ask.payload_size);
    free(x);
}

static int add_payload(struct coap_exchange *x, struct coap_message *m)
{
    struct coap_block block = coap_block1_current(&x->block1, x->ask.payload_size, &m->payload_size);
    int r = 0;

    m->payload = x->ask.payload + x->block1.offset;
    if (!x->block1.active)
        return 0;
    if (!x->tags.tagged) {
        coap_random_bytes(&x->ep->random, x->tags.request_tag, sizeof(x->tags.request_tag));
        x->tags.tagged = true;
    }
    r = coap_message_add_uint(m, COAP_OPT_BLOCK1, coap_block_value(&block));
    if (r >= 0 && x->block1.offset == 0)
        r = coap_message_add_uint(m, COAP_OPT_SIZE1, (uint32_t)x->ask.payload_size);
    if (r >= 0)
        r = coap_message_add(m, COAP_OPT_REQUEST_TAG, x->tags.request_tag, sizeof(x->tags.request_tag));
    return r;
}

static int add_block2(const struct coap_exchange *x, struct coap_message *m)
{
    struct coap_block block = {.szx = x->out.szx};

    if (x->block2.active)
        block = coap_block2_wanted(&x->block2);
    else if (block.szx == COAP_SZX_MAX || (x->ask.method != COAP_GET && x->ask.method != COAP_FETCH))
        return 0; /* nothing to negotiate yet */
    return coap_message_add_uint(m, COAP_OPT_BLOCK2, coap_block_value(&block));
}

/* The request as it stands: the block that is due, of the request or of the response. */
static int build(struct coap_exchange *x, struct coap_message *m, uint8_t *path_buf, size_t path_size)
{
    /* Further blocks of a response are requested without the body, except by FETCH, whose body is part of the request.
     */
    bool with_payload =
        x->ask.payload_size > 0 && (!x->block2.active || (x->ask.method == COAP_FETCH && !x->block1.active));
    int r;

    memcpy(m->token, x->token, sizeof(m->token));
    m->token_size = sizeof(m->token);
    r = coap_message_add_path(m, x->ask.path, path_buf, path_size);
    if (r >= 0 && x->ask.observe >= 0)
        r = coap_message_add_uint(m, COAP_OPT_OBSERVE, (uint32_t)x->ask.observe);
    if (r >= 0 && with_payload && x->ask.content_format >= 0)
        r = coap_message_add_uint(m, COAP_OPT_CONTENT_FORMAT, (uint32_t)x->ask.content_format);
    if (r >= 0 && x->ask.accept >= 0)
        r = coap_message_add_uint(m, COAP_OPT_ACCEPT, (uint32_t)x->ask.accept);
    if (r >= 0)
        r = add_block2(x, m);
    if (r >= 0 && with_payload)
        r = add_payload(x, m);
    if (r >= 0 && x->tags.echo_size > 0)
        r = coap_message_add(m, COAP_OPT_ECHO, x->tags.echo, x->tags.echo_size);
    if (r >= 0 && x->ask.wants_option != 0)
        r = coap_message_add(m, x->ask.wants_option, NULL, 0);
    return r;
}

/* Writes the message; a payload that does not fit the datagram goes in smaller blocks. Only a first transmission may
 * come out smaller: coap_endpoint_set_datagram_max() sees to that. */
static ssize_t encode(struct coap_exchange *x, uint8_t *buf, size_t size)
{
    if (x->kind == COAP_PING) {
        struct coap_message ping = {.type = COAP_CON, .mid = x->out.mid};

        return coap_message_write(&ping, buf, size);
    }
    for (;;) {
        struct coap_message m;
        uint8_t path_buf[COAP_PATH_MAX];
        ssize_t n;

        m.code = x->ask.method;
        m.mid = x->out.mid;
        m.n_options = 0;
        m.payload_size = 0;
        n = build(x, &m, path_buf, sizeof(path_buf));
        x->out.confirmable = !x->ask.non || x->block1.active || x->block2.active;
        m.type = x->out.confirmable ? COAP_CON : COAP_NON;
        if (n >= 0)
            n = coap_message_write(&m, buf, size);
        if (n != -ENOBUFS)
            return n;
        if (m.payload_size == 0 || !coap_block1_shrink(&x->block1, x->ask.payload_size))
            return -EMSGSIZE;
    }
}

static void transmit(struct coap_exchange *x)
{
    struct coap_endpoint *ep = x->ep;
    uint8_t buf[COAP_DATAGRAM_LIMIT];
    ssize_t n = encode(x, buf, ep->size.datagram_max);
    int r;

    if (n < 0) {
        coap_exchange_finish(x, (int)n, NULL);
        return;
    }
    x->out.wire_size = (uint16_t)n;
    r = coap_endpoint_send(ep, buf, (size_t)n);
    if (x->ask.secret)
        gnutls_memset(buf, 0, sizeof(buf));
    /* If the owner set another limit, it has put x back into the queue. */
    if (r == -EMSGSIZE && x->state != COAP_QUEUED)
        coap_exchange_finish(x, -EMSGSIZE, NULL);
}

void coap_exchange_start(struct coap_exchange *x)
{
    struct coap_endpoint *ep = x->ep;

    if (!coap_mids_take(&ep->mids, ep->now, &x->out.mid))
        return;
    if (!x->has_token)
        coap_random_bytes(&ep->random, x->token, sizeof(x->token));
    x->has_token = true;
    ep->size.datagram_max = (uint16_t)coap_path_max(&ep->size.path, ep->size.ceiling, ep->now);
    x->out.szx = coap_endpoint_szx(ep);
    if (!x->fate.begun)
        coap_block1_init(&x->block1, x->ask.payload_size, x->out.szx);
    x->fate.begun = true;
    x->state = COAP_SENT;
    x->out.transmissions = 1;
    x->out.sent_at = ep->now;
    x->out.timeout = coap_rtt_timeout(&ep->rtt, &ep->random);
    x->out.deadline = ep->now + x->out.timeout;
    transmit(x);
}

/* Of transmissions that were under way at the same time, one counts: what lost one may have lost them all. */
static void count_unanswered(const struct coap_exchange *x)
{
    struct coap_endpoint *ep = x->ep;

    if (x->out.deadline - x->out.timeout < ep->health.row_from)
        return;
    ep->health.row_from = ep->now;
    ep->health.unanswered++;
    if (ep->health.suspect)
        return;
    if (ep->health.unanswered >= coap_loss_tolerated(&ep->loss))
        ep->health.suspect = ep->health.tell_suspect = true;
    else
        ep->health.doubt = ep->health.unanswered >= COAP_UNANSWERED_DOUBTED;
}

void coap_exchange_expire(struct coap_exchange *x)
{
    struct coap_endpoint *ep = x->ep;

    if (x->state == COAP_WAITING) {
        coap_exchange_finish(x, -ETIMEDOUT, NULL);
        return;
    }
    if (coap_exchange_too_large(x))
        return;
    count_unanswered(x);
    if (x->kind == COAP_REQUEST && !x->out.confirmable) {
        x->state = COAP_WAITING;
        x->out.deadline = x->out.sent_at + COAP_SEPARATE_TIMEOUT;
    } else if (x->out.transmissions <= COAP_MAX_RETRANSMIT) {
        x->out.transmissions++;
        x->out.timeout = coap_rtt_next_timeout(x->out.timeout);
        x->out.deadline = ep->now + x->out.timeout;
        ep->counts.retransmitted++;
        transmit(x);
    } else {
        coap_exchange_finish(x, -ETIMEDOUT, NULL);
    }
}

/* As if it had just been sent for the first time, but it is at once. */
static void again_now(struct coap_exchange *x)
{
    struct coap_endpoint *ep = x->ep;

    x->out.transmissions = 1;
    x->out.timeout = coap_rtt_timeout(&ep->rtt, &ep->random) / 2; /* doubled by then */
    x->out.deadline = ep->now;
}

/* The session lives after all: what is out is sent again now, and has all its repeats before it. They bear the same
 * message id, by which the peer knows what it has carried out; given up and asked anew it would be carried out twice.
 * Not `answered`, which needs none. */
static void hasten(struct coap_endpoint *ep, const struct coap_exchange *answered)
{
    for (struct coap_exchange *x = ep->first; x; x = x->next)
        if (x != answered && x->state == COAP_SENT && x->fate.spared && x->out.confirmable) {
            coap_loss_lost(&ep->loss, x->out.transmissions - 1u);
            again_now(x);
        }
}

void coap_exchange_heard(struct coap_exchange *x, bool acknowledged)
{
    struct coap_endpoint *ep = x->ep;
    bool doubted = ep->health.suspect || ep->health.doubt_ping;

    ep->health.unanswered = 0;
    ep->health.row_from = ep->idle.heard_at = ep->now;
    ep->health.doubt = false;
    if (x->kind == COAP_REQUEST && x->state == COAP_SENT)
        coap_path_passed(&ep->size.path, x->out.wire_size);
    if (ep->health.suspect) {
        /* Not yet told of the suspicion, the owner need not hear of its end. */
        ep->health.tell_answered = !ep->health.tell_suspect;
        ep->health.tell_suspect = ep->health.suspect = false;
    }
    if (doubted)
        hasten(ep, x);
    if (x->state != COAP_SENT)
        return;
    coap_loss_answered(&ep->loss, x->out.transmissions);
    if (x->out.transmissions > 1)
        coap_rtt_weak_sample(&ep->rtt, ep->now - x->out.sent_at);
    else if (acknowledged)
        coap_rtt_sample(&ep->rtt, ep->now - x->out.sent_at);
}

/* The next message of the same exchange: a new request to the peer, with a token of its own. A registration keeps the
 * token that its notifications will carry. */
static void continue_exchange(struct coap_exchange *x)
{
    x->state = COAP_QUEUED;
    x->has_token = x->has_token && x->ask.observe >= 0;
}

static void restart_body(struct coap_exchange *x)
{
    x->block1.offset = 0;
    x->tags.tagged = false;
    coap_block2_done(&x->block2);
}

/* The size of a response counts as well, if it is the large one. */
static size_t largest_datagram(const struct coap_exchange *x)
{
    bool asks = x->ask.method == COAP_GET || x->ask.method == COAP_FETCH;

    return asks ? MAX_OF((size_t)x->out.wire_size, (size_t)x->ep->size.datagram_max) : x->out.wire_size;
}

bool coap_exchange_too_large(struct coap_exchange *x)
{
    struct coap_endpoint *ep = x->ep;

    /* Only what was spared once: the session was doubted, and answered something else meanwhile. */
    if (x->kind == COAP_PING || !x->fate.spared || !x->out.confirmable || ep->idle.heard_at < x->out.sent_at ||
        ep->health.unanswered + 1 < coap_loss_tolerated(&ep->loss) ||
        !coap_path_lost(&ep->size.path, largest_datagram(x), ep->now))
        return false;
    ep->size.datagram_max = (uint16_t)coap_path_max(&ep->size.path, ep->size.ceiling, ep->now);
    ep->health.unanswered = 0;
    ep->health.row_from = ep->now;
    x->fate.spared = false;
    if (x->ask.divisible)
        coap_exchange_finish(x, -ETIMEDOUT, NULL);
    else
        coap_exchange_rewind(x);
    return true;
}

void coap_exchange_rewind(struct coap_exchange *x)
{
    /* The same message keeps its token: whichever session brings the answer, it is the answer. */
    x->has_token = x->block1.offset == 0 && !x->block2.active;
    restart_body(x);
    x->state = COAP_QUEUED;
}

int coap_response_make(const struct coap_message *m, const struct coap_block2 *body, struct uplink_response *ret,
                       char **ret_location)
{
    uint32_t value;

    *ret = (struct uplink_response){
        .code = m->code,
        .content_format = -1,
        .payload = m->payload_size > 0 ? m->payload : NULL,
        .payload_size = m->payload_size,
        .max_age = COAP_MAX_AGE,
        .challenged = coap_message_find(m, COAP_OPT_ECHO),
        .observe = -1,
    };
    if (coap_message_get_uint(m, COAP_OPT_CONTENT_FORMAT, &value) == 0)
        ret->content_format = (int)value;
    if (coap_message_get_uint(m, COAP_OPT_MAX_AGE, &value) == 0)
        ret->max_age = value;
    if (coap_message_get_uint(m, COAP_OPT_OBSERVE, &value) == 0)
        ret->observe = (int32_t)value;
    if (body && body->active) {
        ret->payload = body->body;
        ret->payload_size = body->size;
        ret->content_format = body->content_format;
    }
    *ret_location = NULL;
    return coap_message_location(m, ret_location);
}

/* The server asks for a pause (RFC 7252 section 5.9.3.4, RFC 8516). */
static void hold(struct coap_endpoint *ep, const struct coap_message *m)
{
    uint32_t max_age = COAP_MAX_AGE;
    uint64_t until;

    if (m->code != COAP_TOO_MANY_REQUESTS && m->code != COAP_SERVICE_UNAVAILABLE)
        return;
    coap_message_get_uint(m, COAP_OPT_MAX_AGE, &max_age);
    until = ep->now + MIN_OF(max_age * USEC_PER_SEC, COAP_HOLD_MAX);
    ep->hold_until = MAX_OF(ep->hold_until, until);
}

static void deliver(struct coap_exchange *x, const struct coap_message *m)
{
    uint32_t limit;
    const struct coap_option *wanted = x->ask.wants_option != 0 ? coap_message_find(m, x->ask.wants_option) : NULL;
    struct uplink_response response;
    _cleanup_free_ char *location = NULL;
    int r = coap_response_make(m, &x->block2, &response, &location);

    response.location = location;
    response.too_large = m->code == COAP_TOO_LARGE;
    if (response.too_large && coap_message_get_uint(m, COAP_OPT_SIZE1, &limit) == 0)
        response.limit = limit;
    if (r >= 0 && wanted) {
        response.option = wanted->value;
        response.option_size = wanted->length;
    }
    coap_exchange_finish(x, r, r < 0 ? NULL : &response);
}

/* 4.01 with Echo: the server wants to see that the request is fresh (RFC 9175 section 2.3). */
static bool answer_challenge(struct coap_exchange *x, const struct coap_message *m)
{
    const struct coap_option *echo = coap_message_find(m, COAP_OPT_ECHO);

    if (m->code != COAP_UNAUTHORIZED || !echo || x->fate.restarts == COAP_RESTARTS_MAX)
        return false;
    memcpy(x->tags.echo, echo->value, echo->length);
    x->tags.echo_size = (uint8_t)echo->length;
    x->fate.restarts++;
    continue_exchange(x);
    return true;
}

/* Has the exchange go on as the step says; false when it does not. */
static bool take_step(struct coap_exchange *x, enum coap_block_step step)
{
    switch (step) {
    case COAP_BLOCK_DONE:
        return false;
    case COAP_BLOCK_RESTART:
        if (x->fate.restarts == COAP_RESTARTS_MAX)
            return false;
        x->fate.restarts++;
        restart_body(x);
        break;
    case COAP_BLOCK_AGAIN:
        x->tags.tagged = false;
        break;
    case COAP_BLOCK_NEXT:
        break;
    }
    continue_exchange(x);
    return true;
}

/* The response's blocks. Asking again from the first block is harmless only with methods that change nothing. */
static void collect(struct coap_exchange *x, const struct coap_message *m)
{
    int step = coap_block2_answer(&x->block2, m, x->out.szx, x->ep->size.body_max);

    if (step < 0) {
        coap_exchange_finish(x, step, NULL);
        return;
    }
    if (step == COAP_BLOCK_DONE) {
        deliver(x, m);
        return;
    }
    if (step == COAP_BLOCK_RESTART && x->ask.method != COAP_GET && x->ask.method != COAP_FETCH)
        coap_exchange_finish(x, -EBADMSG, NULL);
    else if (!take_step(x, (enum coap_block_step)step))
        coap_exchange_finish(x, -EBADMSG, NULL);
}

void coap_exchange_respond(struct coap_exchange *x, const struct coap_message *m)
{
    int step = COAP_BLOCK_DONE;

    if (answer_challenge(x, m))
        return;
    hold(x->ep, m);
    if (x->ask.observe >= 0) {
        coap_observation_answered(x, m);
        return;
    }
    if (x->ask.payload_size > 0 && !x->block2.active)
        step = coap_block1_answer(&x->block1, x->ask.payload_size, m);
    else if (m->code == COAP_CONTINUE)
        step = -EBADMSG;
    if (step < 0) {
        coap_exchange_finish(x, step, NULL);
        return;
    }
    if (take_step(x, (enum coap_block_step)step))
        return;
    collect(x, m);
}

int coap_request(struct coap_endpoint *ep, uint64_t now, const struct uplink_request *request, uplink_done done,
                 void *userdata, struct uplink_call **ret_call)
{
    struct coap_exchange *x;
    int r = check_request(ep, request);

    if (r < 0)
        return r;
    if (ep->health.doomed)
        return -ECANCELED;
    if (ep->n_exchanges >= COAP_EXCHANGES_MAX)
        return -ENOBUFS;
    coap_enter(ep, now);
    r = coap_exchange_new(ep, request, done, userdata, &x);
    if (r >= 0 && ret_call)
        *ret_call = &x->call;
    coap_leave(ep);
    return r;
}

int coap_ping(struct coap_endpoint *ep, uint64_t now, uplink_done done, void *userdata, struct uplink_call **ret_call)
{
    struct coap_exchange *x;
    int r;

    if (ep->health.doomed)
        return -ECANCELED;
    if (ep->n_exchanges >= COAP_EXCHANGES_MAX)
        return -ENOBUFS;
    coap_enter(ep, now);
    r = coap_exchange_new_ping(ep, done, userdata, &x);
    if (r >= 0 && ret_call)
        *ret_call = &x->call;
    coap_leave(ep);
    return r;
}

void coap_exchange_ping_now(struct coap_endpoint *ep)
{
    struct coap_exchange *x;

    if (coap_exchange_new_ping(ep, NULL, NULL, &x) >= 0)
        coap_exchange_start(x);
}

bool coap_exchange_ping_in_doubt(struct coap_endpoint *ep)
{
    struct coap_exchange *x;

    if (ep->health.doubt_ping)
        return true;
    for (x = ep->first; x; x = x->next)
        if (x->state == COAP_SENT && x->fate.spared)
            return false;
    for (x = ep->first; x; x = x->next)
        x->fate.spared = x->state == COAP_SENT;
    if (coap_exchange_new_ping(ep, NULL, NULL, &x) < 0)
        return false;
    ep->health.doubt_ping = x;
    coap_exchange_start(x);
    return ep->health.doubt_ping != NULL;
}

void coap_endpoint_ping_in_doubt(struct coap_endpoint *ep, uint64_t now)
{
    if (ep->health.doomed || !ep->connected)
        return;
    coap_enter(ep, now);
    /* One that is out already, and waits ever longer, begins anew. */
    if (ep->health.doubt_ping && ep->health.doubt_ping->state == COAP_SENT)
        again_now(ep->health.doubt_ping);
    else
        (void)coap_exchange_ping_in_doubt(ep);
    coap_leave(ep);
}
