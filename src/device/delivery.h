/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A device's samples on their way to the cloud: the pack that is under way, and what the next one may be. Part of
 * struct device (internal.h). Loop thread. */

#include "device/pack-bound.h"
#include "uplink/backoff.h"

#include <systemd/sd-event.h>

struct device;
struct proof;
struct uplink_call;

struct delivery {
    struct uplink_call *request;
    sd_event_source *retry;
    struct pack pack; /* in the request under way, or to be repeated as it is; no samples: none */
    struct pack_bound bound;
    bool prove;          /* the one sample of it is suspected: another message has to be accepted first */
    struct proof *proof; /* of that, under way */
    uint64_t last;       /* when one was sent, CLOCK_BOOTTIME */
    bool paused;         /* nothing more is begun: a reload is about to make the device anew */
    struct backoff backoff;
};

void delivery_kick(struct device *d);
void delivery_done(struct device *d);
/* The session has been stopped, and with it every subscription. */
void delivery_stopped(struct device *d);
/* Another session takes over. */
void delivery_moved(struct device *d);
