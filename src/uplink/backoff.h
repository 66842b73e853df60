/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How long a session waits after a failed attempt: full jitter over a span that doubles, so that many gateways which
 * lost their cloud at one moment do not come back at one moment. Embedded; pure except for the random number. */

#include <stdbool.h>
#include <stdint.h>

struct backoff {
    unsigned failures; /* in a row */
};

/* The wait after the n-th failure in a row: between BACKOFF_MIN and twice that, four times that … at most `max`. */
uint64_t backoff_delay(unsigned failures, uint64_t max, uint64_t random);

/* Counts a failure and draws the wait: at most BACKOFF_MAX, or BACKOFF_REFUSED_MAX where the server refused us. */
uint64_t backoff_failed(struct backoff *b, bool refused);
void backoff_reset(struct backoff *b);

/* A uniform random wait below `span` (0 for 0). */
uint64_t backoff_spread(uint64_t span);
