/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One connection of the agent's end (struct conn): as a line that sends, its life and input, the reports and the
 * answers that come over it. From the bottom up. */

#include "link/host-internal.h"

/* host-line.c */
struct conn *conn_ref(struct conn *c);
struct conn *conn_unref(struct conn *c);
DEFINE_FREEP(struct conn, conn_unref)
/* Sets the watched events: none while the rate forbids reading, or a peer that is gone would wake us for ever. */
void conn_watch(struct conn *c);
/* The peer takes nothing more. What it said before is still read, to its end. */
void conn_go_deaf(struct conn *c);
/* The driver is to find its connection ended; this end closes it then, for the reason (static). */
void conn_give_up(struct conn *c, const char *reason);
/* Writes what waits. The set goes packet by packet as the driver takes it, so that it never waits here in a second
 * copy. */
void conn_write_more(struct conn *c);
/* Sends what `w` wrote, now or later. A driver that cannot get it finds its connection ended, in a turn to come. */
void conn_send(struct conn *c, const struct cbor_writer *w);
/* Whether requests of so many bytes may be queued: a driver that does not read has LINK_OUT_MAX. One request, however
 * large, always fits an empty queue. */
bool conn_has_room(const struct conn *c, size_t bytes);
/* Sends a request behind the set of devices, after conn_has_room(). -E2BIG, -ENOTCONN, -ENOMEM. */
int conn_request(struct conn *c, const struct cbor_writer *w, int passed);
void conn_send_devices(struct conn *c);

/* host-conn.c */
int conn_new(struct link_host *h, int fd, struct conn **ret); /* takes fd on success */
int conn_start(struct conn *c);
/* Ends it; `reason` (NULL: it disconnected) becomes the driver's last error. */
void conn_close(struct conn *c, const char *reason);

/* host-report.c */
void conn_report(struct conn *c, const struct packet *p);
void conn_answer_held(struct conn *c);
/* Whether the rate allows an answer now; otherwise the timer of what is held is set. */
bool conn_may_answer(struct conn *c);
uint32_t conn_credits(struct conn *c);
void conn_drop_held(struct conn *c);

/* host-call.c */
void conn_answer(struct conn *c, struct dialog_answer *a);
void conn_end_calls(struct conn *c, int r, const char *text);
int conn_calls_overdue(sd_event_source *source, uint64_t usec, void *conn);
