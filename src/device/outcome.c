/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Outcomes of the last commands, and their way to the cloud. An outcome that was not delivered, since the session had
 * ended or the cloud did not answer, is sent again: on the next session, or after a while. */
#include "base/arm.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "device/downlink-internal.h"
#include "device/facts.h"
#include "device/idle.h"
#include "device/message.h"
#include "payload/profile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* ── Telling ── */

static int send_outcome(struct device *d, const struct profile_command *command, enum profile_outcome outcome,
                        const char *text, const struct sample_value *set, uplink_done done, void *userdata,
                        struct uplink_call **ret)
{
    struct device_names names;
    _cleanup_(profile_message_done) struct profile_message m = {0};
    int r = device_names(d, &names);

    if (r >= 0)
        r = profile_outcome(d->uplink->profile, &names.profile, command, outcome, text, set, &m);
    if (r <= 0)
        return r;
    return device_session(d) ? message_send(device_session(d), &m, done, userdata, ret) : -ESHUTDOWN;
}

static struct ratelimit *complaints(struct device *d)
{
    return d->downlink ? &d->downlink->complaints : &d->fleet->spooling.rejections;
}

#define WHICH_MAX (COMMAND_ID_MAX + DEVICE_ID_MAX + 32)

/* `c` NULL, or without a point: what could not be read as one, or was not carried out. */
static const char *which(const struct profile_command *c, char ret[static WHICH_MAX])
{
    if (c && c->id && c->point)
        snprintf(ret, WHICH_MAX, "command %.*s (%s)", COMMAND_ID_MAX, c->id, c->point);
    else
        snprintf(ret, WHICH_MAX, "a command that was not carried out");
    return ret;
}

static void cannot_tell(struct device *d, const struct profile_command *c, int r)
{
    char text[WHICH_MAX];

    log_limited(complaints(d), LOG_WARNING, d->config->id, "the cloud cannot be told what became of %s: %s",
                which(c, text), strerrordesc_np(-r));
}

static void not_heard(struct device *d, const struct profile_command *c, int r, const struct uplink_response *response)
{
    char code[CODE_TEXT_MAX], text[WHICH_MAX];

    if (r < 0) {
        log_limited(complaints(d), LOG_WARNING, d->config->id, "the cloud was not told what became of %s: %s",
                    which(c, text), strerrordesc_np(-r));
        return;
    }
    message_code_text(d->uplink->profile, response->code, code);
    log_limited(complaints(d), LOG_WARNING, d->config->id, "the cloud refuses to hear what became of %s (%s)",
                which(c, text), code);
}

static bool accepted(const struct device *d, int r, const struct uplink_response *response)
{
    return r >= 0 && profile_verdict(d->uplink->profile, response->code) == PROFILE_ACCEPTED;
}

static void on_told_once(int r, const struct uplink_response *response, void *userdata)
{
    struct device *d = userdata;

    if (r != -ECANCELED && !accepted(d, r, response))
        not_heard(d, NULL, r, response);
}

void outcome_tell_once(struct device *d, const struct profile_command *command, enum profile_outcome outcome,
                       const char *text)
{
    int r = send_outcome(d, command, outcome, text, NULL, on_told_once, d, NULL);

    if (r < 0 && r != -ESHUTDOWN)
        cannot_tell(d, command, r);
}

static void tell_later(struct downlink *l, uint64_t wait);

/* Whether the same outcome may be heard another time. */
static bool may_be_heard(const struct device *d, int r, const struct uplink_response *response)
{
    return r < 0 ? r != -EMSGSIZE : profile_verdict(d->uplink->profile, response->code) != PROFILE_REJECTED;
}

static void on_told(int r, const struct uplink_response *response, void *userdata)
{
    struct remembered *m = userdata;
    struct device *d = m->downlink->device;

    if (!m->telling)
        return; /* forgotten */
    m->telling = NULL;
    if (accepted(d, r, response))
        return;
    if (r == -ECANCELED) {
        m->untold = true; /* its session was stopped or exchanged */
        tell_later(m->downlink, 0);
        return;
    }
    m->untold = may_be_heard(d, r, response) && ++m->tries < OUTCOME_TRIES;
    if (m->untold)
        tell_later(m->downlink, OUTCOME_AGAIN);
    else
        not_heard(d, &m->command, r, response);
}

static const struct sample_value *set_of(const struct remembered *m)
{
    return m->has_set ? &m->set : NULL;
}

void outcome_tell(struct remembered *m)
{
    struct device *d = m->downlink->device;
    int r;

    if (m->telling) {
        /* Asked for once more: what is under way may never get there. */
        (void)send_outcome(d, &m->command, m->outcome, m->text ?: "", set_of(m), on_told_once, d, NULL);
        return;
    }
    m->untold = false;
    r = send_outcome(d, &m->command, m->outcome, m->text ?: "", set_of(m), on_told, m, &m->telling);
    if (r == -ESHUTDOWN || r == -ENOBUFS || r == -ENOMEM) {
        m->untold = true;
        if (r != -ESHUTDOWN)
            tell_later(m->downlink, OUTCOME_AGAIN);
    } else if (r < 0) {
        cannot_tell(d, &m->command, r);
    }
}

