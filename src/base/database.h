/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Common part of the agent's SQLite files (vault, spool): one process at a time, names and logs that are
 * durable before they are acted on, and errors with words. Blocking; any thread, one at a time for one file. */

#include "base/error.h"

#include <sqlite3.h>
#include <stdint.h>

#define DATABASE_HEADER_SIZE 100 /* of an SQLite file */

/* Takes the lock PATH.lock, held until the descriptor is closed. -EBUSY names the holder. */
int database_lock(const char *path, int *ret_fd, struct error *e);
/* 1: some process has that lock, whose words name it; 0: none has, or there is no such file. Takes nothing. *ret_pid is
 * 0 if it is not known, as from outside its namespace. */
int database_held(const char *path, int *ret_pid, struct error *e);
/* Root makes files for whoever owns their directory; harmless for others. */
int database_own(const char *path, struct error *e);
/* A process that was killed may have left commits that are written and not synced, which SQLite reads like all others
 * and does not sync. What is read is acted on: a power cut must not take it any more. Before opening. */
int database_sync_found(const char *path, struct error *e);
/* Opens the file that is there, for this process alone, with a log of its own, each commit synced; then runs `pragmas`.
 * Closed without database_keep() before it, it stays as it is, its log included: a file that turns out to be damaged is
 * to be looked at, or opened by another version. `advice` as for database_failed(). On failure it is closed again. */
int database_open(const char *path, const char *pragmas, const char *advice, sqlite3 **ret, struct error *e);
/* It is what it should be: from now on closing it leaves one file without a log. */
void database_keep(sqlite3 *db);
/* Reads all of it. -EBADMSG: it is corrupt, and why. */
int database_check(const char *path, sqlite3 *db, const char *advice, struct error *e);
/* The statement of that text, prepared at its first use, in *prepared. An SQLite result code. */
int database_statement(sqlite3 *db, const char *text, sqlite3_stmt **prepared);
/* Lets go of what was bound; or runs it to its end before. An SQLite result code, SQLITE_OK at the end. */
void database_release(sqlite3_stmt *st);
int database_run(sqlite3_stmt *st);
/* Maps SQLite's result code and says "cannot DOING PATH: reason"; `advice` (may be "") is for a corrupt file, -EBADMSG.
 * At once after the failure: errno may still have its reason. `db` may be NULL. */
int database_failed(const char *path, sqlite3 *db, int rc, const char *doing, const char *advice, struct error *e);
/* The 32-bit number at `at` of an SQLite file's header: 60 user_version, 68 application_id. */
uint32_t database_header_number(const uint8_t *header, unsigned at);
