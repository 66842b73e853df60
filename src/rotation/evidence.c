/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rotation/evidence.h"

#include "base/cleanup.h"
#include "base/limits.h"

/* Answered refusals in a row that are believed: a single one may be a last flight that was lost. */
#define ANSWERS_BELIEVED 2

uint64_t event_time(const struct rotation_event *ev)
{
    return MAX_OF(ev->now.boottime, UINT64_C(1));
}

static bool passed(uint64_t since, uint64_t now, uint64_t span)
{
    return since == 0 || now < since || now - since >= span;
}

bool evidence_settled(const struct rotation *r, uint64_t now)
{
    return now >= r->unsettled_until;
}

enum rotation_role rotation_target(const struct rotation_durable *d)
{
    return d->has_backup ? ROTATION_BACKUP : ROTATION_MAIN;
}

static bool target_id(const struct rotation_durable *d)
{
    return d->has_backup ? d->backup_id : d->main_id;
}

/* ── What an event tells ── */

void evidence_clear(struct rotation *r)
{
    r->probe_answers = 0;
    r->refused_probes = 0;
    r->refused_at = 0;
    r->tries = 0;
    r->probe_turn = false;
    r->promote = false;
}

void evidence_unsettle(struct rotation *r, const struct stamp *since, const struct stamp *now)
{
    uint64_t age = stamp_age(since, now);

    if (age == AGE_UNKNOWN)
        age = 0;
    if (age >= ROTATION_REQUEST_LIFETIME)
        return;
    r->asked = age == 0 ? *now : *since;
    r->unsettled_until = MAX_OF(now->boottime, UINT64_C(1)) + ROTATION_REQUEST_LIFETIME - age;
}

bool evidence_asking(const struct rotation_durable *d)
{
    bool deleting = d->state == ROTATION_RETIRING || d->state == ROTATION_ABANDONING;

    return d->state == ROTATION_OFFERED || (deleting && !target_id(d));
}

/* A request under way may still arrive: counted from when it was sent, which is recorded before sending. */
static void observe_restart(struct rotation *r, const struct rotation_policy *p, const struct stamp *now)
{
    r->started = MAX_OF(now->boottime, UINT64_C(1));
    if (r->d.unsettled || (evidence_asking(&r->d) && !r->d.dated && !p->manual))
        evidence_unsettle(r, &r->d.asked, now);
}

bool rotation_way_back(const struct rotation *r)
{
    return r->d.state == ROTATION_SWAPPED || r->d.state == ROTATION_RETIRING || r->d.state == ROTATION_ABANDONING;
}

static void observe_rejection(struct rotation *r, enum rotation_event_type type, uint64_t now)
{
    /* With an offer still under way the rejection says nothing about what that one will do. */
    r->absent = evidence_settled(r, now);
    r->cause = type;
    if (!r->absent)
        r->tries++;
}

static void observe_retry(struct rotation *r, const struct rotation_event *ev)
{
    if (ev->maybe_sent)
        evidence_unsettle(r, &ev->now, &ev->now);
    r->tries++;
}

/* Whether the cloud accepted backup so lately that a refusal says more of the path than of the key. A restart forgets
 * passed_at, and nothing is lost by that: a new key that is accepted becomes main with a commit at once, and passed_at
 * outlives that only where the commit failed, so that nothing else could have been written down either. Then main has
 * to pass before the new key is given up. What was main is `fallen`, which is durable. */
static bool was_accepted(const struct rotation *r, uint64_t now)
{
    return r->d.fallen || (r->passed_at != 0 && !passed(r->passed_at, now, ROTATION_ACCEPTED_SPAN));
}

static void observe_probe_refused(struct rotation *r, uint64_t now)
{
    r->tries++;
    r->promote = r->promote && !rotation_way_back(r);
    if (++r->probe_answers < ANSWERS_BELIEVED)
        return;
    r->probe_answers = 0;
    /* Refused it is; but it is not on the way to being given up. */
    if (was_accepted(r, now))
        r->refused_probes = 0;
    if (r->refused_probes == 0)
        r->refused_at = now;
    if (r->refused_probes < ROTATION_REFUSED_PROBES)
        r->refused_probes++;
    if (r->refused_probes == ROTATION_REFUSED_PROBES && !rotation_way_back(r))
        r->cause = ROTATION_EV_PROBE_REFUSED;
}

