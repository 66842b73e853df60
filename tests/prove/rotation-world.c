/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rotation-model.h"

#include <stdarg.h>

struct rotation_policy policy;
size_t late_max = 1;
uint32_t acts_allowed;

void violate(struct world *w, const char *format, ...)
{
    static char texts[2][160]; /* one may be told in the other */
    static unsigned n;
    char *next = texts[n++ % ELEMENTSOF(texts)];
    va_list args;

    if (w->violation)
        return;
    va_start(args, format);
    vsnprintf(next, sizeof(texts[0]), format, args);
    va_end(args);
    w->violation = next;
}

static uint8_t fresh_key(struct world *w)
{
    uint8_t used = held(w) | w->accepted;

    for (size_t i = 0; i < LATE_MAX; i++)
        if (w->late[i].kind != LATE_NONE)
            used |= bit(w->late[i].key);
    for (uint8_t k = 0; k < KEYS; k++)
        if (!(used & bit(k))) {
            w->once &= (uint8_t)~bit(k);
            w->known &= (uint8_t)~bit(k);
            return k;
        }
    violate(w, "more than %d keys are about", KEYS);
    return 0;
}

/* ── The cloud ── */

void cloud_offer(struct world *w, uint8_t key)
{
    w->accepted = policy.replaces ? bit(key) : w->accepted | bit(key);
}

void cloud_delete(struct world *w, uint8_t key)
{
    w->accepted &= (uint8_t)~bit(key);
}

void cloud_late(struct world *w, size_t i)
{
    struct late l = w->late[i];

    w->late[i] = (struct late){0};
    if (l.kind == LATE_OFFER)
        cloud_offer(w, l.key);
    else if (l.kind == LATE_DELETE)
        cloud_delete(w, l.key);
}

/* What was asked longer ago than a request lives is not carried out later still. */
bool cloud_postpone(struct world *w, enum late_kind kind, uint8_t key)
{
    if (kind == LATE_OFFER && w->now - w->r.d.asked.boottime >= ROTATION_REQUEST_LIFETIME)
        return false;
    for (size_t i = 0; i < late_max; i++) {
        if (w->late[i].kind != LATE_NONE)
            continue;
        w->late[i] = (struct late){kind, key};
        return true;
    }
    return false;
}

/* ── The vault ── */

static void vault_change(struct world *w, enum rotation_change_type change)
{
    uint8_t key = w->slot[ROTATION_MAIN], backup = w->slot[ROTATION_BACKUP];
    uint64_t proof = w->proof[ROTATION_MAIN];

    switch (change) {
    case ROTATION_CHANGE_NONE:
    case ROTATION_CHANGE_STATE:
    case ROTATION_CHANGE_CLOUD_ID:
        break;
    case ROTATION_CHANGE_STAGE:
    case ROTATION_CHANGE_SET_BACKUP:
        w->slot[ROTATION_BACKUP] = NO_KEY;
        w->slot[ROTATION_BACKUP] = fresh_key(w);
        w->proof[ROTATION_BACKUP] = 0;
        break;
    case ROTATION_CHANGE_SET_MAIN:
        cloud_delete(w, key); /* so the operator said */
        w->slot[ROTATION_MAIN] = fresh_key(w);
        w->shut = w->mistyped && !(w->accepted & held(w));
        if (!w->mistyped)
            cloud_offer(w, w->slot[ROTATION_MAIN]); /* the operator brings what the cloud knows */
        w->proof[ROTATION_MAIN] = 0;
        break;
    case ROTATION_CHANGE_SWAP:
        w->once |= bit(key);
        /* What was main leaks once a rotation has put another in its place; but not because somebody refused it. */
        if (w->r.d.state < ROTATION_SWAPPED && !w->r.d.fallen)
            w->known |= bit(key);
        w->back = false;
        w->slot[ROTATION_MAIN] = w->slot[ROTATION_BACKUP];
        w->slot[ROTATION_BACKUP] = key;
        w->proof[ROTATION_MAIN] = w->proof[ROTATION_BACKUP];
        w->proof[ROTATION_BACKUP] = proof;
        break;
    case ROTATION_CHANGE_FORGET_MAIN:
        cloud_delete(w, key); /* so the operator said */
        w->slot[ROTATION_MAIN] = NO_KEY;
        w->proof[ROTATION_MAIN] = 0;
        break;
    case ROTATION_CHANGE_FORGET_BACKUP:
        w->slot[ROTATION_BACKUP] = NO_KEY;
        break;
    case ROTATION_CHANGE_FORGET_ALL:
        w->slot[ROTATION_MAIN] = w->slot[ROTATION_BACKUP] = NO_KEY;
        w->gone = true;
        break;
    }
    if (w->slot[ROTATION_BACKUP] != backup)
        w->out = false;
}

