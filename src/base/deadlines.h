/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A heap of times at which something is due, the first on top. Setting one takes O(log n) and 16 bytes beside itself.
 *
 * Embedded; zeroed is empty. No clock of its own and no lock: one thread's. Nothing fails but deadlines_reserve(). */

#include <stddef.h>
#include <stdint.h>

/* Embedded in what owns it; zeroed: stopped. */
struct deadline {
    uint32_t place; /* in the heap, from 1; 0: stopped */
    uint32_t slack; /* how much later it may be looked at */
};

struct deadlines {
    struct deadline_place *heap;
    size_t n, reserved, room;
};

/* Frees the room; all must be stopped. */
void deadlines_done(struct deadlines *d);

/* Room for one more (or less); to be asked for when the owner is made, so that deadline_set() cannot fail. -ENOMEM. */
int deadlines_reserve(struct deadlines *d);
void deadlines_release(struct deadlines *d);

void deadline_set(struct deadlines *d, struct deadline *deadline, uint64_t at, uint32_t slack);
void deadline_stop(struct deadlines *d, struct deadline *deadline);
/* UINT64_MAX: stopped. */
uint64_t deadline_at(const struct deadlines *d, const struct deadline *deadline);

/* The one that is due first; NULL: none. */
struct deadline *deadlines_first(const struct deadlines *d);
uint64_t deadlines_first_at(const struct deadlines *d);
/* When to look again at the latest, for none to exceed its slack; UINT64_MAX: never. */
uint64_t deadlines_latest(const struct deadlines *d);
