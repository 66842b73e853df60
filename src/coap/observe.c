/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "coap/observe.h"

#include "base/limits.h"
#include "coap/endpoint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HALF_ROUND (1u << 23)
#define REGISTER 0
#define DEREGISTER 1

struct coap_observation {
    struct uplink_subscription subscription; /* the first: is cast to this */
    struct coap_observation *next;
    struct coap_endpoint *ep;
    uplink_notification notify;
    void *userdata;
    struct coap_exchange *registering; /* the registration under way, or NULL */
    struct coap_exchange *fetching;    /* the rest of a notification in blocks, or NULL */
    uint64_t last_at;
    uint64_t deadline; /* when to register again */
    uint32_t last;
    int accept;
    uint8_t failures;
    bool established;
    uint8_t token[COAP_TOKEN_SIZE];
    char path[];
};

bool coap_observe_is_newer(uint32_t last, uint64_t last_at, uint32_t number, uint64_t now)
{
    if (number > last && number - last < HALF_ROUND)
        return true;
    if (number < last && last - number > HALF_ROUND)
        return true;
    return now > last_at + COAP_OBSERVE_NUMBERS_AGE;
}

/* The observation stands: notifications are due within Max-Age. */
static void keep(struct coap_observation *o, const struct uplink_response *response)
{
    struct coap_endpoint *ep = o->ep;

    o->established = true;
    o->failures = 0;
    o->last = (uint32_t)response->observe;
    o->last_at = ep->now;
    o->deadline = ep->now + response->max_age * USEC_PER_SEC + COAP_OBSERVE_JITTER_MIN +
                  coap_random_upto(&ep->random, COAP_OBSERVE_JITTER_MAX - COAP_OBSERVE_JITTER_MIN);
}

/* It does not: registered again after Max-Age, or later the more often it failed. */
static void lose(struct coap_observation *o, uint32_t max_age)
{
    uint64_t wait = (COAP_MAX_AGE * USEC_PER_SEC) << MIN_OF(o->failures, (uint8_t)6);

    wait = MIN_OF(MAX_OF(wait, max_age * USEC_PER_SEC), COAP_OBSERVE_RETRY_MAX);
    o->established = false;
    o->failures = (uint8_t)MIN_OF(o->failures + 1, UINT8_MAX);
    o->deadline = o->ep->now + wait;
}

static bool is_kept(const struct uplink_response *response)
{
    return COAP_CODE_CLASS(response->code) == 2 && response->observe >= 0;
}

/* Ends a registration that was not answered. */
static void not_registered(int r, const struct uplink_response *response, void *userdata)
{
    struct coap_observation *o = userdata;

    o->registering = NULL;
    if (r == -ECANCELED)
        return;
    lose(o, COAP_MAX_AGE);
    o->notify(r, NULL, o->userdata);
}

static void fetched(int r, const struct uplink_response *response, void *userdata)
{
    struct coap_observation *o = userdata;
    struct uplink_response notification;

    o->fetching = NULL;
    if (r == -ECANCELED)
        return;
    if (r < 0) {
        o->notify(r, NULL, o->userdata);
        return;
    }
    notification = *response;
    if (COAP_CODE_CLASS(response->code) == 2 && o->established)
        notification.observe = (int32_t)o->last;
    o->notify(0, &notification, o->userdata);
}

static int send_get(struct coap_observation *o, int observe, uplink_done done, struct coap_exchange **ret)
{
    struct uplink_request request = {.method = COAP_GET, .target = o->path, .content_format = -1, .accept = o->accept};
    struct coap_exchange *x;
    int r = coap_exchange_new(o->ep, &request, done, done ? o : NULL, &x);

    if (r < 0)
        return r;
    x->ask.observe = observe;
    if (observe >= 0) {
        memcpy(x->token, o->token, sizeof(x->token));
        x->has_token = true;
    }
    if (ret)
        *ret = x;
    return 0;
}

static void drop_exchanges(struct coap_observation *o)
{
    if (o->registering)
        coap_exchange_finish(o->registering, -ECANCELED, NULL);
    if (o->fetching)
        coap_exchange_finish(o->fetching, -ECANCELED, NULL);
}

/* A renewal has the token of what it renews (RFC 7641 section 3.3.1); a new registration one of its own, since a server
 * that still knows the old one, of a session gone by, may end both when it drops that. */
static int start_registration(struct coap_observation *o)
{
    if (!o->established)
        coap_random_bytes(&o->ep->random, o->token, sizeof(o->token));
    return send_get(o, REGISTER, not_registered, &o->registering);
}

static void cancel(struct uplink_subscription *subscription)
{
    struct coap_observation *o = (struct coap_observation *)subscription, **p;
    struct coap_endpoint *ep = o->ep;

    coap_enter(ep, ep->ops->now(ep->userdata));
    for (p = &ep->observations; *p != o; p = &(*p)->next)
        ;
    *p = o->next;
    /* Also when only its answer is missing: the server may have registered us. If it cannot be sent, the next
     * notification's RST says the same. */
    if ((o->established || (o->registering && o->registering->fate.begun)) && ep->connected && !ep->health.doomed)
        send_get(o, DEREGISTER, NULL, NULL);
    drop_exchanges(o);
    free(o);
    coap_leave(ep);
}

