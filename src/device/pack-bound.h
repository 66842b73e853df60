/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How large a device's packs may be, from what became of those before: a cloud that takes only smaller ones may say so,
 * or answer nothing and end the session. Bounded in bytes while packs are too large, in samples while one of them is
 * refused for its content. Grows back by what is accepted, later each time that this failed. Embedded and zeroed at the
 * beginning; pure, any thread. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pack_failure {
    PACK_TOO_LARGE, /* the server says so, or the packet does not go over this session */
    PACK_BAD,       /* the server refuses the content */
    PACK_HUNG_UP,   /* it ended the session, as often as pack_bound_patience() says */
    PACK_RESET,     /* it rejects the message, without a reason */
    PACK_SILENT,    /* it answers other messages, but not this one; or the line is bad */
};

/* The next step. */
enum pack_step {
    PACK_AGAIN,   /* the same pack, later */
    PACK_SMALLER, /* fewer samples */
    PACK_PROVE,   /* it is one sample: have the server accept another message, then ask pack_bound_gives_up() */
    PACK_REJECT,  /* it is one sample, and refused as such */
};

struct pack {
    size_t samples, bytes;
};

struct pack_bound {
    size_t samples, bytes;   /* 0: no bound */
    size_t hunted;           /* samples of a pack that failed which are neither accepted nor given up */
    size_t largest;          /* bytes of a pack that was accepted, as far as none of that size failed since */
    unsigned row;            /* PACK_RESET of the same pack */
    unsigned good, wanted;   /* packs accepted since it was last changed, and how many enlarge it */
    unsigned given_up;       /* samples in a row, without a reason from the server */
    uint64_t not_before;     /* CLOCK_BOOTTIME: when another one may be */
    enum pack_failure cause; /* of the bound in bytes */
    size_t before;           /* bytes before it was enlarged, until a larger pack is accepted; 0: it was not */
};

/* `limit`: bytes that the server names; 0: none. */
enum pack_step pack_bound_failed(struct pack_bound *b, enum pack_failure failure, const struct pack *pack,
                                 size_t limit);
/* `max`: bytes of a pack that are allowed anyway. */
void pack_bound_accepted(struct pack_bound *b, const struct pack *pack, size_t max);
/* After PACK_PROVE and an accepted message. A server that ends the session at every sample may only be broken: of
 * samples in a row only PACK_GIVE_UP_FREE are given up at once, the next after PACK_GIVE_UP_WAIT, doubled each time. */
bool pack_bound_gives_up(struct pack_bound *b, uint64_t now);
/* After how many ends of a session with such a pack unanswered pack_bound_failed() is to be asked. */
unsigned pack_bound_patience(const struct pack_bound *b, const struct pack *pack);
