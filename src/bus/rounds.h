/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Decides when which object's changes are signalled: each object at most once in `interval`, however often it changes.
 * Pure: the caller gives the time (CLOCK_BOOTTIME) and sends the signals. One thread; owns copies of the ids.
 *
 * Changes are collected and go out in rounds. A round may take several turns of the loop; what changes while it lasts
 * is for the next one, which begins no sooner than `interval` after the last signal of the one before. */

#include "base/cleanup.h"

#include <stdbool.h>
#include <stdint.h>

struct rounds;

struct rounds *rounds_new(uint64_t interval);
struct rounds *rounds_free(struct rounds *r);
DEFINE_FREEP(struct rounds, rounds_free)

/* It has changed. 0 also if that is known already; -ENOMEM. */
int rounds_mark(struct rounds *r, const char *id);
/* There is no such object any more. */
void rounds_forget(struct rounds *r, const char *id);
/* Nobody is there to be told. */
void rounds_empty(struct rounds *r);

/* The first of those whose turn it is now, or NULL. Begins the next round if it is time for it. */
const char *rounds_first(struct rounds *r, uint64_t now);
/* The signal of the first one is out. */
void rounds_told(struct rounds *r, uint64_t now);
/* When the next signal may go out; USEC_INFINITY: nothing has changed. */
uint64_t rounds_due(const struct rounds *r);
