# SPDX-License-Identifier: LGPL-2.1-or-later
"""Ports for servers that a test starts."""
import contextlib
import secrets
import socket
import threading

# The oldest are given back: what runs for hours would have no descriptors left.
RESERVED_MAX = 256
reserved, giving = {}, threading.Lock()


def reserve(port):
    """Whether the port is now this process's, among all tests that run beside one another: until it ends it holds a name that only one
    socket can have, in the network namespace in which the port is one."""
    holder = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        holder.bind(f"\0gatehouse-test-port-{port}")
    except OSError:
        holder.close()
        return False
    reserved[port] = holder
    return True


def give_back(ports):
    for port in ports:
        reserved.pop(port).close()


def free_port(kind=socket.SOCK_DGRAM, address="127.0.0.1", row=1):
    """The last of `row` free ports in a row. They are of those that the kernel gives to nobody by itself, and no other test is given
    them until this one has ended: they are there for a server that starts again, and where nobody is to listen nobody does."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as f:
        ephemeral = int(f.read().split()[0])
    while True:
        first = 10000 + secrets.randbelow(ephemeral - row - 10000)
        wanted = range(first, first + row)
        with giving, contextlib.ExitStack() as stack:
            mine = [port for port in wanted if port not in reserved and reserve(port)]
            if len(mine) == row and all(is_free(stack, kind, address, port) for port in wanted):
                give_back(list(reserved)[:-RESERVED_MAX])
                return wanted[-1]
            give_back(mine)


def close_listener(listener):
    """Ends a thread that waits in accept(), too. It would listen on; and where a signal has the system call begun again, with the same
    number, it would take the connections of whatever socket has that number by then."""
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def is_free(stack, kind, address, port):
    s = stack.enter_context(socket.socket(socket.AF_INET, kind))
    try:
        s.bind((address, port))
        return True
    except OSError:
        return False
