/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The device's ordinary session, on its main credential. */
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "device/authenticated.h"
#include "device/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void set_reason(struct device *d, const char *reason)
{
    free(d->session_reason);
    d->session_reason = reason && reason[0] ? strdup(reason) : NULL;
}

/* The device among those that are online, as far as it is seen at all. */
void session_count(struct device *d)
{
    bool online = d->session_state == UPLINK_STATE_ONLINE && !d->tombstone;

    if (online == d->counted)
        return;
    d->counted = online;
    d->fleet->online += online ? 1 : -1;
    d->uplink->outage.online += online ? 1 : -1;
    fleet_changed(d->fleet);
}

static void on_state(void *userdata, enum uplink_state state, const char *reason)
{
    struct device *d = userdata;
    bool before = d->session_state == UPLINK_STATE_ONLINE;

    d->session_state = state;
    set_reason(d, reason);
    session_count(d);
    outage_look(d);
    if (state == UPLINK_STATE_BACKING_OFF)
        standstill_why(d, reason);
    else if (state != UPLINK_STATE_ONLINE && state != UPLINK_STATE_CONNECTING)
        standstill_over(d, false);
    if (d->queue)
        spool_line(d->queue, state == UPLINK_STATE_ONLINE);
    log_debug(d->config->id, "session %s%s%s", uplink_state_text(state), reason[0] ? ": " : "", reason);
    if (state == UPLINK_STATE_ONLINE && before) {
        delivery_kick(d); /* nothing was lost in between: another session beside it was tried, or the reason is over */
    } else if (state == UPLINK_STATE_ONLINE) {
        idle_touch(d);
        announce_begin(d);
        downlink_online(d);
        delivery_kick(d);
        batch_online(d);
    } else if (state == UPLINK_STATE_STOPPED) {
        downlink_stopped(d);
        delivery_stopped(d);
        d->proof = proof_stopped(d->proof);
    }
    device_changed(d);
}

static int on_renew(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct device *d = userdata;

    if (d->session && !d->disconnected)
        uplink_session_renew(d->session);
    return 0;
}

static void renew_later(struct device *d)
{
    uint64_t when = clock_boottime() + backoff_failed(&d->refused, true);

    (void)timer_arm(d->fleet->event, &d->renew, when, USEC_PER_SEC, on_renew, d);
}

bool session_awaits_proof(const struct device *d)
{
    struct uplink_info info;

    if (!d->unproven || !d->uplink->profile->probe_reads_back)
        return false;
    uplink_session_info(d->session, &info);
    return info.established && !info.tells_refusals;
}

/* Where samples wait for it, another connection has to try again; otherwise the next handshake or sample proves it. */
static void not_proved(struct device *d)
{
    if (session_awaits_proof(d))
        renew_later(d);
}

static void on_proof(struct device *d, int r, enum profile_verdict verdict, uint8_t code)
{
    d->proof = proof_free(d->proof);
    if (r < 0) {
        if (r != -ECANCELED)
            not_proved(d);
        return;
    }
    switch (verdict) {
    case PROFILE_ACCEPTED:
        session_accepted(d);
        break;
    case PROFILE_REFUSED:
        session_answered(d, code);
        session_refused(d);
        break;
    case PROFILE_REJECTED:
    case PROFILE_RETRY:
        not_proved(d);
        break;
    }
}

static void begin_proof(struct device *d)
{
    int r;

    /* One that waits for its message to come back waits in vain: that went the way of the last connection. */
    if (d->uplink->profile->probe_reads_back)
        d->proof = proof_free(d->proof);
    r = d->proof ? 0 : proof_begin(d, d->session, on_proof, &d->proof);

    if (r > 0)
        session_accepted(d);
    else if (r < 0)
        not_proved(d);
}

static void on_result(void *userdata, enum uplink_result result, bool full, const char *reason)
{
    struct device *d = userdata;

    switch (result) {
    case UPLINK_OK:
        if (!full)
            return;
        d->unproven = true;
        begin_proof(d);
        return;
    case UPLINK_REFUSED_ANSWER:
        if (full)
            rotate_event(d, ROTATION_EV_MAIN_REFUSED);
        return;
    case UPLINK_UNREACHABLE:
        rotate_event(d, ROTATION_EV_MAIN_UNREACHABLE);
        return;
    case UPLINK_FAILED:
    case UPLINK_LOCAL:
        return;
    }
}

/* States of a session that is no longer the device's. */
static void on_lingering_state(void *userdata, enum uplink_state state, const char *reason) {}

static const struct uplink_session_ops lingering_ops = {.state = on_lingering_state};
static const struct uplink_session_ops session_ops = {
    .state = on_state, .result = on_result, .introduce = device_introduce};

void session_add_authenticated(const struct device *d, struct vault_change *change)
{
    const struct vault_entry *entry = device_entry(d);
    const struct vault_credential *main = entry ? vault_credential(entry, VAULT_MAIN) : NULL;

    if (main && main->present && !main->quarantined && main->last_authenticated < d->last_authenticated)
        vault_change_authenticated(change, VAULT_MAIN, d->last_authenticated);
}

static void commit_authenticated(struct device *d)
{
    struct vault_change *change = vault_change_new(d->fleet->vault, d->config->id, d->config->uplink);

    if (!change)
        return;
    vault_change_authenticated(change, VAULT_MAIN, d->last_authenticated);
    vault_commit(d->fleet->vault, change, NULL, NULL);
}

