/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A device and the fleet, of parts that each belong to one file or a few, which have a header of the same name. Only
 * src/device sees into them. */

#include "base/sample-set.h"
#include "base/sensor-state.h"
#include "device/announce.h"
#include "device/calendar.h"
#include "device/clock-care.h"
#include "device/connection.h"
#include "device/counts.h"
#include "device/delivery.h"
#include "device/fleet.h"
#include "device/idle.h"
#include "device/index.h"
#include "device/keys.h"
#include "device/mistakes.h"
#include "device/profiles.h"
#include "device/seen.h"
#include "device/sensor.h"
#include "device/spooling.h"
#include "device/tasks.h"
#include "device/tombstone.h"
#include "device/uplinks.h"
#include "device/walk.h"
#include "vault/vault.h"

struct device {
    struct fleet *fleet;
    struct config_device *config; /* a reference */
    char opaque[OPAQUE_ID_SIZE];  /* its id for clouds, which is computed from a key */
    bool tombstone;               /* removed here, not yet at the cloud */
    bool disconnected;            /* by the operator */
    bool counted;                 /* in the fleet's number of those online */
    struct shared_uplink *uplink;
    struct grave grave;

    struct connections connections;
    struct idle idle;
    struct announcements announce;
    struct availability availability;
    struct withdrawing withdrawing;

    struct spool_device *queue; /* NULL: a tombstone */
    struct delivery delivery;
    struct sample_set newest; /* of each point, as GetSamples shows it */
    struct seen_points seen;
    struct downlink *downlink;   /* NULL: it takes no commands */
    struct write_limits *writes; /* NULL: nothing was ever written */

    struct keys keys;
    struct counted counts;
    struct sensor_key *sensor_key; /* NULL: no reason yet to think of one */
    struct login_act *login;       /* being read, or NULL */
    struct sensor sensor;
};

struct fleet_workers {
    struct workers *local;     /* files, passwd look-ups: what is local waits for nothing that is not */
    struct workers *resolvers; /* name resolution, which may take as long as it likes */
    struct workers *bulk;      /* lists in and out, which may take as long as their readers like */
};

struct fleet_dirs {
    char *config, *state, *registrar, *plugin;
    struct config_paths paths; /* of the first two */
};

/* How many devices are in which state. */
struct fleet_numbers {
    uint32_t online;
    uint32_t sensors[SENSOR_STATES];
    struct fleet_counts rotations;
};

/* The end of all sessions. */
struct fleet_stop {
    sd_event_source *source;
    size_t left;  /* devices whose sessions are still to be closed */
    bool drained; /* all of them are, and the sensors' counters are on their way to the vault */
    int failed;   /* what the first commit that failed meanwhile returned */
    void (*done)(int r, void *userdata);
    void *userdata;
};

struct fleet {
    sd_event *event;
    struct arena *arena;
    struct vault *vault;
    struct fleet_workers pools;
    struct config *config;
    struct profiles profiles; /* of its uplinks, as they were when it was read */
    struct fleet_dirs dirs;
    struct link_host *link;
    struct spool *spool;
    struct spooling spooling;
    struct jobs *jobs;
    struct tasks tasks;
    struct sensor_keys *sensor_keys;
    struct calendar calendar;
    struct fleet_clock clock;
    struct shared_uplink *uplinks;
    struct device_index index;
    struct fleet_numbers numbers;
    struct fleet_mistakes mistakes;
    struct fleet_announced announced;
    struct fleet_listener listener;
    struct fleet_walks walks;
    struct fleet_stop stop;
    bool changing; /* what is configured is being changed, with files read or written on a worker */
    bool stopping;
};
