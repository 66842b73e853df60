/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands from the cloud: what the profile's sources bring is written to the driver like any other write, and what
 * became of it is answered. A cloud may show a command again until it has the outcome, so the last ones are remembered
 * by their ids: a repeat is answered, and not carried out once more. */
#include "base/clock.h"
#include "base/log.h"
#include "base/messages.h"
#include "device/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define POLL_AFTER_FAILURE (10 * USEC_PER_SEC)

/* A source of the profile, being listened to. */
struct listening {
    struct downlink *downlink;
    size_t source;
    struct uplink_subscription *subscription;
    struct uplink_call *poll;
    sd_event_source *again; /* the next poll */
    bool deaf;              /* it cannot be listened to, which has been said */
};

/* A write under way; the driver answers also when the device is gone. */
struct running {
    struct running *next;
    struct downlink *downlink; /* NULL: gone */
    struct profile_command command;
};

/* A command that was carried out, or is being. */
struct remembered {
    struct profile_command command; /* without its value; id NULL: none */
    char *value;                    /* of one without an id */
    bool ended;
    enum profile_outcome outcome;
    char *text;
};

struct downlink {
    struct device *device;
    struct running *running;
    unsigned n_running;
    struct remembered remembered[COMMANDS_REMEMBERED];
    unsigned next;
    size_t n_listening;
    struct listening listening[];
};

static enum profile_outcome outcome_of(int r)
{
    switch (-r) {
    case 0:
        return PROFILE_DONE;
    case ENXIO:
    case EINVAL:
    case EBADMSG:
        return PROFILE_INVALID;
    case EACCES:
        return PROFILE_DENIED;
    case ENOTCONN:
    case ETIMEDOUT:
        return PROFILE_UNAVAILABLE;
    case EBUSY:
        return PROFILE_BUSY;
    default:
        return PROFILE_FAILED;
    }
}

/* ── Answering ── */

static void on_told(int r, const struct uplink_response *response, void *userdata)
{
    const struct device *d = userdata;
    char code[CODE_TEXT_MAX];

    if (r == -ECANCELED)
        return; /* shown again by the cloud, it will be answered again */
    if (r < 0)
        log_warning(d->config->id, "the cloud was not told what became of a command: %s", strerrordesc_np(-r));
    else if (profile_verdict(d->uplink->profile, response->code) != PROFILE_ACCEPTED) {
        message_code_text(d->uplink->profile, response->code, code);
        log_warning(d->config->id, "the cloud refuses to hear what became of a command (%s)", code);
    }
}

static void tell(struct device *d, const struct profile_command *command, enum profile_outcome outcome,
                 const char *text)
{
    struct device_names names;
    _cleanup_(profile_message_done) struct profile_message m = {0};
    int r = device_names(d, &names);

    if (r >= 0)
        r = profile_outcome(d->uplink->profile, &names.profile, command, outcome, text, &m);
    if (r > 0 && d->session)
        r = message_send(d->session, &m, on_told, d, NULL);
    if (r < 0 && r != -ESHUTDOWN)
        log_warning(d->config->id, "the cloud cannot be told what became of a command: %s", strerrordesc_np(-r));
}

/* ── Remembering ── */

static bool has_id(const struct profile_command *c)
{
    return strcmp(c->id, "null") != 0;
}

static void forget(struct remembered *m)
{
    free(m->command.id);
    free(m->command.point);
    free(m->value);
    free(m->text);
    *m = (struct remembered){0};
}

static bool is_same(const struct remembered *m, const struct profile_command *c)
{
    return m->command.id && m->command.source == c->source && strcmp(m->command.id, c->id) == 0 &&
           (has_id(c) || strcmp(m->command.point, c->point) == 0);
}

static struct remembered *recall(struct downlink *l, const struct profile_command *c)
{
    for (size_t i = 0; i < COMMANDS_REMEMBERED; i++)
        if (is_same(&l->remembered[i], c))
            return &l->remembered[i];
    return NULL;
}

/* Without an id there are only states to be told apart: of an observed resource, which shows them again after each
 * handshake. A message over MQTT is a message. */