/* ── What is asserted of each action ── */

static bool proved(const struct world *w)
{
    uint64_t at = w->proof[ROTATION_MAIN];

    return w->r.d.removing || (at != 0 && w->now - at <= ROTATION_RETIRE_PROOF_AGE);
}

static void check_abandoning(struct world *w, const struct rotation_durable *next)
{
    bool spent =
        w->refusals >= 2 * ROTATION_REFUSED_PROBES && w->now - w->first_refusal >= ROTATION_REFUSED_PROBES_SPAN;

    for (size_t i = 0; i < LATE_MAX; i++)
        if (w->late[i].kind == LATE_OFFER)
            violate(w, "kept: the new key is given up while an offer may arrive");
    if (!proved(w))
        violate(w, "proof: the new key is given up without main having passed");
    if (w->r.d.fallen && !next->give_up && !next->removing)
        violate(w, "kept: a key that was main is given up because it is refused");
    if (w->proof[ROTATION_BACKUP] != 0 && w->now - w->proof[ROTATION_BACKUP] < ROTATION_ACCEPTED_SPAN)
        spent = false;
    if (!next->give_up && !next->removing && !w->r.absent && (!spent || policy.replaces))
        violate(w, "proof: the new key is given up for nothing");
}

static bool retire_is_due(const struct world *w)
{
    const struct rotation_durable *d = &w->r.d;
    bool asked = d->retire_now || d->removing;

    if (policy.manual && !policy.replaces)
        return asked;
    return asked || d->compromised || d->wanted || w->now - d->entered.boottime >= RETIRE_AFTER;
}

static void check_commit(struct world *w, const struct rotation_action *a)
{
    enum rotation_state from = w->r.d.state, to = a->next->state;
    bool fills = a->change == ROTATION_CHANGE_STAGE || a->change == ROTATION_CHANGE_SET_BACKUP;
    uint8_t blob[ROTATION_BLOB_MAX];
    struct rotation_durable again;
    ssize_t n = rotation_encode(a->next, blob, sizeof(blob));

    if (n < 0 || rotation_decode(blob, (size_t)n, &again) < 0)
        violate(w, "commit: what is committed could not be read again");
    if (from == ROTATION_SWAPPED && (to == ROTATION_RETIRING || to == ROTATION_IDLE) && !w->owed && !retire_is_due(w))
        violate(w, "proof: the old key retires before its time");
    if (from == ROTATION_STAGED && to == ROTATION_OFFERED && !w->owed && w->r.d.removing)
        violate(w, "kept: a new key is offered for a device that is removed");
    if (fills && w->slot[ROTATION_BACKUP] != NO_KEY && from != ROTATION_STAGED && !w->owed)
        violate(w, "kept: backup is overwritten in %s", rotation_state_name(from));
    if (a->change == ROTATION_CHANGE_STAGE && to != ROTATION_STAGED)
        violate(w, "commit: a new key is thought offered");
    if (from == ROTATION_PROBING && to == ROTATION_OFFERED && policy.looks && !w->r.probe_turn && !w->owed)
        violate(w, "offered again without a look at what the cloud has");
    if (a->change == ROTATION_CHANGE_FORGET_ALL && !w->owed && !(w->r.d.removing && !w->r.d.has_backup))
        violate(w, "held: all keys are forgotten of a device that is not removed");
    if (a->change == ROTATION_CHANGE_CLOUD_ID && w->slot[a->role] != target(w))
        violate(w, "commit: the cloud's id goes to another credential");
    if (to == ROTATION_RETIRING && from == ROTATION_SWAPPED && !proved(w))
        violate(w, "proof: retirement begins without main having passed");
    if (to == ROTATION_ABANDONING && from != ROTATION_ABANDONING)
        check_abandoning(w, a->next);
    if (a->change == ROTATION_CHANGE_FORGET_BACKUP && from == ROTATION_SWAPPED && !proved(w) && !w->owed)
        violate(w, "proof: a key is forgotten without main having passed");
    if (a->change == ROTATION_CHANGE_SWAP && (w->proof[ROTATION_BACKUP] == 0 || to == from))
        violate(w, "proof: a swap without backup having passed");
    if (a->change == ROTATION_CHANGE_SWAP && to == ROTATION_OFFERED && w->fallback != 0 &&
        w->now - w->fallback < ROTATION_FALLBACK_INTERVAL && !w->back)
        violate(w, "fallback: two within ten minutes");
    if (a->change == ROTATION_CHANGE_SWAP && from >= ROTATION_SWAPPED && !w->r.d.fallen && !a->next->fallen)
        violate(w, "fallback: it is not written down");
    if (a->change == ROTATION_CHANGE_SWAP && from > ROTATION_SWAPPED && !a->next->unsettled)
        violate(w, "fallback: a deletion that was sent may still arrive, and is forgotten");
    if (a->change == ROTATION_CHANGE_SWAP && to == ROTATION_SWAPPED && a->next->fallen)
        violate(w, "fallback: it is still thought one");
    if (a->change == ROTATION_CHANGE_SWAP && (from == ROTATION_SWAPPED || from == ROTATION_RETIRING) &&
        w->r.d.compromised && !w->back)
        violate(w, "fallback: to a key that others know, and nobody asked");
}

