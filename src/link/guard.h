/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Stands between a driver's socket and sd-bus: a pump through a socket pair that looks at every message header before
 * it passes the message on (link/frame.h).
 *
 * Towards us: messages of at most LINK_FRAME_MAX, a handshake of at most FRAME_AUTH_MAX, LINK_BYTES_PER_SEC (more is
 * left in the peer's socket until its time has come), no descriptors. Towards the driver everything passes, descriptors
 * included. While the driver does not read what we send, nothing of it is read either, so that a peer that only talks
 * cannot make answers pile up here.
 *
 * Loop thread. The guard owns the peer's descriptor and its end of the pair; the other end is the caller's. */

#include "base/cleanup.h"

#include <stdint.h>
#include <systemd/sd-event.h>

struct guard;

/* The connection is over: r is 0 when the peer closed it, otherwise a negative errno with its reason in words. Called
 * at most once, and the guard may be freed from within. */
typedef void (*guard_closed_fn)(int r, const char *reason, void *userdata);

/* Something was passed on to us, at most a few dozen messages: to be read now, instead of in turns of the loop to come.
 * The guard may be freed from within. */
typedef void (*guard_passed_fn)(void *userdata);

/* Takes peer_fd, also on failure. *ret_bus_fd is for sd_bus_set_fd(). */
int guard_new(sd_event *event, int peer_fd, guard_closed_fn closed, guard_passed_fn passed, void *userdata,
              struct guard **ret, int *ret_bus_fd);
/* Hands on to the peer what was sent already, as far as that goes without waiting, and closes. */
struct guard *guard_free(struct guard *g);
DEFINE_FREEP(struct guard, guard_free)
