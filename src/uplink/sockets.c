/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "uplink/sockets.h"

#include "base/clock.h"
#include "base/limits.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

struct sockets {
    int fd;
    sd_event_source *source;
    /* What the last question brought, and how far that was handed out. */
    struct epoll_event events[SOCKETS_PER_TURN];
    int n, next;
};

static int on_ready(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    struct sockets *s = userdata;

    uint64_t until = clock_boottime() + TURN_BUDGET;

    /* epoll puts whoever was told of behind all others: who is not read in time comes after those not yet told of. */
    s->n = epoll_wait(s->fd, s->events, SOCKETS_PER_TURN, 0);
    for (s->next = 0; s->next < s->n && (s->next == 0 || clock_boottime() < until);) {
        struct socket_watch *watch = s->events[s->next++].data.ptr;

        if (watch)
            watch->readable(watch);
    }
    s->n = 0;
    return 0;
}

int sockets_new(sd_event *event, struct sockets **ret)
{
    _cleanup_(sockets_freep) struct sockets *s = calloc(1, sizeof(*s));
    int r;

    if (!s)
        return -ENOMEM;
    s->fd = epoll_create1(EPOLL_CLOEXEC);
    if (s->fd < 0)
        return -errno;
    r = sd_event_add_io(event, &s->source, s->fd, EPOLLIN, on_ready, s);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(s);
    return 0;
}

struct sockets *sockets_free(struct sockets *s)
{
    if (!s)
        return NULL;
    sd_event_source_disable_unref(s->source);
    safe_close(s->fd);
    free(s);
    return NULL;
}

int sockets_add(struct sockets *s, int fd, struct socket_watch *watch)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = watch};

    return epoll_ctl(s->fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

void sockets_remove(struct sockets *s, int fd, struct socket_watch *watch)
{
    (void)epoll_ctl(s->fd, EPOLL_CTL_DEL, fd, NULL);
    for (int i = s->next; i < s->n; i++)
        if (s->events[i].data.ptr == watch)
            s->events[i].data.ptr = NULL;
}