/* The adversary has keys that were main, and is on the path: with one of these he is whom the agent talks to. */
static void check_learns(struct world *w, const struct rotation_action *a)
{
    bool tells = a->type == ROTATION_DO_OFFER || (a->type == ROTATION_DO_FIND && !policy.looks);
    bool through_him = !policy.out_of_band && (w->known & bit(w->slot[ROTATION_MAIN]));

    if (tells && through_him)
        violate(w, "learns: whoever has a key that was main is told another");
    if (a->type == ROTATION_DO_OFFER && (w->once & bit(w->slot[ROTATION_BACKUP])))
        violate(w, "learns: a key that was main is offered again");
    if ((a->type == ROTATION_DO_DELETE || a->type == ROTATION_DO_FIND) && through_him)
        violate(w, "learns: whoever has a key that was main says what stands at the cloud");
    if (tells && (!w->r.d.unsettled || w->now - w->r.d.asked.boottime > ROTATION_ASKED_AGE_MAX))
        violate(w, "commit: after a crash nobody would know when it was told");
}

static void check_send(struct world *w, const struct rotation_action *a)
{
    enum rotation_state s = w->r.d.state;
    bool deleting = s == ROTATION_RETIRING || s == ROTATION_ABANDONING;

    if (w->r.change != ROTATION_CHANGE_NONE)
        violate(w, "commit: something is sent beside an unanswered commit");
    if (w->slot[a->role] == NO_KEY)
        violate(w, "commit: a request about an empty slot");
    check_learns(w, a);
    switch (a->type) {
    case ROTATION_DO_OFFER:
        if (s != ROTATION_OFFERED || policy.manual)
            violate(w, "commit: offered in %s", rotation_state_name(s));
        break;
    case ROTATION_DO_FIND:
        if (!(deleting && !policy.replaces) && !(policy.looks && s == ROTATION_PROBING))
            violate(w, "commit: looked for in %s", rotation_state_name(s));
        break;
    case ROTATION_DO_PROBE:
        if (s == ROTATION_IDLE || s == ROTATION_STAGED)
            violate(w, "commit: probed in %s", rotation_state_name(s));
        break;
    case ROTATION_DO_DELETE:
        if (!deleting || policy.replaces || policy.manual)
            violate(w, "commit: deleted in %s", rotation_state_name(s));
        if (!(a->role == ROTATION_BACKUP ? w->r.d.backup_id : w->r.d.main_id))
            violate(w, "commit: deleted without the cloud's id");
        if (a->role == ROTATION_MAIN && !w->r.d.removing)
            violate(w, "proof: main is deleted");
        if (!proved(w))
            violate(w, "proof: deleted without main having passed");
        break;
    case ROTATION_DO_VERIFY:
    case ROTATION_DO_COMMIT:
    case ROTATION_DO_CLOSE_OLD:
    case ROTATION_DO_TIMER:
    case ROTATION_DO_FINISHED:
    case ROTATION_DO_MOVED:
    case ROTATION_DO_REPORT:
    case ROTATION_DO_REPLY:
        break;
    }
}

