/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* spool.db, an SQLite file: rows of samples in the order of their arrival, the devices that they are of, the boots that
 * they came in, and what clouds have rejected.
 *
 * A row holds the samples of one device of one commit, so that a commit writes to the table's last page, however many
 * devices report. Blocking: spool_store_new() and spool_store_look() at start, the rest on the spool's worker, one call
 * at a time. Owns nothing of what it is given. Failures are -errno with words; -EBADMSG: the file is damaged, and to be
 * moved aside. */

#include "base/cleanup.h"
#include "base/error.h"
#include "base/sample.h"
#include "spool/record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct spool_store;

/* Takes the lock. -EBUSY: another agent has it. */
int spool_store_new(const char *path, struct spool_store **ret, struct error *e);
struct spool_store *spool_store_free(struct spool_store *s);
DEFINE_FREEP(struct spool_store, spool_store_free)

/* Whether there is a file, by its header and its permissions alone: 1, 0, or why it can not be opened: -EBADMSG,
 * -EPROTONOSUPPORT (a later version's), -EMEDIUMTYPE (another program's), -EACCES and the like. */
int spool_store_look(const struct spool_store *s, struct error *e);
/* Opens it, made if it is not there, and checks it whole. */
int spool_store_open(struct spool_store *s, struct error *e);
/* Gives the damaged file, which is closed, the name that `ret_name` gets; of such files SPOOL_CORRUPT_MAX are kept. */
int spool_store_move_aside(struct spool_store *s, char *ret_name, size_t size, struct error *e);
/* Closes it and removes it: nothing is in it that is wanted. */
int spool_store_remove(struct spool_store *s, struct error *e);

/* The content of an open file. Texts and data are valid during the call; a negative result ends the reading. */
struct stored_device {
    uint32_t number;
    const char *id;
    uint64_t row; /* of this row, and those before it, `skip` samples were accepted */
    uint32_t skip;
    uint64_t dropped, rejected;
};
struct stored_boot {
    uint32_t number;
    uint8_t id[16];
    bool known; /* `offset` is: CLOCK_REALTIME - CLOCK_BOOTTIME */
    bool sure;  /* by this machine's own clock */
    int64_t offset;
};
struct stored_row {
    uint64_t seq;
    uint32_t device, n, size;
    struct record_head head;
};
int spool_store_devices(struct spool_store *s, int (*device)(const struct stored_device *device, void *userdata),
                        void *userdata, struct error *e);
int spool_store_boots(struct spool_store *s, int (*boot)(const struct stored_boot *boot, void *userdata),
                      void *userdata, struct error *e);
/* At most `limit` rows after that one. */
int spool_store_rows(struct spool_store *s, uint64_t after, size_t limit,
                     int (*row)(const struct stored_row *row, void *userdata), void *userdata, struct error *e);
/* Appends the row's data to the buffer. -ENOENT: it is not there. */
int spool_store_data(struct spool_store *s, uint64_t seq, struct record_buffer *ret, struct error *e);

/* The changes of a commit, all of it or nothing; durable when it returns 0. */
struct spool_changes {
    const struct spool_change_row {
        uint64_t seq;
        uint32_t device, n;
        size_t at, size; /* in `data` */
    } * rows;
    size_t n_rows;
    const uint8_t *data;
    const uint64_t *deletes; /* rows that are gone, in any order */
    size_t n_deletes;
    const struct stored_device *devices; /* new, or changed; id NULL: removed */
    size_t n_devices;
    const struct stored_boot *boots; /* likewise */
    size_t n_boots;
    const struct spool_rejected {
        char device[DEVICE_ID_MAX + 1];
        struct sample sample; /* strings of its own */
        char reason[32];
    } * rejected;
    size_t n_rejected;
};
int spool_store_commit(struct spool_store *s, const struct spool_changes *changes, struct error *e);
