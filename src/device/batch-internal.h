/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Shared by the files of a batch: batch.c begins and runs it, batch-device.c has what becomes of each device,
 * batch-list.c its lists. Nobody else includes this. Loop thread. */

#include "device/batch.h"
#include "rotation/batch.h"

#include <stdbool.h>
#include <stdint.h>

struct job;
struct vault_change;

struct batch_list {
    struct device *first, *last;
};

struct batch {
    struct fleet *fleet;
    struct job *job;
    struct batch_record record;
    struct vault_change *committing; /* of the record, on its way */
    struct batch_list waiting;       /* for a turn */
    struct batch_list away;          /* not online: nobody who is away takes a turn from the others */
    struct batch_list running;
    struct batch_list late; /* running, but their turns are over */
    uint64_t progressed;    /* CLOCK_BOOTTIME, when one ended last */
    bool recorded;          /* nothing begins before that is durable */
    bool failed;
    bool cancelled;
};

/* ── batch-list.c ── */

void batch_put(struct batch_list *list, struct device *d);
/* Harmless for one that is in none. */
void batch_take_out(struct device *d);
void batch_move(struct batch_list *list, struct device *d);
/* Whether nothing is begun or can be. */
bool batch_only_away(const struct batch *b);
bool batch_is_empty(const struct batch *b);

/* ── batch-device.c ── */

/* It leaves the batch, and counts. */
void batch_end_one(struct batch *b, struct device *d, bool ok, const char *outcome, const char *reason);
