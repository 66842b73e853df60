/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/ratelimit.h"

#include "base/cleanup.h"

void ratelimit_init(struct ratelimit *l, uint64_t interval, uint64_t burst)
{
    *l = (struct ratelimit){.interval = interval, .burst = burst, .tokens_us = interval};
}

static uint64_t cost(const struct ratelimit *l, uint64_t n)
{
    return (l->interval * n + l->burst - 1) / l->burst;
}

static void refill(struct ratelimit *l, uint64_t now)
{
    if (now > l->last)
        l->tokens_us = MIN_OF(l->interval, l->tokens_us + (now - l->last));
    l->last = now;
}

bool ratelimit_take(struct ratelimit *l, uint64_t now, uint64_t n)
{
    if (l->burst == 0)
        return true;
    refill(l, now);
    if (l->tokens_us < cost(l, n)) {
        l->denied++;
        return false;
    }
    l->tokens_us -= cost(l, n);
    l->denied = 0;
    return true;
}

uint64_t ratelimit_next(struct ratelimit *l, uint64_t now, uint64_t n)
{
    if (l->burst == 0)
        return now;
    refill(l, now);
    return l->tokens_us >= cost(l, n) ? now : now + (cost(l, n) - l->tokens_us);
}

void ratelimit_charge(struct ratelimit *l, uint64_t now, uint64_t n)
{
    if (l->burst == 0)
        return;
    refill(l, now);
    l->tokens_us -= MIN_OF(l->tokens_us, cost(l, n));
}

uint64_t ratelimit_tokens(struct ratelimit *l, uint64_t now)
{
    if (l->burst == 0)
        return UINT64_MAX;
    refill(l, now);
    return l->tokens_us * l->burst / l->interval;
}
