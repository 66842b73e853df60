/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/address.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define USUAL "unix:path=/run/dbus/system_bus_socket"

static int digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* A value with its %XX undone, up to `end`. Its length, or negative. */
static ssize_t unescape(const char *text, const char *end, char *ret, size_t size)
{
    size_t n = 0;

    while (text < end) {
        char c = *text++;

        if (c == '%') {
            if (end - text < 2 || digit(text[0]) < 0 || digit(text[1]) < 0)
                return -EINVAL;
            c = (char)(digit(text[0]) << 4 | digit(text[1]));
            text += 2;
        }
        if (n == size || c == 0)
            return -EINVAL;
        ret[n++] = c;
    }
    return (ssize_t)n;
}

/* One "key=value" of an entry. 1: it says where. 0: it says something else. */
static int parse_pair(const char *text, const char *end, struct sockaddr_un *ret, socklen_t *ret_size)
{
    bool abstract = strncmp(text, "abstract=", 9) == 0;
    size_t before = abstract ? 1 : 0;
    ssize_t n;

    if (!abstract && strncmp(text, "path=", 5) != 0)
        return 0;
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    n = unescape(text + (abstract ? 9 : 5), end, ret->sun_path + before, sizeof(ret->sun_path) - 1 - before);
    if (n <= 0)
        return -EINVAL;
    *ret_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + before + (size_t)n + (abstract ? 0 : 1));
    return 1;
}

static int parse_entry(const char *text, const char *end, struct sockaddr_un *ret, socklen_t *ret_size)
{
    if (strncmp(text, "unix:", 5) != 0)
        return 0;
    text += 5;
    while (text < end) {
        const char *comma = memchr(text, ',', (size_t)(end - text)) ?: end;
        int r = parse_pair(text, comma, ret, ret_size);

        if (r != 0)
            return r;
        text = comma + (comma < end);
    }
    return 0;
}

int address_parse(const char *text, struct sockaddr_un *ret, socklen_t *ret_size)
{
    for (text = text ?: USUAL; *text;) {
        const char *end = strchrnul(text, ';');
        int r = parse_entry(text, end, ret, ret_size);

        if (r > 0)
            return 0;
        text = end + (*end == ';');
    }
    return -EINVAL;
}
