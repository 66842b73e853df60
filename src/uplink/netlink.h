/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Tells when the machine's addresses, routes or links have changed (RTNETLINK), at most once in NETWORK_SETTLE: a
 * change of network comes as many messages. What has changed is for the listener to find out. Loop thread only. */

#include "base/cleanup.h"

#include <systemd/sd-event.h>

struct network;

/* Negative errno where there is no AF_NETLINK (a strict sandbox): sessions then find a change by their own silence. */
int network_new(sd_event *event, void (*changed)(void *userdata), void *userdata, struct network **ret);
struct network *network_free(struct network *n);
DEFINE_FREEP(struct network, network_free)
