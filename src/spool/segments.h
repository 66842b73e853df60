/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One device's samples in their places, and the sums of all devices. Pure: no I/O, no clock; memory is its only
 * failure.
 *
 * In order, a device's samples are: the first `in_queue` of the queue, which rows on disk hold too (`head`); those that
 * rows alone hold (`rest`); those in the commit under way (`writing`); and those that nothing else holds. The last two
 * stand in `tail` while there is a `rest`, else in the queue behind the first ones. Each function that moves samples
 * leaves the sums right; nobody else adds to them.
 *
 * Owns queues, points and lists of rows. The account outlives its segments. Used by the spool only. */

#include "spool/queue.h"
#include "spool/rows.h"

#define NOT_IN_HEAP UINT32_MAX

struct segments;

/* Called when the sums are right again. */
struct segments_ops {
    /* The row on disk holds nothing more that is wanted. */
    void (*row_gone)(struct segments *g, uint64_t seq);
    /* A sample of the first row has left, others have not. */
    void (*row_begun)(struct segments *g);
    /* So many samples that were in no row became safe, or left. */
    void (*passed)(struct segments *g, uint64_t n);
    /* So many were dropped for room. */
    void (*dropped)(struct segments *g, uint64_t n);
    /* Whether somebody waits for the samples in no row: these are not dropped for room. */
    bool (*awaited)(const struct segments *g);
};

struct segments_sums {
    uint64_t queued, disk;                       /* samples; bytes of rows */
    uint32_t memory, unwritten, unwritten_bytes; /* bytes of queues; samples that no commit has taken */
};

struct account {
    const struct segments_ops *ops;
    uint64_t queued, disk, memory, unwritten, unwritten_bytes;
    struct segments **heap; /* those with samples, the largest share first */
    size_t n_heap, heap_room;
};

/* Rows of the device, and samples on their way into one. */
struct segments_rows {
    struct spool_row *head;
    uint32_t n_head, head_room;
    uint32_t in_queue;              /* samples of `head`: the first of the queue */
    uint32_t gone;                  /* samples of the very first row that have left */
    uint32_t writing, writing_gone; /* samples in the commit under way: still here; left meanwhile */
    uint32_t unwanted;              /* samples of its rows still to be told of, since one found no memory */
    uint64_t bytes;
    struct spool_rows rest;
    struct spool_queue tail;
};

struct segments {
    struct account *account;
    struct segments_rows *rows; /* the caller's, zeroed at first; NULL: none, and none on their way */
    struct spool_points points;
    struct spool_queue queue;
    uint32_t held; /* the first so many are under way to the cloud */
    uint32_t heap_index;
    struct segments_sums settled; /* what the account has of it */
};

/* Room in the account for n devices: 0 or -ENOMEM. */
int account_reserve(struct account *a, size_t n);
void account_done(struct account *a);
void segments_init(struct segments *g, struct account *a);
/* Everything leaves; `rows`: those on disk, too. */
void segments_done(struct segments *g, bool rows);

/* ---- What there is ---- */

/* Bytes in memory and on disk. */
uint64_t segments_share(const struct segments *g);
/* Samples that no commit has taken; they are the last ones of the last queue. */
uint32_t segments_unwritten(const struct segments *g);
/* Where new samples go. */
struct spool_queue *segments_last(struct segments *g);
/* The first row, in memory or not; false if there is none. */
bool segments_first_row(const struct segments *g, struct spool_row *ret);
/* The first of those that only the disk has, and how many of its samples have left. */
bool segments_first_rest(const struct segments *g, struct spool_row *ret, uint32_t *ret_gone);
/* Samples that only the disk has. */
uint64_t segments_only_on_disk(const struct segments *g);
/* Nothing is in it, and nothing on its way. */
bool segments_rows_empty(const struct segments_rows *rows);
/* Whether, of the first of the queue, of whose point there is a later one, the later one is as safe as itself.
 * `awaited`: somebody waits until all that is in no row is safe. */
bool segments_later_is_safe(const struct segments *g, bool awaited);

/* ---- Samples come and leave ---- */

int segments_push(struct segments *g, const struct entry *e);
/* Takes the first sample out of the queue. */
void segments_release(struct segments *g);

/* The next to be dropped. */
enum segments_next { SEGMENTS_NOTHING, SEGMENTS_ROW, SEGMENTS_SAMPLE };
enum segments_next segments_next_out(const struct segments *g, struct spool_row *ret_row, uint32_t *ret_arrived);
/* Drops the oldest row of which nothing is held; else, unless `rows`, the oldest sample that is in no row. False if
 * there is none that may go. */
bool segments_evict(struct segments *g, bool rows);

/* ---- Into rows, and back ---- */

/* The next n that are unwritten are on their way. */
void segments_writing(struct segments *g, uint32_t n);
/* The next row of those is written. False: there is no memory for it, or was none for one before it. All from that one
 * on are unwritten again, and their rows go: rows hold samples in their order, so none is taken behind a gap. */
bool segments_written(struct segments *g, const struct spool_row *row);
/* None of them is. */
void segments_write_failed(struct segments *g);
/* At most about so many samples that rows hold too stay in memory. */
void segments_unload(struct segments *g, uint32_t most);
/* Reads back the first row of `rest`: begin, push each of its samples, and end (r < 0: those pushed are taken back). */
int segments_load_begin(struct segments *g);
int segments_load_push(struct segments *g, const struct entry *e);
void segments_load_end(struct segments *g, const struct spool_row *row, uint32_t pushed, int r);
/* It cannot be read: it goes, and how many samples with it. */
uint32_t segments_row_unreadable(struct segments *g);

/* A row of an earlier run, behind those found before it; `gone` of its samples have left. What came since follows it.
 */
int segments_found(struct segments *g, const struct spool_row *row, uint32_t gone);
/* The file is no more: what only it had is lost, what memory has is unwritten. Returns how many were lost. */
uint64_t segments_lose_rows(struct segments *g);

/* ---- Among all devices ---- */

/* Drops from the largest share until the bytes of rows, or of queues and `more`, are within the bound. False if what is
 * held leaves no room. */
bool account_bound_disk(struct account *a, uint64_t most);
bool account_bound_memory(struct account *a, uint64_t most, uint64_t more);
/* Drops some samples that are in no row, of the device that has most of them; false if there is none that may go. */
bool account_evict_unwritten(struct account *a);

/* account.c, for segments.c: after each change of what the segments hold. */
void segments_settle(struct segments *g);
/* share of segments.c, for account.c: drops up to `max` samples that are in no row; how many. */
uint32_t segments_evict_unwritten(struct segments *g, uint32_t max);
bool segments_may_evict_unwritten(const struct segments *g);
