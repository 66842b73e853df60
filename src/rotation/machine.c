/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rotation/machine.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "rotation/evidence.h"
#include "rotation/table.h"

#include <errno.h>

/* The request that an event answers. */
static enum rotation_request answers(enum rotation_event_type type)
{
    if (type >= ROTATION_EV_OFFER_OK && type <= ROTATION_EV_OFFER_RETRY)
        return ROTATION_REQUEST_OFFER;
    if (type >= ROTATION_EV_FOUND && type <= ROTATION_EV_FIND_RETRY)
        return ROTATION_REQUEST_FIND;
    if (type >= ROTATION_EV_PROBE_ACCEPTED && type <= ROTATION_EV_PROBE_LOCAL)
        return ROTATION_REQUEST_PROBE;
    if (type >= ROTATION_EV_VERIFY_ACCEPTED && type <= ROTATION_EV_VERIFY_LOCAL)
        return ROTATION_REQUEST_VERIFY;
    if (type == ROTATION_EV_DELETE_OK || type == ROTATION_EV_DELETE_RETRY)
        return ROTATION_REQUEST_DELETE;
    return ROTATION_REQUEST_NONE;
}

/* ── The next durable part ── */

static void swap_roles(struct rotation_durable *d, const struct stamp *now)
{
    struct stamp since = stamp_is_set(&d->backup_since) ? d->backup_since : *now;
    bool id = d->main_id;

    d->backup_since = d->main_since;
    d->main_since = since;
    d->main_id = d->backup_id;
    d->backup_id = id;
}

static void forget_backup(struct rotation_durable *d)
{
    d->has_backup = d->backup_id = d->fallen = false;
    d->backup_since = (struct stamp){0};
    d->compromised = d->compromised && d->wanted;
}

static void forget_main(struct rotation_durable *d)
{
    d->has_main = d->main_id = false;
    d->main_since = (struct stamp){0};
}

static void apply_change(struct rotation_durable *d, enum rotation_change_type change, const struct stamp *now)
{
    switch (change) {
    case ROTATION_CHANGE_NONE:
    case ROTATION_CHANGE_STATE:
        break;
    case ROTATION_CHANGE_STAGE:
    case ROTATION_CHANGE_SET_BACKUP:
        d->has_backup = true;
        d->backup_id = d->fallen = false;
        d->backup_since = (struct stamp){0};
        break;
    case ROTATION_CHANGE_SET_MAIN:
        d->has_main = true;
        d->main_id = false;
        d->main_since = *now;
        break;
    case ROTATION_CHANGE_CLOUD_ID:
        *(d->has_backup ? &d->backup_id : &d->main_id) = true;
        break;
    case ROTATION_CHANGE_SWAP:
        swap_roles(d, now);
        break;
    case ROTATION_CHANGE_FORGET_MAIN:
        forget_main(d);
        break;
    case ROTATION_CHANGE_FORGET_BACKUP:
        forget_backup(d);
        break;
    case ROTATION_CHANGE_FORGET_ALL:
        *d = (struct rotation_durable){.state = d->state};
        break;
    }
}

/* Whether that makes a difference. */
static bool apply_flags(struct rotation_durable *d, uint8_t set, uint8_t clear)
{
    bool *const flags[] = {&d->compromised, &d->wanted,   &d->retire_now, &d->give_up,
                           &d->removing,    &d->conflict, &d->fallen};
    bool changed = false;

    for (size_t i = 0; i < ELEMENTSOF(flags); i++) {
        bool flag = (*flags[i] || set & 1u << i) && !(clear & 1u << i);

        changed = changed || flag != *flags[i];
        *flags[i] = flag;
    }
    return changed;
}

/* Whether the request of an act was recorded before it. */
static bool written_before(const struct rotation *r, const struct rotation_row *row)
{
    struct rotation_durable d = r->d;

    return row->send & SEND_REPLY && row->change == ROTATION_CHANGE_STATE && row->to == ROTATION_STATES &&
           !apply_flags(&d, row->set, row->clear);
}

/* It commits, and then sends what may be carried out late. */
static bool row_asks(const struct rotation_row *row)
{
    return row->send & (SEND_OFFER | SEND_FIND);
}

/* A request that may take long to arrive is written down before it is sent: after a crash nobody else knows when that
 * was. */
static void write_unsettled(struct rotation *r, const struct rotation_row *row, const struct rotation_event *ev)
{
    bool asks = row_asks(row);

    r->next.unsettled = asks || !evidence_settled(r, event_time(ev));
    r->next.asked = asks ? ev->now : r->next.unsettled ? r->asked : (struct stamp){0};
}

