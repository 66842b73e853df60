/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How times of boots relate. A part of the spool. */

#include "spool/internal.h"

uint64_t shifted(uint64_t time, int64_t offset);
/* Whether times of arrival in these two boots can be compared. */
bool boots_compare(const struct boot *a, const struct boot *b);
/* NULL: none is known. */
struct boot *boot_of(const struct spool *s, uint64_t seq);
int boot_add(struct spool *s, const struct stored_boot *boot, struct boot **ret);
/* Stamps by what spool_stamp() was told while the file was being read. */
void stamp_waiting(struct spool *s);
/* Boots whose relation is not known get one, once the present one's is. */
void stamp_boots(struct spool *s);
