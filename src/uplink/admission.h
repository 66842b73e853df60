/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Admission of handshakes: first come, first served, bounded by the handshakes in flight, by a rate, and by the cells
 * that the key arena has left. So ten thousand children that lost their server come back in order, and keep neither the
 * loop nor the server from its work. Embedded; pure: the caller gives the time (CLOCK_BOOTTIME). Loop thread. */

#include "base/ratelimit.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A place in the queue, embedded in what waits. */
struct admission_ticket {
    struct admission_ticket *next, *previous;
    enum { TICKET_NONE, TICKET_WAITING, TICKET_ADMITTED } state;
    void (*admitted)(void *userdata);
    void *userdata;
};

struct admission {
    struct admission_ticket *first, *last;
    size_t waiting, in_flight;
    size_t concurrent;
    struct ratelimit rate;
    bool unlimited;
    /* How many cells the arena has left; NULL: not bounded by it. */
    size_t (*cells_free)(void *userdata);
    void *userdata;
};

/* `unlimited`: no rate, and ADMISSION_UNLIMITED in flight. */
void admission_init(struct admission *a, unsigned concurrent, unsigned per_sec, bool unlimited);
/* Queues the ticket; nothing if it waits or is admitted already. admission_run() admits. */
void admission_ask(struct admission *a, struct admission_ticket *ticket);
/* Gives up waiting, or ends an admitted handshake. */
void admission_leave(struct admission *a, struct admission_ticket *ticket);
/* Admits those who may go now, at most ADMISSION_PER_TURN so that the loop gets on, calling `admitted`, which may call
 * anything here. */
void admission_run(struct admission *a, uint64_t now);
/* When admission_run() can admit again: now, later, or USEC_INFINITY if nobody waits or only an end will make room. */
uint64_t admission_next(struct admission *a, uint64_t now);
