/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* First registrations: devices that were given a key while their cloud need not have been there. An uplink's queue asks
 * its registrar for one after the other, in the pace that the cloud allows, until each is known there. What is durable
 * of it is each device's state in the vault; the order is not. */
#include "device/registration.h"

#include "base/arm.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/messages.h"
#include "base/ratelimit.h"
#include "device/connection.h"
#include "device/facts.h"
#include "device/internal.h"
#include "device/notify.h"
#include "device/rotate.h"
#include "registrar/registrar.h"
#include "uplink/backoff.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void go(struct shared_uplink *u);

static void set_reason(struct device *d, const char *reason)
{
    free(d->keys.registration.reason);
    d->keys.registration.reason = reason && *reason ? strdup(reason) : NULL;
}

/* ── The queue ── */

static void push(struct device *d)
{
    struct registrations *q = &d->uplink->registrations;

    if (d->keys.registration.queued)
        return;
    d->keys.registration.queued = true;
    d->keys.registration.next = NULL;
    if (q->last)
        q->last->keys.registration.next = d;
    else
        q->first = d;
    q->last = d;
}

static struct device *pop(struct registrations *q)
{
    struct device *d = q->first;

    q->first = d->keys.registration.next;
    if (!q->first)
        q->last = NULL;
    d->keys.registration.queued = false;
    return d;
}

static void take_out(struct device *d)
{
    struct registrations *q = &d->uplink->registrations;
    struct device *before = NULL, *at = q->first;

    if (!d->keys.registration.queued)
        return;
    while (at != d) {
        before = at;
        at = at->keys.registration.next;
    }
    if (before)
        before->keys.registration.next = d->keys.registration.next;
    else
        q->first = d->keys.registration.next;
    if (q->last == d)
        q->last = before;
    d->keys.registration.queued = false;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    go(userdata);
    return 0;
}

static void wake_at(struct shared_uplink *u, uint64_t when)
{
    struct registrations *q = &u->registrations;

    if (timer_arm(u->fleet->event, &q->timer, when, 10 * USEC_PER_MSEC, on_timer, u) < 0)
        log_error(NULL, "no memory to go on with the registrations of uplink %s", u->settings->name);
}

/* One is no longer under way; the next goes in the next turn. */
static void ended(struct device *d)
{
    d->keys.registration.open = false;
    d->uplink->registrations.open--;
    if (d->uplink->registrations.first)
        wake_at(d->uplink, MAX_OF(clock_boottime(), d->uplink->registrations.hold_until));
}

/* To the end of the queue. While nobody gets through, one at a time is tried, with pauses. */
static void again(struct device *d, const char *reason)
{
    struct registrations *q = &d->uplink->registrations;
    uint64_t wait = backoff_failed(&q->backoff, false);

    if (q->backoff.failures == 1 && reason)
        log_notice(d->config->id, "not registered yet, it is tried again: %s", reason);
    set_reason(d, reason);
    q->hold_until = clock_boottime() + wait;
    push(d);
    ended(d);
    device_changed(d);
}

/* ── Commits ── */

static void offer(struct device *d);

static void finished(struct device *d)
{
    set_reason(d, NULL);
    log_info(d->config->id, "registered at the cloud");
    ended(d);
    rotate_schedule(d, true);
    session_start(d);
    device_changed(d);
}

static void on_committed(int r, const struct error *e, void *userdata)
{
    struct device *d = userdata;

    d->keys.registration.commit = NULL;
    if (r < 0) {
        log_error(d->config->id, "cannot commit a step of its registration, it is tried again: %s", e->text);
        again(d, e->text);
        return;
    }
    switch (d->keys.registration.to) {
    case VAULT_REGISTERED:
        finished(d);
        return;
    case VAULT_REGISTRATION_OFFERED:
        d->keys.registration.unoffered = true;
        offer(d);
        return;
    case VAULT_REGISTRATION_CONFLICT:
        log_audit(LOG_WARNING, MESSAGE_CONFLICT, d->config->id, NOBODY, "it is not registered: %s",
                  registration_reason(d));
        ended(d);
        device_changed(d);
        return;
    case VAULT_REGISTRATION_WAITING:
        push(d);
        ended(d);
        device_changed(d);
        return;
    }
}

static int commit(struct device *d, enum vault_registration to, const char *cloud_id)
{
    struct vault_change *change = vault_change_new(d->fleet->vault, d->config->id, d->config->uplink);
    int r = change ? 0 : -ENOMEM;

    if (r >= 0 && cloud_id && *cloud_id)
        vault_change_cloud_id(change, VAULT_MAIN, cloud_id);
    if (r >= 0)
        r = vault_change_registration(change, to);
    if (r < 0) {
        vault_change_free(change);
        return r;
    }
    d->keys.registration.to = to;
    d->keys.registration.commit = change;
    r = vault_commit(d->fleet->vault, change, on_committed, d);
    if (r < 0)
        d->keys.registration.commit = NULL;
    return r;
}

