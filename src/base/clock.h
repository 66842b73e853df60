/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Time in uint64_t microseconds. CLOCK_BOOTTIME drives every timer: a gateway that slept has aged. Any thread. */

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

_Static_assert(sizeof(time_t) == 8, "times end in 2038: build with -D_FILE_OFFSET_BITS=64 -D_TIME_BITS=64");

uint64_t clock_boottime(void);
uint64_t clock_monotonic(void);
uint64_t clock_realtime(void);

/* Evidence for CLOCK_REALTIME, and lower bounds of it. */
struct clock_evidence {
    bool network; /* an NTP client has set it */
    bool boot;    /* the kernel began with a battery-backed clock, or with the host's in a virtual machine */
    bool trusted; /* the configuration says that it is right */
    uint64_t now, built, newest;
};
enum clock_verdict {
    CLOCK_RIGHT,
    CLOCK_UNSET,         /* nobody has set it */
    CLOCK_BEFORE_BUILT,  /* a dead battery: it is before this program was built */
    CLOCK_BEFORE_NEWEST, /* ... or before what was written down when it was right */
};
/* Pure. Only a network's word goes against a time that was written down: that one may have been wrong. */
enum clock_verdict clock_judge(const struct clock_evidence *e);

/* Looks at adjtimex, systemd-timesyncd and the kernel's clocks. Once an NTP client has set it, it stays right; while it
 * is not, it looks again at most once a second. */
enum clock_verdict clock_look(void);
/* Whether CLOCK_REALTIME can be trusted: clock_look() says CLOCK_RIGHT. */
bool clock_synchronized(void);
/* Somebody else knows that an NTP client has set it. */
void clock_set_synchronized(void);
/* A time that has been: the clock is not believed to be before it. */
void clock_never_before(uint64_t realtime);
uint64_t clock_newest(void);
/* When this program was built, to the day. */
uint64_t clock_built(void);
void clock_trust(bool trust);

/* 16 bytes, from $GATEHOUSE_BOOT_ID, which a unit passes that hides /proc/sys, or /proc/sys/kernel/random/boot_id:
 * times of CLOCK_BOOTTIME mean something only with it. 0 or -errno. */
int clock_boot_id(uint8_t ret_id[16]);
