/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/json.h"
#include "base/log.h"
#include "driver.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMPLAINTS_MAX 50 /* sent one by one, all in one answer; the last says how many more there were */

/* One thread for scans of a plugin that has but one for its devices. */
#define SCAN_KEY "scan"

struct complaints {
    const char *pairs[COMPLAINTS_MAX + 1][2];
    size_t n, more; /* that are listed, and that are only counted */
};

static bool complaints_add(struct complaints *c, const char *pointer, const char *message)
{
    char *pointer_copy = strdup(pointer), *message_copy = strdup(message);

    if (!pointer_copy || !message_copy) {
        free(pointer_copy);
        free(message_copy);
        return false;
    }
    c->pairs[c->n][0] = pointer_copy;
    c->pairs[c->n][1] = message_copy;
    c->n++;
    return true;
}

static void complain(void *context, const char *pointer, const char *message)
{
    struct complaints *c = context;

    if (c->n == COMPLAINTS_MAX || !complaints_add(c, pointer, message))
        c->more++;
}

/* A mistake that is not sent must not make the section look sound. */
static int complaints_end(struct complaints *c)
{
    _cleanup_free_ char *text = NULL;

    if (c->more == 0)
        return 0;
    if (asprintf(&text, "and %zu more mistakes", c->more) < 0 || !complaints_add(c, "", text))
        return -ENOMEM;
    return 0;
}

static void complaints_done(struct complaints *c)
{
    for (size_t i = 0; i < c->n; i++) {
        free((char *)c->pairs[i][0]);
        free((char *)c->pairs[i][1]);
    }
}

int calls_check(struct driver *d, const char *section, const struct gatehouse_point *points, size_t n_points,
                struct error *e)
{
    _cleanup_(complaints_done) struct complaints c = {.n = 0};
    int r = 0;

    if (d->plugin.p.config_check)
        r = d->plugin.p.config_check(section, points, n_points, complain, &c);
    if (r < 0 || (c.n == 0 && c.more > 0))
        return error_errno(e, r < 0 ? r : -ENOMEM, "the plugin could not look at its configuration");
    return c.n > 0 ? error_set(e, -EINVAL, "%s: %s", c.pairs[0][0], c.pairs[0][1]) : 0;
}

static void on_check_config(struct link_call *call, const char *id, const char *text, void *userdata)
{
    _cleanup_(complaints_done) struct complaints c = {.n = 0};
    _cleanup_free_ struct gatehouse_point *points = NULL;
    _cleanup_json_ json_object *both = NULL;
    json_object *section, *object;
    struct driver *d = userdata;
    struct error e = {""};
    size_t n = 0;
    int r = json_parse(text, strlen(text), &both, &e);

    if (r < 0 || !json_object_object_get_ex(both, "section", &section) ||
        !json_object_object_get_ex(both, "points", &object)) {
        link_call_fail(call, -EINVAL, e.text[0] ? e.text : "expected an object with section and points");
        return;
    }
    if (points_from_json(object, &points, &n, &e) < 0) {
        char *colon = strchr(e.text, ':');

        if (colon)
            *colon = 0;
        complain(&c, e.text, colon ? colon + 2 : "bad");
    } else if (d->plugin.p.config_check)
        r = d->plugin.p.config_check(json_object_to_json_string_ext(section, JSON_C_TO_STRING_PLAIN), points, n,
                                     complain, &c);
    if (r >= 0)
        r = complaints_end(&c);
    if (r < 0)
        link_call_fail(call, r, "the plugin could not look at the configuration");
    else
        link_call_complaints(call, c.pairs, c.n);
}

/* 0, or why the point cannot be read or written, with words. */
static int judge_point(const struct gatehouse_device *device, const char *name, bool write, struct error *e)
{
    const struct gatehouse_point *point = device_point(device, name);

    if (!point)
        return error_set(e, -ENOENT, "the device has no such point");
    if (write && !point->writable)
        return error_set(e, -EACCES, "the point is not writable");
    return 0;
}

static int judge_points(const struct gatehouse_device *device, const struct job *job, struct error *e)
{
    int r = job->kind == JOB_WRITES ? 0 : judge_point(device, job->point, job->kind == JOB_WRITE, e);

    for (size_t i = 0; r >= 0 && i < job->n_writes; i++)
        r = judge_point(device, job->writes[i].point, true, e);
    return r;
}

static bool plugin_can(const struct gatehouse_plugin *p, enum job_kind kind)
{
    if (kind == JOB_READ)
        return p->read;
    return p->write || (kind == JOB_WRITES && p->write_points);
}

