/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The text that a driver wants remembered of one sensor beside its key, and when it may be believed and written.
 *
 * An act is the operator's: another key, none, or a counter that begins anew. While one is under way nothing is
 * written, since the vault would apply it behind the act and undo it; once it is done the words before it are void, and
 * so is what the driver says until it has answered for the key that was sent after the act: it counts by the old one.
 *
 * Pure: the caller has the clock (CLOCK_BOOTTIME), the vault and the driver. Owns the text. */

#include <stdbool.h>
#include <stdint.h>

struct kept {
    char *text;       /* NULL: nothing that the vault does not have */
    bool dirty;       /* it is not in the vault, nor on its way there */
    bool stale;       /* the driver has not taken what is valid since the last act, or the beginning */
    unsigned acting;  /* acts under way */
    uint32_t sending; /* which sending of the key is the first behind the last act, or a later one */
    uint64_t written; /* 0: never */
};

void kept_init(struct kept *k);
void kept_done(struct kept *k);
/* The driver's words. Whether they are new, and to be written; -ENOMEM. */
int kept_say(struct kept *k, const char *text);
/* Whether they may be written now; kept_write() then says that they are on their way. */
bool kept_may_write(const struct kept *k, uint64_t now, uint64_t interval);
void kept_write(struct kept *k, uint64_t now);
/* It failed: whether they are to be written again. */
bool kept_unwritten(struct kept *k);

void kept_act(struct kept *k);
void kept_acted(struct kept *k, bool done);
/* The key is sent to the driver: what to hand to kept_taken() when the driver has taken it. */
uint32_t kept_sending(const struct kept *k);
void kept_taken(struct kept *k, uint32_t sending);
