/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From the device's queue to the cloud: one request at a time, of as many waiting samples as it holds. Samples leave
 * the queue when the cloud has accepted them; until then the same ones are sent again, byte for byte unless another
 * profile was read. */
#include "device/delivery.h"

#include "base/arm.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/ratelimit.h"
#include "device/announce.h"
#include "device/connection.h"
#include "device/facts.h"
#include "device/internal.h"
#include "device/message.h"
#include "device/notify.h"
#include "device/pack-bound.h"
#include "device/reload.h"
#include "device/send-gate.h"
#include "payload/profile.h"
#include "spool/spool.h"
#include "uplink/backoff.h"
#include "uplink/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void send_pack(struct device *d);

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
    send_pack(userdata);
    return 0;
}

static void try_within(struct device *d, uint64_t when, uint64_t accuracy)
{
    (void)timer_arm(d->fleet->event, &d->delivery.retry, when, accuracy, on_retry, d);
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
    spool_accept(d->queue, d->delivery.pack.samples);
    pack_bound_accepted(&d->delivery.bound, &d->delivery.pack, delivery_bytes_allowed(d));
    d->delivery.pack = (struct pack){0};
    backoff_reset(&d->delivery.backoff);
    spool_line(d->queue, true);
    standstill_over(d, true);
    if (!old)
        session_accepted(d);
}

/* The cloud will never take this sample. */
static void give_up(struct device *d, const char *reason)
{
    log_limited(&d->fleet->spooling.rejections, LOG_WARNING, d->config->id,
                "the cloud refuses a sample as such (%s, %zu bytes); it is given up", reason, d->delivery.pack.bytes);
    message_log(d, PROFILE_WARNING, "delivery", "a sample was refused as such, and is given up");
    spool_reject(d->queue, 1, reason);
    d->delivery.pack = (struct pack){0};
    d->delivery.prove = false;
}

/* The pack is to be halved until it passes, or the one sample is found. False: the same again, later. */
static bool on_failed(struct device *d, enum pack_failure failure, size_t limit, const char *reason)
{
    struct delivery *delivery = &d->delivery;
    struct pack pack = delivery->pack;

    switch (pack_bound_failed(&delivery->bound, failure, &pack, limit)) {
    case PACK_AGAIN:
        return false;
    case PACK_SMALLER:
        if (failure != PACK_BAD)
            log_limited(&d->fleet->spooling.rejections, LOG_WARNING, d->config->id,
                        "a pack of %zu samples in %zu bytes does not get through (%s); they are sent in smaller ones",
                        pack.samples, pack.bytes, reason);
        spool_hold(d->queue, 0);
        delivery->pack = (struct pack){0};
        break;
    case PACK_PROVE:
        log_limited(&d->fleet->spooling.rejections, LOG_WARNING, d->config->id,
                    "a sample in %zu bytes does not get through (%s): it is given up if the cloud accepts the "
                    "profile's probe",
                    pack.bytes, reason);
        delivery->prove = true;
        break;
    case PACK_REJECT:
        give_up(d, reason);
        break;
    }
    return true;
}

static void on_proof(void *userdata, int r, enum profile_verdict verdict, uint8_t code, const char *words)
{
    struct device *d = userdata;
    struct delivery *delivery = &d->delivery;

    delivery->proof = proof_free(delivery->proof);
    if (r == -ECANCELED)
        return;
    if (r == 0 && verdict == PROFILE_ACCEPTED && pack_bound_gives_up(&delivery->bound, clock_boottime()))
        give_up(d, delivery_failure_text(PACK_HUNG_UP));
    delivery->prove = false;
    if (delivery->pack.samples > 0)
        retry_later(d, 0);
    else
        go_on_soon(d);
}

/* The server may be at fault, and not the sample: does it accept another message? */
static void prove(struct device *d)
{
    struct delivery *delivery = &d->delivery;
    int r = delivery->proof ? 0 : proof_begin(d, device_session(d), on_proof, d, &delivery->proof);

    if (r > 0)
        on_proof(d, 0, PROFILE_ACCEPTED, 0, NULL); /* the session has to do */
    else if (r < 0)
        retry_later(d, 0);
}

/* Reports failures that are not the line's: they will hardly be over by the next try. */
static void say_why(struct device *d, int r)
{
    const char *why = r == -ECONNRESET ? "the server rejects the message (RST)"
                      : r == -EBADMSG  ? "the server's answer cannot be understood"
                      : r == -EINVAL   ? "the profile makes a message that cannot be sent"
                                       : NULL;

    if (why)
        log_limited(&d->fleet->spooling.rejections, LOG_WARNING, d->config->id, "samples wait, and are tried again: %s",
                    why);
}

