/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Linked into an agent and a driver of their own: CLOCK_REALTIME is by as many seconds off as the file $WRONG_CLOCK
 * says, and no NTP client has set it. As in a machine with a battery-backed clock that is wrong. */
#include "wrap-clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

int __wrap_adjtimex(struct timex *t);
int __real_access(const char *path, int mode);
int __wrap_access(const char *path, int mode);

int __wrap_access(const char *path, int mode)
{
    return strstr(path, "timesync") ? -1 : __real_access(path, mode);
}

int wrap_clock_gettime(clockid_t id, struct timespec *ret)
{
    const char *path = getenv("WRONG_CLOCK");
    FILE *f = path && id == CLOCK_REALTIME ? fopen(path, "re") : NULL;
    long long seconds = 0;
    int r = real_clock_gettime(id, ret);

    if (f && fscanf(f, "%lld", &seconds) == 1)
        ret->tv_sec += seconds;
    if (f)
        fclose(f);
    return r;
}

int __wrap_adjtimex(struct timex *t)
{
    t->status = STA_UNSYNC;
    return TIME_ERROR;
}