static void build_next(struct rotation *r, const struct rotation_row *row, const struct rotation_event *ev)
{
    bool deletion_cancelled =
        row->change == ROTATION_CHANGE_SWAP && rotation_way_back(r) && r->d.state != ROTATION_SWAPPED;

    /* A deletion that was sent may still be carried out, of the key that is main from now on. */
    if (deletion_cancelled)
        evidence_unsettle(r, &ev->now, &ev->now);
    r->next = r->d;
    (void)apply_flags(&r->next, row->set, row->clear);
    apply_change(&r->next, row->change, &ev->now);
    write_unsettled(r, row, ev);
    if (row->to == ROTATION_ABANDONING && r->cause == ROTATION_EV_OFFER_CONFLICT)
        r->next.conflict = true;
    if (row->to != ROTATION_STATES && row->to != r->d.state) {
        r->next.state = row->to;
        r->next.entered = ev->now;
    }
    r->next.dated = r->next.fallen || r->next.unsettled || evidence_asking(&r->next);
    stamp_complete(&r->next.entered, &ev->now);
    stamp_complete(&r->next.asked, &ev->now);
    stamp_complete(&r->next.backup_since, &ev->now);
    if (r->next.has_main && evidence_undated(&r->next.main_since, &ev->now) &&
        !stamp_complete(&r->next.main_since, &ev->now))
        r->next.main_since = stamp_assume(&ev->now);
}

/* ── Actions ── */

static struct rotation_action *add(struct rotation_actions *out, enum rotation_action_type type)
{
    struct rotation_action *a = &out->list[out->n++];

    *a = (struct rotation_action){.type = type};
    return a;
}

static uint64_t retry_delay(const struct rotation *r)
{
    uint64_t delay = ROTATION_RETRY_MIN << (r->tries > 1 ? r->tries - 1 : 0);

    return MIN_OF(delay, ROTATION_RETRY_MAX);
}

static void add_timer(struct rotation *r, const struct rotation_policy *p, const struct rotation_event *ev,
                      enum rotation_delay delay, struct rotation_actions *out)
{
    uint64_t now = event_time(ev), when = now;

    switch (delay) {
    case DELAY_NONE:
        return;
    case DELAY_AGAIN:
        break;
    case DELAY_RETRY:
        when += retry_delay(r);
        break;
    case DELAY_HOURLY:
        when += ROTATION_MANUAL_PROBE_INTERVAL;
        break;
    case DELAY_RETIRE:
        if (p->manual && !p->replaces)
            return;
        when += evidence_retire_left(r, p, &ev->now);
        break;
    case DELAY_SETTLE:
        when = MAX_OF(now, r->unsettled_until);
        break;
    case DELAY_FALLBACK:
        when = MAX_OF(now, r->fallback_at + ROTATION_FALLBACK_INTERVAL);
        break;
    }
    r->due = when;
    *add(out, ROTATION_DO_TIMER) =
        (struct rotation_action){.type = ROTATION_DO_TIMER, .when = when, .jitter = delay == DELAY_RETRY};
}

/* An act asks for a look and changes nothing. At once the first time; who asks on and on gets no more looks than a
 * failure would allow, and never a later one than was due. */
static void hasten_timer(struct rotation *r, const struct rotation_event *ev, struct rotation_actions *out)
{
    uint64_t now = event_time(ev), when = now;

    if (r->hastened_at != 0)
        when = MAX_OF(now, r->hastened_at + MIN_OF(retry_delay(r), (uint64_t)ROTATION_HASTEN_MAX));
    if (r->due != 0 && r->due <= when)
        when = r->due;
    else if (when == now)
        r->hastened_at = now;
    r->due = when;
    *add(out, ROTATION_DO_TIMER) = (struct rotation_action){.type = ROTATION_DO_TIMER, .when = when};
}

static void add_request(struct rotation *r, uint16_t send, struct rotation_actions *out)
{
    static const struct {
        uint16_t send;
        enum rotation_action_type action;
        enum rotation_request request;
        bool probes;
    } requests[] = {
        {SEND_OFFER, ROTATION_DO_OFFER, ROTATION_REQUEST_OFFER, false},
        {SEND_FIND, ROTATION_DO_FIND, ROTATION_REQUEST_FIND, false},
        {SEND_PROBE, ROTATION_DO_PROBE, ROTATION_REQUEST_PROBE, true},
        {SEND_VERIFY, ROTATION_DO_VERIFY, ROTATION_REQUEST_VERIFY, false},
        {SEND_DELETE, ROTATION_DO_DELETE, ROTATION_REQUEST_DELETE, false},
    };

    for (size_t i = 0; i < ELEMENTSOF(requests); i++) {
        if (!(send & requests[i].send))
            continue;
        r->in_flight = requests[i].request;
        r->probe_turn = !requests[i].probes;
        /* Back to a key that others know it is to go on the answer, not before. */
        r->promote = r->promote && (!requests[i].probes || rotation_way_back(r));
        add(out, requests[i].action)->role = requests[i].probes || requests[i].request == ROTATION_REQUEST_OFFER
                                                 ? ROTATION_BACKUP
                                             : requests[i].request == ROTATION_REQUEST_VERIFY ? ROTATION_MAIN
                                                                                              : rotation_target(&r->d);
    }
}

