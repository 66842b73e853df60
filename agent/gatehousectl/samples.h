/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The newest samples of devices, as rows of `point time value unit quality`. */

#include "ctl.h"
#include "table.h"

/* Adds those of a device, in the order in which people count; with its id as `device` unless that is NULL. Exit
 * status; `quiet`: whoever may not see them sees none, and nothing is said. */
int samples_add(struct ctl *c, const char *path, const char *device, bool quiet, json_object *rows);
/* "good", or what is wrong with it; of quality flags as org.gatehouse1 has them. */
#define SAMPLES_QUALITY_MAX 64
void samples_quality(uint32_t flags, char text[SAMPLES_QUALITY_MAX]);
/* A table of them for people; with a column of devices if the rows have some. */
int samples_print(struct ctl *c, json_object *rows);
