/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* News of a device and of its fleet, to whoever shows them (struct fleet_listener). Loop thread; cannot fail. */

struct device;
struct fleet;

/* It may be in another state, or have another reason for it. */
void device_changed(struct device *d);
/* Counts of devices and drivers, mistakes. */
void fleet_changed(struct fleet *f);
