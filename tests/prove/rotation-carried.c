/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Beside the machine runs the carrier that the agent has. Whatever the machine says is to be carried out once, in its
 * order, with nothing before a commit is answered; what cannot begin comes back to the machine as that request's
 * failure. */
#include "rotation-model.h"

#include "rotation/carrier.h"

#include <stdlib.h>

#define CALLS_MAX 16

struct call {
    enum rotation_action_type type;
    enum rotation_role role;
    int value; /* a commit's change, an outcome, a reply */
    uint64_t when;
};

static struct {
    struct rotation_carrier *carrier;
    struct stamp now;
    struct call calls[CALLS_MAX];
    size_t n;
    struct rotation_durable committed;
    bool dropped;
    bool failing; /* what is asked for cannot begin */
    enum rotation_action_type fails;
    enum rotation_event_type act;
} c;

bool carrying;

static int call(enum rotation_action_type type, enum rotation_role role, int value, uint64_t when)
{
    if (c.n < CALLS_MAX)
        c.calls[c.n++] = (struct call){type, role, value, when};
    return c.failing && c.fails == type ? -EIO : 0;
}

static void op_now(void *userdata, struct stamp *ret)
{
    *ret = c.now;
}

static int op_commit(void *userdata, const struct rotation_commit *commit)
{
    if (rotation_decode(commit->blob, commit->blob_size, &c.committed) < 0)
        memset(&c.committed, 0xff, sizeof(c.committed));
    return call(ROTATION_DO_COMMIT, commit->role, (int)commit->change, 0);
}

static int op_offer(void *userdata)
{
    return call(ROTATION_DO_OFFER, ROTATION_BACKUP, 0, 0);
}

static int op_find(void *userdata, enum rotation_role role)
{
    return call(ROTATION_DO_FIND, role, 0, 0);
}

static int op_probe(void *userdata)
{
    return call(ROTATION_DO_PROBE, ROTATION_BACKUP, 0, 0);
}

static int op_verify(void *userdata)
{
    return call(ROTATION_DO_VERIFY, ROTATION_MAIN, 0, 0);
}

static int op_delete(void *userdata, enum rotation_role role)
{
    return call(ROTATION_DO_DELETE, role, 0, 0);
}

static void op_close_old(void *userdata)
{
    call(ROTATION_DO_CLOSE_OLD, 0, 0, 0);
}

static void op_drop_probe(void *userdata)
{
    c.dropped = true;
}

static void op_set_timer(void *userdata, uint64_t when)
{
    call(ROTATION_DO_TIMER, 0, 0, when);
}

static void op_finished(void *userdata, enum rotation_outcome outcome, const char *reason)
{
    call(ROTATION_DO_FINISHED, 0, (int)outcome, 0);
}

static void op_moved(void *userdata, enum rotation_move move, const char *reason)
{
    call(ROTATION_DO_MOVED, 0, (int)move, 0);
}

static void op_report(void *userdata, enum rotation_report report, const char *reason)
{
    call(ROTATION_DO_REPORT, 0, (int)report, 0);
}

static void op_reply(void *userdata, enum rotation_event_type act, int r, const char *reason)
{
    c.act = act;
    call(ROTATION_DO_REPLY, 0, r, 0);
}

static const struct rotation_ops ops = {
    .now = op_now,
    .commit = op_commit,
    .offer = op_offer,
    .find = op_find,
    .probe = op_probe,
    .verify = op_verify,
    .delete = op_delete,
    .close_old = op_close_old,
    .drop_probe = op_drop_probe,
    .set_timer = op_set_timer,
    .finished = op_finished,
    .moved = op_moved,
    .report = op_report,
    .reply = op_reply,
};

/* The carrier's own machine, which only this checker writes to. */
static struct rotation *machine(void)
{
    return (struct rotation *)(uintptr_t)rotation_carrier_machine(c.carrier);
}

/* The carrier at the moment before an event. */
static void stand_at(const struct world *before)
{
    c.failing = false;
    if (!c.carrier && rotation_carrier_new(&ops, NULL, &policy, NULL, 0, false, false, &c.carrier) < 0)
        abort();
    *machine() = (struct rotation){0}; /* which has nothing to do when it is told of the policy */
    rotation_carrier_set_policy(c.carrier, &policy);
    *machine() = before->r;
    c.n = 0;
    c.dropped = false;
}

static void tell(const struct rotation_event *ev)
{
    c.now = ev->now;
    if (ev->type == ROTATION_EV_COMMITTED || ev->type == ROTATION_EV_COMMIT_FAILED)
        rotation_carrier_committed(c.carrier, ev->type == ROTATION_EV_COMMITTED ? 0 : -EIO);
    else
        rotation_carrier_event(c.carrier, ev);
}

