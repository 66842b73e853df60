/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Scan and ReadRaw: what a driver finds, and reads, without a configured device.
 *
 * A scan is a job of as many requests as the driver makes of it: a find that has SCAN_RESUME is none, but where to go
 * on. Between two of them the driver's bus serves its devices, progress is shown, and the job can be cancelled. */
#include "base/clock.h"
#include "base/id.h"
#include "base/names.h"
#include "device/fleet.h"
#include "device/internal.h"
#include "device/job.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct look {
    struct look *next;
    struct fleet *fleet; /* NULL: nobody is told */
    struct job *job;
    char *driver;
    json_object *options;
    uint64_t until; /* CLOCK_BOOTTIME */
    bool cancelled;
    size_t left_out;   /* found beyond SCAN_FOUND_MAX */
    fleet_values done; /* of a ReadRaw, which has no job */
    void *userdata;
};

static void look_free(struct look *l)
{
    free(l->driver);
    json_object_put(l->options);
    free(l);
}

static int look_new(struct fleet *f, const char *driver, json_object *options, struct look **ret, struct error *e)
{
    struct look *l = NULL;
    size_t n = 0;

    if (!id_valid(driver))
        return error_set(e, -EINVAL, "a driver's name is " ID_RULE ", not '%.64s'", driver);
    for (l = f->tasks.looks; l; l = l->next)
        n++;
    if (n >= LOOKS_MAX)
        return error_set(e, -EBUSY, "%zu scans and reads without a device are under way; try again later", n);
    l = calloc(1, sizeof(*l));
    if (!l)
        return -ENOMEM;
    *l = (struct look){
        .next = f->tasks.looks, .fleet = f, .driver = strdup(driver), .options = json_object_get(options)};
    if (!l->driver) {
        look_free(l);
        return -ENOMEM;
    }
    f->tasks.looks = l;
    *ret = l;
    return 0;
}

/* The fleet no longer has it. */
static void leave(struct look *l)
{
    struct look **link = &l->fleet->tasks.looks;

    while (*link != l)
        link = &(*link)->next;
    *link = l->next;
    l->fleet = NULL;
}

static void look_end(struct look *l)
{
    leave(l);
    look_free(l);
}

static int not_begun(const struct look *l, int r, struct error *e)
{
    if (r == -ENOTCONN)
        return error_set(e, r, "the driver %s is not connected: is gatehouse-driver@%s running?", l->driver, l->driver);
    if (r == -EBUSY)
        return error_set(e, r, "the driver %s has too many calls open; try again later", l->driver);
    return error_errno(e, r, "driver %s", l->driver);
}

/* ── Scan ── */

static void finish(struct look *l, enum job_state state, const char *reason)
{
    if (state == JOB_FAILED) {
        l->job->failed = 1;
        job_note(l->job, "", "failed", reason);
    } else if (state == JOB_DONE) {
        l->job->done = l->job->total;
    }
    job_finish(l->fleet->jobs, l->job, state);
    look_end(l);
}

static uint32_t count_of(json_object *o, const char *key)
{
    json_object *value;
    int64_t n = json_object_object_get_ex(o, key, &value) ? json_object_get_int64(value) : 0;

    return n < 0 ? 0 : (uint32_t)MIN_OF(n, (int64_t)UINT32_MAX);
}

/* Keeps what was found; where to go on, or NULL. */
static json_object *take_found(struct look *l, json_object *found)
{
    json_object *resume = NULL;

    for (size_t i = 0; i < json_object_array_length(found); i++) {
        json_object *object = json_object_array_get_idx(found, i), *mark;

        if (!json_object_object_get_ex(object, SCAN_RESUME, &mark)) {
            if (l->job->n_results < SCAN_FOUND_MAX)
                job_found(l->job, object);
            else
                l->left_out++;
            continue;
        }
        resume = mark;
        l->job->total = MAX_OF(count_of(object, "total"), UINT32_C(1));
        l->job->done = MIN_OF(count_of(object, "done"), l->job->total);
    }
    return resume;
}

static int ask(struct look *l);

static void on_found(int r, const struct link_failure *failure, json_object *found, void *userdata)
{
    struct look *l = userdata;
    struct error e = {0};
    json_object *resume;

    if (!l->fleet) {
        look_free(l);
        return;
    }
    if (r < 0) {
        finish(l, l->cancelled ? JOB_CANCELLED : JOB_FAILED, failure ? failure->text : strerrordesc_np(-r));
        return;
    }
    resume = take_found(l, found);
    if (!resume && l->left_out > 0) {
        error_set(&e, -E2BIG, "%zu more were found than the %d that are kept: scan a smaller range", l->left_out,
                  SCAN_FOUND_MAX);
        finish(l, JOB_FAILED, e.text);
        return;
    }
    if (!resume || l->cancelled) {
        finish(l, resume ? JOB_CANCELLED : JOB_DONE, NULL);
        return;
    }
    if (clock_boottime() >= l->until) {
        finish(l, JOB_FAILED, "the driver has not come to an end in time");
        return;
    }
    json_object_object_add(l->options, SCAN_RESUME, json_object_get(resume));
    r = ask(l);
    if (r < 0) {
        not_begun(l, r, &e);
        finish(l, JOB_FAILED, e.text);
    }
}

static int ask(struct look *l)
{
    return link_host_scan(l->fleet->link, l->driver, l->options, on_found, l);
}

/* The request under way is not taken back; nothing follows it. */
static void cancel(struct job *job, void *userdata)
{
    struct look *l = userdata;

    l->cancelled = true;
}

int fleet_scan(struct fleet *f, const char *driver, json_object *options, struct job **ret_job, struct error *e)
{
    struct look *l = NULL;
    int r = look_new(f, driver, options, &l, e);

    if (r < 0)
        return r;
    l->until = clock_boottime() + SCAN_TIME_MAX;
    r = ask(l);
    if (r < 0) {
        r = not_begun(l, r, e);
        look_end(l);
        return r;
    }
    r = job_new(f->jobs, "scan", ACTION_MANAGE_DEVICES, 1, &l->job);
    if (r < 0) {
        leave(l); /* it runs to its end unseen */
        return r;
    }
    l->job->cancel = cancel;
    l->job->cancel_userdata = l;
    *ret_job = l->job;
    return 0;
}

/* ── ReadRaw ── */

static void on_values(int r, const struct link_failure *failure, const struct sample_value *values, size_t n,
                      void *userdata)
{
    struct look *l = userdata;
    struct error e = {0};

    if (r < 0)
        error_set(&e, r, "%s", failure ? failure->text : strerrordesc_np(-r));
    l->done(r, values, n, &e, l->userdata);
    look_end(l);
}

int fleet_read_raw(struct fleet *f, const char *driver, json_object *options, fleet_values done, void *userdata,
                   struct error *e)
{
    struct look *l = NULL;
    int r = look_new(f, driver, options, &l, e);

    if (r < 0)
        return r;
    l->done = done;
    l->userdata = userdata;
    r = link_host_read_raw(f->link, driver, options, on_values, l);
    if (r < 0) {
        r = not_begun(l, r, e);
        look_end(l);
    }
    return r;
}
