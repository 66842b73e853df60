/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A cloud's time for samples, in a boot whose clock was never set. Loop thread. */

#include "base/ratelimit.h"
#include "device/server-clock.h"
#include "uplink/backoff.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fleet;
struct uplink_call;

/* All times are of CLOCK_BOOTTIME, except that of `clock`. */
struct server_time {
    struct uplink_call *call; /* the question under way */
    uint64_t asked, next;     /* not before `next` another one */
    size_t turn;              /* the device to be asked next, if it can be */
    struct server_clock clock;
    bool told;              /* that samples get their times so */
    struct backoff backoff; /* of questions without a good answer */
    struct ratelimit complaints;
};

void server_time_init(struct fleet *f);
/* The clock is not synchronised: asks a cloud, if it is time to. */
void server_time_look(struct fleet *f);