void check_world(struct world *w)
{
    uint8_t lost = w->accepted & (uint8_t)~held(w);
    const struct rotation_row *row = &rotation_table[w->r.row];

    if (w->gone && (row->change != ROTATION_CHANGE_FORGET_ALL || row->event == ROTATION_EV_REMOVE))
        return; /* by the operator's word; after a crash nobody can tell */
    if (lost)
        violate(w, "held: the cloud accepts a key that was forgotten");
    w->shut = w->shut && w->slot[ROTATION_MAIN] != NO_KEY && !(w->accepted & held(w));
    if (w->slot[ROTATION_MAIN] != NO_KEY && !(w->accepted & held(w)) && !w->r.d.removing && !w->shut)
        violate(w, "way in: no held key is accepted any more");
    if (__builtin_popcount(w->accepted) > 2)
        violate(w, "two: %d credentials stand at the cloud", __builtin_popcount(w->accepted));
    if (w->r.d.has_main != (w->slot[ROTATION_MAIN] != NO_KEY) ||
        w->r.d.has_backup != (w->slot[ROTATION_BACKUP] != NO_KEY))
        violate(w, "commit: the durable part does not describe the slots");
}

/* ── Steps ── */

static void act_on(struct world *w, const struct rotation_actions *actions)
{
    bool commits = false;

    for (size_t i = 0; i < actions->n; i++) {
        const struct rotation_action *a = &actions->list[i];

        switch (a->type) {
        case ROTATION_DO_COMMIT:
            commits = true;
            check_commit(w, a);
            break;
        case ROTATION_DO_OFFER:
        case ROTATION_DO_FIND:
        case ROTATION_DO_PROBE:
        case ROTATION_DO_VERIFY:
        case ROTATION_DO_DELETE:
            check_send(w, a);
            break;
        case ROTATION_DO_TIMER:
            w->armed = true;
            w->soon = a->when <= w->now;
            break;
        case ROTATION_DO_REPLY:
            if (!w->owed)
                violate(w, "answered: a reply to nobody");
            if (w->exporting && a->reply == 0 && w->r.d.state == ROTATION_STAGED)
                violate(w, "commit: the new key leaves the agent in staged");
            w->out = w->out || (w->exporting && a->reply == 0);
            w->exporting = w->mistyped = false;
            w->owed = false;
            break;
        case ROTATION_DO_CLOSE_OLD:
        case ROTATION_DO_FINISHED:
        case ROTATION_DO_MOVED:
        case ROTATION_DO_REPORT:
            break;
        }
    }
    if (w->owed && !commits)
        violate(w, "answered: an act of the operator gets no reply");
    if (commits && actions->n > 1)
        violate(w, "commit: actions beside a commit");
}

/* What the machine begins by itself. */
static void check_looks(struct world *w, const struct rotation *before, const struct rotation_actions *actions)
{
    for (size_t i = 0; i < actions->n; i++) {
        const struct rotation_action *a = &actions->list[i];
        bool request = a->type >= ROTATION_DO_OFFER && a->type <= ROTATION_DO_DELETE;

        if (request && before->in_flight != ROTATION_REQUEST_NONE)
            violate(w, "two requests at a time");
        if (a->type == ROTATION_DO_VERIFY && before->d.state == ROTATION_SWAPPED && proved(w))
            violate(w, "proof: main is asked again, and has just passed");
        if (request && a->type != ROTATION_DO_PROBE && before->promote)
            violate(w, "answered: the operator wants backup tried, and something else is");
        if ((a->type == ROTATION_DO_FIND || a->type == ROTATION_DO_DELETE) && before->absent &&
            before->d.state >= ROTATION_RETIRING)
            violate(w, "asked again, though the cloud said that it is not there");
        if (a->type == ROTATION_DO_OFFER && before->d.removing)
            violate(w, "kept: offered again, though the device is removed");
        if (a->type == ROTATION_DO_OFFER && before->d.give_up && before->main_answers < 2)
            violate(w, "kept: offered again, though the operator gave it up");
    }
}

