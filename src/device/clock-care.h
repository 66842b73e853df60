/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The machine's clock, as far as the fleet depends on it: clock-care.c. Loop thread. */

#include "device/server-time.h"

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct fleet;

struct fleet_clock {
    sd_event_source *timer;
    unsigned told;    /* bits of enum clock_verdict that were said */
    uint64_t started; /* CLOCK_BOOTTIME: the fleet */
    uint8_t boot_id[16];
    struct server_time server_time;
};

/* From the configuration, and from the times in the vault. */
void clock_care_begin(struct fleet *f);
/* The configuration believes in it differently. */
void clock_care_follow(struct fleet *f);
/* Whether the lower bounds of the clock are known: the spool's times too. */
bool clock_care_ready(struct fleet *f);
/* Says once what is wrong with it. */
void clock_care_tell(struct fleet *f);
