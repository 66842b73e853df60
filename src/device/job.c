/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device/job.h"

#include "base/arm.h"
#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WAITING "waiting"

struct jobs {
    struct job *first, **last; /* in the order of their numbers */
    uint32_t next_number;
    sd_event_source *expiry;
    struct jobs_listener listener;
};

static struct job *job_free(struct job *job)
{
    for (size_t i = 0; i < job->n_results; i++) {
        free(job->results[i].device);
        free(job->results[i].outcome);
        free(job->results[i].reason);
        json_object_put(job->results[i].found);
    }
    free(job->results);
    free(job);
    return NULL;
}

static void drop(struct jobs *jobs, struct job **link)
{
    struct job *job = *link;

    *link = job->next;
    if (!*link)
        jobs->last = link;
    if (jobs->listener.removed)
        jobs->listener.removed(jobs->listener.userdata, job);
    job_free(job);
}

/* The job that finished first; of several at once, the one with the lowest number. */
static struct job **oldest_finished(struct jobs *jobs, size_t *ret_finished)
{
    struct job **oldest = NULL;

    *ret_finished = 0;
    for (struct job **link = &jobs->first; *link; link = &(*link)->next) {
        if ((*link)->state == JOB_RUNNING)
            continue;
        ++*ret_finished;
        if (!oldest || (*link)->finished < (*oldest)->finished)
            oldest = link;
    }
    return oldest;
}

/* Drops finished jobs that are too old or too many, and sets the timer for the next one to go. A job that has just
 * finished is not among them, however long it ran: its caller still looks at it. */
static void expire(struct jobs *jobs)
{
    uint64_t now = clock_boottime();
    struct job **oldest;
    size_t finished;

    while ((oldest = oldest_finished(jobs, &finished)) &&
           (finished > JOBS_KEPT || (*oldest)->finished + JOB_KEPT_FOR <= now))
        drop(jobs, oldest);
    timer_rearm(jobs->expiry, oldest ? (*oldest)->finished + JOB_KEPT_FOR : USEC_INFINITY);
}

static int on_expiry(sd_event_source *source, uint64_t usec, void *userdata)
{
    expire(userdata);
    return 0;
}

int jobs_new(sd_event *event, struct jobs **ret)
{
    _cleanup_(jobs_freep) struct jobs *jobs = calloc(1, sizeof(*jobs));
    int r;

    if (!jobs)
        return -ENOMEM;
    jobs->last = &jobs->first;
    jobs->next_number = 1;
    r = timer_make(event, &jobs->expiry, USEC_PER_SEC, on_expiry, jobs);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(jobs);
    return 0;
}

struct jobs *jobs_free(struct jobs *jobs)
{
    if (!jobs)
        return NULL;
    while (jobs->first)
        drop(jobs, &jobs->first);
    sd_event_source_disable_unref(jobs->expiry);
    free(jobs);
    return NULL;
}

void jobs_listen(struct jobs *jobs, const struct jobs_listener *listener)
{
    jobs->listener = listener ? *listener : (struct jobs_listener){0};
}

int job_new(struct jobs *jobs, const char *kind, const char *action, uint32_t total, struct job **ret)
{
    struct job *job = calloc(1, sizeof(*job));

    if (!job)
        return -ENOMEM;
    *job = (struct job){.number = jobs->next_number++, .kind = kind, .action = action, .total = total};
    *jobs->last = job;
    jobs->last = &job->next;
    if (jobs->listener.added)
        jobs->listener.added(jobs->listener.userdata, job);
    *ret = job;
    return 0;
}

/* NULL when out of memory: the counts stay right; only the words are missing. */
static struct job_result *add_result(struct job *job)
{
    struct job_result *p = job->results;

    if (job->n_results == job->results_allocated) {
        size_t allocated = job->results_allocated ? job->results_allocated * 2 : 1;

        p = reallocarray(p, allocated, sizeof(*p));
        if (!p)
            return NULL;
        job->results = p;
        job->results_allocated = allocated;
    }
    return &p[job->n_results++];
}

/* The line of a device that waited, which is nobody's any more; NULL: there is none. */
static struct job_result *take_waiting(struct job *job, const char *device)
{
    for (size_t i = 0; job->n_waiting > 0 && i < job->n_results; i++) {
        struct job_result *result = &job->results[i];

        if (!result->outcome || !result->device || strcmp(result->outcome, WAITING) != 0 ||
            strcmp(result->device, device ?: "") != 0)
            continue;
        job->n_waiting--;
        free(result->device);
        free(result->outcome);
        free(result->reason);
        return result;
    }
    return NULL;
}

static bool note(struct job *job, const char *device, const char *outcome, const char *reason)
{
    struct job_result *result = take_waiting(job, device) ?: add_result(job);

    if (result)
        *result = (struct job_result){
            .device = strdup(device ?: ""), .outcome = strdup(outcome), .reason = strdup(reason ?: "")};
    return result;
}

void job_note(struct job *job, const char *device, const char *outcome, const char *reason)
{
    (void)note(job, device, outcome, reason);
}

void job_waiting(struct job *job, const char *device, const char *reason)
{
    job->n_waiting += note(job, device, WAITING, reason);
}

void job_found(struct job *job, json_object *found)
{
    struct job_result *result = add_result(job);

    if (result)
        *result = (struct job_result){.found = json_object_get(found)};
}

void job_progress(struct jobs *jobs, struct job *job, const char *device, bool ok, const char *outcome,
                  const char *reason)
{
    job->done++;
    if (!ok)
        job->failed++;
    if (outcome)
        job_note(job, device, outcome, reason);
}

void job_finish(struct jobs *jobs, struct job *job, enum job_state state)
{
    job->state = state;
    job->finished = clock_boottime();
    job->cancel = NULL;
    if (jobs->listener.finished)
        jobs->listener.finished(jobs->listener.userdata, job);
    expire(jobs);
}

int job_cancel(struct jobs *jobs, struct job *job, struct error *e)
{
    void (*cancel)(struct job * job, void *userdata) = job->cancel;

    if (job->state != JOB_RUNNING)
        return error_set(e, -EBUSY, "job %u has ended already: %s", job->number, job_state_name(job->state));
    if (!cancel)
        return error_set(e, -EBUSY, "a %s job cannot be cancelled once it runs", job->kind);
    job->cancel = NULL;
    cancel(job, job->cancel_userdata);
    return 0;
}

struct job *job_find(struct jobs *jobs, uint32_t number)
{
    for (struct job *job = jobs->first; job; job = job->next)
        if (job->number == number)
            return job;
    return NULL;
}

struct job *job_first(struct jobs *jobs)
{
    return jobs->first;
}

const char *job_state_name(enum job_state state)
{
    switch (state) {
    case JOB_RUNNING:
        return "running";
    case JOB_DONE:
        return "done";
    case JOB_FAILED:
        return "failed";
    case JOB_CANCELLED:
        return "cancelled";
    }
    return "unknown";
}
