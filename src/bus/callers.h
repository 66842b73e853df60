/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What callers have been sent and may not have read, and how fast they ask. Pure: the caller of these functions gives
 * the time (CLOCK_BOOTTIME), learns uids, and sends pings.
 *
 * Answers that nobody reads pile up where the agent cannot see them, in the bus daemon, which then takes nothing more
 * of the agent's; and then in the agent. So each call is charged to its sender with what its answer will take, before
 * it is carried out. An answered ping shows that all before it was read. A sender that never answers one (a program
 * that makes blocking calls and nothing else) is forgiven slowly. Users other than root and the agent's own are bounded
 * in sum as well: one may have many connections. */

#include "base/cleanup.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct callers;
struct caller; /* a connection to the bus */

enum callers_verdict {
    CALLERS_CARRY_OUT,
    CALLERS_ASK_UID, /* it asks for much: say who it is by callers_uid_known(), then judge it again */
    CALLERS_REFUSE,  /* tell it that it is over its limit */
    CALLERS_DROP,    /* it was told a moment ago: no answer, which it would not read either */
};

struct callers *callers_new(uid_t own);
struct callers *callers_free(struct callers *c);
DEFINE_FREEP(struct callers, callers_free)

/* By its unique name; made if there is none. NULL: out of memory, or there are CALLERS_MAX. */
struct caller *callers_get(struct callers *c, const char *name);
struct caller *callers_find(struct callers *c, const char *name);
/* It has left the bus. */
void callers_gone(struct callers *c, const char *name);

/* `cost`: the bytes of the answer. CALLERS_CARRY_OUT charges them. */
enum callers_verdict callers_judge(struct callers *c, struct caller *one, uint64_t cost, uint64_t now);
void callers_uid_known(struct callers *c, struct caller *one, uid_t uid);
/* Whether it is time to ping it; the next two then follow. */
bool callers_wants_ping(const struct caller *one, uint64_t now);
void callers_pinged(struct caller *one, uint64_t now);
/* All that it was sent before the ping has been read. */
void callers_ponged(struct callers *c, struct caller *one);

uint64_t callers_unread(const struct caller *one);
