/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "uplink/backoff.h"

#include "base/cleanup.h"
#include "base/limits.h"

#include <gnutls/crypto.h>

#define DOUBLINGS_MAX 30

static uint64_t random_number(void)
{
    uint64_t n = 0;

    /* Without random numbers the waits are the shortest: no jitter, but no stop either. */
    (void)gnutls_rnd(GNUTLS_RND_NONCE, &n, sizeof(n));
    return n;
}

uint64_t backoff_delay(unsigned failures, uint64_t max, uint64_t random)
{
    unsigned doublings = MIN_OF(failures, (unsigned)DOUBLINGS_MAX);
    uint64_t cap = MIN_OF(max, BACKOFF_MIN << doublings);

    return cap <= BACKOFF_MIN ? BACKOFF_MIN : BACKOFF_MIN + random % (cap - BACKOFF_MIN + 1);
}

uint64_t backoff_failed(struct backoff *b, bool refused)
{
    if (b->failures < DOUBLINGS_MAX)
        b->failures++;
    return backoff_delay(b->failures, refused ? BACKOFF_REFUSED_MAX : BACKOFF_MAX, random_number());
}

void backoff_reset(struct backoff *b)
{
    b->failures = 0;
}

uint64_t backoff_spread(uint64_t span)
{
    return span == 0 ? 0 : random_number() % span;
}
