# SPDX-License-Identifier: LGPL-2.1-or-later
"""A hostile driver: users that have the right to a driver's name, one that has none of its own devices, and one that is no driver's user
at all, against the agent's socket for drivers.

  impersonate  says hello as the drivers of other users, and reports for their devices
  foreign      is let in as itself, and reports and states for devices of others
  sessions     several connections at once: packets of every kind in any order, each item of every type, cut, repeated, overlong, with
               descriptors and flags, to and from which the answers are or are not read
  states       states without end, with places in their reasons
  reports      samples without end, whatever the credits
  deaf         asks for answers and never reads one
  reconnect    connects, says hello, and is gone
  idle         connects and says nothing
  provoke      somebody asks the hostile driver's own devices for things, so that its answers are waited for

Gained: a sample of his at the cloud for a device that is not his; a healthy driver thrown out; names that pile up.
"""
import array
import copy
import os
import random
import socket
import struct
import time

import hostile_attack
import hostile_ground

harness = hostile_ground.import_harness()
import dbus_client  # noqa: E402

ABI = 2
MARK = 600000000  # no healthy counter comes so far
PACKET_MAX = 65536
POINTS = 1000
# Each a driver's user of its own, since the agent counts connections of each, with a device of its own.
DRIVERS = ("evil", "states", "reports", "deaf", "sessions")
OWN = tuple(f"{name}-1" for name in DRIVERS)
MANY_AT_ONCE = 5  # users who play sessions while the journal is counted
GONE = (OSError,)
RESTARTED_WITHIN = 15
STATES = ("ok", "degraded", "failed", "closed", "gone", "", "OK")


# --- CBOR, and what is not ---

def head(major, n):
    for code, form in ((24, ">B"), (25, ">H"), (26, ">I")):
        if n < 24:
            return bytes([major << 5 | n])
        if n < 1 << 8 * struct.calcsize(form):
            return bytes([major << 5 | code]) + struct.pack(form, n)
    return bytes([major << 5 | 27]) + struct.pack(">Q", n)


class Bytes(bytes):
    """Put as they are."""


def encode(value):
    if isinstance(value, Bytes):
        return bytes(value)
    if isinstance(value, bool):
        return b"\xf5" if value else b"\xf4"
    if value is None:
        return b"\xf6"
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, float):
        return b"\xfb" + struct.pack(">d", value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        return head(3, len(value.encode("utf-8", "surrogateescape"))) + value.encode("utf-8", "surrogateescape")
    if isinstance(value, dict):
        return head(5, len(value)) + b"".join(encode(k) + encode(v) for k, v in value.items())
    return head(4, len(value)) + b"".join(encode(item) for item in value)


ODD = (0, 1, -1, 2**63, 2**64 - 1, -2**63, 1.5, float("nan"), float("inf"), True, False, None, b"", b"x" * 300, "", "x" * 255, "x" * 256,
       "x" * 60000, "a\0b", "\udcff\udcfe", [], [[]], [[[[[[[[]]]]]]]], {}, {"a": {"b": {"c": {}}}}, {1: 2}, Bytes(b"\x9f\xff"),
       Bytes(b"\xbf\xff"), Bytes(b"\x7f\xff"), Bytes(b"\xc1\x00"), Bytes(b"\xd8\x20\x61a"), Bytes(b"\x18\x05"), Bytes(b"\x1b" + bytes(8)),
       Bytes(b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff"), Bytes(b"\x9a\x00\xff\xff\xff"), Bytes(b"\x7b\x7f\xff\xff\xff\xff\xff\xff\xff"),
       Bytes(b"\xf9\x3c\x00"), Bytes(b"\xfa\x3f\x80\x00\x00"), Bytes(b"\xff"), Bytes(b"\xf7"), Bytes(b"\xf8\x20"), Bytes(b"\x84" * 5000),
       Bytes(b"\x81" * 60000))


def odd():
    """One of ODD, for the caller to change."""
    return copy.deepcopy(random.choice(ODD))


class Peer:
    def __init__(self, path, uid=None):
        self.socket, self.serial = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET), 0
        self.socket.settimeout(2)
        if uid is not None:
            os.seteuid(uid)
        try:
            self.socket.connect(path)
        finally:
            if uid is not None:
                os.seteuid(0)

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, kind, *items, serial=None):
        self.serial += 1
        self.socket.send(encode([kind, self.serial if serial is None else serial, *items]))

    def hello(self, name, **more):
        self.send("hello", {"name": name, "abi": ABI, "version": "6.6.6", **more})

    def drain(self):
        """What has come, undecoded; ConnectionResetError if the agent has closed."""
        packets, self.socket = [], self.socket
        self.socket.setblocking(False)
        try:
            while True:
                data = self.socket.recv(PACKET_MAX)
                if not data:
                    raise ConnectionResetError
                packets.append(data)
        except BlockingIOError:
            return packets
        finally:
            self.socket.settimeout(2)


