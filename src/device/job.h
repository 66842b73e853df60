/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Long operations that users watch: kind, progress, outcome per device. Loop thread.
 *
 * The registry owns every job; a pointer to one is valid until `removed` was called for it. A finished job stays
 * JOB_KEPT_FOR, and of more than JOBS_KEPT finished ones the youngest. */

#include "base/cleanup.h"
#include "base/error.h"

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

enum job_state { JOB_RUNNING, JOB_DONE, JOB_FAILED, JOB_CANCELLED };

struct job_result {
    char *device;
    char *outcome;
    char *reason;
    json_object *found; /* of a scan: what was found; device, outcome and reason are "" then. NULL: no find */
};

struct job {
    struct job *next;
    uint32_t number;
    const char *kind;   /* static text */
    const char *action; /* the right that starting it needed; static text */
    enum job_state state;
    char batch_id[33]; /* the same after it was resumed; "" for what is not */
    uint32_t done, total, failed;
    struct job_result *results;
    size_t n_results, results_allocated;
    size_t n_waiting;  /* of them */
    uint64_t finished; /* CLOCK_BOOTTIME */
    /* The one who works on it: called at most once, by job_cancel. NULL: cannot be ended. */
    void (*cancel)(struct job *job, void *userdata);
    void *cancel_userdata;
};

struct jobs_listener {
    void (*added)(void *userdata, struct job *job);
    void (*finished)(void *userdata, struct job *job);
    void (*removed)(void *userdata, struct job *job);
    void *userdata;
};

struct jobs;

int jobs_new(sd_event *event, struct jobs **ret);
struct jobs *jobs_free(struct jobs *jobs);
DEFINE_FREEP(struct jobs, jobs_free)
void jobs_listen(struct jobs *jobs, const struct jobs_listener *listener);

int job_new(struct jobs *jobs, const char *kind, const char *action, uint32_t total, struct job **ret);
/* One more of `total` is done: outcome and reason are kept in its results (both may be NULL, then only counted). */
void job_progress(struct jobs *jobs, struct job *job, const char *device, bool ok, const char *outcome,
                  const char *reason);
/* A line in its results that counts nothing. */
void job_note(struct job *job, const char *device, const char *outcome, const char *reason);
/* Sets the reason for which a device's work waits: a line "waiting" in the results, until the device's own takes its
 * place. */
void job_waiting(struct job *job, const char *device, const char *reason);
/* A find of a scan, likewise; takes a reference. */
void job_found(struct job *job, json_object *found);
void job_finish(struct jobs *jobs, struct job *job, enum job_state state);
/* 0, or -EBUSY if it cannot be ended or has ended. */
int job_cancel(struct jobs *jobs, struct job *job, struct error *e);

struct job *job_find(struct jobs *jobs, uint32_t number);
struct job *job_first(struct jobs *jobs); /* follow ->next */
const char *job_state_name(enum job_state state);
