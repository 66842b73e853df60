#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The ports of tests: one that a test was given is given to no other that runs beside it, bound or not, until it has ended."""
import os
import socket
import subprocess
import sys
import threading
import unittest
from unittest import mock

PLACE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "integration")
sys.path.insert(0, PLACE)
import ports  # noqa: E402
from waiting import DEADLINE, wait_for  # noqa: E402

# Another test, which would choose the same port; it ends when its standard input does.
OTHER = f"""import secrets, sys
sys.path.insert(0, {PLACE!r})
import ports
turns = iter(range(100000))
secrets.randbelow = lambda n: (int(sys.argv[1]) - 10000 + next(turns)) % n
print(ports.free_port(row=int(sys.argv[2])), flush=True)
sys.stdin.read()
"""


def other(port, row=1):
    return subprocess.Popen([sys.executable, "-c", OTHER, str(port), str(row)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


class PortsTest(unittest.TestCase):
    def test_no_two_tests_get_the_same(self):
        with other(ports.free_port()) as first:
            port = int(first.stdout.readline())
            with other(port) as second, other(port - 2, 3) as third:
                given = {int(second.stdout.readline()), *range(last := int(third.stdout.readline()), last - 3, -1)}
                self.assertNotIn(port, given)
                self.assertEqual(len(given), 4)
                second.stdin.close()
                third.stdin.close()
            first.stdin.close()
        wait_for("a port whose test has ended", lambda: ports.reserve(port))

    def test_within_one_test(self):
        given = [ports.free_port(socket.SOCK_STREAM) for _ in range(ports.RESERVED_MAX // 2)]
        self.assertEqual(len(set(given)), len(given))

    def test_descriptors_are_bounded(self):
        for _ in range(ports.RESERVED_MAX + 50):
            ports.free_port()
        self.assertLessEqual(len(ports.reserved), ports.RESERVED_MAX)

    def test_taken_by_somebody_else(self):
        port = ports.free_port()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind(("127.0.0.1", port))
            ports.give_back([port])
            with mock.patch("secrets.randbelow", side_effect=[port - 10000, port - 9999, port - 9998, port - 9997]):
                self.assertNotEqual(ports.free_port(), port)


class ListenerTest(unittest.TestCase):
    def test_nobody_listens_on(self):
        """A thread in accept() ends with its listener, and takes no connection of the next one."""
        listener = socket.create_server(("127.0.0.1", 0))
        address, begun, ended = listener.getsockname(), threading.Event(), threading.Event()

        def accept():
            begun.set()
            try:
                listener.accept()
            except OSError:
                ended.set()
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        self.assertTrue(begun.wait(DEADLINE))
        wait_for("the thread to wait", lambda: all(state(thread.native_id) == "S" for _ in range(100)))
        ports.close_listener(listener)
        self.assertTrue(ended.wait(DEADLINE))
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(address)


def state(thread):
    with open(f"/proc/self/task/{thread}/stat", encoding="ascii") as f:
        return f.read().rpartition(") ")[2].split()[0]


if __name__ == "__main__":
    unittest.main()
