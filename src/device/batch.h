/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A rotation of all devices (fleet_rotate_all()), as the devices and the calendar see it: which of them begin, and what
 * became of each. One at most; the fleet's. Loop thread; what cannot be recorded or begun is in the job's results. */

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct batch;
struct batch_list;
struct device;
struct fleet;

/* A device's place in the rotation of all. */
struct batch_place {
    struct batch_list *list; /* NULL: none, or it is done */
    struct device *previous, *next;
    uint64_t since; /* in this list, CLOCK_BOOTTIME */
};

/* Begins as much of a batch as possible; its devices go before those whose keys came of age. */
void batch_run(struct fleet *f, uint64_t now);
/* When batch_run() is to be called again; USEC_INFINITY: something will say so. */
uint64_t batch_wake(struct fleet *f, uint64_t now);
/* The device's rotation has ended or was refused. */
void batch_ended(struct device *d, bool ok, const char *outcome, const char *reason);
/* Why a new key is not accepted, into the results of the job for all devices. */
void batch_waiting(struct device *d, const char *reason);
/* It is online now; its turn is over; it is going to be freed. */
void batch_online(struct device *d);
void batch_turn_over(struct device *d);
void batch_gone(struct device *d);
/* The clock was synchronised. */
void batch_date(struct fleet *f);
/* Goes on with what was under way when the agent ended. */
int batch_resume(struct fleet *f, struct error *e);
/* The fleet goes; the batch will be resumed. */
struct batch *batch_leave(struct batch *b);
