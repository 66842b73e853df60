/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A configured uplink, as far as its children share it. Counted by the devices that use it. Loop thread. */

#include "base/error.h"
#include "base/ratelimit.h"
#include "config/config.h"
#include "device/profiles.h"
#include "device/registration.h"
#include "registrar/registrar.h"
#include "uplink/session.h"

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct fleet;

struct shared_uplink {
    struct shared_uplink *next;
    struct fleet *fleet;
    unsigned refs;
    struct config *config; /* a reference, that holds `settings` */
    const struct config_uplink *settings;
    struct uplink *uplink;
    struct profile *profile;
    struct registrar *registrar;
    struct registrations registrations;
    struct ratelimit drain; /* of requests with samples, of all its devices */
    struct {
        sd_event_source *timer; /* NULL: none is awaited */
        uint32_t online;        /* its devices that have a session */
        uint64_t since;         /* CLOCK_BOOTTIME */
        bool said;
    } outage;
};

int shared_uplink_get(struct fleet *f, const char *name, struct shared_uplink **ret, struct error *e);
struct shared_uplink *shared_uplink_put(struct shared_uplink *u);
/* Checks what the files alone cannot show: that each configured uplink can be made. */
int shared_uplinks_check(struct fleet *f, struct error *e);
/* Whether a device of this uplink may stay as it is under this configuration with these profiles. */
bool shared_uplink_current(const struct shared_uplink *u, const struct config *config, const struct profiles *profiles);
/* Two sockets a device, for a probe or a second session beside the first, and some for the rest. */
void fleet_raise_descriptors(struct fleet *f);
void fleet_warn_of_settings(const struct fleet *f);
