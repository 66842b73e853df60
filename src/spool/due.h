/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Schedules writes: of samples that are to be safe and, less often, of the fate of those that are. A part of
 * the spool; it asks for commits and makes none itself. */

#include "spool/store.h"

#include <sys/queue.h>
#include <systemd/sd-event.h>

struct spool;
struct spool_device;
struct stored;
TAILQ_HEAD(stored_list, stored);

/* Work due for a device. */
struct due_marks {
    uint64_t dirty_since; /* CLOCK_BOOTTIME */
    bool dirty, wanting, caring;
    TAILQ_ENTRY(stored) by_dirty, by_want, by_care;
};

/* Devices by the second in which their turn comes; those whose samples left meanwhile stay. */
#define AGES 8 /* seconds, more than SPOOL_UNWRITTEN_AGE */
struct age_wheel {
    struct aging {
        struct spool_device **devices;
        size_t n, room;
    } turns[AGES];
    uint64_t second;
    size_t n;
};

/* Rows, devices and samples that the next commit removes or moves away. */
struct leaving {
    uint64_t *rows;
    size_t n_rows, rows_room;
    uint32_t *devices; /* numbers of forgotten ones */
    size_t n_devices;
    struct spool_rejected *rejected;
    size_t n_rejected;
};

/* Writes that are due. */
struct due {
    void (*commit)(struct spool *s); /* now */
    struct stored_list dirty, care;
    uint64_t n_dirty;        /* samples that wait for the next commit, about */
    uint64_t cared;          /* CLOCK_BOOTTIME */
    uint64_t asked, settled; /* generations: the last that was asked for, the last that is on disk whole */
    struct leaving leaving;
    struct age_wheel ages;
    sd_event_source *commit_timer, *age_timer, *care_timer, *retry_timer, *wait_timer;
};

int spool_grow(void *array, size_t *room, size_t n, size_t size);
/* Unless it is armed already. */
void spool_arm(struct spool *s, sd_event_source *timer, uint64_t when);
bool spool_armed(sd_event_source *timer);
/* Asks for a commit; without an event loop it is now. */
void commit_soon(struct spool *s, uint64_t after);
void set_dirty(struct stored *t, uint64_t since);
/* Whether a commit takes what has only just come, too: else a cloud may be faster. */
bool all_now(const struct spool *s);
/* How long until the next commit is due. */
uint64_t next_turn(const struct spool *s);
bool care_wanted(const struct spool *s);
/* The device's samples are to be written soon. */
void make_dirty(struct spool_device *d);
/* Nothing of it is to be written any more: a cloud was faster. */
void not_dirty(struct stored *t);
/* The device's samples are to be written when they become old. */
void let_age(struct spool_device *d, uint64_t now);
/* The device, or what it has beyond its queue, goes. */
void forget_lists(struct stored *t);
void forget_age(const struct spool_device *d);
/* Something may be lost that is to be written within SPOOL_CARE_INTERVAL; `now`: at once. */
void want_care(struct spool *s, bool now);
void device_care(struct spool_device *d);
void delete_row(struct spool *s, uint64_t seq);
/* The device of that number goes from the file; without memory for it, it is found again. */
void remove_device(struct spool *s, uint32_t number);
void count_dropped(struct spool_device *d, uint64_t n);
/* All that no commit has taken is to be written now. */
void write_everything(struct spool *s);
/* All that no commit has taken goes into the next one. -ENOMEM: part of it does not. */
int everything_dirty(struct spool *s);
/* A generation is asked for, and not all of it is on disk. */
bool is_unsettled(const struct spool *s);
void leaving_done(struct leaving *l);
/* Ages: what timers would do by `now`; for tests without an event loop too. */
void spool_tick(struct spool *s, uint64_t now);
