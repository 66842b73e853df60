#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The relays of tests go on where nobody listens behind them: an ICMP error wakes a relay, and a send takes it before it receives."""
import contextlib
import os
import socket
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "integration"))
import agent_peers  # noqa: E402
import onpath  # noqa: E402
import uplink_peers  # noqa: E402
from ports import free_port  # noqa: E402
from waiting import DEADLINE  # noqa: E402

SECONDS = 0.5


class Relays(unittest.TestCase):
    def outlives(self, relay):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.connect(("127.0.0.1", relay.port))
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                for _ in range(5):
                    client.send(b"x")
        relay.running = False
        relay.thread.join(DEADLINE)
        self.assertFalse(relay.thread.is_alive(), f"{type(relay).__module__}: it waits for what does not come")

    def test_on_the_path(self):
        self.outlives(onpath.OnPath(free_port()))

    def test_lossy(self):
        self.outlives(agent_peers.LossyProxy(free_port(), seed=1))

    def test_of_uplinks(self):
        with contextlib.ExitStack() as stack:
            self.outlives(uplink_peers.Proxy(stack, free_port()))


if __name__ == "__main__":
    unittest.main()
