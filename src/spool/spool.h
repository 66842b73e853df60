/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The samples that no cloud has accepted yet: a queue per device, first in, first out.
 *
 * When a sample is *safe*, so that whoever handed it over may forget it, depends on the durability:
 *   always   when it is synced to disk (samples of up to 40 ms share a commit), or a cloud has accepted it before that;
 *   outage   while the device's line is up, at once; what no cloud has accepted within 4 s, or beyond 1 MiB of all
 *            devices, is then written. While it is down as `always`, and what was queued before is written first;
 *   memory   at once, and nothing is ever written.
 * While the disk fails, or is full, nothing becomes safe except what a cloud accepts, and it is tried again each
 * second. An answer is never late for that, since other devices' samples may share it: samples of a device whose line
 * is down are refused (-EBUSY), and so are, after SPOOL_WAIT_MAX, all that are not safe. What was refused may be here
 * all the same (it was being written, or sent): handed over again, each such sample is taken once, and no others of
 * that device before those are safe.
 *
 * On disk is spool.db (store.h), which only a worker touches: the loop never waits for it. In memory a device has what
 * is to be sent next; what an outage makes of it stands on disk alone, and is read back as it is sent, by so many
 * devices at a time as memory has room for. All devices share a bound in bytes: beyond it the oldest samples of the
 * device with the largest share are dropped, and counted with that device. Samples older than max_age are dropped when
 * their device is next looked at. What is held (spool_hold: a request with it is under way) is neither. A damaged file
 * is moved aside and a new one begun; what is in memory goes there. Which samples were accepted is written every 5 s:
 * after a crash some are sent again.
 *
 * Times are strictly increasing per point: (point, time) is a sample's identity, and a repeat has the same. A sample
 * not after the one before it is moved a microsecond behind that; but after a step back of over a second a point starts
 * from the new clock. What a driver hands over a second time, to the next agent, keeps its time.
 *
 * Samples under SAMPLE_BOOTTIME wait, and all behind them, until spool_stamp() says how CLOCK_BOOTTIME and
 * CLOCK_REALTIME relate; on disk they stand with their boot, and the relation is committed before the first of them is
 * sent. Samples of an earlier boot whose clock was never set can only be bounded: they came before the next boot whose
 * time is known began. They get the latest times that this allows (the last of them arrived a second before the next
 * boot), which keeps their order and their distances; `unset` of spool_ops says how many these are.
 *
 * The spool owns the devices and copies what is appended. Loop thread. `now` is CLOCK_BOOTTIME. */

#include "base/cleanup.h"
#include "base/error.h"
#include "base/sample.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct spool;
struct spool_device;

enum spool_durability { SPOOL_OUTAGE, SPOOL_ALWAYS, SPOOL_MEMORY };

struct spool_settings {
    uint64_t max_bytes; /* of samples on disk; in memory at most SPOOL_MEMORY_MAX */
    uint64_t max_age;
    enum spool_durability durability;
};

struct spool_options {
    sd_event *event;  /* NULL: whatever touches the disk is done at once, and nothing by time (tests) */
    const char *path; /* of spool.db; NULL: in memory only */
    uint8_t boot[16];
    const struct spool_ops *ops; /* not copied; NULL: nobody listens */
    void *userdata;
};

/* Callbacks of the spool; each may be NULL. None may free the spool or forget a device. */
struct spool_ops {
    /* The device has something to be sent, which spool_peek() did not have before. */
    void (*more)(const char *id, void *userdata);
    /* Many devices may have, at once: not to be dealt with in one turn of the loop. */
    void (*more_of_all)(void *userdata);
    /* The disk fails (said once until it works again), or works again (e NULL). */
    void (*disk)(const struct error *e, void *userdata);
    /* The file was damaged and is `aside` now ("": it could not be moved); `lost` samples stand only there. */
    void (*corrupt)(const struct error *e, const char *aside, uint64_t lost, void *userdata);
    /* A row of the device could not be read: its samples are dropped. */
    void (*unreadable)(const char *id, uint64_t lost, void *userdata);
    /* So many earlier boots, whose clocks were never set, have samples that got the latest times possible. */
    void (*unset)(unsigned boots, void *userdata);
};

struct spool_counts {
    uint64_t queued;   /* waiting now */
    uint64_t bytes;    /* that they take now, on disk and in memory */
    uint64_t accepted; /* by the cloud, since the start */
    uint64_t rejected; /* by the cloud, as such; a device's also before the last start */
    uint64_t dropped;  /* for room or age, or because they could not be kept; likewise */
};

/* Opens the file later, on the worker; until then nothing is sent. But what forbids it for good is said now:
 * -EBUSY (another agent), -EPROTONOSUPPORT (a later version's), -EMEDIUMTYPE (not ours), -EACCES and the like. */
int spool_new(const struct spool_settings *settings, const struct spool_options *options, struct spool **ret,
              struct error *e);
