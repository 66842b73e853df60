/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The bounds of the spool, in bytes and in age, and the rate at which samples come. A part of the spool. */

#include "spool/internal.h"

/* Drops until the bound holds with `more` bytes in memory: false if what is held leaves no room. */
bool make_room(struct spool *s, uint64_t more);
/* Drops rows on disk beyond the bound. */
void enforce(struct spool *s);
void drop_old(struct spool_device *d, uint64_t now);

/* rate.c */
void count_rate(struct spool *s, uint64_t now, size_t n);