static void commit_or_again(struct device *d, enum vault_registration to, const char *cloud_id)
{
    int r = commit(d, to, cloud_id);

    if (r < 0)
        again(d, strerrordesc_np(-r));
}

/* ── The registrar ── */

static void on_answer(const struct registrar_answer *answer, void *userdata)
{
    struct device *d = userdata;

    d->keys.registration.call = NULL;
    if (d->keys.registration.stopped)
        return;
    /* Forgotten, or replaced by hand, while it was under way. */
    if (registration_state(d) != VAULT_REGISTRATION_OFFERED) {
        ended(d);
        return;
    }
    switch (answer->result) {
    case REGISTRAR_OK:
    case REGISTRAR_EXISTS_OURS:
        d->keys.registration.unoffered = false;
        backoff_reset(&d->uplink->registrations.backoff);
        commit_or_again(d, VAULT_REGISTERED, answer->cloud_id);
        return;
    case REGISTRAR_CONFLICT:
    case REGISTRAR_INVALID:
        set_reason(d, answer->reason);
        backoff_reset(&d->uplink->registrations.backoff);
        commit_or_again(d, VAULT_REGISTRATION_CONFLICT, NULL);
        return;
    case REGISTRAR_ABSENT:
    case REGISTRAR_RETRY:
        if (answer->maybe_sent)
            d->keys.registration.unoffered = false;
        again(d, answer->reason);
        return;
    }
}

static void offer(struct device *d)
{
    const struct registrar_credential credential = {
        .vault = d->fleet->vault,
        .entry = device_entry(d),
        .slot = VAULT_MAIN,
        .hardware_id = d->config->hardware_id ?: d->config->id,
        .unoffered = d->keys.registration.unoffered,
    };
    struct error e = {0};
    int r;

    if (registration_state(d) != VAULT_REGISTRATION_OFFERED) {
        ended(d);
        return;
    }
    r = registrar_offer(d->uplink->registrar, &credential, on_answer, d, &d->keys.registration.call, &e);
    if (r < 0)
        again(d, e.text[0] ? e.text : strerrordesc_np(-r));
}

static void begin(struct device *d)
{
    d->keys.registration.open = true;
    d->uplink->registrations.open++;
    switch (registration_state(d)) {
    case VAULT_REGISTERED:
        finished(d);
        return;
    case VAULT_REGISTRATION_CONFLICT:
        ended(d);
        return;
    case VAULT_REGISTRATION_WAITING:
        commit_or_again(d, VAULT_REGISTRATION_OFFERED, NULL);
        return;
    case VAULT_REGISTRATION_OFFERED:
        offer(d);
        return;
    }
}

static void go(struct shared_uplink *u)
{
    struct registrations *q = &u->registrations;
    uint64_t now = clock_boottime();
    unsigned concurrent = q->backoff.failures > 0 ? 1 : REGISTRATION_CONCURRENT;

    if (q->hold_until > now) {
        wake_at(u, q->hold_until);
        return;
    }
    while (q->first && q->open < concurrent) {
        if (!ratelimit_take(&q->limit, now, 1)) {
            wake_at(u, ratelimit_next(&q->limit, now, 1));
            return;
        }
        begin(pop(q));
    }
}

/* ── Beginning and end ── */

void registration_init(struct shared_uplink *u)
{
    ratelimit_init(&u->registrations.limit, USEC_PER_SEC, REGISTRATION_PER_SEC);
}

void registration_done(struct shared_uplink *u)
{
    u->registrations.timer = sd_event_source_disable_unref(u->registrations.timer);
}

void registration_start(struct device *d)
{
    if (!registration_pending(d) || registration_conflict(d) || d->keys.registration.open || d->tombstone ||
        !d->config->enabled)
        return;
    push(d);
    wake_at(d->uplink, MAX_OF(clock_boottime(), d->uplink->registrations.hold_until));
}

void registration_retry(struct device *d)
{
    struct registrations *q = &d->uplink->registrations;

    if (!registration_pending(d) || d->keys.registration.open)
        return;
    q->hold_until = 0;
    if (!registration_conflict(d)) {
        registration_start(d);
        return;
    }
    d->keys.registration.open = true;
    q->open++;
    set_reason(d, NULL);
    commit_or_again(d, VAULT_REGISTRATION_WAITING, NULL);
}

void registration_stop(struct device *d)
{
    take_out(d);
    d->keys.registration.stopped = true;
    if (d->keys.registration.call)
        registrar_call_cancel(d->keys.registration.call);
    vault_change_leave(TAKE_PTR(d->keys.registration.commit));
    if (d->keys.registration.open)
        ended(d);
    set_reason(d, NULL);
}
