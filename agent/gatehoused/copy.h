/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A copy of a vault, opened: with all that opening does, while the vault itself is only read, and may be in use. The
 * caller's; copy_done() takes the copy away. Blocks. While its files are there, signals that would end the program and
 * leave them behind wait, in the calling thread and those that it starts: the caller unlinks them soon. */

#include "options.h"

#include "base/arena.h"
#include "base/error.h"
#include "config/config.h"
#include "vault/vault.h"

#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <systemd/sd-event.h>

struct copy {
    const char *original;
    char directory[PATH_MAX - 64]; /* with the copy; "" if there is none */
    sigset_t signals;              /* blocked before, */
    bool waits;                    /* if signals wait */
    struct arena *arena;
    struct vault *vault;
};

/* As vault_copy() and vault_open() fail; the words name the original. */
int copy_open(sd_event *event, const char *original, const struct options *o, const struct config *config,
              struct copy *ret, struct error *e);
/* Takes its files away, and lets signals through that came meanwhile; what is open stays so. */
void copy_unlink(struct copy *c);
void copy_done(struct copy *c);
