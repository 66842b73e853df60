/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/authority.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static int port(const char *text, uint16_t *ret, struct error *e)
{
    unsigned n = 0;
    const char *p = text;

    for (; *p >= '0' && *p <= '9' && n <= UINT16_MAX; p++)
        n = n * 10 + (unsigned)(*p - '0');
    if (p == text || *p || n == 0 || n > UINT16_MAX)
        return error_set(e, -EINVAL, "\"%.32s\" is not a port; expected 1 to 65535", text);
    *ret = (uint16_t)n;
    return 0;
}

/* The inside of the brackets: an address, and maybe its zone ("%25eth0" as RFC 6874 writes it, or "%eth0"). */
static int ipv6(const char *text, size_t n, char *host, struct error *e)
{
    const char *percent = memchr(text, '%', n);
    size_t n_address = percent ? (size_t)(percent - text) : n;
    size_t skip = percent && strncmp(percent, "%25", 3) == 0 ? 3 : 1;
    char address[INET6_ADDRSTRLEN];
    struct in6_addr parsed;

    if (n_address >= sizeof(address) || n >= CONFIG_HOST_MAX)
        return error_set(e, -EINVAL, "\"[%.100s\" is not an IPv6 address", text);
    memcpy(address, text, n_address);
    address[n_address] = 0;
    if (inet_pton(AF_INET6, address, &parsed) != 1 || (percent && n_address + skip >= n))
        return error_set(e, -EINVAL, "\"[%.*s]\" is not an IPv6 address", (int)n, text);
    memcpy(host, address, n_address + 1);
    if (percent) {
        size_t n_zone = n - n_address - skip;

        host[n_address] = '%';
        memcpy(host + n_address + 1, percent + skip, n_zone);
        host[n_address + 1 + n_zone] = 0;
    }
    return 0;
}

static bool host_character(char b)
{
    return (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || (b >= '0' && b <= '9') || b == '.' || b == '-' ||
           b == '_';
}

static int name(const char *text, size_t n, const char *rule, char *host, struct error *e)
{
    if (n == 0)
        return error_set(e, -EINVAL, "there is no host; %s", rule);
    if (n >= CONFIG_HOST_MAX)
        return error_set(e, -EINVAL, "the host has %zu characters; at most %d are possible", n, CONFIG_HOST_MAX - 1);
    for (size_t i = 0; i < n; i++)
        if (!host_character(text[i]) || (i == 0 && (text[i] == '.' || text[i] == '-')))
            return error_set(e, -EINVAL,
                             "\"%.*s\" is not a host name; expected letters, digits, '.' and '-', not the latter two "
                             "first",
                             (int)n, text);
    memcpy(host, text, n);
    host[n] = 0;
    return 0;
}

int authority_parse(const char *text, size_t n, const char *scheme, const char *rule,
                    char ret_host[static CONFIG_HOST_MAX], uint16_t *ret_port, struct error *e)
{
    char copy[CONFIG_HOST_MAX + 16], host[CONFIG_HOST_MAX];
    uint16_t found = 0;
    const char *end;
    int r;

    if (n >= sizeof(copy))
        return error_set(e, -EINVAL, "the host has more than %d characters", CONFIG_HOST_MAX - 1);
    memcpy(copy, text, n);
    copy[n] = 0;
    if (copy[0] == '[') {
        end = strchr(copy, ']');
        if (!end)
            return error_set(e, -EINVAL, "the ']' behind the IPv6 address is missing");
        r = ipv6(copy + 1, (size_t)(end - copy - 1), host, e);
        end++;
    } else {
        end = strchrnul(copy, ':');
        if (strchr(end + (*end != 0), ':'))
            return error_set(e, -EINVAL, "an IPv6 address stands in brackets: %s://[%s]", scheme, copy);
        r = name(copy, (size_t)(end - copy), rule, host, e);
    }
    if (r >= 0 && *end && *end != ':')
        r = error_set(e, -EINVAL, "\"%.32s\" behind the address; expected ':' and a port", end);
    if (r >= 0 && *end)
        r = port(end + 1, &found, e);
    if (r < 0)
        return r;
    strcpy(ret_host, host);
    if (found > 0)
        *ret_port = found;
    return 0;
}
