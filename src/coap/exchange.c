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
    return request->payload_size > ep->body_max ? -EMSGSIZE : 0;
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
    x->observe = x->content_format = x->accept = -1;
    x->patience = UPLINK_ENDS;
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
    x->method = request->method;
    x->content_format = request->content_format;
    x->accept = request->accept;
    x->wants_option = request->wants_option;
    x->non = request->non;
    x->suspect = request->suspect;
    x->divisible = request->divisible;
    x->secret = request->secret;
    if (request->ends)
        x->patience = (uint8_t)request->ends;
    memcpy(x->data, request->target, path_size);
    x->path = x->data;
    if (request->payload_size > 0) {
        memcpy(x->data + path_size, request->payload, request->payload_size);
        x->payload = (const uint8_t *)x->data + path_size;
        x->payload_size = request->payload_size;
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
    if (ep->doubt_ping == x)
        ep->doubt_ping = NULL;
    if (x->done)
        x->done(r, response, x->userdata);
    coap_block2_done(&x->block2);
    if (x->secret && x->payload_size > 0)
        gnutls_memset(x->data + ((const char *)x->payload - x->data), 0, x->payload_size);
    free(x);
}

static int add_payload(struct coap_exchange *x, struct coap_message *m)
{
    struct coap_block block = coap_block1_current(&x->block1, x->payload_size, &m->payload_size);
    int r = 0;

    m->payload = x->payload + x->block1.offset;
    if (!x->block1.active)
        return 0;
    if (!x->tagged) {
        coap_random_bytes(&x->ep->random, x->request_tag, sizeof(x->request_tag));
        x->tagged = true;
    }
    r = coap_message_add_uint(m, COAP_OPT_BLOCK1, coap_block_value(&block));
    if (r >= 0 && x->block1.offset == 0)
        r = coap_message_add_uint(m, COAP_OPT_SIZE1, (uint32_t)x->payload_size);
    if (r >= 0)
        r = coap_message_add(m, COAP_OPT_REQUEST_TAG, x->request_tag, sizeof(x->request_tag));
    return r;
}

static int add_block2(const struct coap_exchange *x, struct coap_message *m)
{
    struct coap_block block = {.szx = x->szx};

    if (x->block2.active)
        block = coap_block2_wanted(&x->block2);
    else if (block.szx == COAP_SZX_MAX || (x->method != COAP_GET && x->method != COAP_FETCH))
        return 0; /* nothing to negotiate yet */
    return coap_message_add_uint(m, COAP_OPT_BLOCK2, coap_block_value(&block));
}

/* The request as it stands: the block that is due, of the request or of the response. */
static int build(struct coap_exchange *x, struct coap_message *m, uint8_t *path_buf, size_t path_size)
{
    /* Further blocks of a response are requested without the body, except by FETCH, whose body is part of the request.
     */
    bool with_payload = x->payload_size > 0 && (!x->block2.active || (x->method == COAP_FETCH && !x->block1.active));
    int r;

    memcpy(m->token, x->token, sizeof(m->token));
    m->token_size = sizeof(m->token);
    r = coap_message_add_path(m, x->path, path_buf, path_size);
    if (r >= 0 && x->observe >= 0)
        r = coap_message_add_uint(m, COAP_OPT_OBSERVE, (uint32_t)x->observe);
    if (r >= 0 && with_payload && x->content_format >= 0)
        r = coap_message_add_uint(m, COAP_OPT_CONTENT_FORMAT, (uint32_t)x->content_format);
    if (r >= 0 && x->accept >= 0)
        r = coap_message_add_uint(m, COAP_OPT_ACCEPT, (uint32_t)x->accept);
    if (r >= 0)
        r = add_block2(x, m);
    if (r >= 0 && with_payload)
        r = add_payload(x, m);
    if (r >= 0 && x->echo_size > 0)
        r = coap_message_add(m, COAP_OPT_ECHO, x->echo, x->echo_size);
    if (r >= 0 && x->wants_option != 0)
        r = coap_message_add(m, x->wants_option, NULL, 0);
    return r;
}

/* Writes the message; a payload that does not fit the datagram goes in smaller blocks. Only a first transmission may
 * come out smaller: coap_endpoint_set_datagram_max() sees to that. */
