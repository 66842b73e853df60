/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"

#include "base/cleanup.h"
#include "base/limits.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timex.h>
#include <systemd/sd-id128.h>
#include <time.h>

#if defined(__i386__) || defined(__x86_64__)
#include <cpuid.h>
#define CPUID_HYPERVISOR (UINT32_C(1) << 31)
#endif

static uint64_t now(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * USEC_PER_SEC + (uint64_t)t.tv_nsec / 1000;
}

uint64_t clock_boottime(void)
{
    return now(CLOCK_BOOTTIME);
}

uint64_t clock_monotonic(void)
{
    return now(CLOCK_MONOTONIC);
}

uint64_t clock_realtime(void)
{
    return now(CLOCK_REALTIME);
}

static bool file_holds(const char *path, const char *text)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    char data[8192];
    ssize_t n = fd < 0 ? -1 : read(fd, data, sizeof(data) - 1);

    if (n < 0)
        return false;
    data[n] = 0;
    return strstr(data, text) != NULL;
}

static bool in_virtual_machine(void)
{
#if defined(__i386__) || defined(__x86_64__)
    unsigned eax, ebx, ecx, edx;

    return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & CPUID_HYPERVISOR);
#else
    return access("/sys/firmware/devicetree/base/hypervisor", F_OK) == 0;
#endif
}

/* A kernel that started with a right clock: from a battery-backed one, or, in a virtual machine, from its host. */
static bool clock_was_right_at_boot(void)
{
    for (int i = 0; i < 4; i++) {
        char path[64];

        snprintf(path, sizeof(path), "/sys/class/rtc/rtc%d/hctosys", i);
        if (file_holds(path, "1"))
            return true;
    }
    return in_virtual_machine();
}

static bool kernel_says_synchronized(void)
{
    struct timex t = {0};
    int r = adjtimex(&t);

    return r >= 0 && r != TIME_ERROR && !(t.status & STA_UNSYNC);
}

static atomic_bool by_network, trusted;
static _Atomic uint64_t newest;

void clock_set_synchronized(void)
{
    by_network = true;
}

void clock_trust(bool trust)
{
    trusted = trust;
}

/* A time further ahead than this program's life was recorded by a wrong clock. */
void clock_never_before(uint64_t realtime)
{
    if (realtime > newest && realtime < SERVER_TIME_MAX)
        newest = realtime;
}

uint64_t clock_newest(void)
{
    return newest;
}

uint64_t clock_built(void)
{
    return GATEHOUSE_BUILT * USEC_PER_SEC;
}

enum clock_verdict clock_judge(const struct clock_evidence *e)
{
    if (e->network)
        return CLOCK_RIGHT;
    if (!e->boot && !e->trusted)
        return CLOCK_UNSET;
    if (e->now < e->built)
        return CLOCK_BEFORE_BUILT;
    return e->now < e->newest && !e->trusted ? CLOCK_BEFORE_NEWEST : CLOCK_RIGHT;
}

static enum clock_verdict judge(bool boot)
{
    return clock_judge(&(struct clock_evidence){
        .network = by_network,
        .boot = boot,
        .trusted = trusted,
        .now = clock_realtime(),
        .built = clock_built(),
        .newest = newest,
    });
}

enum clock_verdict clock_look(void)
{
    static _Atomic uint64_t looked;
    static atomic_bool at_boot;
    uint64_t boottime = clock_boottime();
    enum clock_verdict verdict = judge(at_boot);

    if (verdict == CLOCK_RIGHT || (looked != 0 && boottime < looked + USEC_PER_SEC))
        return verdict;
    looked = boottime;
    /* systemd-timesyncd(8) touches the file at each synchronisation; it is on a file system that a reboot empties. */
    if (kernel_says_synchronized() || access("/run/systemd/timesync/synchronized", F_OK) == 0)
        by_network = true;
    at_boot = at_boot || clock_was_right_at_boot();
    return judge(at_boot);
}

bool clock_synchronized(void)
{
    return clock_look() == CLOCK_RIGHT;
}

int clock_boot_id(uint8_t ret_id[16])
{
    const char *passed = getenv("GATEHOUSE_BOOT_ID");
    sd_id128_t id;
    int r = passed ? sd_id128_from_string(passed, &id) : sd_id128_get_boot(&id);

    if (r < 0)
        return r;
    memcpy(ret_id, id.bytes, 16);
    return 0;
}
