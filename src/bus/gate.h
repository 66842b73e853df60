/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Stands between the bus and sd-bus, which reads messages of any size as they come, one a turn of the loop, and learns
 * of none of them who sent it. Here the stream from the bus is cut into messages at once. What nobody waits for is
 * dropped, what is too large is never stored, and the rest waits by user: root's first, then the others in turn, as far
 * as callers.h lets them. Pure except for the descriptors that messages carry, which it closes.
 *
 * The stream is the bus daemon's own, who has validated every message; what senders put into it is not believed. Loop
 * thread. */

#include "bus/callers.h"

#include <sys/types.h>

enum letter_fate {
    LETTER_PASS,
    LETTER_TOO_MANY, /* to be refused: the sender has too many that wait */
    LETTER_TOO_LARGE,
    LETTER_DESCRIPTORS, /* it has more than any method takes */
};

struct letter {
    TAILQ_ENTRY(letter) link;
    struct caller *from;      /* NULL: the bus itself */
    struct caller_user *user; /* likewise */
    enum letter_fate fate;    /* of other than the first, the body has been taken away */
    bool large;               /* its answer will be */
    int fd;                   /* -EBADF: none */
    size_t size;
    uint8_t data[];
};

struct letter *letter_free(struct letter *l);
DEFINE_FREEP(struct letter, letter_free)

/* The room of the bus. */
enum gate_room {
    GATE_ROOM_NONE,  /* only root's calls are handed on, and what comes from the bus itself */
    GATE_ROOM_SMALL, /* and those whose answers are not large */
    GATE_ROOM_ANY,
};

struct gate_ops {
    /* Whether the answer to that call will be so large that others would wait for it. */
    bool (*large)(const char *path, const char *member, void *userdata);
    /* Asks the bus whose connection that is. The serial of the question, or negative. */
    int (*ask)(const char *name, uint32_t *ret_serial, void *userdata);
    /* A ping was answered. */
    void (*ponged)(struct caller *one, enum caller_ping which, void *userdata);
    /* It has left; it is freed when this returns. */
    void (*gone)(struct caller *one, void *userdata);
    void *userdata;
};

struct gate;

/* The callers stay the caller's. */
struct gate *gate_new(struct callers *callers, const struct gate_ops *ops);
struct gate *gate_free(struct gate *g);
DEFINE_FREEP(struct gate, gate_free)

/* Where the next bytes of the stream go, BUS_READ at least. NULL: out of memory. */
uint8_t *gate_room(struct gate *g, size_t *ret_size);
/* n of them have come, and these descriptors with them, which are the gate's now. -EBADMSG, -ENOMEM: the connection
 * cannot be used any more. */
int gate_received(struct gate *g, size_t n, const int *fds, size_t n_fds, uint64_t now);

/* The next to be handed on, which is the caller's now; NULL: none may be. */
struct letter *gate_next(struct gate *g, enum gate_room room, uint64_t now);
/* When there may be another, if nothing comes meanwhile. USEC_INFINITY: never, or when a call under way ends. */
uint64_t gate_due(struct gate *g, uint64_t now);
