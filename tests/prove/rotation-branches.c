/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rotation-model.h"

/* ── Branches: each variant of what may happen is a number; false when there is no such variant here ── */

bool branch_offer(struct world *w, unsigned variant)
{
    uint8_t key = w->slot[ROTATION_BACKUP];

    switch (variant) {
    case 0:
        cloud_offer(w, key);
        answer(w, ROTATION_EV_OFFER_OK, false, true);
        return true;
    case 1: /* taken, the answer without an id */
        cloud_offer(w, key);
        answer(w, ROTATION_EV_OFFER_OK, false, false);
        return true;
    case 2: /* 2.xx without being carried out */
        answer(w, ROTATION_EV_OFFER_OK, false, true);
        return true;
    case 3: /* applied, the answer lost */
        cloud_offer(w, key);
        answer(w, ROTATION_EV_OFFER_RETRY, true, false);
        return true;
    case 4: /* lost on the way */
        answer(w, ROTATION_EV_OFFER_RETRY, true, false);
        return true;
    case 5:
        if (!cloud_postpone(w, LATE_OFFER, key))
            return false;
        answer(w, ROTATION_EV_OFFER_RETRY, true, false);
        return true;
    case 6:
        answer(w, ROTATION_EV_OFFER_RETRY, false, false);
        return true;
    case 7:
    case 8: /* a cloud that accepts this key does not refuse it */
        if (w->accepted & bit(key))
            return false;
        answer(w, variant == 7 ? ROTATION_EV_OFFER_CONFLICT : ROTATION_EV_OFFER_INVALID, false, false);
        return true;
    }
    return false;
}

bool branch_find(struct world *w, unsigned variant)
{
    uint8_t key = target(w);
    bool there = w->accepted & bit(key);

    switch (variant) {
    case 0:
        if (policy.looks && !there)
            return false;
        cloud_offer(w, key); /* one that cannot look offers it again */
        answer(w, ROTATION_EV_FOUND, false, true);
        return true;
    case 1:
        if (there)
            return false;
        answer(w, ROTATION_EV_ABSENT, false, false);
        return true;
    case 2:
        if (!policy.looks)
            cloud_offer(w, key);
        answer(w, ROTATION_EV_FIND_RETRY, true, false);
        return true;
    case 3:
        if (policy.looks || !cloud_postpone(w, LATE_OFFER, key))
            return false;
        answer(w, ROTATION_EV_FIND_RETRY, true, false);
        return true;
    case 4:
        answer(w, ROTATION_EV_FIND_RETRY, false, false);
        return true;
    case 5: /* there, but under which id? */
        if (policy.looks && !there)
            return false;
        cloud_offer(w, key);
        answer(w, ROTATION_EV_FOUND, false, false);
        return true;
    }
    return false;
}

bool branch_delete(struct world *w, unsigned variant)
{
    uint8_t key = target(w);

    switch (variant) {
    case 0:
        cloud_delete(w, key);
        answer(w, ROTATION_EV_DELETE_OK, false, false);
        return true;
    case 1:
        cloud_delete(w, key);
        answer(w, ROTATION_EV_DELETE_RETRY, true, false);
        return true;
    case 2:
        if (!cloud_postpone(w, LATE_DELETE, key))
            return false;
        answer(w, ROTATION_EV_DELETE_RETRY, true, false);
        return true;
    case 3:
        answer(w, ROTATION_EV_DELETE_RETRY, false, false);
        return true;
    }
    return false;
}

/* A handshake with either key; a refusal may come from anywhere and at any time, and an acceptance from whoever has the
 * key. */
bool branch_handshake(struct world *w, unsigned variant, enum rotation_role role, enum rotation_event_type accepted)
{
    switch (variant) {
    case 0:
        if (!accepts(w, role) && !(w->known & bit(w->slot[role])))
            return false;
        heard(w, role, accepted, true);
        return true;
    case 1:
        heard(w, role, accepted + 1, false); /* refused */
        return true;
    case 2:
        heard(w, role, accepted + 2, false); /* unreachable */
        return true;
    case 3: /* a fault of our own; the device's session has no such word */
        if (accepted == ROTATION_EV_MAIN_ACCEPTED)
            return false;
        heard(w, role, accepted + 3, false);
        return true;
    }
    return false;
}

