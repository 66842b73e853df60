/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The common part of look.c (reading) and scan.c: options into a configuration. Any thread. */

#include "config.h"

/* The options without `key`, which is handed out (NULL if it is not there). The caller puts both. NULL: no object. */
json_object *look_options(const char *options, const char *key, json_object **ret_value);
/* Reads the options as a device's section, with these points; `error` gets the first complaint. */
int look_config(json_object *section, const struct gatehouse_point *points, size_t n_points, struct modbus_config **ret,
                char *error, size_t error_size);
/* -EINVAL with these words */
int look_fail(char *error, size_t size, const char *text);

static inline const char *look_text(json_object *o)
{
    return json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
}
