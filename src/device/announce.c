/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The profile's announcements after each connection, before any sample: that the device is there, and its points. One
 * message after the other.
 *
 * What a broker keeps of that outlasts the device, so it is written down (announced-file.h) before it is said, and
 * taken back by an empty message once it is said no longer: READING what is kept, WRITING what is going to be, SAYING
 * it, TAKING_BACK the rest. */
#include "device/announce.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/names.h"
#include "device/announced-file.h"
#include "device/announced.h"
#include "device/connection.h"
#include "device/delivery.h"
#include "device/facts.h"
#include "device/internal.h"
#include "device/message.h"
#include "device/seen.h"
#include "payload/profile.h"

#include <ctype.h>
#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct announcing {
    struct device *device; /* NULL: ended, while a worker has the file */
    struct announced wanted;
    size_t i, point; /* what comes next */
    struct uplink_call *call;
    bool refused;     /* has been said */
    bool taking_back; /* all is said */
    bool working;     /* a worker has what follows */
    char *path, *text;
    struct announced found;
    int failed;
};

static void say_next(struct device *d);
static void take_back(struct device *d);

/* ── What there is to be said ── */

char *announce_broker(const struct config_uplink *u)
{
    char *text;

    if (asprintf(&text, "%s:%u", u->host, u->port) < 0)
        return NULL;
    for (char *p = text; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    return text;
}

static uint64_t texts_digest(const struct device *d)
{
    return hash_text(hash_text(HASH_BEGIN, d->config->section), d->config->points_text);
}

static size_t points_count(const struct device *d)
{
    return d->config->n_points + (d->config->templated ? d->seen.n : 0);
}

static void bounds(const struct config_point *c, struct profile_point *ret)
{
    ret->min = isfinite(c->min) ? c->min : isfinite(c->type_min) ? c->type_min : -(double)FLT_MAX;
    ret->max = isfinite(c->max) ? c->max : isfinite(c->type_max) ? c->type_max : (double)FLT_MAX;
}

/* The k-th of those that are configured and, behind them, those of a template, as they are seen. False: it is among the
 * first, too, or has a name that cannot be announced. */
static bool point_at(const struct device *d, size_t k, struct profile_point *ret)
{
    const struct seen_point *s = k < d->config->n_points ? seen_find(&d->seen, d->config->points[k].name)
                                                         : d->seen.list[k - d->config->n_points];
    const struct config_point *c = k < d->config->n_points ? &d->config->points[k] : config_point(d->config, s->name);

    if (k >= d->config->n_points && (c || profile_bad_character(d->uplink->profile, s->name)))
        return false;
    *ret = (struct profile_point){.name = c ? c->name : s->name,
                                  .unit = c && c->unit ? c->unit
                                          : s          ? s->unit
                                                       : "",
                                  .min = -INFINITY,
                                  .max = INFINITY,
                                  .kind = c && c->kind != POINT_UNKNOWN ? c->kind
                                          : s                           ? s->kind
                                                                        : POINT_UNKNOWN,
                                  .step = ANNOUNCE_STEP_MIN,
                                  .expire_after = (c ? c->expire_after : d->config->expire_after) / USEC_PER_SEC};
    if (!c)
        return true;
    ret->writable = c->writable;
    ret->step = MAX_OF(c->type_step, ANNOUNCE_STEP_MIN);
    if (c->writable && ret->kind == POINT_NUMBER)
        bounds(c, ret);
    return true;
}

/* The next message from there on: 1 and *ret, with its point ("" the device itself); 0 at the end. */
static int make_next(const struct device *d, const struct profile_names *names, size_t *i, size_t *k,
                     struct profile_message *ret, const char **ret_point)
{
    const struct profile *p = d->uplink->profile;

    for (; *i < p->n_announcements; ++*i, *k = 0) {
        bool of_device = p->announcements[*i].each == PROFILE_EACH_DEVICE;

        while (*k < (of_device ? 1 : points_count(d))) {
            struct profile_point point = {0};
            size_t at = (*k)++;
            int r = of_device || point_at(d, at, &point);

            if (r > 0)
                r = profile_announce(p, *i, names, of_device ? NULL : &point, ret);
            *ret_point = of_device ? "" : point.name;
            if (r != 0)
                return r;
        }
    }
    return 0;
}

/* Topics that hold samples and states. */
static int add_kept(const struct device *d, const struct profile_names *names, const char *point, struct announced *a)
{
    int r = 1;

    for (size_t i = 0; r > 0; i++) {
        _cleanup_free_ char *topic = NULL;

        r = profile_kept(d->uplink->profile, i, names, point, &topic);
        if (r > 0 && announced_add(a, topic, point ?: "") < 0)
            r = -ENOMEM;
    }
    return r;
}

static bool keeps(const struct profile *p)
{
    for (size_t i = 0; i < p->n_announcements; i++)
        if (p->announcements[i].request.retain)
            return true;
    return false;
}

static int make_wanted(const struct device *d, struct announced *ret)
{
    struct profile_point point;
    struct device_names names;
    size_t i = 0, k = 0;
    int r = device_names(d, &names);

    while (r >= 0) {
        _cleanup_(profile_message_done) struct profile_message m = {0};
        const char *of;

        r = make_next(d, &names.profile, &i, &k, &m, &of);
        if (r == 0)
            break;
        if (r > 0 && m.retain)
            r = announced_add(ret, m.target, of);
    }
    /* A profile that announces nothing to be kept leaves nothing behind that somebody would take for a device. */
    if (r < 0 || !keeps(d->uplink->profile))
        return r;
    r = add_kept(d, &names.profile, NULL, ret);
    for (k = 0; r >= 0 && k < points_count(d); k++)
        if (point_at(d, k, &point))
            r = add_kept(d, &names.profile, point.name, ret);
    return r;
}

/* ── The file ── */

static struct announcing *announcing_free(struct announcing *a)
{
    announced_done(&a->wanted);
    announced_done(&a->found);
    free(a->path);
    free(a->text);
    free(a);
    return NULL;
}

static void complain_of_file(struct device *d, int r)
{
    if (d->fleet->announced.failed)
        return;
    d->fleet->announced.failed = true;
    log_warning(d->config->id,
                "what its broker keeps cannot be written down in %s/" ANNOUNCED_DIR
                ": %s; when a device or point is removed, its kept messages stay at the broker",
                d->fleet->dirs.state, strerrordesc_np(-r));
}

/* Runs it on a worker; `done` has the announcing in any case. */
static void with_file(struct device *d, int (*run)(void *userdata), void (*done)(int r, void *userdata))
{
    int r = workers_submit(d->fleet->pools.local, run, done, d->announce.running);

    if (r < 0)
        done(r, d->announce.running);
}

/* The device, unless it was ended meanwhile. */
static struct device *device_of(struct announcing *a)
{
    struct device *d = a->device;

    if (!d)
        announcing_free(a);
    else
        a->working = false;
    return d;
}

static int write_file(void *userdata)
{
    struct announcing *a = userdata;

    return announced_write(a->path, a->text);
}

static void write_down(struct device *d, void (*done)(int r, void *userdata))
{
    struct announcing *a = d->announce.running;
    int r = 0;

    free(a->text);
    a->text = NULL;
    if (d->announce.kept.n > 0)
        r = announced_format(&d->announce.kept, &a->text);
    a->working = true;
    d->fleet->announced.any = true;
    if (r < 0)
        done(r, a);
    else
        with_file(d, write_file, done);
}

/* A failed write is tried again with the next announcement. */
static void note_written(struct device *d, int r)
{
    if (r == -ECANCELED)
        return;
    d->announce.dirty = r < 0;
    if (r < 0)
        complain_of_file(d, r);
}

/* ── Saying it ── */

static void on_announced(int r, const struct uplink_response *response, void *userdata)
{
    struct device *d = userdata;
    struct announcing *a = d->announce.running;
    char code[CODE_TEXT_MAX];

    a->call = NULL;
    if (r == -ECANCELED)
        return;
    if (!a->refused && (r < 0 || profile_verdict(d->uplink->profile, response->code) != PROFILE_ACCEPTED)) {
        if (r < 0)
            log_warning(d->config->id, "cannot be announced: %s", strerrordesc_np(-r));
        else {
            message_code_text(d->uplink->profile, response->code, code);
            log_warning(d->config->id, "the cloud does not take what announces it (%s)", code);
        }
        a->refused = true;
    }
    say_next(d);
}

static void say_next(struct device *d)
{
    _cleanup_(profile_message_done) struct profile_message m = {0};
    struct announcing *a = d->announce.running;
    struct device_names names;
    const char *point;
    int r = device_names(d, &names);

    if (r >= 0)
        r = d->tombstone || d->withdrawing.wanted ? 0 : make_next(d, &names.profile, &a->i, &a->point, &m, &point);
    if (r > 0)
        r = message_send(device_session(d), &m, on_announced, d, &a->call) ?: 1;
    if (r < 0)
        log_warning(d->config->id, "cannot be announced: %s", strerrordesc_np(-r));
    if (r <= 0)
        take_back(d);
}

void withdraw_finished(struct device *d)
{
    /* In another turn of the loop: its session is calling. */
    if (d->withdrawing.timer)
        sd_event_source_set_time(d->withdrawing.timer, clock_boottime());
}

static void finish(struct device *d)
{
    announce_end(d);
    session_announced(d);
    withdraw_finished(d);
    if (d->tombstone)
        return;
    availability_online(d);
    delivery_kick(d);
}

/* ── Taking back ── */

static enum point_kind kind_of(const struct device *d, const char *point, bool *ret_known)
{
    const struct config_point *c = config_point(d->config, point);
    const struct seen_point *s = c || d->config->templated ? seen_find(&d->seen, point) : NULL;

    *ret_known = c || s || !d->config->templated;
    return c && c->kind != POINT_UNKNOWN ? c->kind : s ? s->kind : POINT_UNKNOWN;
}

/* A topic that is not wanted may still be: of a point whose kind its next sample will show, or that a template has. */
static bool is_over(const struct device *d, const struct announced_topic *t)
{
    enum point_kind kind;
    bool known;

    if (announced_has(&d->announce.running->wanted, t->topic))
        return false;
    if (d->tombstone || d->withdrawing.wanted || !t->point[0])
        return true;
    kind = kind_of(d, t->point, &known);
    if (!known)
        return d->announce.kept.texts != texts_digest(d);
    return kind != POINT_UNKNOWN || !config_point(d->config, t->point) || !profile_wants_kinds(d->uplink->profile);
}

static void on_cleared(int r, void *userdata)
{
    struct announcing *a = userdata;
    struct device *d = device_of(a);

    if (!d)
        return;
    note_written(d, r);
    finish(d);
}

static void on_taken_back(int r, const struct uplink_response *response, void *userdata)
{
    struct device *d = userdata;
    struct announcing *a = d->announce.running;
    char code[CODE_TEXT_MAX];

    a->call = NULL;
    if (r == -ECANCELED)
        return;
    if (r >= 0 && profile_verdict(d->uplink->profile, response->code) == PROFILE_ACCEPTED) {
        announced_remove(&d->announce.kept, d->announce.kept.list[a->i].topic);
        a->point++;
        d->withdrawing.silent = d->tombstone || d->withdrawing.wanted;
    } else {
        if (r >= 0)
            message_code_text(d->uplink->profile, response->code, code);
        if (!a->refused)
            log_warning(d->config->id, "%s, which the broker keeps, cannot be taken back: %s",
                        d->announce.kept.list[a->i].topic, r < 0 ? strerrordesc_np(-r) : code);
        a->refused = true;
        a->i++;
    }
    take_back(d);
}

/* From a->i on; a->point counts those that were. */
static void take_back_next(struct device *d)
{
    struct announcing *a = d->announce.running;
    struct profile_message m = {.retain = true, .content_format = -1, .accept = -1, .body = (char *)""};
    bool changed = a->point > 0 || d->announce.dirty;
    int r = 0;

    while (a->i < d->announce.kept.n && !is_over(d, &d->announce.kept.list[a->i]))
        a->i++;
    if (a->i < d->announce.kept.n) {
        m.target = d->announce.kept.list[a->i].topic;
        r = message_send(device_session(d), &m, on_taken_back, d, &a->call);
        if (r >= 0)
            return;
        log_warning(d->config->id, "%s, which the broker keeps, cannot be taken back: %s", m.target,
                    strerrordesc_np(-r));
    }
    changed |= d->announce.kept.n > 0 && d->announce.kept.texts != texts_digest(d);
    d->announce.kept.texts = texts_digest(d);
    if (changed)
        write_down(d, on_cleared);
    else
        finish(d);
}

static void take_back(struct device *d)
{
    struct announcing *a = d->announce.running;

    if (!a->taking_back) {
        a->taking_back = true;
        a->i = a->point = 0;
    }
    take_back_next(d);
}

/* ── In order ── */

static void on_written(int r, void *userdata)
{
    struct announcing *a = userdata;
    struct device *d = device_of(a);

    if (!d)
        return;
    note_written(d, r);
    say_next(d);
}

static void write_and_say(struct device *d)
{
    struct announcing *a = d->announce.running;
    bool news = d->announce.dirty;

    for (size_t i = 0; i < a->wanted.n; i++)
        news |= announced_add(&d->announce.kept, a->wanted.list[i].topic, a->wanted.list[i].point) > 0;
    if (news)
        write_down(d, on_written);
    else
        say_next(d);
}

static int read_file(void *userdata)
{
    struct announcing *a = userdata;

    a->failed = announced_read(a->path, &a->found);
    return 0;
}

static void on_read(int r, void *userdata)
{
    struct announcing *a = userdata;
    struct device *d = device_of(a);

    if (!d)
        return;
    if (r < 0 || a->failed < 0)
        complain_of_file(d, r < 0 ? r : a->failed);
    for (size_t i = 0; i < a->found.n; i++)
        (void)announced_add(&d->announce.kept, a->found.list[i].topic, a->found.list[i].point);
    d->announce.kept.texts = a->found.texts;
    d->announce.read = true;
    write_and_say(d);
}

/* Without a broker nothing is kept. */
static int prepare(struct device *d)
{
    struct announcing *a = d->announce.running;
    int r;

    if (!d->announce.kept.broker)
        d->announce.kept.broker = announce_broker(d->uplink->settings);
    a->path =
        d->announce.kept.broker ? announced_path(d->fleet->dirs.state, d->config->id, d->announce.kept.broker) : NULL;
    if (!a->path)
        return -ENOMEM;
    r = d->tombstone || d->withdrawing.wanted ? 0 : make_wanted(d, &a->wanted);
    return r;
}

void announce_begin(struct device *d)
{
    int r;

    announce_end(d);
    session_announce(d);
    if (d->uplink->profile->n_announcements == 0 && d->uplink->profile->transport != PROFILE_MQTT) {
        session_announced(d);
        if (!d->tombstone)
            availability_online(d);
        return;
    }
    d->announce.running = calloc(1, sizeof(*d->announce.running));
    if (!d->announce.running) {
        session_announced(d);
        return;
    }
    d->announce.running->device = d;
    r = prepare(d);
    if (r < 0) {
        log_warning(d->config->id, "cannot be announced: %s", strerrordesc_np(-r));
        finish(d);
        return;
    }
    if (d->uplink->profile->transport != PROFILE_MQTT ||
        (!d->fleet->announced.any && d->announce.running->wanted.n == 0)) {
        say_next(d);
    } else if (d->announce.read) {
        write_and_say(d);
    } else {
        d->announce.running->working = true;
        with_file(d, read_file, on_read);
    }
}

void announce_seen(struct device *d, const struct sample *samples, size_t n)
{
    if (profile_wants_kinds(d->uplink->profile) && seen_note(&d->seen, samples, n) && device_online(d))
        announce_begin(d);
}

void announce_end(struct device *d)
{
    struct announcing *a = d->announce.running;

    if (!a)
        return;
    uplink_call_cancel(a->call);
    d->announce.running = NULL;
    if (a->working)
        a->device = NULL; /* the worker's `done` frees it */
    else
        announcing_free(a);
}
