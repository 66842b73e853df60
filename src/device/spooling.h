/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The fleet's spool: its settings, complaints, and samples of devices that are not there. Loop thread. */

#include "base/error.h"
#include "base/ratelimit.h"

#include <stdbool.h>
#include <systemd/sd-event.h>

struct fleet;

struct spooling {
    struct ratelimit complaints, rejections;
    sd_event_source *orphan_timer; /* samples of devices that are not there */
    bool orphans_told;
};

int spooling_begin(struct fleet *f, struct error *e);
/* The configuration is another one. */
void spooling_follow(struct fleet *f);
/* Writes samples that are not on disk yet. */
void spooling_end(struct fleet *f);
