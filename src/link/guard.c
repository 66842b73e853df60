/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/guard.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/ratelimit.h"
#include "link/frame.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define CHUNK_SIZE (64 * 1024)
_Static_assert(CHUNK_SIZE >= FRAME_AUTH_MAX, "an unfinished handshake fits");

/* What was read on one side and not yet written on the other. */
struct chunk {
    uint8_t data[CHUNK_SIZE];
    size_t begin, end;
    size_t ready; /* bytes from begin that may be written */
};

struct guard {
    guard_closed_fn closed;
    guard_passed_fn passed;
    void *userdata;
    int peer_fd, inner_fd;
    sd_event_source *peer_source, *inner_source, *rate_source;
    struct frame_reader frames;
    struct ratelimit rate;
    bool resting;    /* the byte rate is used up */
    struct chunk in; /* peer to us */
    struct chunk out;
    int descriptors[LINK_DESCRIPTORS_MAX]; /* they go with the first byte of `out` */
    size_t n_descriptors;
};

static void close_descriptors(struct guard *g)
{
    while (g->n_descriptors > 0)
        safe_close(g->descriptors[--g->n_descriptors]);
}

static void end(struct guard *g, int r, const char *reason)
{
    guard_closed_fn closed = g->closed;

    if (!closed)
        return;
    g->closed = NULL;
    sd_event_source_set_enabled(g->peer_source, SD_EVENT_OFF);
    sd_event_source_set_enabled(g->inner_source, SD_EVENT_OFF);
    closed(r, reason, g->userdata);
}

/* Room behind `end` for reading; moves what is left to the front. */
static size_t chunk_room(struct chunk *c)
{
    if (c->begin > 0) {
        memmove(c->data, c->data + c->begin, c->end - c->begin);
        c->end -= c->begin;
        c->begin = 0;
    }
    return sizeof(c->data) - c->end;
}

/* Asks for just the events that there is something to do for. */
static int arm(struct guard *g)
{
    bool in_full = g->in.ready > 0, out_full = g->out.ready > 0;
    uint32_t peer = (out_full ? EPOLLOUT : 0) | (in_full || out_full || g->resting ? 0 : EPOLLIN);
    uint32_t inner = (in_full ? EPOLLOUT : 0) | (out_full ? 0 : EPOLLIN);
    int r = sd_event_source_set_io_events(g->peer_source, peer);

    if (r >= 0)
        r = sd_event_source_set_io_events(g->inner_source, inner);
    return r;
}

static bool would_block(int r)
{
    return r == -EAGAIN || r == -EINTR;
}

/* Writes what is ready, along with descriptors if there are any. 0, or -errno; -EAGAIN is not one. */
static int chunk_write(struct guard *g, struct chunk *c, int fd, bool with_descriptors)
{
    union {
        struct cmsghdr header;
        uint8_t space[CMSG_SPACE(sizeof(int) * LINK_DESCRIPTORS_MAX)];
    } control = {0};
    struct iovec iov = {c->data + c->begin, c->ready};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t n;

    if (c->ready == 0)
        return 0;
    if (with_descriptors && g->n_descriptors > 0) {
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof(int) * g->n_descriptors);
        memcpy(CMSG_DATA(&control.header), g->descriptors, sizeof(int) * g->n_descriptors);
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * g->n_descriptors);
    }
    n = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0)
        return would_block(-errno) ? 0 : -errno;
    if (with_descriptors)
        close_descriptors(g);
    c->begin += (size_t)n;
    c->ready -= (size_t)n;
    return 0;
}

static int rest(struct guard *g, uint64_t now)
{
    int r = sd_event_source_set_time(g->rate_source, ratelimit_next(&g->rate, now, CHUNK_SIZE));

    g->resting = true;
    return r < 0 ? r : sd_event_source_set_enabled(g->rate_source, SD_EVENT_ONESHOT);
}