int coap_observe(struct coap_endpoint *ep, uint64_t now, const char *path, int accept, uplink_notification notify,
                 void *userdata, struct uplink_subscription **ret)
{
    struct coap_message m = {.n_options = 0};
    uint8_t buf[COAP_PATH_MAX];
    struct coap_observation *o;
    size_t n = 0, size = strlen(path) + 1;
    int r;

    if (coap_message_add_path(&m, path, buf, sizeof(buf)) < 0 || accept > UINT16_MAX)
        return -EINVAL;
    if (m.n_options + COAP_OTHER_OPTIONS_MAX > COAP_OPTIONS_MAX)
        return -EINVAL;
    if (ep->health.doomed)
        return -ECANCELED;
    for (o = ep->observations; o; o = o->next)
        n++;
    if (n == COAP_OBSERVATIONS_MAX)
        return -ENOBUFS;
    o = calloc(1, sizeof(*o) + size);
    if (!o)
        return -ENOMEM;
    o->subscription.cancel = cancel;
    o->ep = ep;
    o->notify = notify;
    o->userdata = userdata;
    o->accept = accept;
    o->deadline = USEC_INFINITY;
    memcpy(o->path, path, size);
    coap_enter(ep, now);
    r = start_registration(o);
    if (r < 0) {
        free(o);
    } else {
        o->next = ep->observations;
        ep->observations = o;
        *ret = &o->subscription;
    }
    coap_leave(ep);
    return r;
}

struct coap_observation *coap_observations_match(struct coap_endpoint *ep, const struct coap_message *m)
{
    for (struct coap_observation *o = ep->observations; o; o = o->next)
        if (o->established && m->token_size == COAP_TOKEN_SIZE && memcmp(o->token, m->token, COAP_TOKEN_SIZE) == 0)
            return o;
    return NULL;
}

/* The first block came with the notification; the others are fetched (RFC 7959 section 2.6). */
static int fetch_rest(struct coap_observation *o, const struct coap_message *m)
{
    struct coap_endpoint *ep = o->ep;
    int r = send_get(o, -1, fetched, &o->fetching);

    if (r < 0)
        return r;
    o->fetching->fate.begun = true;
    r = coap_block2_answer(&o->fetching->block2, m, coap_endpoint_szx(ep), ep->size.body_max);
    return r == COAP_BLOCK_NEXT ? 0 : r < 0 ? r : -EBADMSG;
}

/* A state of the resource that is newer than what was known. */
static void take(struct coap_observation *o, const struct coap_message *m, const struct uplink_response *response)
{
    struct coap_block block = {0};
    int r = 0;

    if (o->fetching)
        coap_exchange_finish(o->fetching, -ECANCELED, NULL); /* of an older state */
    if (is_kept(response))
        keep(o, response);
    else
        lose(o, response->max_age);
    if (COAP_CODE_CLASS(response->code) == 2)
        r = coap_block_get(m, COAP_OPT_BLOCK2, &block);
    if (r == 0 && (block.more || block.num > 0)) {
        r = fetch_rest(o, m);
        if (r == 0)
            return;
        if (o->fetching)
            coap_exchange_finish(o->fetching, -ECANCELED, NULL);
    }
    if (r < 0 && r != -ENOENT)
        o->notify(r, NULL, o->userdata);
    else
        o->notify(0, response, o->userdata);
}

void coap_observation_respond(struct coap_observation *o, const struct coap_message *m)
{
    struct uplink_response response;
    _cleanup_free_ char *location = NULL;

    if (coap_response_make(m, NULL, &response, &location) < 0)
        return;
    response.location = location;
    if (is_kept(&response) && !coap_observe_is_newer(o->last, o->last_at, (uint32_t)response.observe, o->ep->now))
        o->ep->counts.duplicates++;
    else
        take(o, m, &response);
}

void coap_observation_answered(struct coap_exchange *x, const struct coap_message *m)
{
    struct coap_observation *o = x->userdata;
    struct uplink_response response;
    _cleanup_free_ char *location = NULL;
    int r = coap_response_make(m, NULL, &response, &location);

    if (!o || r < 0) {
        coap_exchange_finish(x, r, NULL);
        return;
    }
    response.location = location;
    x->done = NULL;
    coap_exchange_finish(x, 0, NULL);
    o->registering = NULL;
    take(o, m, &response);
}

void coap_observations_reconnect(struct coap_endpoint *ep)
{
    for (struct coap_exchange *x = ep->first, *next; x; x = next) {
        next = x->next;
        if (x->ask.observe == DEREGISTER)
            coap_exchange_finish(x, -ECANCELED, NULL); /* of the old session; calls nobody */
    }
    for (struct coap_observation *o = ep->observations; o; o = o->next) {
        drop_exchanges(o);
        o->established = false;
        o->failures = 0;
        o->deadline = USEC_INFINITY;
        if (start_registration(o) < 0)
            lose(o, COAP_MAX_AGE);
    }
}

void coap_observations_tick(struct coap_endpoint *ep)
{
    for (struct coap_observation *o = ep->observations; o; o = o->next) {
        if (o->registering || o->deadline > ep->now)
            continue;
        if (start_registration(o) < 0)
            lose(o, COAP_MAX_AGE);
    }
}

uint64_t coap_observations_deadline(const struct coap_endpoint *ep)
{
    uint64_t when = USEC_INFINITY;

    for (struct coap_observation *o = ep->observations; o; o = o->next)
        if (!o->registering)
            when = MIN_OF(when, o->deadline);
    return when;
}

void coap_observations_free(struct coap_endpoint *ep)
{
    while (ep->observations) {
        struct coap_observation *o = ep->observations;

        ep->observations = o->next;
        free(o);
    }
}
