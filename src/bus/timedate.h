/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Whether the clock is synchronised, as org.freedesktop.timedate1(5) knows it: it may ask the kernel, which our own
 * sandbox forbids, and so learns of chrony and ntpd too. Loop thread. */

#include <stdbool.h>
#include <systemd/sd-bus.h>

/* `done` is told what the service said; false where there is no such service. Freeing the slot cancels. 0 or -errno. */
typedef void timedate_done(bool synchronized, void *userdata);
int timedate_ask(sd_bus *bus, timedate_done *done, void *userdata, sd_bus_slot **ret_slot);
