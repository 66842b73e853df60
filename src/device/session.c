/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The connections of a device: what their sessions report is an event of the table, and its actions are carried out
 * here. */
#include "uplink/session.h"
#include "base/arm.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "device/announce.h"
#include "device/authenticated.h"
#include "device/connection-table.h"
#include "device/connection.h"
#include "device/facts.h"
#include "device/internal.h"
#include "payload/profile.h"
#include "uplink/backoff.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ── When the main key was last accepted ── */

void session_add_authenticated(const struct device *d, struct vault_change *change)
{
    const struct vault_entry *entry = device_entry(d);
    const struct vault_credential *main = entry ? vault_credential(entry, VAULT_MAIN) : NULL;

    if (main && main->present && !main->quarantined && main->last_authenticated < d->connections.last_authenticated)
        vault_change_authenticated(change, VAULT_MAIN, d->connections.last_authenticated);
}

static void commit_authenticated(struct device *d)
{
    struct vault_change *change = vault_change_new(d->fleet->vault, d->config->id, d->config->uplink);

    if (!change)
        return;
    vault_change_authenticated(change, VAULT_MAIN, d->connections.last_authenticated);
    vault_commit(d->fleet->vault, change, NULL, NULL);
}

void session_keep_authenticated(struct device *d)
{
    const struct vault_entry *entry = device_entry(d);
    const struct vault_credential *main = entry ? vault_credential(entry, VAULT_MAIN) : NULL;

    if (main && main->present && !main->quarantined && main->last_authenticated < d->connections.last_authenticated)
        commit_authenticated(d);
}

/* How old the note in the vault may grow, which is what a kill costs: all devices together write it so often that a
 * card does not mind. */
static uint64_t write_interval(const struct fleet *f)
{
    uint64_t share = f->index.n * AUTHENTICATED_WRITE_SHARE;

    return MIN_OF(MAX_OF(share, (uint64_t)AUTHENTICATED_WRITE_MIN), (uint64_t)AUTHENTICATED_WRITE_MAX);
}

static void note_authenticated(struct device *d)
{
    const struct vault_entry *entry = device_entry(d);
    uint64_t now;

    if (!entry || !clock_synchronized())
        return;
    now = clock_realtime();
    d->connections.last_authenticated = now;
    if (vault_credential(entry, VAULT_MAIN)->last_authenticated + write_interval(d->fleet) > now ||
        clock_boottime() < d->connections.authenticated_next)
        return;
    d->connections.authenticated_next = clock_boottime() + AUTHENTICATED_WRITE_AGAIN;
    commit_authenticated(d);
}

void session_answered(struct device *d, uint8_t code, const char *words)
{
    words = words ?: "";
    if (d->connections.answer == code && strcmp(d->connections.answer_words ?: "", words) == 0)
        return;
    d->connections.answer = code;
    free(d->connections.answer_words);
    d->connections.answer_words = words[0] ? strdup(words) : NULL;
    d->connections.ops->changed(d);
}

/* ── Actions ── */

static int on_renew(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct device *d = userdata;

    if (device_session(d) && !d->disconnected)
        uplink_session_renew(device_session(d));
    return 0;
}

static void renew_later(struct device *d)
{
    uint64_t when = clock_boottime() + backoff_failed(&d->connections.refused, true);

    (void)timer_arm(d->fleet->event, &d->connections.renew, when, USEC_PER_SEC, on_renew, d);
}

static void note(struct device *d)
{
    session_answered(d, 0, NULL);
    backoff_reset(&d->connections.refused);
    note_authenticated(d);
    d->connections.ops->accepted(d);
}

static enum connection_event event_of(const struct connection *c, int r, enum profile_verdict verdict)
{
    if (r == -ENOMEM && c->state.role == CONNECTION_PROBE)
        return CONNECTION_EV_LOCAL_FAILED;
    if (r < 0)
        return CONNECTION_EV_UNPROVED;
    switch (verdict) {
    case PROFILE_ACCEPTED:
        return CONNECTION_EV_ACCEPTED;
    case PROFILE_REFUSED:
        return CONNECTION_EV_REFUSED;
    case PROFILE_REJECTED:
    case PROFILE_RETRY:
        break; /* says nothing about the key */
    }
    return CONNECTION_EV_UNPROVED;
}

static void on_proof(void *userdata, int r, enum profile_verdict verdict, uint8_t code, const char *said)
{
    struct connection *c = userdata;
    struct device *d = c->device;
    bool probe = c->state.role == CONNECTION_PROBE;
    char words[ERROR_TEXT_MAX];

    c->proof = proof_free(c->proof);
    if (r == -ECANCELED && !probe)
        return;
    if (probe && (r < 0 || verdict != PROFILE_ACCEPTED))
        probe_set_why(d, proof_words(d, r, verdict, code, words, sizeof(words)));
    if (r == 0 && verdict == PROFILE_REFUSED && !probe)
        session_answered(d, code, said);
    d->connections.probing.local = r;
    connection_event(c, event_of(c, r, verdict));
}

