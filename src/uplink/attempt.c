/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "uplink/session-internal.h"

#include "base/clock.h"
#include "base/limits.h"
#include "uplink/udp.h"
#include "vault/key.h"

#include <stdlib.h>
#include <string.h>

/* ── Beginning ── */

static void attempt_over(struct uplink_session *s, enum uplink_result result, enum uplink_trouble trouble,
                         const char *reason);

static void join_queue(struct uplink_session *s)
{
    s->attempt.phase = PHASE_QUEUED;
    admission_ask(&s->uplink->admission, &s->attempt.admission);
    session_admit(s->uplink);
}

static void on_resolved(int r, const char *why, void *userdata)
{
    struct uplink_session *s = userdata;

    session_enter(s);
    if (r < 0)
        attempt_over(s, UPLINK_UNREACHABLE, UPLINK_TROUBLE_NAME, why);
    else
        join_queue(s);
    session_leave(s);
}

static void on_admitted(void *userdata);

void attempt_begin(struct uplink_session *s)
{
    int r;

    session_cancel_attempt(s);
    session_choose_host(s, clock_boottime());
    s->attempt.phase = PHASE_RESOLVING;
    s->attempt.resolving.done = on_resolved;
    s->attempt.resolving.userdata = s;
    s->attempt.admission.admitted = on_admitted;
    s->attempt.admission.userdata = s;
    /* While it tries again, what is known of the last attempt says more. */
    if (!s->standing.open && s->news.state != UPLINK_STATE_UNREACHABLE && s->news.state != UPLINK_STATE_REFUSED)
        session_set_state(s, UPLINK_STATE_CONNECTING, s->news.reason ?: "");
    r = resolver_ask(session_host(s)->resolver, &s->attempt.resolving);
    if (r > 0)
        join_queue(s);
    else if (r < 0)
        attempt_over(s, UPLINK_LOCAL, UPLINK_TROUBLE_LOCAL, strerror(-r));
}

void attempt_schedule(struct uplink_session *s, uint64_t at)
{
    session_cancel_attempt(s);
    s->attempt.phase = PHASE_WAITING;
    s->attempt.retry_at = at;
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
        error_set(e, -EINVAL, "the credential in slot %s is of kind %s, a session needs psk", slot,
                  vault_kind_to_string(c->kind));
    else
        return c;
    return NULL;
}

/* Each address is tried before one of them is tried again. */
static const struct resolver_address *next_address(struct uplink_session *s)
{
    const struct resolver *resolver = session_host(s)->resolver;

    if (resolver_round_over(resolver, &s->attempt.round)) {
        s->attempt.round = (struct resolver_round){0};
        s->attempt.rounds++;
    }
    return resolver_next(resolver, &s->attempt.round);
}

uint64_t attempt_address_wait(const struct uplink_session *s, uint64_t alone)
{
    uint64_t n = 0, wait, longest;
    unsigned doublings = MIN_OF(s->attempt.rounds, 4U);

    /* A host whose name has not been looked up has at least one. */
    for (size_t i = 0; i < s->uplink->n_hosts; i++)
        n += MAX_OF(resolver_count(s->uplink->hosts[i].resolver), s->uplink->n_hosts > 1 ? (size_t)1 : 0);
    if (s->attempt.referred)
        n += resolver_count(s->attempt.referred->resolver);
    if (n <= 1)
        return alone;
    wait = MIN_OF(ADDRESS_WAIT_MAX, ADDRESS_ROUND / n);
    wait = MAX_OF(wait, ADDRESS_WAIT_MIN) << doublings;
    longest = MAX_OF(ADDRESS_WAIT_MAX, ADDRESS_ROUND_MAX / n);
    longest = MIN_OF(longest, alone);
    return MIN_OF(wait, longest);
}

static void on_admitted(void *userdata)
{
    static const struct vault_credential nobody = {.identity = "", .cloud_id = ""};
    struct uplink_session *s = userdata;
    const struct vault_credential *credential;
    struct error e = {0};
    int r;

    session_enter(s);
    s->attempt.phase = PHASE_HANDSHAKE;
    s->attempt.full = true;
    credential = s->entry ? usable_credential(s, &e) : &nobody;
    if (!credential) {
        attempt_over(s, UPLINK_LOCAL, UPLINK_TROUBLE_LOCAL, e.text);
    } else {
        s->attempt.generation = credential->generation;
        s->attempt.address = *next_address(s);
        r = s->uplink->transport->make(s, credential, &e);
        if (r < 0 && udp_is_network_error(-r))
            attempt_over(s, UPLINK_UNREACHABLE, uplink_trouble_of_errno(-r), e.text);
        else if (r < 0)
            attempt_over(s, UPLINK_LOCAL, UPLINK_TROUBLE_LOCAL, e.text);
    }
    session_leave(s);
}

