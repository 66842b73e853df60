/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "uplink/session-internal.h"

#include "base/clock.h"
#include "base/limits.h"
#include "uplink/udp.h"
#include "vault/key.h"

#include <stdlib.h>
#include <string.h>

static const struct dtls_ops dtls_ops;

/* ── Beginning ── */

static void attempt_over(struct uplink_session *s, enum uplink_result result, const char *reason);

static bool is_doubted(const struct uplink_session *s)
{
    return s->hinted || coap_endpoint_stale(s->endpoint);
}

static void join_queue(struct uplink_session *s)
{
    s->phase = PHASE_QUEUED;
    admission_ask(&s->uplink->admission, &s->admission);
    uplink_kick(s->uplink);
}

static void on_resolved(int r, const char *why, void *userdata)
{
    struct uplink_session *s = userdata;

    session_enter(s);
    if (r < 0)
        attempt_over(s, UPLINK_UNREACHABLE, why);
    else
        join_queue(s);
    session_leave(s);
}

static void on_admitted(void *userdata);

void attempt_begin(struct uplink_session *s)
{
    int r;

    session_cancel_attempt(s);
    s->tried = 0;
    s->phase = PHASE_RESOLVING;
    s->resolving.done = on_resolved;
    s->resolving.userdata = s;
    s->admission.admitted = on_admitted;
    s->admission.userdata = s;
    /* While it tries again, what is known of the last attempt says more. */
    if (!s->open && s->state != UPLINK_STATE_UNREACHABLE && s->state != UPLINK_STATE_REFUSED)
        session_set_state(s, UPLINK_STATE_CONNECTING, s->reason ?: "");
    r = resolver_ask(s->uplink->resolver, &s->resolving);
    if (r > 0)
        join_queue(s);
    else if (r < 0)
        attempt_over(s, UPLINK_LOCAL, strerror(-r));
}

void attempt_schedule(struct uplink_session *s, uint64_t at)
{
    session_cancel_attempt(s);
    s->phase = PHASE_WAITING;
    s->retry_at = at;
}

static const struct vault_credential *usable_credential(struct uplink_session *s, struct error *e)
{
    const struct vault_credential *c = vault_credential(s->entry, s->slot);
    const char *slot = vault_slot_to_string(s->slot);

    if (!c->present)
        error_set(e, -ENOENT, "there is no credential in slot %s", slot);
    else if (c->quarantined)
        error_set(e, -EBADMSG, "the credential in slot %s is in quarantine: its record does not open", slot);
    else if (c->kind != VAULT_PSK)
        error_set(e, -EINVAL, "the credential in slot %s is of kind %s, DTLS needs psk", slot,
                  vault_kind_to_string(c->kind));
    else
        return c;
    return NULL;
}

/* What the handshake may offer to resume: of the session in use, or of the last one; never of another key. */
static const gnutls_datum_t *find_ticket(struct uplink_session *s, uint64_t generation)
{
    if (s->fresh || s->once)
        return NULL;
    if (s->open && s->open_generation == generation && s->ticket.size == 0 && dtls_resumption(s->open, &s->ticket) == 0)
        s->ticket_generation = generation;
    if (s->ticket.size > 0 && s->ticket_generation != generation)
        session_drop_ticket(s);
    return s->ticket.size > 0 ? &s->ticket : NULL;
}

static int make(struct uplink_session *s, const struct vault_credential *credential, struct error *e)
{
    struct uplink *u = s->uplink;
    const struct resolver_address *address = resolver_at(u->resolver, s->address);
    const gnutls_datum_t *ticket = find_ticket(s, credential->generation);
    /* Some servers are deaf to a new handshake from the address and port of a session that they still have: after this
     * agent was killed, among many children some get such a port again. */
    struct dtls_options options = {
        .shared = u->dtls,
        .ops = &dtls_ops,
        .userdata = s,
        .address = address,
        .resume = ticket,
        .first_answer = resolver_count(u->resolver) > 1 ? DTLS_NEXT_ADDRESS : DTLS_NEXT_SOCKET,
    };

    s->making_generation = credential->generation;
    s->making_full = !ticket;
    s->making_address = *address;
    return dtls_new(&options, &s->making, e);
}

static void on_admitted(void *userdata)
{
    struct uplink_session *s = userdata;
    const struct vault_credential *credential;
    struct error e = {0};
    int r;

    session_enter(s);
    s->phase = PHASE_HANDSHAKE;
    s->making_full = true;
    credential = usable_credential(s, &e);
    if (!credential) {
        attempt_over(s, UPLINK_LOCAL, e.text);
    } else {
        r = make(s, credential, &e);
        if (r < 0)
            attempt_over(s, udp_is_network_error(-r) ? UPLINK_UNREACHABLE : UPLINK_LOCAL, e.text);
        else
            dtls_begin(s->making, clock_boottime());
    }
    session_leave(s);
}

