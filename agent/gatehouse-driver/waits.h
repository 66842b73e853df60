/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Events that one thread waits for: times, descriptors, and another thread's word.
 *
 * A step calls back for one thing, so that what is more urgent can be looked after in between; when nothing is due it
 * waits, in one system call. Times go in their order; descriptors that are ready go before them, each once. Times are
 * CLOCK_MONOTONIC. Embedded; one thread's, except waits_wake(). A callback may set, stop, add and remove anything. */

#include "base/deadlines.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>

/* Both embedded in what owns them. */
struct wait_time {
    struct deadline deadline; /* first */
    void (*come)(struct wait_time *time);
};

struct wait_fd {
    size_t place;
    void (*ready)(struct wait_fd *fd, uint32_t events);
};

/* The embedding object. */
#define WAIT_OWNER(wait, type, member) ((type *)((char *)(wait)-offsetof(type, member)))

struct waits {
    struct deadlines times;
    struct pollfd *fds; /* the first is for waits_wake() */
    struct wait_fd **owners;
    size_t n_fds, room;
    size_t unseen; /* of these, from the front, those whose events are still to be told */
    bool looked;   /* at the descriptors since the last time that came */
    int wake_fd;
    atomic_bool woken; /* and has not seen it yet */
};

/* -errno: no descriptor, no memory. */
int waits_init(struct waits *w);
/* All times are stopped and all descriptors removed. */
void waits_done(struct waits *w);

/* A time that is not set yet. -ENOMEM. */
int waits_add_time(struct waits *w, struct wait_time *t, void (*come)(struct wait_time *time));
void waits_remove_time(struct waits *w, struct wait_time *t);
void waits_stop_time(struct waits *w, struct wait_time *t);
/* Once, at that time, or up to `slack` later, so that one wake-up serves several. What is past is due from now on,
 * behind what has been due for longer. */
void waits_set_time(struct waits *w, struct wait_time *t, uint64_t at, uint32_t slack);

/* Whenever it has one of the events, of poll(2). The descriptor stays the caller's. -EBADF, -ENOMEM. */
int waits_add_fd(struct waits *w, struct wait_fd *f, int fd, uint32_t events,
                 void (*ready)(struct wait_fd *fd, uint32_t events));
void waits_remove_fd(struct waits *w, struct wait_fd *f);

/* Calls back for one thing that is due, or else waits until something is, or for waits_wake(). -errno of the wait. */
int waits_step(struct waits *w);

/* Any thread: ends the wait that is under way, or the next one. */
void waits_wake(struct waits *w);
