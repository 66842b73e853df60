/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A part of each day, as people write it in configuration: "02:00-05:00", local time; "22:00-06:00" goes over midnight.
 * Its end is not in it. Pure except for the C library's time zone; any thread. */

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct window {
    bool set;          /* otherwise it is always open */
    uint16_t from, to; /* minutes of the day; 24:00 is 0 */
};

/* -EINVAL: the error says what was expected. */
int window_parse(const char *text, struct window *ret, struct error *e);
/* Seconds from that second of a day until it is open; 0 while it is. */
uint32_t window_opens_in(const struct window *w, uint32_t second);
/* The first moment from `realtime` on (CLOCK_REALTIME, microseconds) at which it is open. On a day with a change of the
 * local time it may be wrong by that change: look again when it has come. */
uint64_t window_next(const struct window *w, uint64_t realtime);
