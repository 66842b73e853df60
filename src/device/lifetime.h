/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Beginning and end of a device. Loop thread. */

#include "base/cleanup.h"
#include "base/error.h"

struct config_device;
struct device;
struct fleet;

int device_new(struct fleet *f, struct config_device *config, struct device **ret, struct error *e);
struct device *device_free(struct device *d);
DEFINE_FREEP(struct device, device_free)
/* After it was put into the fleet's index, or among its tombstones. */
void device_start(struct device *d);
