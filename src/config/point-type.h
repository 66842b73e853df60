/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The kind of a point's values, and the numbers that fit, read from the keys that plugins use alike: `type`, `table`,
 * `address`, `scale`, `offset`. A point whose keys do not tell has the kind POINT_UNKNOWN: its first sample shows it.
 * Pure. */

#include "base/point-kind.h"

#include <json-c/json.h>

struct point_type {
    enum point_kind kind;
    double min, max; /* infinite where nothing is known */
    double step;     /* between neighbouring values; 0: not known, or finer than anybody asks for */
};

struct point_type point_type_of(json_object *point);