static struct call as_call(const struct rotation_action *a)
{
    int value = a->type == ROTATION_DO_COMMIT     ? (int)a->change
                : a->type == ROTATION_DO_FINISHED ? (int)a->outcome
                : a->type == ROTATION_DO_MOVED    ? (int)a->move
                : a->type == ROTATION_DO_REPORT   ? (int)a->report
                                                  : a->reply;

    return (struct call){a->type, a->role, value, a->when};
}

static bool same_call(const struct call *a, const struct call *b)
{
    return a->type == b->type && a->role == b->role && a->value == b->value && a->when == b->when;
}

static bool same_machine(const struct rotation *a, const struct rotation *b)
{
    return memcmp(&a->d, &b->d, sizeof(a->d)) == 0 && a->change == b->change && a->in_flight == b->in_flight &&
           a->tries == b->tries && (a->change == ROTATION_CHANGE_NONE || a->row == b->row);
}

static void compare(struct world *w, const struct rotation_actions *actions)
{
    if (c.n != actions->n)
        violate(w, "carried: %zu things are done, not %zu", c.n, actions->n);
    for (size_t i = 0; i < actions->n && i < c.n; i++) {
        struct call due = as_call(&actions->list[i]);

        if (!same_call(&due, &c.calls[i]))
            violate(w, "carried: action %d where %d is due", (int)c.calls[i].type, (int)due.type);
        if (due.type == ROTATION_DO_COMMIT && memcmp(&c.committed, &w->r.next, sizeof(c.committed)) != 0)
            violate(w, "carried: another durable part is committed");
    }
}

static enum rotation_event_type failure_of(enum rotation_action_type type)
{
    static const enum rotation_event_type failures[] = {
        [ROTATION_DO_COMMIT] = ROTATION_EV_COMMIT_FAILED, [ROTATION_DO_OFFER] = ROTATION_EV_OFFER_RETRY,
        [ROTATION_DO_FIND] = ROTATION_EV_FIND_RETRY,      [ROTATION_DO_PROBE] = ROTATION_EV_PROBE_LOCAL,
        [ROTATION_DO_VERIFY] = ROTATION_EV_VERIFY_LOCAL,  [ROTATION_DO_DELETE] = ROTATION_EV_DELETE_RETRY,
    };

    return failures[type];
}

/* The same event with an op that cannot begin. */
static void check_failing(struct world *w, const struct world *before, const struct rotation_event *ev,
                          enum rotation_action_type type)
{
    struct rotation_event failure = event(w, failure_of(type));
    struct rotation_actions actions;
    struct rotation expected = before->r;

    rotation_step(&expected, &policy, ev, &actions);
    rotation_step(&expected, &policy, &failure, &actions);
    stand_at(before);
    c.failing = true;
    c.fails = type;
    tell(ev);
    c.failing = false;
    if (!same_machine(machine(), &expected))
        violate(w, "carried: the machine is not told that action %d could not begin", (int)type);
}

/* An event that comes while a commit is under way waits for its end, and is not lost. */
static void check_waiting(struct world *w, const struct world *before, const struct rotation_event *ev)
{
    struct rotation_event look = event(w, ROTATION_EV_TIMER);
    struct rotation_actions actions;
    struct rotation expected = before->r;

    rotation_step(&expected, &policy, ev, &actions);
    rotation_step(&expected, &policy, &look, &actions);
    stand_at(before);
    tell(&look);
    if (c.n > 0)
        violate(w, "carried: action %d before the commit is answered", (int)c.calls[0].type);
    tell(ev);
    if (!same_machine(machine(), &expected))
        violate(w, "carried: what came during a commit is lost");
}

/* `w` is the world after the event, `actions` what the machine said. */
void carried_check(struct world *w, const struct world *before, const struct rotation_event *ev,
                   const struct rotation_actions *actions)
{
    bool commits = w->r.change != ROTATION_CHANGE_NONE;

    if (!carrying || w->violation)
        return;
    stand_at(before);
    tell(ev);
    compare(w, actions);
    if (!same_machine(machine(), &w->r))
        violate(w, "carried: the machine is elsewhere");
    for (size_t i = 0; i < actions->n; i++) {
        enum rotation_action_type type = actions->list[i].type;

        if (type == ROTATION_DO_REPLY && ev->type >= ROTATION_EV_ROTATE && c.act != ev->type)
            violate(w, "carried: another act is answered");
        if (type <= ROTATION_DO_DELETE)
            check_failing(w, before, ev, type);
    }
    if (ev->type == ROTATION_EV_PROBE_ACCEPTED) {
        stand_at(before);
        tell(ev);
        if (c.dropped != !commits)
            violate(w, "carried: the probe's session is %s", commits ? "dropped before its swap" : "kept for nothing");
    }
    if (ev->type == ROTATION_EV_COMMITTED)
        check_waiting(w, before, ev);
}
