/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A probe: a fresh full handshake with one credential, then one accepted message. Over CoAP beside the ordinary
 * session; over MQTT, where both would have one client id, in its place: first what is under way there is waited for,
 * then that session ends, and when the probe came to nothing it begins again. */
#include "base/clock.h"
#include "base/log.h"
#include "device/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_exclusive(const struct device *d)
{
    return d->uplink->profile->transport == PROFILE_MQTT;
}

bool probe_excludes_session(const struct device *d)
{
    return is_exclusive(d) && (d->probe.pausing || d->probe.session);
}

static void finish(struct device *d, int r)
{
    void (*done)(struct device * d, int r) = d->probe.done;

    d->probe.done = NULL;
    if (r < 0)
        probe_drop(d);
    if (done)
        done(d, r);
}

static void set_why(struct device *d, const char *why)
{
    free(d->probe.why);
    d->probe.why = why && why[0] ? strdup(why) : NULL;
}

static void on_proof(struct device *d, int r, enum profile_verdict verdict, uint8_t code)
{
    char words[ERROR_TEXT_MAX];

    d->probe.proof = proof_free(d->probe.proof);
    if (!d->probe.done)
        return; /* dropped */
    if (r < 0 || verdict != PROFILE_ACCEPTED)
        set_why(d, proof_words(d, r, verdict, code, words, sizeof(words)));
    if (r < 0) {
        finish(d, r == -ENOMEM ? r : -EHOSTUNREACH);
        return;
    }
    switch (verdict) {
    case PROFILE_ACCEPTED:
        finish(d, 0);
        break;
    case PROFILE_REFUSED:
        finish(d, -EACCES);
        break;
    case PROFILE_REJECTED:
    case PROFILE_RETRY:
        finish(d, -EHOSTUNREACH); /* says nothing about the credential */
        break;
    }
}

static void on_state(void *userdata, enum uplink_state state, const char *reason)
{
    struct device *d = userdata;

    if (state != UPLINK_STATE_STOPPED)
        return;
    if (d->probe.done && reason && reason[0])
        set_why(d, reason);
    d->probe.proof = proof_stopped(d->probe.proof);
    if (d->probe.done)
        finish(d, -EHOSTUNREACH);
}

static void on_result(void *userdata, enum uplink_result result, bool full, const char *reason)
{
    struct device *d = userdata;
    int r;

    if (!d->probe.done)
        return;
    set_why(d, reason);
    switch (result) {
    case UPLINK_OK:
        r = proof_begin(d, d->probe.session, on_proof, &d->probe.proof);
        if (r != 0)
            finish(d, r < 0 ? r : 0);
        break;
    case UPLINK_REFUSED_ANSWER:
        finish(d, -EACCES);
        break;
    case UPLINK_UNREACHABLE:
    case UPLINK_FAILED:
        finish(d, -EHOSTUNREACH);
        break;
    case UPLINK_LOCAL:
        finish(d, -EIO);
        break;
    }
}

static const struct uplink_session_ops probe_ops = {
    .state = on_state, .result = on_result, .introduce = device_introduce};

static int begin(struct device *d)
{
    const struct vault_entry *entry = device_entry(d);
    int r;

    if (!entry)
        return -ESHUTDOWN;
    r = uplink_session_new(d->uplink->uplink, &probe_ops, d, &d->probe.session);
    return r < 0 ? r : uplink_session_once(d->probe.session, d->config->id, entry, d->probe.slot);
}

static int on_paused(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct device *d = userdata;
    int r;

    d->probe.pausing = sd_event_source_disable_unref(d->probe.pausing);
    session_stop(d, UPLINK_BYE);
    r = begin(d);
    if (r < 0) {
        finish(d, r);
        session_start(d);
    }
    return 0;
}

/* In the next loop turn, when nothing is under way any more; otherwise after a while in any case. */
static int pause_session(struct device *d)
{
    uint64_t wait = d->delivery.request ? PROBE_PAUSE : 0;

    return sd_event_add_time(d->fleet->event, &d->probe.pausing, CLOCK_BOOTTIME, clock_boottime() + wait, 1, on_paused,
                             d);
}

void probe_delivery_ended(struct device *d)
{
    if (d->probe.pausing)
        sd_event_source_set_time(d->probe.pausing, clock_boottime());
}

int probe_start(struct device *d, enum vault_slot slot, void (*done)(struct device *d, int r))
{
    int r;

    probe_drop(d);
    if (!device_entry(d) || !d->config->enabled || d->disconnected || d->fleet->stopping)
        return -ESHUTDOWN;
    set_why(d, NULL);
    d->probe.slot = slot;
    d->probe.done = done;
    r = is_exclusive(d) ? pause_session(d) : begin(d);
    if (r < 0) {
        d->probe.done = NULL;
        probe_drop(d);
    }
    return r;
}

void probe_abort(struct device *d)
{
    if (d->probe.done)
        finish(d, -ECANCELED);
    else
        probe_drop(d);
}

void probe_drop(struct device *d)
{
    struct uplink_session *s = d->probe.session;
    bool excluded = probe_excludes_session(d);

    d->probe.done = NULL;
    d->probe.proof = proof_free(d->probe.proof);
    d->probe.pausing = sd_event_source_disable_unref(d->probe.pausing);
    d->probe.session = NULL;
    if (s) {
        uplink_session_stop(s, UPLINK_BYE);
        uplink_session_free(s);
    }
    if (excluded)
        session_start(d);
}
