/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One thread on which a plugin's callbacks are called, one after the other: the plugin's own, or a bus's.
 *
 * The loop makes a lane, posts jobs and asks whether a callback is over its deadline; what happened comes back by the
 * inbox. Jobs go before polls, in the order of posting, except scans, which take turns with them. lane_post, lane_wake
 * and lane_overdue may be called by any thread; lane_new and lane_free by the loop; the rest by the lane's own thread.
 */

#include "device.h"
#include "inbox.h"
#include "waits.h"

struct lane {
    LIST_ENTRY(lane) link; /* the loop's, as are those below, up to the plugin */
    char *key;
    unsigned refs; /* devices and jobs */
    struct job *stop_job;
    bool late; /* a callback was over its deadline when it was last asked; of this device */
    char late_device[DEVICE_ID_MAX + 1];

    const struct gatehouse_plugin *plugin;
    struct inbox *inbox;
    pthread_t thread;
    struct waits waits; /* the thread's; woken for jobs and wakes */

    pthread_mutex_t mutex; /* for these */
    struct job_list jobs;
    struct device_list woken;
    const char *what; /* the callback that runs, NULL: none */
    char device[DEVICE_ID_MAX + 1];
    uint64_t began, deadline; /* CLOCK_MONOTONIC */

    struct job_list scans; /* the thread's, as are these: whose turn comes after the polls that are due */
    struct wait_time scan_turn;
    bool stop;
    struct queued_list samples; /* reported by the callback that runs; by_age */
    size_t n_samples;
};
LIST_HEAD(lane_list, lane);

int lane_new(const char *key, const struct gatehouse_plugin *plugin, struct inbox *inbox, struct lane **ret);
/* Joins the thread, after its NOTE_LANE_ENDED. */
struct lane *lane_free(struct lane *l);

void lane_post(struct lane *l, struct job *job);
void lane_wake(struct gatehouse_device *d);

struct overdue {
    char device[DEVICE_ID_MAX + 1]; /* "": not about a device */
    const char *what;
    uint64_t after; /* how long it has run */
};
bool lane_overdue(struct lane *l, struct overdue *ret);

/* lane-thread.c: the thread itself. */
void *lane_main(void *lane);
void lane_scan_turn(struct wait_time *turn);
/* The lane whose callback the calling thread is in, or NULL. */
struct lane *lane_current(void);
void lane_set_deadline(struct lane *l, uint64_t from_now);
void lane_report(struct lane *l, struct queued *sample);
int lane_watch(struct gatehouse_device *d, int fd, uint32_t events, void (*ready)(void *, int, uint32_t));
int lane_timer(struct gatehouse_device *d, uint64_t when, void (*fire)(void *));
