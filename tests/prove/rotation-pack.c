/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Worlds as keys: what differs only in what can make no difference is one world. */
#include "rotation-model.h"

#include "rotation/evidence.h"

/* Written and read in straight lines, so that the compiler knows each place. */
struct bits {
    struct packed packed;
    unsigned at;
};

static inline void put(struct bits *b, uint64_t value, unsigned n)
{
    unsigned word = b->at / 64, shift = b->at % 64;

    b->packed.words[word] |= value << shift;
    if (shift + n > 64)
        b->packed.words[word + 1] |= value >> (64 - shift);
    b->at += n;
}

static inline unsigned get(struct bits *b, unsigned n)
{
    unsigned word = b->at / 64, shift = b->at % 64;
    uint64_t value = b->packed.words[word] >> shift;

    if (shift + n > 64)
        value |= b->packed.words[word + 1] << (64 - shift);
    b->at += n;
    return (unsigned)(value & ((UINT64_C(1) << n) - 1));
}

static bool recent(const struct world *w, uint64_t at, uint64_t span)
{
    return at != 0 && w->now - at < span;
}

/* The conflict flag is left out: it tells the schedule alone, and rotations here begin at any time. So is what decides
 * how soon an act makes a timer come (due, hastened_at): here one may come at any time. */

/* When it was asked: just now, within its lifetime, longer ago; 0: never, or it makes no difference any more. What is
 * about to be sent wants to know it more exactly. */
static unsigned asked_class(const struct world *w, const struct rotation_durable *d, bool asks)
{
    if (!d->unsettled)
        return 0;
    if (recent(w, d->asked.boottime, ROTATION_REQUEST_LIFETIME))
        return asks && w->now - d->asked.boottime <= ROTATION_ASKED_AGE_MAX ? 1 : 2;
    return evidence_asking(d) ? 3 : 0;
}

#define DURABLE_BITS 16

static inline void put_durable(struct bits *b, const struct world *w, const struct rotation_durable *d, bool asks)
{
    const bool flags[] = {d->has_main,
                          d->has_backup,
                          d->main_id,
                          d->backup_id,
                          d->compromised,
                          d->wanted,
                          d->retire_now,
                          d->give_up,
                          d->removing,
                          d->fallen,
                          d->state == ROTATION_SWAPPED && recent(w, d->entered.boottime, RETIRE_AFTER)};

    put(b, d->state, 3);
    for (size_t i = 0; i < ELEMENTSOF(flags); i++)
        put(b, flags[i], 1);
    put(b, asked_class(w, d, asks), 2);
}

static inline void get_durable(struct bits *b, struct rotation_durable *d)
{
    bool *const flags[] = {&d->has_main, &d->has_backup, &d->main_id, &d->backup_id, &d->compromised,
                           &d->wanted,   &d->retire_now, &d->give_up, &d->removing,  &d->fallen};

    unsigned asked;

    d->state = get(b, 3);
    for (size_t i = 0; i < ELEMENTSOF(flags); i++)
        *flags[i] = get(b, 1);
    d->entered.boottime = get(b, 1) ? NOW : NOW - LONG;
    asked = get(b, 2);
    d->unsettled = asked != 0;
    d->dated = d->fallen || d->unsettled || evidence_asking(d);
    d->asked.boottime = asked == 0 ? 0 : asked == 1 ? NOW : asked == 2 ? NOW - SHORT : NOW - LONG;
}

/* Keys are named anew: main, backup, then the forgotten ones in their order. */
static void rename_keys(const struct world *w, uint8_t name[KEYS + 1])
{
    uint8_t next = 2;

    for (uint8_t k = 0; k < KEYS; k++)
        name[k] = k == w->slot[ROTATION_MAIN] ? 0 : k == w->slot[ROTATION_BACKUP] ? 1 : next++;
    name[NO_KEY] = NO_KEY;
}

static inline void pack_cloud(struct bits *b, const struct world *w)
{
    uint8_t name[KEYS + 1];
    unsigned accepted = 0, late[LATE_MAX];

    rename_keys(w, name);
    for (uint8_t k = 0; k < KEYS; k++)
        accepted |= (unsigned)(w->accepted >> k & 1) << name[k];
    put(b, accepted, 8);
    for (size_t i = 0; i < LATE_MAX; i++)
        late[i] = w->late[i].kind == LATE_NONE ? 0 : w->late[i].kind | (unsigned)name[w->late[i].key] << 2;
    for (size_t i = 0; i < LATE_MAX; i++)
        put(b, late[0] < late[1] ? late[i] : late[LATE_MAX - 1 - i], 5);
}

/* Between the first refused probe and the last but one nothing changes: taken as the last but one. */
static unsigned few(unsigned refused, unsigned last)
{
    return refused == 0 || refused >= last ? refused : last - 1;
}

