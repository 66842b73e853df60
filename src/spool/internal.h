/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Shared by the files of the policy: spool.c (devices, what comes and goes), share.c (accounts, bounds), commit.c
 * (what is written), due.c (and when), open.c (what is found), load.c (what is read back, and let go of), stamp.c
 * (times), wait.c (who waits until samples are safe), rate.c. Included by these only.
 *
 * A device's samples are, in order: those in `queue` that rows on disk hold too (`head`); those that only rows hold
 * (`rest`); those in the commit under way; and those not written. The last two stand in `queue` while there is no
 * `rest`, else in `tail`. */

#include "base/limits.h"
#include "base/map.h"
#include "base/worker.h"
#include "spool/queue.h"
#include "spool/rows.h"
#include "spool/spool.h"
#include "spool/store.h"

#include <sys/queue.h>

#define NOT_IN_HEAP UINT32_MAX
#define AGES 8 /* seconds, more than SPOOL_UNWRITTEN_AGE */

/* Somebody waits until samples are safe. */
struct waiter {
    struct waiter *next; /* of the device */
    TAILQ_ENTRY(waiter) by_age;
    struct spool_device *device;
    uint64_t until; /* of the device's `passed` */
    uint64_t since; /* CLOCK_BOOTTIME */
    void (*done)(int r, void *userdata);
    void *userdata;
    size_t n;
    uint64_t marks[]; /* of its samples */
};
TAILQ_HEAD(waiter_list, waiter);

/* State of a device beyond its queue while anything of it is on disk, on its way there, or waited for. */
struct stored {
    struct spool_device *device;
    struct spool_row *head;
    uint32_t n_head, head_room;
    uint32_t in_queue;              /* samples of `head`: the first of the queue */
    uint32_t gone;                  /* samples of the very first row that have left */
    uint32_t writing, writing_gone; /* samples in the commit under way: still here; left meanwhile */
    uint64_t bytes;                 /* of its rows */
    struct spool_rows rest;
    struct spool_queue tail;
    uint64_t passed; /* samples that became safe, or left before */
    struct waiter *first_waiter, *last_waiter;
    /* Samples that are here although whoever waited for them was refused: they come a second time. */
    uint64_t *again; /* marks */
    size_t n_again;
    uint64_t again_until; /* of `passed`: then they are safe */
    uint64_t again_since; /* CLOCK_BOOTTIME: when they, or others of the device, were refused or known last */
    uint64_t dirty_since; /* CLOCK_BOOTTIME */
    bool dirty, wanting, cursor_changed, counts_changed, waits_clock;
    TAILQ_ENTRY(stored) by_dirty, by_want, by_care;
    bool caring;
};
TAILQ_HEAD(stored_list, stored);

struct spool_device {
    struct spool *spool;
    struct map_node node;  /* by id */
    struct stored *stored; /* NULL: nothing of that */
    struct spool_points points;
    struct spool_queue queue;
    uint64_t accepted, rejected, dropped;
    uint32_t held, heap_index;
    uint32_t number; /* in the file; 0: none */
    bool up;
    bool aging; /* in one of spool.ages */
    char id[];
};

struct boot {
    struct stored_boot stored;
    uint64_t first;  /* its first row */
    uint32_t newest; /* when its last row arrived */
    bool used, changed;
};

enum spool_state {
    SPOOL_CLOSED,  /* in memory only */
    SPOOL_OPENING, /* the file is opened and read through */
    SPOOL_OPEN,
    SPOOL_FAILED, /* it could not be opened: tried again */
};

struct commit;
struct load;

struct spool {
    struct spool_settings settings;
    struct spool_options options;
    char *path;
    enum spool_state state;
    struct spool_store *store;
    struct workers *workers;
    bool stamped, sure, stopping;
    int64_t offset; /* `sure`: this machine's own, where it was first known */
    struct map devices;
    struct spool_device **heap; /* those with samples, the largest share first; room for all devices */
    size_t n_heap, heap_room;
    struct spool_counts totals;
    uint64_t memory;                     /* bytes of queues */
    uint64_t unwritten, unwritten_bytes; /* samples in memory that no commit has taken */
    uint64_t disk;                       /* bytes of rows */

    struct commit *commit; /* under way */
    struct load *load;
    struct opening *opening;
    uint64_t next_seq;
    uint32_t next_number;
    struct boot *boots;
    size_t n_boots, boot; /* boot: the present one, when the file is open */
    uint64_t *deletes;
    size_t n_deletes, deletes_room;
    uint32_t *removed; /* numbers of forgotten devices */
    size_t n_removed;
    char **forgotten; /* ids of those that were forgotten before it was known what the file has of them */
    size_t n_forgotten;
    struct spool_rejected *rejected;
    size_t n_rejected;
    struct stored_list dirty, wanting, care;
    struct waiter_list waiters; /* the oldest first */
    struct aging {
        struct spool_device **devices;
        size_t n, room;
    } ages[AGES];     /* by the second in which their turn comes; those whose samples left meanwhile stay */
    uint64_t n_dirty; /* samples that wait for the next commit, about */
    uint64_t age_second;
    size_t n_aging;
    sd_event_source *commit_timer, *age_timer, *care_timer, *retry_timer, *wait_timer;
    uint64_t cared; /* CLOCK_BOOTTIME */
    bool failing, settling, damaged;
    struct error damage, last;
    struct {
        uint64_t begun, samples, before, bytes; /* of this window, and of the one before: samples; of rows: bytes */
        uint64_t row_samples;
    } rate;
};

