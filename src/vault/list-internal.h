/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Shared by the files of the list: list.c reads records, list-csv.c and list-lines.c interpret them. */

#include "base/text.h"
#include "vault/internal.h"
#include "vault/list.h"

#define LIST_SKIP 1
#define LIST_FILL (2 * LIST_RECORD_MAX)
#define LIST_BUFFER (LIST_FILL + 4096) /* with room for a NUL */
#define LIST_RECORD_TEXT "64 KiB"

enum list_column { COLUMN_HARDWARE_ID, COLUMN_DEVICE, COLUMN_SETTINGS, COLUMN_IDENTITY, COLUMN_KEY, COLUMN_ENCODING };
#define LIST_COLUMNS 6

struct list_reader {
    int fd;
    enum list_format format;
    char *buffer;
    size_t begin, end; /* of what was read and not taken yet */
    uint64_t position;
    size_t number; /* of the last row */
    bool ended, headed;
    int places[LIST_COLUMNS]; /* which field a column is, -1: none */
    size_t n_fields;
};

/* 0, or -ENOMEM: the row is mistaken. `column` may be NULL. */
int list_mistake(struct list_row *row, const char *column, const char *text);
/* An empty text is none. 0, also for a mistake, or -ENOMEM. */
int list_set_text(struct list_row *row, const char *column, const char *text, size_t n, char **ret);
int list_set_key(struct list_row *row, enum vault_encoding encoding, const char *text, size_t n);

/* The record at l->begin; the header on the way. 0, LIST_SKIP, -EINVAL without a header. */
int list_read_csv(struct list_reader *l, struct list_row *row, size_t *ret_used, struct error *e);
int list_parse_line(enum list_format format, char *text, size_t n, struct list_row *row);