void pack(const struct world *w, bool with_soon, struct packed *ret)
{
    struct bits b = {0};
    const struct rotation *r = &w->r;
    bool pending = r->change != ROTATION_CHANGE_NONE;
    bool new_key = r->d.state == ROTATION_OFFERED || r->d.state == ROTATION_PROBING;
    bool fresh_key = new_key && !r->d.fallen;
    bool asks = pending && rotation_table[r->row].send & (SEND_OFFER | SEND_FIND);

    put_durable(&b, w, &r->d, false);
    put(&b, r->change, 4);
    put(&b, pending ? r->row : 0, 8);
    if (pending)
        put_durable(&b, w, &r->next, asks);
    b.at = 2 * DURABLE_BITS + 12;
    put(&b, pending && recent(w, r->passed_at, ROTATION_RETIRE_PROOF_AGE + 1), 1);
    put(&b, r->in_flight, 3);
    put(&b, (pending || fresh_key) && recent(w, r->passed_at, ROTATION_ACCEPTED_SPAN), 1);
    put(&b, r->unsettled_until > w->now, 1);
    put(&b, recent(w, r->proved_at, ROTATION_RETIRE_PROOF_AGE + 1), 1);
    put(&b, recent(w, r->fallback_at, ROTATION_FALLBACK_INTERVAL), 1);
    put(&b, r->refused_probes > 0 && recent(w, r->refused_at, ROTATION_REFUSED_PROBES_SPAN), 1);
    put(&b, r->main_answers, 2);
    put(&b, r->probe_answers, 1);
    put(&b, few(r->refused_probes, ROTATION_REFUSED_PROBES), 3);
    put(&b, new_key && r->probe_turn, 1);
    put(&b, r->promote, 1);
    put(&b, r->absent, 1);
    put(&b, w->armed, 1);
    put(&b, with_soon && w->armed && w->soon, 1);
    put(&b, w->owed, 1);
    put(&b, w->gone, 1);
    put(&b, w->exporting, 1);
    put(&b, w->mistyped, 1);
    put(&b, w->shut, 1);
    put(&b, w->back, 1);
    put(&b, policy.manual && w->out, 1);
    put(&b, recent(w, w->proof[ROTATION_MAIN], ROTATION_RETIRE_PROOF_AGE + 1), 1);
    put(&b, r->change == ROTATION_CHANGE_SWAP && recent(w, w->proof[ROTATION_BACKUP], ROTATION_RETIRE_PROOF_AGE + 1),
        1);
    put(&b, fresh_key && recent(w, w->proof[ROTATION_BACKUP], ROTATION_ACCEPTED_SPAN), 1);
    put(&b, (w->once & bit(w->slot[ROTATION_BACKUP])) != 0, 1);
    for (size_t i = 0; i < 2; i++)
        put(&b, (w->known & bit(w->slot[i])) != 0, 1);
    for (size_t i = 0; i < 2; i++)
        put(&b, w->slot[i] != NO_KEY, 1);
    put(&b, recent(w, w->fallback, ROTATION_FALLBACK_INTERVAL), 1);
    put(&b, w->refusals > 1 && recent(w, w->first_refusal, ROTATION_REFUSED_PROBES_SPAN), 1);
    put(&b, few(w->refusals / 2, ROTATION_REFUSED_PROBES) * 2 + w->refusals % 2, 4);
    pack_cloud(&b, w);
    *ret = b.packed;
}

static inline uint64_t since(struct bits *b, uint64_t otherwise)
{
    return get(b, 1) ? NOW : otherwise;
}

/* Just now, within a day, or so long ago that it makes no difference. */
static inline uint64_t passed_since(struct bits *b, bool just)
{
    bool lately = get(b, 1);

    return just ? NOW : lately ? NOW - SHORT : 0;
}

static inline void unpack_cloud(struct bits *b, struct world *w)
{
    w->accepted = (uint8_t)get(b, 8);
    for (size_t i = 0; i < LATE_MAX; i++) {
        unsigned late = get(b, 5);

        w->late[i] = (struct late){late & 3, (uint8_t)(late >> 2)};
    }
}

void unpack(const struct packed *p, struct world *w)
{
    struct bits b = {.packed = *p};
    struct rotation *r = &w->r;
    bool just;

    memset(w, 0, sizeof(*w));
    w->now = NOW;
    r->started = NOW - LONG;
    get_durable(&b, &r->d);
    r->change = get(&b, 4);
    r->row = (uint16_t)get(&b, 8);
    if (r->change != ROTATION_CHANGE_NONE)
        get_durable(&b, &r->next);
    b.at = 2 * DURABLE_BITS + 12;
    just = get(&b, 1);
    r->in_flight = get(&b, 3);
    r->passed_at = passed_since(&b, just);
    if (get(&b, 1)) {
        r->unsettled_until = NOW + ROTATION_REQUEST_LIFETIME;
        r->asked.boottime = NOW - SHORT;
    }
    r->proved_at = since(&b, 0);
    r->fallback_at = since(&b, 0);
    r->refused_at = since(&b, NOW - LONG);
    r->main_answers = (uint8_t)get(&b, 2);
    r->probe_answers = (uint8_t)get(&b, 1);
    r->refused_probes = (uint8_t)get(&b, 3);
    r->probe_turn = get(&b, 1);
    r->promote = get(&b, 1);
    r->absent = get(&b, 1);
    w->armed = get(&b, 1);
    w->soon = get(&b, 1);
    w->owed = get(&b, 1);
    w->gone = get(&b, 1);
    w->exporting = get(&b, 1);
    w->mistyped = get(&b, 1);
    w->shut = get(&b, 1);
    w->back = get(&b, 1);
    w->out = get(&b, 1);
    w->proof[ROTATION_MAIN] = since(&b, 0);
    just = get(&b, 1);
    w->proof[ROTATION_BACKUP] = passed_since(&b, just);
    w->once = get(&b, 1) ? 2 : 0;
    w->known = (uint8_t)get(&b, 1);
    w->known |= (uint8_t)(get(&b, 1) << 1);
    for (size_t i = 0; i < 2; i++)
        w->slot[i] = get(&b, 1) ? (uint8_t)i : NO_KEY;
    w->fallback = since(&b, 0);
    w->first_refusal = since(&b, NOW - LONG);
    w->refusals = (uint8_t)get(&b, 4);
    unpack_cloud(&b, w);
}
