/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A device's place among those that are online, and what is said of its points while it is. Loop thread. */

struct device;

/* The device is counted among those that are online, as far as it is seen at all. */
void session_count(struct device *d);
/* Other points go over the same session: what was said of the ones before holds no longer. */
void session_other_points(struct device *d);
