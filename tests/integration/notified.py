# SPDX-License-Identifier: LGPL-2.1-or-later
"""What an agent tells the service manager, which `systemctl status` shows."""
import socket
import threading


class Notified:
    """STATUS= as the service manager keeps it: the last one. Read as it comes, since the agent waits while nobody does."""

    def __init__(self, bench):
        self.path = bench.path("notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.status = ""
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        while True:
            for line in self.socket.recv(65536).decode().splitlines():
                if line.startswith("STATUS="):
                    self.status = line[len("STATUS="):]

    def last(self):
        return self.status