static bool is_repeat(struct downlink *l, const struct remembered *m, const struct profile_command *c,
                      const char *value)
{
    return has_id(c) || (l->device->uplink->profile->transport == PROFILE_COAP && strcmp(m->value, value) == 0);
}

static void remember(struct downlink *l, const struct profile_command *c, const char *value)
{
    struct remembered *m = recall(l, c);

    /* What is being carried out is not forgotten; there are fewer of these than places. */
    while (!m || (m->command.id && !m->ended && !is_same(m, c))) {
        m = &l->remembered[l->next];
        l->next = (l->next + 1) % COMMANDS_REMEMBERED;
    }
    forget(m);
    m->command.source = c->source;
    m->command.id = strdup(c->id);
    m->command.point = strdup(c->point);
    m->value = strdup(value);
    if (!m->command.id || !m->command.point || !m->value)
        forget(m);
}

/* What has failed without an id may be tried again with the same value. */
static void ended(struct downlink *l, const struct profile_command *c, enum profile_outcome outcome, const char *text)
{
    struct remembered *m = recall(l, c);

    tell(l->device, c, outcome, text);
    if (!m)
        return;
    if (!has_id(c) && outcome != PROFILE_DONE) {
        forget(m);
        return;
    }
    m->ended = true;
    m->outcome = outcome;
    free(m->text);
    m->text = strdup(text);
}

/* ── Carrying out ── */

static void running_free(struct running *run)
{
    free(run->command.id);
    free(run->command.point);
    free(run);
}

static void on_written(int r, const struct error *e, void *userdata)
{
    struct running *run = userdata, **link;
    struct downlink *l = run->downlink;

    if (l) {
        for (link = &l->running; *link != run; link = &(*link)->next)
            ;
        *link = run->next;
        l->n_running--;
        ended(l, &run->command, outcome_of(r), r < 0 ? e->text : "");
        idle_touch(l->device);
    }
    running_free(run);
}

static struct running *running_new(struct downlink *l, const struct profile_command *c)
{
    struct running *run = calloc(1, sizeof(*run));

