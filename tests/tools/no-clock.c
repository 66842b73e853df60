/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* To be preloaded: nobody has set the clock, and there is no other to trust. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/timex.h>
#include <unistd.h>

int adjtimex(struct timex *t)
{
    t->status = STA_UNSYNC;
    return TIME_ERROR;
}

static int hidden(const char *path)
{
    return strcmp(path, "/proc/cpuinfo") == 0 || strncmp(path, "/sys/class/rtc/", 15) == 0 ||
           strncmp(path, "/run/systemd/timesync/", 22) == 0 || strncmp(path, "/proc/device-tree/", 18) == 0;
}

int access(const char *path, int mode)
{
    int (*real)(const char *, int) = (int (*)(const char *, int))dlsym(RTLD_NEXT, "access");

    if (hidden(path))
        return errno = ENOENT, -1;
    return real(path, mode);
}

/* As clock.c calls it, whatever the C library makes of that. */
static int open_unhidden(const char *name, const char *path, int flags)
{
    int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, name);

    if (hidden(path))
        return errno = ENOENT, -1;
    return real(path, flags, 0600);
}

int __open_2(const char *path, int flags);
int __open_2(const char *path, int flags)
{
    return open_unhidden("open", path, flags);
}

int __open64_2(const char *path, int flags);
int __open64_2(const char *path, int flags)
{
    return open_unhidden("open64", path, flags);
}

int open(const char *path, int flags, ...)
{
    return open_unhidden("open", path, flags);
}

int open64(const char *path, int flags, ...)
{
    return open_unhidden("open64", path, flags);
}