/* Samples not on disk are lost: call spool_flush() before. Pending answers get -ECANCELED. */
struct spool *spool_free(struct spool *s);
DEFINE_FREEP(struct spool, spool_free)
/* Smaller bounds drop what is beyond them now; what another durability asks for is begun. As spool_new(). */
int spool_set(struct spool *s, const struct spool_settings *settings, struct error *e);
/* The end: writes all that is not on disk yet, unless in memory only, and waits for it. 0 or why it could not be. */
int spool_flush(struct spool *s, struct error *e);

/* Has all that came before this call written, unless in memory only, and returns its generation. What comes afterwards
 * belongs to the next one, so that under a steady flow of samples a generation is on disk at some time. */
uint64_t spool_settle(struct spool *s);
/* Whether all of that generation is on disk, or has left. */
bool spool_settled(const struct spool *s, uint64_t generation);

/* From now on CLOCK_REALTIME = CLOCK_BOOTTIME + offset: stamps what waits for it, and what comes with boot times. A
 * later call is for what comes after it: what has been stamped stays as it is. `sure`: this machine's clock is
 * synchronised; what somebody else tells may be wrong, and no samples of other boots are too old by it. */
void spool_stamp(struct spool *s, int64_t offset, bool sure);
bool spool_stamped(const struct spool *s);
/* The newest time, by CLOCK_REALTIME, at which a sample came in an earlier boot whose clock was right; 0: none is
 * known. -EAGAIN: the file is still being read. */
int spool_newest(const struct spool *s, uint64_t *ret);

/* The device's queue, made empty if there is none. NULL when out of memory. Valid until spool_forget(). */
struct spool_device *spool_device(struct spool *s, const char *id);
/* Drops the device's samples and its counts. */
void spool_forget(struct spool_device *d);
/* Whether what is sent is being accepted, said each time that it turns out so. At first it is not. */
void spool_line(struct spool_device *d, bool up);

/* Takes n samples, in order. `done` (may be NULL) is called once, possibly before the return and not much later than
 * SPOOL_WAIT_MAX: 0 when they are safe; -EBUSY, hand them over again later, in their order; those that could not be
 * kept (no room beside what is held, no memory, more than POINTS_PER_DEVICE_MAX points) are counted as dropped, and are
 * no error. */
void spool_append(struct spool_device *d, uint64_t now, const struct sample *samples, size_t n,
                  void (*done)(int r, void *userdata), void *userdata);
/* The same for samples whose times were worked out: `said` are these n as they come each time. */
void spool_append_said(struct spool_device *d, uint64_t now, const struct sample *samples, const struct sample *said,
                       size_t n, void (*done)(int r, void *userdata), void *userdata);

/* The samples from the `from`-th on, at most `max`, oldest first; stops before one that waits for its time, or to be
 * read back. Returns how many. The strings stay valid until the next call. */
size_t spool_peek(struct spool_device *d, uint64_t now, size_t from, struct sample *ret, size_t max);
/* The first n are under way: they stay as they are, in memory, until accepted, rejected, or let go of (0), as is to be
 * done when the request has failed and is repeated later. */
void spool_hold(struct spool_device *d, size_t n);
/* The first n are with the cloud. They leave the queue and what is held. */
void spool_accept(struct spool_device *d, size_t n);
/* The first n are not wanted by it, for that reason: likewise, and they go to the table `rejected` of spool.db. */
void spool_reject(struct spool_device *d, size_t n, const char *reason);

/* Where only the latest value of each point is wanted: those at the front that a newer sample of their point has
 * overtaken leave the queue, at most `max`, and are not counted as anything; none while samples are held. Returns how
 * many. What is on disk stays until a newer one is there too, or goes while somebody still waits for that: a crash
 * leaves one of them, with whoever waits if not here. */
size_t spool_pass_over(struct spool_device *d, size_t max);
/* Whether the i-th may be such a one, by its time: a pack better ends before it. */
bool spool_overtaken(const struct spool_device *d, size_t i);

void spool_device_counts(const struct spool_device *d, struct spool_counts *ret);
/* Of all devices, those forgotten included. */
void spool_counts(const struct spool *s, struct spool_counts *ret);
/* How long what comes, at the rate of the last minutes, has room yet, on its disk too; 0 while nothing has come, or
 * where there is no room. */
double spool_hours(const struct spool *s, uint64_t now);
/* Why samples cannot be kept as the durability asks, or NULL: the disk fails or is full. Into the buffer, or static. */
const char *spool_problem(const struct spool *s, char *buffer, size_t size);
/* Devices that have samples, one after the other, `previous` NULL for the first; NULL at the end. Those too that nobody
 * asks for: what an earlier run left of a device that there is no longer. */
struct spool_device *spool_next(const struct spool *s, const struct spool_device *previous);
const char *spool_device_id(const struct spool_device *d);
/* Drops what is older than max_age, as is done each time that the device is looked at. */
void spool_age(struct spool_device *d, uint64_t now);
