/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Carries out a JOB_WRITES, by write_points() of the plugin, or by write() for each point if it has only that.
 *
 * On the lane's thread, within a callback. The job takes what was really set, or the error. */

#include "job.h"

void write_points(const struct gatehouse_plugin *plugin, void *device_data, struct job *j);
