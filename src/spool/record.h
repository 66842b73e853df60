/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The binary form of the samples of one row of spool.db, version 1:
 *
 *     version, boot, arrived, last, then each sample: point, [name, unit,] kind, time, value
 *
 * boot (a number of the table `boot`), arrived (seconds of that boot's CLOCK_BOOTTIME) and point are varints; `last` is
 * the time of the last sample, and the others' times are differences to the time before. A point that is as large as
 * the number of points before it is a new one, followed by its name and unit. The kind is the type in the lower four
 * bits and the quality in the upper.
 *
 * Whatever the bytes, decoding ends with samples that are valid or with -EBADMSG. Pure. */

#include "base/sample.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The head before the samples of a row; RECORD_HEAD_MAX bytes are enough to read it. */
struct record_head {
    uint32_t boot;    /* which boot its times under SAMPLE_BOOTTIME are of */
    uint32_t arrived; /* CLOCK_BOOTTIME, seconds: the last sample's */
    uint64_t last;    /* time of the last sample */
};
#define RECORD_HEAD_MAX 21

/* A buffer that grows; zeroed, it is an empty one. */
struct record_buffer {
    uint8_t *data;
    size_t size, room;
};
void record_buffer_done(struct record_buffer *b);
/* `buffer` gets room for `more` bytes beyond its size. 0 or -ENOMEM. */
int record_reserve(struct record_buffer *b, size_t more);

/* The points that a row has named until now, in the order of their numbers. */
struct record_points {
    uint16_t known[256]; /* the caller's numbers of them */
    unsigned n;
};

/* Begins a row at the end of the buffer. */
int record_begin(struct record_buffer *b, const struct record_head *head);
/* Adds a sample; `number` is the caller's for the point. 1; 0 if the row has no room for another point. `previous` is
 * the time before, at first head.last. */
int record_add(struct record_buffer *b, struct record_points *points, uint16_t number, const struct sample *sample,
               uint64_t *previous);

/* The head of a row of which at least the first RECORD_HEAD_MAX bytes are there. */
int record_head(const uint8_t *data, size_t size, struct record_head *ret);
/* Calls `sample` for each of the row's samples, which must be `n`; the strings are the callee's for the call. What it
 * returns below 0 ends the walk and is returned; -EBADMSG. */
int record_decode(const uint8_t *data, size_t size, size_t n,
                  int (*sample)(const struct sample *sample, void *userdata), void *userdata);
