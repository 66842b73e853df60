/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The value of a sample, as the driver protocol, the spool, the payloads and the D-Bus objects hand it to each other.
 *
 * A value is a view: its string belongs to whoever made it. Who keeps one makes a copy with sample_value_copy() and
 * gives that back to sample_value_done(). Pure, any thread. */

#include <stdbool.h>
#include <stdint.h>

/* The letters are those of D-Bus. */
enum sample_type {
    SAMPLE_BOOL = 'b',
    SAMPLE_INT = 'x',
    SAMPLE_UINT = 't',
    SAMPLE_DOUBLE = 'd', /* finite */
    SAMPLE_STRING = 's', /* UTF-8, at most SAMPLE_TEXT_MAX - 1 bytes */
};

struct sample_value {
    enum sample_type type;
    union {
        bool b;
        int64_t x;
        uint64_t t;
        double d;
        const char *s;
    };
};

/* Quality flags, as in the driver protocol. */
enum sample_quality {
    SAMPLE_GOOD = 0,
    SAMPLE_BOOTTIME = 1 << 0, /* the time is CLOCK_BOOTTIME: the clock was not yet synchronised */
    SAMPLE_BAD = 1 << 1,      /* the sensor says that the value is wrong */
    SAMPLE_STALE = 1 << 2,
    SAMPLE_OUT_OF_RANGE = 1 << 3,
};
#define SAMPLE_QUALITY_ALL (SAMPLE_BOOTTIME | SAMPLE_BAD | SAMPLE_STALE | SAMPLE_OUT_OF_RANGE)

/* One value of one point at one time. A view too: its strings belong to whoever made it. */
struct sample {
    const char *point;
    uint64_t time; /* CLOCK_REALTIME, or CLOCK_BOOTTIME under SAMPLE_BOOTTIME; microseconds */
    struct sample_value value;
    const char *unit; /* "" for none */
    uint32_t quality; /* enum sample_quality */
};

/* A value to be written to a point. */
struct sample_write {
    const char *point;
    struct sample_value value;
};

/* A known type, finite, a string of UTF-8 within its limit. */
bool sample_value_valid(const struct sample_value *v);
/* A unit: UTF-8 without control characters, at most UNIT_MAX - 1 bytes; "" for none. */
bool sample_unit_valid(const char *unit);

/* ret gets a string of its own. 0 or -ENOMEM. */
int sample_value_copy(const struct sample_value *v, struct sample_value *ret);
/* Frees what sample_value_copy() made; afterwards v is `false`. */
void sample_value_done(struct sample_value *v);
/* For people: true, 21.5, "text". The caller frees it; NULL when out of memory. */
char *sample_value_text(const struct sample_value *v);
