/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* org.gatehouse1 on the system bus: the fleet's devices and jobs as objects. Loop thread.
 *
 * Losing the bus stops nothing else: it is connected again, with the objects as they then are. The bus that
 * DBUS_SYSTEM_BUS_ADDRESS names is used, as everywhere in D-Bus. */

#include "base/cleanup.h"
#include "device/fleet.h"

#include <systemd/sd-event.h>

struct bus;

struct bus_ops {
    /* The name is owned: users can call. Called again after each reconnect. */
    void (*ready)(void *userdata);
    /* Another process owns the name; text for the user. The program ends. */
    void (*name_lost)(void *userdata, const char *why);
    /* The fleet's counts have changed; at most once a second. */
    void (*changed)(void *userdata);
    void *userdata;
};

/* Begins to connect; -errno only for want of memory. */
int bus_new(sd_event *event, struct fleet *fleet, const struct bus_ops *ops, struct bus **ret);
struct bus *bus_free(struct bus *b);
DEFINE_FREEP(struct bus, bus_free)
