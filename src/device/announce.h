/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Messages to a cloud beside samples: announcements, the ones that it retains, requests; and the choice of samples that
 * it gets at all. Part of device/internal.h, which others include; loop thread. */

#include "base/sample.h"
#include "device/announced.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct config_uplink;
struct device;
struct fleet;
struct uplink_call;
struct uplink_introduction;

struct announcements {
    struct announcing *running; /* NULL: it has been announced, or is not to be */
    struct announced kept;      /* by its broker */
    bool read;                  /* ... of earlier runs too */
    bool dirty;                 /* ... which could not be written down */
};

struct availability {
    struct uplink_call *call;
    bool due;      /* the cloud has not heard it as it is now */
    bool refused;  /* has been said */
    uint64_t next; /* CLOCK_BOOTTIME: not before, after it was not accepted */
};

/* Of a device that is being removed. */
struct withdrawing {
    bool wanted; /* it is going to be removed: nothing is said any more, and what is kept is taken back */
    bool silent; /* ... which it was: a will would be kept, too */
    sd_event_source *timer;
    void (*done)(void *userdata);
    void *userdata;
};

/* Of all devices. */
struct fleet_announced {
    struct ghost *ghosts; /* of devices that are gone, while their broker keeps something */
    bool any;             /* some broker keeps something */
    bool failed;          /* that it cannot be written down has been said */
};

/* latest.c: where only the latest value of each point is to be sent */
/* Overtaken values at the front of the queue leave it. True: there may be more of them, in another turn. */
bool latest_pass_over(struct device *d);
/* How many of the first n samples go into a pack: those before the next overtaken one. */
size_t latest_of(const struct device *d, size_t n);

/* announce.c */
void announce_begin(struct device *d);
void announce_end(struct device *d);
/* They may show points, or what kind they are, that is not announced yet. */
void announce_seen(struct device *d, const struct sample *samples, size_t n);
/* "HOST:PORT", to be freed; NULL: no memory. */
char *announce_broker(const struct config_uplink *u);

/* withdraw.c */
/* The device is going to be removed: takes back what its broker keeps, if that can be done soon. `done` once, later. */
void withdraw(struct device *d, void (*done)(void *userdata), void *userdata);
/* It is not removed after all. */
void withdraw_cancel(struct device *d);
/* All is taken back that could be. */
void withdraw_finished(struct device *d);
/* It is freed. */
void withdraw_leave(struct device *d);
/* The devices are others now: connects for those that are gone and of which a broker keeps something. */
void withdraw_orphans(struct fleet *f);
void withdraw_orphans_leave(struct fleet *f);
/* A device has come: what is taken back of one of that id, by a session with the same client id, is its own matter. */
void withdraw_orphan_back(struct fleet *f, const char *id);

/* introduce.c: of struct uplink_session_ops */
int device_introduce(void *userdata, struct uplink_introduction *ret);

/* availability.c */
/* Whether samples are to be expected may have changed: the cloud hears of it, if its profile has a place for that. */
void availability_due(struct device *d);
/* There is a session, its announcements are out. */
void availability_online(struct device *d);
/* Sends what is due and may be sent now. */
void availability_kick(struct device *d);
/* The session has ended. */
void availability_end(struct device *d);
