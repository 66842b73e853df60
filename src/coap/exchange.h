/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* CoAP exchanges of one session: the client side of RFC 7252, 7641 (Observe), 7959 (block-wise) and 9175 (Echo,
 * Request-Tag) over datagrams that somebody else sends and receives.
 *
 * Pure as to I/O: an endpoint is given datagrams and times, and asks its owner to send. Every child's session has one;
 * idle it is a few hundred bytes, and nothing here looks at another endpoint. Loop thread only.
 *
 * The owner calls coap_endpoint_receive for each datagram, coap_endpoint_tick when coap_endpoint_deadline has come, and
 * arms its timer again when ops->rearm says so. `now` is CLOCK_BOOTTIME and never goes back.
 *
 * Callbacks may call everything here, coap_endpoint_free included; pointers in what they are given are valid until they
 * return. Three are excepted: ops->rearm and ops->now may call nothing, ops->send only
 * coap_endpoint_set_datagram_max.
 *
 * Failures: what is malformed, repeated or unknown is rejected as the RFCs say, counted and otherwise ignored. */

#include "base/cleanup.h"
#include "base/exchange.h"
#include "base/limits.h"
#include "coap/message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct coap_endpoint;

struct coap_endpoint_ops {
    /* Sends a datagram: 0, or -errno. -EMSGSIZE: call coap_endpoint_set_datagram_max with less first, and the request
     * is sent again in smaller blocks. Any other error is taken as a lost datagram. */
    int (*send)(void *userdata, const uint8_t *datagram, size_t n);
    /* The session looks stale: more transmissions in a row went unanswered than the loss measured on it explains. From
     * COAP_UNANSWERED_DOUBTED on those are pings, which need not wait as long as the fifth transmission of a request.
     * Once an episode. May be NULL. */
    void (*suspect)(void *userdata);
    /* After suspect: an answer did arrive, the session lives. Ends the episode. May be NULL. */
    void (*answered)(void *userdata);
    /* coap_endpoint_deadline has changed to this (USEC_INFINITY: none). May be NULL. */
    void (*rearm)(void *userdata, uint64_t deadline);
    /* CLOCK_BOOTTIME, for what is cancelled. */
    uint64_t (*now)(void *userdata);
};

struct coap_endpoint_options {
    const struct coap_endpoint_ops *ops; /* kept by reference */
    void *userdata;
    unsigned nstart;     /* outstanding messages, 1..COAP_NSTART_MAX; 0: COAP_NSTART. Requests start in their order. */
    size_t datagram_max; /* what a datagram may hold, up to COAP_DATAGRAM_LIMIT; 0: COAP_DATAGRAM_MAX */
    unsigned block_size; /* largest block, 16..1024, a power of two; 0: 1024 */
    size_t body_max;     /* of a request or response in blocks; 0: COAP_BODY_MAX */
    /* The longest time without a datagram sent, after which the peer is pinged: for NATs on the way, and to find out
     * that it is gone. Comes half to wholly so late, at random, so that many endpoints do not ping at once; requests
     * that the peer has acknowledged and holds do not put it off. The first ping comes COAP_SETTLE_AFTER a session
     * stands, if nothing else is sent meanwhile. 0 or USEC_INFINITY: never. */
    uint64_t keepalive;
    uint64_t seed; /* for tests: tokens, message ids and jitter follow from it; 0: from gnutls_rnd */
};

/* -EINVAL: an option out of its range. */
int coap_endpoint_new(const struct coap_endpoint_options *options, struct coap_endpoint **ret);
/* Every exchange ends with -ECANCELED, every observation is forgotten without a word. */
struct coap_endpoint *coap_endpoint_free(struct coap_endpoint *ep);
DEFINE_FREEP(struct coap_endpoint, coap_endpoint_free)

void coap_endpoint_receive(struct coap_endpoint *ep, uint64_t now, const uint8_t *datagram, size_t n);
/* When coap_endpoint_tick wants to be called; USEC_INFINITY: never. */
uint64_t coap_endpoint_deadline(const struct coap_endpoint *ep);
void coap_endpoint_tick(struct coap_endpoint *ep, uint64_t now);

