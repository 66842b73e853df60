/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "registrar/channel.h"

#include "base/clock.h"
#include "registrar/offer.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

struct channel {
    int fd;
    sd_event_source *io, *timer;
    char *request; /* NULL: sent */
    size_t size, written;
    char *answer;
    size_t received;
    channel_done *done;
    void *userdata;
};

struct channel *channel_free(struct channel *c)
{
    if (!c)
        return NULL;
    sd_event_source_disable_unref(c->io);
    sd_event_source_disable_unref(c->timer);
    safe_close(c->fd);
    offer_free(c->request);
    free(c->answer);
    free(c);
    return NULL;
}

bool channel_sent(const struct channel *c)
{
    return !c->request;
}

/* The last that is done with the channel here: `done` may free it. */
static int finish(struct channel *c, int r)
{
    sd_event_source_set_enabled(c->io, SD_EVENT_OFF);
    sd_event_source_set_enabled(c->timer, SD_EVENT_OFF);
    c->done(r, !c->request, c->answer, c->received, c->userdata);
    return 0;
}

static int send_more(struct channel *c)
{
    ssize_t n = send(c->fd, c->request + c->written, c->size - c->written, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : finish(c, -errno);
    c->written += (size_t)n;
    if (c->written < c->size)
        return 0;
    c->request = offer_free(c->request);
    if (shutdown(c->fd, SHUT_WR) < 0)
        return finish(c, -errno);
    return sd_event_source_set_io_events(c->io, EPOLLIN);
}

static int receive_more(struct channel *c)
{
    ssize_t n = recv(c->fd, c->answer + c->received, REGISTRAR_MESSAGE_MAX + 1 - c->received, MSG_DONTWAIT);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : finish(c, -errno);
    c->received += (size_t)n;
    if (c->received > REGISTRAR_MESSAGE_MAX)
        return finish(c, -EMSGSIZE);
    return n == 0 ? finish(c, c->received > 0 ? 0 : -ECONNRESET) : 0;
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    struct channel *c = userdata;

    return c->request ? send_more(c) : receive_more(c);
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
    return finish(userdata, -ETIMEDOUT);
}

static int open_socket(const char *path, int *ret, struct error *e)
{
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (fd < 0)
        return error_errno(e, -errno, "no socket to the registrar");
    if (strlen(path) >= sizeof(address.sun_path))
        return error_set(e, -ENAMETOOLONG, "%s: a socket's path has at most %zu characters", path,
                         sizeof(address.sun_path) - 1);
    memcpy(address.sun_path, path, strlen(path));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        int r = -errno;

        if (r == -ENOENT || r == -ECONNREFUSED)
            return error_set(e, r, "no registrar listens at %s: is its .socket unit started?", path);
        return error_errno(e, r, "the registrar at %s cannot be reached", path);
    }
    *ret = TAKE_FD(fd);
    return 0;
}

int channel_new(sd_event *event, const char *path, char *request, uint64_t timeout, channel_done *done, void *userdata,
                struct channel **ret, struct error *e)
{
    _cleanup_(channel_freep) struct channel *c = calloc(1, sizeof(*c));
    int r;

    if (!c) {
        offer_free(request);
        return -ENOMEM;
    }
    *c =
        (struct channel){.fd = -EBADF, .request = request, .size = strlen(request), .done = done, .userdata = userdata};
    c->answer = malloc(REGISTRAR_MESSAGE_MAX + 1);
    if (!c->answer)
        return -ENOMEM;
    if (c->size > REGISTRAR_MESSAGE_MAX)
        return error_set(e, -EMSGSIZE, "the request to the registrar is longer than %d bytes", REGISTRAR_MESSAGE_MAX);
    r = open_socket(path, &c->fd, e);
    if (r < 0)
        return r;
    r = sd_event_add_io(event, &c->io, c->fd, EPOLLOUT, on_io, c);
    if (r >= 0)
        r = sd_event_add_time(event, &c->timer, CLOCK_BOOTTIME, clock_boottime() + timeout, USEC_PER_SEC, on_timeout,
                              c);
    if (r < 0)
        return error_errno(e, r, "the registrar at %s cannot be waited for", path);
    *ret = TAKE_PTR(c);
    return 0;
}
