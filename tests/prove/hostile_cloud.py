# SPDX-License-Identifier: LGPL-2.1-or-later
"""A hostile cloud: it has the keys of its own devices, and does inside their sessions whatever it likes. It must not reach the
devices of another uplink.

Over CoAP, a device for each:
  commands     notifications of commands, as many as the line takes
  denied       the same to a point that may not be written, and bodies that are no commands
  malformed    messages mutated at random, unknown options, reserved codes
  blocks       each answer a block of a body that never ends; "continue" to each request
  separate     each request acknowledged, none answered
  ages         Max-Age of zero, of 136 years, of nine bytes, in refusals and in notifications
  closing      ends each session as soon as it has begun
  pings        empty messages, resets, acknowledgements of nothing
  requests     the agent asked for things
  silent       a handshake, then nothing
Over MQTT:
  commands, denied   as above; retained   publications to topics that nobody asked for; huge   packets of 256 MB
  mute               nothing acknowledged; malformed   packets mutated at random; closing   as above
"""
import json
import os
import random
import struct
import threading
import time

import hostile_attack
import hostile_ground
import hostile_tls

harness = hostile_ground.import_harness()

COAP = ("commands", "denied", "malformed", "blocks", "separate", "ages", "closing", "pings", "requests", "silent")
MQTT = ("commands", "denied", "retained", "huge", "mute", "malformed", "closing")
CON, NON, ACK, RST = range(4)
OBSERVE, PATH, FORMAT, MAX_AGE, BLOCK2, BLOCK1 = 6, 11, 12, 14, 23, 27
CREATED, CHANGED, CONTENT, CONTINUE, UNAVAILABLE, TOO_MANY = 0x41, 0x44, 0x45, 0x5F, 0xA3, 0x9D
BURST = 64  # messages between two looks at what has come
NEVER_ENDING = 8 << 20


# --- CoAP ---

def number(value):
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def nibble(value):
    if value < 13:
        return value, b""
    return (13, bytes([value - 13])) if value < 269 else (14, (value - 269).to_bytes(2, "big"))


def coap(kind, code, mid, token=b"", options=(), payload=b""):
    data, last = bytearray([0x40 | kind << 4 | len(token), code]) + struct.pack(">H", mid) + token, 0
    for option, value in sorted(options, key=lambda o: o[0]):
        (d, more), (n, longer) = nibble(option - last), nibble(len(value))
        data += bytes([d << 4 | n]) + more + longer + value
        last = option
    return bytes(data) + (b"\xff" + payload if payload else b"")


class Message:
    def __init__(self, data):
        self.kind, size, self.code, self.mid = data[0] >> 4 & 3, data[0] & 15, data[1], int.from_bytes(data[2:4], "big")
        self.token, self.options = data[4:4 + size], []
        at, option = 4 + size, 0
        while at < len(data) and data[at] != 0xFF:
            delta, length, at = data[at] >> 4, data[at] & 15, at + 1
            parts = []
            for value in (delta, length):
                extra = {13: 1, 14: 2}.get(value, 0)
                parts.append({13: 13, 14: 269}.get(value, value) + int.from_bytes(data[at:at + extra], "big"))
                at += extra
            option += parts[0]
            self.options.append((option, data[at:at + parts[1]]))
            at += parts[1]

    @property
    def path(self):
        return b"/".join(value for option, value in self.options if option == PATH).decode(errors="replace")

    def get(self, option):
        return next((value for number, value in self.options if number == option), None)


