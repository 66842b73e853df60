/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* HOST or HOST:PORT, as it stands in an address of the configuration and in what a broker says: a name, an IPv4
 * address, or an IPv6 address in brackets with an optional zone. Pure, any thread. */

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

/* Reads the first n bytes of the text. The host is written as getaddrinfo() takes it: IPv6 without brackets, the zone
 * behind '%'. Without a port *ret_port stays. -EINVAL: what is wrong; `scheme` and `rule` are for its words. Nothing is
 * written then. */
int authority_parse(const char *text, size_t n, const char *scheme, const char *rule,
                    char ret_host[static CONFIG_HOST_MAX], uint16_t *ret_port, struct error *e);
