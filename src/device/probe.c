/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A probe: a fresh full handshake with one credential beside the ordinary session, then one accepted message. */
#include "device/internal.h"

#include <errno.h>
#include <stdlib.h>

int probe_request(struct device *d, struct uplink_session *s, uplink_done done, void *userdata,
                  struct uplink_call **ret)
{
    _cleanup_(profile_message_done) struct profile_message message = {0};
    char opaque[OPAQUE_ID_SIZE];
    struct profile_names names;
    int r = device_names(d, opaque, &names);

    if (r >= 0)
        r = profile_probe(d->uplink->profile, &names, &message);
    return r < 0 ? r
                 : uplink_session_request(s,
                                          &(struct uplink_request){.method = (uint8_t)message.method,
                                                                   .target = message.target,
                                                                   .content_format = message.content_format,
                                                                   .accept = -1,
                                                                   .retain = message.retain,
                                                                   .payload = message.body,
                                                                   .payload_size = message.size},
                                          done, userdata, ret);
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

static void on_answer(int r, const struct uplink_response *response, void *userdata)
{
    struct device *d = userdata;

    d->probe.request = NULL;
    if (!d->probe.done)
        return; /* dropped */
    if (r < 0) {
        finish(d, r == -ENOMEM ? r : -EHOSTUNREACH);
        return;
    }
    switch (profile_verdict(d->uplink->profile, response->code)) {
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

    if (state == UPLINK_STATE_STOPPED && d->probe.done)
        finish(d, -EHOSTUNREACH);
}

static void on_result(void *userdata, enum uplink_result result, bool full, const char *reason)
{
    struct device *d = userdata;
    int r;

    if (!d->probe.done)
        return;
    switch (result) {
    case UPLINK_OK:
        r = probe_request(d, d->probe.session, on_answer, d, &d->probe.request);
        if (r < 0)
            finish(d, r);
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

static const struct uplink_session_ops probe_ops = {.state = on_state, .result = on_result};

int probe_start(struct device *d, enum vault_slot slot, void (*done)(struct device *d, int r))
{
    const struct vault_entry *entry = device_entry(d);
    int r;

    probe_drop(d);
    if (!entry || !d->config->enabled || d->disconnected || d->fleet->stopping)
        return -ESHUTDOWN;
    r = uplink_session_new(d->uplink->uplink, &probe_ops, d, &d->probe.session);
    if (r < 0)
        return r;
    d->probe.slot = slot;
    d->probe.done = done;
    r = uplink_session_once(d->probe.session, d->config->id, entry, slot);
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

    d->probe.done = NULL;
    if (!s)
        return;
    d->probe.session = NULL;
    uplink_session_stop(s, true);
    uplink_session_free(s);
    d->probe.request = NULL;
}
