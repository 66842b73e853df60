/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Texts of a rotation: rotate-news.c about progress and end, rotate-waits.c while it waits, rotate-vain.c when the new
 * key is not accepted. Loop thread. */

#include "rotation/machine.h"

#include <stdint.h>

struct device;

/* The reason for which it waits, "": none; valid within the loop turn. Until when, as far as that is known, by
 * CLOCK_REALTIME; 0: not known. */
const char *rotate_waits(const struct device *d, uint64_t *ret_until);
/* The new key was probed, and not accepted; r as for struct probe. Another reason than before is told. */
void rotate_vain(struct device *d, int r);
/* There is no new key, or it is accepted. */
void rotate_vain_over(struct device *d);
/* Reports of the rotation of this device, `userdata`: as the carrier's ops. */
void rotate_finished(void *userdata, enum rotation_outcome outcome, const char *reason);
void rotate_moved(void *userdata, enum rotation_move move, const char *reason);
void rotate_reported(void *userdata, enum rotation_report report, const char *reason);
