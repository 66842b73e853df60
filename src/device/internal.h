/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Shared by the files of src/device: a device is one struct whose parts each have a file.
 *
 *   fleet.c      all devices: index, start, stop            uplinks.c   what the children of one uplink share
 *   reload.c     another configuration                      drivers.c   what comes from and goes to drivers
 *   check.c      what plugins say of a device's section     look.c      Scan, ReadRaw
 *   membership.c AddDevice, RemoveDevice, tombstones        verify.c    VerifyVault
 *   vault-care.c Rekey, SetRecoveryKey                      backup.c    Backup
 *   backup-dir.c backups after rotations
 *   device.c     making, freeing, state                     session.c   the device's connections (connection.h)
 *   connected.c  what follows from their events             connection-table.c  their phases
 *   latest.c     only the latest value of each point is sent
 *   delivery.c   queue -> pack -> request -> released       probe.c     a fresh handshake and one accepted message
 *   rotate.c     carries the rotation's actions out         credential.c  what the operator does with keys
 *   rotate-news.c  what it tells when it has come to something
 *   calendar.c   which rotations begin, and when            batch.c     a rotation of all devices
 *   points.c     Read and Write                             restored.c  what came from a backup
 *   idle.c       sessions on demand                         message.c   what all use that speak to the cloud
 *   announce.c   what is said first                         proof.c     one message that the cloud accepts
 *   announced*.c  what of it a broker keeps                 withdraw.c  ... and is to keep no longer; seen.c   points
 *   downlink.c   commands from the cloud                outcome.c   ... and what the cloud hears of them
 *   provision.c  Provision: many devices and keys at once   registration.c  tells the cloud of these keys
 *   export.c     Export                                 spooling.c  the spool
 *   server-time.c  a cloud's time for samples, where the clock was never set
 *   profiles.c   what each uplink's cloud is told, as it was read
 *   introduce.c  who it is to a broker: client id and will
 *   mistakes.c   what is wrong in the files
 *   sensor-key.c its own key                            (sensor-key.h)
 *   sensor.c     the state of its sensor                availability.c  ... as the cloud hears of it
 */

#include "base/arm.h"
#include "base/ratelimit.h"
#include "base/sample-set.h"
#include "base/timers.h"
#include "base/worker.h"
#include "coap/message.h"
#include "device/act.h"
#include "device/announce.h"
#include "device/announced.h"
#include "device/batch.h"
#include "device/calendar.h"
#include "device/connection.h"
#include "device/counts.h"
#include "device/delivery.h"
#include "device/downlink.h"
#include "device/facts.h"
#include "device/fleet.h"
#include "device/index.h"
#include "device/lifetime.h"
#include "device/membership.h"
#include "device/message.h"
#include "device/mistakes.h"
#include "device/notify.h"
#include "device/online.h"
#include "device/profiles.h"
#include "device/registration.h"
#include "device/reload.h"
#include "device/restored.h"
#include "device/rotate.h"
#include "device/seen.h"
#include "device/server-clock.h"
#include "device/tombstone.h"
#include "device/turns.h"
#include "device/uplinks.h"
#include "device/walk.h"
#include "payload/profile.h"
#include "registrar/registrar.h"
#include "rotation/carrier.h"
#include "rotation/schedule.h"
#include "spool/spool.h"
#include "uplink/backoff.h"
#include "uplink/session.h"

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

/* The time as clouds told it, in a boot whose clock was never set. All times but `offset` are
 * CLOCK_BOOTTIME. */
struct server_time {
    struct uplink_call *call; /* the question under way */
    uint64_t asked, next;     /* not before `next` another one */
    size_t turn;              /* the device to be asked next, if it can be */
    struct server_clock clock;
    bool told;              /* that samples get their times so */
    struct backoff backoff; /* of questions without a good answer */
    struct ratelimit complaints;
};

