/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One epoll set for the sockets of all CoAP sessions of an uplink, which the event loop watches as one source.
 *
 * A source of the event loop for each socket would cost more memory than the rest of an idle socket's state, and the
 * loop hands out one event a turn after asking for all of them again, so a burst of n datagrams would cost n * n. Here
 * a turn takes what one question brought, up to SOCKETS_PER_TURN, and no longer than TURN_BUDGET.
 *
 * A socket whose peer sends more than DATAGRAMS_PER_SEC is left unread for DATAGRAMS_REST: its datagrams queue in the
 * kernel, which drops what does not fit, and the other sockets and the processor are spared.
 *
 * Loop thread only. A callback may add and remove any watch, its own included, and free what holds one. */

#include "base/cleanup.h"
#include "base/ratelimit.h"

#include <stdbool.h>
#include <sys/queue.h>
#include <systemd/sd-event.h>

struct sockets;

/* Embedded in what owns the socket, which sets `readable`; the rest belongs to this module. */
struct socket_watch {
    void (*readable)(struct socket_watch *watch);
    TAILQ_ENTRY(socket_watch) link; /* while it rests */
    struct ratelimit rate;
    uint64_t until; /* 0: it does not rest */
    int fd;
};

int sockets_new(sd_event *event, struct sockets **ret);
/* All watches must be gone. */
struct sockets *sockets_free(struct sockets *s);
DEFINE_FREEP(struct sockets, sockets_free)

int sockets_add(struct sockets *s, int fd, struct socket_watch *watch);
/* Before the descriptor is closed. */
void sockets_remove(struct sockets *s, int fd, struct socket_watch *watch);
