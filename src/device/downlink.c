/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands from the cloud: what the profile's sources bring is written to the driver like any other write, and what
 * became of it is answered. A cloud may show a command again until it has the outcome, so the last ones are remembered
 * by their ids (outcome.c): a repeat is answered, and not carried out once more. */
#include "device/downlink.h"

#include "base/arm.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/messages.h"
#include "base/ratelimit.h"
#include "device/device.h"
#include "device/downlink-internal.h"
#include "device/facts.h"
#include "device/idle.h"
#include "device/message.h"
#include "device/notify.h"
#include "payload/profile.h"
#include "uplink/mqtt-reasons.h"
#include "uplink/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A write under way; the driver answers also when the device is gone. */
struct running {
    struct running *next;
    struct downlink *downlink;     /* NULL: gone */
    struct remembered *remembered; /* as long as the downlink is there */
};

static enum profile_outcome outcome_of(int r)
{
    switch (-r) {
    case 0:
        return PROFILE_DONE;
    case ENXIO:
        return PROFILE_UNKNOWN;
    case EINVAL:
    case EBADMSG:
        return PROFILE_INVALID;
    case EACCES:
        return PROFILE_DENIED;
    case EDOM:
        return PROFILE_KIND;
    case ERANGE:
        return PROFILE_RANGE;
    case ENOTCONN:
    case ETIMEDOUT:
        return PROFILE_UNAVAILABLE;
    case EBUSY:
        return PROFILE_BUSY;
    default:
        return PROFILE_FAILED;
    }
}

/* ── Carrying out ── */

static void on_written(int r, const struct sample_value *set, const struct error *e, void *userdata)
{
    struct running *run = userdata, **link;
    struct downlink *l = run->downlink;

    if (l) {
        for (link = &l->running; *link != run; link = &(*link)->next)
            ;
        *link = run->next;
        l->n_running--;
        outcome_is(run->remembered, outcome_of(r), r < 0 ? e->text : "", set);
        idle_touch(l->device);
    }
    free(run);
}

static struct running *running_new(struct downlink *l, const struct profile_command *c, const char *value)
{
    struct running *run = calloc(1, sizeof(*run));

    if (!run)
        return NULL;
    run->remembered = outcome_expect(l, c, value);
    if (!run->remembered) {
        free(run);
        return NULL;
    }
    run->downlink = l;
    run->next = l->running;
    l->running = run;
    l->n_running++;
    return run;
}

static void asker_words(const struct device *d, const struct profile_command *c, char *ret, size_t size)
{
    if (command_has_id(c))
        snprintf(ret, size, "the cloud of uplink %s, by command %.64s,", d->config->uplink, c->id);
    else
        snprintf(ret, size, "the cloud of uplink %s", d->config->uplink);
}

static void carry_out(struct downlink *l, const struct profile_command *c)
{
    struct device *d = l->device;
    _cleanup_free_ char *value = sample_value_text(&c->value);
    struct remembered *m = outcome_recall(l, c);
    char words[192];
    struct running *run;
    struct error e = {0};
    int r;

    if (!value)
        return;
    if (m && outcome_is_repeat(m, c, value)) {
        if (m->ended)
            report_result(l, c, m->outcome, m->text);
        if (m->ended && command_has_id(c))
            outcome_tell(m);
        return;
    }
    asker_words(d, c, words, sizeof(words));
    if (l->n_running >= COMMANDS_AT_ONCE) {
        device_write_refused(d, &(struct device_asker){.uid = NOBODY, .words = words}, value, c->point,
                             "too many commands at once");
        report_result(l, c, PROFILE_BUSY, "too many commands at once");
        outcome_tell_once(d, c, PROFILE_BUSY, "too many commands at once");
        return;
    }
    run = running_new(l, c, value);
    if (!run) {
        report_result(l, c, PROFILE_BUSY, strerrordesc_np(ENOMEM));
        return;
    }
    r = device_write(d, c->point, &c->value, &(struct device_asker){.uid = NOBODY, .words = words}, on_written, run,
                     &e);
    if (r < 0)
        on_written(r, NULL, &e, run);
}

