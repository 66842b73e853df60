/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The cost that callers on the bus may cause: of the processor, and in answers that they have not read. Pure: the
 * caller of these functions gives the time (CLOCK_BOOTTIME), learns uids, measures what calls take, and sends pings.
 *
 * Everything is counted of a user, over all its connections, and outlives them: who connects anew brings nothing with
 * him. root is served as it comes. All others together get CALLERS_CPU_PERCENT of a processor, shared evenly by those
 * that want more than they had; a user that was idle has CALLERS_CPU_BURST at once, whatever others do.
 *
 * Answers that nobody reads pile up in the bus daemon. So each call is charged with what its answer will take, before
 * it is carried out, and an answered ping shows that all before it was read. A connection that never answers one (a
 * program that makes blocking calls and nothing else) is forgiven slowly. */

#include "base/cleanup.h"
#include "base/map.h"
#include "base/ratelimit.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

struct callers;
struct letter; /* a message that waits */
TAILQ_HEAD(letters, letter);

/* All connections of one user. Those marked "the gate's" are not touched here. */
struct caller_user {
    struct caller_user *next;
    uid_t uid;
    bool unbounded; /* root */
    size_t connections;
    uint64_t unread;
    uint64_t swept;         /* when its connections were forgiven last */
    struct ratelimit bytes; /* of answers asked for */
    struct ratelimit told;  /* refusals */
    int64_t left;           /* microseconds of the processor; negative: owed */
    uint64_t used;          /* of them in all, as far as whose turn it is goes by that */
    unsigned busy;          /* calls under way that its next ones wait for */
    unsigned asked;         /* calls that wait for a person to type a password */
    bool administrator;     /* as of then: */
    uint64_t looked_up;     /* 0: never */
    struct letters waiting; /* the gate's */
    size_t n_waiting, n_descriptors;
    uint64_t bytes_waiting;
};

enum caller_ping {
    CALLER_PING_ANSWERS, /* to know what was read of answers */
    CALLER_PING_SAMPLES, /* ... of samples */
    CALLER_PINGS,
};

/* A connection to the bus. */
struct caller {
    struct map_node by_name, by_question;
    char *name;
    struct caller_user *user;     /* NULL: not known yet */
    bool believed;                /* what it answers is taken, though it is neither root's nor ours */
    uint32_t question;            /* the serial of the message that asks whose it is; 0: none */
    uint32_t pings[CALLER_PINGS]; /* serials of pings not answered; 0: none */
    uint64_t unread;              /* sent, and not known to be read */
    uint64_t charged;             /* of it, since the last ping was sent */
    uint64_t forgiven;            /* when it was forgiven some of it last */
    uint64_t refused;             /* when it was told so last; 0: never */
    uint64_t pinged;              /* when, and has not answered; 0: not */
    struct letters waiting;       /* the gate's: until its user is known; later they wait with the user */
    size_t n_waiting;             /* the gate's: of its messages, here or there */
    uint64_t bytes_waiting;       /* the gate's: here, */
    size_t n_descriptors;         /* ... likewise */
};

enum callers_verdict {
    CALLERS_CARRY_OUT,
    CALLERS_REFUSE, /* tell it that it is over its limit */
    CALLERS_DROP,   /* it was told a moment ago: no answer, which it would not read either */
};

struct callers *callers_new(void);
struct callers *callers_free(struct callers *c);
DEFINE_FREEP(struct callers, callers_free)

/* By its unique name; made if there is none. NULL: out of memory, or there are CALLERS_MAX. */
struct caller *callers_get(struct callers *c, const char *name);
struct caller *callers_find(struct callers *c, const char *name);
/* It has left the bus. Its messages that wait have been taken away. */
void callers_gone(struct callers *c, struct caller *one);
/* Whether a message of this type is taken from it: anybody's calls; answers of services that run as root or beside us,
 * and of those that are believed. Its user is known. */
bool callers_heard(const struct caller *one, uint8_t type);
struct caller *callers_next(struct callers *c, struct caller *previous);
struct caller_user *callers_first_user(struct callers *c);

/* The message with this serial asks the bus for its user. -ENOMEM */
int callers_asked(struct callers *c, struct caller *one, uint32_t serial);
struct caller *callers_by_question(struct callers *c, uint32_t serial);
/* -ENOBUFS: there are too many users, or connections of this one. */
int callers_uid_known(struct callers *c, struct caller *one, uid_t uid, uint64_t now);

/* Whether calls of this user may be carried out now. If not: when, or USEC_INFINITY while one is under way. */
bool callers_may(struct callers *c, const struct caller_user *u, uint64_t now);
uint64_t callers_due(struct callers *c, const struct caller_user *u, uint64_t now);
/* Whether a's calls go before b's: root's, those of the agent's own user, then of who has had less of the processor. */
bool callers_before(const struct caller_user *a, const struct caller_user *b);
/* It was idle until now. */
void callers_wakes(struct callers *c, struct caller_user *u);
void callers_spent(struct callers *c, struct caller_user *u, uint64_t usec, uint64_t now);

/* `cost`: the bytes of the answer. CALLERS_CARRY_OUT charges them. */
enum callers_verdict callers_judge(struct callers *c, struct caller *one, uint64_t cost, uint64_t now);
/* Whether it is time to ping it; the next two then follow. */
bool callers_wants_ping(const struct caller *one, uint64_t now);
void callers_pinged(struct caller *one, uint64_t now);
/* All that it was sent before the ping has been read. */
void callers_ponged(struct caller *one);

uint64_t callers_unread(const struct caller *one);
