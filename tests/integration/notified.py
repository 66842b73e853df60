# SPDX-License-Identifier: LGPL-2.1-or-later
"""What an agent tells the service manager, which `systemctl status` shows."""
import socket


class Notified:
    """STATUS= as the service manager keeps it: the last one."""

    def __init__(self, bench):
        self.path = bench.path("notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.setblocking(False)
        self.status = ""

    def last(self):
        while True:
            try:
                data = self.socket.recv(65536).decode()
            except BlockingIOError:
                return self.status
            for line in data.splitlines():
                if line.startswith("STATUS="):
                    self.status = line[len("STATUS="):]
