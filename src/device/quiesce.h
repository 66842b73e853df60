/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Quiesce: the power is about to go. From the call on no rotation begins, and every sample goes to disk as under the
 * durability "always" (except where it is "memory"); the job is done once all that was open is durable. That lasts for
 * a time, or until it is ended, so that an update which is called off stops nothing for good. Loop thread. */

#include "base/error.h"
#include "device/job.h"

#include <stdbool.h>
#include <stdint.h>

struct fleet;

/* Begins it, or begins its time anew; with `duration` 0 it ends. -ENOMEM. */
int fleet_quiesce(struct fleet *f, uint64_t duration, struct job **ret_job, struct error *e);
/* The fleet goes. */
void quiesce_leave(struct fleet *f);
