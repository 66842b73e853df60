/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Connected UDP sockets: what the kernel is asked about them. Any thread; negative errno with words in `e`. */

#include "base/error.h"
#include "uplink/resolver.h"

#include <stdbool.h>

/* A nonblocking socket connected to the address, its datagrams not to be fragmented on the way. */
int udp_connect(const struct resolver_address *address, int *ret_fd, struct error *e);
/* Whether routers (and we) may fragment what it sends. */
void udp_allow_fragments(int fd, bool v6);
/* Whether an errno of such a socket is the network's word (ICMP, routing, a firewall) rather than ours. */
bool udp_is_network_error(int error);

/* The local address that the kernel chose, without its port. */
int udp_local_address(int fd, struct resolver_address *ret);
/* The one that it would choose now for a socket to `peer`. */
int udp_local_address_to(const struct resolver_address *peer, struct resolver_address *ret);
