/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Of all that may be wrong with a device, the one thing that its user should look at first. Loop thread. */

struct device;
struct vault_entry;

/* "" if all is well; valid in this loop turn. */
const char *device_last_error(const struct device *d, const struct vault_entry *entry);
