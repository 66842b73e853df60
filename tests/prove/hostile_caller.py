# SPDX-License-Identifier: LGPL-2.1-or-later
"""A hostile local caller: everything that a user on the machine can do to the agent over the bus, as a stranger and as a user with all
rights.

The roles, each a process that works as fast as the bus lets it (GATEHOUSE_HOSTILE_ROLES=walk,own: only those whose names begin so):

  walk         GetManagedObjects over several connections, without reading an answer
  pages        ListDevices, GetAll, Introspect likewise
  silent       the same with NO_REPLY_EXPECTED, and as signals and answers that nobody waits for
  options      dictionaries of up to 30 MiB: one key repeated, many keys, long text, nested variants
  descriptors  sixteen descriptors a call, for methods that take one and for those that take none
  vanish       connects, calls, and closes before the answer
  endless      descriptors that give bytes for ever or none: pipes, /dev/zero, directories, sockets, sparse files
  subscribe    Subscribe without reading a signal, Subscribe and Unsubscribe in turn
"""
import array
import os
import random
import select
import socket
import struct
import types

import hostile_ground
hostile_ground.import_harness()
import dbus_client  # noqa: E402
import hostile_attack
from dbus_client import CALL, DESTINATION, FDS, INTERFACE, MEMBER, PATH, SIGNATURE

NAME, MANAGER_PATH, MANAGER, DEVICE = "org.gatehouse1", "/org/gatehouse1", "org.gatehouse1.Manager", "org.gatehouse1.Device"
PROPERTIES, OBJECTS = "org.freedesktop.DBus.Properties", "org.freedesktop.DBus.ObjectManager"
INTROSPECTABLE = "org.freedesktop.DBus.Introspectable"
NO_REPLY = 1
CONNECTIONS = 6
BIG = 30 << 20
GONE = (OSError, dbus_client.Error, dbus_client.harness.Failure)


class Raw(dbus_client.Client):
    """A connection that sends prepared messages and need not read."""

    def __init__(self, address):
        super().__init__(types.SimpleNamespace(env={"DBUS_SYSTEM_BUS_ADDRESS": address}))

    def prepare(self, path, interface, member, signature="", body=b"", kind=CALL, flags=0, n_fds=0, destination=NAME):
        """A message whose serial is set when it is sent."""
        fields = {PATH: path, INTERFACE: interface, MEMBER: member, DESTINATION: destination}
        if signature:
            fields[SIGNATURE] = signature
        if n_fds:
            fields[FDS] = n_fds
        head = dbus_client.Writer()
        for part, value in zip("yyyyuu", (ord("l"), kind, flags, 1, len(body), 1)):
            head.put(part, value)
        head.put("a(yv)", [(code, (dbus_client.FIELD_TYPES[code], value)) for code, value in fields.items()])
        head.align(8)
        return bytes(head.data + body)

    def throw(self, message, fds=(), seconds=5):
        """Sends without reading; False if the bus took nothing for so long."""
        self.serial += 1
        data = bytearray(message)
        struct.pack_into("<I", data, 8, self.serial)
        self.socket.setblocking(False)
        view, ancillary = memoryview(data), []
        if fds:
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
        while view:
            try:
                sent = self.socket.sendmsg([view[:1 << 20]], ancillary)
                view, ancillary = view[sent:], []
            except BlockingIOError:
                if not select.select([], [self.socket], [], seconds)[1]:
                    return False
        return True

    def drain(self):
        """Throws away what has come, so that the bus goes on."""
        self.socket.setblocking(False)
        try:
            while self.socket.recv(1 << 20):
                pass
        except BlockingIOError:
            pass


def body(signature, *values):
    writer = dbus_client.Writer()
    for kind, value in zip(dbus_client.split(signature), values):
        writer.put(kind, value)
    return bytes(writer.data)


def flood(counts, address, make, reads=False, connections=CONNECTIONS):
    """What make(connection) prepares, over several connections in turn. One that the bus no longer takes anything from is replaced: a
    caller that is throttled simply comes again."""
    def once():
        lines = []
        try:
            for _ in range(connections):
                connection = Raw(address)
                lines.append((connection, make(connection)))
            while True:
                for connection, messages in lines:
                    for message in messages:
                        if not connection.throw(message, seconds=2):
                            counts.add("stuck")
                            return
                        counts.add("calls")
                    if reads:
                        connection.drain()
        finally:
            for connection, _ in lines:
                connection.close()
    hostile_attack.again(counts, once, *GONE)


def walk(counts, address):
    flood(counts, address, lambda c: [c.prepare(MANAGER_PATH, OBJECTS, "GetManagedObjects")])