struct rotation_event event(const struct world *w, enum rotation_event_type type)
{
    return (struct rotation_event){.type = type, .now = {.boottime = w->now}};
}

void feed(struct world *w, const struct rotation_event *ev)
{
    struct world before = *w;
    struct rotation_actions actions;

    if (rotation_step(&w->r, &policy, ev, &actions) < 0)
        violate(w, "the machine does not take %s", rotation_event_name(ev->type));
    if (ev->type != ROTATION_EV_COMMITTED && memcmp(&before.r.d, &w->r.d, sizeof(before.r.d)) != 0)
        violate(w, "commit: the durable part changed by itself");
    if (ev->type == ROTATION_EV_TIMER || ev->type == ROTATION_EV_COMMITTED)
        check_looks(w, &before.r, &actions);
    act_on(w, &actions);
    contract_check(w, &before, ev, &actions);
    carried_check(w, &before, ev, &actions);
    check_world(w);
}

void feed_type(struct world *w, enum rotation_event_type type)
{
    struct rotation_event ev = event(w, type);

    feed(w, &ev);
}

static void durable_now(struct world *w)
{
    bool swap = w->r.change == ROTATION_CHANGE_SWAP;

    vault_change(w, w->r.change);
    if (swap && w->r.next.state == ROTATION_OFFERED)
        w->fallback = w->r.passed_at;
    if (swap || w->r.next.state != w->r.d.state)
        w->refusals = 0;
}

void step_committed(struct world *w)
{
    durable_now(w);
    feed_type(w, ROTATION_EV_COMMITTED);
}

/* The conflict is not part of a world: it tells the schedule, and after a start whoever watches. */
static void check_conflict(struct world *w, const struct rotation_durable *d)
{
    struct rotation_event ev = event(w, ROTATION_EV_RESTART);
    struct rotation_actions actions;
    struct rotation r;

    rotation_restore(&r, d);
    r.d.conflict = true;
    rotation_step(&r, &policy, &ev, &actions);
    if (r.report != ROTATION_REPORT_CONFLICT)
        violate(w, "words: nobody is told of the conflict after a start");
    ev.type = ROTATION_EV_ROTATE;
    ev.scheduled = true;
    rotation_step(&r, &policy, &ev, &actions);
    if (r.change != ROTATION_CHANGE_NONE || actions.n == 0 || actions.list[0].reply >= 0)
        violate(w, "the schedule goes on after a conflict");
}

void step_crash(struct world *w, bool after)
{
    struct rotation_durable d = after ? w->r.next : w->r.d;

    if (after)
        durable_now(w);
    check_conflict(w, &d);
    rotation_restore(&w->r, &d);
    w->armed = w->owed = w->exporting = w->mistyped = w->back = false;
    w->proof[0] = w->proof[1] = 0;
    w->fallback = 0;
    w->refusals = 0;
    feed_type(w, ROTATION_EV_RESTART);
}

void heard(struct world *w, enum rotation_role role, enum rotation_event_type type, bool accepted)
{
    if (accepted)
        w->proof[role] = w->now;
    if (type == ROTATION_EV_PROBE_REFUSED || (accepted && role == ROTATION_MAIN))
        w->back = false;
    if (type == ROTATION_EV_PROBE_REFUSED) {
        if (w->refusals < 2)
            w->first_refusal = w->now;
        w->refusals = MIN_OF((uint8_t)(w->refusals + 1), (uint8_t)(2 * ROTATION_REFUSED_PROBES));
    }
    if (type == ROTATION_EV_VERIFY_REFUSED || type == ROTATION_EV_MAIN_REFUSED)
        w->proof[ROTATION_MAIN] = 0;
    /* What was last reported is not part of a world: here it is what calls for another word. */
    if (accepted)
        w->r.report = ROTATION_REPORT_REFUSED;
    feed_type(w, type);
}

void answer(struct world *w, enum rotation_event_type type, bool maybe_sent, bool id)
{
    struct rotation_event ev = event(w, type);

    ev.maybe_sent = maybe_sent;
    ev.cloud_id = id ? "7" : NULL;
    feed(w, &ev);
}

/* Whom FIND and DELETE are about. */
uint8_t target(const struct world *w)
{
    return w->slot[ROTATION_BACKUP] != NO_KEY ? w->slot[ROTATION_BACKUP] : w->slot[ROTATION_MAIN];
}
