/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How old something is, on a gateway that may have no clock at start: by CLOCK_BOOTTIME within one boot, across boots
 * only between two synchronised clocks, otherwise unknown. A clock that jumps changes no age within a boot. Pure. */

#include <stdbool.h>
#include <stdint.h>

/* A moment, as far as this machine could know it. All zero: never. With a time and no boot: assumed. */
struct stamp {
    uint8_t boot[16];  /* /proc/sys/kernel/random/boot_id */
    uint64_t boottime; /* CLOCK_BOOTTIME, microseconds */
    uint64_t realtime; /* CLOCK_REALTIME, microseconds, or 0 when it was not synchronised */
};

#define AGE_UNKNOWN UINT64_MAX

bool stamp_is_set(const struct stamp *s);
/* Microseconds from `from` to `now`, or AGE_UNKNOWN. Never negative: what seems to lie ahead is unknown. */
uint64_t stamp_age(const struct stamp *from, const struct stamp *now);
/* Gives s the synchronised time that it lacked, if it is of this boot. Returns whether it did. */
bool stamp_complete(struct stamp *s, const struct stamp *now);
/* For what is older than `now`, and nobody knows how much: its age is counted from there, and yet it is not taken for
 * later than anything. */
struct stamp stamp_assume(const struct stamp *now);
bool stamp_is_assumed(const struct stamp *s);
