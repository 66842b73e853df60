/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tcp.h"
#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int resolve(const struct modbus_url *url, struct addrinfo **ret, char *error, size_t error_size)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    int r = getaddrinfo(url->host, url->port, &hints, ret);

    if (r == EAI_NONAME) {
        modbus_host->deadline(RESOLVE_DEADLINE);
        hints.ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV;
        r = getaddrinfo(url->host, url->port, &hints, ret);
        modbus_host->deadline(2 * TIMEOUT_MAX + ATTEMPT_ROOM);
    }
    if (r == 0)
        return 0;
    (void)snprintf(error, error_size, "the name %s cannot be resolved: %s", url->host, gai_strerror(r));
    return -EHOSTUNREACH;
}

static int wait_connected(int fd, uint64_t deadline)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    int failure = 0;
    socklen_t n = sizeof failure;

    for (;;) {
        uint64_t now = monotonic_now();
        if (now >= deadline)
            return -ETIMEDOUT;
        int r = poll(&p, 1, (int)((deadline - now + 999) / 1000));
        if (r < 0 && errno != EINTR)
            return -errno;
        if (r > 0)
            break;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &n) < 0)
        return -errno;
    return -failure;
}

/* Where nobody listens on a local port that the kernel also hands out, TCP can connect a socket to itself. */
static bool is_own(int fd)
{
    struct sockaddr_storage a = {0}, b = {0};
    socklen_t n = sizeof a, m = sizeof b;

    return getsockname(fd, (struct sockaddr *)&a, &n) == 0 && getpeername(fd, (struct sockaddr *)&b, &m) == 0 &&
           n == m && memcmp(&a, &b, n) == 0;
}

/* Requests go out at once, and a peer that does not even acknowledge them is found dead by the kernel. Waiting is done
 * in recv, so the socket blocks from here on. */
static int set_up(int fd)
{
    unsigned silence = (unsigned)(TCP_SILENCE / MSEC);
    int on = 1;

    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &silence, sizeof silence) < 0 || fcntl(fd, F_SETFL, 0) < 0)
        return -errno;
    return 0;
}

static int connect_one(const struct addrinfo *a, uint64_t deadline, int *ret_fd)
{
    int fd = socket(a->ai_family, a->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, a->ai_protocol), r = 0;

    if (fd < 0)
        return -errno;
    if (connect(fd, a->ai_addr, a->ai_addrlen) < 0)
        r = errno == EINPROGRESS ? wait_connected(fd, deadline) : -errno;
    if (r == 0 && is_own(fd))
        r = -ECONNREFUSED;
    if (r == 0)
        r = set_up(fd);
    if (r < 0) {
        close(fd);
        return r;
    }
    *ret_fd = fd;
    return 0;
}

int tcp_connect(const struct modbus_url *url, uint64_t timeout, int *ret_fd, char *error, size_t error_size)
{
    struct addrinfo *addresses = NULL;
    int r = resolve(url, &addresses, error, error_size);

    if (r < 0)
        return r;
    uint64_t end = monotonic_now() + 2 * timeout;
    r = -EHOSTUNREACH;
    for (const struct addrinfo *a = addresses; a && monotonic_now() < end; a = a->ai_next) {
        uint64_t deadline = monotonic_now() + timeout;
        r = connect_one(a, deadline < end ? deadline : end, ret_fd);
        if (r == 0)
            break;
    }
    freeaddrinfo(addresses);
    if (r < 0)
        (void)snprintf(error, error_size, "cannot connect: %s", strerror(-r));
    return r;
}
