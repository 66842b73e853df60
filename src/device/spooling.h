/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The fleet's spool: its settings, complaints, and samples of devices that are not there. Loop thread. */

#include "base/error.h"

struct fleet;

int spooling_begin(struct fleet *f, struct error *e);
/* The configuration is another one. */
void spooling_follow(struct fleet *f);
/* Writes samples that are not on disk yet. */
void spooling_end(struct fleet *f);
