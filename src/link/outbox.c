/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/outbox.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

struct outgoing {
    TAILQ_ENTRY(outgoing) link;
    size_t n;
    int passed;
    char data[];
};

void outbox_init(struct outbox *o)
{
    *o = (struct outbox){.bytes = 0};
    TAILQ_INIT(&o->waiting);
}

static void drop(struct outbox *o, struct outgoing *out)
{
    TAILQ_REMOVE(&o->waiting, out, link);
    o->bytes -= out->n;
    safe_close(out->passed);
    free(out);
}

void outbox_done(struct outbox *o)
{
    while (!TAILQ_EMPTY(&o->waiting))
        drop(o, TAILQ_FIRST(&o->waiting));
}

/* 1: sent; 0: not now. */
static int transmit(int fd, const void *data, size_t n, int passed)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {.space = ""};
    struct iovec iov = {(void *)data, n};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

    if (passed >= 0) {
        m.msg_control = &control;
        m.msg_controllen = sizeof(control);
        *CMSG_FIRSTHDR(&m) =
            (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), &passed, sizeof(int));
    }
    if (sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
        return 1;
    return errno == EAGAIN || errno == EINTR || errno == ENOBUFS ? 0 : -errno;
}

int outbox_append(struct outbox *o, const void *data, size_t n, int passed)
{
    _cleanup_close_ int copy = passed < 0 ? -EBADF : fcntl(passed, F_DUPFD_CLOEXEC, 3);
    struct outgoing *out;

    if (passed >= 0 && copy < 0)
        return -errno;
    out = malloc(sizeof(*out) + n);
    if (!out)
        return -ENOMEM;
    out->n = n;
    out->passed = TAKE_FD(copy);
    memcpy(out->data, data, n);
    TAILQ_INSERT_TAIL(&o->waiting, out, link);
    o->bytes += n;
    return 0;
}

int outbox_send(struct outbox *o, int fd, const void *data, size_t n, int passed)
{
    int r = outbox_empty(o) ? transmit(fd, data, n, passed) : 0;

    return r == 0 ? outbox_append(o, data, n, passed) : MIN_OF(r, 0);
}

void outbox_move(struct outbox *o, struct outbox *from)
{
    TAILQ_CONCAT(&o->waiting, &from->waiting, link);
    o->bytes += from->bytes;
    from->bytes = 0;
}

int outbox_flush(struct outbox *o, int fd)
{
    struct outgoing *out;

    while ((out = TAILQ_FIRST(&o->waiting))) {
        int r = transmit(fd, out->data, out->n, out->passed);

        if (r <= 0)
            return r;
        drop(o, out);
    }
    return 0;
}

bool outbox_empty(const struct outbox *o)
{
    return TAILQ_EMPTY(&o->waiting);
}
