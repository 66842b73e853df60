/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "uplink/resolver.h"

#include "base/limits.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct addresses {
    struct resolver_address list[RESOLVE_ADDRESSES_MAX];
    size_t n;
};

/* One look-up: the worker's until it is done, when it finds out whether anybody still wants it. */
struct lookup {
    struct resolver *resolver; /* NULL once freed; loop thread only */
    char *host;
    char port[8];
    struct addresses found;
    char why[ERROR_TEXT_MAX / 2];
};

struct resolver {
    struct resolver *next;
    unsigned refs;
    struct workers *workers;
    char *host;
    uint16_t port;
    struct addresses known;
    size_t preferred;
    unsigned generation; /* of `known` */
    /* Places in `known` -> those in the addresses before, RESOLVE_ADDRESSES_MAX: it is new. */
    uint8_t before[RESOLVE_ADDRESSES_MAX];
    uint64_t looked_up_at;
    bool literal;
    bool asked; /* for the look-up that runs */
    struct lookup *running;
    struct resolver_wait *waiting;
    struct resolver_watch *watches;
};

static struct resolver *all; /* the loop thread's */

static_assert(RESOLVE_ADDRESSES_MAX <= 32, "a round has a bit for each");

static bool is_v6(const struct resolver_address *a)
{
    return a->any.sa_family == AF_INET6;
}

void resolver_interleave(struct resolver_address *addresses, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        struct resolver_address moved;
        size_t k = i;

        while (k < n && is_v6(&addresses[k]) == is_v6(&addresses[i - 1]))
            k++;
        if (k == n)
            return;
        moved = addresses[k];
        memmove(&addresses[i + 1], &addresses[i], (k - i) * sizeof(*addresses));
        addresses[i] = moved;
    }
}

static int look_up(const char *host, const char *port, int flags, struct addresses *ret)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = flags | AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    int r;

    r = getaddrinfo(host, port, &hints, &list);
    if (r != 0)
        return r;
    ret->n = 0;
    for (const struct addrinfo *i = list; i && ret->n < RESOLVE_ADDRESSES_MAX; i = i->ai_next) {
        struct resolver_address *a = &ret->list[ret->n];

        if ((i->ai_family != AF_INET && i->ai_family != AF_INET6) || i->ai_addrlen > sizeof(a->v6))
            continue;
        memcpy(&a->any, i->ai_addr, i->ai_addrlen);
        a->size = i->ai_addrlen;
        ret->n++;
    }
    freeaddrinfo(list);
    resolver_interleave(ret->list, ret->n);
    return ret->n > 0 ? 0 : EAI_NONAME;
}

static struct lookup *lookup_free(struct lookup *l)
{
    if (l)
        free(l->host);
    free(l);
    return NULL;
}
DEFINE_FREEP(struct lookup, lookup_free)

static int lookup_run(void *userdata)
{
    struct lookup *l = userdata;
    int r = look_up(l->host, l->port, AI_ADDRCONFIG, &l->found);

    if (r == 0)
        return 0;
    snprintf(
        l->why, sizeof(l->why),
        "cannot find the address of \"%s\" (%s): is it spelt right in the uplink's url, and does this machine's DNS answer?",
        l->host, r == EAI_SYSTEM ? strerror(errno) : gai_strerror(r));
    return r == EAI_AGAIN ? -EAGAIN : -ENOENT;
}

/* RESOLVE_ADDRESSES_MAX: nowhere. */
static size_t place_of(const struct addresses *a, const struct resolver_address *address)
{
    for (size_t i = 0; i < a->n; i++)
        if (resolver_address_equal(&a->list[i], address))
            return i;
    return RESOLVE_ADDRESSES_MAX;
}

static bool contains(const struct addresses *a, const struct resolver_address *address)
{
    return place_of(a, address) < RESOLVE_ADDRESSES_MAX;
}

/* Order is not compared: name servers rotate it, and whoever is trying one address after the other would lose his
 * place. */
static bool same_set(const struct addresses *a, const struct addresses *b)
{
    for (size_t i = 0; i < a->n; i++)
        if (!contains(b, &a->list[i]))
            return false;
    return a->n == b->n;
}

