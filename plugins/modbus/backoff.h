/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How long to leave a failing thing alone: doubling from BACKOFF_MIN to at most BACKOFF_MAX, with jitter, so that what
 * failed together does not come back together. Embedded, zero at start; not shared between threads. */

#include "modbus-limits.h"

#include <stdint.h>
#include <sys/random.h>

struct backoff {
    uint64_t delay; /* the last one, without its jitter; 0 after a success */
};

/* The next delay: 1 s, 2 s, 4 s … up to `most`, and up to a quarter more. */
static inline uint64_t backoff_next_up_to(struct backoff *b, uint64_t most)
{
    uint32_t random = 0;

    b->delay = b->delay == 0 ? BACKOFF_MIN : b->delay * 2;
    if (b->delay > most)
        b->delay = most;
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) != (ssize_t)sizeof random)
        random = 0;
    return b->delay + b->delay / 4 * random / UINT32_MAX;
}

static inline uint64_t backoff_next(struct backoff *b)
{
    return backoff_next_up_to(b, BACKOFF_MAX);
}
