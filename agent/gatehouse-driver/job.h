/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Something to be done on a lane's thread, and its outcome on the way back. Made by the loop, filled in by the lane,
 * freed by the loop; at any time only one of them has it, except `cancelled`. */

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/sample.h"

#include <gatehouse/plugin.h>
#include <json-c/json.h>
#include <stdatomic.h>
#include <sys/queue.h>

struct gatehouse_device;
struct link_call;

enum job_kind {
    JOB_OPEN,
    JOB_CLOSE,
    JOB_WRITE,
    JOB_WRITES,
    JOB_READ,
    JOB_SECRET,
    JOB_READ_RAW,
    JOB_SCAN,
    JOB_STOP, /* ends the lane's thread */
};

/* One of several points to be written together. */
struct job_write {
    char point[DEVICE_ID_MAX + 1];
    struct sample_value value;
};

struct job {
    TAILQ_ENTRY(job) link;     /* in the lane's queue */
    LIST_ENTRY(job) of_device; /* the loop's: of those that the agent waits for */
    enum job_kind kind;
    struct gatehouse_device *device; /* NULL for JOB_READ_RAW, JOB_SCAN, JOB_STOP */
    struct link_call *call;          /* the loop's; NULL: nobody waits any more */
    atomic_bool cancelled;           /* not to be begun */
    char point[DEVICE_ID_MAX + 1];
    struct sample_value value; /* what to write */
    struct job_write *writes;  /* of JOB_WRITES */
    size_t n_writes;
    char *options;
    int fd;          /* of JOB_SECRET; otherwise negative */
    char *kept;      /* likewise */
    unsigned secret; /* likewise: which one of the device it is */
    int r;
    char error[ERROR_TEXT_MAX];
    struct sample_value result;
    struct sample_value *values; /* of JOB_READ_RAW and JOB_WRITES */
    size_t n_values;
    json_object *found; /* of JOB_SCAN */
};
TAILQ_HEAD(job_list, job);

struct job *job_new(enum job_kind kind, struct gatehouse_device *device);
struct job *job_free(struct job *j);
DEFINE_FREEP(struct job, job_free)

struct gatehouse_value value_to_plugin(const struct sample_value *v);
struct sample_value value_from_plugin(const struct gatehouse_value *v);
/* Copies what the plugin gave to `result`, unless the job has failed; -EBADMSG if it is no valid value. */
void job_take_result(struct job *j, const struct gatehouse_value *value);