static void take_addresses(struct resolver *r, const struct addresses *found)
{
    struct resolver_address preferred;
    bool first = r->known.n == 0, asked = r->asked;

    if (!first && same_set(&r->known, found))
        return;
    preferred = r->known.list[r->preferred];
    for (size_t i = 0; i < found->n; i++)
        r->before[i] = (uint8_t)place_of(&r->known, &found->list[i]);
    r->known = *found;
    r->preferred = 0;
    r->generation++;
    if (first)
        return;
    for (size_t i = 0; i < r->known.n; i++)
        if (resolver_address_equal(&r->known.list[i], &preferred))
            r->preferred = i;
    for (struct resolver_watch *w = r->watches; w; w = w->next)
        w->changed(asked, w->userdata);
}

static void lookup_done(int result, void *userdata)
{
    _cleanup_(lookup_freep) struct lookup *l = userdata;
    struct resolver *r = l->resolver;
    struct resolver_wait *wait;

    if (!r)
        return;
    r->running = NULL;
    if (result == 0)
        take_addresses(r, &l->found);
    r->asked = false;
    /* Only those who wait now: one that is told of a failure may ask again. */
    wait = r->waiting;
    r->waiting = NULL;
    if (wait)
        wait->link = &wait;
    while (wait) {
        struct resolver_wait *w = wait;

        resolver_cancel(w);
        w->done(r->known.n > 0 ? 0 : result, l->why, w->userdata);
    }
}

static int lookup_start(struct resolver *r)
{
    _cleanup_(lookup_freep) struct lookup *l = NULL;
    int k;

    if (r->running)
        return 0;
    l = calloc(1, sizeof(*l));
    if (!l)
        return -ENOMEM;
    l->resolver = r;
    l->host = strdup(r->host);
    if (!l->host)
        return -ENOMEM;
    snprintf(l->port, sizeof(l->port), "%u", r->port);
    k = workers_submit(r->workers, lookup_run, lookup_done, l);
    if (k < 0)
        return k;
    r->running = TAKE_PTR(l);
    return 0;
}

static struct resolver *find(const struct workers *workers, const char *host, uint16_t port)
{
    struct resolver *r = all;

    while (r && (r->workers != workers || r->port != port || strcmp(r->host, host) != 0))
        r = r->next;
    return r;
}

static struct resolver *resolver_free(struct resolver *r)
{
    if (!r)
        return NULL;
    if (r->running)
        r->running->resolver = NULL;
    while (r->waiting)
        resolver_cancel(r->waiting);
    free(r->host);
    free(r);
    return NULL;
}
DEFINE_FREEP(struct resolver, resolver_free)

int resolver_get(struct workers *workers, const char *host, uint16_t port, struct resolver **ret, struct error *e)
{
    _cleanup_(resolver_freep) struct resolver *r = NULL;
    struct resolver *found = find(workers, host, port);
    char service[8];

    if (found) {
        found->refs++;
        *ret = found;
        return 0;
    }
    r = calloc(1, sizeof(*r));
    if (!r)
        return -ENOMEM;
    r->refs = 1;
    r->workers = workers;
    r->port = port;
    r->host = strdup(host);
    if (!r->host)
        return -ENOMEM;
    if (host[0] == 0 || port == 0)
        return error_set(e, -EINVAL, "the cloud's address needs a host and a port (is \"%s\", %u)", host, port);
    snprintf(service, sizeof(service), "%u", port);
    r->literal = look_up(host, service, AI_NUMERICHOST, &r->known) == 0;
    r->next = all;
    all = r;
    *ret = TAKE_PTR(r);
    return 0;
}

struct resolver *resolver_put(struct resolver *r)
{
    struct resolver **link = &all;

    if (!r || --r->refs > 0)
        return NULL;
    while (*link != r)
        link = &(*link)->next;
    *link = r->next;
    return resolver_free(r);
}

int resolver_ask(struct resolver *r, struct resolver_wait *wait)
{
    int k;

    if (r->known.n > 0)
        return 1;
    k = lookup_start(r);
    if (k < 0)
        return k;
    if (wait->link)
        return 0;
    wait->next = r->waiting;
    wait->link = &r->waiting;
    if (wait->next)
        wait->next->link = &wait->next;
    r->waiting = wait;
    return 0;
}

