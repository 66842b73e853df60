/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "input.h"

#include "base/cleanup.h"
#include "base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int input_read(const char *file, char **ret, struct error *e)
{
    bool standard = strcmp(file, "-") == 0;
    const char *name = standard ? "standard input" : file;
    _cleanup_close_ int fd =
        standard ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    _cleanup_free_ char *data = NULL;
    size_t n = 0;
    ssize_t k;

    if (fd < 0)
        return error_errno(e, -errno, "cannot open %s", name);
    data = malloc(CONFIG_FILE_MAX + 1);
    if (!data)
        return -ENOMEM;
    while ((k = read(fd, data + n, CONFIG_FILE_MAX + 1 - n)) != 0) {
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return error_errno(e, -errno, "cannot read %s", name);
        n += (size_t)k;
        if (n > CONFIG_FILE_MAX)
            return error_set(e, -EFBIG, "%s has over %d bytes", name, CONFIG_FILE_MAX);
    }
    data[n] = 0;
    *ret = TAKE_PTR(data);
    return 0;
}
