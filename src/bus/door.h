/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The connection to the system bus: what comes is read here and cut into messages by the gate (gate.h); sd-bus gets one
 * at a time through a socket pair and carries it out at once, so that what it took of the processor is known. What the
 * agent sends goes to the bus directly. Loop thread; part of struct bus. */

#include "bus/gate.h"

struct bus;

/* Questions and news for those above; static. */
struct door_ops {
    /* Bytes that the answer to such a call may have. */
    uint64_t (*cost)(struct bus *b, const char *path, const char *member);
    /* A caller has left the bus. */
    void (*gone)(struct bus *b, const char *name);
    /* It has taken the samples that it was sent before it was pinged. */
    void (*ponged)(struct bus *b, const char *name);
};

/* Connects, and sets b->connection, started, b->callers and b->door. */
int door_open(struct bus *b, const struct door_ops *ops);
/* All that holds callers or their users has been let go of. Closes b->connection too. */
void door_close(struct bus *b);

/* The fate of the call that sd-bus is carrying out. */
enum letter_fate door_fate(const struct bus *b);
/* Lets sd-bus carry out what was put back into its queue; charged to u. */
void door_run(struct bus *b, struct caller_user *u);
/* A call under way has ended, which its user's next ones waited for. */
void door_wake(struct bus *b);
/* Answers of this connection are taken from now on, whoever runs it: a service that we ask. */
int door_believe(struct bus *b, const char *name);
/* One at a time of each kind; 1: one is under way already. */
int door_ping(struct bus *b, struct caller *one, enum caller_ping which);
/* Bytes and messages that the bus has not taken, as far as they are too many for who can wait (BUS_OUT_MAX), or for
 * what need not be said at all (BUS_OUT_FULL). */
bool door_has_room(const struct bus *b);
bool door_full(const struct bus *b);
/* Microseconds of the processor that this thread has had. */
uint64_t door_processor(void);
