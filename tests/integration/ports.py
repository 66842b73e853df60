# SPDX-License-Identifier: LGPL-2.1-or-later
"""Ports for servers that a test starts."""
import contextlib
import secrets
import socket
import threading

given, giving = set(), threading.Lock()


def free_port(kind=socket.SOCK_DGRAM, address="127.0.0.1", row=1):
    """The last of `row` free ports in a row. They are of those that the kernel gives to nobody by itself, and are given once,
    so they stay free until they are bound."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as f:
        ephemeral = int(f.read().split()[0])
    while True:
        first = 10000 + secrets.randbelow(ephemeral - row - 10000)
        wanted = range(first, first + row)
        with giving, contextlib.ExitStack() as stack:
            if given.intersection(wanted) or not all(is_free(stack, kind, address, port) for port in wanted):
                continue
            given.update(wanted)
            return wanted[-1]


def is_free(stack, kind, address, port):
    s = stack.enter_context(socket.socket(socket.AF_INET, kind))
    try:
        s.bind((address, port))
        return True
    except OSError:
        return False
