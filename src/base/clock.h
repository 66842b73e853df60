/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Time in uint64_t microseconds. CLOCK_BOOTTIME drives every timer: a gateway that slept has aged. Any thread. */

#include <stdbool.h>
#include <stdint.h>

uint64_t clock_boottime(void);
uint64_t clock_realtime(void);

/* Whether the kernel says that CLOCK_REALTIME is synchronised (adjtimex), as an NTP client reports it. */
bool clock_synchronized(void);

/* 16 bytes, from /proc/sys/kernel/random/boot_id: times of CLOCK_BOOTTIME mean something only with it. 0 or -errno. */
int clock_boot_id(uint8_t ret_id[16]);