/* True: another pack may follow at once. */
static bool handle_code(struct device *d, const struct uplink_response *response, bool old)
{
    uint64_t wait = 0;
    char code[CODE_TEXT_MAX];

    switch (profile_verdict(d->uplink->profile, response->code)) {
    case PROFILE_ACCEPTED:
        if (session_awaits_proof(d))
            break;
        on_accepted(d, old);
        return true;
    case PROFILE_REJECTED:
        message_code_text(d->uplink->profile, response->code, code);
        return on_failed(d, response->too_large ? PACK_TOO_LARGE : PACK_BAD, response->limit, code);
    case PROFILE_REFUSED:
        session_answered(d, response->code, response->words);
        if (!old)
            session_refused(d);
        break;
    case PROFILE_RETRY:
        /* 4.29 and 5.03 say how long (RFC 8516, RFC 7252 section 5.9.3.4) */
        if (response->code == (4 << 5 | 29) || response->code == (5 << 5 | 3))
            wait = MIN_OF(response->max_age * USEC_PER_SEC, COAP_HOLD_MAX);
        session_answered(d, response->code, response->words);
        break;
    }
    retry_later(d, wait);
    return false;
}

static bool handle_failure(struct device *d, int r)
{
    enum pack_failure failure = PACK_SILENT;

    switch (-r) {
    case EMSGSIZE:
        failure = PACK_TOO_LARGE;
        break;
    case ECONNABORTED:
        failure = PACK_HUNG_UP;
        break;
    case ECONNRESET:
        failure = PACK_RESET;
        break;
    case ETIMEDOUT:
        break;
    default:
        say_why(d, r);
        retry_later(d, 0);
        return false;
    }
    standstill_why(d, delivery_failure_text(failure));
    if (on_failed(d, failure, 0, delivery_failure_text(failure)))
        return true;
    say_why(d, r);
    retry_later(d, 0);
    return false;
}

