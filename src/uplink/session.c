/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "uplink/session.h"

#include "base/clock.h"
#include "base/limits.h"
#include "uplink/session-internal.h"

#include <stdlib.h>
#include <string.h>

const char *uplink_state_text(enum uplink_state state)
{
    switch (state) {
    case UPLINK_STATE_STOPPED:
        return "stopped";
    case UPLINK_STATE_CONNECTING:
        return "connecting";
    case UPLINK_STATE_ONLINE:
        return "online";
    case UPLINK_STATE_BACKING_OFF:
        return "backing-off";
    case UPLINK_STATE_UNREACHABLE:
        return "unreachable";
    case UPLINK_STATE_REFUSED:
        return "refused";
    }
    return "";
}

const char *uplink_result_text(enum uplink_result result)
{
    switch (result) {
    case UPLINK_OK:
        return "ok";
    case UPLINK_REFUSED_ANSWER:
        return "refused";
    case UPLINK_UNREACHABLE:
        return "unreachable";
    case UPLINK_FAILED:
        return "failed";
    case UPLINK_LOCAL:
        return "local";
    }
    return "";
}

/* ── The timer ── */

static uint64_t next_deadline(const struct uplink_session *s)
{
    uint64_t at = s->uplink->transport->deadline(s);

    return s->phase == PHASE_WAITING ? MIN_OF(at, s->retry_at) : at;
}

/* A timer that is set too early costs one wake-up, resetting it for each request would cost every request: so it is
 * only ever moved forward, and looks again when it fires. */
static void arm(struct uplink_session *s)
{
    uint64_t at;

    if (!s->running)
        return;
    at = next_deadline(s);
    if (at < timer_at(s->uplink->timers, &s->timer))
        timer_set(s->uplink->timers, &s->timer, at);
}

void session_timer(struct timer *timer)
{
    struct uplink_session *s =
        (struct uplink_session *)(void *)((char *)timer - offsetof(struct uplink_session, timer));
    uint64_t now = clock_boottime();

    if (!s->running)
        return;
    session_enter(s);
    attempt_tick(s, now);
    if (s->running)
        s->uplink->transport->tick(s, now);
    session_leave(s);
}

/* ── What the parts have in common ── */

static void destroy(struct uplink_session *s)
{
    free(s->label);
    free(s->reason);
    free(s->result_reason);
    free(s);
}

static void tell(struct uplink_session *s)
{
    while (!s->freed && (s->tell_result || s->tell_state)) {
        if (s->tell_result) {
            _cleanup_free_ char *reason = TAKE_PTR(s->result_reason);

            s->tell_result = false;
            if (s->ops->result)
                s->ops->result(s->userdata, s->result, s->result_full, reason ? reason : "");
        } else {
            _cleanup_free_ char *reason = s->reason ? strdup(s->reason) : NULL;

            s->tell_state = false;
            s->ops->state(s->userdata, s->state, reason ? reason : "");
        }
    }
}

void session_enter(struct uplink_session *s)
{
    s->busy++;
}

void session_leave(struct uplink_session *s)
{
    if (s->busy == 1) {
        tell(s);
        arm(s);
    }
    if (--s->busy == 0 && s->freed)
        destroy(s);
}

void session_rearm(struct uplink_session *s)
{
    if (s->busy == 0)
        arm(s);
}

void session_set_state(struct uplink_session *s, enum uplink_state state, const char *reason)
{
    const char *before = s->reason ? s->reason : "";

    if (s->state == state && strcmp(before, reason) == 0)
        return;
    s->state = state;
    if (reason != s->reason) {
        free(s->reason);
        s->reason = reason[0] ? strdup(reason) : NULL;
    }
    s->tell_state = true;
}

void session_cancel_attempt(struct uplink_session *s)
{
    s->uplink->transport->drop_making(s);
    resolver_cancel(&s->resolving);
    if (s->admission.state != TICKET_NONE) {
        admission_leave(&s->uplink->admission, &s->admission);
        uplink_kick(s->uplink);
    }
    s->phase = PHASE_NONE;
}

void session_drop_open(struct uplink_session *s, enum uplink_bye bye)
{
    if (!s->open)
        return;
    s->uplink->transport->drop_open(s, bye);
    s->open = false;
}

void session_end(struct uplink_session *s, enum uplink_bye bye, const char *reason)
{
    if (!s->running)
        return;
    s->running = false;
    session_cancel_attempt(s);
    session_drop_open(s, bye);
    s->uplink->transport->drop_ticket(s);
    timer_stop(s->uplink->timers, &s->timer);
    session_set_state(s, UPLINK_STATE_STOPPED, reason);
    s->uplink->transport->stop(s);
}

/* ── What the owner calls ── */

int uplink_session_new(struct uplink *u, const struct uplink_session_ops *ops, void *userdata,
                       struct uplink_session **ret)
{
    struct uplink_session *s = calloc(1, u->transport->size);