def pages(counts, address, device):
    def make(c):
        return [c.prepare(MANAGER_PATH, MANAGER, "ListDevices", "a{sv}", body("a{sv}", {})),
                c.prepare(MANAGER_PATH, PROPERTIES, "GetAll", "s", body("s", MANAGER)),
                c.prepare(device, PROPERTIES, "GetAll", "s", body("s", DEVICE)),
                c.prepare(MANAGER_PATH + "/device", INTROSPECTABLE, "Introspect"),
                c.prepare(device, DEVICE, "GetSamples")]
    flood(counts, address, make)


def silent(counts, address, device):
    def make(c):
        return [c.prepare(MANAGER_PATH, OBJECTS, "GetManagedObjects", flags=NO_REPLY),
                c.prepare(device, DEVICE, "Write", "sv", body("sv", "set", ("d", 1.0)), flags=NO_REPLY),
                c.prepare(MANAGER_PATH, MANAGER, "Subscribe", "as", body("as", []), flags=NO_REPLY),
                c.prepare(MANAGER_PATH, MANAGER, "Sample", "s", body("s", "x"), kind=dbus_client.SIGNAL),
                c.prepare(device, DEVICE, "Rotate", "a{sv}", body("a{sv}", {}), flags=NO_REPLY)]
    flood(counts, address, make)


