/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/callers.h"

#include "base/limits.h"
#include "bus/outline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REFILL_LEAST 20 /* microseconds of the processor for each: not in smaller portions */

struct callers {
    struct map names, questions;
    struct caller_user *users;
    size_t n_users;
    uint64_t refilled;
    uint64_t turn; /* `used` of who was served last */
};

struct callers *callers_new(void)
{
    return calloc(1, sizeof(struct callers));
}

static void drop(struct callers *c, struct caller *one)
{
    map_remove(&c->names, &one->by_name);
    if (one->question)
        map_remove(&c->questions, &one->by_question);
    if (one->user) {
        one->user->unread -= one->unread;
        one->user->connections--;
    }
    free(one->name);
    free(one);
}

struct callers *callers_free(struct callers *c)
{
    if (!c)
        return NULL;
    for (struct map_node *node = map_next(&c->names, NULL), *next; node; node = next) {
        next = map_next(&c->names, node);
        drop(c, MAP_ENTRY(node, struct caller, by_name));
    }
    while (c->users) {
        struct caller_user *u = c->users;

        c->users = u->next;
        free(u);
    }
    map_done(&c->names);
    map_done(&c->questions);
    free(c);
    return NULL;
}

static int has_name(const struct map_node *node, const void *name)
{
    return strcmp(MAP_ENTRY(node, const struct caller, by_name)->name, name) == 0;
}

struct caller *callers_find(struct callers *c, const char *name)
{
    struct map_node *node = map_find(&c->names, map_hash_text(name), has_name, name);

    return node ? MAP_ENTRY(node, struct caller, by_name) : NULL;
}

struct caller *callers_get(struct callers *c, const char *name)
{
    struct caller *one = callers_find(c, name);

    if (one)
        return one;
    one = c->names.count < CALLERS_MAX ? calloc(1, sizeof(*one)) : NULL;
    if (!one)
        return NULL;
    TAILQ_INIT(&one->waiting);
    one->name = strdup(name);
    if (!one->name || map_insert(&c->names, &one->by_name, map_hash_text(name)) < 0) {
        free(one->name);
        free(one);
        return NULL;
    }
    return one;
}

void callers_gone(struct callers *c, struct caller *one)
{
    drop(c, one);
}

struct caller *callers_next(struct callers *c, struct caller *previous)
{
    struct map_node *node = map_next(&c->names, previous ? &previous->by_name : NULL);

    return node ? MAP_ENTRY(node, struct caller, by_name) : NULL;
}

struct caller_user *callers_first_user(struct callers *c)
{
    return c->users;
}

/* ── Whose it is ── */

static int has_question(const struct map_node *node, const void *serial)
{
    return MAP_ENTRY(node, const struct caller, by_question)->question == *(const uint32_t *)serial;
}

int callers_asked(struct callers *c, struct caller *one, uint32_t serial)
{
    int r = map_insert(&c->questions, &one->by_question, map_hash_combine(0, serial));

    if (r >= 0)
        one->question = serial;
    return r;
}

struct caller *callers_by_question(struct callers *c, uint32_t serial)
{
    struct map_node *node = map_find(&c->questions, map_hash_combine(0, serial), has_question, &serial);

    return node ? MAP_ENTRY(node, struct caller, by_question) : NULL;
}

static bool hungry(const struct caller_user *u)
{
    return !u->unbounded && u->left < (int64_t)CALLERS_CPU_BURST;
}

/* Shares the time since the last refill among the users that can take it; returns how many those are. */
static size_t refill(struct callers *c, uint64_t now)
{
    uint64_t passed = now - MIN_OF(now, c->refilled), share;
    size_t n = 0;

    for (const struct caller_user *u = c->users; u; u = u->next)
        n += hungry(u);
    share = n > 0 ? MIN_OF(passed, USEC_PER_DAY) * CALLERS_CPU_PERCENT / 100 / n : 0;
    if (n == 0 || share >= REFILL_LEAST)
        c->refilled = now;
    for (struct caller_user *u = share >= REFILL_LEAST ? c->users : NULL; u; u = u->next)
        if (hungry(u))
            u->left = MIN_OF((int64_t)CALLERS_CPU_BURST, u->left + (int64_t)share);
    return n;
}

/* Nothing is known of it that a new one would not bring. */
static bool forgettable(struct caller_user *u, uint64_t now)
{
    return u->connections == 0 && u->busy == 0 && u->asked == 0 && TAILQ_EMPTY(&u->waiting) && !hungry(u) &&
           ratelimit_tokens(&u->bytes, now) == CALLERS_USER_BURST;
}

static void forget_users(struct callers *c, uint64_t now)
{
    for (struct caller_user **link = &c->users; *link;) {
        struct caller_user *u = *link;

        if (!forgettable(u, now)) {
            link = &u->next;
            continue;
        }
        *link = u->next;
        free(u);
        c->n_users--;
    }
}

static struct caller_user *user_new(struct callers *c, uid_t uid, uint64_t now)
{
    struct caller_user *u;

