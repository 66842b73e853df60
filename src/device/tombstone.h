/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Devices that were removed here, and not yet at the cloud: each goes on without a driver and unseen until the cloud
 * has deleted its credentials. Loop thread. */

#include <systemd/sd-event.h>

struct device;
struct fleet;

struct grave {
    struct device *next;     /* of the fleet's tombstones */
    sd_event_source *exhume; /* the cloud has deleted its credentials: it is freed in the next loop turn */
};

/* On any uplink, if that is NULL. NULL: there is none. */
struct device *tombstone_find(struct fleet *f, const char *id, const char *uplink);
/* `how`: what became of its credentials. Called from within the device's own rotation, so that it is freed a little
 * later. */
void fleet_tombstone_done(struct device *d, const char *how);
/* It is configured again: its tombstone, if there is one, makes room, and its own rotation goes on with the removal. */
void fleet_exhume(struct fleet *f, const char *id, const char *uplink);
/* Waits for a commit of its rotation: a successor on the same credentials begins with the vault's state. */
void device_settle(struct device *d);