    if (!s || timers_reserve(u->timers) < 0) {
        free(s);
        return -ENOMEM;
    }
    s->uplink = u;
    uplink_session_set_ops(s, ops, userdata);
    s->next = u->sessions;
    s->link = &u->sessions;
    if (s->next)
        s->next->link = &s->next;
    u->sessions = s;
    *ret = s;
    return 0;
}

struct uplink_session *uplink_session_free(struct uplink_session *s)
{
    if (!s || s->freed)
        return NULL;
    s->freed = true;
    session_enter(s);
    session_end(s, UPLINK_SILENT, "");
    timers_release(s->uplink->timers);
    if (s->uplink->look_next == s)
        s->uplink->look_next = s->next;
    *s->link = s->next;
    if (s->next)
        s->next->link = s->link;
    session_leave(s);
    return NULL;
}

static int start(struct uplink_session *s, const char *label, const struct vault_entry *entry, enum vault_slot slot,
                 bool once)
{
    char *copy;
    int r;

    if (s->running)
        return -EBUSY;
    copy = strdup(label);
    if (!copy)
        return -ENOMEM;
    free(s->label);
    s->label = copy;
    r = s->uplink->transport->start(s);
    if (r < 0)
        return r;
    s->entry = entry;
    s->slot = slot;
    s->once = once;
    s->running = true;
    s->fresh = false;
    s->refused = 0;
    s->round = (struct resolver_round){0};
    s->full_at = 0;
    backoff_reset(&s->backoff);
    session_enter(s);
    attempt_begin(s);
    session_leave(s);
    return 0;
}

int uplink_session_start(struct uplink_session *s, const char *label, const struct vault_entry *entry,
                         enum vault_slot slot)
{
    return start(s, label, entry, slot, false);
}

int uplink_session_once(struct uplink_session *s, const char *label, const struct vault_entry *entry,
                        enum vault_slot slot)
{
    return start(s, label, entry, slot, true);
}

void uplink_session_adopt(struct uplink_session *s, enum vault_slot slot)
{
    s->slot = slot;
    s->once = false;
}

void uplink_session_set_ops(struct uplink_session *s, const struct uplink_session_ops *ops, void *userdata)
{
    s->ops = ops;
    s->userdata = userdata;
}

void uplink_session_renew(struct uplink_session *s)
{
    if (!s->running)
        return;
    session_enter(s);
    s->uplink->transport->drop_ticket(s);
    s->fresh = true;
    s->refused = 0;
    backoff_reset(&s->backoff);
    attempt_begin(s);
    session_leave(s);
}

void uplink_session_hurry(struct uplink_session *s)
{
    if (!s->running || (s->open && s->phase == PHASE_NONE))
        return;
    session_enter(s);
    /* The caller knows more than a finding of a moment ago. */
    s->uplink->away_at = 0;
    resolver_refresh(s->uplink->resolver, clock_boottime());
    if (s->phase == PHASE_WAITING)
        attempt_begin(s);
    session_leave(s);
}

void uplink_session_stop(struct uplink_session *s, enum uplink_bye bye)
{
    session_enter(s);
    session_end(s, bye, "");
    session_leave(s);
}

int uplink_session_request(struct uplink_session *s, const struct uplink_request *request, uplink_done done,
                           void *userdata, struct uplink_call **ret_call)
{
    int r;

    if (!s->running)
        return -ESHUTDOWN;
    session_enter(s);
    r = s->uplink->transport->request(s, request, done, userdata, ret_call);
    session_leave(s);
    return r;
}

int uplink_session_subscribe(struct uplink_session *s, const char *target, int accept, uplink_notification notify,
                             void *userdata, struct uplink_subscription **ret)
{
    int r;

    if (!s->running)
        return -ESHUTDOWN;
    session_enter(s);
    r = s->uplink->transport->subscribe(s, target, accept, notify, userdata, ret);
    session_leave(s);
    return r;
}

size_t uplink_session_payload_max(const struct uplink_session *s)
{
    return s->open ? s->uplink->transport->payload_max(s) : 0;
}

void uplink_session_info(const struct uplink_session *s, struct uplink_info *ret)
{
    *ret = (struct uplink_info){
        .state = s->state,
        .reason = s->reason ? s->reason : "",
        .trouble = s->trouble,
        .retry_at = s->phase == PHASE_WAITING ? s->retry_at : 0,
        .slot = s->slot,
        .full_at = s->full_at,
        .counters = s->counters,
    };
    s->uplink->transport->count(s, &ret->counters);
    if (!s->open)
        return;
    ret->established = true;
    ret->online_since = s->online_since;
    resolver_address_text(&s->open_address, ret->address);
    s->uplink->transport->info(s, ret);
}

void uplink_introduction_done(struct uplink_introduction *i)
{
    free(i->client_id);
    free(i->will_topic);
    free(i->will_payload);
    *i = (struct uplink_introduction){0};
}
