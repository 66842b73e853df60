/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Walks through all devices of the fleet, a slice of them in each turn of the loop. A walk is embedded and zeroed at
 * first; its owner frees the source. Loop thread. */

#include <stddef.h>
#include <systemd/sd-event.h>

struct device;
struct fleet;

struct walk {
    sd_event_source *source;
    size_t next; /* of the fleet's devices */
};

struct fleet_walks {
    struct walk kick;   /* who may send at last */
    struct walk dating; /* whose keys get their ages */
};

/* The handler, whose userdata is the fleet, calls walk_on(). 0 or -errno. */
int walk_init(struct fleet *f, struct walk *w, sd_event_handler_t handler);
/* From the first device on, in the next turns. */
void walk_begin(struct walk *w);
int walk_on(struct fleet *f, struct walk *w, void (*visit)(struct device *d));
/* One more device, or one less, stands at `i`: nobody is passed over for that. */
void walk_shift(struct walk *w, size_t i, int by);
/* All may send what waits. */
void fleet_kick_all(struct fleet *f);