static bool branch_answer(struct world *w, unsigned variant)
{
    switch (w->r.in_flight) {
    case ROTATION_REQUEST_OFFER:
        return branch_offer(w, variant);
    case ROTATION_REQUEST_FIND:
        return branch_find(w, variant);
    case ROTATION_REQUEST_PROBE:
        return branch_handshake(w, variant, ROTATION_BACKUP, ROTATION_EV_PROBE_ACCEPTED);
    case ROTATION_REQUEST_VERIFY:
        return branch_handshake(w, variant, ROTATION_MAIN, ROTATION_EV_VERIFY_ACCEPTED);
    case ROTATION_REQUEST_DELETE:
        return branch_delete(w, variant);
    case ROTATION_REQUEST_NONE:
        break;
    }
    return false;
}

static bool anything_late(const struct world *w)
{
    for (size_t i = 0; i < LATE_MAX; i++)
        if (w->late[i].kind != LATE_NONE)
            return true;
    return false;
}

/* What the operator does at the cloud, keeping his word: before he says that a key is gone there, it is. */
static bool operator_deletes(struct world *w)
{
    if (w->slot[ROTATION_BACKUP] == NO_KEY || w->r.d.state == ROTATION_STAGED)
        return true;
    if (anything_late(w))
        return false;
    if (!(w->accepted & held(w)))
        return true;
    if (policy.replaces)
        w->accepted = bit(w->slot[ROTATION_MAIN]);
    else if (accepts(w, ROTATION_MAIN))
        cloud_delete(w, w->slot[ROTATION_BACKUP]);
    else
        return false;
    return true;
}

static const struct {
    enum rotation_event_type type;
    bool confirmed, compromised, scheduled;
} acts[ACTS] = {
    [ACT_ROTATE] = {ROTATION_EV_ROTATE, false, false, false},
    [ACT_COMPROMISED] = {ROTATION_EV_ROTATE, false, true, false},
    [ACT_SCHEDULED] = {ROTATION_EV_ROTATE, false, false, true},
    [ACT_SET_BACKUP] = {ROTATION_EV_SET_BACKUP, false, false, false},
    [ACT_SET_BACKUP_CONFIRMED] = {ROTATION_EV_SET_BACKUP, true, false, false},
    [ACT_SET_MAIN] = {ROTATION_EV_SET_MAIN, false, false, false},
    [ACT_SET_MAIN_CONFIRMED] = {ROTATION_EV_SET_MAIN, true, false, false},
    [ACT_MISTYPE_MAIN] = {ROTATION_EV_SET_MAIN, true, false, false},
    [ACT_FORGET] = {ROTATION_EV_FORGET_BACKUP, false, false, false},
    [ACT_FORGET_CONFIRMED] = {ROTATION_EV_FORGET_BACKUP, true, false, false},
    [ACT_FORGET_MAIN] = {ROTATION_EV_FORGET_MAIN, false, false, false},
    [ACT_FORGET_MAIN_CONFIRMED] = {ROTATION_EV_FORGET_MAIN, true, false, false},
    [ACT_PROMOTE] = {ROTATION_EV_PROMOTE, false, false, false},
    [ACT_EXPORT] = {ROTATION_EV_EXPORT, false, false, false},
    [ACT_CONNECT] = {ROTATION_EV_CONNECT, false, false, false},
    [ACT_REMOVE] = {ROTATION_EV_REMOVE, false, false, false},
    [ACT_REMOVE_CONFIRMED] = {ROTATION_EV_REMOVE, true, false, false},
};

/* Behind the agent's back, where it holds another way in, and has to find that main is none before it gives that up. */
static bool cloud_revokes(struct world *w)
{
    bool fresh = w->proof[ROTATION_MAIN] != 0 && w->now - w->proof[ROTATION_MAIN] <= ROTATION_RETIRE_PROOF_AGE;

    if (w->r.d.state < ROTATION_SWAPPED || w->r.change != ROTATION_CHANGE_NONE || fresh || anything_late(w) ||
        w->r.in_flight == ROTATION_REQUEST_DELETE || !accepts(w, ROTATION_MAIN) || !accepts(w, ROTATION_BACKUP))
        return false;
    cloud_delete(w, w->slot[ROTATION_MAIN]);
    check_world(w);
    return true;
}

