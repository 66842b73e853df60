/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "uplink/session.h"

#include "base/clock.h"
#include "base/limits.h"
#include "uplink/session-internal.h"

#include <stdlib.h>
#include <string.h>

#define TIMER_ACCURACY (100 * USEC_PER_MSEC) /* lets the loop serve many sessions in one wake-up */

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
    uint64_t at = coap_endpoint_deadline(s->endpoint);

    if (s->phase == PHASE_WAITING)
        at = MIN_OF(at, s->retry_at);
    if (s->making) {
        uint64_t handshake = dtls_deadline(s->making);

        at = MIN_OF(at, handshake);
    }
    return at;
}

/* A timer that is set too early costs one wake-up, resetting it for each request would cost every request: so it is
 * only ever moved forward, and looks again when it fires. */
static void arm(struct uplink_session *s)
{
    uint64_t at;

    if (!s->running)
        return;
    at = next_deadline(s);
    if (at >= s->armed_for)
        return;
    s->armed_for = at;
    (void)sd_event_source_set_time(s->timer, at);
    (void)sd_event_source_set_enabled(s->timer, SD_EVENT_ONESHOT);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct uplink_session *s = userdata;
    uint64_t now = clock_boottime();

    s->armed_for = USEC_INFINITY;
    if (!s->running)
        return 0;
    session_enter(s);
    attempt_tick(s, now);
    if (s->running && now >= coap_endpoint_deadline(s->endpoint))
        coap_endpoint_tick(s->endpoint, now);
    session_leave(s);
    return 0;
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

static void add_counters(const struct dtls *d, struct uplink_counters *c)
{
    struct dtls_counters more;

    dtls_counters(d, &more);
    c->datagrams_in += more.datagrams_in;
    c->datagrams_out += more.datagrams_out;
    c->dropped += more.dropped;
    c->renegotiations_refused += more.renegotiations_refused;
}

void session_cancel_attempt(struct uplink_session *s)
{
    if (s->making)
        add_counters(s->making, &s->counters);
    s->making = dtls_free(s->making);
    resolver_cancel(&s->resolving);
    if (s->admission.state != TICKET_NONE) {
        admission_leave(&s->uplink->admission, &s->admission);
        uplink_kick(s->uplink);
    }
    s->phase = PHASE_NONE;
}

void session_drop_open(struct uplink_session *s, bool bye)
{
    if (!s->open)
        return;
    if (bye)
        dtls_bye(s->open);
    add_counters(s->open, &s->counters);
    s->open = dtls_free(s->open);
}

void session_drop_ticket(struct uplink_session *s)
{
    dtls_resumption_free(&s->ticket);
}

void session_end(struct uplink_session *s, bool bye, const char *reason)
{
    struct coap_endpoint *endpoint;

    if (!s->running)
        return;
    s->running = false;
    endpoint = TAKE_PTR(s->endpoint);
    session_cancel_attempt(s);
    session_drop_open(s, bye);
    session_drop_ticket(s);
    (void)sd_event_source_set_enabled(s->timer, SD_EVENT_OFF);
    s->armed_for = USEC_INFINITY;
    session_set_state(s, UPLINK_STATE_STOPPED, reason);
    (void)coap_endpoint_free(endpoint);
}

/* ── The exchange layer below ── */

static int op_send(void *userdata, const uint8_t *datagram, size_t n)
{
    struct uplink_session *s = userdata;
    size_t max;
    int r;

    if (!s->open)
        return -ENOTCONN;
    r = dtls_send(s->open, datagram, n);
    max = dtls_data_max(s->open);
    if (max != s->data_max) {
        s->data_max = max;
        coap_endpoint_set_datagram_max(s->endpoint, max);
    }
    return r;
}

static void op_suspect(void *userdata)
{
    struct uplink_session *s = userdata;

    session_enter(s);
    attempt_suspected(s);
    session_leave(s);
}

static void op_answered(void *userdata)
{
    struct uplink_session *s = userdata;

    session_enter(s);
    attempt_answered(s);
    session_leave(s);
}

static void op_rearm(void *userdata, uint64_t deadline)
{
    struct uplink_session *s = userdata;

    if (s->busy == 0)
        arm(s);
}

static const struct coap_endpoint_ops endpoint_ops = {
    .send = op_send,
    .suspect = op_suspect,
    .answered = op_answered,
    .rearm = op_rearm,
};

/* ── What the owner calls ── */

int uplink_session_new(struct uplink *u, const struct uplink_session_ops *ops, void *userdata,
                       struct uplink_session **ret)
{
    _cleanup_(uplink_session_freep) struct uplink_session *s = calloc(1, sizeof(*s));
    int r;

    if (!s)
        return -ENOMEM;
    s->uplink = u;
    s->armed_for = USEC_INFINITY;
    uplink_session_set_ops(s, ops, userdata);
    s->next = u->sessions;
    s->link = &u->sessions;
    if (s->next)
        s->next->link = &s->next;
    u->sessions = s;
    r = sd_event_add_time(u->event, &s->timer, CLOCK_BOOTTIME, 0, TIMER_ACCURACY, on_timer, s);
    if (r >= 0)
        r = sd_event_source_set_enabled(s->timer, SD_EVENT_OFF);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(s);
    return 0;
}

struct uplink_session *uplink_session_free(struct uplink_session *s)
{
    if (!s || s->freed)
        return NULL;
    s->freed = true;
    session_enter(s);
    session_end(s, false, "");
    s->timer = sd_event_source_disable_unref(s->timer);
    *s->link = s->next;
    if (s->next)
        s->next->link = s->link;
    session_leave(s);
    return NULL;
}

static int start(struct uplink_session *s, const char *label, const struct vault_entry *entry, enum vault_slot slot,
                 bool once)
{
    struct coap_endpoint_options options = {
        .ops = &endpoint_ops,
        .userdata = s,
        .nstart = s->uplink->nstart,
    };
    char *copy;
    int r;

    if (s->running)
        return -EBUSY;
    copy = strdup(label);
    if (!copy)
        return -ENOMEM;
    free(s->label);
    s->label = copy;
    r = coap_endpoint_new(&options, &s->endpoint);
    if (r < 0)
        return r;
    coap_endpoint_disconnected(s->endpoint, clock_boottime());
    s->entry = entry;
    s->slot = slot;
    s->once = once;
    s->running = true;
    s->fresh = false;
    s->refused = 0;
    s->address = 0;
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
    session_drop_ticket(s);
    s->fresh = true;
    s->refused = 0;
    backoff_reset(&s->backoff);
    attempt_begin(s);
    session_leave(s);
}

void uplink_session_hurry(struct uplink_session *s)
{
    if (!s->running || s->phase != PHASE_WAITING)
        return;
    session_enter(s);
    attempt_begin(s);
    session_leave(s);
}

void uplink_session_stop(struct uplink_session *s, bool bye)
{
    session_enter(s);
    session_end(s, bye, "");
    session_leave(s);
}

int uplink_session_request(struct uplink_session *s, const struct coap_request *request, coap_done done, void *userdata,
                           struct coap_exchange **ret)
{
    int r;

    if (!s->running)
        return -ESHUTDOWN;
    session_enter(s);
    r = coap_request(s->endpoint, clock_boottime(), request, done, userdata, ret);
    session_leave(s);
    return r;
}

int uplink_session_observe(struct uplink_session *s, const char *path, int accept, coap_notification notify,
                           void *userdata, struct coap_observation **ret)
{
    int r;

    if (!s->running)
        return -ESHUTDOWN;
    session_enter(s);
    r = coap_observe(s->endpoint, clock_boottime(), path, accept, notify, userdata, ret);
    session_leave(s);
    return r;
}

void uplink_session_info(const struct uplink_session *s, struct uplink_info *ret)
{
    *ret = (struct uplink_info){
        .state = s->state,
        .reason = s->reason ? s->reason : "",
        .slot = s->slot,
        .full_at = s->full_at,
        .counters = s->counters,
    };
    if (s->making)
        add_counters(s->making, &ret->counters);
    if (!s->open)
        return;
    add_counters(s->open, &ret->counters);
    ret->established = true;
    ret->resumed = dtls_resumed(s->open);
    ret->online_since = s->online_since;
    suite_text(dtls_session(s->open), ret->suite);
    ret->forward_secrecy = suite_forward_secrecy(dtls_session(s->open));
    resolver_address_text(&s->open_address, ret->address);
    if (s->endpoint) {
        struct coap_statistics statistics;

        coap_endpoint_statistics(s->endpoint, &statistics);
        ret->rtt = statistics.rtt;
    }
}