def repeated(key, value, size):
    """a{sv} with one entry again and again."""
    entry = dbus_client.Writer()
    entry.put("{sv}", (key, value))
    entry.align(8)
    n = max(1, size // len(entry.data))
    return struct.pack("<II", n * len(entry.data), 0) + bytes(entry.data) * n


def nested(depth):
    value = ("s", "bottom")
    for _ in range(depth):
        value = ("v", value)
    return value


def options(counts, address, device):
    def once():
        c = Raw(address)
        try:
            for size in (1 << 16, 1 << 20, (2 << 20) + 4096, 8 << 20, BIG):
                for dictionary in (repeated("limit", ("u", 1), size), repeated("config", ("s", "x" * 1000), size),
                                   body("a{sv}", {f"k{i}": ("u", i) for i in range(min(size // 64, 30000))}),
                                   body("a{sv}", {"config": ("s", "[" * (size - 100))}),
                                   body("a{sv}", {"x": nested(60)})):
                    if not c.throw(c.prepare(MANAGER_PATH, MANAGER, "ListDevices", "a{sv}", dictionary)):
                        raise ConnectionResetError
                    if not c.throw(c.prepare(device, DEVICE, "Rotate", "a{sv}", dictionary)):
                        raise ConnectionResetError
                    counts.add("calls", 2)
                    counts.add("bytes", 2 * len(dictionary))
                c.drain()
            text = body("sv", "set", ("s", "y" * (BIG // 2)))
            c.throw(c.prepare(device, DEVICE, "Write", "sv", text))
            c.throw(c.prepare(MANAGER_PATH, MANAGER, "GetDevice", "s", body("s", "z" * (BIG // 2))))
            c.throw(c.prepare(MANAGER_PATH, MANAGER, "Subscribe", "as", body("as", ["d"] * 1000000)))
            counts.add("calls", 3)
        finally:
            c.close()
    hostile_attack.again(counts, once, *GONE)


def descriptors(counts, address, device):
    """The bus passes at most 16 with a message unless its configuration says otherwise."""
    def once():
        c, ends = Raw(address), os.pipe()
        try:
            key = body("ssha{sv}", "main", "x", 0, {})
            calls = [c.prepare(device, DEVICE, "SetCredential", "ssha{sv}", key, n_fds=16),
                     c.prepare(MANAGER_PATH, MANAGER, "ListDevices", "a{sv}", body("a{sv}", {}), n_fds=16),
                     c.prepare(MANAGER_PATH, MANAGER, "Rekey", "h", body("h", 0), n_fds=16),
                     c.prepare(MANAGER_PATH, OBJECTS, "GetManagedObjects", n_fds=16),
                     c.prepare(MANAGER_PATH, MANAGER, "NoSuchMethod", "h", body("h", 0), n_fds=16)]
            while True:
                for call in calls:
                    if not c.throw(call, [ends[0]] * 16):
                        raise ConnectionResetError
                    counts.add("calls")
                    counts.add("descriptors", 16)
                if random.random() < 0.3:
                    c.drain()
        finally:
            c.close()
            os.close(ends[0])
            os.close(ends[1])
    hostile_attack.again(counts, once, *GONE)


def vanish(counts, address, device):
    def once():
        c = Raw(address)
        try:
            calls = [c.prepare(MANAGER_PATH, OBJECTS, "GetManagedObjects"),
                     c.prepare(MANAGER_PATH, MANAGER, "Subscribe", "as", body("as", [])),
                     c.prepare(device, DEVICE, "Rotate", "a{sv}", body("a{sv}", {})),
                     c.prepare(device, DEVICE, "Read", "s", body("s", "n")),
                     c.prepare(MANAGER_PATH, MANAGER, "VerifyVault")]
            for call in random.sample(calls, random.randrange(1, len(calls) + 1)):
                c.throw(call)
                counts.add("calls")
            cut = calls[0]
            c.socket.setblocking(False)
            c.socket.send(cut[:random.randrange(len(cut))])
            counts.add("connections")
        finally:
            c.close()
    hostile_attack.again(counts, lambda: [once() for _ in range(100)], *GONE)


def odd_descriptors(directory):
    """(number, what is to be closed with it) of each kind that a key or a list may not come from."""
    dry, wet = os.pipe()
    yield dry, [wet]  # nobody writes, and nobody closes
    yield os.open("/dev/zero", os.O_RDONLY), []
    yield os.open("/dev/full", os.O_RDWR), []
    yield os.open("/", os.O_RDONLY), []
    a, b = socket.socketpair()
    yield a.detach(), [b.detach()]
    sparse = os.memfd_create("sparse")
    os.ftruncate(sparse, 1 << 40)
    yield sparse, []
    path = os.path.join(directory, f"fifo-{os.getpid()}")
    os.mkfifo(path)
    yield os.open(path, os.O_RDWR), []
    os.unlink(path)
    full, other = os.pipe()
    os.set_blocking(other, False)
    try:
        while True:
            os.write(other, bytes(4096))
    except BlockingIOError:
        pass
    yield other, [full]
    yield os.memfd_create("key", os.MFD_ALLOW_SEALING), []


def endless(counts, address, device, directory):
    def once():
        c = Raw(address)
        try:
            for fd, more in odd_descriptors(directory):
                for path, interface, member, signature, values in (
                        (device, DEVICE, "SetCredential", "ssha{sv}", ("backup", "hostile", 0, {})),
                        (device, DEVICE, "SetCredential", "ssha{sv}", ("main", "hostile", 0, {"force": ("b", True)})),
                        (MANAGER_PATH, MANAGER, "Provision", "ha{sv}", (0, {"format": ("s", "csv")})),
                        (MANAGER_PATH, MANAGER, "Export", "sha{sv}", ("csv", 0, {})),
                        (MANAGER_PATH, MANAGER, "Backup", "ha{sv}", (0, {})),
                        (MANAGER_PATH, MANAGER, "Rekey", "h", (0,)),
                        (MANAGER_PATH, MANAGER, "SetRecoveryKey", "h", (0,))):
                    call = c.prepare(path, interface, member, signature, body(signature, *values), n_fds=1)
                    if not c.throw(call, [fd]):
                        raise ConnectionResetError
                    counts.add("calls")
                for one in [fd, *more]:
                    os.close(one)
                c.drain()
            if random.random() < 0.1:
                raise ConnectionResetError
        finally:
            c.close()
    hostile_attack.again(counts, once, *GONE)


def subscribe(counts, address):
    def once():
        lines = [Raw(address) for _ in range(CONNECTIONS)]
        try:
            while True:
                for c in lines:
                    on = c.prepare(MANAGER_PATH, MANAGER, "Subscribe", "as", body("as", []))
                    off = c.prepare(MANAGER_PATH, MANAGER, "Unsubscribe")
                    many = c.prepare(MANAGER_PATH, MANAGER, "Subscribe", "as", body("as", [f"d{i}" for i in range(1000)]))
                    for call in (on, off, many, on):
                        if not c.throw(call, seconds=2):
                            counts.add("stuck")
                            return
                        counts.add("calls")
        finally:
            for c in lines:
                c.close()
    hostile_attack.again(counts, once, *GONE)


def attack(ground):
    """`ground` names the bus, a device, users and a directory for named pipes."""
    address, device, place = ground.bus_address, ground.device_path, ground.open_directory
    stranger, own = ground.uid("stranger"), ground.uid("gatehouse")
    role, only = hostile_attack.Role, tuple(filter(None, os.environ.get("GATEHOUSE_HOSTILE_ROLES", "").split(",")))
    return hostile_attack.Attack("caller", [r for r in [
        role("walk", walk, stranger, address), role("pages", pages, stranger, address, device),
        role("silent", silent, stranger, address, device), role("options", options, stranger, address, device),
        role("descriptors", descriptors, stranger, address, device), role("vanish", vanish, stranger, address, device),
        role("own-walk", walk, own, address), role("own-options", options, own, address, device),
        role("own-descriptors", descriptors, own, address, device), role("own-endless", endless, own, address, device, place),
        role("own-subscribe", subscribe, own, address), role("own-vanish", vanish, own, address, device)]
        if not only or r.name.startswith(only)])
