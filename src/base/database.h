/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the SQLite files of the agent (vault, spool) have in common: one process at a time, names and logs that are
 * durable before they are acted on, and errors with words. Blocking; any thread, one at a time for one file. */

#include "base/error.h"

#include <sqlite3.h>
#include <stdint.h>

#define DATABASE_HEADER_SIZE 100 /* of an SQLite file */

/* Takes the lock PATH.lock, held until the descriptor is closed. -EBUSY names the holder. */
int database_lock(const char *path, int *ret_fd, struct error *e);
/* Root makes files for whoever owns their directory; harmless for others. */
int database_own(const char *path, struct error *e);
/* A process that was killed may have left commits that are written and not synced, which SQLite reads like all others
 * and does not sync. What is read is acted on: a power cut must not take it any more. Before opening. */
int database_sync_found(const char *path, struct error *e);
/* Maps SQLite's result code and says "cannot DOING PATH: reason"; `advice` (may be "") is for a corrupt file, -EBADMSG.
 * At once after the failure: errno may still have its reason. `db` may be NULL. */
int database_failed(const char *path, sqlite3 *db, int rc, const char *doing, const char *advice, struct error *e);
/* The 32-bit number at `at` of an SQLite file's header: 60 user_version, 68 application_id. */
uint32_t database_header_number(const uint8_t *header, unsigned at);