static void observe_main(struct rotation *r, bool accepted, uint64_t now)
{
    if (accepted) {
        r->main_answers = 0;
        r->proved_at = now;
        r->promote = r->promote && !rotation_way_back(r);
        if (rotation_way_back(r)) /* main failed for another reason than backup did */
            r->probe_answers = r->refused_probes = 0;
    } else {
        r->main_answers = MIN_OF((uint8_t)(r->main_answers + 1), (uint8_t)ANSWERS_BELIEVED);
        r->proved_at = 0;
    }
}

/* An offer that took displaced main: what main was good for before it proves nothing any more. */
static void observe_offer(struct rotation *r, const struct rotation_policy *p, const struct rotation_event *ev)
{
    if (p->replaces)
        r->proved_at = 0;
    if (ev->type == ROTATION_EV_OFFER_RETRY)
        observe_retry(r, ev);
    else if (ev->type != ROTATION_EV_OFFER_OK)
        observe_rejection(r, ev->type, event_time(ev));
}

/* Of a handshake with either key. */
static void observe_handshake(struct rotation *r, enum rotation_event_type type, uint64_t now)
{
    if (type == ROTATION_EV_PROBE_ACCEPTED) {
        r->passed_at = now;
        r->tries = 0;
    } else if (type == ROTATION_EV_PROBE_REFUSED) {
        observe_probe_refused(r, now);
    } else {
        if (type == ROTATION_EV_VERIFY_REFUSED)
            r->tries++;
        observe_main(r, type == ROTATION_EV_VERIFY_ACCEPTED || type == ROTATION_EV_MAIN_ACCEPTED, now);
    }
}

/* Main took the place of a key that others know. */
static bool is_successor(const struct rotation_durable *d)
{
    return d->compromised && (d->state == ROTATION_SWAPPED || d->state == ROTATION_RETIRING);
}

static void observe_act(struct rotation *r, enum rotation_event_type type)
{
    if (type == ROTATION_EV_PROMOTE)
        r->promote = r->d.state == ROTATION_OFFERED || r->d.state == ROTATION_PROBING ||
                     (is_successor(&r->d) && r->main_answers >= ANSWERS_BELIEVED);
    else if (type == ROTATION_EV_CONNECT)
        r->tries = 0;
    else if (type == ROTATION_EV_FORGET_BACKUP)
        r->cause = type;
}

void evidence_observe(struct rotation *r, const struct rotation_policy *p, const struct rotation_event *ev)
{
    uint64_t now = event_time(ev);

    switch (ev->type) {
    case ROTATION_EV_RESTART:
        observe_restart(r, p, &ev->now);
        break;
    case ROTATION_EV_OFFER_OK:
    case ROTATION_EV_OFFER_CONFLICT:
    case ROTATION_EV_OFFER_INVALID:
    case ROTATION_EV_OFFER_RETRY:
        observe_offer(r, p, ev);
        break;
    case ROTATION_EV_FOUND:
        /* The cloud's own word that the new key is there: it is worth further probes. */
        if (r->d.state == ROTATION_PROBING)
            evidence_clear(r);
        break;
    case ROTATION_EV_ABSENT:
        observe_rejection(r, ev->type, now);
        break;
    case ROTATION_EV_FIND_RETRY:
        observe_retry(r, ev);
        break;
    case ROTATION_EV_DELETE_RETRY:
    case ROTATION_EV_PROBE_UNREACHABLE:
    case ROTATION_EV_PROBE_LOCAL:
    case ROTATION_EV_VERIFY_UNREACHABLE:
    case ROTATION_EV_VERIFY_LOCAL:
        r->tries++;
        break;
    case ROTATION_EV_PROBE_ACCEPTED:
    case ROTATION_EV_PROBE_REFUSED:
    case ROTATION_EV_VERIFY_ACCEPTED:
    case ROTATION_EV_VERIFY_REFUSED:
    case ROTATION_EV_MAIN_ACCEPTED:
    case ROTATION_EV_MAIN_REFUSED:
        observe_handshake(r, ev->type, now);
        break;
    case ROTATION_EV_FORGET_BACKUP:
    case ROTATION_EV_PROMOTE:
    case ROTATION_EV_CONNECT:
        observe_act(r, ev->type);
        break;
    case ROTATION_EV_TIMER:
    case ROTATION_EV_COMMITTED:
    case ROTATION_EV_COMMIT_FAILED:
    case ROTATION_EV_DELETE_OK:
    case ROTATION_EV_MAIN_UNREACHABLE:
    case ROTATION_EV_ROTATE:
    case ROTATION_EV_SET_MAIN:
    case ROTATION_EV_SET_BACKUP:
    case ROTATION_EV_FORGET_MAIN:
    case ROTATION_EV_EXPORT:
    case ROTATION_EV_REMOVE:
    case ROTATION_EVENTS:
        break;
    }
    r->tries = MIN_OF(r->tries, (uint8_t)EVIDENCE_TRIES_MAX);
}