class CoapCloud:
    """Answers like a cloud, but for what its behaviour does otherwise."""

    def __init__(self, session, counts, how):
        self.session, self.counts, self.how = session, counts, how
        self.watched, self.sequence, self.mid, self.id = None, 1, random.randrange(65536), 0

    def serve(self):
        self.counts.add("sessions")
        if self.how == "closing":
            self.session.goodbye()
            return
        while True:
            data = self.session.receive(0.001 if self.how in ("commands", "denied", "malformed", "pings", "requests") else 0.5)
            if data == b"":
                return
            if data and self.how != "silent":
                self.take(Message(data))
                continue  # whatever has come is answered first
            if not self.push():
                return

    def take(self, m):
        self.counts.add("heard")
        if m.code == 0 or m.code >> 5:
            if m.kind == CON:
                self.say(ACK if m.code else RST, 0, m.mid)
            return
        options, code, payload = [], CONTENT if m.code == 1 else CHANGED, b""
        if m.path == "commands" and m.get(OBSERVE) is not None and self.how not in ("separate", "blocks"):
            self.watched = m.token
            options = [(OBSERVE, number(self.sequence))]
        if self.how == "separate":
            self.say(ACK, 0, m.mid)
            return
        if self.how == "blocks":
            code, options, payload = self.block(m)
        elif self.how == "ages":
            code, options = self.age(options)
        self.session.send(coap(ACK if m.kind == CON else NON, code, m.mid, m.token, options, payload))

    def block(self, m):
        """The next of a body without an end, or the wish for more of the request's."""
        asked = int.from_bytes(m.get(BLOCK2) or b"", "big") >> 4
        if random.random() < 0.2:
            return CONTINUE, [(BLOCK1, number(random.randrange(1 << 20) << 4 | 8 | 6))], b""
        options = [(BLOCK2, number(asked << 4 | 8 | 6)), (28, number(NEVER_ENDING << 8))]
        if m.path == "commands":
            options.append((OBSERVE, number(self.sequence)))
        return CONTENT if m.code == 1 else CHANGED, options, b"[" * 1024

    def age(self, options):
        age = random.choice((b"", b"\0", b"\xff" * 4, b"\xff" * 9, b"\x7f\xff\xff\xff", b"\0" * 4))
        return random.choice((UNAVAILABLE, TOO_MANY, CHANGED, CONTENT)), [*options, (MAX_AGE, age)]

    def say(self, kind, code, mid, token=b"", options=(), payload=b""):
        return self.session.send(coap(kind, code, mid, token, options, payload))

    def push(self):
        """A burst of what nobody asked for."""
        make = getattr(self, "push_" + self.how, None)
        if not make:
            return True
        for _ in range(BURST):
            self.mid = (self.mid + 1) & 0xFFFF
            data = make()
            if data is None:
                return True
            if not self.session.send(data):
                return False
            self.counts.add("messages")
        return True

    def notification(self, body, *options):
        if self.watched is None:
            return None
        self.sequence = self.sequence + 1 & 0xFFFFFF
        return coap(random.choice((CON, NON, NON, NON)), CONTENT, self.mid, self.watched,
                    [(OBSERVE, number(self.sequence)), (FORMAT, number(50)), *options], body)

    def push_commands(self):
        self.id += 1
        return self.notification(json.dumps({"id": self.id, "point": "set", "value": self.id}).encode())

    def push_denied(self):
        self.id += 1
        return self.notification(random.choice((
            json.dumps({"id": self.id, "point": "n", "value": self.id}).encode(),
            json.dumps({"id": self.id, "point": f"no-{self.id}", "value": self.id}).encode(),
            b"\x01" * 500, b"{" * 900, b'{"id":' + b"9" * 900, json.dumps({"id": "x" * 800, "point": "set", "value": "\n" * 90}).encode())))

    def push_ages(self):
        time.sleep(0.01)
        return self.notification(b"{}", (MAX_AGE, random.choice((b"", b"\xff" * 4, b"\0"))))

    def push_malformed(self):
        data = bytearray(self.notification(b'{"id":1,"point":"set","value":1}', (random.randrange(1 << 12), os.urandom(8))) or
                         coap(CON, random.randrange(256), self.mid, os.urandom(random.randrange(9)), [(PATH, b"x")], b"y"))
        for _ in range(random.randrange(1, 6)):
            act, at = random.randrange(4), random.randrange(len(data))
            if act == 0:
                data[at] ^= 1 << random.randrange(8)
            elif act == 1:
                del data[at:]
                data += b"\xff" * (not data)
            elif act == 2:
                data[at:at] = os.urandom(random.randrange(1, 30))
            else:
                data[at] = random.choice((0, 0xFF, 0xF0, 0xDD, 0xEE))
        return bytes(data[:1200])

    def push_pings(self):
        return coap(random.choice((CON, NON, ACK, RST)), random.choice((0, 0, CONTENT)), self.mid)

    def push_requests(self):
        return coap(random.choice((CON, NON)), random.randrange(1, 8), self.mid, os.urandom(4),
                    [(PATH, b".well-known"), (PATH, b"core"), (random.choice((BLOCK1, BLOCK2, 258)), b"\x0e")], b"z" * 200)


# --- MQTT ---

def packet(first, body):
    size, n = bytearray(), len(body)
    while True:
        size.append(n & 127 | (128 if n > 127 else 0))
        n >>= 7
        if not n:
            return bytes([first]) + bytes(size) + body


def text(value):
    return struct.pack(">H", len(value)) + value.encode()


