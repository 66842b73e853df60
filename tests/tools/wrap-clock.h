/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The names by which the linker's --wrap knows clock_gettime(): where `long` has 32 bits the C library's headers make
 * another function of it, whose time_t has 64. tests/meson.build has the linker's argument, `wrap_clock`. */
#include <time.h>

#if __SIZEOF_LONG__ == 4
#define CLOCK_SYMBOL "__clock_gettime64"
#else
#define CLOCK_SYMBOL "clock_gettime"
#endif

int real_clock_gettime(clockid_t id, struct timespec *ret) __asm__("__real_" CLOCK_SYMBOL);
int wrap_clock_gettime(clockid_t id, struct timespec *ret) __asm__("__wrap_" CLOCK_SYMBOL);
