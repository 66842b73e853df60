/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/callers.h"

#include "base/limits.h"
#include "base/map.h"
#include "base/ratelimit.h"

#include <stdlib.h>
#include <string.h>

/* All connections of one user. */
struct user {
    struct user *next;
    uid_t uid;
    size_t connections;
    uint64_t unread;
    uint64_t swept; /* when its connections were forgiven last */
    struct ratelimit rate;
};

struct caller {
    struct map_node by_name;
    char *name;
    struct user *user; /* NULL: not known */
    uint64_t unread;   /* sent, and not known to be read */
    uint64_t charged;  /* of it, since the last ping was sent */
    uint64_t forgiven; /* when it was forgiven some of it last */
    uint64_t refused;  /* when it was told so last; 0: never */
    uint64_t pinged;   /* when, and has not answered; 0: not */
};

struct callers {
    uid_t own;
    struct map map;
    struct user *users;
};

struct callers *callers_new(uid_t own)
{
    struct callers *c = calloc(1, sizeof(*c));

    if (c)
        c->own = own;
    return c;
}

static void user_put(struct callers *c, struct user *u)
{
    struct user **link = &c->users;

    if (--u->connections > 0)
        return;
    while (*link != u)
        link = &(*link)->next;
    *link = u->next;
    free(u);
}

static void drop(struct callers *c, struct caller *one)
{
    map_remove(&c->map, &one->by_name);
    if (one->user) {
        one->user->unread -= one->unread;
        user_put(c, one->user);
    }
    free(one->name);
    free(one);
}

struct callers *callers_free(struct callers *c)
{
    struct map_node *node;

    if (!c)
        return NULL;
    while ((node = map_next(&c->map, NULL)))
        drop(c, MAP_ENTRY(node, struct caller, by_name));
    map_done(&c->map);
    free(c);
    return NULL;
}

static int has_name(const struct map_node *node, const void *name)
{
    return strcmp(MAP_ENTRY(node, const struct caller, by_name)->name, name) == 0;
}

struct caller *callers_find(struct callers *c, const char *name)
{
    struct map_node *node = map_find(&c->map, map_hash_text(name), has_name, name);

    return node ? MAP_ENTRY(node, struct caller, by_name) : NULL;
}

struct caller *callers_get(struct callers *c, const char *name)
{
    struct caller *one = callers_find(c, name);

    if (one)
        return one;
    one = c->map.count < CALLERS_MAX ? calloc(1, sizeof(*one)) : NULL;
    if (!one)
        return NULL;
    one->name = strdup(name);
    if (!one->name || map_insert(&c->map, &one->by_name, map_hash_text(name)) < 0) {
        free(one->name);
        free(one);
        return NULL;
    }
    return one;
}

void callers_gone(struct callers *c, const char *name)
{
    struct caller *one = callers_find(c, name);

    if (one)
        drop(c, one);
}

/* ── What was read ── */

static void read_off(struct caller *one, uint64_t bytes)
{
    bytes = MIN_OF(bytes, one->unread);
    one->unread -= bytes;
    if (one->user)
        one->user->unread -= bytes;
}

static void forgive(struct caller *one, uint64_t now)
{
    uint64_t seconds = (now - one->forgiven) / USEC_PER_SEC;

    if (one->forgiven == 0) {
        one->forgiven = now;
        return;
    }
    one->forgiven += seconds * USEC_PER_SEC;
    read_off(one, seconds * CALLERS_FORGIVEN_PER_SEC);
}

void callers_uid_known(struct callers *c, struct caller *one, uid_t uid)
{
    struct user *u = c->users;

    if (one->user)
        return;
    while (u && u->uid != uid)
        u = u->next;
    if (!u) {
        u = calloc(1, sizeof(*u));
        if (!u)
            return;
        *u = (struct user){.next = c->users, .uid = uid};
        ratelimit_init(&u->rate, CALLERS_USER_BURST / CALLERS_USER_PER_SEC * USEC_PER_SEC, CALLERS_USER_BURST);
        c->users = u;
    }
    u->connections++;
    u->unread += one->unread;
    one->user = u;
}

bool callers_wants_ping(const struct caller *one, uint64_t now)
{
    return one->charged >= CALLERS_PING_EVERY && (one->pinged == 0 || now >= one->pinged + CALLERS_PING_AGAIN);
}

void callers_pinged(struct caller *one, uint64_t now)
{
    one->pinged = now;
    one->charged = 0;
}

void callers_ponged(struct callers *c, struct caller *one)
{
    if (one->pinged == 0)
        return;
    one->pinged = 0;
    read_off(one, one->unread - MIN_OF(one->unread, one->charged));
}

uint64_t callers_unread(const struct caller *one)
{
    return one->unread;
}

/* ── Judging ── */

static bool trusted(const struct callers *c, const struct caller *one)
{
    return one->user && (one->user->uid == 0 || one->user->uid == c->own);
}

/* Those of its connections that ask for nothing any more are forgiven too. */
static void sweep(struct callers *c, struct user *u, uint64_t now)
{
    if (now < u->swept + CALLERS_TOLD_EVERY)
        return;
    u->swept = now;
    for (struct map_node *node = map_next(&c->map, NULL); node; node = map_next(&c->map, node)) {
        struct caller *one = MAP_ENTRY(node, struct caller, by_name);

        if (one->user == u)
            forgive(one, now);
    }
}

static bool user_allows(struct callers *c, struct user *u, uint64_t cost, uint64_t now)
{
    if (u->unread >= CALLERS_USER_UNREAD_MAX)
        sweep(c, u, now);
    /* One answer may be larger than all that is left: nobody could have it otherwise. */
    return u->unread < CALLERS_USER_UNREAD_MAX && ratelimit_take(&u->rate, now, MIN_OF(cost, CALLERS_USER_BURST));
}

static enum callers_verdict refuse(struct caller *one, uint64_t now)
{
    if (one->refused != 0 && now < one->refused + CALLERS_TOLD_EVERY)
        return CALLERS_DROP;
    one->refused = now;
    return CALLERS_REFUSE;
}

enum callers_verdict callers_judge(struct callers *c, struct caller *one, uint64_t cost, uint64_t now)
{
    forgive(one, now);
    if (!one->user && one->unread + cost > CALLERS_UNKNOWN_MAX)
        return CALLERS_ASK_UID;
    if (one->unread >= CALLERS_UNREAD_MAX)
        return refuse(one, now);
    if (one->user && !trusted(c, one) && !user_allows(c, one->user, cost, now))
        return refuse(one, now);
    if (one->user)
        one->user->unread += cost;
    one->unread += cost;
    one->charged += cost;
    return CALLERS_CARRY_OUT;
}
