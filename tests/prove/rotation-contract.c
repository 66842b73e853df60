/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is owed to whom: each act of the operator its answer and its effect, each result of a request what follows from
 * it, each failure a pause, and those who watch a word. Written from what machine.h and the manual promise, not from
 * the table, which it is to judge. */
#include "rotation-model.h"

/* What an event must lead to: a commit of `change` into `to` with these flags, or none. */
struct due {
    int reply; /* to an act */
    enum rotation_change_type change;
    enum rotation_state to;
    bool compromised, wanted, retire_now, give_up, removing, fallen;
};

static bool new_key(const struct rotation *r)
{
    return r->d.state == ROTATION_OFFERED || r->d.state == ROTATION_PROBING;
}

static bool deleting(const struct rotation *r)
{
    return r->d.state == ROTATION_RETIRING || r->d.state == ROTATION_ABANDONING;
}

static bool refused(const struct rotation *r, enum rotation_role role)
{
    return role == ROTATION_MAIN ? r->main_answers >= 2 : r->refused_probes > 0;
}

/* Main took the place of a key that others know, to which the operator alone goes back. */
static bool successor(const struct rotation *r)
{
    return r->d.compromised && (r->d.state == ROTATION_SWAPPED || r->d.state == ROTATION_RETIRING) && !r->promote;
}

static struct due refuse(int reply)
{
    return (struct due){.reply = reply};
}

static struct due change_to(enum rotation_change_type change, enum rotation_state to)
{
    return (struct due){.change = change, .to = to};
}

/* ── Acts ── */

static struct due due_rotate(const struct rotation *r, const struct rotation_event *ev)
{
    struct due due = change_to(ROTATION_CHANGE_STATE, r->d.state);

    if (r->d.removing)
        return refuse(-ENODEV);
    if (!r->d.has_main)
        return refuse(-ENOENT);
    if (ev->compromised && !policy.out_of_band && !policy.manual)
        return refuse(-EOPNOTSUPP);
    if (ev->scheduled && (policy.manual || r->d.conflict))
        return refuse(-EPERM);
    due.compromised = ev->compromised;
    if (r->d.fallen && r->d.state == ROTATION_OFFERED)
        return refuse(ev->scheduled ? -EPERM : -EBUSY);
    switch (r->d.state) {
    case ROTATION_IDLE:
        due.change = ROTATION_CHANGE_STAGE;
        due.to = ROTATION_STAGED;
        return due;
    case ROTATION_STAGED:
    case ROTATION_OFFERED:
    case ROTATION_PROBING:
        return ev->compromised ? due : refuse(0);
    case ROTATION_SWAPPED:
    case ROTATION_RETIRING:
        if (r->d.state == ROTATION_SWAPPED && policy.manual && !policy.replaces)
            return refuse(-EBUSY);
        due.wanted = true;
        return r->d.wanted && !ev->compromised ? refuse(0) : due;
    case ROTATION_ABANDONING:
    case ROTATION_STATES:
        break;
    }
    return refuse(0);
}

static bool settled(const struct world *w)
{
    return w->now >= w->r.unsettled_until;
}

/* Nothing speaks for backup any more but that it was told to the cloud, perhaps: the operator knows. */
static bool may_insist(const struct world *w)
{
    const struct rotation *r = &w->r;
    bool by_hand = policy.manual && r->d.state == ROTATION_OFFERED;

    return (by_hand || (refused(r, ROTATION_MAIN) && refused(r, ROTATION_BACKUP))) && settled(w) &&
           r->in_flight == ROTATION_REQUEST_NONE;
}

static struct due due_set_main(const struct rotation *r, bool confirmed)
{
    if (r->d.removing)
        return refuse(-ENODEV);
    if (!r->d.has_main)
        return change_to(ROTATION_CHANGE_SET_MAIN, ROTATION_IDLE);
    if (!confirmed || !refused(r, ROTATION_MAIN))
        return refuse(-EBUSY);
    return r->in_flight == ROTATION_REQUEST_NONE ? change_to(ROTATION_CHANGE_SET_MAIN, r->d.state) : refuse(-EAGAIN);
}

static struct due due_set_backup(const struct world *w, bool confirmed)
{
    const struct rotation *r = &w->r;