class MqttCloud:
    def __init__(self, session, counts, how):
        self.session, self.counts, self.how, self.buffer = session, counts, how, b""
        self.device, self.five, self.id, self.subscribed = "mqtt-" + how, False, 0, False

    def serve(self):
        self.counts.add("sessions")
        while True:
            data = self.session.receive(0.001 if self.subscribed else 0.5)
            if data == b"":
                return
            if data:
                self.buffer += data
                while self.take():
                    pass
                if self.how == "closing" and self.subscribed:
                    self.session.send(b"\xe0\x01\x8b" if self.five else b"")
                    return
            elif self.subscribed and not self.push():
                return

    def take(self):
        """One packet of the agent's, if it has come whole."""
        size, shift, at = 0, 0, 1
        while True:
            if at >= len(self.buffer):
                return False
            size |= (self.buffer[at] & 127) << shift
            shift, at = shift + 7, at + 1
            if self.buffer[at - 1] < 128:
                break
        if len(self.buffer) < at + size:
            return False
        first, body = self.buffer[0], self.buffer[at:at + size]
        self.buffer = self.buffer[at + size:]
        self.counts.add("heard")
        self.answer(first, body)
        return True

    def answer(self, first, body):
        kind, no_reason = first >> 4, b"\0" if self.five else b""
        if kind == 1:
            self.five = body[6] == 5
            self.session.send(b"\x20\x03\0\0\0" if self.five else b"\x20\x02\0\0")
        elif kind == 8:
            self.subscribed = True
            self.session.send(packet(0x90, body[:2] + no_reason + b"\x01"))
        elif kind == 12:
            self.session.send(b"\xd0\0")
        elif kind == 3 and first & 6 and self.how != "mute":
            at = 2 + int.from_bytes(body[:2], "big")
            self.session.send(b"\x40\x02" + body[at:at + 2])

    def push(self):
        make = getattr(self, "push_" + self.how, None)
        if not make:
            return True
        for _ in range(BURST):
            self.id += 1
            if not self.session.send(make()):
                return False
            self.counts.add("messages")
        return True

    def publication(self, topic, body, first=0x30):
        qos_1 = random.random() < 0.5
        return packet(first | 2 * qos_1, text(topic) + (struct.pack(">H", self.id % 65535 + 1) if qos_1 else b"") +
                      (b"\0" if self.five else b"") + body)

    def push_commands(self):
        return self.publication(f"gatehouse/{self.device}/command", json.dumps({"id": self.id, "point": "set", "value": self.id}).encode())

    def push_denied(self):
        return self.publication(f"gatehouse/{self.device}/command", random.choice((
            json.dumps({"id": self.id, "point": "n", "value": self.id}).encode(), b"\x01" * 5000, b"{" * 9000)))

    def push_retained(self):
        return self.publication(random.choice(("", "a/" * 2000, f"gatehouse/{self.device}/telemetry", "gatehouse/healthy-01/command")),
                                b"x" * 4000, 0x31)

    def push_huge(self):
        time.sleep(0.01)
        return b"\x30\xff\xff\xff\x7f" + text(f"gatehouse/{self.device}/command") + b"\0" * 60000

    def push_malformed(self):
        data = bytearray(random.choice((self.push_commands(), packet(random.randrange(256), os.urandom(random.randrange(60))))))
        data[random.randrange(len(data))] = random.randrange(256)
        return bytes(data)


# --- the attack ---

def listen(counts, kind, port, keys, datagrams):
    def serve(session):
        kind(session, counts, session.identity.split("-")[-1]).serve()
    threading.stack_size(256 << 10)
    hostile_tls.Server(port, keys, serve, datagrams).run()


def victims():
    return [*(("coap", f"coap-{how}") for how in COAP), *(("mqtt", f"mqtt-{how}") for how in MQTT)]


def prepare(ground):
    from ports import free_port
    import socket
    ground.cloud_ports = {"coap": free_port(), "mqtt": free_port(socket.SOCK_STREAM)}
    for name, uplink in (("coap", {"url": f"coaps://127.0.0.1:{ground.cloud_ports['coap']}", "profile": "senml",
                                   "registrar": {"type": "coap"}}),
                         ("mqtt", {"url": f"mqtts://127.0.0.1:{ground.cloud_ports['mqtt']}", "profile": "senml-mqtt",
                                   "registrar": {"type": "manual"}})):
        ground.uplinks["hostile-" + name] = uplink
    for transport, device in victims():
        ground.keys[device] = ground.bench.new_key()
        ground.write_device(device, "sim", {"n": {"signal": "counter"}, "set": {"signal": "constant", "value": 0, "writable": True}},
                            uplink="hostile-" + transport, interval="1s")


class CloudAttack(hostile_attack.Attack):
    def __init__(self, ground, roles):
        super().__init__("cloud", roles)
        self.ground = ground

    def start(self):
        super().start()
        for _, device in victims():  # at once, without waiting for the backoff from when nobody listened
            self.ground.bench.call(device, "Connect")


def attack(ground):
    def role(transport, kind, datagrams):
        keys = {f"first-{d}": ground.keys[d] for t, d in victims() if t == transport}
        return hostile_attack.Role(transport, listen, ground.uid("stranger"), kind, ground.cloud_ports[transport], keys, datagrams)
    return CloudAttack(ground, [role("coap", CoapCloud, True), role("mqtt", MqttCloud, False)])


def gained(ground, did):
    """The attack must have taken place, or nothing is proved."""
    return [f"no session over {transport}: {counts}" for transport, counts in did.items() if not counts.get("sessions")]
