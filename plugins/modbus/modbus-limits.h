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
/* Sections 4.1 of the protocol and 3.1.3 of the TCP guide: 253 bytes and a head of seven. */
#define PDU_MAX 253
#define ADU_MAX 260
#define RTU_ANSWER_MIN 5 /* an exception, with unit and CRC */
/* Bytes that may come before an answer: noise, an echo, an older answer. */
#define FRAME_BUFFER_SIZE 1024

#define STRING_BYTES_MAX (2 * WRITE_REGISTERS_MAX)
#define VALUE_TEXT_MAX 256 /* a string value with its NUL */
#define VALUE_REGISTERS_MAX WRITE_REGISTERS_MAX
#define SENTINELS_MAX 8
#define CHOICES_MAX 64
#define ROW_MAX 125
#define GROUP_MAX 33       /* with its NUL */
#define NAME_MAX_LENGTH 64 /* of a point */
#define TEMPLATE_SIZE_MAX (256 * 1024)
#define SCALE_EXPONENT_MAX 10
#define DECIMALS_MAX 9

#define HOST_MAX 256 /* with its NUL: a DNS name has at most 253 characters */
#define BUS_MAX (HOST_MAX + 16)

#define INTERVAL_MIN (10 * MSEC)
#define INTERVAL_MAX DAY
#define INTERVAL_DEFAULT (10 * SEC)
#define WRITE_INTERVAL_MIN (100 * MSEC)
#define TIMEOUT_MIN (10 * MSEC)
#define TIMEOUT_MAX MINUTE
#define TIMEOUT_DEFAULT (1 * SEC)
#define RETRIES_MAX 5
#define RETRIES_DEFAULT 1
#define RETRY_WAIT_MAX (5 * SEC)
#define RETRY_WAIT_DEFAULT (100 * MSEC)
#define DEGRADE_AFTER_MAX 100
#define DEGRADE_FOR_MIN (1 * SEC)
#define DEGRADE_FOR_MAX HOUR
#define DELAY_AFTER_CONNECT_MAX MINUTE
#define DELAY_BETWEEN_REQUESTS_MAX (5 * SEC)

/* Serial lines */
#define BAUD_DEFAULT 9600
#define GAP_MIN (5 * MSEC) /* the default is this or 3.5 characters, whichever is more */
#define GAP_MAX (5 * SEC)
/* How long a line that never falls silent is waited for, beside four pauses. */
#define SILENCE_MAX (100 * MSEC)
#define TURNAROUND_MAX (5 * SEC)
#define TURNAROUND_DEFAULT (100 * MSEC)
#define RTS_DELAY_MAX (100 * MSEC)
/* How long a transmitter may take to be empty after the time that its bytes need on the wire. */
#define DRAIN_MAX (200 * MSEC)
/* Answers without a stray copy of the request before them until the line is taken for one without echo again. */
#define ECHO_FORGET 3

/* Late answers on RTU that are looked out for. */
#define OWED_MAX 8

/* Unanswered requests to units that had answered, until a connection is taken for dead. */
#define SILENCES_MAX 3
/* How long a peer's TCP may leave what was sent unacknowledged. */
#define TCP_SILENCE (10 * SEC)

/* Time of an attempt beside its delays and time-outs. */
#define ATTEMPT_ROOM (10 * SEC)
/* Resolving a name goes through the C library, which tries every name server of the system in turn. */
#define RESOLVE_DEADLINE (120 * SEC)
/* A poll gives the bus back after this long, so that a write waits for one request and not for all of them. */
#define POLL_SLICE (20 * MSEC)

/* Scanning: how long it holds the bus at a time, with and without devices that wait for it, though for some units at
 * least, so that late answers are seen; and how long a unit is waited for at most where the server is slow. */
#define SCAN_SLICE_SHARED (300 * MSEC)
#define SCAN_SLICE (3 * SEC)
#define SCAN_SLICE_UNITS 3
#define SCAN_TIMEOUT_MAX (2 * SEC)

/* Statistics: exception codes that are told apart, and how often they are given to the host. */
#define COUNTED_CODES_MAX 16
#define COUNTS_INTERVAL (1 * SEC)

/* After a time-out. */
#define GIVE_WAY (1 * MSEC)

#define BACKOFF_MIN (1 * SEC)
#define BACKOFF_MAX (30 * SEC)
/* A serial device that is not there is looked for more often: that costs nothing. */
#define BACKOFF_SERIAL_MAX (5 * SEC)
/* Good polls until what was split is read in one request again; twice as many each time that this is refused. */
#define JOIN_AFTER_MIN 5
#define JOIN_AFTER_MAX 1000
/* How often it is said in the log that polls were left out. */
#define MISSED_LOG_INTERVAL MINUTE
