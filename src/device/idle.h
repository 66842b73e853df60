/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Sessions on demand, of devices that have something to say now and then. Loop thread. */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct device;

struct idle {
    sd_event_source *timer;
    uint64_t until; /* CLOCK_BOOTTIME: until then it stays connected with nothing to do */
};

/* Whether the device has reason to be connected; one whose session is not made on demand always has. */
bool idle_wants(const struct device *d);
/* There is something to send, or something came or went: connects if it is not, and puts off the end. */
void idle_touch(struct device *d);
void idle_done(struct device *d);
