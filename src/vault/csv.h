/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Records of comma-separated values (RFC 4180): fields may stand in double quotes, in which a quote is written twice
 * and a line may end. Lines end with LF or CR LF. Pure; the fields are made in place, in the caller's buffer. */

#include "base/limits.h"

#include <stdbool.h>
#include <stddef.h>

struct csv_record {
    char *fields[CSV_FIELDS_MAX]; /* NUL-terminated */
    size_t lengths[CSV_FIELDS_MAX];
    size_t n;
};

/* Takes one record from the beginning of `text`, of which more follows unless it is the `last`; text[n] is writable. 1:
 * *ret points into the text, of which *ret_used bytes belong to it. 0: it is not whole yet. -EBADMSG: no record,
 * *ret_why says why in words that quote nothing, and *ret_used leads behind the first line of it. */
int csv_read(char *text, size_t n, bool last, struct csv_record *ret, size_t *ret_used, const char **ret_why);
