/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From the device's queue to the cloud: one request at a time, of as many waiting samples as it holds. Samples leave
 * the queue when the cloud has accepted them; until then the same ones are sent again, byte for byte unless another
 * profile was read. */
#include "base/clock.h"
#include "base/log.h"
#include "device/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLES_PER_PACK 256

static void send_pack(struct device *d);

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
    send_pack(userdata);
    return 0;
}

static void try_within(struct device *d, uint64_t when, uint64_t accuracy)
{
    if (!d->delivery.retry &&
        sd_event_add_time(d->fleet->event, &d->delivery.retry, CLOCK_BOOTTIME, when, accuracy, on_retry, d) < 0)
        return;
    sd_event_source_set_time(d->delivery.retry, when);
    sd_event_source_set_time_accuracy(d->delivery.retry, accuracy);
    sd_event_source_set_enabled(d->delivery.retry, SD_EVENT_ONESHOT);
}

static void try_at(struct device *d, uint64_t when)
{
    try_within(d, when, 100 * USEC_PER_MSEC);
}

/* In another turn of the loop: there may be thousands to be given up. */
static void go_on_soon(struct device *d)
{
    try_within(d, clock_boottime(), 1);
}

/* Nothing is under way until then: while memory is short the spool may let go of it, and read it back for the retry. */
static void retry_later(struct device *d, uint64_t at_least)
{
    spool_hold(d->queue, 0);
    spool_line(d->queue, false);
    try_at(d, clock_boottime() + MAX_OF(at_least, backoff_failed(&d->delivery.backoff, false)));
}

/* `old`: on the session before a swap, which says nothing of the present main. */
static void on_accepted(struct device *d, bool old)
{
    spool_accept(d->queue, d->delivery.held);
    d->delivery.held = 0;
    /* A pack without the bad sample went through: look for it in twice as many. */
    if (d->delivery.split > 0)
        d->delivery.split = d->delivery.split >= SAMPLES_PER_PACK / 2 ? 0 : d->delivery.split * 2;
    backoff_reset(&d->delivery.backoff);
    spool_line(d->queue, true);
    if (!old)
        session_accepted(d);
}

/* The cloud will never take this pack: halve it until the one sample is found. */
static void on_rejected(struct device *d, const char *reason)
{
    if (d->delivery.held > 1) {
        d->delivery.split = d->delivery.held / 2;
        spool_hold(d->queue, 0);
    } else {
        log_limited(&d->fleet->rejections, LOG_WARNING, d->config->id,
                    "the cloud refuses a sample as such (%s); it is given up", reason);
        message_log(d, PROFILE_WARNING, "delivery", "a sample was refused as such, and is given up");
        spool_reject(d->queue, 1, reason);
    }
    d->delivery.held = 0;
}

/* What is no matter of the line will hardly be over by the next try: somebody should know. */
static void say_why(struct device *d, int r)
{
    const char *why = r == -ECONNRESET ? "the server rejects the message (RST)"
                      : r == -EBADMSG  ? "the server's answer cannot be understood"
                      : r == -EINVAL   ? "the profile makes a message that cannot be sent"
                                       : NULL;

    if (why)
        log_limited(&d->fleet->rejections, LOG_WARNING, d->config->id, "samples wait, and are tried again: %s", why);
}

static void handle_answer(struct device *d, int r, const struct uplink_response *response)
{
    bool old = d->lingering;
    uint64_t wait = 0;
    char code[CODE_TEXT_MAX];

    if (r != -ECANCELED)
        session_linger_end(d);
    if (r == -EMSGSIZE) {
        on_rejected(d, "too large");
    } else if (r == -ECANCELED) {
        return; /* the session was exchanged or stopped: its successor kicks */
    } else if (r < 0) {
        say_why(d, r);
        retry_later(d, 0);
        return;
    } else {
        switch (profile_verdict(d->uplink->profile, response->code)) {
        case PROFILE_ACCEPTED:
            if (session_awaits_proof(d)) {
                retry_later(d, 0);
                return;
            }
            on_accepted(d, old);
            break;
        case PROFILE_REJECTED:
            message_code_text(d->uplink->profile, response->code, code);
            on_rejected(d, code);
            break;
        case PROFILE_REFUSED:
            session_answered(d, response->code);
            if (!old)
                session_refused(d);
            retry_later(d, 0);
            return;
        case PROFILE_RETRY:
            /* 4.29 and 5.03 say how long (RFC 8516, RFC 7252 section 5.9.3.4) */
            if (response->code == (4 << 5 | 29) || response->code == (5 << 5 | 3))
                wait = MIN_OF(response->max_age * USEC_PER_SEC, COAP_HOLD_MAX);
            session_answered(d, response->code);
            retry_later(d, wait);
            return;
        }
    }
    send_pack(d);
}

