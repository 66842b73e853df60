/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A device and the fleet, of parts that each belong to one file or a few, which have a header of the same name. Only
 * src/device sees into them. */

#include "base/sample-set.h"
#include "base/sensor-state.h"
#include "base/timers.h"
#include "device/announce.h"
#include "device/announced.h"
#include "device/batch.h"
#include "device/calendar.h"
#include "device/clock-care.h"
#include "device/connection.h"
#include "device/counts.h"
#include "device/delivery.h"
#include "device/fleet.h"
#include "device/index.h"
#include "device/mistakes.h"
#include "device/profiles.h"
#include "device/seen.h"
#include "device/spooling.h"
#include "device/tasks.h"
#include "device/turns.h"
#include "device/uplinks.h"
#include "device/walk.h"
#include "rotation/carrier.h"
#include "rotation/schedule.h"
#include "vault/vault.h"

struct device {
    struct fleet *fleet;
    struct config_device *config; /* a reference */
    char opaque[OPAQUE_ID_SIZE];  /* its id for clouds, which is computed from a key */
    struct shared_uplink *uplink;
    struct device *next_tombstone;
    sd_event_source *exhume; /* the cloud has deleted its credentials: it is freed in the next loop turn */
    bool tombstone;          /* removed here, not yet at the cloud */
    bool disconnected;       /* by the operator */

    struct connections connections;
    bool counted;          /* in the fleet's number of those online */
    sd_event_source *idle; /* of a session on demand */
    uint64_t idle_at;      /* CLOCK_BOOTTIME: until then it stays connected with nothing to do */

    struct spool_device *queue; /* NULL: a tombstone */
    struct delivery delivery;
    struct sample_set newest; /* of each point, as GetSamples shows it */

    struct rotation_carrier *rotation;
    uint64_t rotation_when;      /* when that comes, CLOCK_BOOTTIME; 0: not set */
    struct timer rotation_timer; /* of the fleet's `rotation_timers` */
    enum rotation_report report;
    const char *report_reason; /* static */
    struct registrar_call *registrar_call;
    struct {
        struct device *next;
        bool queued, open, stopped;
        bool unoffered; /* no offer of it can have reached the cloud */
        struct registrar_call *call;
        struct vault_change *commit; /* under way */
        enum vault_registration to;  /* by that commit */
        char *reason;                /* why not yet */
    } registration;
    bool unoffered; /* backup was made here since the start, and no offer of it can have reached the cloud */
    /* Commits under way, which the device leaves when it goes */
    struct vault_change *pending;   /* of its rotation */
    struct vault_change *mending;   /* a key in place of what is damaged; no other commit meanwhile */
    struct vault_change *accepting; /* it is being committed that it is no longer to be taken as restored */
    struct act *act;                /* NULL: none is under way */
    struct job *job;
    struct schedule_entry schedule;
    struct turn turn;
    bool scheduled; /* its rotation was begun by its key's age */
    struct batch_place batch;
    char *rotation_problem;
    struct {
        char *why;   /* the new key was not accepted; NULL: it was not tried yet, or is accepted */
        size_t told; /* lines in the journal */
    } vain;

    struct counted counts;
    struct sensor_key *sensor_key; /* NULL: no reason yet to think of one */
    struct login_act *login;       /* being read, or NULL */
    struct write_limits *writes;   /* NULL: nothing was ever written */
    struct announcing *announcing; /* NULL: it has been, or is not to be */
    struct announced announced;    /* what its broker keeps */
    bool announced_read;           /* ... of earlier runs too */
    bool announced_dirty;          /* ... which could not be written down */
    struct seen_points seen;
    struct withdrawing withdrawing;
    struct downlink *downlink; /* NULL: it takes no commands */
    struct {
        enum sensor_state reported, shown;
        size_t pointer;             /* how long the place is with which these words begin; 0: they are of no place */
        unsigned line, column;      /* of it; 0: not known */
        char *said;                 /* the driver's own words */
        char *reason;               /* as shown: with file, line and column */
        struct sensor_place *place; /* being looked for */
        bool counted;               /* in the fleet's numbers */
    } sensor;
    struct {
        struct uplink_call *call;
        bool due;      /* the cloud has not heard it as it is now */
        uint64_t next; /* CLOCK_BOOTTIME: not before, after it was not accepted */
        bool refused;  /* has been said */
    } availability;
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
    size_t left; /* devices whose sessions are still to be closed */
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
