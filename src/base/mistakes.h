/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Mistakes in files that people write: a list, so that one run reports all of them, each with file:line:column.
 *
 * Embedded; the owner calls mistakes_done(). Any thread, one at a time. Running out of memory is kept in `failed`, and
 * the mistake is counted all the same: n_all, not n, says whether a file was good. */

#include <stdarg.h>
#include <stddef.h>

struct mistake {
    char *file;
    unsigned line, column; /* from 1; 0: concerns the file as a whole. Columns count characters. */
    char *device;          /* the device that is not loaded because of it; NULL if none or not known */
    char *text;            /* what is wrong, and what was expected */
};

struct mistakes {
    struct mistake *list; /* in the order in which they were found, at most MISTAKES_MAX */
    size_t n;
    size_t n_all; /* also those beyond MISTAKES_MAX */
    int failed;   /* 0 or -ENOMEM */
};

void mistakes_done(struct mistakes *m);

/* Adds one; `device` may be NULL. */
void mistakes_add(struct mistakes *m, const char *file, unsigned line, unsigned column, const char *device,
                  const char *format, ...) __attribute__((format(printf, 6, 7)));
void mistakes_addv(struct mistakes *m, const char *file, unsigned line, unsigned column, const char *device,
                   const char *format, va_list ap) __attribute__((format(printf, 6, 0)));

/* One as "FILE:LINE:COLUMN: TEXT", cut to size. */
void mistake_format(const struct mistake *mistake, char *text, size_t size);
/* All of them, a line each; ends with how many there are beyond those listed. 0 or -ENOMEM. */
int mistakes_format(const struct mistakes *m, char **ret_text);