/* The device that a call is about, or NULL: answered. */
static struct gatehouse_device *call_device(struct driver *d, struct link_call *call, const char *id,
                                            const struct job *job)
{
    struct gatehouse_device *device = driver_find(d, id);
    struct error e = {""};
    int r;

    if (!device || device->main.closing)
        link_call_fail(call, -ENODEV, "there is no such device");
    else if ((r = judge_points(device, job, &e)) < 0)
        link_call_fail(call, r, e.text);
    else if (!plugin_can(&d->plugin.p, job->kind))
        link_call_fail(call, -EOPNOTSUPP, "the plugin cannot do that");
    else if (!device->lane)
        link_call_fail(call, -EIO, device->main.reason ?: "the device is not open");
    else
        return device;
    return NULL;
}

/* On the device's lane. */
static void post(struct gatehouse_device *device, struct job *job, struct link_call *call)
{
    job->device = device;
    job->call = call;
    LIST_INSERT_HEAD(&device->main.jobs, job, of_device);
    lane_post(device->lane, job);
}

/* Requests for a device that is closed and opened anew wait for that. */
static void begin(struct driver *d, struct link_call *call, const char *id, struct job *job)
{
    struct gatehouse_device *device = driver_find(d, id);

    if (device && device->main.closing && device->main.wanted && !d->stopping) {
        job->call = call;
        TAILQ_INSERT_TAIL(&device->main.later, job, link);
        return;
    }
    device = call_device(d, call, id, job);
    if (device)
        post(device, job, call);
    else
        job_free(job);
}

/* Of one point; NULL: answered. */
static struct job *point_job(struct link_call *call, enum job_kind kind, const char *point,
                             const struct sample_value *value)
{
    struct job *job = job_new(kind, NULL);

    if (!job || (value && sample_value_copy(value, &job->value) < 0)) {
        job_free(job);
        link_call_fail(call, -ENOMEM, "out of memory");
        return NULL;
    }
    strncpy(job->point, point, sizeof(job->point) - 1);
    return job;
}

void calls_go_on(struct driver *d, struct gatehouse_device *old)
{
    struct job *job;

    while ((job = TAILQ_FIRST(&old->main.later))) {
        struct link_call *call = TAKE_PTR(job->call);
        struct gatehouse_device *device;

        TAILQ_REMOVE(&old->main.later, job, link);
        device = call_device(d, call, old->id, job);
        if (device)
            post(device, job, call);
        else
            job_free(job);
    }
}

static void on_write(struct link_call *call, const char *id, const char *point, const struct sample_value *value,
                     void *userdata)
{
    struct job *job = point_job(call, JOB_WRITE, point, value);

    if (job)
        begin(userdata, call, id, job);
}

static int copy_writes(struct job *job, const struct sample_write *writes, size_t n)
{
    job->writes = calloc(n, sizeof(*job->writes));
    if (!job->writes)
        return -ENOMEM;
    for (; job->n_writes < n; job->n_writes++) {
        struct job_write *to = &job->writes[job->n_writes];

        strncpy(to->point, writes[job->n_writes].point, sizeof(to->point) - 1);
        if (sample_value_copy(&writes[job->n_writes].value, &to->value) < 0)
            return -ENOMEM;
    }
    return 0;
}

static void on_write_points(struct link_call *call, const char *id, const struct sample_write *writes, size_t n,
                            void *userdata)
{
    struct job *job = job_new(JOB_WRITES, NULL);

    if (!job || copy_writes(job, writes, n) < 0) {
        job_free(job);
        link_call_fail(call, -ENOMEM, "out of memory");
        return;
    }
    begin(userdata, call, id, job);
}

static void on_read(struct link_call *call, const char *id, const char *point, void *userdata)
{
    struct job *job = point_job(call, JOB_READ, point, NULL);

    if (job)
        begin(userdata, call, id, job);
}

static void begin_on_bus(struct driver *d, struct link_call *call, enum job_kind kind, json_object *options)
{
    bool own_thread = kind == JOB_SCAN && d->plugin.p.thread_model == GATEHOUSE_THREADS_SERIAL;
    struct job *job = job_new(kind, NULL);
    char key[1024] = SCAN_KEY;
    struct lane *lane;
    int r = 0;

    if (job)
        job->options = strdup(json_object_to_json_string_ext(options, JSON_C_TO_STRING_PLAIN));
    if (!job || !job->options) {
        job_free(job);
        link_call_fail(call, -ENOMEM, "out of memory");
        return;
    }
    if (!own_thread)
        r = driver_bus_key(d, job->options, SCAN_KEY, key, sizeof(key));
    if (r >= 0)
        r = driver_lane(d, key, &lane);
    if (r < 0) {
        job_free(job);
        link_call_fail(call, r, "the plugin cannot tell the bus of these options");
        return;
    }
    job->call = call;
    lane_post(lane, job);
}

