/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A device's samples on their way to the cloud: the pack that is under way, and what the next one may be. Part of
 * struct device (internal.h). Loop thread. */

#include "device/pack-bound.h"
#include "device/send-gate.h"
#include "uplink/backoff.h"

#include <systemd/sd-event.h>

struct device;
struct proof;
struct uplink_call;

struct standstill {
    uint64_t since, next; /* CLOCK_BOOTTIME: samples wait since then, and it is told then; since 0: they do not */
    sd_event_source *timer;
    char *why; /* NULL: not known */
    bool told;
};

struct delivery {
    struct uplink_call *request;
    sd_event_source *retry;
    struct pack pack; /* in the request under way, or to be repeated as it is; no samples: none */
    struct pack_bound bound;
    bool prove;  /* the one sample of it is suspected: another message has to be accepted first */
    bool paused; /* nothing more is begun: a reload is about to make the device anew */
    struct backoff backoff;
    struct proof *proof; /* of that, under way */
    uint64_t last;       /* when one was sent, CLOCK_BOOTTIME */
    struct standstill standstill;
    size_t path_said; /* the session's bound of a request that was logged */
};

void delivery_kick(struct device *d);
/* The reason why its samples wait, if they do. */
enum send_answer delivery_sends(const struct device *d);
void delivery_done(struct device *d);
/* The session has been stopped, and with it every subscription. */
void delivery_stopped(struct device *d);
/* Another session takes over. */
void delivery_moved(struct device *d);
/* Bytes of a pack, whatever happened to those before. */
size_t delivery_bytes_allowed(const struct device *d);
const char *delivery_failure_text(enum pack_failure failure);
/* The bounds of its packs, "" for nothing but the profile; into the buffer. */
const char *delivery_limits(const struct device *d, char *buffer, size_t size);

/* standstill.c */
/* Samples could be sent. */
void standstill_begin(struct device *d);
void standstill_why(struct device *d, const char *why);
/* They are accepted, or the session has another state to show. */
void standstill_over(struct device *d, bool accepted);
void standstill_done(struct device *d);
/* NULL: it is nothing to tell of. */
const char *standstill_words(const struct device *d, char *buffer, size_t size);