void resolver_cancel(struct resolver_wait *wait)
{
    if (!wait->link)
        return;
    *wait->link = wait->next;
    if (wait->next)
        wait->next->link = wait->link;
    wait->link = NULL;
}

size_t resolver_count(const struct resolver *r)
{
    return r->known.n;
}

bool resolver_has(const struct resolver *r, const struct resolver_address *address)
{
    return contains(&r->known, address);
}

static uint32_t tried(const struct resolver *r, const struct resolver_round *round)
{
    uint32_t now = 0;

    if (round->generation == r->generation)
        return round->tried;
    /* A name server that leaves addresses out in turn must not have the same ones tried for ever. */
    if (round->generation + 1 != r->generation || round->tried == 0)
        return 0;
    for (size_t i = 0; i < r->known.n; i++)
        if (r->before[i] < RESOLVE_ADDRESSES_MAX && (round->tried & UINT32_C(1) << r->before[i]))
            now |= UINT32_C(1) << i;
    return now;
}

/* The first place, from that of the preferred address on, that was not tried; r->known.n if there is none. */
static size_t untried(const struct resolver *r, const struct resolver_round *round)
{
    for (size_t i = 0; i < r->known.n; i++) {
        size_t place = (r->preferred + i) % r->known.n;

        if (!(tried(r, round) & UINT32_C(1) << place))
            return place;
    }
    return r->known.n;
}

const struct resolver_address *resolver_next(const struct resolver *r, struct resolver_round *round)
{
    size_t place = untried(r, round);

    if (place == r->known.n)
        return NULL;
    *round = (struct resolver_round){r->generation, tried(r, round) | UINT32_C(1) << place};
    return &r->known.list[place];
}

bool resolver_round_over(const struct resolver *r, const struct resolver_round *round)
{
    return untried(r, round) == r->known.n;
}

void resolver_watch_add(struct resolver *r, struct resolver_watch *watch)
{
    watch->next = r->watches;
    r->watches = watch;
}

void resolver_watch_remove(struct resolver *r, struct resolver_watch *watch)
{
    for (struct resolver_watch **w = &r->watches; *w; w = &(*w)->next)
        if (*w == watch) {
            *w = watch->next;
            return;
        }
}

void resolver_worked(struct resolver *r, const struct resolver_address *address)
{
    for (size_t i = 0; i < r->known.n; i++)
        if (resolver_address_equal(&r->known.list[i], address))
            r->preferred = i;
}

void resolver_again(struct resolver *r, uint64_t now)
{
    if (r->literal || now - r->looked_up_at < RESOLVE_INTERVAL)
        return;
    /* If no worker takes it, the next failure asks again. */
    if (lookup_start(r) == 0)
        r->looked_up_at = now;
}

void resolver_refresh(struct resolver *r, uint64_t now)
{
    if (r->literal)
        return;
    if (lookup_start(r) == 0) {
        r->looked_up_at = now;
        r->asked = true;
    }
}

bool resolver_address_equal(const struct resolver_address *a, const struct resolver_address *b)
{
    if (a->any.sa_family != b->any.sa_family)
        return false;
    if (!is_v6(a))
        return a->v4.sin_port == b->v4.sin_port && a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
    return a->v6.sin6_port == b->v6.sin6_port && a->v6.sin6_scope_id == b->v6.sin6_scope_id &&
           memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof(a->v6.sin6_addr)) == 0;
}

void resolver_address_text(const struct resolver_address *address, char ret[static RESOLVER_ADDRESS_TEXT_MAX])
{
    char host[INET6_ADDRSTRLEN] = "";

    if (is_v6(address)) {
        inet_ntop(AF_INET6, &address->v6.sin6_addr, host, sizeof(host));
        snprintf(ret, RESOLVER_ADDRESS_TEXT_MAX, "[%s]:%u", host, ntohs(address->v6.sin6_port));
    } else {
        inet_ntop(AF_INET, &address->v4.sin_addr, host, sizeof(host));
        snprintf(ret, RESOLVER_ADDRESS_TEXT_MAX, "%s:%u", host, ntohs(address->v4.sin_port));
    }
}