    if (r->d.removing)
        return refuse(-ENODEV);
    if (!r->d.has_main)
        return refuse(-ENOENT);
    if (r->d.state <= ROTATION_STAGED || (new_key(r) && confirmed && may_insist(w)))
        return change_to(ROTATION_CHANGE_SET_BACKUP, ROTATION_OFFERED);
    return refuse(confirmed && new_key(r) ? -EAGAIN : -EBUSY);
}

static struct due due_forget_main(const struct rotation *r, bool confirmed)
{
    if (r->d.state != ROTATION_IDLE)
        return refuse(-EBUSY);
    if (!r->d.has_main)
        return refuse(-ENOENT);
    return confirmed && !r->d.removing ? change_to(ROTATION_CHANGE_FORGET_MAIN, ROTATION_IDLE) : refuse(-EBUSY);
}

static struct due due_forget_backup(const struct world *w, const struct rotation *r, bool confirmed)
{
    struct due due = change_to(ROTATION_CHANGE_STATE, r->d.state);
    bool passed = w->proof[ROTATION_MAIN] != 0 && w->now - w->proof[ROTATION_MAIN] <= ROTATION_RETIRE_PROOF_AGE;

    bool insists = may_insist(w) ||
                   (r->d.fallen && refused(r, ROTATION_BACKUP) && settled(w) && r->in_flight == ROTATION_REQUEST_NONE);

    if (r->d.state >= ROTATION_OFFERED && !r->d.removing) {
        if (confirmed && insists)
            return change_to(ROTATION_CHANGE_FORGET_BACKUP, ROTATION_IDLE);
        if (refused(r, ROTATION_MAIN))
            return refuse(confirmed ? -EAGAIN : -EBUSY);
    }
    switch (r->d.state) {
    case ROTATION_IDLE:
        return refuse(-ENOENT);
    case ROTATION_STAGED:
        return change_to(ROTATION_CHANGE_FORGET_BACKUP, ROTATION_IDLE);
    case ROTATION_OFFERED:
    case ROTATION_PROBING:
        due.give_up = true;
        if (r->d.fallen && !r->d.removing)
            return refuse(confirmed ? -EAGAIN : -EBUSY);
        return policy.replaces && !confirmed ? refuse(-EBUSY) : due;
    case ROTATION_SWAPPED:
        due.retire_now = true;
        return due;
    case ROTATION_RETIRING:
    case ROTATION_ABANDONING:
        if (!confirmed || r->d.removing)
            return refuse(0);
        return passed && settled(w) && r->in_flight == ROTATION_REQUEST_NONE
                   ? change_to(ROTATION_CHANGE_FORGET_BACKUP, ROTATION_IDLE)
                   : refuse(-EAGAIN);
    case ROTATION_STATES:
        break;
    }
    return refuse(0);
}

static struct due due_remove(const struct rotation *r, bool confirmed)
{
    struct due due = change_to(ROTATION_CHANGE_STATE, r->d.state);

    if (confirmed || policy.manual || policy.replaces || (r->d.state == ROTATION_IDLE && !r->d.has_main))
        return change_to(ROTATION_CHANGE_FORGET_ALL, ROTATION_IDLE);
    due.removing = true;
    return r->d.removing ? refuse(0) : due;
}

static struct due due_promote(const struct rotation *r)
{
    if (r->d.state == ROTATION_IDLE)
        return refuse(-ENOENT);
    if (r->d.state == ROTATION_STAGED)
        return refuse(-EAGAIN);
    return refuse(new_key(r) || (successor(r) && refused(r, ROTATION_MAIN)) || r->promote ? 0 : -EBUSY);
}

static struct due due_export(const struct rotation *r)
{
    if (r->d.state == ROTATION_IDLE)
        return refuse(-ENOENT);
    return r->d.state == ROTATION_STAGED ? change_to(ROTATION_CHANGE_STATE, ROTATION_OFFERED) : refuse(0);
}

/* ── Results ── */

static bool brings_id(const struct rotation_event *ev)
{
    return ev->cloud_id != NULL;
}

