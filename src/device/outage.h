/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* An outage of a whole uplink, told once for all of its devices. Loop thread. */

struct device;

/* The session's state has changed, and is counted. */
void outage_look(struct device *d);