/* share.c */
struct measure {
    uint64_t queued, share, memory, unwritten, unwritten_bytes;
};
struct measure measure(const struct spool_device *d);
/* After a change of what the device has, which was `before`. */
void changed(struct spool_device *d, const struct measure *before);
uint32_t unwritten(const struct spool_device *d);
/* Where new samples go. */
struct spool_queue *last_queue(struct spool_device *d);
/* Drops the oldest that may be; false if there is none. `rows`: only what is on disk. */
bool evict(struct spool_device *d, bool rows);
/* Only what stands in memory alone, of the device that has most of that; false if there is none that may go. */
bool evict_memory(struct spool *s);
/* Takes the first sample out of the queue. */
void release(struct spool_device *d);
/* Of the first of the queue, of whose point there is a later one: if it is on disk, or on its way there, whether such a
 * one is as well, or somebody still waits for all that is not. */
bool later_is_safe(const struct spool_device *d);
void count_dropped(struct spool_device *d, uint64_t n);
/* Drops until the bound holds with `more` bytes in memory: false if what is held leaves no room. */
bool make_room(struct spool *s, uint64_t more);
/* Drops rows on disk beyond the bound. */
void enforce(struct spool *s);
void drop_old(struct spool_device *d, uint64_t now);
/* The first row of `rest` is in memory or gone. */
void rest_popped(struct spool_device *d);

/* rate.c */
void count_rate(struct spool *s, uint64_t now, size_t n);

/* spool.c */
struct stored *stored_get(struct spool_device *d); /* NULL: no memory */
/* Frees it if nothing is in it. */
void stored_put(struct spool_device *d);
bool writes(const struct spool *s);
void say_more(struct spool_device *d);
void say_more_of_all(struct spool *s);
/* Whether samples of the device are safe only once they are on disk. */
bool waits_for_disk(const struct spool_device *d);

/* wait.c */
/* So many more samples are safe, or left. */
void passed(struct spool_device *d, uint64_t n);
/* For n samples as they are handed over, before they are taken: NULL when out of memory. */
struct waiter *waiter_new(struct spool_device *d, uint64_t now, const struct sample *said, size_t n);
/* Until all that the device has is safe. */
void wait_until_safe(struct waiter *w, void (*done)(int r, void *userdata), void *userdata);
void end_waiters(struct stored *t, int r);
/* Those who wait for the device get -EBUSY; its samples stay, and are known again. */
void give_up(struct spool_device *d, uint64_t now);
/* The disk fails: nobody waits for what only it makes safe. */
void give_up_offline(struct spool *s);
/* Nobody waits longer than SPOOL_WAIT_MAX. */
void waits_over(struct spool *s, uint64_t now);
/* Whether samples of the device cannot be made safe at present, so that none are taken. */
bool is_refused(struct spool_device *d);
/* Whether this one is here already, after give_up(). */
bool is_again(struct spool_device *d, uint64_t now, const struct sample *said);
void again_forget(struct stored *t);
/* Samples are here that whoever handed them over still has, and that are not safe. */
bool again_unsafe(const struct stored *t);

/* due.c */
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
void write_everything(struct spool *s);
int spool_commit_init(struct spool *s);
void spool_commit_done(struct spool *s);

/* For tests without an event loop: what timers would do by `now`. */
void spool_tick(struct spool *s, uint64_t now);

/* commit.c */
void commit_now(struct spool *s);
void commit_forget(struct spool_device *d);
void disk_failed(struct spool *s, int r, const struct error *e);
void disk_works(struct spool *s);
/* Runs it on the worker, or here and now if there is none; `done` in any case. */
void submit(struct spool *s, int (*run)(void *userdata), void (*done)(int r, void *userdata), void *userdata);

/* open.c */
void open_begin(struct spool *s);
/* An attempt is over; or it is over for good. */
void open_leave(struct spool *s);
void open_done(struct spool *s);
/* The device is gone; `rows`: for good. */
void open_forget(const struct spool_device *d, bool rows);
/* The file is damaged. */
void give_up_file(struct spool *s, const struct error *e);
/* Once nothing is under way in it. */
void give_up_damaged(struct spool *s);

/* load.c */
/* Whether what is on disk alone is to be read back, to be sent. */
bool load_due(const struct spool_device *d);
/* Lets go of what the device has in memory and on disk, beyond what is sent next and what memory has room for. */
void unload(struct spool_device *d);
void want_load(struct spool_device *d);
void load_next(struct spool *s);
void load_forget(struct spool_device *d);
void load_leave(struct spool *s);

/* stamp.c */
uint64_t shifted(uint64_t time, int64_t offset);
/* Whether times of arrival in these two boots can be compared. */
bool boots_compare(const struct boot *a, const struct boot *b);
/* NULL: none is known. */
struct boot *boot_of(const struct spool *s, uint64_t seq);
int boot_add(struct spool *s, const struct stored_boot *boot, struct boot **ret);
/* Boots whose relation is not known get one, once the present one's is. */
void stamp_boots(struct spool *s);
