# SPDX-License-Identifier: LGPL-2.1-or-later
"""A D-Bus client of one connection, for what busctl cannot do: pass descriptors, stay subscribed, be somebody else.

    with Client(bench) as c:
        c.call(path, "org.gatehouse1.Device", "SetCredential", "ssha{sv}", "main", "abc-1", fd, {"encoding": ("s", "hex")})

Values are Python's own; a variant is a pair (signature, value), going in as well as coming out (as a Variant). Descriptors come as numbers
that are the caller's to close. An error answer raises Error with its name.
"""
import array
import os
import socket
import struct
import time
import typing

import harness

CALL, RETURN, ERROR, SIGNAL = 1, 2, 3, 4
PATH, INTERFACE, MEMBER, ERROR_NAME, REPLY_SERIAL, DESTINATION, SENDER, SIGNATURE, FDS = range(1, 10)
FIELD_TYPES = {PATH: "o", INTERFACE: "s", MEMBER: "s", ERROR_NAME: "s", DESTINATION: "s", REPLY_SERIAL: "u", SIGNATURE: "g", FDS: "u"}
FIXED = {"y": "B", "b": "I", "n": "h", "q": "H", "i": "i", "u": "I", "x": "q", "t": "Q", "d": "d", "h": "I"}
ALIGN = {"y": 1, "n": 2, "q": 2, "b": 4, "i": 4, "u": 4, "h": 4, "s": 4, "o": 4, "a": 4, "x": 8, "t": 8, "d": 8, "(": 8,
         "{": 8, "g": 1, "v": 1}
PEER = "org.freedesktop.DBus.Peer"
BUS = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")


class Error(Exception):
    def __init__(self, name, text):
        super().__init__(f"{name}: {text}")
        self.name, self.text = name, text


class Variant(typing.NamedTuple):
    signature: str
    value: object


def as_json(value):
    """As busctl --json=short prints it."""
    if isinstance(value, Variant):
        return {"type": value.signature, "data": as_json(value.value)}
    if isinstance(value, dict):
        return {str(key): as_json(item) for key, item in value.items()}
    return [as_json(item) for item in value] if isinstance(value, (list, tuple)) else value


def split(signature):
    """The complete types of a signature."""
    types, at = [], 0
    while at < len(signature):
        end = at
        while signature[end] == "a":
            end += 1
        depth = 0
        while True:
            depth += {"(": 1, "{": 1, ")": -1, "}": -1}.get(signature[end], 0)
            end += 1
            if depth == 0:
                break
        types.append(signature[at:end])
        at = end
    return types


class Writer:
    def __init__(self):
        self.data, self.fds = bytearray(), []

    def align(self, n):
        self.data += bytes(-len(self.data) % n)

    def put(self, kind, value):
        c = kind[0]
        self.align(ALIGN[c])
        if c == "h":
            self.fds.append(value)
            value = len(self.fds) - 1
        if c in FIXED:
            self.data += struct.pack("<" + FIXED[c], value)
        elif c in "so":
            raw = value.encode()
            self.data += struct.pack("<I", len(raw)) + raw + b"\0"
        elif c == "g":
            self.data += bytes([len(value)]) + value.encode() + b"\0"
        elif c == "v":
            self.put("g", value[0])
            self.put(*value)
        elif c == "a":
            self.array(kind[1:], value)
        else:
            for part, item in zip(split(kind[1:-1]), value):
                self.put(part, item)

    def array(self, kind, value):
        start = len(self.data)
        self.data += bytes(4)
        self.align(ALIGN[kind[0]])
        first = len(self.data)
        for item in value.items() if isinstance(value, dict) else value:
            self.put(kind, item)
        struct.pack_into("<I", self.data, start, len(self.data) - first)


class Reader:
    def __init__(self, data, fds):
        self.data, self.fds, self.at = data, fds, 0

    def take(self, n):
        self.at += n
        return self.data[self.at - n:self.at]

    def get(self, kind):
        c = kind[0]
        self.at += -self.at % ALIGN[c]
        if c in FIXED:
            value, = struct.unpack("<" + FIXED[c], self.take(struct.calcsize(FIXED[c])))
            return self.fds[value] if c == "h" else bool(value) if c == "b" else value
        if c in "sog":
            n = self.get("y") if c == "g" else self.get("u")
            return self.take(n + 1)[:-1].decode()
        if c == "v":
            inner = self.get("g")
            return Variant(inner, self.get(inner))
        if c == "a":
            n = self.get("u")
            self.at += -self.at % ALIGN[kind[1]]
            end, items = self.at + n, []
            while self.at < end:
                items.append(self.get(kind[1:]))
            return dict(items) if kind[1] == "{" else items
        return tuple(self.get(part) for part in split(kind[1:-1]))


class Message:
    def __init__(self, kind, fields, body):
        self.kind, self.fields, self.body = kind, fields, body
        self.member, self.path = fields.get(MEMBER), fields.get(PATH)