static ssize_t encode(struct coap_exchange *x, uint8_t *buf, size_t size)
{
    if (x->kind == COAP_PING) {
        struct coap_message ping = {.type = COAP_CON, .mid = x->mid};

        return coap_message_write(&ping, buf, size);
    }
    for (;;) {
        struct coap_message m;
        uint8_t path_buf[COAP_PATH_MAX];
        ssize_t n;

        m.code = x->method;
        m.mid = x->mid;
        m.n_options = 0;
        m.payload_size = 0;
        n = build(x, &m, path_buf, sizeof(path_buf));
        x->confirmable = !x->non || x->block1.active || x->block2.active;
        m.type = x->confirmable ? COAP_CON : COAP_NON;
        if (n >= 0)
            n = coap_message_write(&m, buf, size);
        if (n != -ENOBUFS)
            return n;
        if (m.payload_size == 0 || !coap_block1_shrink(&x->block1, x->payload_size))
            return -EMSGSIZE;
    }
}

static void transmit(struct coap_exchange *x)
{
    struct coap_endpoint *ep = x->ep;
    uint8_t buf[COAP_DATAGRAM_LIMIT];
    ssize_t n = encode(x, buf, ep->datagram_max);
    int r;

    if (n < 0) {
        coap_exchange_finish(x, (int)n, NULL);
        return;
    }
    x->wire_size = (uint16_t)n;
    r = coap_endpoint_send(ep, buf, (size_t)n);
    if (x->secret)
        gnutls_memset(buf, 0, sizeof(buf));
    /* If the owner set another limit, it has put x back into the queue. */
    if (r == -EMSGSIZE && x->state != COAP_QUEUED)
        coap_exchange_finish(x, -EMSGSIZE, NULL);
}

void coap_exchange_start(struct coap_exchange *x)
{
    struct coap_endpoint *ep = x->ep;

    if (!coap_mids_take(&ep->mids, ep->now, &x->mid))
        return;
    if (!x->has_token)
        coap_random_bytes(&ep->random, x->token, sizeof(x->token));
    x->has_token = true;
    ep->datagram_max = (uint16_t)coap_path_max(&ep->path, ep->ceiling, ep->now);
    x->szx = coap_endpoint_szx(ep);
    if (!x->begun)
        coap_block1_init(&x->block1, x->payload_size, x->szx);
    x->begun = true;
    x->state = COAP_SENT;
    x->transmissions = 1;
    x->sent_at = ep->now;
    x->timeout = coap_rtt_timeout(&ep->rtt, &ep->random);
    x->deadline = ep->now + x->timeout;
    transmit(x);
}

/* Of transmissions that were under way at the same time, one counts: what lost one may have lost them all. */
static void count_unanswered(const struct coap_exchange *x)
{
    struct coap_endpoint *ep = x->ep;

    if (x->deadline - x->timeout < ep->row_from)
        return;
    ep->row_from = ep->now;
    ep->unanswered++;
    if (ep->suspect)
        return;
    if (ep->unanswered >= coap_loss_tolerated(&ep->loss))
        ep->suspect = ep->tell_suspect = true;
    else
        ep->doubt = ep->unanswered >= COAP_UNANSWERED_DOUBTED;
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
    if (x->kind == COAP_REQUEST && !x->confirmable) {
        x->state = COAP_WAITING;
        x->deadline = x->sent_at + COAP_SEPARATE_TIMEOUT;
    } else if (x->transmissions <= COAP_MAX_RETRANSMIT) {
        x->transmissions++;
        x->timeout = coap_rtt_next_timeout(x->timeout);
        x->deadline = ep->now + x->timeout;
        ep->retransmitted++;
        transmit(x);
    } else {
        coap_exchange_finish(x, -ETIMEDOUT, NULL);
    }
}

/* As if it had just been sent for the first time, but it is at once. */
static void again_now(struct coap_exchange *x)
{
    struct coap_endpoint *ep = x->ep;

    x->transmissions = 1;
    x->timeout = coap_rtt_timeout(&ep->rtt, &ep->random) / 2; /* doubled by then */
    x->deadline = ep->now;
}

/* The session lives after all: what is out is sent again now, and has all its repeats before it. They bear the same
 * message id, by which the peer knows what it has carried out; given up and asked anew it would be carried out twice.
 * Not `answered`, which needs none. */
static void hasten(struct coap_endpoint *ep, const struct coap_exchange *answered)
{
    for (struct coap_exchange *x = ep->first; x; x = x->next)
        if (x != answered && x->state == COAP_SENT && x->spared && x->confirmable) {
            coap_loss_lost(&ep->loss, x->transmissions - 1u);
            again_now(x);
        }
}

