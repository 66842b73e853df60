/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The state of a session: entered and left, told to its owner, ended. Begins nothing. */
#include "base/clock.h"
#include "base/limits.h"
#include "uplink/session-internal.h"

#include <stdlib.h>
#include <string.h>

/* ── The timer ── */

static uint64_t next_deadline(const struct uplink_session *s)
{
    uint64_t at = s->uplink->transport->deadline(s);

    return s->attempt.phase == PHASE_WAITING ? MIN_OF(at, s->attempt.retry_at) : at;
}

/* A timer that is set too early costs one wake-up, resetting it for each request would cost every request: so it is
 * only ever moved forward, and looks again when it fires. */
static void arm(struct uplink_session *s)
{
    uint64_t at;

    if (s->life == SESSION_STOPPED)
        return;
    at = next_deadline(s);
    if (at < timer_at(s->uplink->timers, &s->timer))
        timer_set(s->uplink->timers, &s->timer, at);
}

/* ── What is told ── */

static void destroy(struct uplink_session *s)
{
    uplink_host_free(s->attempt.referred);
    uplink_host_free(s->standing.referred);
    free(s->label);
    free(s->news.reason);
    free(s->news.result_reason);
    free(s->news.trouble_host);
    free(s);
}

static void tell(struct uplink_session *s)
{
    while (!s->freed && (s->news.tell_result || s->news.tell_state)) {
        if (s->news.tell_result) {
            _cleanup_free_ char *reason = TAKE_PTR(s->news.result_reason);

            s->news.tell_result = false;
            if (s->ops->result)
                s->ops->result(s->userdata, s->news.result, s->news.result_full, reason ? reason : "");
        } else {
            _cleanup_free_ char *reason = s->news.reason ? strdup(s->news.reason) : NULL;

            s->news.tell_state = false;
            s->ops->state(s->userdata, s->news.state, reason ? reason : "");
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
    const char *before = s->news.reason ? s->news.reason : "";

    if (s->news.state == state && strcmp(before, reason) == 0)
        return;
    s->news.state = state;
    if (reason != s->news.reason) {
        free(s->news.reason);
        s->news.reason = reason[0] ? strdup(reason) : NULL;
    }
    s->news.tell_state = true;
}

/* ── Admission ── */

void session_admit(struct uplink *u)
{
    uint64_t at = admission_next(&u->admission, clock_boottime());

    (void)sd_event_source_set_time(u->admission_timer, at);
    (void)sd_event_source_set_enabled(u->admission_timer, at == USEC_INFINITY ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
}

/* ── Ends ── */

void session_cancel_attempt(struct uplink_session *s)
{
    s->uplink->transport->drop_making(s);
    resolver_cancel(&s->attempt.resolving);
    if (s->attempt.admission.state != TICKET_NONE) {
        admission_leave(&s->uplink->admission, &s->attempt.admission);
        session_admit(s->uplink);
    }
    s->attempt.phase = PHASE_NONE;
}

void session_drop_open(struct uplink_session *s, enum uplink_bye bye)
{
    if (!s->standing.open)
        return;
    s->uplink->transport->drop_open(s, bye);
    s->standing.open = false;
}

void session_end(struct uplink_session *s, enum uplink_bye bye, const char *reason)
{
    if (s->life == SESSION_STOPPED)
        return;
    s->life = SESSION_STOPPED;
    session_cancel_attempt(s);
    session_drop_open(s, bye);
    s->uplink->transport->drop_ticket(s);
    timer_stop(s->uplink->timers, &s->timer);
    session_set_state(s, UPLINK_STATE_STOPPED, reason);
    s->uplink->transport->stop(s);
}
