/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The loop's side of the driver host: which devices there are, what the agent asks of them, and how they end.
 *
 * Loop thread. driver.c has the devices, calls.c what the agent asks. */

#include "inbox.h"
#include "lane.h"
#include "link/client.h"
#include "plugin.h"

struct driver {
    sd_event *event;
    const char *name;
    struct plugin plugin;
    struct inbox inbox;
    struct link_client *client;
    struct gatehouse_device **devices; /* by id */
    size_t n_devices;
    struct lane_list lanes;
    bool stopping;
    bool was_connected;
    int connect_error;  /* what was logged last */
    uint64_t lost_told; /* samples whose loss was logged */
};

/* Plugin and inbox are there already. */
int driver_start(struct driver *d, const char *runtime_dir, struct error *e);
/* Closes all devices. */
void driver_stop(struct driver *d);
/* After a stop: all devices are closed, and the last thread has ended. */
bool driver_closed(const struct driver *d);
/* And the agent has answered for all samples, or is not there. */
bool driver_ended(const struct driver *d);
void driver_done(struct driver *d);

/* Takes what came in by the inbox. */
void driver_on_sample(struct queued *sample, void *driver);
void driver_on_note(const struct note *note, void *driver);

/* Whether all callbacks keep their deadlines; tells the agent and logs of one that does not. */
bool driver_healthy(struct driver *d);
/* Says how many samples were lost since the last time, if any. */
void driver_tell_losses(struct driver *d);

/* Between the two files. */
struct gatehouse_device *driver_find(struct driver *d, const char *id);
void driver_set_state(struct driver *d, struct gatehouse_device *device, enum gatehouse_state state,
                      const char *reason);
int driver_lane(struct driver *d, const char *key, struct lane **ret); /* with a reference */
void driver_lane_unref(struct lane *l);
/* The bus that the section names, or a key of the device's own; "" for the plugin's one thread. */
int driver_bus_key(struct driver *d, const char *section, const char *id, char *key, size_t size);
int calls_check(struct driver *d, const char *section, const struct gatehouse_point *points, size_t n_points,
                struct error *e);
void calls_job_done(struct driver *d, struct job *job, struct lane *lane);
/* The agent need not wait for what concerns the device any longer. */
void calls_cancel(struct gatehouse_device *device);
/* Requests that came while it was closed to be made anew go to the new one, or are answered if there is none. */
void calls_go_on(struct driver *d, struct gatehouse_device *old);

extern const struct link_client_ops driver_client_ops;
void driver_on_connection(int r, const char *reason, void *driver);
void driver_on_set_devices(const struct link_device *devices, size_t n, void *driver);
