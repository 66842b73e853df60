/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The address of an uplink: coaps://HOST[:PORT] or mqtts://HOST[:PORT], HOST a name, an IPv4 address, or an IPv6
 * address in brackets with an optional zone ("[fe80::1%25eth0]"). Paths belong to the profile, keys to the vault:
 * neither may stand here. Pure, any thread. */

#include "base/error.h"
#include "base/limits.h"

#include <stdbool.h>
#include <stdint.h>

struct config_url {
    char host[CONFIG_HOST_MAX]; /* as getaddrinfo() takes it: IPv6 without brackets, the zone behind '%' */
    uint16_t port;
    bool mqtt;
};

/* -EINVAL with what is wrong and what was expected; plaintext schemes are told apart. */
int config_url_parse(const char *text, struct config_url *ret, struct error *e);

/* The address of a cloud's management interface, https://HOST[:PORT][/PATH], or of a proxy on the way there,
 * http(s)://HOST[:PORT], through which the encrypted connection passes whole. -EINVAL as above. */
int config_https_check(const char *text, bool proxy, struct error *e);
