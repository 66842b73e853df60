/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* json-c, strictly: one whole value, UTF-8, no trailing bytes, bounded depth. For JSON from peers and for making some;
 * configuration files, which have comments and positions, are read by src/config. Pure, any thread. */

#include "base/cleanup.h"
#include "base/error.h"
#include "base/sample.h"

#include <json-c/json.h>
#include <stddef.h>

static inline void json_putp(json_object **o)
{
    json_object_put(*o);
}
#define _cleanup_json_ _cleanup_(json_putp)

/* Parses n bytes as one value. -EINVAL with the offset and json-c's reason. */
int json_parse(const char *text, size_t n, json_object **ret, struct error *e);
/* The string at `key`, or NULL if it is not there or not a string. Owned by o. */
const char *json_get_string(json_object *o, const char *key);
/* NULL when out of memory. */
json_object *json_of_value(const struct sample_value *v);
