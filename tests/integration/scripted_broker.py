# SPDX-License-Identifier: LGPL-2.1-or-later
"""A broker that misbehaves as it is told, for what mosquitto cannot be made to do: MQTT 3.1.1 and 5, QoS 1, each client by itself.
stunnel stands before it for TLS with pre-shared keys."""
import os
import socket
import struct
import subprocess
import tempfile
import threading
import time

from ports import close_listener, free_port
from uplink_peers import Lines, check
from waiting import DEADLINE

HANG_UP, RESET, NOTHING = "hang up", "reset", "nothing"
CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT = 1, 2, 3, 4, 8, 9, 10, 11, 12, 13, 14
SERVER_KEEP_ALIVE, SERVER_REFERENCE, REASON_STRING, MAXIMUM_PACKET_SIZE, RECEIVE_MAXIMUM = 19, 28, 31, 39, 33


def text_property(number, text):
    data = text.encode() if isinstance(text, str) else text
    return bytes([number]) + struct.pack(">H", len(data)) + data


def packet(kind, body, flags=0):
    n, length = len(body), b""
    while True:
        length += bytes([n & 127 | (128 if n > 127 else 0)])
        n >>= 7
        if n == 0:
            return bytes([kind << 4 | flags]) + length + body


def number(data, at):
    """Of variable length: the value, and where it ends."""
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if not data[at - 1] & 128:
            return value, at


class Client:
    """One connection."""

    def __init__(self, broker, stream):
        self.broker, self.stream, self.five, self.filters, self.id = broker, stream, False, [], ""
        self.made = time.monotonic()
        self.pings = []  # when they came
        self.sent_last = self.made  # when something came at all

    def send(self, kind, body, flags=0):
        self.stream.sendall(packet(kind, body, flags))

    def properties(self, data=b""):
        return bytes([len(data)]) + data if self.five else b""

    def disconnect(self, reason, properties=b""):
        self.send(DISCONNECT, bytes([reason]) + self.properties(properties))
        self.stream.shutdown(socket.SHUT_WR)

    def read(self, n):
        data = b""
        while len(data) < n:
            part = self.stream.recv(n - len(data))
            if not part:
                raise ConnectionError
            data += part
        return data

    def serve(self):
        while True:
            first, n, shift = self.read(1)[0], 0, 0
            while True:
                byte = self.read(1)[0]
                n |= (byte & 127) << shift
                shift += 7
                if not byte & 128:
                    break
            self.sent_last = time.monotonic()
            if not self.take(first >> 4, first & 15, self.read(n)):
                return

    def take(self, kind, flags, body):
        if kind == CONNECT:
            self.broker.connects += 1
            self.five = body[6] == 5
            at = 10
            self.keepalive = struct.unpack(">H", body[8:10])[0]
            if self.five:
                n, at = number(body, at)
                at += n
            n = struct.unpack(">H", body[at:at + 2])[0]
            self.id = body[at + 2:at + 2 + n].decode()
            code = self.broker.connack if self.five else 0
            self.send(CONNACK, bytes([0, code]) + self.properties(self.broker.connack_properties))
            return code == 0
        if kind == PUBLISH:
            return self.publish(flags, body)
        if kind == SUBSCRIBE:
            mid, at, codes = body[:2], 2, b""
            if self.five:
                n, at = number(body, at)
                at += n
            while at < len(body):
                n = struct.unpack(">H", body[at:at + 2])[0]
                topic = body[at + 2:at + 2 + n].decode()
                at += n + 3
                code = self.broker.suback(topic)
                if code < 0x80:
                    self.filters.append(topic)
                codes += bytes([code])
            self.send(SUBACK, mid + self.properties(self.broker.suback_properties) + codes)
        elif kind == UNSUBSCRIBE:
            self.send(UNSUBACK, body[:2] + (self.properties() + b"\0" if self.five else b""))
        elif kind == PINGREQ:
            self.pings.append(time.monotonic())
            if self.broker.answers_pings:
                self.send(PINGRESP, b"")
        return kind != DISCONNECT

    def publish(self, flags, body):
        n = struct.unpack(">H", body[:2])[0]
        topic, at = body[2:2 + n].decode(), 2 + n
        mid = body[at:at + 2] if flags & 6 else b""
        at += len(mid)
        if self.five:
            size, at = number(body, at)
            at += size
        payload = body[at:]
        todo = self.broker.publish(self, topic, payload)
        self.broker.seen.append((topic, payload, todo))
        if todo is NOTHING:
            return True
        if todo is RESET:
            self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        if todo is HANG_UP:
            return False
        if isinstance(todo, tuple):  # DISCONNECT: reason, properties
            self.disconnect(*todo)
            return False
        reason = todo or 0
        self.acknowledge(mid, reason)
        if reason < 0x80:
            for one in self.filters:
                if one == topic:
                    self.send(PUBLISH, struct.pack(">H", len(topic)) + topic.encode() + self.properties() + payload)
        return True

    def acknowledge(self, mid, reason=0):
        self.send(PUBACK, mid + (bytes([reason]) + self.properties(self.broker.puback_properties) if self.five and reason else b""))


class ScriptedBroker:
    """`publish(client, topic, payload)`: None or 0 to acknowledge, a reason code to acknowledge with, a tuple (reason, properties) for
    DISCONNECT, or HANG_UP, RESET, NOTHING. All that was published is in `seen`, with what became of it."""

    def __init__(self, stack, keys, publish=lambda client, topic, payload: None):
        self.publish, self.suback, self.connack, self.answers_pings = publish, lambda topic: 1, 0, True
        self.connack_properties = self.suback_properties = self.puback_properties = b""
        self.seen, self.clients, self.connects = [], [], 0
        self.directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="gatehouse-broker-"))
        self.port, self.stopped = free_port(socket.SOCK_STREAM), False
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        stack.callback(self.stop)
        threading.Thread(target=self.accept, daemon=True).start()
        secrets, conf = os.path.join(self.directory, "psk"), os.path.join(self.directory, "stunnel.conf")
        with open(secrets, "w", encoding="ascii", opener=lambda p, f: os.open(p, f, 0o600)) as f:
            f.writelines(f"{identity}:{(key.encode() if isinstance(key, str) else key).hex()}\n" for identity, key in keys.items())
        with open(conf, "w", encoding="ascii") as f:
            f.write(f"foreground = yes\nsyslog = no\npid =\n[mqtt]\naccept = 127.0.0.1:{self.port}\n"
                    f"connect = 127.0.0.1:{self.listener.getsockname()[1]}\nPSKsecrets = {secrets}\nsslVersionMin = TLSv1.2\n"
                    "TIMEOUTclose = 0\n")
        self.front = subprocess.Popen(["stunnel", conf], text=True, errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        Lines(self.front.stdout).expect("Configuration successful")

    def accept(self):
        while not self.stopped:
            try:
                stream, _ = self.listener.accept()
            except OSError:
                return
            client = Client(self, stream)
            self.clients.append(client)
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    @staticmethod
    def serve(client):
        try:
            client.serve()
        except (OSError, IndexError, struct.error):
            pass  # the client has gone
        client.stream.close()

    def connections(self):
        return len([client for client in self.clients if client.id])

    def payloads(self, accepted=True):
        """Of what was published and acknowledged (or not)."""
        return [(topic, payload) for topic, payload, todo in list(self.seen) if (todo in (None, 0)) == accepted]

    def stop(self):
        self.stopped = True
        self.front.kill()
        self.front.wait(DEADLINE)
        close_listener(self.listener)
        for client in self.clients:
            try:
                client.stream.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        check(True, "")
