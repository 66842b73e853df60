/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A compact list of the rows of spool.db that are one device's and not in memory: some six bytes a row, first in, first
 * out (and what was taken may be put back). Embedded, in the spool only; zeroed, it is empty. Pure. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct spool_row {
    uint64_t seq;     /* the row's number: order of arrival, of all devices */
    uint32_t n;       /* samples */
    uint32_t size;    /* bytes of its data */
    uint32_t arrived; /* CLOCK_BOOTTIME of its boot, seconds */
};

struct spool_rows {
    uint8_t *data;
    size_t begin, end, room;
    uint32_t count;
    uint64_t samples;
    struct spool_row before, last; /* what the first and the next to come are written as differences to */
};

void spool_rows_done(struct spool_rows *rows);
/* To the end: seq rises. 0 or -ENOMEM. */
int spool_rows_push(struct spool_rows *rows, const struct spool_row *row);
/* The first; false if there is none. */
bool spool_rows_first(const struct spool_rows *rows, struct spool_row *ret);
void spool_rows_pop(struct spool_rows *rows);
/* n rows come before the first, in that order. 0, or -ENOMEM: nothing has changed. */
int spool_rows_prepend(struct spool_rows *rows, const struct spool_row *first, size_t n);
/* Walks: the row at *at, a place that begins at 0, with what *ret held before. */
bool spool_rows_next(const struct spool_rows *rows, size_t *at, struct spool_row *ret);
