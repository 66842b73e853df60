/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "uplink/sockets.h"

#include "base/clock.h"
#include "base/limits.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

TAILQ_HEAD(watch_queue, socket_watch);

struct sockets {
    int fd;
    sd_event_source *source;
    sd_event_source *timer;     /* when the first of `resting` is read again */
    struct watch_queue resting; /* not in the set: an error could not be masked there */
    /* The events of the last epoll_wait(), and how far they were handed out. */
    struct epoll_event events[SOCKETS_PER_TURN];
    int n, next;
};

static int listen_to(struct sockets *s, struct socket_watch *watch)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = watch};

    return epoll_ctl(s->fd, EPOLL_CTL_ADD, watch->fd, &event) < 0 ? -errno : 0;
}

static int arm(struct sockets *s)
{
    const struct socket_watch *first = TAILQ_FIRST(&s->resting);
    int r = first ? sd_event_source_set_time(s->timer, first->until) : 0;

    return r < 0 ? r : sd_event_source_set_enabled(s->timer, first ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
}

static void rest(struct sockets *s, struct socket_watch *watch, uint64_t now)
{
    watch->until = now + DATAGRAMS_REST;
    TAILQ_INSERT_TAIL(&s->resting, watch, link);
    if (arm(s) >= 0) {
        (void)epoll_ctl(s->fd, EPOLL_CTL_DEL, watch->fd, NULL);
        return;
    }
    TAILQ_REMOVE(&s->resting, watch, link);
    watch->until = 0;
}

static int on_rested(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct sockets *s = userdata;
    uint64_t now = clock_boottime();
    struct socket_watch *watch;

    while ((watch = TAILQ_FIRST(&s->resting)) && watch->until <= now) {
        TAILQ_REMOVE(&s->resting, watch, link);
        watch->until = 0;
        if (listen_to(s, watch) < 0) {
            watch->until = now + DATAGRAMS_REST;
            TAILQ_INSERT_TAIL(&s->resting, watch, link);
            break;
        }
    }
    return arm(s);
}

static int on_ready(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    struct sockets *s = userdata;
    uint64_t now = clock_boottime(), until = now + TURN_BUDGET;

    /* epoll puts whoever was told of behind all others: who is not read in time comes after those not yet told of. */
    s->n = epoll_wait(s->fd, s->events, SOCKETS_PER_TURN, 0);
    for (s->next = 0; s->next < s->n && (s->next == 0 || now < until); now = clock_boottime()) {
        struct socket_watch *watch = s->events[s->next++].data.ptr;

        if (watch && ratelimit_take(&watch->rate, now, 1))
            watch->readable(watch);
        else if (watch)
            rest(s, watch, now);
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
    TAILQ_INIT(&s->resting);
    s->fd = epoll_create1(EPOLL_CLOEXEC);
    if (s->fd < 0)
        return -errno;
    r = sd_event_add_io(event, &s->source, s->fd, EPOLLIN, on_ready, s);
    if (r >= 0)
        r = sd_event_add_time(event, &s->timer, CLOCK_BOOTTIME, 0, 10 * USEC_PER_MSEC, on_rested, s);
    if (r >= 0)
        r = sd_event_source_set_enabled(s->timer, SD_EVENT_OFF);
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
    sd_event_source_disable_unref(s->timer);
    safe_close(s->fd);
    free(s);
    return NULL;
}

int sockets_add(struct sockets *s, int fd, struct socket_watch *watch)
{
    watch->fd = fd;
    watch->until = 0;
    ratelimit_init(&watch->rate, DATAGRAMS_BURST * USEC_PER_SEC / DATAGRAMS_PER_SEC, DATAGRAMS_BURST);
    return listen_to(s, watch);
}

void sockets_remove(struct sockets *s, int fd, struct socket_watch *watch)
{
    if (watch->until > 0) {
        TAILQ_REMOVE(&s->resting, watch, link);
        watch->until = 0;
    } else
        (void)epoll_ctl(s->fd, EPOLL_CTL_DEL, fd, NULL);
    for (int i = s->next; i < s->n; i++)
        if (s->events[i].data.ptr == watch)
            s->events[i].data.ptr = NULL;
}