static void handle_answer(struct device *d, int r, const struct uplink_response *response)
{
    bool old = session_leaving(d);

    if (r == -ECANCELED)
        return; /* the session was exchanged or stopped: its successor kicks */
    session_linger_end(d);
    if (r < 0 ? handle_failure(d, r) : handle_code(d, response, old))
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

/* By what became of packs before, and by what the session's path takes. 0: none. */
static size_t bytes_bound(const struct device *d)
{
    size_t of_packs = d->delivery.bound.bytes, of_path = uplink_session_payload_max(device_session(d));

    return of_packs > 0 && of_path > 0 ? MIN_OF(of_packs, of_path) : MAX_OF(of_packs, of_path);
}

static ssize_t pack(struct device *d, const struct device_names *names, const struct sample *samples, size_t n,
                    struct profile_message *ret)
{
    size_t most = delivery_bytes_allowed(d), bound = d->delivery.pack.samples > 0 ? 0 : bytes_bound(d);
    ssize_t r =
        profile_pack(d->uplink->profile, &names->profile, samples, n, bound > 0 ? MIN_OF(bound, most) : most, ret);

    /* Whether the one sample passes nobody knows yet. */
    if (r == -EMSGSIZE && bound > 0 && bound < most)
        r = profile_pack(d->uplink->profile, &names->profile, samples, 1, most, ret);
    return r;
}

/* A sample of a point removed meanwhile is sent, but not to be retained: nobody would take it back. */
static bool still_there(const struct device *d, const char *point)
{
    return d->config->templated || config_point(d->config, point);
}

/* The next pack: what is to be repeated, or what waits. Returns how many samples it holds, 0 for none; -errno: there is
 * one, but not now. */
static ssize_t make_pack(struct device *d, struct profile_message *ret)
{
    static struct sample samples[SAMPLES_PER_PACK]; /* views, used before the next call */
    struct delivery *delivery = &d->delivery;
    uint64_t now = clock_boottime();
    size_t want = delivery->pack.samples ?: delivery->bound.samples ?: SAMPLES_PER_PACK;
    struct device_names names;
    int failed = device_names(d, &names);

    if (failed < 0)
        return failed;
    for (unsigned i = 0; i < REJECTED_PER_TURN; i++) {
        size_t n = latest_of(d, spool_peek(d->queue, now, 0, samples, MIN_OF(want, (size_t)SAMPLES_PER_PACK)));
        ssize_t r;

        if (n == 0)
            return 0;
        r = pack(d, &names, samples, n, ret);
        if (r > 0 && ret->retain)
            ret->retain = still_there(d, samples[0].point);
        if (r > 0 || r == -ENOMEM)
            return r;
        log_limited(&d->fleet->spooling.rejections, LOG_WARNING, d->config->id, "a sample of %s cannot be sent: %s",
                    samples[0].point, strerrordesc_np((int)-r));
        spool_reject(d->queue, 1, strerrorname_np((int)-r));
        delivery->pack = (struct pack){0};
    }
    go_on_soon(d);
    return 0;
}

/* A backlog is not sent at once: the profile may bound the requests a second. */
static bool rate_allows(struct device *d)
{
    unsigned rate = d->uplink->profile->drain_rate;
    uint64_t at = rate > 0 ? d->delivery.last + USEC_PER_SEC / rate : 0;

    if (clock_boottime() < at) {
        try_at(d, at);
        return false;
    }
    return true;
}

/* ... and the uplink those of all its devices together. Who comes too early comes again, at random, so that all get
 * their turn. */
static bool uplink_allows(struct device *d)
{
    if (d->uplink->settings->drain_rate == 0 || ratelimit_take(&d->uplink->drain, clock_boottime(), 1))
        return true;
    try_at(d, clock_boottime() + USEC_PER_SEC / d->uplink->settings->drain_rate + backoff_spread(USEC_PER_SEC));
    return false;
}

static int send_message(struct device *d, const struct profile_message *message)
{
    struct delivery *delivery = &d->delivery;
    struct uplink_request request = message_request(message);

    request.ends = pack_bound_patience(&delivery->bound, &delivery->pack);
    request.divisible = delivery->pack.samples > 1;
    request.suspect = delivery->bound.hunted > 0;
    delivery->last = clock_boottime();
    return uplink_session_request(device_session(d), &request, on_answer, d, &delivery->request);
}

/* All but its samples and their time. */
static struct send_facts facts_of(const struct device *d)
{
    return (struct send_facts){
        .phase = device_phase(d),
        .excluded = probe_excludes_session(d),
        .removed = !d->queue || d->withdrawing.wanted,
        .paused = d->delivery.paused,
        .under_way = d->delivery.request,
        .waits = true,
    };
}

/* Whether a sample waits, and has a time, shows when the pack is made. */
static bool may_send(const struct device *d)
{
    const struct send_facts facts = facts_of(d);

    return send_gate(&facts) == SEND_NOW;
}

enum send_answer delivery_sends(const struct device *d)
{
    struct send_facts facts = facts_of(d);
    struct spool_counts counts;

    spool_device_counts(d->queue, &counts);
    facts.waits = counts.queued > 0;
    facts.undated = !clock_synchronized() && !d->fleet->clock.server_time.told;
    facts.later = timer_armed(d->delivery.retry) != USEC_INFINITY;
    return send_gate(&facts);
}

/* Samples that could go are there, whatever keeps them. */
static void note_waiting(struct device *d)
{
    struct sample sample;

    if (d->delivery.standstill.since == 0 && d->queue && device_online(d) &&
        spool_peek(d->queue, clock_boottime(), 0, &sample, 1) > 0)
        standstill_begin(d);
}

/* The path has turned out to take less, or more. */
static void tell_path(struct device *d)
{
    size_t most = uplink_session_payload_max(device_session(d));

    if (d->uplink->profile->transport != PROFILE_COAP || most == d->delivery.path_said)
        return;
    d->delivery.path_said = most;
    if (most > 0)
        log_warning(d->config->id,
                    "large datagrams are lost on the way to the cloud without a word: requests are kept to %zu bytes",
                    most);
    else
        log_info(d->config->id, "large datagrams get through to the cloud again");
    device_changed(d);
}

static void send_pack(struct device *d)
{
    _cleanup_(profile_message_done) struct profile_message message = {0};
    struct delivery *delivery = &d->delivery;
    ssize_t n;
    int r;

    note_waiting(d);
    if (!may_send(d))
        return;
    if (delivery->prove) {
        prove(d);
        return;
    }
    if (!rate_allows(d))
        return;
    if (latest_pass_over(d)) {
        go_on_soon(d);
        return;
    }
    n = make_pack(d, &message);
    if (n <= 0) {
        if (n < 0)
            retry_later(d, 0);
        return;
    }
    if (!uplink_allows(d))
        return;
    tell_path(d);
    delivery->pack = (struct pack){.samples = (size_t)n, .bytes = message.size};
    spool_hold(d->queue, delivery->pack.samples);
    r = send_message(d, &message);
    if (r == -EMSGSIZE) {
        (void)on_failed(d, PACK_TOO_LARGE, 0, delivery_failure_text(PACK_TOO_LARGE));
        go_on_soon(d);
    } else if (r < 0) {
        say_why(d, r);
        retry_later(d, 0);
    }
}

/* There may be something to send, and somebody to send it to. A retry that waits its turn is left to its timer. */
void delivery_kick(struct device *d)
{
    if (timer_armed(d->delivery.retry) == USEC_INFINITY)
        send_pack(d);
}

void delivery_stopped(struct device *d)
{
    d->delivery.proof = proof_stopped(d->delivery.proof);
}

void delivery_moved(struct device *d)
{
    d->delivery.proof = proof_free(d->delivery.proof);
}

void delivery_done(struct device *d)
{
    if (d->delivery.request)
        uplink_call_cancel(d->delivery.request);
    delivery_moved(d);
    standstill_done(d);
    session_linger_end(d);
    sd_event_source_disable_unref(d->delivery.retry);
    d->delivery.retry = NULL;
}
