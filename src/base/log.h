/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Logging: structured to the journal when standard error is the journal, otherwise lines on standard error. Levels are
 * syslog's. Any thread. Nothing here ever sees key bytes.
 *
 * Code in src/ logs at LOG_DEBUG only, except for what no caller could report (dropped packets): log_limited. */

#include "base/ratelimit.h"

#include <stdbool.h>
#include <stdint.h>
#include <syslog.h>

/* `program` stands before each line written to standard error. Messages above `level` are dropped. */
void log_init(const char *program, int level);
void log_set_level(int level);
int log_level(void);

/* `device` may be NULL; otherwise it becomes the journal field GATEHOUSE_DEVICE and stands before the text. */
void log_write(int level, const char *device, const char *format, ...) __attribute__((format(printf, 3, 4)));
#define log_error(device, ...) log_write(LOG_ERR, device, __VA_ARGS__)
#define log_warning(device, ...) log_write(LOG_WARNING, device, __VA_ARGS__)
#define log_notice(device, ...) log_write(LOG_NOTICE, device, __VA_ARGS__)
#define log_info(device, ...) log_write(LOG_INFO, device, __VA_ARGS__)
#define log_debug(device, ...) log_write(LOG_DEBUG, device, __VA_ARGS__)

/* Logs regardless of the level: output that somebody asked for. */
void log_asked(int level, const char *device, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* An act that somebody may have to account for: with its id (base/messages.h) as MESSAGE_ID=, and the uid of who asked
 * for it as GATEHOUSE_CALLER_UID= (NOBODY: the agent itself). Written whatever the level is set to; by root at a
 * terminal, to the journal as well. */
#define NOBODY UINT32_MAX
void log_audit(int level, const char *message_id, const char *device, uint32_t uid, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* The same for acts that a stranger can have refused without end: at the rate of `limit`, with the number left out
 * before. */
void log_audit_limited(struct ratelimit *limit, int level, const char *message_id, const char *device, uint32_t uid,
                       const char *format, ...) __attribute__((format(printf, 6, 7)));

/* For what a stranger can provoke: written at the rate of `limit`, with the number left out before. */
void log_limited(struct ratelimit *limit, int level, const char *device, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