int attempt_key(struct uplink_session *s, const char **ret_identity, struct secret **ret_key, struct error *e)
{
    const struct vault_credential *credential;
    int r;

    if (!s->entry)
        return error_set(e, -ENOKEY, "it is tried without a key");
    credential = usable_credential(s, e);
    if (!credential || credential->generation != s->attempt.generation)
        return credential ? error_set(e, -ESTALE, "the credential was replaced during the handshake") : -ENOENT;
    r = vault_key_open(s->uplink->vault, s->entry, s->slot, ret_key, e);
    if (r < 0)
        return r;
    *ret_identity = credential->identity;
    return 0;
}

/* ── Ending ── */

static enum uplink_state state_after(const struct uplink_session *s, enum uplink_result result)
{
    if (result == UPLINK_UNREACHABLE)
        return UPLINK_STATE_UNREACHABLE;
    return s->attempt.refused >= 2 ? UPLINK_STATE_REFUSED : UPLINK_STATE_BACKING_OFF;
}

static void tell_result(struct uplink_session *s, enum uplink_result result, bool full, const char *reason)
{
    free(s->news.result_reason);
    s->news.result_reason = strdup(reason);
    s->news.result = result;
    s->news.result_full = full;
    s->news.tell_result = true;
}

/* Before anybody is told that nobody is there, every address of every host is tried. */
static bool goes_on(struct uplink_session *s, uint64_t now)
{
    int place = session_next_place(s, now);

    if (place == 0)
        join_queue(s);
    else if (place > 0)
        attempt_begin(s);
    return place >= 0;
}

/* The last host's reason; of some troubles it does not begin with the host. */
static void say_none(const struct uplink_session *s, const char *reason, struct error *ret)
{
    const char *endpoint = session_host(s)->endpoint;
    bool named = strncmp(reason, endpoint, strlen(endpoint)) == 0;

    error_set(ret, 0, "none of the uplink's %zu hosts can be reached; the last, %s%s%s", s->uplink->n_hosts,
              named ? "" : endpoint, named ? "" : ": ", reason);
}

/* The one that the reason names: what is told goes on, the host may be another by then. */
static void note_host(struct uplink_session *s, const char *name)
{
    free(s->news.trouble_host);
    s->news.trouble_host = strdup(name);
}

static void attempt_over(struct uplink_session *s, enum uplink_result result, enum uplink_trouble trouble,
                         const char *reason)
{
    uint64_t now = clock_boottime();
    struct error all;

    /* The uplink's own hosts judge the key: the one that named this server has accepted it. */
    if (result == UPLINK_REFUSED_ANSWER && s->attempt.referred)
        result = UPLINK_FAILED;
    s->counters.handshakes_failed++;
    s->news.trouble = trouble;
    session_cancel_attempt(s);
    /* The peer that answered may have got the address after the cloud left it. */
    if (result != UPLINK_LOCAL)
        resolver_again(session_host(s)->resolver, now);
    if (result == UPLINK_UNREACHABLE && goes_on(s, now))
        return;
    note_host(s, session_host(s)->name.name);
    if (s->attempt.referred)
        session_drop_reference(s);
    else if (result != UPLINK_UNREACHABLE)
        s->attempt.hosts.answered = true;
    s->attempt.followed = 0;
    if (result == UPLINK_UNREACHABLE && s->uplink->n_hosts > 1 && !s->attempt.hosts.answered) {
        say_none(s, reason, &all);
        reason = all.text;
    }
    if (result == UPLINK_REFUSED_ANSWER && s->attempt.full)
        s->attempt.refused++;
    /* The ticket may have been the cause of any failure. */
    if (result == UPLINK_REFUSED_ANSWER || result == UPLINK_FAILED)
        s->attempt.ticketless = true;
    if (s->attempt.ticketless)
        s->uplink->transport->drop_ticket(s);
    tell_result(s, result, s->attempt.full, reason);
    if (s->life == SESSION_ONCE) {
        session_end(s, UPLINK_SILENT, reason);
        return;
    }
    attempt_schedule(s, now + backoff_failed(&s->attempt.backoff, s->attempt.refused > 0));
    if (!s->standing.open || s->uplink->transport->doubted(s))
        session_set_state(s, state_after(s, result), reason);
    else
        session_set_state(s, UPLINK_STATE_ONLINE, reason);
}

void attempt_failed(struct uplink_session *s, enum uplink_result result, enum uplink_trouble trouble,
                    const char *reason)
{
    struct error e;

    session_enter(s);
    if (result == UPLINK_REFUSED_ANSWER && s->entry)
        error_set(&e, 0, "%s, identity %s: %s", session_host(s)->endpoint,
                  vault_credential(s->entry, s->slot)->identity, reason);
    else
        error_set(&e, 0, "%s: %s", session_host(s)->endpoint, reason);
    attempt_over(s, result, trouble, e.text);
    session_leave(s);
}