static void add_report(struct rotation *r, enum rotation_report report, const char *text, struct rotation_actions *out)
{
    if (r->report == report)
        return;
    r->report = report;
    *add(out, ROTATION_DO_REPORT) =
        (struct rotation_action){.type = ROTATION_DO_REPORT, .report = report, .text = text ? text : ""};
}

static void add_finished(enum rotation_outcome outcome, const char *text, struct rotation_actions *out)
{
    *add(out, ROTATION_DO_FINISHED) =
        (struct rotation_action){.type = ROTATION_DO_FINISHED, .outcome = outcome, .text = text};
}

static void add_moved(enum rotation_move move, const char *text, struct rotation_actions *out)
{
    *add(out, ROTATION_DO_MOVED) = (struct rotation_action){.type = ROTATION_DO_MOVED, .move = move, .text = text};
}

/* Why the new key was given up. */
static const char *cause_text(enum rotation_event_type cause)
{
    if (cause == ROTATION_EV_OFFER_CONFLICT)
        return "somebody else's key stands under the new identity: is there a clone of this gateway?";
    if (cause == ROTATION_EV_OFFER_INVALID)
        return "the cloud refused the new key as invalid";
    if (cause == ROTATION_EV_PROBE_REFUSED)
        return "the cloud took the new key but does not accept it";
    if (cause == ROTATION_EV_ABSENT)
        return "the cloud does not have the new key";
    return "the operator gave it up";
}

static void add_row(struct rotation *r, const struct rotation_policy *p, const struct rotation_row *row,
                    const struct rotation_event *ev, struct rotation_actions *out)
{
    if (row->send & SEND_CLOSE_OLD)
        add(out, ROTATION_DO_CLOSE_OLD);
    if (row->send & SEND_DONE)
        add_finished(ROTATION_DONE, row->text, out);
    /* A rotation given up to make room for another continues with that one. */
    if (row->send & SEND_ABANDONED && !r->d.wanted)
        add_finished(ROTATION_ABANDONED, row->text ? row->text : cause_text(r->cause), out);
    if (row->send & SEND_REMOVED)
        add_finished(ROTATION_REMOVED, row->text, out);
    if (row->send & SEND_FINE && (r->report == ROTATION_REPORT_REFUSED || r->report == ROTATION_REPORT_LEFT ||
                                  r->d.state == ROTATION_STAGED || r->d.state == ROTATION_SWAPPED))
        add_report(r, ROTATION_REPORT_FINE, NULL, out);
    if (row->send & SEND_REFUSED)
        add_report(r, ROTATION_REPORT_REFUSED, row->text, out);
    if (row->send & SEND_CONFLICT)
        add_report(r, ROTATION_REPORT_CONFLICT, row->text, out);
    if (row->send & SEND_LEFT)
        add_report(r, ROTATION_REPORT_LEFT, row->text, out);
    if (row->send & SEND_FELL_BACK)
        add_moved(ROTATION_FELL_BACK, row->text, out);
    if (row->send & SEND_FORWARD)
        add_moved(ROTATION_WENT_FORWARD, row->text, out);
    if (row->send & SEND_REPLY)
        *add(out, ROTATION_DO_REPLY) =
            (struct rotation_action){.type = ROTATION_DO_REPLY, .reply = row->reply, .text = row->text};
    add_request(r, row->send, out);
    if (row->delay == DELAY_AGAIN && row->send & SEND_REPLY && ev->type != ROTATION_EV_COMMITTED)
        hasten_timer(r, ev, out);
    else
        add_timer(r, p, ev, row->delay, out);
}

/* ── Steps ── */