def sample(value=None, point="n"):
    return [point, time.time_ns() // 1000, MARK + random.randrange(1000) if value is None else value, "", 0]


# --- roles ---

def impersonate(counts, path, names, devices):
    def once():
        for name in names:
            with Peer(path) as p:
                p.hello(name)
                counts.add("hellos")
                for _ in range(5):
                    p.send("report", [random.choice(devices), [sample()]])
                    p.send("state", random.choice(devices), "failed", "hostile")
                    counts.add("reports")
                time.sleep(0.01)
                p.drain()
    hostile_attack.again(counts, once, *GONE, pause=0.01)


def foreign(counts, path, name, devices):
    def once():
        with Peer(path) as p:
            p.hello(name)
            while True:
                p.send("report", [f"{name}-1", [sample(1, "p1")]])
                p.send("report", [f"{name}-1", [sample(1, "p1")]], [random.choice(devices), [sample()]])
                p.send("report", [random.choice(devices), [sample()]])
                p.send("state", random.choice(devices), "failed", "/points/n: hostile")
                counts.add("reports", 2)
                p.drain()
    hostile_attack.again(counts, once, *GONE, pause=0.01)


def states(counts, path, name):
    def once():
        with Peer(path) as p:
            p.hello(name)
            n = 0
            while True:
                n += 1
                p.send("state", f"{name}-1", random.choice(STATES[:4]), f"/points/p{n % POINTS}/unit: no such thing {n}")
                counts.add("states")
                if n % 16 == 0:
                    p.drain()
    hostile_attack.again(counts, once, *GONE, pause=0.01)


def reports(counts, path, name):
    def once():
        with Peer(path) as p:
            p.hello(name)
            n = random.choice((1, 10, 100, 400))
            while True:
                p.send("report", [f"{name}-1", [sample(i, f"p{i % POINTS}") for i in range(n)]])
                counts.add("samples", n)
                p.drain()
    hostile_attack.again(counts, once, *GONE, pause=0.01)


def deaf(counts, path, name):
    def once():
        with Peer(path) as p:
            p.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            p.hello(name)
            while True:
                p.send("report", [f"{name}-1", [sample(1, "p1")]])
                counts.add("reports")
    hostile_attack.again(counts, once, *GONE, pause=0.01)


def reconnect(counts, path, name):
    def once():
        with Peer(path) as p:
            p.hello(name)
            counts.add("connections")
    hostile_attack.again(counts, once, *GONE)


def idle(counts, path):
    def once():
        peers = []
        try:
            for _ in range(64):
                peers.append(Peer(path))
                counts.add("connections")
            time.sleep(1)  # they say nothing
        finally:
            for p in peers:
                p.close()
    hostile_attack.again(counts, once, *GONE)


class Session:
    """Several connections of one user, and a packet of any kind on any of them. `users` (name, uid): of each in turn, for root."""

    def __init__(self, counts, path, name, devices, users=()):
        self.counts, self.path, self.name, self.peers, self.users = counts, path, name, [], users
        self.devices, self.serials = devices, [0, 1, 2, 2**64 - 1]

    def packet(self):
        name, device = random.choice((self.name, self.name, "sim", "modbus")), random.choice((*OWN, *OWN, *self.devices, "", "x" * 65))
        point, serial = random.choice(("p1", "p2", "n", "", "x" * 65, "p/1")), random.choice(self.serials)
        return random.choice((
            ["hello", serial, {"name": name, "abi": random.choice((ABI, ABI, ABI, 1, 3)), "version": "1"}],
            ["report", serial, [device, [sample(random.choice((1, 2.5, "x", True, -1)), point)]]],
            ["report", serial, *([d, [sample(i, "p1") for i in range(random.choice((0, 1, 50)))]] for d in (device, *OWN))],
            ["state", serial, device, random.choice(STATES), random.choice(("", "why", "/points/p1: why", "x" * 511, "y" * 512, "\n\t\x1b[31m"))],
            ["keep", serial, device, random.choice(("", "17", "x" * 255, "y" * 256, "\n\t\x1b[31m"))],
            ["answer", serial, random.choice((0, 0, 5, 19, -1, 2**31, 2**63)), random.choice((1, 1.5, "no", True, [], [["/section", "bad"]],
                                                                                             [{"id": "x"}], [1, 2, 3]))],
            [random.choice(("welcome", "credit", "begin", "device", "end", "bye", "write", "read", "check", "scan", "raw", "secret", "quit",
                            "HELLO", "", "x" * 1000)), serial, *(odd() for _ in range(random.randrange(4)))]))

    def mutate(self, packet):
        """One item of the tree, another of any type; or fewer, or more."""
        at = packet
        while True:
            i = random.randrange(len(at)) if at else 0
            if not at or random.random() < 0.2:
                at.insert(i, odd())
                return
            item = at[i]
            if isinstance(item, dict):
                item[random.choice((*item, "more"))] = odd()
                return
            if isinstance(item, list) and random.random() < 0.7:
                at = item
                continue
            if random.random() < 0.2:
                del at[i]
            else:
                at[i] = odd()
            return

    def bend(self, data):
        data = bytearray(data)
        for _ in range(random.randrange(1, 4)):
            act, at = random.randrange(4), random.randrange(len(data)) if data else 0
            if act == 0 and data:
                data[at] ^= 1 << random.randrange(8)
            elif act == 1:
                del data[at:]
            elif act == 2:
                data[at:at] = os.urandom(random.randrange(1, 20))
            elif data:
                data += data[at:]
        return bytes(data[:2 * PACKET_MAX])

    def throw(self, p, data):
        flags = random.choice((0, 0, 0, 0, 0, socket.MSG_OOB, socket.MSG_DONTWAIT, socket.MSG_EOR))
        ancillary = []
        if random.random() < 0.03:
            fds = [0] * random.choice((1, 2, 16, 200))
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
        try:
            p.socket.sendmsg([data] if data else [], ancillary, flags)
        except OSError as e:
            if isinstance(e, (ConnectionError, TimeoutError)):
                raise
        self.counts.add("packets")

    def listen(self, p):
        """The serials of what was asked, so that some answers are to the point."""
        for data in p.drain():
            if data[:1] and 0x80 <= data[0] < 0xA0 and b"write" in data[:8] or b"read" in data[:8]:
                self.serials = [*self.serials[-8:], data[7] & 31 if len(data) > 7 else 0]

    def step(self):
        if not self.peers or len(self.peers) < 4 and random.random() < 0.2:
            uid = None
            if self.users and not (self.peers and random.random() < 0.5):
                self.name, uid = random.choice(self.users)
            elif self.users:
                uid = dict(self.users)[self.name]
            p = Peer(self.path, uid)
            self.counts.add("connections")
            self.peers.append(p)
            if random.random() < 0.9:
                p.hello(self.name)
        p = random.choice(self.peers)
        try:
            packet = self.packet()
            for _ in range(random.choice((0, 0, 0, 0, 0, 0, 1, 2))):
                self.mutate(packet)
            data = encode(packet)
            self.throw(p, self.bend(data) if random.random() < 0.05 else data)
            if random.random() < 0.5:
                self.listen(p)
            if random.random() < 0.02:
                p.socket.shutdown(random.choice((socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR)))
        except OSError:
            p.close()
            self.peers.remove(p)
            self.counts.add("cut_off")


def sessions(counts, path, name, devices, users=()):
    session = Session(counts, path, name, devices, users)
    hostile_attack.again(counts, session.step, *GONE)


def provoke(counts, address, paths):
    """Requests to the hostile driver's devices, at the rate of somebody who looks into it."""
    import hostile_caller

    def once():
        c = hostile_caller.Raw(address)
        try:
            while True:
                device = random.choice(paths)
                for call in (c.prepare(device, hostile_caller.DEVICE, "Write", "sv", hostile_caller.body("sv", "p1", ("d", 1.0))),
                             c.prepare(device, hostile_caller.DEVICE, "Read", "s", hostile_caller.body("s", "p1"))):
                    c.throw(call)
                    counts.add("requests")
                c.drain()
                time.sleep(0.1)  # the rate
        finally:
            c.close()
    hostile_attack.again(counts, once, OSError, dbus_client.Error, harness.Failure, pause=0.1)


# --- the attack ---

def prepare(g):
    """Device files that are large, so that it would cost to look into them."""
    for d in OWN:
        g.keys[d] = g.bench.new_key()
        g.write_device(d, d.removesuffix("-1"), {f"p{i}": {"unit": "Cel", "text": "x" * 400, "writable": i < 9} for i in range(POINTS)})


def settle(g):
    g.driver_errors = {name: thrown_out(g, name) for name in ("sim", "modbus")}


class DriverAttack(hostile_attack.Attack):
    def __init__(self, g, roles):
        super().__init__("driver", roles)
        self.ground = g

    def during(self):
        """A healthy driver that is started again gets in."""
        g, name = self.ground, "modbus"
        driver = next(d for d in g.drivers if d.name == f"driver-{name}")
        before = thrown_out(g, name)
        driver.restart()
        g.driver_errors[name] += 1
        try:
            harness.wait_for("the driver that was started again", lambda: thrown_out(g, name) > before, RESTARTED_WITHIN)
        except harness.Failure as e:
            return [str(e)]
        return []


def attack(g):
    evil, other, stranger = (g.uid(name) for name in ("gatehouse-evil", "gatehouse-nodevice", "stranger"))
    own = {name: g.uid(f"gatehouse-{name}") for name in (*DRIVERS, "again")}
    path, devices, role = g.socket_path, g.healthy, hostile_attack.Role
    return DriverAttack(g, [
        *(role(f"impersonate-{name}", impersonate, uid, path, ("sim", "modbus", "evil"), devices)
          for name, uid in (("evil", evil), ("other", other), ("stranger", stranger))),
        role("foreign", foreign, evil, path, "evil", devices), role("sessions-own", sessions, own["sessions"], path, "sessions", devices),
        role("sessions-many", sessions, None, path, "", devices, many()[:MANY_AT_ONCE]),
        role("states", states, own["states"], path, "states"), role("reports", reports, own["reports"], path, "reports"),
        role("deaf", deaf, own["deaf"], path, "deaf"), role("reconnect", reconnect, own["again"], path, "again"),
        role("idle", idle, stranger, path),
        role("provoke", provoke, None, g.bus_address, [harness.device_path(d) for d in OWN])])


def many():
    """(name, uid) of those that are there to be many."""
    return [(name.removeprefix("gatehouse-"), uid) for name, uid in hostile_ground.USERS.items() if "-many" in name]


def mutated(g):
    """Only what finds mistakes in how packets are read, without what fills the queue of connections."""
    path, devices, role = g.socket_path, g.healthy, hostile_attack.Role
    return hostile_attack.Attack("mutated", [
        *(role(f"sessions-{i or 'many'}", sessions, None, path, "", devices, many()[i::3]) for i in range(3)),
        role("sessions-own", sessions, g.uid("gatehouse-sessions"), path, "sessions", devices),
        role("foreign", foreign, g.uid("gatehouse-evil"), path, "evil", devices),
        role("provoke", provoke, None, g.bus_address, [harness.device_path(d) for d in OWN])])


def thrown_out(g, name):
    """How often the healthy driver had to connect."""
    return next(d for d in g.drivers if d.name == f"driver-{name}").text().count("connected to the agent")


def gained(g, did):
    g.cloud.do("ping")
    found = []
    forged = [e for e in g.cloud.events() if e.get("event") == "sample" and e["device"] in g.healthy and isinstance(e["value"], (int, float))
              and e["value"] >= MARK]
    if forged:
        found.append(f"{len(forged)} forged samples at the cloud")
    for name, before in g.driver_errors.items():
        if thrown_out(g, name) != before:
            found.append(f"the driver {name} had to connect {thrown_out(g, name) - before} times again")
    names = [row[0] for row in g.bench.get(None, "Drivers")]
    connected = [row[0] for row in g.bench.get(None, "Drivers") if row[2] == "connected"]
    needed = {"sim", "modbus", "nodevice", *DRIVERS, *connected}
    if not set(names) <= needed:
        found.append(f"names that nobody needs: {sorted(set(names) - needed)}")
    if not any(e.get("event") == "sample" and e["device"] in OWN for e in g.cloud.events()):
        found.append("not even a sample of his own devices arrived: he did not get in")
    if not did["sessions-many"].get("packets"):
        found.append(f"no attack: {did}")
    return found