static void prove(struct connection *c)
{
    int r;

    /* One that waits for its message to come back waits in vain: that went the way of the last connection. */
    if (c->device->uplink->profile->probe.reads_back)
        c->proof = proof_free(c->proof);
    r = c->proof ? 0 : proof_begin(c->device, c->session, on_proof, c, &c->proof);
    if (r == 0)
        return;
    c->device->connections.probing.local = r;
    connection_event(c, r > 0                               ? CONNECTION_EV_ACCEPTED
                        : c->state.role == CONNECTION_PROBE ? CONNECTION_EV_LOCAL_FAILED
                                                            : CONNECTION_EV_UNPROVED);
}

static void end(struct connection *c)
{
    c->device->connections.ops->ended(c->device);
    c->proof = proof_stopped(c->proof);
}

/* Frees one that is a probe's or leaves. */
static void close_one(struct connection *c)
{
    struct connections *all = &c->device->connections;

    if (all->probe == c)
        all->probe = NULL;
    if (all->leaving == c)
        all->leaving = NULL;
    connection_free(c);
}

static void carry_out(struct connection *c, bool probe, unsigned actions)
{
    struct device *d = c->device;
    const struct connection_ops *ops = d->connections.ops;

    if (actions & CONNECTION_DO_END)
        end(c);
    if (actions & CONNECTION_DO_FORGET_PROOF)
        c->proof = proof_free(c->proof);
    if (actions & CONNECTION_DO_CLOSE)
        close_one(c); /* gone: a row asks for nothing else of it */
    if (actions & CONNECTION_DO_NOTE)
        note(d);
    if (probe && actions & (CONNECTION_DO_CLOSE | CONNECTION_TELLS))
        probe_ended(d, actions & CONNECTION_TELLS);
    else if (actions & CONNECTION_TELLS)
        ops->verdict(d, (enum connection_action)(actions & CONNECTION_TELLS));
    if (actions & CONNECTION_DO_GREET)
        ops->greet(d);
    if (actions & CONNECTION_DO_KICK)
        ops->kick(d);
    if (actions & CONNECTION_DO_PROVE)
        prove(c);
    if (actions & CONNECTION_DO_RENEW)
        uplink_session_renew(c->session);
    if (actions & CONNECTION_DO_RENEW_LATER)
        renew_later(d);
}

void connection_event(struct connection *c, enum connection_event event)
{
    bool probe = c->state.role == CONNECTION_PROBE;

    carry_out(c, probe, connection_step(&c->state, event));
}

/* ── Events ── */

/* One that changes what is shown of the main connection. */
static void told(struct connection *c, enum connection_event event, enum uplink_state state, const char *reason)
{
    struct device *d = c->device;
    unsigned actions = connection_step(&c->state, event);

    d->connections.ops->state(d, state, reason);
    log_debug(d->config->id, "session %s%s%s", uplink_state_text(state), reason[0] ? ": " : "", reason);
    carry_out(c, false, actions);
    d->connections.ops->changed(d);
}

static enum connection_event event_of_state(enum uplink_state state)
{
    switch (state) {
    case UPLINK_STATE_ONLINE:
        return CONNECTION_EV_ONLINE;
    case UPLINK_STATE_STOPPED:
        return CONNECTION_EV_STOPPED;
    case UPLINK_STATE_CONNECTING:
    case UPLINK_STATE_BACKING_OFF:
    case UPLINK_STATE_UNREACHABLE:
    case UPLINK_STATE_REFUSED:
        break;
    }
    return CONNECTION_EV_TRYING;
}

static void on_state(void *userdata, enum uplink_state state, const char *reason)
{
    struct connection *c = userdata;

    if (c->state.role == CONNECTION_MAIN) {
        told(c, event_of_state(state), state, reason);
        return;
    }
    if (state == UPLINK_STATE_STOPPED) {
        if (connection_owes(&c->state) && reason[0])
            probe_set_why(c->device, reason);
        c->proof = proof_stopped(c->proof);
    }
    connection_event(c, event_of_state(state));
}

/* Whether nothing counts before the proof. */
static bool awaits(const struct connection *c)
{
    struct uplink_info info;

    if (!c->device->uplink->profile->probe.reads_back)
        return false;
    uplink_session_info(c->session, &info);
    return info.established && !info.tells_refusals;
}

static void on_result(void *userdata, enum uplink_result result, bool full, const char *reason)
{
    struct connection *c = userdata;

    if (connection_owes(&c->state))
        probe_set_why(c->device, reason);
    c->device->connections.probing.local = -EIO;
    switch (result) {
    case UPLINK_OK:
        c->state.awaits = awaits(c);
        connection_event(c, full ? CONNECTION_EV_HANDSHAKE_FULL : CONNECTION_EV_HANDSHAKE_RESUMED);
        return;
    case UPLINK_REFUSED_ANSWER:
        if (full || c->state.role == CONNECTION_PROBE)
            connection_event(c, CONNECTION_EV_KEY_REFUSED);
        return;
    case UPLINK_UNREACHABLE:
        connection_event(c, CONNECTION_EV_UNREACHABLE);
        return;
    case UPLINK_FAILED:
        connection_event(c, CONNECTION_EV_FAILED);
        return;
    case UPLINK_LOCAL:
        connection_event(c, CONNECTION_EV_LOCAL_FAILED);
        return;
    }
}

