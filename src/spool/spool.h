/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The samples that no cloud has accepted yet: a queue per device, first in, first out, in memory.
 *
 * All devices share one bound in bytes; beyond it the oldest samples of the device with the largest share are dropped,
 * and counted with that device. Samples older than max_age are dropped when their device is next looked at. What is
 * held (spool_hold: a request with it is under way) is neither.
 *
 * Times are strictly increasing per point: (point, time) is a sample's identity. A sample not after the one before it
 * is moved a microsecond behind that; but after a step back of over a second a point starts from the new clock. Samples
 * under SAMPLE_BOOTTIME wait, and all behind them, until spool_stamp() says how CLOCK_BOOTTIME and CLOCK_REALTIME
 * relate.
 *
 * The spool owns the devices and copies what is appended. Loop thread. `now` is CLOCK_BOOTTIME. */

#include "base/cleanup.h"
#include "base/sample.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct spool;
struct spool_device;

struct spool_settings {
    uint64_t max_bytes; /* at most SPOOL_MEMORY_MAX is used */
    uint64_t max_age;
};

struct spool_counts {
    uint64_t queued;   /* waiting now */
    uint64_t bytes;    /* of memory that they take now */
    uint64_t accepted; /* by the cloud */
    uint64_t rejected; /* by the cloud, as such */
    uint64_t dropped;  /* for room or age, or because they could not be kept */
};

int spool_new(const struct spool_settings *settings, struct spool **ret);
struct spool *spool_free(struct spool *s);
DEFINE_FREEP(struct spool, spool_free)
/* Smaller bounds drop what is beyond them now. */
void spool_set(struct spool *s, const struct spool_settings *settings);

/* From now on CLOCK_REALTIME = CLOCK_BOOTTIME + offset: stamps what waits for it, and what comes with boot times. Once:
 * a later call changes nothing that has been stamped. */
void spool_stamp(struct spool *s, int64_t offset);
bool spool_stamped(const struct spool *s);

/* The device's queue, made empty if there is none. NULL when out of memory. Valid until spool_forget(). */
struct spool_device *spool_device(struct spool *s, const char *id);
/* Drops the device's samples and its counts. */
void spool_forget(struct spool_device *d);

/* Takes n samples, in order. `done` (may be NULL) is called once they are as safe as this spool makes them, possibly
 * before the return; those that could not be kept (no room beside what is held, no memory, more than
 * POINTS_PER_DEVICE_MAX points) are counted as dropped, and are no error. */
void spool_append(struct spool_device *d, uint64_t now, const struct sample *samples, size_t n,
                  void (*done)(void *userdata), void *userdata);

/* The samples from the `from`-th on, at most `max`, oldest first; stops before one that waits for its time. Returns how
 * many. The strings stay valid until the next call. */
size_t spool_peek(struct spool_device *d, uint64_t now, size_t from, struct sample *ret, size_t max);
/* The first n are under way: they stay as they are until accepted, rejected, or let go of (0). */
void spool_hold(struct spool_device *d, size_t n);
/* The first n are with the cloud; or are not wanted by it. They leave the queue and what is held. */
void spool_accept(struct spool_device *d, size_t n);
void spool_reject(struct spool_device *d, size_t n);

void spool_device_counts(const struct spool_device *d, struct spool_counts *ret);
/* Of all devices, those forgotten included. */
void spool_counts(const struct spool *s, struct spool_counts *ret);
