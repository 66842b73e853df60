/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Shared by reload.c and reload-wait.c, on which deliveries call. Loop thread. */

#include "config/config.h"
#include "device/device.h"
#include "device/profiles.h"
#include "device/reload-plan.h"

#include <stddef.h>
#include <systemd/sd-event.h>

struct reload {
    struct fleet *fleet;
    struct config *config;
    struct profiles profiles; /* of its uplinks */
    struct mistakes mistakes;
    struct reload_plan plan; /* from the fleet's configuration to this one */
    /* Operations under way of devices that are going to be made anew; waited for. */
    size_t under_way;
    sd_event_source *pausing;
    device_done done;
    void *userdata;
};
