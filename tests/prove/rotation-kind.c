/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Clouds that let a rotation end, and whether it does. */
#include "rotation-model.h"

/* How the cloud treats what must come to a good end. Handshakes are always answered, truthfully and at once. */
enum kindness {
    FAIR, /* so is everything */
    AWAY, /* the registrar cannot be reached, for ever: the key that is accepted must still be found */
    LEFT, /* the registrar is away, the keys were mistyped, and the operator wants to be rid of them */
    MUTE, /* the registrar does what it is asked, and every answer is lost: the new key must be found */
    KINDNESSES
};
static const char *const kindness_names[KINDNESSES] = {"ends", "ends, registrar away", "way out", "ends, answers lost"};

static struct set kind[KINDNESSES]; /* worlds that come to an end, and in how many steps */
static uint32_t longest;

static void answer_find(struct world *w, enum kindness k)
{
    if (k == AWAY || k == LEFT)
        branch_find(w, 4);
    else if (k == MUTE)
        branch_find(w, 2);
    else if (!branch_find(w, 0))
        branch_find(w, 1);
}

static void answer_kindly(struct world *w, enum kindness k)
{
    static const unsigned offers[KINDNESSES] = {0, 6, 6, 3}, deletes[KINDNESSES] = {0, 3, 3, 1};

    switch (w->r.in_flight) {
    case ROTATION_REQUEST_OFFER:
        branch_offer(w, offers[k]);
        break;
    case ROTATION_REQUEST_FIND:
        answer_find(w, k);
        break;
    case ROTATION_REQUEST_DELETE:
        branch_delete(w, deletes[k]);
        break;
    case ROTATION_REQUEST_PROBE:
        branch_handshake(w, accepts(w, ROTATION_BACKUP) ? 0 : 1, ROTATION_BACKUP, ROTATION_EV_PROBE_ACCEPTED);
        break;
    case ROTATION_REQUEST_VERIFY:
        branch_handshake(w, accepts(w, ROTATION_MAIN) ? 0 : 1, ROTATION_MAIN, ROTATION_EV_VERIFY_ACCEPTED);
        break;
    case ROTATION_REQUEST_NONE:
        break;
    }
}

/* What the device's own session has to say, if it has not said so yet. */
static bool main_says(struct world *w)
{
    if (w->slot[ROTATION_MAIN] == NO_KEY)
        return false;
    if (accepts(w, ROTATION_MAIN) && w->r.main_answers > 0)
        return branch_handshake(w, 0, ROTATION_MAIN, ROTATION_EV_MAIN_ACCEPTED);
    if (!accepts(w, ROTATION_MAIN) && w->r.main_answers < 2)
        return branch_handshake(w, 1, ROTATION_MAIN, ROTATION_EV_MAIN_ACCEPTED);
    return false;
}

/* With a refused main: the right key in its place; or first backup is forgotten, then main. Told to come again, he
 * does. */
static bool insists(struct world *w, enum kindness k)
{
    struct world then = *w;

    if (k == FAIR)
        branch_act(&then, ACT_SET_MAIN_CONFIRMED);
    else
        branch_act(&then, w->r.d.state == ROTATION_IDLE ? ACT_FORGET_MAIN_CONFIRMED : ACT_FORGET_CONFIRMED);
    if (then.r.change == ROTATION_CHANGE_NONE && !then.violation)
        return false;
    *w = then;
    return true;
}

static bool does(struct world *w, enum act act)
{
    struct world then = *w;

    if (!branch_act(&then, act) || (then.r.change == ROTATION_CHANGE_NONE && !then.violation))
        return false;
    *w = then;
    return true;
}

/* What waits for a person after a fallback, or instead of one. */
static bool looks_after(struct world *w, enum kindness k)
{
    const struct rotation_durable *d = &w->r.d;
    bool successor = d->compromised && (d->state == ROTATION_SWAPPED || d->state == ROTATION_RETIRING);

    if (successor && w->r.main_answers > 1 && !w->r.promote && accepts(w, ROTATION_BACKUP))
        return branch_act(w, ACT_PROMOTE);
    if (k != FAIR || accepts(w, ROTATION_BACKUP))
        return false;
    if (d->removing && !policy.out_of_band && d->has_backup && (d->fallen || !accepts(w, ROTATION_MAIN)))
        return does(w, ACT_REMOVE_CONFIRMED);
    return d->fallen && !d->removing && does(w, ACT_FORGET_CONFIRMED);
}

/* What the agent does not write where the registrar cannot be reached: that the same is asked once more. */
static bool asks_again(const struct rotation *r)
{
    return r->next.state == r->d.state && rotation_table[r->row].send & (SEND_OFFER | SEND_FIND);
}

static bool kind_step(struct world *w, enum kindness k)
{
    if (w->r.change != ROTATION_CHANGE_NONE && k == AWAY && asks_again(&w->r)) {
        feed_type(w, ROTATION_EV_COMMIT_FAILED);
    } else if (w->r.change != ROTATION_CHANGE_NONE) {
        step_committed(w);
    } else if (main_says(w)) {
        ;
    } else if (w->r.in_flight != ROTATION_REQUEST_NONE) {
        answer_kindly(w, k);
    } else if (w->shut && (k == FAIR || k == LEFT) && insists(w, k)) {
        ;
    } else if (looks_after(w, k)) {
        ;
    } else if (policy.manual && k != LEFT && w->r.d.state == ROTATION_OFFERED && !w->r.d.give_up && !w->r.d.fallen &&
               !accepts(w, ROTATION_BACKUP)) {
        cloud_offer(w, w->slot[ROTATION_BACKUP]);
    } else if (w->armed) {
        w->armed = false;
        w->now += w->soon ? 0 : k == MUTE ? SHORT : LONG;
        feed_type(w, ROTATION_EV_TIMER);
    } else {
        return false;
    }
    return true;
}