/* A holder of the device's key can send as many as the line takes. */
static void no_command(struct downlink *l, const struct error *e)
{
    uint64_t before = l->complaints.denied;

    if (!ratelimit_take(&l->complaints, clock_boottime(), 1))
        return;
    log_audit(LOG_WARNING, MESSAGE_WRITE_FAILED, l->device->config->id, NOBODY,
              "the cloud of uplink %s sent what is no command: %s (%llu more were left out before)",
              l->device->config->uplink, e->text, (unsigned long long)before);
}

static void on_payload(struct listening *at, const struct uplink_response *response, const char *topic)
{
    struct downlink *l = at->downlink;
    struct device *d = l->device;
    _cleanup_(profile_commands_done) struct profile_commands commands = {0};
    struct device_names names;
    struct error e = {0};
    int r = device_names(d, &names);

    /* Before it is parsed, which is what costs. An observed state that is dropped here comes again after its Max-Age.
     */
    if (!ratelimit_take(&l->heard, clock_boottime(), 1)) {
        log_limited(&l->complaints, LOG_WARNING, d->config->id,
                    "the cloud of uplink %s sends more than %d commands a second: some are not heard",
                    d->config->uplink, COMMANDS_PER_SEC);
        return;
    }
    idle_touch(d);
    if (r >= 0)
        r = response->payload_size > COMMAND_PAYLOAD_MAX
                ? error_set(&e, -EBADMSG, "%zu bytes; expected a command of at most %d", response->payload_size,
                            COMMAND_PAYLOAD_MAX)
                : profile_commands(d->uplink->profile, at->source, &names.profile, topic, response->content_format,
                                   response->payload, response->payload_size, &commands, &e);
    if (r < 0) {
        no_command(l, &e);
        if (commands.n > 0)
            outcome_tell_once(d, &commands.list[0], PROFILE_INVALID, e.text);
        return;
    }
    if (commands.report_id && report_begin(at, &commands) < 0)
        log_warning(d->config->id, "no memory to answer a message of %zu settings", commands.n);
    for (size_t i = 0; i < commands.n; i++)
        carry_out(l, &commands.list[i]);
    if (commands.report_id)
        report_begun(at);
}

/* ── Listening ── */

static void refusal_words(const struct listening *at, uint8_t code, char *buffer, size_t size)
{
    const struct device *d = at->downlink->device;
    bool coap = d->uplink->profile->transport == PROFILE_COAP;
    _cleanup_(profile_message_done) struct profile_message m = {0};
    struct device_names names;
    char text[CODE_TEXT_MAX];

    message_code_text(d->uplink->profile, code, text);
    if (device_names(d, &names) >= 0)
        (void)profile_source(d->uplink->profile, at->source, &names.profile, &m);
    snprintf(buffer, size,
             "commands of the cloud cannot be heard: it answers %s%s%s%s%s%s to who asks for \"%s\": may this identity "
             "listen there?",
             text, coap ? "" : " (", coap ? "" : mqtt_reason_name(code), coap ? "" : ")", at->words ? " " : "",
             at->words ?: "", m.target ?: "");
}

static void refused_with(struct listening *at, const char *words)
{
    free(at->words);
    at->words = words && words[0] ? strdup(words) : NULL;
}

static bool answered_well(struct listening *at, int r, const struct uplink_response *response)
{
    struct device *d = at->downlink->device;
    bool coap = d->uplink->profile->transport == PROFILE_COAP;
    uint8_t before = at->refused;
    char words[ERROR_TEXT_MAX];

    if (r >= 0 && (coap ? response->code >> 5 == 2 : response->topic != NULL)) {
        at->deaf = false;
        at->refused = 0;
        refused_with(at, NULL);
    } else if (r >= 0) {
        at->refused = response->code;
        refused_with(at, response->words);
    }
    if (at->refused != before)
        device_changed(d);
    if (r >= 0 && at->refused == 0)
        return true;
    if (!at->deaf && r != -ECANCELED && r != -ETIMEDOUT) {
        if (r < 0)
            log_warning(d->config->id, "commands of the cloud cannot be heard: %s", strerrordesc_np(-r));
        else {
            refusal_words(at, response->code, words, sizeof(words));
            log_warning(d->config->id, "%s", words);
        }
        at->deaf = true;
    }
    return false;
}

