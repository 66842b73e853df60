/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"

#include "base/limits.h"

#include <string.h>
#include <sys/timex.h>
#include <systemd/sd-id128.h>
#include <time.h>

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

uint64_t clock_realtime(void)
{
    return now(CLOCK_REALTIME);
}

bool clock_synchronized(void)
{
    struct timex t = {0};
    int r = adjtimex(&t);

    return r >= 0 && r != TIME_ERROR && !(t.status & STA_UNSYNC);
}

int clock_boot_id(uint8_t ret_id[16])
{
    sd_id128_t id;
    int r = sd_id128_get_boot(&id);

    if (r < 0)
        return r;
    memcpy(ret_id, id.bytes, 16);
    return 0;
}