/* Once the clock is known, the age of main is written down, and only once. */
static void check_dated(const struct world *at_rest, struct world *report)
{
    struct world w = *at_rest;
    struct rotation_event ev = event(&w, ROTATION_EV_TIMER);

    ev.now.realtime = 2 * NOW;
    w.armed = false;
    feed(&w, &ev);
    if (w.r.change == ROTATION_CHANGE_NONE || w.r.next.main_since.realtime == 0 || w.r.next.state != w.r.d.state)
        violate(report, "dated: the age of main is not written down");
    if (w.r.change == ROTATION_CHANGE_NONE)
        return;
    step_committed(&w);
    feed(&w, &ev);
    if (w.violation || w.r.change != ROTATION_CHANGE_NONE)
        violate(report, "dated: %s", w.violation ? w.violation : "the age of main is written down time and again");
}

/* Whether a machine at rest is where it should be. */
static void check_end(struct world *w)
{
    const struct rotation_durable *d = &w->r.d;
    bool waits = policy.manual && (d->state == ROTATION_STAGED || (d->state == ROTATION_SWAPPED && !policy.replaces));

    if (w->violation || w->gone)
        return;
    if (d->state != ROTATION_IDLE && !waits)
        violate(w, "ends: at rest in %s", rotation_state_name(d->state));
    if (d->has_main && (d->wanted || d->removing) && !waits)
        violate(w, "ends: at rest with something left to do");
    if (d->has_main && !accepts(w, ROTATION_MAIN))
        violate(w, "ends: main is not accepted");
    if (d->has_main && d->state == ROTATION_IDLE)
        check_dated(w, w);
}

/* What is still to come to its end with such a cloud. */
static bool unfinished(const struct world *w, enum kindness k)
{
    const struct rotation_durable *d = &w->r.d;
    bool lost = w->slot[ROTATION_MAIN] != NO_KEY && !accepts(w, ROTATION_MAIN);

    switch (k) {
    case FAIR:
        return true;
    case AWAY:
        return lost && d->state >= ROTATION_OFFERED && accepts(w, ROTATION_BACKUP) && !d->removing;
    case LEFT:
        return w->shut && !d->removing;
    case MUTE:
        return d->state == ROTATION_OFFERED && !policy.manual && !d->give_up && !d->removing && !w->r.absent &&
               w->r.refused_probes < ROTATION_REFUSED_PROBES && (!d->fallen || accepts(w, ROTATION_BACKUP));
    case KINDNESSES:
        break;
    }
    return false;
}

/* From the world `w`, whose key is `key`: until it is at its end, or where it is known that it comes to one. */
static void check_ends(struct world *w, const struct packed *key, enum kindness k)
{
    struct packed chain[KIND_STEPS];
    const struct node *known = set_find(&kind[k], key);
    uint32_t n = 0, steps = 0;

    chain[0] = *key;
    for (bool rest = false; !rest && !known; n += !rest && !known) {
        if (n == KIND_STEPS) {
            violate(w, "%s: not within %d steps, in %s", kindness_names[k], KIND_STEPS,
                    rotation_state_name(w->r.d.state));
            return;
        }
        if (n > 0)
            pack(w, true, &chain[n]);
        unpack(&chain[n], w);
        known = n > 0 ? set_find(&kind[k], &chain[n]) : NULL;
        if (!known && !w->gone)
            rest = !kind_step(w, k);
        if (rest && k != FAIR)
            violate(w, "%s: at rest in %s", kindness_names[k], rotation_state_name(w->r.d.state));
        rest = rest || w->gone || !unfinished(w, k);
        if (w->violation)
            return;
    }
    if (known)
        steps = known->from;
    else if (k == FAIR)
        check_end(w);
    while (n > 0)
        set_add(&kind[k], &chain[--n], ++steps, 0);
    longest = MAX_OF(longest, steps);
}

void ends_begin(const struct world *from, struct ends *ret)
{
    ret->from = *from;
    ret->from.soon = true;
    for (size_t i = 0; i < LATE_MAX; i++)
        cloud_late(&ret->from, i);
    pack(&ret->from, true, &ret->key);
    for (enum kindness k = FAIR; k < KINDNESSES; k++)
        if (unfinished(&ret->from, k))
            set_prefetch(&kind[k], &ret->key);
}

/* Whether it ends with each of them; if not, `to` is where it does not. */
bool ends_kindly(const struct ends *ends, struct world *to)
{
    for (enum kindness k = FAIR; k < KINDNESSES; k++) {
        if (!unfinished(&ends->from, k))
            continue;
        *to = ends->from;
        check_ends(to, &ends->key, k);
        if (to->violation)
            return false;
    }
    return true;
}

void ends_forget(void)
{
    for (size_t k = 0; k < KINDNESSES; k++)
        set_reset(&kind[k]);
    longest = 0;
}

uint32_t ends_longest(void)
{
    return longest;
}