/* Reads from the driver and checks. 1: something came; 0: nothing now; -ENODATA: the end. */
static int read_peer(struct guard *g, const char **reason)
{
    size_t room = chunk_room(&g->in);
    struct iovec iov = {g->in.data + g->in.end, room};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    uint64_t now = clock_boottime();
    ssize_t n = recvmsg(g->peer_fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    int r;

    if (n < 0)
        return would_block(-errno) ? 0 : -errno;
    if (n == 0)
        return -ENODATA;
    /* There was no room for them, so the kernel has put none into our table. */
    if (message.msg_flags & MSG_CTRUNC) {
        *reason = "it sent a file descriptor";
        return -EPERM;
    }
    /* Never refused: nothing is read before a whole chunk may be. */
    ratelimit_take(&g->rate, now, (uint64_t)n);
    g->in.end += (size_t)n;
    n = frame_read(&g->frames, g->in.data + g->in.begin, g->in.end - g->in.begin);
    if (n < 0) {
        *reason = g->frames.refusal;
        return (int)n;
    }
    g->in.ready = (size_t)n;
    r = ratelimit_next(&g->rate, now, CHUNK_SIZE) > now ? rest(g, now) : 0;
    return r < 0 ? r : 1;
}

static int read_inner(struct guard *g)
{
    union {
        struct cmsghdr header;
        uint8_t space[CMSG_SPACE(sizeof(int) * LINK_DESCRIPTORS_MAX)];
    } control;
    struct iovec iov = {g->out.data, chunk_room(&g->out)};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    struct cmsghdr *c;
    ssize_t n = recvmsg(g->inner_fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    if (n < 0)
        return would_block(-errno) ? 0 : -errno;
    if (n == 0)
        return -ENODATA;
    for (c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        g->n_descriptors = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(g->descriptors, CMSG_DATA(c), sizeof(int) * g->n_descriptors);
    }
    g->out.end += (size_t)n;
    g->out.ready = (size_t)n;
    return 1;
}

static int on_peer(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    struct guard *g = userdata;
    const char *reason = NULL;
    bool passed = false;
    int r = chunk_write(g, &g->out, g->peer_fd, true);

    if (r >= 0 && g->out.ready == 0 && g->in.ready == 0 && !g->resting && (events & (EPOLLIN | EPOLLHUP | EPOLLERR))) {
        r = read_peer(g, &reason);
        if (r > 0) {
            passed = true;
            r = chunk_write(g, &g->in, g->inner_fd, false);
        }
    } else if (r >= 0 && (events & EPOLLHUP) && g->resting) {
        /* Nobody is left to be held up; a hang-up cannot be waited away. */
        r = -ENODATA;
    }
    if (r >= 0)
        r = arm(g);
    if (r == -ENODATA || r == -ECONNRESET || r == -EPIPE)
        end(g, 0, NULL);
    else if (r < 0)
        end(g, r, reason ?: strerror(-r));
    else if (passed)
        g->passed(g->userdata);
    return 0;
}

static int on_inner(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    struct guard *g = userdata;
    int r = chunk_write(g, &g->in, g->inner_fd, false);

    if (r >= 0 && g->out.ready == 0 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR))) {
        r = read_inner(g);
        if (r > 0)
            r = chunk_write(g, &g->out, g->peer_fd, true);
    }
    if (r >= 0)
        r = arm(g);
    if (r == -ENODATA || r == -ECONNRESET || r == -EPIPE)
        end(g, -EBADMSG, "what it sent is not valid D-Bus");
    else if (r < 0)
        end(g, r, strerror(-r));
    return 0;
}

static int on_rate(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct guard *g = userdata;

    g->resting = false;
    return arm(g);
}

static int watch(struct guard *g, sd_event *event)
{
    int r = sd_event_add_io(event, &g->peer_source, g->peer_fd, EPOLLIN, on_peer, g);

    if (r >= 0)
        r = sd_event_add_io(event, &g->inner_source, g->inner_fd, EPOLLIN, on_inner, g);
    if (r >= 0)
        r = sd_event_add_time(event, &g->rate_source, CLOCK_BOOTTIME, 0, USEC_PER_MSEC, on_rate, g);
    if (r >= 0)
        r = sd_event_source_set_enabled(g->rate_source, SD_EVENT_OFF);
    return r;
}

int guard_new(sd_event *event, int peer_fd, guard_closed_fn closed, guard_passed_fn passed, void *userdata,
              struct guard **ret, int *ret_bus_fd)
{
    _cleanup_close_ int peer = peer_fd;
    _cleanup_(guard_freep) struct guard *g = calloc(1, sizeof(*g));
    int pair[2], r;

    if (!g)
        return -ENOMEM;
    g->peer_fd = g->inner_fd = -EBADF;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return -errno;
    _cleanup_close_ int bus_fd = pair[1];
    g->inner_fd = pair[0];
    g->peer_fd = TAKE_FD(peer);
    ratelimit_init(&g->rate, USEC_PER_SEC, LINK_BYTES_PER_SEC);
    r = watch(g, event);
    if (r < 0)
        return r;
    g->closed = closed;
    g->passed = passed;
    g->userdata = userdata;
    *ret = TAKE_PTR(g);
    *ret_bus_fd = TAKE_FD(bus_fd);
    return 0;
}

struct guard *guard_free(struct guard *g)
{
    if (!g)
        return NULL;
    g->closed = NULL;
    if (g->peer_fd >= 0)
        do {
            if (chunk_write(g, &g->out, g->peer_fd, true) < 0)
                break;
        } while (g->out.ready == 0 && read_inner(g) > 0);
    close_descriptors(g);
    sd_event_source_disable_unref(g->peer_source);
    sd_event_source_disable_unref(g->inner_source);
    sd_event_source_disable_unref(g->rate_source);
    safe_close(g->peer_fd);
    safe_close(g->inner_fd);
    free(g);
    return NULL;
}
