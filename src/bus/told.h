/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Remembers which values of an object's properties were signalled last, so that the next signal carries only what has
 * changed: what is now another value, and what somebody has read meanwhile while it was another one. Of each value a
 * hash is kept. Pure; one thread; owns copies of the ids. */

#include "base/cleanup.h"

#include <stddef.h>
#include <stdint.h>

#define TOLD_PROPERTIES_MAX 64

struct told;

struct told *told_new(void);
struct told *told_free(struct told *t);
DEFINE_FREEP(struct told, told_free)

/* The properties whose hashes differ from those at the last call for this object, or did in between when they were
 * shown, as bits 1 << i; all n if there was none. Remembers the new ones. Out of memory: all n, each time. */
uint64_t told_update(struct told *t, const char *id, const uint64_t *hashes, size_t n);
/* Somebody has read the n properties from `first` on. */
void told_shown(struct told *t, const char *id, size_t first, const uint64_t *hashes, size_t n);
/* The object is gone, or its last signal was not sent. */
void told_forget(struct told *t, const char *id);
/* Nobody is there who was told. */
void told_empty(struct told *t);
