/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Whether a kernel lets repeated advertisements through while BlueZ has an advertisement monitor. Pure. */

#include <stdbool.h>

/* `release` and `version` as uname(2) returns them. An unknown kernel counts as one that drops them. The text of the
 * kernel's version that was judged goes into `ret_text` (KERNEL_TEXT bytes). */
#define KERNEL_TEXT 32
bool kernel_repeats(const char *release, const char *version, char *ret_text);