/* ── Ending ── */

/* Before anybody is told that nobody is there, every address is tried. */
static bool try_next_address(struct uplink_session *s)
{
    s->address++;
    if (++s->tried >= resolver_count(s->uplink->resolver))
        return false;
    join_queue(s);
    return true;
}

static enum uplink_state state_after(const struct uplink_session *s, enum uplink_result result)
{
    if (result == UPLINK_UNREACHABLE)
        return UPLINK_STATE_UNREACHABLE;
    return s->refused >= 2 ? UPLINK_STATE_REFUSED : UPLINK_STATE_BACKING_OFF;
}

static void tell_result(struct uplink_session *s, enum uplink_result result, bool full, const char *reason)
{
    free(s->result_reason);
    s->result_reason = strdup(reason);
    s->result = result;
    s->result_full = full;
    s->tell_result = true;
}

static void attempt_over(struct uplink_session *s, enum uplink_result result, const char *reason)
{
    uint64_t now = clock_boottime();

    s->counters.handshakes_failed++;
    session_cancel_attempt(s);
    if (result == UPLINK_UNREACHABLE)
        resolver_failed(s->uplink->resolver, now);
    if (result == UPLINK_UNREACHABLE && try_next_address(s))
        return;
    if (result == UPLINK_FAILED)
        s->address++;
    if (result == UPLINK_REFUSED_ANSWER && s->making_full)
        s->refused++;
    /* Whatever was wrong, the ticket may have been the cause. */
    if (result == UPLINK_REFUSED_ANSWER || result == UPLINK_FAILED)
        session_drop_ticket(s);
    tell_result(s, result, s->making_full, reason);
    if (s->once) {
        session_end(s, false, reason);
        return;
    }
    attempt_schedule(s, now + backoff_failed(&s->backoff, s->refused > 0));
    if (!s->open || is_doubted(s))
        session_set_state(s, state_after(s, result), reason);
    else
        session_set_state(s, UPLINK_STATE_ONLINE, reason);
}

static void op_failed(void *userdata, enum dtls_failure failure, const char *reason)
{
    static const enum uplink_result results[] = {
        [DTLS_UNREACHABLE] = UPLINK_UNREACHABLE,
        [DTLS_ANSWERED] = UPLINK_REFUSED_ANSWER,
        [DTLS_FAILED] = UPLINK_FAILED,
        [DTLS_LOCAL] = UPLINK_LOCAL,
    };
    struct uplink_session *s = userdata;
    struct error e;

    session_enter(s);
    if (failure == DTLS_ANSWERED)
        error_set(&e, 0, "%s, identity %s: %s", s->uplink->endpoint, vault_credential(s->entry, s->slot)->identity,
                  reason);
    else
        error_set(&e, 0, "%s: %s", s->uplink->endpoint, reason);
    attempt_over(s, results[failure], e.text);
    session_leave(s);
}

static void op_opened(void *userdata)
{
    struct uplink_session *s = userdata;
    uint64_t now = clock_boottime();
    bool full = !dtls_resumed(s->making);

    session_enter(s);
    if (s->open)
        s->counters.stale_switches++;
    session_drop_open(s, true);
    s->open = TAKE_PTR(s->making);
    s->open_generation = s->making_generation;
    s->open_address = s->making_address;
    session_cancel_attempt(s);
    session_drop_ticket(s);
    s->online_since = now;
    s->hinted = s->fresh = false;
    s->refused = 0;
    s->address = 0;
    resolver_worked(s->uplink->resolver, &s->open_address);
    if (full) {
        s->full_at = now;
        s->counters.handshakes_full++;
    } else {
        s->counters.handshakes_resumed++;
    }
    tell_result(s, UPLINK_OK, full, "");
    session_set_state(s, UPLINK_STATE_ONLINE, "");
    s->data_max = dtls_data_max(s->open);
    coap_endpoint_set_datagram_max(s->endpoint, s->data_max);
    coap_endpoint_reconnected(s->endpoint, now);
    session_leave(s);
}

/* ── A session in use ── */

static void op_received(void *userdata, const uint8_t *data, size_t n)
{
    struct uplink_session *s = userdata;

    session_enter(s);
    if (s->hinted) {
        s->hinted = false;
        if (!coap_endpoint_stale(s->endpoint))
            attempt_answered(s);
    }
    coap_endpoint_receive(s->endpoint, clock_boottime(), data, n);
    session_leave(s);
}

