/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A token bucket. Embedded; pure: the caller gives the time (CLOCK_BOOTTIME, microseconds). */

#include <stdbool.h>
#include <stdint.h>

struct ratelimit {
    uint64_t interval; /* in which `burst` tokens flow in; 0 with burst 0: unlimited */
    uint64_t burst;
    uint64_t tokens_us; /* tokens, each worth interval / burst microseconds */
    uint64_t last;
    uint64_t denied; /* since the last take that was granted */
};

void ratelimit_init(struct ratelimit *l, uint64_t interval, uint64_t burst);
/* Takes n tokens if they are there. */
bool ratelimit_take(struct ratelimit *l, uint64_t now, uint64_t n);
/* When n tokens will be there (now, if they are). */
uint64_t ratelimit_next(struct ratelimit *l, uint64_t now, uint64_t n);
/* Takes n tokens, or all if there are fewer. */
void ratelimit_charge(struct ratelimit *l, uint64_t now, uint64_t n);
/* How many there are. */
uint64_t ratelimit_tokens(struct ratelimit *l, uint64_t now);
