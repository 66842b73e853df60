/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Every limit of the Modbus plugin. Times in microseconds. Pure constants. */

#include <stdint.h>

#define MSEC UINT64_C(1000)
#define SEC (1000 * MSEC)
#define MINUTE (60 * SEC)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

/* Modbus Application Protocol V1.1b3, sections 6.1, 6.3, 6.12 */
#define READ_REGISTERS_MAX 125
#define READ_BITS_MAX 2000
#define WRITE_REGISTERS_MAX 123
#define ADDRESSES 65536

#define STRING_BYTES_MAX (2 * WRITE_REGISTERS_MAX)
#define VALUE_TEXT_MAX 256 /* a string value with its NUL */
#define VALUE_REGISTERS_MAX WRITE_REGISTERS_MAX
#define SENTINELS_MAX 8
#define DECIMALS_MAX 9

#define HOST_MAX 256 /* with its NUL: a DNS name has at most 253 characters */
#define BUS_MAX (HOST_MAX + 16)

#define INTERVAL_MIN (10 * MSEC)
#define INTERVAL_MAX DAY
#define INTERVAL_DEFAULT (10 * SEC)
#define TIMEOUT_MIN (10 * MSEC)
#define TIMEOUT_MAX (10 * SEC)
#define TIMEOUT_DEFAULT (1 * SEC)
#define RETRIES_MAX 5
#define RETRIES_DEFAULT 1
#define DELAY_AFTER_CONNECT_MAX (5 * SEC)
#define DELAY_BETWEEN_REQUESTS_MAX (1 * SEC)

/* What one attempt may take at most: waiting, connecting, settling and the answer stay below it with room. */
#define ATTEMPT_DEADLINE (30 * SEC)
/* Resolving a name goes through the C library, which tries every name server of the system in turn. */
#define RESOLVE_DEADLINE (120 * SEC)
/* A poll gives the bus back after this long, so that a write waits for one request and not for all of them. */
#define POLL_SLICE (20 * MSEC)

#define BACKOFF_MIN (1 * SEC)
#define BACKOFF_MAX (30 * SEC)
/* How often it is said in the log that polls were left out. */
#define MISSED_LOG_INTERVAL MINUTE