    refill(c, now);
    if (c->n_users >= CALLERS_USERS_MAX)
        forget_users(c, now);
    u = c->n_users < CALLERS_USERS_MAX ? calloc(1, sizeof(*u)) : NULL;
    if (!u)
        return NULL;
    *u = (struct caller_user){
        .next = c->users, .uid = uid, .unbounded = uid == 0, .left = (int64_t)CALLERS_CPU_BURST, .used = c->turn};
    ratelimit_init(&u->bytes, CALLERS_USER_BURST / CALLERS_USER_PER_SEC * USEC_PER_SEC, CALLERS_USER_BURST);
    ratelimit_init(&u->told, USEC_PER_SEC, CALLERS_TOLD_PER_SEC);
    TAILQ_INIT(&u->waiting);
    c->users = u;
    c->n_users++;
    return u;
}

int callers_uid_known(struct callers *c, struct caller *one, uid_t uid, uint64_t now)
{
    struct caller_user *u = c->users;

    if (one->question)
        map_remove(&c->questions, &one->by_question);
    one->question = 0;
    if (one->user)
        return 0;
    while (u && u->uid != uid)
        u = u->next;
    if (!u)
        u = user_new(c, uid, now);
    if (!u)
        return -ENOBUFS;
    if (!u->unbounded && u->connections >= CALLERS_USER_MAX)
        return -ENOBUFS;
    u->connections++;
    u->unread += one->unread;
    one->user = u;
    return 0;
}

/* ── The processor ── */

bool callers_heard(const struct caller *one, uint8_t type)
{
    return (type != OUTLINE_RETURN && type != OUTLINE_ERROR) || one->user->uid == 0 || one->user->uid == geteuid() ||
           one->believed;
}

bool callers_may(struct callers *c, const struct caller_user *u, uint64_t now)
{
    refill(c, now);
    return u->unbounded || (u->busy == 0 && u->left > 0);
}

uint64_t callers_due(struct callers *c, const struct caller_user *u, uint64_t now)
{
    size_t n = refill(c, now);

    if (u->busy > 0 && !u->unbounded)
        return USEC_INFINITY;
    if (u->unbounded || u->left > 0)
        return now;
    return now + (uint64_t)(REFILL_LEAST - u->left) * 100 * n / CALLERS_CPU_PERCENT;
}

static int rank(const struct caller_user *u)
{
    return u->unbounded ? 2 : u->uid == geteuid();
}

bool callers_before(const struct caller_user *a, const struct caller_user *b)
{
    return rank(a) != rank(b) ? rank(a) > rank(b) : a->used < b->used;
}

void callers_wakes(struct callers *c, struct caller_user *u)
{
    u->used = MAX_OF(u->used, c->turn);
}

void callers_spent(struct callers *c, struct caller_user *u, uint64_t usec, uint64_t now)
{
    refill(c, now);
    c->turn = MAX_OF(c->turn, u->used);
    u->used += usec;
    if (!u->unbounded)
        u->left -= (int64_t)MIN_OF(usec, USEC_PER_MINUTE);
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

bool callers_wants_ping(const struct caller *one, uint64_t now)
{
    return one->charged >= CALLERS_PING_EVERY && (one->pinged == 0 || now >= one->pinged + CALLERS_PING_AGAIN);
}

void callers_pinged(struct caller *one, uint64_t now)
{
    one->pinged = now;
    one->charged = 0;
}

void callers_ponged(struct caller *one)
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

/* Those of its connections that ask for nothing any more are forgiven too. */
static void sweep(struct callers *c, struct caller_user *u, uint64_t now)
{
    if (now < u->swept + CALLERS_TOLD_EVERY)
        return;
    u->swept = now;
    for (struct caller *one = callers_next(c, NULL); one; one = callers_next(c, one))
        if (one->user == u)
            forgive(one, now);
}

static bool user_allows(struct callers *c, struct caller_user *u, uint64_t cost, uint64_t now)
{
    if (u->unbounded)
        return true;
    if (u->unread >= CALLERS_USER_UNREAD_MAX)
        sweep(c, u, now);
    /* One answer may be larger than all that is left: nobody could have it otherwise. */
    return u->unread < CALLERS_USER_UNREAD_MAX && ratelimit_take(&u->bytes, now, MIN_OF(cost, CALLERS_USER_BURST));
}

static enum callers_verdict refuse(struct caller *one, uint64_t now)
{
    if (one->refused != 0 && now < one->refused + CALLERS_TOLD_EVERY)
        return CALLERS_DROP;
    one->refused = now;
    return ratelimit_take(&one->user->told, now, 1) ? CALLERS_REFUSE : CALLERS_DROP;
}

enum callers_verdict callers_judge(struct callers *c, struct caller *one, uint64_t cost, uint64_t now)
{
    forgive(one, now);
    if (one->unread >= CALLERS_UNREAD_MAX || !user_allows(c, one->user, cost, now))
        return refuse(one, now);
    one->user->unread += cost;
    one->unread += cost;
    one->charged += cost;
    return CALLERS_CARRY_OUT;
}