/* A server that opens and closes at once gets the patience of one that is away. */
static uint64_t reconnect_delay(struct uplink_session *s, uint64_t now)
{
    bool short_lived = now - s->online_since < BACKOFF_MAX;

    if (short_lived && s->backoff.failures > 0)
        return backoff_failed(&s->backoff, false);
    s->backoff.failures = short_lived ? 1 : 0;
    return backoff_spread(s->uplink->jitter);
}

static void op_closed(void *userdata, const char *reason)
{
    struct uplink_session *s = userdata;
    uint64_t now = clock_boottime();
    struct error e;

    session_enter(s);
    error_set(&e, 0, "%s: %s", s->uplink->endpoint, reason);
    if (!s->fresh && s->ticket.size == 0 && dtls_resumption(s->open, &s->ticket) == 0)
        s->ticket_generation = s->open_generation;
    session_drop_open(s, false);
    if (s->once) {
        session_end(s, false, e.text);
    } else {
        coap_endpoint_disconnected(s->endpoint, now);
        if (s->phase == PHASE_NONE)
            attempt_schedule(s, now + reconnect_delay(s, now));
        session_set_state(s, s->phase == PHASE_WAITING ? UPLINK_STATE_BACKING_OFF : UPLINK_STATE_CONNECTING, e.text);
    }
    session_leave(s);
}

/* What can be sent by anybody may hasten, once in a while, but not decide. */
static void op_hinted(void *userdata)
{
    struct uplink_session *s = userdata;
    uint64_t now = clock_boottime();

    if (s->hinted_at != 0 && now - s->hinted_at < BACKOFF_MAX)
        return;
    s->hinted_at = now;
    session_enter(s);
    s->hinted = true;
    attempt_suspected(s);
    session_leave(s);
}

static void op_rearm(void *userdata)
{
    struct uplink_session *s = userdata;

    session_enter(s);
    session_leave(s);
}

static int op_key(void *userdata, const char **ret_identity, struct secret **ret_key, struct error *e)
{
    struct uplink_session *s = userdata;
    const struct vault_credential *credential = usable_credential(s, e);
    int r;

    if (!credential || credential->generation != s->making_generation)
        return credential ? error_set(e, -ESTALE, "the credential was replaced during the handshake") : -ENOENT;
    r = vault_key_open(s->uplink->vault, s->entry, s->slot, ret_key, e);
    if (r < 0)
        return r;
    *ret_identity = credential->identity;
    return 0;
}

static const struct dtls_ops dtls_ops = {
    .key = op_key,
    .opened = op_opened,
    .failed = op_failed,
    .received = op_received,
    .closed = op_closed,
    .hinted = op_hinted,
    .rearm = op_rearm,
};

void attempt_suspected(struct uplink_session *s)
{
    if (!s->open || s->once)
        return;
    if (s->phase == PHASE_NONE) {
        if (clock_boottime() - s->online_since >= BACKOFF_MAX)
            backoff_reset(&s->backoff);
        attempt_begin(s);
    }
}

void attempt_answered(struct uplink_session *s)
{
    if (!s->open || s->fresh)
        return;
    if (s->phase != PHASE_NONE) {
        session_cancel_attempt(s);
        s->counters.stale_kept++;
    }
    session_set_state(s, UPLINK_STATE_ONLINE, "");
}

static bool is_elsewhere(const struct uplink_session *s, struct attempt_route *route)
{
    struct resolver_address used;

    if (!resolver_address_equal(&route->peer, &s->open_address)) {
        route->peer = s->open_address;
        route->r = udp_local_address_to(&route->peer, &route->local);
    }
    return route->r == 0 && dtls_local_address(s->open, &used) == 0 && !resolver_address_equal(&used, &route->local);
}

void attempt_moved(struct uplink_session *s, struct attempt_route *route)
{
    uint64_t at = clock_boottime() + backoff_spread(s->uplink->jitter);

    if (!s->running || s->once)
        return;
    session_enter(s);
    if (s->open && s->phase == PHASE_NONE && is_elsewhere(s, route))
        attempt_schedule(s, at);
    else if (s->phase == PHASE_WAITING && s->retry_at > at)
        s->retry_at = at;
    session_leave(s);
}

void attempt_tick(struct uplink_session *s, uint64_t now)
{
    if (s->phase == PHASE_WAITING && now >= s->retry_at)
        attempt_begin(s);
    else if (s->making && now >= dtls_deadline(s->making))
        dtls_tick(s->making, now);
}