static bool due_result(const struct rotation *r, const struct rotation_event *ev, struct due *due)
{
    bool over = r->d.removing && !r->d.has_backup;

    if (ev->type == ROTATION_EV_OFFER_OK && r->d.state == ROTATION_OFFERED)
        *due = change_to(brings_id(ev) ? ROTATION_CHANGE_CLOUD_ID : ROTATION_CHANGE_STATE, ROTATION_PROBING);
    else if (ev->type == ROTATION_EV_FOUND && deleting(r) && brings_id(ev))
        *due = change_to(ROTATION_CHANGE_CLOUD_ID, r->d.state);
    else if (ev->type == ROTATION_EV_PROBE_ACCEPTED && (new_key(r) || r->d.fallen))
        *due = change_to(ROTATION_CHANGE_SWAP, ROTATION_SWAPPED);
    else if (ev->type == ROTATION_EV_PROBE_ACCEPTED && r->d.state >= ROTATION_SWAPPED && refused(r, ROTATION_MAIN) &&
             !successor(r))
        *due = (struct due){.change = ROTATION_CHANGE_SWAP, .to = ROTATION_OFFERED, .fallen = true};
    else if (ev->type == ROTATION_EV_DELETE_OK && deleting(r))
        *due = change_to(over ? ROTATION_CHANGE_FORGET_ALL : ROTATION_CHANGE_FORGET_BACKUP, ROTATION_IDLE);
    else
        return false;
    return true;
}

/* An act that asks for nothing but what is written down already is not written down again. */
static void written_before(const struct rotation *r, struct due *due)
{
    const struct rotation_durable *d = &r->d;

    if (due->change == ROTATION_CHANGE_STATE && due->to == d->state && due->compromised <= d->compromised &&
        due->wanted <= d->wanted && due->retire_now <= d->retire_now && due->give_up <= d->give_up &&
        due->removing <= d->removing)
        *due = refuse(due->reply);
}

/* False: nothing particular. `w` is as it was before the event. */
static bool find_due(const struct world *w, const struct rotation_event *ev, struct due *due)
{
    const struct rotation *r = &w->r;

    if (ev->type == ROTATION_EV_ROTATE)
        *due = due_rotate(r, ev);
    else if (ev->type == ROTATION_EV_SET_MAIN)
        *due = due_set_main(r, ev->confirmed);
    else if (ev->type == ROTATION_EV_SET_BACKUP)
        *due = due_set_backup(w, ev->confirmed);
    else if (ev->type == ROTATION_EV_FORGET_MAIN)
        *due = due_forget_main(r, ev->confirmed);
    else if (ev->type == ROTATION_EV_FORGET_BACKUP)
        *due = due_forget_backup(w, r, ev->confirmed);
    else if (ev->type == ROTATION_EV_PROMOTE)
        *due = due_promote(r);
    else if (ev->type == ROTATION_EV_EXPORT)
        *due = due_export(r);
    else if (ev->type == ROTATION_EV_REMOVE)
        *due = due_remove(r, ev->confirmed);
    else if (ev->type == ROTATION_EV_CONNECT)
        *due = refuse(0);
    else
        return due_result(r, ev, due);
    written_before(r, due);
    return true;
}

static void check_due(struct world *w, const struct due *due, const struct rotation_actions *actions)
{
    const struct rotation_durable *next = &w->r.next;

    if (w->r.change != due->change) {
        violate(w, "answered: change %d is due, not %d", (int)due->change, (int)w->r.change);
        return;
    }
    for (size_t i = 0; i < actions->n; i++)
        if (actions->list[i].type == ROTATION_DO_REPLY && actions->list[i].reply != due->reply)
            violate(w, "answered: with %d, not %d", actions->list[i].reply, due->reply);
    if (due->change == ROTATION_CHANGE_NONE)
        return;
    if (next->state != due->to)
        violate(w, "answered: by going to %s, not to %s", rotation_state_name(next->state),
                rotation_state_name(due->to));
    if ((due->compromised && !next->compromised) || (due->wanted && !next->wanted) ||
        (due->retire_now && !next->retire_now) || (due->give_up && !next->give_up) ||
        (due->removing && !next->removing) || (due->fallen && !next->fallen))
        violate(w, "answered: what was asked for is not written down");
    if (due->to == ROTATION_SWAPPED && next->give_up)
        violate(w, "answered: the new key is still given up");
}

/* ── Pauses ── */

