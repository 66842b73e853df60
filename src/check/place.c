/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check/place.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool check_path(const struct check_place *p, char *ret, size_t size, const char *format, ...)
{
    size_t n = strlen(p->root);
    va_list ap;
    int r;

    if (n >= size)
        return false;
    memcpy(ret, p->root, n);
    va_start(ap, format);
    r = vsnprintf(ret + n, size - n, format, ap);
    va_end(ap);
    return r >= 0 && (size_t)r < size - n;
}

ssize_t check_read(const struct check_place *p, char *ret, size_t size, const char *path)
{
    _cleanup_close_ int fd = -EBADF;
    char full[PATH_MAX];
    size_t n = 0;

    if (!check_path(p, full, sizeof(full), "%s", path))
        return -ENAMETOOLONG;
    fd = open(full, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    while (n < size - 1) {
        ssize_t k = read(fd, ret + n, size - 1 - n);

        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return -errno;
        if (k == 0)
            break;
        n += (size_t)k;
    }
    while (n > 0 && (ret[n - 1] == '\n' || ret[n - 1] == 0))
        n--;
    ret[n] = 0;
    return (ssize_t)n;
}
