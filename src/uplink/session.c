/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "uplink/session.h"

#include "base/clock.h"
#include "base/limits.h"
#include "uplink/session-internal.h"

#include <stdio.h>
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
    if (s->uplink->look.next == s)
        s->uplink->look.next = s->next;
    *s->link = s->next;
    if (s->next)
        s->next->link = s->link;
    session_leave(s);
    return NULL;
}

static int prepare(struct uplink_session *s, const char *label, const struct vault_entry *entry, enum vault_slot slot,
                   enum session_life life)
{
    char *copy;
    int r;

    if (s->life != SESSION_STOPPED)
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
    s->life = life;
    s->attempt.fresh = false;
    s->attempt.refused = 0;
    session_drop_reference(s);
    s->standing.full_at = 0;
    backoff_reset(&s->attempt.backoff);
    return 0;
}

static int start(struct uplink_session *s, const char *label, const struct vault_entry *entry, enum vault_slot slot,
                 enum session_life life, bool only_handshake)
{
    int r = prepare(s, label, entry, slot, life);

    if (r < 0)
        return r;
    s->only_handshake = only_handshake;
    session_enter(s);
    attempt_begin(s);
    session_leave(s);
    return 0;
}

int uplink_session_start(struct uplink_session *s, const char *label, const struct vault_entry *entry,
                         enum vault_slot slot)
{
    return start(s, label, entry, slot, SESSION_KEPT, false);
}

int uplink_session_once(struct uplink_session *s, const char *label, const struct vault_entry *entry,
                        enum vault_slot slot)
{
    return start(s, label, entry, slot, SESSION_ONCE, false);
}

int uplink_session_try(struct uplink_session *s, const char *label, const struct vault_entry *entry,
                       enum vault_slot slot)
{
    return start(s, label, entry, slot, SESSION_ONCE, true);
}

void uplink_session_adopt(struct uplink_session *s, enum vault_slot slot)
{
    s->slot = slot;
    if (s->life == SESSION_ONCE)
        s->life = SESSION_KEPT;
}

void uplink_session_set_ops(struct uplink_session *s, const struct uplink_session_ops *ops, void *userdata)
{
    s->ops = ops;
    s->userdata = userdata;
}

void uplink_session_renew(struct uplink_session *s)
{
    if (s->life == SESSION_STOPPED)
        return;
    session_enter(s);
    s->uplink->transport->drop_ticket(s);
    s->attempt.fresh = true;
    s->attempt.refused = 0;
    backoff_reset(&s->attempt.backoff);
    attempt_begin(s);
    session_leave(s);
}

void uplink_session_hurry(struct uplink_session *s)
{
    if (s->life == SESSION_STOPPED || (s->standing.open && s->attempt.phase == PHASE_NONE))
        return;
    session_enter(s);
    /* The caller knows more than a finding of a moment ago. */
    s->uplink->mqtt.away.at = 0;
    s->uplink->away = (struct hosts_away){0};
    for (size_t i = 0; i < s->uplink->n_hosts; i++)
        resolver_refresh(s->uplink->hosts[i].resolver, clock_boottime());
    if (s->attempt.phase == PHASE_WAITING)
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

    if (s->life == SESSION_STOPPED || s->only_handshake)
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

    if (s->life == SESSION_STOPPED || s->only_handshake)
        return -ESHUTDOWN;
    session_enter(s);
    r = s->uplink->transport->subscribe(s, target, accept, notify, userdata, ret);
    session_leave(s);
    return r;
}

size_t uplink_session_payload_max(const struct uplink_session *s)
{
    return s->standing.open ? s->uplink->transport->payload_max(s) : 0;
}

enum uplink_state uplink_session_state(const struct uplink_session *s)
{
    return s->news.state;
}

const char *uplink_session_reason(const struct uplink_session *s)
{
    return s->news.reason ? s->news.reason : "";
}

void uplink_session_info(const struct uplink_session *s, struct uplink_info *ret)
{
    *ret = (struct uplink_info){
        .state = s->news.state,
        .reason = s->news.reason ? s->news.reason : "",
        .trouble = s->news.trouble,
        .trouble_host = s->news.trouble_host ?: "",
        .retry_at = s->attempt.phase == PHASE_WAITING ? s->attempt.retry_at : 0,
        .slot = s->slot,
        .full_at = s->standing.full_at,
        .counters = s->counters,
    };
    s->uplink->transport->count(s, &ret->counters);
    if (!s->standing.open)
        return;
    ret->established = true;
    ret->online_since = s->standing.since;
    resolver_address_text(&s->standing.address, ret->address);
    snprintf(ret->server, sizeof(ret->server), "%s", standing_host(s)->endpoint);
    ret->referred = s->standing.referred;
    s->uplink->transport->info(s, ret);
}

void uplink_introduction_done(struct uplink_introduction *i)
{
    free(i->client_id);
    free(i->will_topic);
    free(i->will_payload);
    *i = (struct uplink_introduction){0};
}
