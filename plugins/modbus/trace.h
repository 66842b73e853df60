/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The frames of a bus for whoever looks for a fault, as lines of the log: direction, bytes in hex, milliseconds since
 * the request. Any thread; a struct trace is its owner's. */

#include "modbus-limits.h"

#include <gatehouse/plugin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of one exchange, in whatever pieces they came. */
struct trace {
    uint8_t bytes[FRAME_BUFFER_SIZE];
    size_t n;
};

/* Bytes without room are left out. */
void trace_take(struct trace *t, const uint8_t *bytes, size_t n);
void trace_sent(struct gatehouse_device *device, const char *bus, const uint8_t *bytes, size_t n);
/* Text of what came `after` microseconds, or before any request (UINT64_MAX); empties it. */
void trace_came(struct gatehouse_device *device, const char *bus, struct trace *t, uint64_t after);