static const struct rotation_action *find_action(const struct rotation_actions *actions, enum rotation_action_type type)
{
    for (size_t i = 0; i < actions->n; i++)
        if (actions->list[i].type == type)
            return &actions->list[i];
    return NULL;
}

/* How long a result makes the machine wait: 0 at once. False: that is the machine's. */
static bool find_pause(const struct world *before, const struct world *w, enum rotation_event_type type,
                       uint64_t *least)
{
    const struct rotation *r = &w->r;
    bool given_up = r->absent || r->d.give_up || r->d.removing;
    bool carried = policy.manual && before->r.d.state == ROTATION_OFFERED && !given_up && !r->d.fallen;
    bool another =
        r->d.state >= ROTATION_SWAPPED && refused(r, ROTATION_MAIN) && !refused(r, ROTATION_BACKUP) && !successor(r);

    *least = 1;
    switch (type) {
    case ROTATION_EV_OFFER_CONFLICT:
    case ROTATION_EV_OFFER_INVALID:
    case ROTATION_EV_ABSENT:
        *least = r->absent ? 0 : 1;
        return before->r.d.state == ROTATION_OFFERED || deleting(&before->r);
    case ROTATION_EV_PROBE_REFUSED:
        *least = carried && !refused(r, ROTATION_MAIN) ? USEC_PER_HOUR : 1;
        return true;
    case ROTATION_EV_PROBE_UNREACHABLE:
        *least = carried ? USEC_PER_HOUR : 1;
        return true;
    case ROTATION_EV_VERIFY_REFUSED:
        *least = another ? 0 : 1;
        return true;
    case ROTATION_EV_FOUND:
        return deleting(&before->r);
    case ROTATION_EV_OFFER_RETRY:
        return before->r.d.state == ROTATION_OFFERED;
    case ROTATION_EV_FIND_RETRY:
        return before->r.d.state == ROTATION_PROBING || deleting(&before->r);
    case ROTATION_EV_DELETE_RETRY:
        return deleting(&before->r);
    default:
        return type == ROTATION_EV_PROBE_LOCAL || type == ROTATION_EV_VERIFY_UNREACHABLE ||
               type == ROTATION_EV_VERIFY_LOCAL || type == ROTATION_EV_COMMIT_FAILED;
    }
}

/* An act that changes nothing may ask for a look. Asked again and again it gets one after a pause that is bounded. */
static void check_haste(struct world *w, const struct rotation_event *ev)
{
    struct rotation r = w->r;
    struct rotation_actions actions;
    const struct rotation_action *timer;

    if (ev->type < ROTATION_EV_ROTATE || w->r.change != ROTATION_CHANGE_NONE)
        return;
    for (int i = 0; i < 2; i++) {
        r.due = 0;
        if (rotation_step(&r, &policy, ev, &actions) < 0 || r.change != ROTATION_CHANGE_NONE)
            return;
    }
    timer = find_action(&actions, ROTATION_DO_TIMER);
    if (timer && (timer->when <= w->now || timer->when > w->now + ROTATION_HASTEN_MAX))
        violate(w, "pause: %s again and again keeps the machine busy", rotation_event_name(ev->type));
}

static void check_pause(struct world *w, const struct world *before, enum rotation_event_type type,
                        const struct rotation_actions *actions)
{
    const struct rotation_action *timer = find_action(actions, ROTATION_DO_TIMER);
    uint64_t least;

    if (w->r.change != ROTATION_CHANGE_NONE || !find_pause(before, w, type, &least))
        return;
    if (!timer || timer->when < w->now + least)
        violate(w, "pause: none after %s", rotation_event_name(type));
    else if (w->r.d.give_up && timer->when > w->now + ROTATION_REQUEST_LIFETIME / 2)
        violate(w, "pause: too long after %s, with a key that the operator gave up", rotation_event_name(type));
    else if (least == 0 && timer->when > w->now)
        violate(w, "pause: one after %s, where there is something to do", rotation_event_name(type));
}

/* ── Words ── */

/* Main is refused, and what is held beside it was not: it is tried now. */
static bool way_in_is_due(const struct rotation *r)
{
    return r->d.state >= ROTATION_OFFERED && r->d.has_backup && refused(r, ROTATION_MAIN) &&
           !refused(r, ROTATION_BACKUP) && !successor(r);
}