bool branch_act(struct world *w, unsigned act)
{
    struct rotation_event ev = event(w, acts[act].type);
    bool word, main, fallen;

    if (act == ACT_REVOKE)
        return cloud_revokes(w);
    ev.confirmed = acts[act].confirmed;
    ev.compromised = acts[act].compromised;
    ev.scheduled = acts[act].scheduled;
    word = (ev.type == ROTATION_EV_FORGET_BACKUP && (ev.confirmed || policy.manual)) || act == ACT_SET_BACKUP_CONFIRMED;
    main = ev.confirmed && (ev.type == ROTATION_EV_FORGET_MAIN || ev.type == ROTATION_EV_SET_MAIN);
    if (word && !operator_deletes(w))
        return false;
    if (main && anything_late(w))
        return false;
    w->owed = true;
    w->mistyped = act == ACT_MISTYPE_MAIN;
    w->exporting = ev.type == ROTATION_EV_EXPORT;
    w->back = w->back || (ev.type == ROTATION_EV_PROMOTE && w->r.d.state >= ROTATION_SWAPPED && w->r.main_answers > 1);
    fallen = w->r.d.fallen;
    feed(w, &ev);
    /* Whoever acts on a fallback says that it is the cloud with whom the key before works. */
    if (fallen && w->r.change != ROTATION_CHANGE_NONE && ev.type != ROTATION_EV_REMOVE)
        w->known &= (uint8_t)~bit(w->slot[ROTATION_MAIN]);
    return true;
}

static void pass_time(struct world *w, uint64_t span)
{
    w->now += span;
    if (span == LONG)
        memset(w->late, 0, sizeof(w->late));
}

/* Things that happen by themselves. */
static bool branch_world(struct world *w, unsigned variant)
{
    bool pending = w->r.change != ROTATION_CHANGE_NONE;

    switch (variant) {
    case 0:
        pass_time(w, SHORT);
        return true;
    case 1:
        pass_time(w, LONG);
        return true;
    case 2:
    case 3:
        if (w->late[variant - 2].kind == LATE_NONE)
            return false;
        cloud_late(w, variant - 2);
        check_world(w);
        return true;
    case 4:
        step_crash(w, false);
        return true;
    case 5:
        if (pending)
            step_crash(w, true);
        return pending;
    case 6: /* the operator has carried an exported key to the cloud */
        if (!policy.manual || !(w->out || w->r.d.state == ROTATION_OFFERED) || w->r.d.state >= ROTATION_SWAPPED ||
            w->r.d.give_up || w->r.d.fallen || pending || accepts(w, ROTATION_BACKUP))
            return false;
        cloud_offer(w, w->slot[ROTATION_BACKUP]);
        check_world(w);
        return true;
    case 7: /* somebody deletes there what is being removed */
        if (!w->r.d.removing || w->r.d.state < ROTATION_SWAPPED || pending || anything_late(w) ||
            !accepts(w, ROTATION_MAIN))
            return false;
        cloud_delete(w, w->slot[ROTATION_MAIN]);
        return true;
    }
    return false;
}

enum { WORLD = 8, COMMITS = 2, TIMER = 1, MAINS = 3, ANSWERS = 9 };

/* Before the world is copied: whether such a thing can happen at all. */
static bool thinkable(const struct world *from, unsigned i)
{
    bool pending = from->r.change != ROTATION_CHANGE_NONE;

    if (i < WORLD)
        return i != 5 || pending;
    if ((i -= WORLD) < COMMITS)
        return pending;
    if ((i -= COMMITS) < TIMER)
        return from->armed;
    if ((i -= TIMER) < MAINS)
        return from->slot[ROTATION_MAIN] != NO_KEY;
    if ((i -= MAINS) < ANSWERS)
        return from->r.in_flight != ROTATION_REQUEST_NONE;
    return acts_allowed & 1u << (i - ANSWERS);
}

static bool branch_to(struct world *to, unsigned i)
{
    if (i < WORLD)
        return branch_world(to, i);
    if ((i -= WORLD) < COMMITS) {
        if (i == 0)
            step_committed(to);
        else
            feed_type(to, ROTATION_EV_COMMIT_FAILED);
        return true;
    }
    if ((i -= COMMITS) < TIMER) {
        to->armed = false;
        feed_type(to, ROTATION_EV_TIMER);
        return true;
    }
    if ((i -= TIMER) < MAINS)
        return branch_handshake(to, i, ROTATION_MAIN, ROTATION_EV_MAIN_ACCEPTED);
    if ((i -= MAINS) < ANSWERS)
        return branch_answer(to, i);
    return branch_act(to, i - ANSWERS);
}

/* All that may follow a world, one after another; false at the end. While a commit is unanswered nothing else is heard.
 */
bool branch(const struct world *from, unsigned index, struct world *to, bool *ret_possible)
{
    bool pending = from->r.change != ROTATION_CHANGE_NONE;
    unsigned n = WORLD + COMMITS + (pending ? 0 : TIMER + MAINS + ANSWERS + ACTS);

    *ret_possible = false;
    if (from->gone || index >= n)
        return false;
    if (thinkable(from, index)) {
        *to = *from;
        *ret_possible = branch_to(to, index);
    }
    return true;
}
