/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "uplink/netlink.h"

#include "base/clock.h"
#include "base/limits.h"

#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <sys/socket.h>

struct network {
    int fd;
    sd_event_source *io, *settle;
    void (*changed)(void *userdata);
    void *userdata;
};

static int on_settled(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct network *n = userdata;

    n->changed(n->userdata);
    return 0;
}

static int on_message(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    struct network *n = userdata;
    uint8_t ignored[1]; /* with MSG_TRUNC a datagram is taken whole, and what it says does not matter */
    int on = SD_EVENT_OFF;

    for (int i = 0; i < NETWORK_MESSAGES_PER_TURN; i++)
        if (recv(fd, ignored, sizeof(ignored), MSG_DONTWAIT | MSG_TRUNC) < 0 && errno != ENOBUFS && errno != EINTR)
            break;
    (void)sd_event_source_get_enabled(n->settle, &on);
    if (on != SD_EVENT_OFF)
        return 0;
    (void)sd_event_source_set_time(n->settle, clock_boottime() + NETWORK_SETTLE);
    (void)sd_event_source_set_enabled(n->settle, SD_EVENT_ONESHOT);
    return 0;
}

int network_new(sd_event *event, void (*changed)(void *userdata), void *userdata, struct network **ret)
{
    const struct sockaddr_nl address = {
        .nl_family = AF_NETLINK,
        .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE,
    };
    _cleanup_(network_freep) struct network *n = calloc(1, sizeof(*n));
    int r;

    if (!n)
        return -ENOMEM;
    n->changed = changed;
    n->userdata = userdata;
    n->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (n->fd < 0 || bind(n->fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return -errno;
    r = sd_event_add_io(event, &n->io, n->fd, EPOLLIN, on_message, n);
    if (r >= 0)
        r = sd_event_add_time(event, &n->settle, CLOCK_BOOTTIME, 0, 0, on_settled, n);
    if (r >= 0)
        r = sd_event_source_set_enabled(n->settle, SD_EVENT_OFF);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(n);
    return 0;
}

struct network *network_free(struct network *n)
{
    if (!n)
        return NULL;
    sd_event_source_disable_unref(n->io);
    sd_event_source_disable_unref(n->settle);
    safe_close(n->fd);
    free(n);
    return NULL;
}
