/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A device as the driver host has it: its texts, the points made of them, and who may touch what.
 *
 * Made and freed by the loop. Between the JOB_OPEN and the NOTE_CLOSED of its lane, the lane's part is the lane's
 * thread's alone; texts and points never change. */

#include "base/error.h"
#include "base/ratelimit.h"
#include "counts.h"
#include "job.h"
#include "waits.h"

#include <stdatomic.h>

#define DEVICE_WATCHES_MAX 16
#define DEVICE_TIMERS_MAX 64

struct lane;
struct watch;
struct later;
LIST_HEAD(job_set, job);

/* The part of the loop. */
struct device_in_loop {
    bool closing;
    bool wanted; /* to be made again, of next_*, once it is closed */
    char *next_section, *next_points;
    bool state_known;
    enum gatehouse_state state;
    char *reason;
    struct job *next_secret; /* for the one that is made of next_*; NULL: none */
    char *kept;              /* what the agent is still to keep; NULL: nothing */
    unsigned secret;         /* how many keys were taken for it: words said beside an older one are void */
    struct job_set jobs;     /* that the agent waits for */
    struct job_list later;   /* likewise; for the one that is made of next_* */
    struct job *close;       /* made along with the opening: closing cannot fail */
};

/* The part of its lane's thread. */
struct device_in_lane {
    void *data;
    bool open;
    bool timed;                   /* there is room for these two */
    struct wait_time poll, retry; /* the next call of poll; of device_open */
    uint64_t backoff;
    int secret_fd; /* the sensor's key, for when it is opened; negative: none */
    char *kept;
    struct watch *watches[DEVICE_WATCHES_MAX];
    struct later *timers[DEVICE_TIMERS_MAX];
    struct ratelimit complaints;
};

struct gatehouse_device {
    char *id, *section, *points_text;
    json_object *points_json; /* holds the texts of points */
    struct gatehouse_point *points;
    size_t n_points;
    struct lane *lane; /* NULL: not opened, its configuration is bad */
    struct device_in_loop main;
    struct device_in_lane thread;
    struct counts counts;
    atomic_uint secret; /* the key that the plugin has, or gets once it is open, counted as the loop does */

    TAILQ_ENTRY(gatehouse_device) by_wake; /* under the lane's mutex, with woken */
    bool woken;
};
TAILQ_HEAD(device_list, gatehouse_device);

/* Parses the texts. -EINVAL with words when they are not JSON objects: the device is made all the same, without points,
 * so that its state can be told. */
int device_new(const char *id, const char *section, const char *points, struct gatehouse_device **ret, struct error *e);
struct gatehouse_device *device_free(struct gatehouse_device *d);
DEFINE_FREEP(struct gatehouse_device, device_free)

/* Of that name; of NAME.1, NAME.2 and so on, where there is no such point, NAME: the plugin may have made a row of it.
 */
const struct gatehouse_point *device_point(const struct gatehouse_device *d, const char *name);

/* The points of a JSON object, name to keys, without the agent's own keys; the texts live in `object`, which is
 * changed. -EINVAL with words, -ENOMEM. */
int points_from_json(json_object *object, struct gatehouse_point **ret, size_t *ret_n, struct error *e);