struct fleet {
    sd_event *event;
    struct arena *arena;
    struct vault *vault;
    struct workers *workers;   /* files, passwd look-ups: what is local waits for nothing that is not */
    struct workers *resolvers; /* name resolution, which may take as long as it likes */
    struct config *config;
    struct profiles profiles; /* of its uplinks, as they were when it was read */
    char *config_dir, *state_dir, *registrar_dir, *plugin_dir;
    struct config_paths paths;
    struct link_host *link;
    struct spool *spool;
    struct ratelimit spool_complaints, rejections;
    struct server_time server_time;
    struct jobs *jobs;
    struct sensor_keys *sensor_keys;
    unsigned logins_committing;
    struct schedule *schedule;
    uint32_t schedule_seed;
    struct device *turns, *turns_last; /* who holds one, the oldest first */
    size_t n_turns;
    struct timers *rotation_timers;
    sd_event_source *schedule_timer, *turn_timer, *clock_timer;
    struct batch *batch; /* NULL: none runs */
    struct shared_uplink *uplinks;
    struct device **devices; /* by id */
    size_t n_devices, allocated;
    struct device *tombstones;
    uint32_t online;
    uint32_t sensors[SENSOR_STATES];
    struct fleet_counts counts;
    struct mistakes mistakes; /* in files that were not loaded */
    struct mistakes refused;  /* in the configuration that the last reload did not take */
    uint64_t mistakes_version;
    uint64_t started;    /* CLOCK_BOOTTIME */
    unsigned clock_told; /* bits of enum clock_verdict that were said */
    uint8_t boot_id[16];
    struct fleet_listener listener;
    struct verify *verify;
    struct quiesce *quiesce; /* NULL: it is not */
    struct look *looks;      /* scans and raw reads under way */
    struct vault_care *care;
    struct backup_job *backup;
    struct backup_file *backup_file; /* being made after a rotation */
    sd_event_source *backup_timer;
    sd_event_source *orphan_timer; /* samples of devices that are not there */
    bool orphans_told;
    uint64_t backup_last; /* CLOCK_BOOTTIME, 0: never */
    bool backup_wanted;   /* another one, after that */
    struct workers *bulk; /* lists in and out, which may take as long as their readers like */
    struct provision *provision;
    struct export *export;
    struct reload *reload; /* NULL: none waits for what is under way */
    struct ghost *ghosts;  /* of devices that are gone, while their broker keeps something */
    bool announced_any;    /* some broker keeps something */
    bool announced_failed; /* that it cannot be written down has been said */
    bool changing;         /* what is configured is being changed, with files read or written on a worker */
    bool stopping;
    struct walk kick;   /* who may send at last */
    struct walk dating; /* whose keys get their ages */
    struct {
        sd_event_source *source;
        size_t left; /* devices whose sessions are still to be closed */
        void (*done)(int r, void *userdata);
        void *userdata;
    } stop;
};
/* check.c: what the plugins that are there say of these devices; `done` once, possibly before the return. 0 or -ENOMEM.
 */
int check_devices(struct fleet *f, struct config_device *const *devices, size_t n,
                  void (*done)(struct mistakes *mistakes, void *userdata), void *userdata);
/* verify.c: the fleet goes, whatever is being verified. */
void verify_leave(struct fleet *f);
/* vault-care.c, backup.c: likewise */
void vault_care_leave(struct fleet *f);
void backup_leave(struct fleet *f);

/* backup-dir.c: something has changed that the backup should have. */
void backup_dir_due(struct fleet *f);
void backup_dir_begin(struct fleet *f); /* blocks: before the loop runs */
void backup_dir_leave(struct fleet *f);
/* last-error.c; the text is valid in this loop turn */
const char *device_last_error(const struct device *d, const struct vault_entry *entry);

/* connected.c */
extern const struct connection_ops device_connection_ops;

/* outage.c */
/* The session's state has changed, and is counted. */
void outage_look(struct device *d);

/* idle.c */
/* Whether the device has reason to be connected; one whose session is not made on demand always has. */
bool idle_wants(const struct device *d);
/* There is something to send, or something came or went: connects if it is not, and puts off the end. */
void idle_touch(struct device *d);
void idle_done(struct device *d);
/* provision.c, export.c: the fleet goes, whatever is under way. */
void provision_leave(struct fleet *f);
void export_leave(struct fleet *f);

/* spooling.c */
int spooling_begin(struct fleet *f, struct error *e);
/* The configuration is another one. */
void spooling_follow(struct fleet *f);
/* Writes samples that are not on disk yet. */
void spooling_end(struct fleet *f);

/* sensor.c */
/* The device comes into the fleet's numbers, or leaves them. */
void sensor_count(struct device *d, bool counted);
void sensor_reported(struct device *d, const char *state, const char *reason);
/* A good sample of a device that its driver has not said anything of shows that it is well. */
void sensor_sampled(struct device *d, const struct sample *samples, size_t n);
void sensor_driver_changed(struct device *d);
/* It has another configuration; with other texts its driver opens it anew. */
void sensor_configured(struct device *d, bool other_texts);
void sensor_done(struct device *d);

/* Whether its file is at fault, by what its plugin says; a view, valid as long as the device's texts. */
bool sensor_mistake(const struct device *d, struct mistake *ret);
/* drivers.c */
extern const struct link_host_ops drivers_link_ops;
int drivers_update(struct fleet *f, const char *driver, struct error *e);
int drivers_update_all(struct fleet *f, const struct config *before, struct error *e);
