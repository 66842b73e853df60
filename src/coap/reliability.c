/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "coap/reliability.h"

#include "base/cleanup.h"

#include <gnutls/crypto.h>
#include <stdlib.h>
#include <string.h>

#define SHARE_ONE 65536u
#define LOSS_GAIN 32
/* The shares p below which p^2, p^3, ... p^6 are less than 0.02: 0.1414, 0.2714, 0.3761, 0.4573, 0.5210. */
static const uint32_t tolerates[] = {9268, 17788, 24645, 29970, 34144};

/* splitmix64 */
static uint64_t next_seeded(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

void coap_random_bytes(struct coap_random *r, void *buf, size_t n)
{
    uint8_t *p = buf;

    if (r->state == 0) {
        /* Fails only if the kernel has no randomness for us; guessable tokens would be worse than no agent. */
        if (gnutls_rnd(GNUTLS_RND_NONCE, buf, n) < 0)
            abort();
        return;
    }
    while (n > 0) {
        uint64_t z = next_seeded(&r->state);
        size_t part = MIN_OF(n, sizeof(z));

        memcpy(p, &z, part);
        p += part;
        n -= part;
    }
}

uint64_t coap_random_upto(struct coap_random *r, uint64_t range)
{
    uint64_t z;

    coap_random_bytes(r, &z, sizeof(z));
    return range == UINT64_MAX ? z : z % (range + 1);
}

void coap_rtt_init(struct coap_rtt *t)
{
    *t = (struct coap_rtt){.rto = COAP_ACK_TIMEOUT};
}

static uint32_t bounded(uint64_t rto)
{
    return (uint32_t)MIN_OF(MAX_OF(rto, COAP_RTO_MIN), COAP_RTO_MAX);
}

void coap_rtt_sample(struct coap_rtt *t, uint64_t round_trip)
{
    /* Beyond the longest timeout a sample could not be one; 0 would mean "not yet measured". */
    uint32_t sample = (uint32_t)MAX_OF(MIN_OF(round_trip, 2 * COAP_RTO_MAX), UINT64_C(1));

    if (t->srtt == 0) {
        t->srtt = sample;
        t->rttvar = sample / 2;
    } else {
        uint32_t error = sample > t->srtt ? sample - t->srtt : t->srtt - sample;

        t->rttvar = t->rttvar - t->rttvar / 4 + error / 4;
        t->srtt = MAX_OF(t->srtt - t->srtt / 8 + sample / 8, 1u);
    }
    t->rto = bounded((uint64_t)t->srtt + 4 * (uint64_t)t->rttvar);
}

void coap_rtt_weak_sample(struct coap_rtt *t, uint64_t at_most)
{
    /* The result of a first sample: R + R/2. */
    uint64_t weak = MIN_OF(at_most, 2 * COAP_RTO_MAX) * 3 / 2;

    t->rto = bounded((uint64_t)t->rto * 3 / 4 + weak / 4);
}

uint64_t coap_rtt_timeout(const struct coap_rtt *t, struct coap_random *r)
{
    return t->rto + coap_random_upto(r, t->rto / 2);
}

uint64_t coap_rtt_next_timeout(uint64_t timeout)
{
    return MIN_OF(timeout * 2, COAP_RTO_MAX + COAP_RTO_MAX / 2);
}

void coap_loss_answered(struct coap_loss *l, unsigned transmissions)
{
    for (unsigned i = 1; i < transmissions; i++)
        l->share += (SHARE_ONE - l->share) / LOSS_GAIN;
    l->share -= l->share / LOSS_GAIN;
}

void coap_loss_lost(struct coap_loss *l, unsigned transmissions)
{
    for (unsigned i = 0; i < transmissions; i++)
        l->share += (SHARE_ONE - l->share) / LOSS_GAIN;
}

unsigned coap_loss_tolerated(const struct coap_loss *l)
{
    unsigned k = 2;

    while (k - 2 < ELEMENTSOF(tolerates) && l->share >= tolerates[k - 2])
        k++;
    return k;
}

void coap_mids_init(struct coap_mids *m, struct coap_random *r)
{
    ratelimit_init(&m->limit, USEC_PER_SEC, COAP_MIDS_PER_SEC);
    coap_random_bytes(r, &m->next, sizeof(m->next));
}

bool coap_mids_take(struct coap_mids *m, uint64_t now, uint16_t *ret_mid)
{
    if (!ratelimit_take(&m->limit, now, 1))
        return false;
    *ret_mid = m->next++;
    return true;
}

uint64_t coap_mids_when(struct coap_mids *m, uint64_t now)
{
    return ratelimit_next(&m->limit, now, 1);
}
