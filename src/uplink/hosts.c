/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "uplink/hosts.h"

#include "base/limits.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static_assert(UPLINK_HOSTS_MAX <= 32, "a round has a bit for each");

static bool is_away(const struct hosts_away *away, size_t host, uint64_t now)
{
    return away->since[host] != 0 && now - away->since[host] < HOST_AWAY_KNOWN;
}

size_t hosts_next(const struct hosts_away *away, size_t n, struct hosts_round *round, uint64_t now)
{
    size_t chosen = n;

    for (size_t i = 0; i < n; i++) {
        if (round->tried & UINT32_C(1) << i)
            continue;
        if (chosen == n)
            chosen = i;
        if (!is_away(away, i, now)) {
            chosen = i;
            break;
        }
    }
    if (chosen == n)
        return 0;
    round->tried |= UINT32_C(1) << chosen;
    return chosen;
}

bool hosts_round_over(const struct hosts_round *round, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!(round->tried & UINT32_C(1) << i))
            return false;
    return true;
}

void hosts_found(struct hosts_away *away, size_t host, bool somebody, uint64_t now)
{
    away->since[host] = somebody ? 0 : now;
}

static bool read_port(const char *text, size_t n, uint16_t *ret)
{
    unsigned port = 0;

    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9' || port > UINT16_MAX)
            return false;
        port = port * 10 + (unsigned)(text[i] - '0');
    }
    if (n == 0 || port == 0 || port > UINT16_MAX)
        return false;
    *ret = (uint16_t)port;
    return true;
}

/* Letters, digits, '.', '-' and '_'; an address in numbers is such a name too. */
static bool is_name(const char *text, size_t n)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";

    if (n == 0 || n >= CONFIG_HOST_MAX || text[0] == '.' || text[0] == '-')
        return false;
    for (size_t i = 0; i < n; i++)
        if (!memchr(allowed, text[i], sizeof(allowed) - 1))
            return false;
    return true;
}

static bool is_v6(const char *text, size_t n)
{
    char copy[INET6_ADDRSTRLEN];
    struct in6_addr address;

    if (n >= sizeof(copy))
        return false;
    memcpy(copy, text, n);
    copy[n] = 0;
    return inet_pton(AF_INET6, copy, &address) == 1;
}

/* One item of `n` bytes. */
static bool read_host(const char *text, size_t n, uint16_t port, struct host_name *ret)
{
    bool six = text[0] == '[';
    const char *end = memchr(text, six ? ']' : ':', n);
    size_t begin = six ? 1 : 0, host = end ? (size_t)(end - text) - begin : n;
    const char *rest = end ? end + begin : text + n;
    struct host_name found = {.port = port};

    if (six && !end)
        return false;
    if (rest < text + n && (*rest != ':' || !read_port(rest + 1, (size_t)(text + n - rest - 1), &found.port)))
        return false;
    if (six ? !is_v6(text + 1, host) : !is_name(text, host))
        return false;
    memcpy(found.name, text + begin, host);
    *ret = found;
    return true;
}

int hosts_reference(const char *text, uint16_t port, struct host_name *ret)
{
    static const char between[] = " ,";

    while (*text) {
        size_t n;

        text += strspn(text, between);
        n = strcspn(text, between);
        if (n > 0 && read_host(text, n, port, ret))
            return 0;
        text += n;
    }
    return -EINVAL;
}

void hosts_text(const struct host_name *host, char ret[static HOST_TEXT_MAX])
{
    snprintf(ret, HOST_TEXT_MAX, strchr(host->name, ':') ? "[%s]:%u" : "%s:%u", host->name, host->port);
}