static int introduce(void *userdata, struct uplink_introduction *ret)
{
    const struct connection *c = userdata;

    /* One that leaves is not made anew: its client id is that of its successor. */
    return c->state.role == CONNECTION_LEAVING ? -ESTALE : device_introduce(c->device, ret);
}

static const struct uplink_session_ops session_ops = {.state = on_state, .result = on_result, .introduce = introduce};

/* ── Beginning and end ── */

int connection_new(struct device *d, enum connection_role role, struct connection **ret)
{
    struct connection *c = calloc(1, sizeof(*c));
    int r = c ? uplink_session_new(d->uplink->uplink, &session_ops, c, &c->session) : -ENOMEM;

    if (r < 0) {
        free(c);
        return r;
    }
    c->device = d;
    c->state.role = role;
    *ret = c;
    return 0;
}

struct connection *connection_free(struct connection *c)
{
    if (!c)
        return NULL;
    c->proof = proof_free(c->proof);
    c->state.phase = CONNECTION_CLOSED; /* what its session still reports changes nothing */
    uplink_session_stop(c->session, UPLINK_BYE);
    uplink_session_free(c->session);
    free(c);
    return NULL;
}

/* Connects if there is something to connect with; harmless when connected. */
void session_start(struct device *d)
{
    int r = 0;

    if (!d->connections.ops->wanted(d)) {
        session_stop(d, UPLINK_BYE_FOR_GOOD);
        d->connections.ops->unwanted(d);
        return;
    }
    if (device_phase(d) != CONNECTION_CLOSED || probe_excludes_session(d))
        return;
    if (!d->connections.main)
        r = connection_new(d, CONNECTION_MAIN, &d->connections.main);
    if (r >= 0)
        r = uplink_session_start(device_session(d), d->config->id, device_entry(d), VAULT_MAIN);
    if (r < 0)
        log_error(d->config->id, "cannot begin a session: %s", strerrordesc_np(-r));
    else
        d->connections.ops->kick(d);
}

void session_stop(struct device *d, enum uplink_bye bye)
{
    if (bye == UPLINK_BYE_FOR_GOOD)
        session_linger_end(d);
    if (d->withdrawing.silent)
        bye = UPLINK_BYE;
    if (device_phase(d) != CONNECTION_CLOSED)
        uplink_session_stop(device_session(d), bye);
}

void session_new_key(struct device *d)
{
    if (d->connections.main)
        connection_event(d->connections.main, CONNECTION_EV_NEW_KEY);
    session_start(d);
}

void session_accepted(struct device *d)
{
    connection_event(d->connections.main, CONNECTION_EV_ACCEPTED);
}

void session_refused(struct device *d)
{
    connection_event(d->connections.main, CONNECTION_EV_REFUSED);
}

void session_announce(struct device *d)
{
    if (d->connections.main)
        connection_event(d->connections.main, CONNECTION_EV_ANNOUNCE);
}

void session_announced(struct device *d)
{
    if (d->connections.main)
        connection_event(d->connections.main, CONNECTION_EV_ANNOUNCED);
}

/* The one before stays until the request under way on it has ended: cutting it short would send its samples twice. */
static void leave(struct device *d)
{
    struct connection *old = d->connections.main;

    session_linger_end(d);
    d->connections.ops->moved(d);
    d->connections.main = NULL;
    d->connections.leaving = old;
    if (old)
        connection_event(old, d->delivery.request ? CONNECTION_EV_LEAVE_BUSY : CONNECTION_EV_LEAVE);
}

void session_adopt_probe(struct device *d)
{
    struct connection *c = d->connections.probe;

    if (!c) {
        /* A restart between the swap and this: the session begins on main anyway. */
        session_new_key(d);
        return;
    }
    leave(d);
    d->connections.probe = NULL;
    d->connections.main = c;
    d->connections.authenticated_next = 0;
    uplink_session_adopt(c->session, VAULT_MAIN);
    told(c, CONNECTION_EV_ADOPT, uplink_session_state(c->session), uplink_session_reason(c->session));
    note_authenticated(d);
}

void session_linger_end(struct device *d)
{
    if (d->connections.leaving)
        connection_event(d->connections.leaving, CONNECTION_EV_DRAINED);
}

void connections_done(struct device *d)
{
    struct connections *all = &d->connections;

    probe_drop(d);
    session_linger_end(d);
    session_stop(d, UPLINK_BYE_FOR_GOOD);
    all->main = connection_free(all->main);
    sd_event_source_disable_unref(all->renew);
    free(all->probing.why);
    free(d->connections.answer_words);
    d->connections.answer_words = NULL;
}
