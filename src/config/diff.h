/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The differences between two configurations, so that unchanged devices are left alone. Pure. */

#include "config/config.h"

enum config_device_change {
    CONFIG_DEVICE_DRIVER = 1 << 0,  /* driver, section or points: the driver closes and opens it anew */
    CONFIG_DEVICE_UPLINK = 1 << 1,  /* another uplink: credentials belong to (device, uplink) */
    CONFIG_DEVICE_OWN = 1 << 2,     /* session: the agent alone looks at it, when it is needed */
    CONFIG_DEVICE_ENABLED = 1 << 3, /* switched on or off */
    CONFIG_DEVICE_POINTS = 1 << 4,  /* which points there are, and what the cloud is told of them or may do with them */
    CONFIG_DEVICE_NAMES = 1 << 5,   /* hardware_id: paths, topics and the client id are made of it */
};

enum config_uplink_change {
    CONFIG_UPLINK_ENDPOINT =
        1 << 0, /* hosts, transport, suites, client_id, gateway or mqtt_version: sessions are made anew */
    CONFIG_UPLINK_PROFILE = 1 << 1,   /* profile, max_payload, drain_rate or order */
    CONFIG_UPLINK_ROTATION = 1 << 2,  /* registrar or identity template: from the next rotation on */
    CONFIG_UPLINK_ADMISSION = 1 << 3, /* admission or keepalive */
};

enum config_global_change {
    CONFIG_GLOBAL_ROTATION = 1 << 0,
    CONFIG_GLOBAL_SPOOL = 1 << 1,
};

/* Added: `before` is NULL; removed: `after` is NULL; otherwise `what` is a set of changes, never 0. */
struct config_device_diff {
    struct config_device *before, *after;
    unsigned what;
};
struct config_uplink_diff {
    struct config_uplink *before, *after;
    unsigned what;
};

/* Points into both configurations, which must outlive it. */
struct config_diff {
    struct config_device_diff *devices; /* in the order of their ids */
    size_t n_devices;
    struct config_uplink_diff *uplinks; /* those of `before` first */
    size_t n_uplinks;
    unsigned global;
};

/* A set of enum config_device_change; 0 if nothing is different. */
unsigned config_device_changes(const struct config_device *a, const struct config_device *b);
/* A set of enum config_uplink_change; 0 if nothing is different. */
unsigned config_uplink_changes(const struct config_uplink *a, const struct config_uplink *b);

/* 0 or -ENOMEM. config_diff_done() frees what ret holds. */
int config_diff(const struct config *before, const struct config *after, struct config_diff *ret);
void config_diff_done(struct config_diff *d);
