/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One request to a process of another user over its unix stream socket: all of it there, shutdown, all of the answer
 * back, within a deadline and REGISTRAR_MESSAGE_MAX.
 *
 * Loop thread. `done` is called once, never from within channel_new(); the channel is then still the caller's to free.
 * channel_free() before that: it is not called. */

#include "base/cleanup.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct channel;

/* r 0: the answer. Otherwise a negative errno; `sent`: the whole request had been handed over. */
typedef void channel_done(int r, bool sent, const char *answer, size_t n, void *userdata);

/* The request, from registrar/offer.c, is taken in any case, and wiped once it is sent or given up. -ENOENT,
 * -ECONNREFUSED: nobody listens there; -EAGAIN: too many do ask. */
int channel_new(sd_event *event, const char *path, char *request, uint64_t timeout, channel_done *done, void *userdata,
                struct channel **ret, struct error *e);
/* Whether all of the request has been handed over: it may be carried out even if nobody waits any more. */
bool channel_sent(const struct channel *c);
struct channel *channel_free(struct channel *c);
DEFINE_FREEP(struct channel, channel_free)