bool downlink_refused(const struct device *d, char *buffer, size_t size)
{
    const struct downlink *l = d->downlink;

    for (size_t i = 0; l && i < l->n_listening; i++)
        if (l->listening[i].refused) {
            refusal_words(&l->listening[i], l->listening[i].refused, buffer, size);
            return true;
        }
    return false;
}

static void on_message(int r, const struct uplink_response *response, void *userdata)
{
    struct listening *at = userdata;

    if (answered_well(at, r, response))
        on_payload(at, response, response->topic);
}

static void poll_now(struct listening *at);

static int on_again(sd_event_source *source, uint64_t usec, void *userdata)
{
    poll_now(userdata);
    return 0;
}

static void poll_later(struct listening *at, uint64_t wait)
{
    (void)timer_arm(at->downlink->device->fleet->event, &at->again, clock_boottime() + wait, USEC_PER_SEC, on_again,
                    at);
}

static void on_polled(int r, const struct uplink_response *response, void *userdata)
{
    struct listening *at = userdata;
    const struct profile_source *source = &at->downlink->device->uplink->profile->sources[at->source];
    bool well;

    at->poll = NULL;
    if (r == -ECANCELED)
        return;
    well = answered_well(at, r, response);
    if (well)
        on_payload(at, response, response->location);
    poll_later(at, well ? source->interval : COMMANDS_POLL_AFTER_FAILURE);
}

static void poll_now(struct listening *at)
{
    struct device *d = at->downlink->device;
    _cleanup_(profile_message_done) struct profile_message m = {0};
    struct device_names names;
    int r;

    if (at->poll || !device_online(d))
        return;
    r = device_names(d, &names);
    if (r >= 0)
        r = profile_source(d->uplink->profile, at->source, &names.profile, &m);
    if (r >= 0)
        r = message_send(device_session(d), &m, on_polled, at, &at->poll);
    if (r < 0)
        poll_later(at, COMMANDS_POLL_AFTER_FAILURE);
}

static void subscribe(struct listening *at)
{
    struct device *d = at->downlink->device;
    _cleanup_(profile_message_done) struct profile_message m = {0};
    struct device_names names;
    int r;

    if (at->subscription)
        return;
    r = device_names(d, &names);
    if (r >= 0)
        r = profile_source(d->uplink->profile, at->source, &names.profile, &m);
    if (r >= 0)
        r = uplink_session_subscribe(device_session(d), m.target, m.accept, on_message, at, &at->subscription);
    if (r < 0)
        log_warning(d->config->id, "commands of the cloud cannot be heard: %s", strerrordesc_np(-r));
}

static void on_asked(int r, const struct uplink_response *response, void *userdata)
{
    const struct device *d = userdata;

    if (r < 0 && r != -ECANCELED)
        log_warning(d->config->id, "commands that wait cannot be asked for: %s", strerrordesc_np(-r));
}

/* Requests values that the broker does not send upon subscription. The device outlives its session's requests. */
static void ask(struct listening *at)
{
    struct device *d = at->downlink->device;
    _cleanup_(profile_message_done) struct profile_message m = {0};
    struct device_names names;
    int r = device_names(d, &names);

    if (r >= 0)
        r = profile_ask(d->uplink->profile, at->source, &names.profile, &m);
    if (r > 0)
        r = message_send(device_session(d), &m, on_asked, d, NULL);
    if (r < 0)
        log_warning(d->config->id, "commands that wait cannot be asked for: %s", strerrordesc_np(-r));
}

static bool has_writable(const struct device *d)
{
    for (size_t i = 0; i < d->config->n_points; i++)
        if (d->config->points[i].writable)
            return true;
    return false;
}

