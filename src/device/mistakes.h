/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Mistakes in the files, as long as they last: files not loaded, the reason of the last refused reload, and later
 * complaints of plugins. The fleet's. Loop thread. */

#include "base/error.h"
#include "config/config.h"

#include <stdint.h>

struct fleet;

struct fleet_mistakes {
    struct mistakes files;   /* in files that were not loaded */
    struct mistakes refused; /* in the configuration that the last reload did not take */
    uint64_t version;        /* another one: they have changed */
};

/* As many as an error text holds, a line each; returns r. */
int fleet_say_mistakes(int r, const struct mistakes *mistakes, struct error *e);
/* All of the second are then the first's. */
void mistakes_take(struct mistakes *to, struct mistakes *from);
/* A reload has taken all files. */
void mistakes_loaded(struct fleet *f);
/* It has not, for these mistakes, or another reason. */
void mistakes_refused(struct fleet *f, const struct mistakes *why, const struct error *e);
/* The file is good, and the device could not be made. */
void mistakes_not_started(struct fleet *f, const struct config_device *config, const struct error *e);
/* A plugin complains of something else than before. */
void mistakes_of_plugins(struct fleet *f);
