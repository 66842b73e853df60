/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Checks of devices by the plugins of their drivers. Loop thread. */

#include "config/config.h"

#include <stddef.h>

struct fleet;

/* Has the plugins that are there look at these devices; `done` once, possibly before the return. 0 or -ENOMEM. */
int check_devices(struct fleet *f, struct config_device *const *devices, size_t n,
                  void (*done)(struct mistakes *mistakes, void *userdata), void *userdata);
