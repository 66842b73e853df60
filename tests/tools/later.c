/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Linked into a plugin of its own: CLOCK_BOOTTIME is as many seconds ahead as the file $LATER says. For what happens
 * only after a silence or a day. The plugin's timers are relative, and go on as they are. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int __real_clock_gettime(clockid_t id, struct timespec *ret);
int __wrap_clock_gettime(clockid_t id, struct timespec *ret);

int __wrap_clock_gettime(clockid_t id, struct timespec *ret)
{
    const char *path = getenv("LATER");
    FILE *f = path && id == CLOCK_BOOTTIME ? fopen(path, "re") : NULL;
    long long seconds = 0;
    int r = __real_clock_gettime(id, ret);

    if (f && fscanf(f, "%lld", &seconds) == 1)
        ret->tv_sec += seconds;
    if (f)
        fclose(f);
    return r;
}
