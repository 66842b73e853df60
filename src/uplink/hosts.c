/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "uplink/hosts.h"

#include "base/authority.h"
#include "base/limits.h"

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

/* One item of `n` bytes. A zone is of the server's machine, and says nothing here. */
static bool read_host(const char *text, size_t n, uint16_t port, struct host_name *ret)
{
    struct host_name found = {.port = port};

    if (memchr(text, '%', n) || authority_parse(text, n, "", "", found.name, &found.port, NULL) < 0)
        return false;
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