static void check_words(struct world *w, const struct rotation_event *ev, const struct rotation_actions *actions)
{
    const struct rotation_action *timer = find_action(actions, ROTATION_DO_TIMER);
    const struct rotation *r = &w->r;
    bool left = r->d.removing && !policy.out_of_band && !policy.manual;
    bool both = refused(r, ROTATION_MAIN) && (refused(r, ROTATION_BACKUP) || r->d.state <= ROTATION_STAGED);

    if (r->change != ROTATION_CHANGE_NONE)
        return;
    if (ev->type == ROTATION_EV_MAIN_REFUSED && r->d.state <= ROTATION_STAGED && both &&
        r->report != ROTATION_REPORT_REFUSED)
        violate(w, "words: nobody is told that the key is refused");
    if (ev->type == ROTATION_EV_PROBE_REFUSED && both &&
        r->report != (left ? ROTATION_REPORT_LEFT : ROTATION_REPORT_REFUSED))
        violate(w, "words: nobody is told that both keys are refused");
    if (ev->type == ROTATION_EV_PROBE_REFUSED && left && r->d.fallen && refused(r, ROTATION_BACKUP) &&
        r->report != ROTATION_REPORT_LEFT)
        violate(w, "words: nobody is told that a removed device is left at the cloud");
    if (ev->type == ROTATION_EV_MAIN_REFUSED && left && !r->d.has_backup && refused(r, ROTATION_MAIN) &&
        r->d.state == ROTATION_RETIRING && r->report != ROTATION_REPORT_LEFT)
        violate(w, "words: nobody is told that a removed device is left at the cloud");
    if ((ev->type == ROTATION_EV_MAIN_REFUSED || ev->type == ROTATION_EV_VERIFY_REFUSED) && successor(r) &&
        refused(r, ROTATION_MAIN) && r->report < ROTATION_REPORT_REFUSED)
        violate(w, "words: nobody is told why nothing goes back to the key before");
    if ((ev->type == ROTATION_EV_MAIN_ACCEPTED || ev->type == ROTATION_EV_VERIFY_ACCEPTED) &&
        (r->report == ROTATION_REPORT_REFUSED || r->report == ROTATION_REPORT_LEFT))
        violate(w, "words: nobody is told that the key is accepted again");
    if (ev->type == ROTATION_EV_OFFER_CONFLICT && r->d.state == ROTATION_OFFERED &&
        r->report != ROTATION_REPORT_CONFLICT)
        violate(w, "words: nobody is told of the conflict");
    if (ev->type == ROTATION_EV_MAIN_REFUSED && way_in_is_due(r) && (!timer || timer->when > w->now))
        violate(w, "way in: main is refused, and backup not tried at once");
}

static bool finished(const struct rotation_actions *actions, enum rotation_outcome outcome)
{
    const struct rotation_action *a = find_action(actions, ROTATION_DO_FINISHED);

    return a && a->outcome == outcome;
}

