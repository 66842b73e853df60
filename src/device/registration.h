/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* First registrations: devices that were given a key while their cloud need not have been there. An uplink's queue asks
 * its registrar for one after the other; where a device stands is in device/facts.h. Loop thread. */

#include "base/ratelimit.h"
#include "uplink/backoff.h"
#include "vault/vault.h"

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct device;
struct registrar_call;
struct shared_uplink;
struct vault_change;

/* An uplink's queue of first registrations. */
struct registrations {
    struct device *first, *last;
    unsigned open; /* being committed, or asked for */
    uint64_t hold_until;
    struct backoff backoff;
    struct ratelimit limit;
    sd_event_source *timer;
};

/* A device's place in it. */
struct registration {
    struct device *next;
    bool queued, open, stopped;
    bool unoffered; /* no offer of it can have reached the cloud */
    struct registrar_call *call;
    struct vault_change *commit; /* under way */
    enum vault_registration to;  /* by that commit */
    char *reason;                /* why not yet */
};

void registration_init(struct shared_uplink *u);
void registration_done(struct shared_uplink *u);
/* Queues it, if it is to be registered. */
void registration_start(struct device *d);
/* Somebody asks to try again now, also what was in conflict. */
void registration_retry(struct device *d);
/* Before it is freed, or goes. */
void registration_stop(struct device *d);
