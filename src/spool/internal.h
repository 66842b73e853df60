/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Shared by the files of the spool's policy. From the bottom up: segments.h (a device's samples in their places, and
 * the sums; pure), due.c (what is to be written, and when), wait.c (who waits until samples are safe), stamp.c (times),
 * share.c (bounds and age), disk.c (the worker, and whether the disk works), open.c (what an earlier run left),
 * load.c (what is read back), commit.c (what is written), spool.c (devices, what comes and goes). */

#include "base/limits.h"
#include "base/map.h"
#include "base/worker.h"
#include "spool/due.h"
#include "spool/segments.h"
#include "spool/spool.h"
#include "spool/store.h"
#include "spool/wait.h"

/* State of a device beyond its queue while anything of it is on disk, on its way there, or waited for. */
struct stored {
    struct spool_device *device;
    struct segments_rows rows;
    struct waits waits;
    struct due_marks due;
};

/* Samples that left. */
struct outcomes {
    uint64_t accepted, rejected, dropped;
};

struct spool_device {
    struct spool *spool;
    struct map_node node; /* by id */
    struct segments segments;
    struct stored *stored; /* NULL: nothing of that */
    struct outcomes outcomes;
    uint32_t number; /* in the file; 0: none */
    bool up;
    bool aging; /* in the wheel of ages */
    char id[];
};

/* Boots whose samples the file has, in the order of their numbers. */
struct boots {
    struct boot {
        struct stored_boot stored;
        uint64_t first;  /* its first row */
        uint32_t newest; /* when its last row arrived */
        bool used, changed;
    } * list;
    size_t n, present; /* the present one, when the file is open */
};

/* This machine's clock, since it is known. */
struct spool_clock {
    bool waiting; /* for what the file says of this boot */
    bool stamped, sure;
    int64_t offset;
};

struct trouble {
    bool failing, damaged;
    struct error damage, last;
};

/* Of this window, and of the one before: samples; of rows: bytes. */
struct rate {
    uint64_t begun, samples, before, bytes, row_samples;
};

/* Ids of devices that were forgotten before it was known what the file has of them. */
struct forgotten {
    char **ids;
    size_t n;
};

enum spool_state {
    SPOOL_CLOSED,  /* in memory only */
    SPOOL_OPENING, /* the file is opened and read through */
    SPOOL_OPEN,
    SPOOL_FAILED, /* it could not be opened: tried again */
};

struct spool {
    struct spool_settings settings;
    struct spool_options options;
    char *path;
    enum spool_state state;
    bool stopping;
    bool settling; /* relations of clocks are to be committed before anything is sent */
    struct spool_store *store;
    struct workers *workers;
    struct spool_clock clock;
    struct map devices;
    struct account account;
    struct outcomes outcomes;
    uint64_t next_seq;
    uint32_t next_number;
    struct boots boots;
    struct commit *commit; /* under way */
    struct load *load;
    struct opening *opening;
    struct forgotten forgotten;
    struct due due;
    struct stored_list wanting; /* rows to be read back */
    struct waiter_list waiters; /* the oldest first */
    struct trouble trouble;
    struct rate rate;
};

/* device.c */
struct stored *stored_get(struct spool_device *d); /* NULL: no memory */
/* Frees it if nothing is in it. */
void stored_put(struct spool_device *d);
struct spool_device *device_of(const struct segments *g);
/* Whether anything is written; whether samples of the device are safe only then. */
bool writes(const struct spool *s);
bool waits_for_disk(const struct spool_device *d);
bool has_samples(const struct spool_device *d);
void say_more(struct spool_device *d);
void say_more_of_all(struct spool *s);