/* ── Facts ── */

bool evidence_undated(const struct stamp *s, const struct stamp *now)
{
    return now->realtime != 0 && (s->realtime == 0 || stamp_age(s, now) == AGE_UNKNOWN);
}

uint64_t evidence_retire_left(const struct rotation *r, const struct rotation_policy *p, const struct stamp *now)
{
    uint64_t here = now->boottime > r->started ? now->boottime - r->started : 0;
    uint64_t age = stamp_age(&r->d.entered, now);

    if (age == AGE_UNKNOWN)
        age = here;
    return age >= p->retire_after ? 0 : p->retire_after - age;
}

static bool probes_spent(const struct rotation *r, uint64_t now)
{
    return r->refused_probes >= ROTATION_REFUSED_PROBES && passed(r->refused_at, now, ROTATION_REFUSED_PROBES_SPAN) &&
           !was_accepted(r, now);
}

static bool retire_due(const struct rotation *r, const struct rotation_policy *p, const struct stamp *now)
{
    const struct rotation_durable *d = &r->d;

    /* Nobody but the operator can delete there, so nobody but him knows when it is done. */
    if (p->manual && !p->replaces)
        return d->retire_now;
    return d->compromised || d->wanted || d->retire_now || d->removing || evidence_retire_left(r, p, now) == 0;
}

static uint32_t facts_standing(const struct rotation *r, const struct rotation_policy *p)
{
    const struct rotation_durable *d = &r->d;

    return (p->replaces ? FACT_REPLACES : 0u) | (p->manual ? FACT_MANUAL : 0u) | (p->looks ? FACT_LOOKS : 0u) |
           (p->out_of_band || p->manual ? FACT_OUT_OF_BAND : 0u) | (d->has_main ? FACT_MAIN : 0u) |
           (d->has_backup ? FACT_BACKUP : 0u) | (target_id(d) ? FACT_HAS_ID : 0u) | (d->wanted ? FACT_WANTED : 0u) |
           (d->removing ? FACT_REMOVING : 0u) | (d->conflict ? FACT_CONFLICT : 0u) | (d->fallen ? FACT_FALLEN : 0u) |
           (is_successor(d) ? FACT_SUCCESSOR : 0u) | (d->removing && p->out_of_band ? FACT_DETACHED : 0u);
}

static uint32_t facts_now(const struct rotation *r, const struct rotation_policy *p, const struct rotation_event *ev)
{
    const struct rotation_durable *d = &r->d;
    uint64_t now = event_time(ev);
    bool proved = r->proved_at != 0 && !passed(r->proved_at, now, ROTATION_RETIRE_PROOF_AGE + 1);
    bool spent = probes_spent(r, now);
    bool hopeless = r->absent || d->give_up || d->removing || (spent && !p->replaces && !p->manual);

    return (evidence_settled(r, now) ? FACT_SETTLED : 0u) | (proved || d->removing ? FACT_PROVED : 0u) |
           (retire_due(r, p, &ev->now) ? FACT_RETIRE_DUE : 0u) |
           (r->main_answers >= ANSWERS_BELIEVED ? FACT_MAIN_REFUSED : 0u) |
           (r->refused_probes > 0 ? FACT_BACKUP_REFUSED : 0u) | (spent ? FACT_PROBES_SPENT : 0u) |
           (hopeless ? FACT_HOPELESS : 0u) | (r->absent ? FACT_ABSENT : 0u) |
           (passed(r->fallback_at, now, ROTATION_FALLBACK_INTERVAL) ? FACT_FALLBACK : 0u) |
           (r->probe_turn ? FACT_PROBE_TURN : 0u) | (r->promote ? FACT_PROMOTE : 0u) |
           (ev->compromised ? FACT_COMPROMISED : 0u) | (ev->scheduled ? FACT_SCHEDULED : 0u) |
           (ev->confirmed ? FACT_CONFIRMED : 0u) | (ev->cloud_id && ev->cloud_id[0] ? FACT_ID : 0u) |
           (r->in_flight != ROTATION_REQUEST_NONE ? FACT_BUSY : 0u) |
           (d->has_main && evidence_undated(&d->main_since, &ev->now) ? FACT_UNDATED : 0u);
}

uint32_t evidence_facts(const struct rotation *r, const struct rotation_policy *p, const struct rotation_event *ev)
{
    return facts_standing(r, p) | facts_now(r, p, ev);
}