static void enter(struct rotation *r)
{
    bool swapped = r->change == ROTATION_CHANGE_SWAP, moved = r->next.state != r->d.state;
    bool set = r->change == ROTATION_CHANGE_SET_MAIN || r->change == ROTATION_CHANGE_SET_BACKUP;

    if (swapped && r->next.state == ROTATION_OFFERED)
        r->fallback_at = r->passed_at;
    if (swapped) {
        r->proved_at = r->passed_at;
        r->main_answers = 0;
    }
    if (r->change != ROTATION_CHANGE_STATE && r->change != ROTATION_CHANGE_CLOUD_ID)
        r->passed_at = 0; /* that was another key */
    if (r->change == ROTATION_CHANGE_SET_MAIN || r->change == ROTATION_CHANGE_FORGET_MAIN) {
        r->proved_at = 0; /* that was another key */
        r->main_answers = 0;
    }
    /* The peer that accepted main since a fallback may not have been the cloud. */
    if (r->d.fallen && !r->next.fallen && !swapped)
        r->proved_at = 0;
    if (moved || set) /* what was found with another key */
        evidence_clear(r);
    /* The evidence goes along into ABANDONING, and ends with it. */
    if ((moved || set) && r->next.state != ROTATION_ABANDONING)
        r->absent = false;
    r->d = r->next;
    r->change = ROTATION_CHANGE_NONE;
}

static void committed(struct rotation *r, const struct rotation_policy *p, const struct rotation_event *ev,
                      struct rotation_actions *out)
{
    const struct rotation_row *row = &rotation_table[r->row];

    enter(r);
    /* The disk took so long that what was written down is no longer true. */
    if (row_asks(row) && stamp_age(&r->d.asked, &ev->now) > ROTATION_ASKED_AGE_MAX)
        add_timer(r, p, ev, DELAY_AGAIN, out);
    else
        add_row(r, p, row, ev, out);
}

static void commit_failed(struct rotation *r, const struct rotation_policy *p, const struct rotation_event *ev,
                          struct rotation_actions *out)
{
    const struct rotation_row *row = &rotation_table[r->row];

    r->change = ROTATION_CHANGE_NONE;
    /* A request that cannot be made now must not keep the other key from its turn. */
    if (row_asks(row))
        r->probe_turn = true;
    r->tries = MIN_OF((uint8_t)(r->tries + 1), (uint8_t)EVIDENCE_TRIES_MAX);
    if (row->send & SEND_REPLY)
        *add(out, ROTATION_DO_REPLY) = (struct rotation_action){
            .type = ROTATION_DO_REPLY, .reply = -EIO, .text = "the vault could not be written"};
    add_timer(r, p, ev, DELAY_RETRY, out);
}

static void commit(struct rotation *r, const struct rotation_row *row, const struct rotation_event *ev,
                   struct rotation_actions *out)
{
    struct rotation_action *a = add(out, ROTATION_DO_COMMIT);

    build_next(r, row, ev);
    r->change = row->change;
    r->row = (uint16_t)(row - rotation_table);
    a->change = row->change;
    a->again = row_asks(row) && r->next.state == r->d.state;
    a->role = row->change == ROTATION_CHANGE_CLOUD_ID ? rotation_target(&r->d) : ROTATION_BACKUP;
    a->next = &r->next;
    a->cloud_id = ev->cloud_id;
}

void rotation_init(struct rotation *r, bool has_main)
{
    *r = (struct rotation){.d = {.state = ROTATION_IDLE, .has_main = has_main}};
}

void rotation_restore(struct rotation *r, const struct rotation_durable *d)
{
    *r = (struct rotation){.d = *d};
}

int rotation_step(struct rotation *r, const struct rotation_policy *p, const struct rotation_event *ev,
                  struct rotation_actions *ret)
{
    bool ends_commit = ev->type == ROTATION_EV_COMMITTED || ev->type == ROTATION_EV_COMMIT_FAILED;
    enum rotation_request answered = answers(ev->type);
    const struct rotation_row *row;

    ret->n = 0;
    if (ends_commit != (r->change != ROTATION_CHANGE_NONE))
        return -EBUSY;
    if (answered != ROTATION_REQUEST_NONE && answered != r->in_flight)
        return -EBUSY;
    if (ev->type == ROTATION_EV_COMMITTED)
        committed(r, p, ev, ret);
    else if (ev->type == ROTATION_EV_COMMIT_FAILED)
        commit_failed(r, p, ev, ret);
    if (ends_commit)
        return 0;
    if (answered != ROTATION_REQUEST_NONE)
        r->in_flight = ROTATION_REQUEST_NONE;
    if (ev->type == ROTATION_EV_TIMER)
        r->due = 0;
    if (ev->type == ROTATION_EV_TIMER && r->in_flight != ROTATION_REQUEST_NONE)
        return 0; /* its result looks again */
    evidence_observe(r, p, ev);
    row = rotation_table_find(r->d.state, ev->type, evidence_facts(r, p, ev));
    if (row && row->change != ROTATION_CHANGE_NONE && !written_before(r, row))
        commit(r, row, ev, ret);
    else if (row)
        add_row(r, p, row, ev, ret);
    else if (answered != ROTATION_REQUEST_NONE)
        add_timer(r, p, ev, DELAY_AGAIN, ret); /* of a request that matters no longer */
    return 0;
}
