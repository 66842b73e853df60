/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The host's functions, given at load, and the clock of its timers. Any thread, from load until unload. */

#include <gatehouse/plugin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

extern const struct gatehouse_host *modbus_host;

/* Whether the host is young enough to take what is counted. */
static inline bool host_counts(void)
{
    return modbus_host->size >= offsetof(struct gatehouse_host, count) + sizeof modbus_host->count;
}

static inline uint64_t monotonic_now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}
