/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Time in uint64_t microseconds. CLOCK_BOOTTIME drives every timer: a gateway that slept has aged. Any thread. */

#include <stdbool.h>
#include <stdint.h>

uint64_t clock_boottime(void);
uint64_t clock_realtime(void);

/* Whether CLOCK_REALTIME can be trusted: an NTP client has set it (adjtimex, systemd-timesyncd), or the kernel began
 * with a right one (a battery-backed clock, or the host's in a virtual machine). Once true it stays true; while false
 * it looks again at most once a second. */
bool clock_synchronized(void);
/* Somebody else knows that it is. */
void clock_set_synchronized(void);

/* 16 bytes, from $GATEHOUSE_BOOT_ID, which a unit passes that hides /proc/sys, or /proc/sys/kernel/random/boot_id:
 * times of CLOCK_BOOTTIME mean something only with it. 0 or -errno. */
int clock_boot_id(uint8_t ret_id[16]);
