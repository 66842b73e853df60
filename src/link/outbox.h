/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Packets on their way out of a SOCK_SEQPACKET socket: sent at once if nothing waits, otherwise in their order when the
 * socket takes more. A bound on what waits is the caller's. Loop thread; the socket is the caller's, non-blocking. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

struct outgoing;
TAILQ_HEAD(outgoing_list, outgoing);

struct outbox {
    struct outgoing_list waiting;
    size_t bytes; /* that wait */
};

void outbox_init(struct outbox *o);
void outbox_done(struct outbox *o);
/* Sends a packet, with a copy of the descriptor `passed` (negative: none), or has it wait. 0, or an errno of the socket
 * (the peer is gone), or -ENOMEM. */
int outbox_send(struct outbox *o, int fd, const void *data, size_t n, int passed);
/* Has it wait in any case. 0 or -ENOMEM, or an errno of the descriptor's. */
int outbox_append(struct outbox *o, const void *data, size_t n, int passed);
/* Appends the packets of `from`. */
void outbox_move(struct outbox *o, struct outbox *from);
/* Sends what waits, as far as the socket takes it. */
int outbox_flush(struct outbox *o, int fd);
bool outbox_empty(const struct outbox *o);