/* The session stands with the attempt's host; the next attempt begins with the first again. */
static void take_host(struct uplink_session *s, uint64_t now)
{
    uplink_host_free(s->standing.referred);
    s->standing.referred = TAKE_PTR(s->attempt.referred);
    s->standing.host = s->attempt.host;
    if (!s->standing.referred)
        hosts_found(&s->uplink->away, s->standing.host, true, now);
    s->attempt.hosts = (struct hosts_round){0};
    s->attempt.round = (struct resolver_round){0};
}

void attempt_opened(struct uplink_session *s, bool full)
{
    uint64_t now = clock_boottime();

    s->standing.open = true;
    s->news.trouble = UPLINK_TROUBLE_NONE;
    s->standing.generation = s->attempt.generation;
    s->standing.address = s->attempt.address;
    session_cancel_attempt(s);
    s->uplink->transport->drop_ticket(s);
    s->standing.since = now;
    s->attempt.fresh = s->attempt.ticketless = false;
    s->attempt.refused = s->attempt.rounds = s->attempt.followed = 0;
    resolver_worked(session_host(s)->resolver, &s->standing.address);
    take_host(s, now);
    if (full) {
        s->standing.full_at = now;
        s->counters.handshakes_full++;
    } else {
        s->counters.handshakes_resumed++;
    }
    tell_result(s, UPLINK_OK, full, "");
    session_set_state(s, UPLINK_STATE_ONLINE, "");
}

/* ── A session in use ── */

/* A server that opens and closes at once gets the patience of one that is away. */
static uint64_t reconnect_delay(struct uplink_session *s, uint64_t now)
{
    bool short_lived = now - s->standing.since < BACKOFF_MAX;

    if (short_lived && s->attempt.backoff.failures > 0)
        return backoff_failed(&s->attempt.backoff, false);
    s->attempt.backoff.failures = short_lived ? 1 : 0;
    return backoff_spread(s->uplink->jitter);
}

const struct uplink_host *standing_host(const struct uplink_session *s)
{
    return s->standing.referred ? s->standing.referred : &s->uplink->hosts[s->standing.host];
}

void attempt_closed(struct uplink_session *s, const char *reason)
{
    uint64_t now = clock_boottime();
    struct error e;

    session_enter(s);
    error_set(&e, 0, "%s: %s", standing_host(s)->endpoint, reason);
    session_drop_open(s, UPLINK_SILENT);
    if (s->life == SESSION_ONCE) {
        session_end(s, UPLINK_SILENT, e.text);
    } else {
        s->uplink->transport->lost(s);
        if (s->attempt.phase == PHASE_NONE)
            attempt_schedule(s, now + reconnect_delay(s, now));
        session_set_state(s, s->attempt.phase == PHASE_WAITING ? UPLINK_STATE_BACKING_OFF : UPLINK_STATE_CONNECTING,
                          e.text);
    }
    session_leave(s);
}

static bool is_elsewhere(const struct uplink_session *s, struct attempt_route *route)
{
    struct resolver_address used;

    if (!resolver_address_equal(&route->peer, &s->standing.address)) {
        route->peer = s->standing.address;
        route->r = udp_local_address_to(&route->peer, &route->local);
    }
    return route->r == 0 && s->uplink->transport->local_address(s, &used) == 0 &&
           !resolver_address_equal(&used, &route->local);
}

void attempt_moved(struct uplink_session *s, struct attempt_route *route)
{
    uint64_t at = clock_boottime() + backoff_spread(s->uplink->jitter);

    if (s->life == SESSION_STOPPED || s->life == SESSION_ONCE)
        return;
    session_enter(s);
    if (s->standing.open && s->attempt.phase == PHASE_NONE && is_elsewhere(s, route))
        attempt_schedule(s, at);
    else if (s->attempt.phase == PHASE_WAITING && s->attempt.retry_at > at)
        s->attempt.retry_at = at;
    session_leave(s);
}

void attempt_readdressed(struct uplink_session *s)
{
    uint64_t at = clock_boottime() + backoff_spread(s->uplink->jitter);

    if (s->life == SESSION_STOPPED || s->life == SESSION_ONCE)
        return;
    session_enter(s);
    if (s->attempt.phase == PHASE_WAITING && s->attempt.retry_at > at)
        s->attempt.retry_at = at;
    else if (s->attempt.phase == PHASE_HANDSHAKE && !resolver_has(session_host(s)->resolver, &s->attempt.address))
        attempt_begin(s);
    session_leave(s);
}

void attempt_timer(struct timer *timer)
{
    struct uplink_session *s =
        (struct uplink_session *)(void *)((char *)timer - offsetof(struct uplink_session, timer));
    uint64_t now = clock_boottime();

    if (s->life == SESSION_STOPPED)
        return;
    session_enter(s);
    if (s->attempt.phase == PHASE_WAITING && now >= s->attempt.retry_at)
        attempt_begin(s);
    if (s->life != SESSION_STOPPED)
        s->uplink->transport->tick(s, now);
    session_leave(s);
}
