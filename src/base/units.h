/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Durations and sizes as people write them in configuration. Pure, any thread.
 *
 *     duration = 1*DIGIT ( "ms" / "s" / "min" / "h" / "d" )       100ms 1s 5min 24h 90d
 *     size     = 1*DIGIT [ "K" / "M" / "G" ]                      512 64K 64M 2G, powers of 1024, in bytes
 *
 * One number and one unit, nothing else: no sign, fraction, space, or "1h30min". Return 0; -EINVAL when the text is not
 * of that form, -ERANGE when it is more than UINT64_MAX - 1; the error says what was expected, and "5min" for "5m". */

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

int duration_parse(const char *text, uint64_t *ret_usec, struct error *e);
int size_parse(const char *text, uint64_t *ret_bytes, struct error *e);

/* The shortest text that reads back as the same number, "90d" rather than "2160h"; microseconds are cut to "ms".
 * UNITS_TEXT_MAX bytes. Returns `text`. */
#define UNITS_TEXT_MAX 32
char *duration_format(uint64_t usec, char text[UNITS_TEXT_MAX]);
char *size_format(uint64_t bytes, char text[UNITS_TEXT_MAX]);
