# SPDX-License-Identifier: LGPL-2.1-or-later
"""An attacker on the path: every datagram between the agent and its clouds goes through here.

    path = OnPath(cloud.port)          # gatehouse.json names path.url
    path.lead(attacker.port)           # from now on another server answers, one that holds an old key, perhaps
    path.lead(None)                    # nobody does
    path.forge_alerts({"abc-2"})       # a clear-text alert after each proof of this identity's key
    path.identities_since(mark)        # what the agent showed in clear text, in order

It holds no key itself and reads nothing but what any router could.
"""
import select
import socket
import threading
import time

CONTENT_ALERT, CONTENT_HANDSHAKE = 21, 22
RECORD_HEADER, MESSAGE_HEADER = 13, 12
CLIENT_KEY_EXCHANGE = 16
ALERT_SEQUENCE = 0x1000  # beyond what a server has used in its first flights


def record(kind, sequence, payload):
    """A record in clear text."""
    return bytes([kind, 0xFE, 0xFD, 0, 0]) + sequence.to_bytes(6, "big") + len(payload).to_bytes(2, "big") + payload


def shown_identity(datagram):
    """The identity in a ClientKeyExchange, or None."""
    at = 0
    while at + RECORD_HEADER <= len(datagram):
        kind, epoch = datagram[at], int.from_bytes(datagram[at + 3:at + 5], "big")
        size = int.from_bytes(datagram[at + 11:at + 13], "big")
        body = datagram[at + RECORD_HEADER:at + RECORD_HEADER + size]
        if kind == CONTENT_HANDSHAKE and epoch == 0 and body[:1] == bytes([CLIENT_KEY_EXCHANGE]):
            exchange = body[MESSAGE_HEADER:]
            return exchange[2:2 + int.from_bytes(exchange[:2], "big")].decode(errors="replace")
        at += RECORD_HEADER + size
    return None


class OnPath:
    def __init__(self, port, front=("127.0.0.1", 0)):
        self.front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.front.bind(front)
        self.port = self.front.getsockname()[1]
        self.lock, self.server = threading.Lock(), port
        self.backs = {}        # address of a client: socket towards its server
        self.identities = []   # (monotonic time, identity), one for each proof that was shown
        self.alerts_for, self.alert, self.alerts = (), b"\x02\x28", 0
        self.datagrams = {"up": 0, "down": 0, "dropped": 0}
        self.running = True
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"coaps://127.0.0.1:{self.port}"

    def end(self):
        self.running = False
        self.thread.join()
        self.front.close()
        self._forget()

    # --- what the attacker does ---

    def lead(self, port):
        """All clients, those with a session too, get to the server at this port of 127.0.0.1; None: to nobody."""
        with self.lock:
            self.server = port
            self._forget()

    def forge_alerts(self, identities, alert=b"\x02\x28"):
        """After each proof of a key of these identities (a set; True: of any) an alert in clear text, as if from the server;
        what the server itself says still arrives. An empty set ends it."""
        with self.lock:
            self.alerts_for, self.alert = identities, alert

    def mark(self):
        """To be given as `since`."""
        return len(self.identities)

    def identities_since(self, since=0):
        return [identity for _, identity in self.identities[since:]]

    # --- the thread ---

    def _forget(self):
        for back in self.backs.values():
            back.close()
        self.backs = {}

    def _run(self):
        while self.running:
            with self.lock:
                sockets = [self.front, *self.backs.values()]
            try:
                ready, _, _ = select.select(sockets, [], [], 0.02)
            except (OSError, ValueError):
                continue  # led elsewhere meanwhile
            with self.lock:
                for s in ready:
                    try:
                        # Without waiting: what made it ready may have been an ICMP error, which a send has taken since.
                        self._up() if s is self.front else self._down(s)
                    except OSError:
                        pass  # what ICMP reports is lost like anything else

    def _up(self):
        datagram, client = self.front.recvfrom(65536, socket.MSG_DONTWAIT)
        identity = shown_identity(datagram)
        if self.server is None:
            self.datagrams["dropped"] += 1
            return
        if identity is not None:
            self.identities.append((time.monotonic(), identity))
        if client not in self.backs:
            self.backs[client] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.backs[client].connect(("127.0.0.1", self.server))
        self.datagrams["up"] += 1
        self.backs[client].send(datagram)
        if identity is not None and (self.alerts_for is True or identity in (self.alerts_for or ())):
            self.alerts += 1
            self.front.sendto(record(CONTENT_ALERT, ALERT_SEQUENCE + self.alerts, self.alert), client)

    def _down(self, back):
        client = next((c for c, b in self.backs.items() if b is back), None)
        if client is None or back.fileno() < 0:
            return  # it was led elsewhere between the wait and now
        datagram = back.recv(65536, socket.MSG_DONTWAIT)
        self.datagrams["down"] += 1
        self.front.sendto(datagram, client)
