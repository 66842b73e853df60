/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The profile's probe on a session that stands: one message that the cloud accepts. Where the transport acknowledges
 * also what is not allowed (MQTT before version 5), the message has to come back. */
#include "base/clock.h"
#include "device/connection.h"
#include "device/internal.h"
#include "device/message.h"
#include "payload/profile.h"
#include "uplink/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct proof {
    struct device *device;
    struct uplink_call *call;
    struct uplink_subscription *subscription;
    sd_event_source *timeout;
    struct profile_message message;
    bool acknowledged;
    int failed; /* at once, before proof_begin() had returned */
    proof_done done;
    void *userdata;
};

struct proof *proof_free(struct proof *p)
{
    if (!p)
        return NULL;
    p->done = NULL;
    uplink_subscription_cancel(p->subscription);
    uplink_call_cancel(p->call);
    sd_event_source_disable_unref(p->timeout);
    profile_message_done(&p->message);
    free(p);
    return NULL;
}

struct proof *proof_stopped(struct proof *p)
{
    if (p)
        p->subscription = NULL;
    return proof_free(p);
}

static void finish(struct proof *p, int r, enum profile_verdict verdict, uint8_t code, const char *words)
{
    proof_done done = p->done;
    void *userdata = p->userdata;

    p->done = NULL;
    if (done)
        done(userdata, r, verdict, code, words);
}

static void on_answer(int r, const struct uplink_response *response, void *userdata)
{
    struct proof *p = userdata;
    enum profile_verdict verdict;

    p->call = NULL;
    if (r < 0 && !p->done)
        p->failed = r;
    if (r < 0) {
        /* The session is gone, and its subscriptions with it. */
        if (r == -ECANCELED)
            p->subscription = NULL;
        finish(p, r, PROFILE_RETRY, 0, NULL);
        return;
    }
    verdict = profile_verdict(p->device->uplink->profile, response->code);
    p->acknowledged = verdict == PROFILE_ACCEPTED;
    if (!p->timeout || !p->acknowledged)
        finish(p, 0, verdict, response->code, response->words);
}

static void on_message(int r, const struct uplink_response *response, void *userdata)
{
    struct proof *p = userdata;

    if (r < 0 || !response->topic)
        finish(p, 0, PROFILE_REFUSED, PROOF_NOT_HEARD, NULL);
    else if (response->payload_size == p->message.size &&
             (p->message.size == 0 || memcmp(response->payload, p->message.body, p->message.size) == 0))
        finish(p, 0, PROFILE_ACCEPTED, 0, NULL);
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct proof *p = userdata;

    /* Acknowledged, and never delivered: not allowed. */
    if (p->acknowledged)
        finish(p, 0, PROFILE_REFUSED, PROOF_NOT_HEARD, NULL);
    else
        finish(p, -ETIMEDOUT, PROFILE_RETRY, 0, NULL);
    return 0;
}

static int read_back(struct proof *p, struct uplink_session *s)
{
    int r = sd_event_add_time(p->device->fleet->event, &p->timeout, CLOCK_BOOTTIME, clock_boottime() + PROOF_TIMEOUT,
                              USEC_PER_SEC, on_timeout, p);

    return r < 0 ? r : uplink_session_subscribe(s, p->message.target, -1, on_message, p, &p->subscription);
}

int proof_begin(struct device *d, struct uplink_session *s, proof_done done, void *userdata, struct proof **ret)
{
    const struct profile *profile = d->uplink->profile;
    struct device_names names;
    struct uplink_info info;
    struct proof *p;
    int r;

    if (profile->probe.none)
        return 1;
    p = calloc(1, sizeof(*p));
    if (!p)
        return -ENOMEM;
    *ret = p;
    p->device = d;
    uplink_session_info(s, &info);
    r = device_names(d, &names);
    if (r >= 0)
        r = profile_probe(profile, &names.profile, &p->message);
    if (r >= 0 && profile->probe.reads_back && !info.tells_refusals)
        r = read_back(p, s);
    if (r >= 0)
        r = message_send(s, &p->message, on_answer, p, &p->call);
    if (r >= 0 && p->failed < 0)
        r = p->failed;
    if (r < 0) {
        *ret = proof_free(p);
        return r;
    }
    p->done = done;
    p->userdata = userdata;
    return 0;
}
