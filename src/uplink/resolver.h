/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One cloud endpoint's addresses, shared by all children, of however many uplinks: one look-up serves ten thousand
 * sessions.
 *
 * Literal addresses are taken at once, names on a worker thread (getaddrinfo may block for many seconds). Addresses are
 * in the order of RFC 8305 section 4 (that of RFC 6724, families alternating); the one that last worked is first in
 * turn. After every attempt that did not succeed the name is looked up again, whatever answered there: a portal,
 * another server, a cloud without our key. The old addresses stay in use meanwhile, and keep their order if the name
 * still has the same. Loop thread only. */

#include "base/cleanup.h"
#include "base/error.h"
#include "base/worker.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct resolver;

struct resolver_address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    };
    socklen_t size;
};
#define RESOLVER_ADDRESS_TEXT_MAX 64

/* Embedded in what waits for addresses. */
struct resolver_wait {
    struct resolver_wait *next, **link; /* link is NULL while not waiting */
    /* r is 0, or negative with `why` in words. */
    void (*done)(int r, const char *why, void *userdata);
    void *userdata;
};

/* That of this host and port which looks up on these workers, made if nobody has it yet. -EINVAL, -ENOMEM. */
int resolver_get(struct workers *workers, const char *host, uint16_t port, struct resolver **ret, struct error *e);
/* Gives it back: nothing is called any more. The last one frees it; a look-up under way ends by itself. */
struct resolver *resolver_put(struct resolver *r);
DEFINE_FREEP(struct resolver, resolver_put)

/* 1: addresses are known, nothing will be called. 0: `done` will be called. Negative errno otherwise. */
int resolver_ask(struct resolver *r, struct resolver_wait *wait);
void resolver_cancel(struct resolver_wait *wait);

size_t resolver_count(const struct resolver *r);
bool resolver_has(const struct resolver *r, const struct resolver_address *address);
/* The address that worked. */
void resolver_worked(struct resolver *r, const struct resolver_address *address);
/* Looks the name up again, at least RESOLVE_INTERVAL after the last time. `now`: CLOCK_BOOTTIME. */
void resolver_again(struct resolver *r, uint64_t now);
/* Looks it up at once: somebody asks for it. Watchers hear of new addresses with `asked`. */
void resolver_refresh(struct resolver *r, uint64_t now);

/* The addresses that one session has tried, so that it tries each before it begins anew. All zero begins a round. When
 * the set of addresses changes, those that stay count as tried. Embedded. */
struct resolver_round {
    unsigned generation;
    uint32_t tried; /* bits, by place in the list */
};
/* The next address of the round, counted as tried; the one that worked last comes first. NULL: none is left. */
const struct resolver_address *resolver_next(const struct resolver *r, struct resolver_round *round);
bool resolver_round_over(const struct resolver *r, const struct resolver_round *round);

/* Hears that the name has other addresses than before. `asked`: the look-up was asked for. Embedded. */
struct resolver_watch {
    struct resolver_watch *next;
    void (*changed)(bool asked, void *userdata);
    void *userdata;
};
void resolver_watch_add(struct resolver *r, struct resolver_watch *watch);
void resolver_watch_remove(struct resolver *r, struct resolver_watch *watch);

bool resolver_address_equal(const struct resolver_address *a, const struct resolver_address *b);
/* "192.0.2.1:5684", "[2001:db8::1]:5684". */
void resolver_address_text(const struct resolver_address *address, char ret[static RESOLVER_ADDRESS_TEXT_MAX]);
/* RFC 8305 section 4, in place: families alternate, beginning with that of the first address. */
void resolver_interleave(struct resolver_address *addresses, size_t n);
