/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The points of a device as its samples show them: which there are beyond its file (a template's), and what kind and
 * unit each has. Owned by the device and zeroed at first; grows only, to POINTS_PER_DEVICE_MAX. Pure. */

#include "base/limits.h"
#include "base/map.h"
#include "base/point-kind.h"
#include "base/sample.h"

#include <stdbool.h>
#include <stddef.h>

struct seen_point {
    struct map_node node;
    enum point_kind kind, other_kind;
    uint16_t others, patience; /* so many reports in a row showed the other; so many have to */
    char unit[UNIT_MAX], other_unit[UNIT_MAX];
    char name[];
};

struct seen_points {
    struct map by_name;
    struct seen_point **list; /* in the order in which they came */
    size_t n;
};

/* Whether these samples show something new. What cannot be kept is left out. The first change of a point's kind or unit
 * is believed at once, each further one only when it is reported twice as many times in a row: a point that changes
 * with each report would have everything said anew with each of them. */
bool seen_note(struct seen_points *s, const struct sample *samples, size_t n);
/* NULL: none of that name has come yet. */
const struct seen_point *seen_find(const struct seen_points *s, const char *name);
void seen_done(struct seen_points *s);