/* Settings are answered by a device that has none, too: its cloud waits for that. */
static bool listens(const struct device *d, size_t source)
{
    return d->uplink->profile->sources[source].report.target || has_writable(d);
}

static bool takes_commands(const struct device *d)
{
    for (size_t i = 0; !d->tombstone && i < d->uplink->profile->n_sources; i++)
        if (listens(d, i))
            return true;
    return false;
}

static struct downlink *downlink_new(struct device *d)
{
    size_t n = d->uplink->profile->n_sources;
    struct downlink *l = calloc(1, sizeof(*l) + n * sizeof(l->listening[0]));
    if (!l)
        return NULL;
    l->device = d;
    ratelimit_init(&l->complaints, 30 * USEC_PER_SEC, 10);
    ratelimit_init(&l->heard, COMMANDS_BURST * USEC_PER_SEC / COMMANDS_PER_SEC, COMMANDS_BURST);
    l->n_listening = n;
    for (size_t i = 0; i < n; i++)
        l->listening[i] = (struct listening){.downlink = l, .source = i};
    return l;
}

/* Kept commands arrive upon subscription, and would fail for want of a driver that is only about to connect, as after a
 * start of the machine. Meanwhile the broker keeps what it retains, and the uplink's session what came of a kept one:
 * so many and so long as that session lasts, and it logs what it loses. */
static bool wait_for_driver(struct device *d)
{
    const struct config_uplink *u = d->uplink->settings;

    if ((u->session_expiry == 0 && !u->retained_commands) || drivers_connected(d))
        return false;
    for (size_t i = 0; i < d->downlink->n_listening; i++)
        if (d->downlink->listening[i].subscription)
            return false; /* it was connected before */
    d->downlink->waiting = true;
    return true;
}

void downlink_driver_connected(struct device *d)
{
    if (d->downlink && d->downlink->waiting && device_online(d))
        downlink_online(d);
}

void downlink_online(struct device *d)
{
    if (!takes_commands(d)) {
        if (downlink_busy(d)) /* the cloud waits for what became of the last ones */
            downlink_leave(d);
        else
            downlink_done(d);
        return;
    }
    if (!d->downlink)
        d->downlink = downlink_new(d);
    if (!d->downlink || wait_for_driver(d))
        return;
    d->downlink->waiting = false;
    for (size_t i = 0; i < d->downlink->n_listening; i++) {
        struct listening *at = &d->downlink->listening[i];

        at->refused = 0;
        if (!listens(d, i))
            continue;
        if (!at->subscription && d->uplink->profile->sources[i].report.target && !drivers_connected(d)) {
            d->downlink->waiting = true; /* all settings would fail for want of the driver */
            continue;
        }
        switch (d->uplink->profile->sources[i].kind) {
        case PROFILE_SUBSCRIBE:
            subscribe(at);
            ask(at);
            break;
        case PROFILE_POLL:
            poll_now(at);
            break;
        }
    }
    outcome_tell_untold(d->downlink);
}

void downlink_stopped(struct device *d)
{
    for (size_t i = 0; d->downlink && i < d->downlink->n_listening; i++)
        d->downlink->listening[i].subscription = NULL;
}

void downlink_leave(struct device *d)
{
    for (size_t i = 0; d->downlink && i < d->downlink->n_listening; i++) {
        struct listening *at = &d->downlink->listening[i];

        uplink_subscription_cancel(TAKE_PTR(at->subscription));
        uplink_call_cancel(at->poll);
    }
}

void downlink_done(struct device *d)
{
    struct downlink *l = d->downlink;

    if (!l)
        return;
    downlink_leave(d);
    d->downlink = NULL;
    for (size_t i = 0; i < l->n_listening; i++) {
        sd_event_source_disable_unref(l->listening[i].again);
        report_drop(&l->listening[i]);
        free(l->listening[i].words);
    }
    for (struct running *run = l->running; run; run = run->next)
        run->downlink = NULL;
    outcome_done(l);
    free(l);
}
