/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The lists of devices and of files that were not loaded, as the agent has them, in the order in which people count.
 * Rows are JSON objects, owned by their array. */

#include "ctl.h"

/* Rows of `device path driver uplink state sensor sensor_reason`. Exit status. */
int devices_list(struct ctl *c, json_object **ret);
/* Adds to `ret` a row, of the same keys, for each mistake that no device's row tells of. Exit status. */
int devices_add_mistakes(struct ctl *c, json_object *rows, json_object *ret);
/* Calls `one` for each device that is named, or for all with --all, and goes on behind one that fails. Exit status:
 * EXIT_PARTIAL if some failed. */
typedef int (*devices_one)(struct ctl *c, const char *id, const char *path, void *userdata);
int devices_each(struct ctl *c, int argc, char **argv, devices_one one, void *userdata);

/* A text of a row, "" if it has none. */
const char *row_text(json_object *row, const char *key);
uint64_t row_number(json_object *row, const char *key);
