/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "uplink/udp.h"

#include "base/cleanup.h"

static void set_discovery(int fd, bool v6, int v4_value, int v6_value)
{
    const int *value = v6 ? &v6_value : &v4_value;

    /* Without it datagrams go out as the system's default has it: no reason to have no session. */
    (void)setsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER, value,
                     sizeof(*value));
}

static int make_socket(const struct resolver_address *address)
{
    int fd = socket(address->any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    return fd < 0 ? -errno : fd;
}

int udp_connect(const struct resolver_address *address, int *ret_fd, struct error *e)
{
    _cleanup_close_ int fd = make_socket(address);
    char text[RESOLVER_ADDRESS_TEXT_MAX];

    if (fd < 0)
        return error_errno(e, fd, "cannot make a UDP socket%s",
                           fd == -EMFILE || fd == -ENFILE ? " (raise LimitNOFILE=)" : "");
    set_discovery(fd, address->any.sa_family == AF_INET6, IP_PMTUDISC_DO, IPV6_PMTUDISC_DO);
    if (connect(fd, &address->any, address->size) < 0) {
        int r = -errno;

        resolver_address_text(address, text);
        return error_errno(e, r, "no way to %s", text);
    }
    *ret_fd = TAKE_FD(fd);
    return 0;
}

void udp_allow_fragments(int fd, bool v6)
{
    set_discovery(fd, v6, IP_PMTUDISC_DONT, IPV6_PMTUDISC_DONT);
}

bool udp_is_network_error(int error)
{
    switch (error) {
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EPROTO:
    case EACCES:
    case EPERM:
    case EADDRNOTAVAIL:
        return true;
    default:
        return false;
    }
}

int udp_local_address(int fd, struct resolver_address *ret)
{
    struct resolver_address a = {.size = sizeof(a.v6)};

    if (getsockname(fd, &a.any, &a.size) < 0)
        return -errno;
    if (a.any.sa_family == AF_INET6)
        a.v6.sin6_port = 0;
    else
        a.v4.sin_port = 0;
    *ret = a;
    return 0;
}

int udp_local_address_to(const struct resolver_address *peer, struct resolver_address *ret)
{
    _cleanup_close_ int fd = make_socket(peer);

    if (fd < 0)
        return fd;
    if (connect(fd, &peer->any, peer->size) < 0)
        return -errno;
    return udp_local_address(fd, ret);
}
