/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* News of the plugin's threads for the loop: samples, and notes of what happened. Any thread puts in, the loop takes
 * out, in order. Samples are bounded by DRIVER_QUEUE_MAX: the oldest go, counted. A sample is taken at once, those that
 * come within DRIVER_REPORT_INTERVAL of it together, so that the loop need not wake for each; a note never waits. */

#include "job.h"
#include "link/queue.h"

#include <pthread.h>
#include <systemd/sd-event.h>

struct gatehouse_device;
struct lane;

enum note_kind {
    NOTE_STATE,      /* the plugin said how the device is */
    NOTE_KEEP,       /* the plugin wants words kept */
    NOTE_JOB,        /* a job was done */
    NOTE_CLOSED,     /* nothing will call for the device again */
    NOTE_LANE_ENDED, /* its thread can be joined */
};

struct note {
    TAILQ_ENTRY(note) link;
    enum note_kind kind;
    struct gatehouse_device *device;
    struct job *job;
    struct lane *lane;
    enum gatehouse_state state;
    unsigned secret; /* of NOTE_KEEP: the key that the plugin had, counted as in struct gatehouse_device */
    char reason[];   /* of NOTE_STATE, NOTE_KEEP */
};
TAILQ_HEAD(note_list, note);

struct inbox {
    pthread_mutex_t mutex;
    struct queued_list samples; /* by_age */
    size_t n_samples;
    uint64_t dropped;
    struct note_list notes;
    int sample_fd, note_fd; /* a timer that whoever puts the first sample sets, and a counter */
    sd_event_source *sample_source, *note_source;
    uint64_t rest_until; /* CLOCK_MONOTONIC; samples are not looked at before */
    void (*sample)(struct queued *sample, void *userdata);
    void (*note)(const struct note *note, void *userdata);
    void *userdata;
};

/* The callbacks are called on the loop; the sample is theirs. */
int inbox_init(struct inbox *b, sd_event *event, void (*sample)(struct queued *sample, void *userdata),
               void (*note)(const struct note *note, void *userdata), void *userdata);
void inbox_done(struct inbox *b);

/* Takes all of the list's n samples and empties it. */
void inbox_put_samples(struct inbox *b, struct queued_list *samples, size_t n);
/* Copies the note and the reason (NULL: ""). Ends the process when out of memory: what a note says cannot be left out.
 */
void inbox_put_note(struct inbox *b, const struct note *note, const char *reason);
