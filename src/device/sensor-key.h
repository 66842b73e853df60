/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A sensor's own key, its bind key: put into the vault beside the cloud's credentials, handed to the driver of that
 * device and to nobody else, and with it what the driver wants remembered (which message it has counted last). No
 * cloud gets it, no rotation touches it, nothing exports it.
 *
 * Loop thread. The key passes from descriptor to vault and from vault to descriptor; no byte of it stands here. */

#include "device/device.h"

#include <stdbool.h>

struct fleet;
struct sensor_keys;

/* device.c, fleet.c */
int sensor_keys_new(struct fleet *f, struct sensor_keys **ret);
struct sensor_keys *sensor_keys_free(struct sensor_keys *k);
/* The last words of drivers that are not written yet go into the vault's queue. */
void sensor_keys_flush(struct sensor_keys *k);
/* Before the device is freed. */
void sensor_key_done(struct device *d);

/* Its driver has connected, or has to open the device anew: it gets the key, if there is one. */
void sensor_key_due(struct device *d);
/* Remembers a text for the driver. */
void sensor_key_keep(struct device *d, const char *text);
/* The device was removed: its key goes, and what was remembered. */
void sensor_key_forget_of(struct fleet *f, const char *id);
/* "" if it has none. Valid as long as the vault's entry. */
const char *sensor_key_fingerprint(const struct device *d);
