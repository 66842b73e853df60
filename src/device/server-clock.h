/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A server's clock against CLOCK_BOOTTIME, from its answers to the request for its time. An answer was
 * written between question and arrival: it is taken for the middle (as in SNTP, RFC 4330 section 5), so it is wrong by
 * half a round trip at most, and of several that of the shortest counts. Pure; all in microseconds. */

#include <stdint.h>

/* Zeroed: nothing is known. */
struct server_clock {
    unsigned answers;    /* since the last that was settled */
    int64_t offset;      /* the best: CLOCK_REALTIME less CLOCK_BOOTTIME, as the server has it */
    uint64_t round_trip; /* ... and what its question took */
};

enum server_clock_verdict {
    SERVER_CLOCK_SETTLED,     /* `offset` is as good as it gets */
    SERVER_CLOCK_MORE,        /* another question may bring a better one */
    SERVER_CLOCK_IMPLAUSIBLE, /* `time` is not from SERVER_TIME_MIN to SERVER_TIME_MAX: the answer is left out */
    SERVER_CLOCK_SLOW,        /* it took longer than SERVER_TIME_WORST: left out */
};

/* `asked`, `now`: when question and answer went and came, CLOCK_BOOTTIME. `time`: what it says, since 1970. */
enum server_clock_verdict server_clock_take(struct server_clock *c, uint64_t asked, uint64_t now, uint64_t time);
