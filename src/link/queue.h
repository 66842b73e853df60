/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The samples that a driver holds until the agent has answered for them.
 *
 * Bounded: when it is full the oldest sample that is not under way is dropped and counted. Taken a batch at a time,
 * each of one device, devices in turn, every device's samples in their order. A batch that got no answer goes back to
 * its place. A device of which the agent can keep nothing is paused, alone, and then tried with one sample until one is
 * accepted. Loop thread, except queued_new(), which any thread may call. */

#include "base/cleanup.h"
#include "base/sample.h"

#include <stdbool.h>
#include <sys/queue.h>

struct link_queue;
struct queue_device;

/* A sample with copies of its strings, in one piece. */
struct queued {
    TAILQ_ENTRY(queued) by_age;    /* of all samples */
    TAILQ_ENTRY(queued) by_device; /* of one device's, or of one batch's */
    struct queue_device *of;
    uint64_t number; /* in the order of pushing */
    const char *device;
    size_t size; /* bytes that it takes in a report, at most */
    struct sample sample;
    char strings[];
};
TAILQ_HEAD(queued_list, queued);

/* Samples under way in one call, at least one. */
struct link_queue_batch {
    struct queued_list samples; /* by_device */
    size_t n, size;
};

int link_queue_new(size_t max, struct link_queue **ret);
struct link_queue *link_queue_free(struct link_queue *q);
DEFINE_FREEP(struct link_queue, link_queue_free)

/* NULL when out of memory. free() is enough to get rid of one that is in no queue. */
struct queued *queued_new(const char *device, const struct sample *sample);
/* Takes s, also when that means to drop it (out of memory, or max is 0). */
void link_queue_push(struct link_queue *q, struct queued *s);

/* At most `max` samples and `max_size` bytes, but one sample at least, of the device whose turn it is; false when there
 * is none. The batch is the caller's until one of the two below. */
bool link_queue_take(struct link_queue *q, size_t max, size_t max_size, struct link_queue_batch *ret);
void link_queue_batch_done(struct link_queue_batch *b);
/* Puts it back where it was; when the queue is full the oldest go. */
void link_queue_batch_back(struct link_queue *q, struct link_queue_batch *b);

/* Nothing of the device is taken until link_queue_resume() after `until`; then one sample at a time, while the one
 * before has no answer none, until link_queue_go_on(). Later calls have no earlier `until`. */
void link_queue_pause(struct link_queue *q, const char *device, uint64_t until);
/* Ends the pauses that are over, `max` of them at most. When the next one is, UINT64_MAX if there is none. */
uint64_t link_queue_resume(struct link_queue *q, uint64_t now, size_t max);
/* A sample of the device was accepted, or its connection is another: no more caution. */
void link_queue_go_on(struct link_queue *q, const char *device);
void link_queue_go_on_all(struct link_queue *q);

size_t link_queue_length(const struct link_queue *q);
/* How many of them are of devices that are not paused. */
size_t link_queue_ready(const struct link_queue *q);
uint64_t link_queue_dropped(const struct link_queue *q);
