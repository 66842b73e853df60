/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "control.h"

#include "commands.h"

#include "base/json.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define LINE_MAX_SIZE 65536

struct connection {
    int fd; /* -EBADF: free */
    size_t used;
    char *buffer;
};

struct control {
    struct cloud *cloud;
    int fd;
    char *path;
    struct connection connections[CONTROL_CLIENTS_MAX];
};

int control_new(const char *path, struct cloud *cloud, struct control **ret, struct error *e)
{
    _cleanup_(control_freep) struct control *c = calloc(1, sizeof(*c));
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    mode_t mask;
    int r;

    if (!c)
        return -ENOMEM;
    c->cloud = cloud;
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
        c->connections[i].fd = -EBADF;
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c->fd < 0 || strlen(path) >= sizeof(address.sun_path))
        return error_errno(e, c->fd < 0 ? -errno : -ENAMETOOLONG, "cannot make the control socket %s", path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    (void)!unlink(path);
    mask = umask(0177);
    r = bind(c->fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(c->fd, 8) < 0 ? -errno : 0;
    umask(mask);
    if (r < 0)
        return error_errno(e, r, "cannot make the control socket %s", path);
    c->path = strdup(path);
    *ret = TAKE_PTR(c);
    return 0;
}

static void connection_close(struct connection *k)
{
    k->fd = safe_close(k->fd);
    free(k->buffer);
    k->buffer = NULL;
    k->used = 0;
}

struct control *control_free(struct control *c)
{
    if (!c)
        return NULL;
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
        connection_close(&c->connections[i]);
    safe_close(c->fd);
    if (c->path)
        unlink(c->path);
    free(c->path);
    free(c);
    return NULL;
}

size_t control_poll(struct control *c, struct pollfd *fds)
{
    size_t n = 0;

    fds[n++] = (struct pollfd){.fd = c->fd, .events = POLLIN};
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
        if (c->connections[i].fd >= 0)
            fds[n++] = (struct pollfd){.fd = c->connections[i].fd, .events = POLLIN};
    return n;
}

static void connection_accept(struct control *c)
{
    int fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    for (size_t i = 0; fd >= 0 && i < CONTROL_CLIENTS_MAX; i++)
        if (c->connections[i].fd < 0) {
            c->connections[i].buffer = malloc(LINE_MAX_SIZE);
            c->connections[i].fd = c->connections[i].buffer ? TAKE_FD(fd) : -EBADF;
        }
    safe_close(fd);
}

static int reply(int fd, const char *line, size_t n, struct cloud *cloud)
{
    _cleanup_json_ json_object *answer = commands_run(cloud, line, n);
    const char *text = json_object_to_json_string_ext(answer, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
    struct iovec parts[] = {{.iov_base = (char *)text, .iov_len = strlen(text)},
                            {.iov_base = (char *)"\n", .iov_len = 1}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = ELEMENTSOF(parts)};
    size_t total = parts[0].iov_len + 1;
    int size = (int)MIN_OF(total * 2, (size_t)64 * 1024 * 1024);

    (void)!setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    return sendmsg(fd, &message, MSG_NOSIGNAL) == (ssize_t)total ? 0 : -EPIPE;
}

static int read_lines(struct connection *k, struct cloud *cloud)
{
    ssize_t n = read(k->fd, k->buffer + k->used, LINE_MAX_SIZE - k->used);
    char *newline;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0)
        return -ECONNRESET;
    k->used += (size_t)n;
    while ((newline = memchr(k->buffer, '\n', k->used))) {
        size_t length = (size_t)(newline - k->buffer);
        int r = reply(k->fd, k->buffer, length, cloud);

        if (r < 0)
            return r;
        k->used -= length + 1;
        memmove(k->buffer, newline + 1, k->used);
    }
    return k->used == LINE_MAX_SIZE ? -EFBIG : 0;
}

void control_process(struct control *c, const struct pollfd *fds, size_t n)
{
    for (size_t i = 1; i < n; i++)
        for (size_t k = 0; fds[i].revents && k < CONTROL_CLIENTS_MAX; k++)
            if (c->connections[k].fd == fds[i].fd && read_lines(&c->connections[k], c->cloud) < 0)
                connection_close(&c->connections[k]);
    if (fds[0].revents)
        connection_accept(c);
}
