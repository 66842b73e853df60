/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A queue of samples in little memory: 24 bytes a sample and its text, in chunks that are given back as they empty.
 * Point names and units are kept once a device, for all its queues. Embedded, in the spool only; pure. */

#include "base/sample.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One sample. */
struct entry {
    uint64_t time;
    union {
        bool b;
        int64_t x;
        uint64_t t;
        double d;
        char *s; /* owned */
    };
    uint32_t arrived; /* CLOCK_BOOTTIME, seconds */
    uint16_t point;
    uint8_t type, quality;
};

/* The value as it is handed to others (its text stays the entry's), and as it is kept (likewise the sample's). */
void spool_entry_value(const struct entry *e, struct sample_value *ret);
void spool_entry_set(struct entry *e, const struct sample_value *v);

/* A point's name and unit; samples know it by its index. One whose unit has changed is kept for the samples that have
 * the old one, and used anew when there are none left. */
struct spool_point {
    char *name, *unit; /* one allocation */
    uint64_t last;     /* time of the newest sample, 0 for none */
    uint64_t newest;   /* the same, and of what an earlier run left, as far as it was read; dated samples only */
    uint32_t queued;
    bool last_boottime; /* `last` is CLOCK_BOOTTIME */
    bool replaced;
};

/* A device's points, by number. */
struct spool_points {
    struct spool_point *points;
    uint16_t n, next; /* the one that is likely next: drivers report in turn */
};

struct chunk;

struct spool_queue {
    struct chunk *first, *last;
    uint32_t n;
    uint32_t bytes; /* of chunks and texts; 0 when it is empty */
};

void spool_points_done(struct spool_points *points);
/* The point's number, made if need be. -ENOBUFS: POINTS_PER_DEVICE_MAX points have samples; -ENOMEM. */
int spool_points_get(struct spool_points *points, const char *name, const char *unit);
/* Whether the device's queues hold another sample of its point, under another unit too. */
bool spool_points_more(const struct spool_points *points, const struct entry *e);
/* Whether a sample of its point with a later time has come, under another unit too. After a step back of the clock that
 * one may be older. */
bool spool_points_overtaken(const struct spool_points *points, const struct entry *e);

/* Empties it. */
void spool_queue_done(struct spool_queue *q, struct spool_points *points);
/* Copies the entry to the end; its text, if it has one, is copied too. 0 or -ENOMEM. What it will cost at most is
 * spool_queue_cost(). */
int spool_queue_push(struct spool_queue *q, struct spool_points *points, const struct entry *e);
uint32_t spool_queue_cost(const struct spool_queue *q, const struct entry *e);
/* The i-th, 0 the oldest; i < n. */
struct entry *spool_queue_at(const struct spool_queue *q, size_t i);
/* Takes the i-th out; cheap for those at the front. */
void spool_queue_remove(struct spool_queue *q, struct spool_points *points, size_t i);
/* Moves the i-th and all behind it to the end of `to`. 0, or -ENOMEM: nothing has
 * moved. */
int spool_queue_move(struct spool_queue *q, size_t i, struct spool_queue *to);
/* All of `behind` comes behind q, in the time of one. */
void spool_queue_join(struct spool_queue *q, struct spool_queue *behind);

/* The time that a sample gets so that times increase strictly; `last` 0 for none. */
uint64_t queue_next_time(uint64_t last, uint64_t time);

/* For walking along: an entry and what follows it, without looking for each from the front. */
struct spool_queue_cursor {
    struct chunk *chunk;
    unsigned at;
};
struct spool_queue_cursor spool_queue_from(const struct spool_queue *q, size_t i);
/* The entry here, NULL at the end; steps on. */
struct entry *spool_queue_step(struct spool_queue_cursor *c);
