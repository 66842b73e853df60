/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Shared by store.c (reading and writing) and store-open.c (lock, creation, opening). */

#include "vault/store.h"

#include <sqlite3.h>

enum statement {
    STATEMENT_BEGIN,
    STATEMENT_COMMIT,
    STATEMENT_READ,
    STATEMENT_READ_KEYS,
    STATEMENT_PUT_ENTRY,
    STATEMENT_PUT_RECORD,
    STATEMENT_DELETE_RECORD,
    STATEMENT_RETIRE_KEY,
    STATEMENT_PUT_KEY,
    STATEMENT_PUT_VERSIONS,
    STATEMENT_READ_VERSIONS,
    N_STATEMENTS,
};

struct store {
    char *path;
    int lock_fd;
    sqlite3 *db;
    sqlite3_stmt *prepared[N_STATEMENTS];
};

/* Advice about a damaged vault; ends an error text. */
#define ADVICE "; restore a backup"

/* Maps SQLite's result code and says "cannot DOING PATH: reason". */
int store_failed(const struct store *s, int rc, struct error *e, const char *doing);