/* What goes with a commit that was just answered. */
static void check_committed(struct world *w, const struct world *before, const struct rotation_actions *actions)
{
    enum rotation_change_type change = before->r.change;
    enum rotation_state from = before->r.d.state, to = w->r.d.state;
    enum rotation_event_type event_type = rotation_table[before->r.row].event;
    const struct rotation_action *timer = find_action(actions, ROTATION_DO_TIMER);
    bool made_by_act = event_type > ROTATION_EV_MAIN_UNREACHABLE;

    if (change == ROTATION_CHANGE_SWAP && refused(&w->r, ROTATION_MAIN))
        violate(w, "proof: the new main is thought refused");
    if ((change == ROTATION_CHANGE_SET_MAIN || change == ROTATION_CHANGE_FORGET_MAIN) && w->r.proved_at != 0)
        violate(w, "proof: what main passed is believed of another");
    if (change == ROTATION_CHANGE_SET_BACKUP && (refused(&w->r, ROTATION_BACKUP) || w->r.absent || w->r.d.give_up))
        violate(w, "proof: what is known of one backup is believed of another");
    if (change == ROTATION_CHANGE_SWAP && !find_action(actions, ROTATION_DO_CLOSE_OLD))
        violate(w, "words: the old session stays open");
    if (change == ROTATION_CHANGE_SWAP && (to == ROTATION_OFFERED || before->r.d.fallen)) {
        const struct rotation_action *moved = find_action(actions, ROTATION_DO_MOVED);

        if (!moved || moved->move != (to == ROTATION_OFFERED ? ROTATION_FELL_BACK : ROTATION_WENT_FORWARD))
            violate(w, "words: nobody is told which key is main, and why");
    }
    if (change == ROTATION_CHANGE_SWAP && to == ROTATION_SWAPPED && !before->r.d.fallen &&
        !finished(actions, ROTATION_DONE))
        violate(w, "words: nobody is told that the rotation is done");
    if (change == ROTATION_CHANGE_FORGET_ALL && !finished(actions, ROTATION_REMOVED))
        violate(w, "words: nobody is told that the device is removed");
    if (change == ROTATION_CHANGE_FORGET_BACKUP &&
        (from == ROTATION_ABANDONING || (from < ROTATION_SWAPPED && made_by_act)) && !before->r.d.wanted &&
        !finished(actions, ROTATION_ABANDONED))
        violate(w, "words: nobody is told that the new key is given up");
    if (event_type == ROTATION_EV_EXPORT && policy.manual && (!timer || timer->when < w->now + USEC_PER_HOUR))
        violate(w, "pause: none for the operator to carry the key");
    if (to == ROTATION_PROBING && from == ROTATION_OFFERED && !find_action(actions, ROTATION_DO_PROBE))
        violate(w, "taken, but not probed");
    if (to == ROTATION_OFFERED && from == ROTATION_STAGED && !made_by_act && !find_action(actions, ROTATION_DO_OFFER) &&
        w->now - w->r.d.asked.boottime <= ROTATION_ASKED_AGE_MAX)
        violate(w, "ready, but not offered");
}

/* Whom the machine may not listen to: while a commit is unanswered anybody but its end, and without one its end; nor a
 * result of a request that is not in flight. */
static void check_deaf(struct world *w)
{
    static const struct {
        enum rotation_event_type type;
        enum rotation_request request;
    } results[] = {
        {ROTATION_EV_OFFER_OK, ROTATION_REQUEST_OFFER},         {ROTATION_EV_FOUND, ROTATION_REQUEST_FIND},
        {ROTATION_EV_PROBE_ACCEPTED, ROTATION_REQUEST_PROBE},   {ROTATION_EV_DELETE_OK, ROTATION_REQUEST_DELETE},
        {ROTATION_EV_VERIFY_ACCEPTED, ROTATION_REQUEST_VERIFY},
    };
    bool pending = w->r.change != ROTATION_CHANGE_NONE;
    struct rotation_event ev = event(w, pending ? ROTATION_EV_TIMER : ROTATION_EV_COMMITTED);
    struct rotation_actions actions;
    struct rotation r = w->r;

    if (rotation_step(&r, &policy, &ev, &actions) >= 0)
        violate(w, "commit: %s is taken%s", rotation_event_name(ev.type), pending ? " while one is unanswered" : "");
    for (size_t i = 0; i < ELEMENTSOF(results); i++) {
        ev.type = results[i].type;
        if (results[i].request != w->r.in_flight && rotation_step(&r, &policy, &ev, &actions) >= 0)
            violate(w, "%s is taken, and was not asked for", rotation_event_name(ev.type));
    }
}

/* What an act or a result was to lead to; asked after each event. */
void contract_check(struct world *w, const struct world *before, const struct rotation_event *ev,
                    const struct rotation_actions *actions)
{
    struct due due;

    if (find_due(before, ev, &due))
        check_due(w, &due, actions);
    if (ev->type == ROTATION_EV_COMMITTED)
        check_committed(w, before, actions);
    else if (find_action(actions, ROTATION_DO_FINISHED))
        violate(w, "words: it is said to be over before that is durable");
    if (ev->type == ROTATION_EV_COMMIT_FAILED && before->owed) {
        const struct rotation_action *reply = find_action(actions, ROTATION_DO_REPLY);

        if (!reply || reply->reply != -EIO)
            violate(w, "answered: a commit failed, and the operator is told otherwise");
    }
    check_pause(w, before, ev->type, actions);
    check_words(w, ev, actions);
    if (carrying) {
        check_deaf(w);
        check_haste(w, ev);
    }
}
