/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How far a job is, in one line that is written over. Pure, any thread. */

#include "style.h"

#include <stdint.h>

struct progress {
    uint64_t done, total, failed;
};

/* "[####    ] 450 of 1000, 3 failed", within the terminal's width, the bar only where there is room and a total. Padded
 * to cover what stood there before. Returns `text`. */
#define PROGRESS_TEXT_MAX 512
const char *progress_text(const struct progress *p, const struct terminal *t, char text[PROGRESS_TEXT_MAX]);