static void on_scan(struct link_call *call, json_object *options, void *userdata)
{
    struct driver *d = userdata;

    if (d->stopping || !d->plugin.p.scan)
        link_call_fail(call, -EOPNOTSUPP, "the plugin cannot scan");
    else
        begin_on_bus(d, call, JOB_SCAN, options);
}

static void on_read_raw(struct link_call *call, json_object *options, void *userdata)
{
    struct driver *d = userdata;

    if (d->stopping || !d->plugin.p.read_raw)
        link_call_fail(call, -EOPNOTSUPP, "the plugin cannot read without a device");
    else
        begin_on_bus(d, call, JOB_READ_RAW, options);
}

static void on_statistics(struct link_call *call, const char *id, void *userdata)
{
    struct gatehouse_device *device = driver_find(userdata, id);
    _cleanup_json_ json_object *counts = device ? counts_json(&device->counts) : NULL;

    if (!device)
        link_call_fail(call, -ENODEV, "there is no such device");
    else if (!counts)
        link_call_fail(call, -ENOMEM, "out of memory");
    else
        link_call_counts(call, counts);
}

/* Nothing waits for what the plugin does with it: the agent has done its part. A device that is about to be opened anew
 * gets it then. The answer has the agent believe what the plugin wants kept: what it said beside the key before, or
 * says until it has this one, must not come behind it. */
static int on_secret(const char *id, int passed, const char *kept, void *userdata)
{
    _cleanup_(job_freep) struct job *job = NULL;
    _cleanup_close_ int fd = passed;
    struct driver *d = userdata;
    struct gatehouse_device *device = driver_find(d, id);

    if (!d->plugin.p.secret)
        return -EOPNOTSUPP;
    if (!device || (device->main.closing && !device->main.wanted))
        return -ENODEV;
    job = job_new(JOB_SECRET, device);
    if (!job || !(job->kept = strdup(kept)))
        return -ENOMEM;
    job->fd = TAKE_FD(fd);
    job->secret = ++device->main.secret;
    free(TAKE_PTR(device->main.kept));
    if (device->main.closing) {
        job_free(device->main.next_secret);
        device->main.next_secret = TAKE_PTR(job);
    } else if (device->lane) {
        lane_post(device->lane, TAKE_PTR(job));
    }
    return 0;
}

static void on_quit(void *userdata)
{
    driver_stop(userdata);
}

static void answer(struct job *job)
{
    struct link_call *call = TAKE_PTR(job->call);

    if (job->r < 0)
        link_call_fail(call, job->r, job->error[0] ? job->error : strerror(-job->r));
    else if (job->kind == JOB_SCAN)
        link_call_found(call, job->found);
    else if (job->kind == JOB_READ_RAW || job->kind == JOB_WRITES)
        link_call_values(call, job->values, job->n_values);
    else
        link_call_value(call, &job->result);
}

void calls_job_done(struct driver *d, struct job *job, struct lane *lane)
{
    if (job->device && job->call)
        LIST_REMOVE(job, of_device);
    if (job->call)
        answer(job);
    if (job->kind == JOB_SECRET && job->r < 0)
        log_warning(job->device->id, "the plugin does not take its key: %s", strerror(-job->r));
    if (!job->device)
        driver_lane_unref(lane);
    job_free(job);
}

void calls_cancel(struct gatehouse_device *device)
{
    struct job *job;

    while ((job = LIST_FIRST(&device->main.jobs))) {
        LIST_REMOVE(job, of_device);
        job->cancelled = true;
        link_call_fail(TAKE_PTR(job->call), -ECANCELED, "the device was closed");
    }
}

const struct link_client_ops driver_client_ops = {
    .connection = driver_on_connection,
    .set_devices = driver_on_set_devices,
    .write = on_write,
    .write_points = on_write_points,
    .read = on_read,
    .check_config = on_check_config,
    .scan = on_scan,
    .read_raw = on_read_raw,
    .statistics = on_statistics,
    .secret = on_secret,
    .quit = on_quit,
};
