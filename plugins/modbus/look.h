/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Looking at units that need not be configured: which answer and what they are (scan.c), and what a register holds. The
 * callbacks scan and read_raw of plugin.h, on the thread of the bus that the options name; both block.
 *
 * Options of both are a JSON object with the keys of a device. look_scan takes "units": "1-247" besides (the default)
 * and tells of each unit that answers at all: unit, url, and maker, model, version, serial, by where SunSpec or
 * function 43/14 gives them. It takes a slice of the units a call; see "resume" in plugin.h. look_read takes "read":
 * "TABLE:ADDRESS[:REGISTERS[:TYPE[:ORDER]]]", or a list of such texts (1 register, uint16), each of which is one
 * request. */

#include <gatehouse/plugin.h>

int look_scan(const char *options, void (*found)(void *context, const char *object), void *context, char *error,
              size_t error_size);
int look_read(const char *options, void (*take)(void *context, const struct gatehouse_value *value), void *context,
              char *error, size_t error_size);
