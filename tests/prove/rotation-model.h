/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The world that the rotation's checker walks through (rotation-model.c): the machine under test, the vault's slots,
 * the cloud, and what the assertions remember. A violation is written into the world in which it happened. One thread.
 */

#include "base/cleanup.h"
#include "base/limits.h"
#include "rotation/table.h"

#include <errno.h>
#include <string.h>

#define NOW (UINT64_C(1000) * USEC_PER_HOUR)
#define SHORT (6 * USEC_PER_MINUTE)
#define LONG (25 * USEC_PER_HOUR)
#define RETIRE_AFTER (30 * USEC_PER_MINUTE)
#define KEYS 6
#define NO_KEY KEYS
#define LATE_MAX 2 /* with --thorough; otherwise one at a time */
#define KIND_STEPS 256

enum late_kind { LATE_NONE, LATE_OFFER, LATE_DELETE };
struct late {
    uint8_t kind, key;
};

/* One state of the whole: the machine, the vault's two slots, the cloud, and what the assertions remember. */
struct world {
    struct rotation r;
    uint64_t now;
    uint8_t slot[2];  /* key ids by role, NO_KEY: empty */
    uint8_t accepted; /* by the cloud: bits of key ids */
    struct late late[LATE_MAX];
    bool armed, soon;    /* a timer runs; it is due at once */
    bool exporting, out; /* backup's key leaves the agent with the reply; it has left */
    bool owed;           /* a reply to the operator */
    bool gone;           /* the device is removed */
    bool mistyped;       /* the key that waits to be set is one that the cloud does not know */
    bool back;           /* the operator wants to go back to a key that others know */
    uint8_t once;        /* bits of keys that were main */
    uint8_t known;       /* ... and that the adversary has */
    bool shut;           /* so is all that is held: the operator has to find a way out */
    uint64_t proof[2];   /* by role: when the key last passed */
    uint64_t fallback;
    uint64_t first_refusal;
    uint8_t refusals;      /* of backup's probes, answered */
    const char *violation; /* NULL: none */
};

extern struct rotation_policy policy;
extern size_t late_max;
extern uint32_t acts_allowed; /* bits of enum act */

void violate(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

static inline uint8_t bit(uint8_t key)
{
    return key == NO_KEY ? 0 : (uint8_t)(1u << key);
}

static inline uint8_t held(const struct world *w)
{
    return bit(w->slot[ROTATION_MAIN]) | bit(w->slot[ROTATION_BACKUP]);
}

static inline bool accepts(const struct world *w, enum rotation_role role)
{
    return w->accepted & bit(w->slot[role]);
}

void cloud_offer(struct world *w, uint8_t key);
void cloud_delete(struct world *w, uint8_t key);
void cloud_late(struct world *w, size_t i);
bool cloud_postpone(struct world *w, enum late_kind kind, uint8_t key);
void check_world(struct world *w);
struct rotation_event event(const struct world *w, enum rotation_event_type type);
void feed(struct world *w, const struct rotation_event *ev);
void feed_type(struct world *w, enum rotation_event_type type);
void step_committed(struct world *w);
void step_crash(struct world *w, bool after);
void heard(struct world *w, enum rotation_role role, enum rotation_event_type type, bool accepted);
void answer(struct world *w, enum rotation_event_type type, bool maybe_sent, bool id);
uint8_t target(const struct world *w);
void contract_check(struct world *w, const struct world *before, const struct rotation_event *ev,
                    const struct rotation_actions *actions);

/* Each variant of what may happen next is a number; false: there is no such variant here. */
enum act {
    ACT_ROTATE,
    ACT_COMPROMISED,
    ACT_SCHEDULED,
    ACT_SET_BACKUP,
    ACT_SET_BACKUP_CONFIRMED,
    ACT_SET_MAIN,
    ACT_SET_MAIN_CONFIRMED,
    ACT_MISTYPE_MAIN, /* into an empty slot, or insisting */
    ACT_FORGET,
    ACT_FORGET_CONFIRMED,
    ACT_FORGET_MAIN,
    ACT_FORGET_MAIN_CONFIRMED,
    ACT_PROMOTE,
    ACT_EXPORT,
    ACT_CONNECT,
    ACT_REMOVE,
    ACT_REMOVE_CONFIRMED,
    ACT_REVOKE, /* nothing that the agent is told: the cloud takes no more of main */
    ACTS
};

bool branch_offer(struct world *w, unsigned variant);
bool branch_find(struct world *w, unsigned variant);
bool branch_delete(struct world *w, unsigned variant);
/* The operator does it now, if he can say so truthfully. */
bool branch_act(struct world *w, unsigned act);
bool branch_handshake(struct world *w, unsigned variant, enum rotation_role role, enum rotation_event_type accepted);
/* All that may follow a world, one after another: false behind the last. */
bool branch(const struct world *from, unsigned index, struct world *to, bool *ret_possible);

/* Worlds as keys: what differs only in what can make no difference is one world. */
struct packed {
    uint64_t words[2];
};

struct node {
    struct packed key;
    uint32_t from;   /* seen: the node before; kind: steps to the end */
    uint32_t branch; /* seen: by which branch */
};

struct set {
    struct node *nodes;
    uint32_t n, allocated;
    uint64_t *table; /* hash, then index + 1; 0: free */
    uint32_t mask;
};
void pack(const struct world *w, bool with_soon, struct packed *ret);
void unpack(const struct packed *p, struct world *w);
/* In this order, and both before a search: what it looks at then has arrived from memory. */
void set_prefetch(const struct set *s, const struct packed *key);
void set_prefetch_node(const struct set *s, const struct packed *key);
const struct node *set_find(const struct set *s, const struct packed *key);
void set_add(struct set *s, const struct packed *key, uint32_t from, uint32_t branch_index);
void set_reset(struct set *s);
void seeds_begin(void);
void seeds_note(unsigned walk, const struct packed *key, bool rests);
int seeds_write(const char *path);
uint32_t seeds_read(const char *path, unsigned row, unsigned walk, struct set *set);

extern bool carrying; /* whether the carrier is looked at too */
void carried_check(struct world *w, const struct world *before, const struct rotation_event *ev,
                   const struct rotation_actions *actions);

/* Whether each kind cloud lets a world come to its end: begun before something else is done, so that what it looks at
 * has arrived from memory. */
struct ends {
    struct world from;
    struct packed key;
};
void ends_begin(const struct world *from, struct ends *ret);
bool ends_kindly(const struct ends *ends, struct world *to);
void ends_forget(void);
uint32_t ends_longest(void);