void session_keep_authenticated(struct device *d)
{
    const struct vault_entry *entry = device_entry(d);
    const struct vault_credential *main = entry ? vault_credential(entry, VAULT_MAIN) : NULL;

    if (main && main->present && !main->quarantined && main->last_authenticated < d->last_authenticated)
        commit_authenticated(d);
}

/* How old the note in the vault may grow, which is what a kill costs: all devices together write it so often that a
 * card does not mind. */
static uint64_t write_interval(const struct fleet *f)
{
    uint64_t share = f->n_devices * AUTHENTICATED_WRITE_SHARE;

    return MIN_OF(MAX_OF(share, (uint64_t)AUTHENTICATED_WRITE_MIN), (uint64_t)AUTHENTICATED_WRITE_MAX);
}

/* The samples and commands of other points go over the same session; what was said of them holds no longer. */
void session_other_points(struct device *d)
{
    if (d->session_state != UPLINK_STATE_ONLINE)
        return;
    announce_begin(d);
    downlink_online(d);
}

static void note_authenticated(struct device *d)
{
    const struct vault_entry *entry = device_entry(d);
    uint64_t now;

    if (!entry || !clock_synchronized())
        return;
    now = clock_realtime();
    d->last_authenticated = now;
    if (vault_credential(entry, VAULT_MAIN)->last_authenticated + write_interval(d->fleet) > now ||
        clock_boottime() < d->authenticated_next)
        return;
    d->authenticated_next = clock_boottime() + AUTHENTICATED_WRITE_AGAIN;
    commit_authenticated(d);
}

void session_answered(struct device *d, uint8_t code)
{
    if (d->answer == code)
        return;
    d->answer = code;
    device_changed(d);
}

void session_accepted(struct device *d)
{
    session_answered(d, 0);
    backoff_reset(&d->refused);
    note_authenticated(d);
    availability_kick(d);
    if (!d->unproven)
        return;
    d->unproven = false;
    restored_accepted(d);
    rotate_event(d, ROTATION_EV_MAIN_ACCEPTED);
    delivery_kick(d);
}

/* A good handshake, and then a refusal: only another fresh one can show whether the cloud means it. */
void session_refused(struct device *d)
{
    rotate_event(d, ROTATION_EV_MAIN_REFUSED);
    renew_later(d);
}

static bool wanted(const struct device *d)
{
    const struct vault_entry *entry = device_entry(d);
    const struct vault_credential *main = entry ? vault_credential(entry, VAULT_MAIN) : NULL;

    return d->config->enabled && !d->disconnected && !d->fleet->stopping && d->rotation && main && main->present &&
           !main->quarantined && idle_wants(d) &&
           (d->tombstone || !registration_pending(d)); /* that the cloud refuses it is what a removal waits for */
}

/* Connects if there is something to connect with; harmless when connected. */
void session_start(struct device *d)
{
    int r = 0;

    if (!wanted(d)) {
        session_stop(d, UPLINK_BYE_FOR_GOOD);
        registration_start(d);
        return;
    }
    if (d->session_state != UPLINK_STATE_STOPPED || probe_excludes_session(d))
        return;
    if (!d->session)
        r = uplink_session_new(d->uplink->uplink, &session_ops, d, &d->session);
    if (r >= 0)
        r = uplink_session_start(d->session, d->config->id, device_entry(d), VAULT_MAIN);
    if (r < 0)
        log_error(d->config->id, "cannot begin a session: %s", strerrordesc_np(-r));
    else
        delivery_kick(d);
}

void session_stop(struct device *d, enum uplink_bye bye)
{
    if (bye == UPLINK_BYE_FOR_GOOD)
        session_linger_end(d);
    if (d->withdrawing.silent)
        bye = UPLINK_BYE;
    if (d->session && d->session_state != UPLINK_STATE_STOPPED)
        uplink_session_stop(d->session, bye);
}

/* Main is another key, that of no session yet. What the old one is worth says nothing of it. */
void session_new_key(struct device *d)
{
    d->proof = proof_free(d->proof);
    if (d->session)
        uplink_session_renew(d->session);
    session_start(d);
}

/* After a swap: the probe's session, on what is now main, becomes the device's. */
void session_adopt_probe(struct device *d)
{
    struct uplink_session *old = d->session, *new = d->probe.session;
    struct uplink_info info;

    if (!new) {
        /* A restart between the swap and this: the session begins on main anyway. */
        session_new_key(d);
        return;
    }
    d->probe.session = NULL;
    session_linger_end(d);
    /* A proof of the old key says nothing about the new one; and commands arrive over the new session. */
    d->proof = proof_free(d->proof);
    delivery_moved(d);
    announce_end(d);
    availability_end(d);
    downlink_leave(d);
    if (old)
        uplink_session_set_ops(old, &lingering_ops, d);
    d->lingering = old;
    d->session = new;
    d->unproven = false;
    d->session_state = UPLINK_STATE_STOPPED;
    d->authenticated_next = 0;
    uplink_session_set_ops(new, &session_ops, d);
    uplink_session_adopt(new, VAULT_MAIN);
    uplink_session_info(new, &info);
    on_state(d, info.state, info.reason ?: "");
    note_authenticated(d);
    if (!d->delivery.request)
        session_linger_end(d);
}

/* The session before a swap stays until the request under way on it has ended: cutting it short would send its samples
 * twice. */
void session_linger_end(struct device *d)
{
    struct uplink_session *old = d->lingering;

    if (!old)
        return;
    d->lingering = NULL;
    uplink_session_stop(old, UPLINK_BYE);
    uplink_session_free(old);
}