void coap_exchange_heard(struct coap_exchange *x, bool acknowledged)
{
    struct coap_endpoint *ep = x->ep;
    bool doubted = ep->suspect || ep->doubt_ping;

    ep->unanswered = 0;
    ep->row_from = ep->heard_at = ep->now;
    ep->doubt = false;
    if (x->kind == COAP_REQUEST && x->state == COAP_SENT)
        coap_path_passed(&ep->path, x->wire_size);
    if (ep->suspect) {
        /* Not yet told of the suspicion, the owner need not hear of its end. */
        ep->tell_answered = !ep->tell_suspect;
        ep->tell_suspect = ep->suspect = false;
    }
    if (doubted)
        hasten(ep, x);
    if (x->state != COAP_SENT)
        return;
    coap_loss_answered(&ep->loss, x->transmissions);
    if (x->transmissions > 1)
        coap_rtt_weak_sample(&ep->rtt, ep->now - x->sent_at);
    else if (acknowledged)
        coap_rtt_sample(&ep->rtt, ep->now - x->sent_at);
}

/* The next message of the same exchange: a new request to the peer, with a token of its own. A registration keeps the
 * token that its notifications will carry. */
static void continue_exchange(struct coap_exchange *x)
{
    x->state = COAP_QUEUED;
    x->has_token = x->has_token && x->observe >= 0;
}

static void restart_body(struct coap_exchange *x)
{
    x->block1.offset = 0;
    x->tagged = false;
    coap_block2_done(&x->block2);
}

/* The size of a response counts as well, if it is the large one. */
static size_t largest_datagram(const struct coap_exchange *x)
{
    bool asks = x->method == COAP_GET || x->method == COAP_FETCH;

    return asks ? MAX_OF((size_t)x->wire_size, (size_t)x->ep->datagram_max) : x->wire_size;
}

bool coap_exchange_too_large(struct coap_exchange *x)
{
    struct coap_endpoint *ep = x->ep;

    /* Only what was spared once: the session was doubted, and answered something else meanwhile. */
    if (x->kind == COAP_PING || !x->spared || !x->confirmable || ep->heard_at < x->sent_at ||
        ep->unanswered + 1 < coap_loss_tolerated(&ep->loss) || !coap_path_lost(&ep->path, largest_datagram(x), ep->now))
        return false;
    ep->datagram_max = (uint16_t)coap_path_max(&ep->path, ep->ceiling, ep->now);
    ep->unanswered = 0;
    ep->row_from = ep->now;
    x->spared = false;
    if (x->divisible)
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
    const struct coap_option *wanted = x->wants_option != 0 ? coap_message_find(m, x->wants_option) : NULL;
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

    if (m->code != COAP_UNAUTHORIZED || !echo || x->restarts == COAP_RESTARTS_MAX)
        return false;
    memcpy(x->echo, echo->value, echo->length);
    x->echo_size = (uint8_t)echo->length;
    x->restarts++;
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
        if (x->restarts == COAP_RESTARTS_MAX)
            return false;
        x->restarts++;
        restart_body(x);
        break;
    case COAP_BLOCK_AGAIN:
        x->tagged = false;
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
    int step = coap_block2_answer(&x->block2, m, x->szx, x->ep->body_max);

    if (step < 0) {
        coap_exchange_finish(x, step, NULL);
        return;
    }
    if (step == COAP_BLOCK_DONE) {
        deliver(x, m);
        return;
    }
    if (step == COAP_BLOCK_RESTART && x->method != COAP_GET && x->method != COAP_FETCH)
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
    if (x->observe >= 0) {
        coap_observation_answered(x, m);
        return;
    }
    if (x->payload_size > 0 && !x->block2.active)
        step = coap_block1_answer(&x->block1, x->payload_size, m);
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
    if (ep->doomed)
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

    if (ep->doomed)
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

    if (ep->doubt_ping)
        return true;
    for (x = ep->first; x; x = x->next)
        if (x->state == COAP_SENT && x->spared)
            return false;
    for (x = ep->first; x; x = x->next)
        x->spared = x->state == COAP_SENT;
    if (coap_exchange_new_ping(ep, NULL, NULL, &x) < 0)
        return false;
    ep->doubt_ping = x;
    coap_exchange_start(x);
    return ep->doubt_ping != NULL;
}

void coap_endpoint_ping_in_doubt(struct coap_endpoint *ep, uint64_t now)
{
    if (ep->doomed || !ep->connected)
        return;
    coap_enter(ep, now);
    /* One that is out already, and waits ever longer, begins anew. */
    if (ep->doubt_ping && ep->doubt_ping->state == COAP_SENT)
        again_now(ep->doubt_ping);
    else
        (void)coap_exchange_ping_in_doubt(ep);
    coap_leave(ep);
}
