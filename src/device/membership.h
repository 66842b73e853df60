/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Devices that come and go while the agent runs. Loop thread. */

#include "base/error.h"

#include <stdbool.h>

struct config_device;
struct device;
struct fleet;

/* One change of what is configured at a time: -EBUSY. */
int fleet_begin_change(struct fleet *f, struct error *e);
/* `forget`: its samples too. */
void fleet_drop(struct fleet *f, struct device *d, bool forget);
int fleet_start_device(struct fleet *f, struct config_device *config, struct error *e);
/* Devices whose removal was under way when the agent stopped: their files are gone, their credentials are not. */
int fleet_load_tombstones(struct fleet *f);
