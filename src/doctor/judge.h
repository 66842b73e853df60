/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Judges what is known of a device: the likely cause of what does not work, in the words of the
 * session that tried it, and the command that mends it. Pure: reads what it is given and keeps nothing. Loop thread,
 * since a device's status is valid for one turn of the loop. */

#include "check/findings.h"
#include "config/config.h"
#include "device/device.h"
#include "vault/shape.h"

struct judged {
    const struct device_status *status;
    const struct config_device *device;
    const struct config_uplink *uplink;
    const char *config_file; /* gatehouse.json's path */
    enum vault_shape shape;  /* of the main key; looked at only where judge_wants_shape() */
};

/* Whether the form of its key would tell more. */
bool judge_wants_shape(const struct device_status *status);
/* Of what all of an uplink have in common; the device, and of the status all but its trouble, are not looked at. */
void judge_uplink(const struct judged *j, struct findings *f);
void judge_device(const struct judged *j, struct findings *f);