void outcome_tell_untold(struct downlink *l)
{
    for (size_t i = 0; i < COMMANDS_REMEMBERED; i++)
        if (l->remembered[i].untold)
            outcome_tell(&l->remembered[i]);
}

/* While there is no session it waits for the next one. */
static int on_tell(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct downlink *l = userdata;

    idle_touch(l->device);
    if (device_online(l->device))
        outcome_tell_untold(l);
    return 0;
}

static void tell_later(struct downlink *l, uint64_t wait)
{
    uint64_t when = clock_boottime() + wait;

    /* A failure now does not put off the retry of an earlier one. */
    (void)timer_arm(l->device->fleet->event, &l->tell, MIN_OF(when, timer_armed(l->tell)), 100 * USEC_PER_MSEC, on_tell,
                    l);
}

/* ── Remembering ── */

static void forget(struct remembered *m)
{
    struct uplink_call *telling = TAKE_PTR(m->telling);

    uplink_call_cancel(telling);
    free(m->command.id);
    free(m->command.point);
    free(m->value);
    free(m->text);
    sample_value_done(&m->set);
    *m = (struct remembered){0};
}

/* Whether a message of its source is answered as a whole: its id is then that of all writes in it. */
static bool is_part(const struct downlink *l, const struct profile_command *c)
{
    return l->device->uplink->profile->sources[c->source].report.target;
}

static bool is_same(const struct downlink *l, const struct remembered *m, const struct profile_command *c)
{
    return m->command.id && !m->superseded && m->command.source == c->source && strcmp(m->command.id, c->id) == 0 &&
           ((command_has_id(c) && !is_part(l, c)) || strcmp(m->command.point, c->point) == 0);
}

struct remembered *outcome_recall(struct downlink *l, const struct profile_command *c)
{
    for (size_t i = 0; i < COMMANDS_REMEMBERED; i++)
        if (is_same(l, &l->remembered[i], c))
            return &l->remembered[i];
    return NULL;
}

/* With an id, what asks for something else is another command: a cloud's ids may begin anew. Without one there are only
 * states to be told apart: of an observed resource, which shows them again after each handshake; what has failed may be
 * tried again with the same value, also of a message that is answered as a whole. A message over MQTT is a message. */
bool outcome_is_repeat(const struct remembered *m, const struct profile_command *c, const char *value)
{
    bool part = is_part(m->downlink, c);

    if (command_has_id(c) && !part)
        return strcmp(m->command.point, c->point) == 0 && strcmp(m->value, value) == 0;
    return (part || m->downlink->device->uplink->profile->transport == PROFILE_COAP) && strcmp(m->value, value) == 0 &&
           !(m->ended && m->outcome != PROFILE_DONE);
}

static bool is_free(const struct remembered *m, bool told)
{
    return !m->command.id || (m->ended && !(told && (m->telling || m->untold)));
}

/* The oldest whose outcome the cloud has, otherwise the oldest that was carried out. What is being carried out is not
 * forgotten; there are fewer of these than places. */
static struct remembered *place(struct downlink *l)
{
    for (size_t i = 0; i < 2 * COMMANDS_REMEMBERED; i++) {
        struct remembered *m = &l->remembered[l->next];

        l->next = (l->next + 1) % COMMANDS_REMEMBERED;
        if (is_free(m, i < COMMANDS_REMEMBERED))
            return m;
    }
    return NULL;
}

struct remembered *outcome_expect(struct downlink *l, const struct profile_command *c, const char *value)
{
    struct remembered *before = outcome_recall(l, c), *m = place(l);

    if (!m)
        return NULL;
    if (m->telling || m->untold)
        log_limited(&l->complaints, LOG_WARNING, l->device->config->id,
                    "the cloud will not hear what became of command %.64s (%s): there are too many of these",
                    m->command.id, m->command.point);
    forget(m);
    m->downlink = l;
    m->command.source = c->source;
    m->command.cbor = c->cbor;
    m->command.id = strdup(c->id);
    m->command.point = strdup(c->point);
    m->value = strdup(value);
    if (!m->command.id || !m->command.point || !m->value) {
        forget(m);
        return NULL;
    }
    if (before && before != m)
        before->superseded = true;
    return m;
}

void outcome_is(struct remembered *m, enum profile_outcome outcome, const char *text, const struct sample_value *set)
{
    m->has_set = set && sample_value_copy(set, &m->set) >= 0;
    m->ended = true;
    m->outcome = outcome;
    m->text = strdup(text);
    report_result(m->downlink, &m->command, outcome, text);
    outcome_tell(m);
}

void outcome_done(struct downlink *l)
{
    sd_event_source_disable_unref(l->tell);
    for (size_t i = 0; i < COMMANDS_REMEMBERED; i++)
        forget(&l->remembered[i]);
}