class Client:
    """uid: whose connection it is, for root to choose."""

    def __init__(self, bench, uid=None):
        self.serial, self.signals, self.buffer, self.fds = 0, [], b"", []
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(harness.DEADLINE)
        if uid is not None:
            os.seteuid(uid)
        try:
            self.socket.connect(bench.env["DBUS_SYSTEM_BUS_ADDRESS"].split("=", 1)[1])
        finally:
            if uid is not None:
                os.seteuid(0)
        own = str(os.geteuid() if uid is None else uid).encode().hex()
        self.socket.sendall(f"\0AUTH EXTERNAL {own}\r\n".encode())
        harness.check(self.socket.recv(512).startswith(b"OK "), "the bus did not let the client in")
        self.socket.sendall(b"NEGOTIATE_UNIX_FD\r\n")
        harness.check(self.socket.recv(512).startswith(b"AGREE_UNIX_FD"), "the bus passes no descriptors")
        self.socket.sendall(b"BEGIN\r\n")
        self.name, = self.call(BUS[1], BUS[2], "Hello", destination=BUS[0])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, path, interface, member, signature, values, destination):
        self.serial += 1
        body = Writer()
        for kind, value in zip(split(signature), values):
            body.put(kind, value)
        fields = {PATH: path, INTERFACE: interface, MEMBER: member, DESTINATION: destination}
        if signature:
            fields[SIGNATURE] = signature
        if body.fds:
            fields[FDS] = len(body.fds)
        self.transmit(CALL, fields, body)
        return self.serial

    def transmit(self, kind, fields, body):
        head = Writer()
        for part, value in zip("yyyyuu", (ord("l"), kind, 0, 1, len(body.data), self.serial)):
            head.put(part, value)
        head.put("a(yv)", [(code, (FIELD_TYPES[code], value)) for code, value in fields.items()])
        head.align(8)
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", body.fds))] if body.fds else []
        data = bytes(head.data + body.data)
        sent = self.socket.sendmsg([data], ancillary)
        self.socket.sendall(data[sent:])

    def call(self, path, interface, member, signature="", *values, destination=harness.BUS_NAME):
        """What was answered, a list. Signals that come meanwhile are kept."""
        serial = self.send(path, interface, member, signature, values, destination)
        while True:
            m = self.receive()
            if m.kind in (RETURN, ERROR) and m.fields.get(REPLY_SERIAL) == serial:
                break
            self.keep(m)
        if m.kind == ERROR:
            raise Error(m.fields[ERROR_NAME], m.body[0] if m.body else "")
        return m.body

    def answered(self, serial):
        """Whether a call that was sent succeeded: waits for its answer, which the bus gives if the callee has gone."""
        while True:
            m = self.receive()
            if m.kind in (RETURN, ERROR) and m.fields.get(REPLY_SERIAL) == serial:
                return m.kind == RETURN
            self.keep(m)

    def reply(self, destination, reply_serial, signature, *values):
        """An answer that may be to a question that was never asked."""
        self.serial += 1
        body = Writer()
        for kind, value in zip(split(signature), values):
            body.put(kind, value)
        self.transmit(RETURN, {REPLY_SERIAL: reply_serial, DESTINATION: destination, SIGNATURE: signature}, body)

    def fail(self, destination, reply_serial, name):
        self.serial += 1
        self.transmit(ERROR, {REPLY_SERIAL: reply_serial, DESTINATION: destination, ERROR_NAME: name}, Writer())

    def keep(self, m):
        if m.kind == SIGNAL:
            self.signals.append(m)
        elif m.kind == CALL and m.fields.get(INTERFACE) == PEER:
            self.serial += 1
            self.transmit(RETURN, {REPLY_SERIAL: self.reply_serial, DESTINATION: m.fields[SENDER]}, Writer())

    def receive(self):
        while True:
            size = self.whole()
            if size and len(self.buffer) >= size:
                return self.parse(size)
            data, ancillary, _, _ = self.socket.recvmsg(65536, socket.CMSG_SPACE(64))
            harness.check(data, "the bus closed the connection")
            self.buffer += data
            for level, kind, content in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    self.fds.extend(array.array("i", content[:len(content) // 4 * 4]))

    def whole(self):
        """The size of the message that the buffer begins with, 0 if that is not known yet."""
        if len(self.buffer) < 16:
            return 0
        body, _, fields = struct.unpack_from("<III", self.buffer, 4)
        return 16 + fields + -fields % 8 + body

    def parse(self, size):
        reader = Reader(self.buffer[:size], [])
        self.buffer = self.buffer[size:]
        _, kind, _, _, body_size, serial = (reader.get(part) for part in "yyyyuu")
        fields = {code: value for code, (_, value) in reader.get("a(yv)")}
        n = fields.get(FDS, 0)
        body = Reader(reader.data[size - body_size:], self.fds[:n])
        self.fds = self.fds[n:]
        self.reply_serial = serial
        return Message(kind, fields, [body.get(part) for part in split(fields.get(SIGNATURE, ""))])

    def wait_signals(self, count, member, seconds=harness.DEADLINE):
        """The arguments of the first `count` signals of this name, from those kept and those to come."""
        end = time.monotonic() + max(seconds, harness.DEADLINE)
        found, looked_at = [], 0
        while True:
            found += [m.body for m in self.signals[looked_at:] if m.member == member]
            looked_at = len(self.signals)
            if len(found) >= count:
                return found
            harness.check(time.monotonic() < end, f"{len(found)} of {count} signals {member}")
            self.keep(self.receive())
