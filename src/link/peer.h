/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which driver a uid belongs to: user gatehouse-NAME is the driver NAME. The look-up may ask a network directory, so it
 * runs on a worker; answers are kept for PEER_KEPT_FOR, so that a stranger who connects again and again costs little.
 * Loop thread. */

#include "base/worker.h"

#include <stdbool.h>
#include <sys/types.h>

struct peer_names;

/* `name` is NULL if the uid is no driver's; it lives for the call. */
typedef void (*peer_name_fn)(const char *name, void *userdata);

int peer_names_new(struct workers *workers, struct peer_names **ret);
/* Look-ups under way end with no call of their `done`. */
struct peer_names *peer_names_free(struct peer_names *p);
DEFINE_FREEP(struct peer_names, peer_names_free)

/* Calls `done` exactly once, from within when the answer is known already. -EBUSY when too many strangers wait. */
int peer_names_find(struct peer_names *p, uid_t uid, peer_name_fn done, void *userdata);
/* Takes back a look-up whose asker is gone. */
void peer_names_cancel(struct peer_names *p, void *userdata);
