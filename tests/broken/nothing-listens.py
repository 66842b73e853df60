# SPDX-License-Identifier: LGPL-2.1-or-later
"""A port at which nothing listens."""
import socket

import harness

FINDING = "port-closed"
WORDS = ["nothing listens there", "sudoedit"]


def set_up(w):
    w.sim()
    w.bench.write_config(f"coaps://127.0.0.1:{harness.free_port(socket.SOCK_DGRAM)}")
    w.start(cloud=False)