/* The path takes less (or more) than was thought. At least COAP_DATAGRAM_MIN. */
void coap_endpoint_set_datagram_max(struct coap_endpoint *ep, size_t datagram_max);

/* There is no session to send on: nothing is sent and no exchange runs out until coap_endpoint_reconnected. An endpoint
 * begins connected; one made before its session stands is disconnected first. */
void coap_endpoint_disconnected(struct coap_endpoint *ep, uint64_t now);
/* A new session stands, and all further datagrams are its: unanswered confirmable requests are sent again, with a new
 * message id and the same payload (block-wise ones from the first block), observations are registered again. */
void coap_endpoint_reconnected(struct coap_endpoint *ep, uint64_t now);
/* Why the session is about to be replaced: COAP_END_OTHER unless this was called since. What was alone under way is
 * given back after as many ends as its request says: -ETIMEDOUT, or -ECONNABORTED if the server ended the session. */
enum coap_end { COAP_END_OTHER, COAP_END_SILENT, COAP_END_HUNG_UP };
void coap_endpoint_ends(struct coap_endpoint *ep, enum coap_end end);
/* Whether a request is under way whose doing the end of a session may be. */
bool coap_endpoint_asks(const struct coap_endpoint *ep);
/* The bound of a datagram on a path that loses larger ones; 0: none. */
size_t coap_endpoint_path_bound(const struct coap_endpoint *ep);
/* Between ops->suspect and the answer, or coap_endpoint_reconnected. */
bool coap_endpoint_stale(const struct coap_endpoint *ep);

/* Queues a request, and sends it at once if it may. Waiting its turn are at most COAP_EXCHANGES_MAX.
 *
 * After 4.29 or 5.03 no further request starts before its Max-Age has passed (COAP_HOLD_MAX at most); the response is
 * delivered all the same. A 4.01 with Echo is answered here. ret_call (may be NULL) is valid until done is called.
 * -EINVAL, -EMSGSIZE (over body_max), -ENOBUFS, -ENOMEM: not queued, done is not called. -ECANCELED: the endpoint is
 * being freed. */
int coap_request(struct coap_endpoint *ep, uint64_t now, const struct uplink_request *request, uplink_done done,
                 void *userdata, struct uplink_call **ret_call);

/* A ping that waits for nothing under way, for an owner who was told `suspect` and is about to leave this session:
 * another chance for it to answer, repeated as any ping; answered, what is out is sent again at once. A request has
 * this once: a server that answers pings but never the request keeps the session no longer. Nothing if there is no
 * session, or no message id to be had. */
void coap_endpoint_ping_in_doubt(struct coap_endpoint *ep, uint64_t now);

/* CoAP ping: an empty confirmable message, answered by RST (r is 0 then, without a response). Held up by nothing but
 * nstart. */
int coap_ping(struct coap_endpoint *ep, uint64_t now, uplink_done done, void *userdata, struct uplink_call **ret_call);

/* Observes a resource until the subscription is cancelled: out-of-order notifications are left out, the registration is
 * renewed when Max-Age has passed without one and after coap_endpoint_reconnected, and tried again when it failed,
 * after its Max-Age with backoff to COAP_OBSERVE_RETRY_MAX. */
int coap_observe(struct coap_endpoint *ep, uint64_t now, const char *path, int accept, uplink_notification notify,
                 void *userdata, struct uplink_subscription **ret);

struct coap_statistics {
    uint64_t sent, received; /* datagrams */
    uint64_t retransmitted;
    uint64_t duplicates; /* received again, or notifications out of order */
    uint64_t malformed;
    uint64_t unknown_token; /* responses that nobody waits for */
    uint64_t rejected;      /* requests, unknown critical options and codes */
    uint64_t rtt;           /* smoothed; 0: not yet measured */
    uint64_t rto;
    uint32_t loss_permille; /* of transmissions, there and back */
    unsigned exchanges;     /* not yet ended */
};
void coap_endpoint_statistics(const struct coap_endpoint *ep, struct coap_statistics *ret);
