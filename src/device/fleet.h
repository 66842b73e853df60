/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* All devices of the gateway and what they share: configuration, vault, uplinks, spool, drivers, jobs. Loop thread.
 *
 * The fleet owns the devices and keeps them in the order of their ids. fleet_reload() brings what runs in line with
 * another configuration: devices that did not change are not touched. */

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "config/config.h"
#include "device/counts.h"
#include "device/device.h"
#include "device/job.h"
#include "link/host.h"
#include "vault/list.h"

#include <systemd/sd-event.h>

struct fleet;

struct fleet_options {
    sd_event *event;
    struct arena *arena;
    struct vault *vault;   /* the caller's; outlives the fleet */
    struct config *config; /* a reference is taken */
    struct link_host_options link;
    struct config_paths paths; /* for reload, AddDevice, RemoveDevice */
    struct mistakes *mistakes; /* what was not loaded; taken. NULL: none */
    const char *plugin_dir;    /* where drivers find their plugins, to say what they lack */
    const char *registrar_dir; /* where registrars of their own process listen */
};

/* Told of what changed, so that it can be shown. Each may be NULL. */
struct fleet_listener {
    void (*device_added)(void *userdata, struct device *d);
    void (*device_removed)(void *userdata, struct device *d);
    void (*device_changed)(void *userdata, struct device *d);
    void (*fleet_changed)(void *userdata); /* counts of devices and drivers */
    void (*rotation_finished)(void *userdata, struct device *d, const char *outcome, const char *reason);
    void (*sample)(void *userdata, struct device *d, const struct sample *sample);
    void *userdata;
};

/* Of the files: what was not loaded, why the last reload was refused, and what plugins complain of. */
typedef void (*fleet_mistake_fn)(const struct mistake *mistake, void *userdata);

struct fleet_totals {
    uint32_t devices, online;
    const uint32_t *sensors;   /* how many are in each enum sensor_state; the fleet's */
    uint64_t mistakes_version; /* another one: they have changed */
    uint64_t spooled;
    uint64_t delivered, dropped, rejected; /* samples, since the start */
    const struct fleet_counts *counts;     /* of rotations; the fleet's */
    double spool_hours;
    const char *spool_problem; /* why samples cannot be kept, "" if they can; valid until the loop turn ends */
};

/* Checks what the files alone cannot show: that each uplink's profile exists and is right. Needs no fleet.
 * -EBADMSG with all mistakes. */
int fleet_check_profiles(const struct config *config, const char *config_dir, bool devices, struct mistakes *mistakes);

int fleet_new(const struct fleet_options *options, struct fleet **ret, struct error *e);
struct fleet *fleet_free(struct fleet *f);
DEFINE_FREEP(struct fleet, fleet_free)
void fleet_listen(struct fleet *f, const struct fleet_listener *listener);
/* Closes every session with a word to the cloud, some in each turn of the loop; then commits what is open, which blocks
 * on the disk, and calls `stopped`, once and not before the return. Negative errno: it is not called. */
int fleet_stop(struct fleet *f, void (*stopped)(int r, void *userdata), void *userdata);

struct jobs *fleet_jobs(struct fleet *f);
struct link_host *fleet_link(struct fleet *f);
/* The running configuration; another one after a reload. */
const struct config *fleet_config(const struct fleet *f);
struct vault *fleet_vault(struct fleet *f);
const char *fleet_plugin_dir(const struct fleet *f);
const char *fleet_state_dir(const struct fleet *f);
/* For what is local to this machine and may block all the same: files, passwd look-ups. */
struct workers *fleet_workers(struct fleet *f);
/* Why the machine's clock is not believed, and what waits for it; "": it is, or nothing waits. Into the buffer. */
const char *fleet_clock_problem(const struct fleet *f, char *buffer, size_t size);
void fleet_totals(struct fleet *f, struct fleet_totals *ret);
/* How many devices there are. */
size_t fleet_size(const struct fleet *f);

/* Each of at most MISTAKES_MAX (`each` NULL: none); how many there are. */
size_t fleet_mistakes(struct fleet *f, fleet_mistake_fn each, void *userdata);

/* Devices that have samples and are not there: their files were taken away, or are not loaded. */
void fleet_orphans(struct fleet *f, void (*each)(const char *id, uint64_t samples, void *userdata), void *userdata);

struct device *fleet_find(struct fleet *f, const char *id);
/* The first device whose id is behind `after` (NULL: the first of all). NULL at the end. O(log n). */
struct device *fleet_next(struct fleet *f, const char *after);

/* Changes of what is configured; one at a time, otherwise -EBUSY. An error returned at once means that `done` is not
 * called. Reload reads the files again, all or nothing; its error lists every mistake with file:line:column. */
typedef void (*device_added)(int r, struct device *d, const struct error *e, void *userdata);
int fleet_reload(struct fleet *f, device_done done, void *userdata, struct error *e);
int fleet_add_device(struct fleet *f, const char *id, const char *config_text, device_added done, void *userdata,
                     struct error *e);
int fleet_remove_device(struct fleet *f, const char *id, bool keep, bool force, device_done done, void *userdata,
                        struct error *e);
/* The vault under another keyfile, whose bytes are in `fd` (the caller keeps it). */
int fleet_rekey(struct fleet *f, int fd, device_done done, void *userdata, struct error *e);
/* Likewise a second key that opens it, without keyfile and bind value. */
int fleet_set_recovery_key(struct fleet *f, int fd, device_done done, void *userdata, struct error *e);
/* A sealed copy of the vault into an empty regular file, whose descriptor the caller keeps. */
int fleet_backup(struct fleet *f, int fd, uint32_t caller, struct job **ret_job, struct error *e);
/* Gives each device a new key, as a job; one that runs is joined. -EBUSY: it runs with another `compromised`. */
int fleet_rotate_all(struct fleet *f, bool compromised, struct job **ret_job, struct error *e);

struct provision_options {
    enum list_format format;
    const char *template; /* a JSON object with what a row's settings do not say; NULL: {} */
    bool registered;      /* the cloud knows these keys already */
    bool skip;            /* rows whose device has a key are passed over; otherwise they are mistakes */
    bool force;           /* take weak keys */
};
/* Makes devices and keys of a list, in a regular file or a memfd: nothing at all if a row is mistaken. The job's
 * results are the mistakes. */
int fleet_provision(struct fleet *f, int fd, const struct provision_options *options, struct job **ret_job,
                    struct error *e);
/* Writes the main keys of all devices, or of those of one uplink (NULL: all), into a file or a pipe. `done`'s r is how
 * many they were. */
int fleet_export(struct fleet *f, enum list_format format, int fd, const char *uplink, device_done done, void *userdata,
                 struct error *e);
int fleet_verify_vault(struct fleet *f, struct job **ret_job, struct error *e);
/* Has a driver look for sensors, configured or not, as a job. Its results are what was found, in the driver's words.
 * `options`, an object of basic values, is kept and changed. -ENOTCONN: the driver is away. */
int fleet_scan(struct fleet *f, const char *driver, json_object *options, struct job **ret_job, struct error *e);
/* Has a driver read from a sensor that need not be configured. */
typedef void (*fleet_values)(int r, const struct sample_value *values, size_t n, const struct error *e, void *userdata);
int fleet_read_raw(struct fleet *f, const char *driver, json_object *options, fleet_values done, void *userdata,
                   struct error *e);
