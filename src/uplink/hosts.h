/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The hosts of an uplink: the order in which a session tries them, and a broker's word of another one. Pure.
 *
 * The first is always tried first, unless nobody was found there a moment ago: then it comes after those of which that
 * is not known. What was found is shared by all sessions of an uplink, so that ten thousand do not each wait for a host
 * that is away. */

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct host_name {
    char name[CONFIG_HOST_MAX]; /* as getaddrinfo() takes it */
    uint16_t port;
};

/* When nobody was found at each, CLOCK_BOOTTIME; 0: somebody was. All zero to begin with. */
struct hosts_away {
    uint64_t since[UPLINK_HOSTS_MAX];
};

/* Hosts that a session has tried since it last stood, or since all were tried. All zero begins a round. */
struct hosts_round {
    uint32_t tried; /* bits */
    bool answered;  /* not all of them were silent, as far as is known */
};

/* The next of `n` hosts, counted as tried; only while the round is not over. */
size_t hosts_next(const struct hosts_away *away, size_t n, struct hosts_round *round, uint64_t now);
bool hosts_round_over(const struct hosts_round *round, size_t n);
void hosts_found(struct hosts_away *away, size_t host, bool somebody, uint64_t now);

/* The first usable host of a Server Reference: HOST or HOST:PORT, an IPv6 address in brackets, several with spaces or
 * commas between them. Without a port it is `port`. -EINVAL: there is none. */
int hosts_reference(const char *text, uint16_t port, struct host_name *ret);
/* "host:port", "[2001:db8::1]:port". */
#define HOST_TEXT_MAX (CONFIG_HOST_MAX + 8)
void hosts_text(const struct host_name *host, char ret[static HOST_TEXT_MAX]);
