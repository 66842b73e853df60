/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Shared by store.c (reading and writing) and store-open.c (lock, making, opening, moving aside). */

#include "base/database.h"
#include "spool/store.h"

enum spool_statement {
    STATEMENT_BEGIN,
    STATEMENT_COMMIT,
    STATEMENT_DEVICES,
    STATEMENT_BOOTS,
    STATEMENT_ROWS,
    STATEMENT_DATA,
    STATEMENT_PUT_ROW,
    STATEMENT_DELETE_ROWS,
    STATEMENT_PUT_DEVICE,
    STATEMENT_DELETE_DEVICE,
    STATEMENT_PUT_BOOT,
    STATEMENT_PUT_REJECTED,
    STATEMENT_TRIM_REJECTED,
    N_STATEMENTS,
};

struct spool_store {
    char *path;
    int lock_fd;
    sqlite3 *db;
    sqlite3_stmt *prepared[N_STATEMENTS];
};

/* Maps SQLite's result code and says "cannot DOING PATH: reason". */
int spool_store_failed(const struct spool_store *s, int rc, struct error *e, const char *doing);
void spool_store_close(struct spool_store *s);
