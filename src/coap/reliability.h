/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The arithmetic behind CoAP's reliability: retransmission timeouts from measured round trips, loss, message ids, and
 * the randomness of all three. Embedded structs, pure except for gnutls_rnd; loop thread. */

#include "base/limits.h"
#include "base/ratelimit.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* gnutls_rnd, one source for all children; or, for tests, what follows from a seed. */
struct coap_random {
    uint64_t state; /* 0: gnutls_rnd */
};
void coap_random_bytes(struct coap_random *r, void *buf, size_t n);
/* Evenly spread over 0..range (a jitter: its bias of less than range / 2^64 does not matter). */
uint64_t coap_random_upto(struct coap_random *r, uint64_t range);

/* RFC 6298 with RFC 7252's bounds, in microseconds. Only round trips of messages sent once are samples (Karn). Of one
 * that was sent again the time since its first transmission is known, which is too long if that was lost and right if
 * it was slow: a weak sample, of which the timeout takes a quarter over. So it grows on a slow path, and on one that
 * loses datagrams it does not grow from loss to loss, as it would if the doubled timeout stayed. */
struct coap_rtt {
    uint32_t srtt; /* 0: not yet measured */
    uint32_t rttvar;
    uint32_t rto;
};
void coap_rtt_init(struct coap_rtt *t);
void coap_rtt_sample(struct coap_rtt *t, uint64_t round_trip);
/* A message that was sent more than once was answered, so long after its first transmission. */
void coap_rtt_weak_sample(struct coap_rtt *t, uint64_t at_most);
/* How long to wait for the answer to a first transmission: RTO times 1 to 1.5. */
uint64_t coap_rtt_timeout(const struct coap_rtt *t, struct coap_random *r);
/* How long after the next, having waited `timeout`. */
uint64_t coap_rtt_next_timeout(uint64_t timeout);

/* The share of transmissions lost, there or back, among messages that were answered in the end: those of a session that
 * died are not loss. Moving average over about 32 transmissions. */
struct coap_loss {
    uint32_t share; /* of 2^16 */
};
/* A message was answered after so many transmissions (at least 1). */
void coap_loss_answered(struct coap_loss *l, unsigned transmissions);
/* So many transmissions were lost of a message that will be answered yet. */
void coap_loss_lost(struct coap_loss *l, unsigned transmissions);
/* How many unanswered transmissions in a row the loss explains with less than 2 %: 2 to 6, or 7 whatever the loss. */
unsigned coap_loss_tolerated(const struct coap_loss *l);

/* Message ids, rising from a random one, at most COAP_MIDS_PER_SEC: 2^16 of them take longer than
 * COAP_EXCHANGE_LIFETIME, so none comes again within it. */
struct coap_mids {
    struct ratelimit limit;
    uint16_t next;
};
void coap_mids_init(struct coap_mids *m, struct coap_random *r);
bool coap_mids_take(struct coap_mids *m, uint64_t now, uint16_t *ret_mid);
/* When the next can be had (now, if it can). */
uint64_t coap_mids_when(struct coap_mids *m, uint64_t now);
