/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/keyfile-path.h"

#include "base/names.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int keyfile_next_path(const char *path, char *ret, size_t size)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    int n = strcmp(name, KEYFILE_CURRENT) == 0 ? snprintf(ret, size, "%.*s" KEYFILE_NEXT, (int)(name - path), path)
                                               : snprintf(ret, size, "%s." KEYFILE_NEXT, path);

    return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}
