/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/id.h"

#include "base/limits.h"

#include <stddef.h>

static bool alphanumeric(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool id_valid(const char *id)
{
    size_t n;

    if (!id || !alphanumeric(id[0]))
        return false;
    for (n = 1; id[n]; n++)
        if (n >= DEVICE_ID_MAX || !(alphanumeric(id[n]) || id[n] == '.' || id[n] == '_' || id[n] == '-'))
            return false;
    return true;
}