static void on_answer(int r, const struct uplink_response *response, void *userdata)
{
    struct device *d = userdata;

    d->delivery.request = NULL;
    handle_answer(d, r, response);
    probe_delivery_ended(d);
    reload_delivery_ended(d);
}

/* The next pack: what is to be repeated, or what waits. Returns how many samples it holds, 0 for none; -errno: there is
 * one, but not now. */
static ssize_t make_pack(struct device *d, struct profile_message *ret)
{
    static struct sample samples[SAMPLES_PER_PACK]; /* views, used before the next call */
    struct delivery *delivery = &d->delivery;
    uint64_t now = clock_boottime();
    size_t want = delivery->held ?: delivery->split ?: SAMPLES_PER_PACK;
    struct device_names names;
    int failed = device_names(d, &names);

    if (failed < 0)
        return failed;
    for (unsigned i = 0; i < REJECTED_PER_TURN; i++) {
        size_t n = spool_peek(d->queue, now, 0, samples, MIN_OF(want, (size_t)SAMPLES_PER_PACK));
        ssize_t r;

        if (n == 0)
            return 0;
        r = profile_pack(d->uplink->profile, &names.profile, samples, n, d->uplink->settings->max_payload, ret);
        if (r > 0 || r == -ENOMEM)
            return r;
        log_limited(&d->fleet->rejections, LOG_WARNING, d->config->id, "a sample of %s cannot be sent: %s",
                    samples[0].point, strerrordesc_np((int)-r));
        spool_reject(d->queue, 1, strerrorname_np((int)-r));
        delivery->held = 0;
    }
    go_on_soon(d);
    return 0;
}

/* What has piled up is not thrown at the cloud at once: the profile may bound the requests a second. */
static bool rate_allows(struct device *d)
{
    unsigned rate = d->uplink->profile->drain_rate;
    uint64_t at = rate > 0 ? d->delivery.last + USEC_PER_SEC / rate : 0;

    if (clock_boottime() >= at)
        return true;
    try_at(d, at);
    return false;
}

static void send_pack(struct device *d)
{
    _cleanup_(profile_message_done) struct profile_message message = {0};
    struct delivery *delivery = &d->delivery;
    ssize_t n;
    int r;

    if (delivery->request || delivery->paused || !d->queue || d->session_state != UPLINK_STATE_ONLINE ||
        d->announcing || probe_excludes_session(d) || session_awaits_proof(d) || !rate_allows(d))
        return;
    n = make_pack(d, &message);
    if (n <= 0) {
        if (n < 0)
            retry_later(d, 0);
        return;
    }
    delivery->held = (size_t)n;
    spool_hold(d->queue, delivery->held);
    r = message_send(d->session, &message, on_answer, d, &delivery->request);
    delivery->last = clock_boottime();
    if (r == -EMSGSIZE) {
        on_rejected(d, "too large");
        go_on_soon(d);
    } else if (r < 0) {
        say_why(d, r);
        retry_later(d, 0);
    }
}

/* There may be something to send, and somebody to send it to. A retry that waits its turn is left to its timer. */
void delivery_kick(struct device *d)
{
    int enabled = SD_EVENT_OFF;

    if (d->delivery.retry)
        sd_event_source_get_enabled(d->delivery.retry, &enabled);
    if (enabled == SD_EVENT_OFF)
        send_pack(d);
}

void delivery_done(struct device *d)
{
    if (d->delivery.request)
        uplink_call_cancel(d->delivery.request);
    session_linger_end(d);
    sd_event_source_disable_unref(d->delivery.retry);
    d->delivery.retry = NULL;
}
