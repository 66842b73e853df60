# SPDX-License-Identifier: LGPL-2.1-or-later
"""Ports for servers that a test starts."""
import secrets
import socket


def free_port(kind=socket.SOCK_DGRAM, address="127.0.0.1"):
    """Of those that the kernel gives to nobody by itself: it stays free until it is bound."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as f:
        ephemeral = int(f.read().split()[0])
    while True:
        with socket.socket(socket.AF_INET, kind) as s:
            try:
                s.bind((address, 10000 + secrets.randbelow(ephemeral - 10000)))
                return s.getsockname()[1]
            except OSError:
                continue