    if (!run)
        return NULL;
    run->command =
        (struct profile_command){.source = c->source, .cbor = c->cbor, .id = strdup(c->id), .point = strdup(c->point)};
    if (!run->command.id || !run->command.point) {
        running_free(run);
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
    if (has_id(c))
        snprintf(ret, size, "the cloud of uplink %s, by command %.64s,", d->config->uplink, c->id);
    else
        snprintf(ret, size, "the cloud of uplink %s", d->config->uplink);
}

static void carry_out(struct downlink *l, const struct profile_command *c)
{
    struct device *d = l->device;
    _cleanup_free_ char *value = sample_value_text(&c->value);
    struct remembered *m = recall(l, c);
    char words[192];
    struct running *run;
    struct error e = {0};
    int r;

    if (!value)
        return;
    if (m && is_repeat(l, m, c, value)) {
        if (m->ended && has_id(c))
            tell(d, c, m->outcome, m->text ?: "");
        return;
    }
    asker_words(d, c, words, sizeof(words));
    if (l->n_running >= COMMANDS_AT_ONCE) {
        log_audit(LOG_WARNING, MESSAGE_WRITE_FAILED, d->config->id, NOBODY,
                  "%s wanted %s of %s of %s: too many commands at once", words, value, c->point, d->config->id);
        tell(d, c, PROFILE_BUSY, "too many commands at once");
        return;
    }
    run = running_new(l, c);
    if (!run)
        return;
    remember(l, c, value);
    r = device_write(d, c->point, &c->value, &(struct device_asker){.uid = NOBODY, .words = words}, on_written, run,
                     &e);
    if (r < 0)
        on_written(r, &e, run);
}

static void on_payload(struct listening *at, const struct uplink_response *response, const char *topic)
{
    struct downlink *l = at->downlink;
    struct device *d = l->device;
    _cleanup_(profile_commands_done) struct profile_commands commands = {0};
    struct device_names names;
    struct error e = {0};
    int r = device_names(d, &names);

    idle_touch(d);
    if (r >= 0)
        r = response->payload_size > COMMAND_PAYLOAD_MAX
                ? error_set(&e, -EBADMSG, "%zu bytes; expected a command of at most %d", response->payload_size,
                            COMMAND_PAYLOAD_MAX)
                : profile_commands(d->uplink->profile, at->source, &names.profile, topic, response->content_format,
                                   response->payload, response->payload_size, &commands, &e);
    if (r < 0) {
        log_audit(LOG_WARNING, MESSAGE_WRITE_FAILED, d->config->id, NOBODY,
                  "the cloud of uplink %s sent what is no command: %s", d->config->uplink, e.text);
        if (commands.n > 0)
            tell(d, &commands.list[0], PROFILE_INVALID, e.text);
        return;
    }
    for (size_t i = 0; i < commands.n; i++)
        carry_out(l, &commands.list[i]);
}

/* ── Listening ── */

static bool answered_well(struct listening *at, int r, const struct uplink_response *response)
{
    const struct device *d = at->downlink->device;
    bool coap = d->uplink->profile->transport == PROFILE_COAP;
    char code[CODE_TEXT_MAX];

    if (r >= 0 && (!coap || response->code >> 5 == 2)) {
        at->deaf = false;
        return true;
    }
    if (!at->deaf && r != -ECANCELED && r != -ETIMEDOUT) {
        if (r < 0)
            log_warning(d->config->id, "commands of the cloud cannot be heard: %s", strerrordesc_np(-r));
        else {
            message_code_text(d->uplink->profile, response->code, code);
            log_warning(d->config->id, "commands of the cloud cannot be heard: it answers %s", code);
        }
        at->deaf = true;
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
    uint64_t when = clock_boottime() + wait;

    if (!at->again && sd_event_add_time(at->downlink->device->fleet->event, &at->again, CLOCK_BOOTTIME, when,
                                        USEC_PER_SEC, on_again, at) < 0)
        return;
    sd_event_source_set_time(at->again, when);
    sd_event_source_set_enabled(at->again, SD_EVENT_ONESHOT);
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
    poll_later(at, well ? source->interval : POLL_AFTER_FAILURE);
}

static void poll_now(struct listening *at)
{
    struct device *d = at->downlink->device;
    _cleanup_(profile_message_done) struct profile_message m = {0};
    struct device_names names;
    int r;

    if (at->poll || d->session_state != UPLINK_STATE_ONLINE)
        return;
    r = device_names(d, &names);
    if (r >= 0)
        r = profile_source(d->uplink->profile, at->source, &names.profile, &m);
    if (r >= 0)
        r = message_send(d->session, &m, on_polled, at, &at->poll);
    if (r < 0)
        poll_later(at, POLL_AFTER_FAILURE);
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
        r = uplink_session_subscribe(d->session, m.target, m.accept, on_message, at, &at->subscription);
    if (r < 0)
        log_warning(d->config->id, "commands of the cloud cannot be heard: %s", strerrordesc_np(-r));
}

static bool takes_commands(const struct device *d)
{
    if (d->tombstone || d->uplink->profile->n_sources == 0)
        return false;
    for (size_t i = 0; i < d->config->n_points; i++)
        if (d->config->points[i].writable)
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
    l->n_listening = n;
    for (size_t i = 0; i < n; i++)
        l->listening[i] = (struct listening){.downlink = l, .source = i};
    return l;
}

bool downlink_busy(const struct device *d)
{
    return d->downlink && d->downlink->n_running > 0;
}

void downlink_online(struct device *d)
{
    if (!takes_commands(d)) {
        downlink_done(d);
        return;
    }
    if (!d->downlink)
        d->downlink = downlink_new(d);
    for (size_t i = 0; d->downlink && i < d->downlink->n_listening; i++) {
        struct listening *at = &d->downlink->listening[i];

        switch (d->uplink->profile->sources[i].kind) {
        case PROFILE_SUBSCRIBE:
            subscribe(at);
            break;
        case PROFILE_POLL:
            poll_now(at);
            break;
        }
    }
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
    for (size_t i = 0; i < l->n_listening; i++)
        sd_event_source_disable_unref(l->listening[i].again);
    for (struct running *run = l->running; run; run = run->next)
        run->downlink = NULL;
    for (size_t i = 0; i < COMMANDS_REMEMBERED; i++)
        forget(&l->remembered[i]);
    free(l);
}
