/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Times, durations, sizes and counts as people read them: rounded, of at most two units. Pure, any thread. */

#include <stdint.h>

#define HUMAN_TEXT_MAX 32

/* "0.3s", "12s", "5min 3s", "2h 10min", "3d 4h", "6w 1d". Returns `text`. */
const char *human_duration(uint64_t usec, char text[HUMAN_TEXT_MAX]);
/* "12s ago", "in 3h 20min", "now"; "never" for 0. Returns `text`. */
const char *human_when(uint64_t usec, uint64_t now, char text[HUMAN_TEXT_MAX]);
/* How old: "12s", "0.3s"; "-" for 0, and "0s" for what is of the future. Returns `text`. */
const char *human_age(uint64_t usec, uint64_t now, char text[HUMAN_TEXT_MAX]);
/* "512 B", "64.0 MB", in powers of 1024 as configuration has them. Returns `text`. */
const char *human_size(uint64_t bytes, char text[HUMAN_TEXT_MAX]);
/* Hours of samples: "50min", "17.5 hours", "6.8 days". Returns `text`. */
const char *human_hours(double hours, char text[HUMAN_TEXT_MAX]);
/* "1 device", "2 devices". Returns `text`. */
const char *human_count(uint64_t n, const char *one, const char *many, char *text, unsigned size);
