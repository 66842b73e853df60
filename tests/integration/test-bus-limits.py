#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What anybody local can do to the agent over the bus: ask and not read, ask very much at once, pass descriptors. Its memory
and the turns of its loop stay bounded, and everybody else is answered as before."""
import os
import pwd
import re
import signal
import time

import harness
from agent_bench import sim_bench
from dbus_client import (CALL, DESTINATION, ERROR, FIELD_TYPES, INTERFACE, MEMBER, PATH, REPLY_SERIAL, RETURN, SIGNATURE,
                         Client, Error, Message, Reader, Writer, split)
from harness import check, wait_for

ROOT, MANAGER = "/org/gatehouse1", "org.gatehouse1.Manager"
OBJECTS = "org.freedesktop.DBus.ObjectManager"
LIMITS = "org.freedesktop.DBus.Error.LimitsExceeded"
INVALID = "org.gatehouse1.Error.InvalidArgument"
STRANGER = 65534
MIB = 1 << 20
SUBSCRIBERS = 64
ATTACK = 4  # seconds
# Of a connection: each beyond 128 unanswered ones is refused by the bus daemon itself, which keeps that refusal, too; on a quick
# machine 100,000 of them weigh as much as the answers that are judged here.
CALLS_MAX = 10000


def resident(process):
    with open(f"/proc/{process.pid}/statm", encoding="ascii") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def open_files(process):
    return len(os.listdir(f"/proc/{process.pid}/fd"))


class Flood:
    """A caller that sends as fast as the bus takes it, and reads nothing."""

    def __init__(self, bench, message, uid=STRANGER, most=None):
        os.chmod(bench.dir, 0o711)  # the bus's socket is in it
        self.client = Client(bench, uid=uid)
        self.client.socket.setblocking(False)
        self.message, self.sent, self.pending, self.most = message, 0, b"", most

    def go(self):
        """Until the bus takes no more."""
        while self.most is None or self.sent < self.most:
            if not self.pending:
                self.client.serial += 1
                self.pending = self.message(self.client.serial)
            try:
                n = self.client.socket.send(self.pending)
            except BlockingIOError:
                return
            self.pending = self.pending[n:]
            self.sent += not self.pending


def call_bytes(path, interface, member, signature="", *values):
    """serial -> the bytes of a method call."""
    body = Writer()
    for kind, value in zip(split(signature), values):
        body.put(kind, value)
    fields = {PATH: path, INTERFACE: interface, MEMBER: member, DESTINATION: harness.BUS_NAME}
    if signature:
        fields[SIGNATURE] = signature

    def make(serial):
        head = Writer()
        for part, value in zip("yyyyuu", (ord("l"), CALL, 0, 1, len(body.data), serial)):
            head.put(part, value)
        head.put("a(yv)", [(code, (FIELD_TYPES[code], value)) for code, value in fields.items()])
        head.align(8)
        return bytes(head.data + body.data)
    return make


def many_devices(bench, n):
    """Devices without keys: what matters is that there are many to tell of."""
    bench.write_config("coaps://127.0.0.1:1")
    for i in range(n):
        bench.write_device(f"device-{i:05}", "sim", points={"x": {}})
    agent = bench.agent()
    wait_for("all devices", lambda: bench.get(None, "Devices") == n)
    return agent


def attack(bench, agent, floods, seconds=ATTACK):
    """What the memory of the agent and of the bus daemon grew by at most meanwhile, while another caller is answered: by the
    deadline that any call has, or this fails."""
    daemon = next(p for p in bench.processes if p.name == "dbus-daemon")
    with Client(bench) as other:
        other.call(ROOT, MANAGER, "GetDevice", "s", "device-00001")
        before = most = resident(agent), resident(daemon)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for flood in floods:
                flood.go()
            other.call(ROOT, MANAGER, "GetDevice", "s", "device-00001")
            most = max(most[0], resident(agent)), max(most[1], resident(daemon))
    return [(m - b) / MIB for m, b in zip(most, before)]


def bounded(bench, message, connections=4, devices=2000):
    """What was not read is kept by the bus daemon, until it is full and takes nothing more of the agent, which then keeps it
    itself: neither may happen."""
    agent = many_devices(bench, devices)
    floods = [Flood(bench, message, most=CALLS_MAX) for _ in range(connections)]
    grown, unread = attack(bench, agent, floods)
    sent = sum(f.sent for f in floods)
    print(f"{sent} calls; the agent's memory +{grown:.1f} MiB, the bus daemon's +{unread:.1f} MiB")
    # A sanitizer keeps what was freed for a while.
    check(harness.STRETCH > 1 or grown < 16, f"the agent's memory grew by {grown:.0f} MiB while {sent} calls were sent")
    check(unread < 100, f"{unread:.0f} MiB of answers were left with the bus daemon while {sent} calls were sent")
    for f in floods:
        f.client.close()
    with Client(bench) as c:
        found, = c.call(ROOT, OBJECTS, "GetManagedObjects")
        check(len(found) >= devices, "others are answered, and who reads gets all")


def objects_unread(bench):
    bounded(bench, call_bytes(ROOT, OBJECTS, "GetManagedObjects"))


def lists_unread(bench):
    bounded(bench, call_bytes(ROOT, MANAGER, "ListDevices", "a{sv}", {}))


def properties_unread(bench):
    bounded(bench, call_bytes(ROOT, "org.freedesktop.DBus.Properties", "GetAll", "s", MANAGER))


def trees_unread(bench):
    bounded(bench, call_bytes(ROOT + "/device", "org.freedesktop.DBus.Introspectable", "Introspect"))


def readers_are_not_limited(bench):
    """Who reads may go on asking: nothing is held against a caller that takes what it asked for."""
    many_devices(bench, 1000)
    with Client(bench) as c:
        for _ in range(400):
            rows, = c.call(ROOT, MANAGER, "ListDevices", "a{sv}", {})
            check(len(rows) == 1000, "all of them")


def one_walk_a_sender(bench):
    many_devices(bench, 2000)
    with Client(bench) as c:
        serials = {c.send(ROOT, OBJECTS, "GetManagedObjects", "", (), harness.BUS_NAME) for _ in range(3)}
        answers = []
        while serials:
            m = c.receive()
            if m.kind in (RETURN, ERROR) and m.fields[REPLY_SERIAL] in serials:
                serials.remove(m.fields[REPLY_SERIAL])
                answers.append("all" if m.kind == RETURN else m.fields[4])
        check(sorted(answers) == ["all", LIMITS, LIMITS], answers)


class Onlooker(Client):
    """Sees the answers that the bus daemon takes, in their order, and does not look into them."""

    watching = False

    def __init__(self, bench):
        super().__init__(bench)
        self.call("/org/freedesktop/DBus", "org.freedesktop.DBus.Monitoring", "BecomeMonitor", "asu", ["type='method_return'"], 0,
                  destination="org.freedesktop.DBus")
        self.watching = True

    def parse(self, size):
        if not self.watching:
            return super().parse(size)
        reader = Reader(self.buffer[:size], [])
        self.buffer = self.buffer[size:]
        reader.at = 1
        kind = reader.get("y")
        reader.at = 12
        return Message(kind, {code: value for code, (_, value) in reader.get("a(yv)")}, [])


def root_waits_for_one(bench):
    """While the bus takes nothing, several users' answers are ready to be sent. root, who asks after them, waits for no more than the
    one that was being sent."""
    agent = many_devices(bench, 1000)
    daemon = next(p for p in bench.processes if p.name == "dbus-daemon")
    os.chmod(bench.dir, 0o711)
    users = [user.pw_uid for user in pwd.getpwall() if user.pw_uid != 0][:4]  # the bus lets nobody in that has no name
    others, root = [Client(bench, uid=uid) for uid in users], Client(bench)
    for c in (*others, root):
        c.call(ROOT, MANAGER, "GetDevice", "s", "device-00001")  # who it is need not be asked from here on
    onlooker = Onlooker(bench)
    agent.send(signal.SIGSTOP)
    asked = [(c.name, c.send(ROOT, OBJECTS, "GetManagedObjects", "", (), harness.BUS_NAME)) for c in others]
    for c in others:
        c.call("/org/freedesktop/DBus", "org.freedesktop.DBus", "GetId", destination="org.freedesktop.DBus")  # the daemon has passed it on
    daemon.send(signal.SIGSTOP)
    try:
        before, used, idle = processor(agent), 0, 0  # one that is not let run, or stands still, is not idle
        agent.send(signal.SIGCONT)

        def made():
            nonlocal used, idle
            last, used = used, processor(agent)
            idle = idle + 1 if used > before and used - last < 0.002 and sleeps(agent) else 0
            return idle >= 20
        wait_for("the agent has made what it makes", made)
        asked.append((root.name, root.send(ROOT, OBJECTS, "GetManagedObjects", "", (), harness.BUS_NAME)))
    finally:
        daemon.send(signal.SIGCONT)
    order = []
    while len(order) < len(asked):
        fields = onlooker.receive().fields
        answer = fields.get(DESTINATION), fields.get(REPLY_SERIAL)
        order += [answer] if answer in asked else []
    check(order.index(asked[-1]) <= 1, f"root's answer was number {order.index(asked[-1]) + 1}")


class Pairs(dict):
    """What a dictionary of Python's cannot hold: one key twice."""

    def __init__(self, pairs):
        super().__init__(pairs)
        self.pairs = pairs

    def items(self):
        return self.pairs


def options_are_few(bench):
    """Repeated options, and more than sixteen, are refused."""
    sim_bench(bench, connect=False)
    with Client(bench) as c:
        for options, words in (([("limit", ("u", 10)), ("limit", ("u", 11))], "twice"),
                               ([(f"x{i}", ("u", 1)) for i in range(20)], "no option"),
                               ([("after", ("s", "a" * 1000)), ("after", ("s", "b"))], "twice")):
            try:
                c.call(ROOT, MANAGER, "ListDevices", "a{sv}", Pairs(options))
                check(False, f"{options} are taken")
            except Error as e:
                check(e.name == INVALID and words in e.text, e)


def many_options_hold_nothing(bench):
    """30 MiB of repeated options are refused at the second one, and not read to their end: what the agent takes of a
    processor meanwhile is what moving the message takes."""
    many_devices(bench, 2)
    message = call_bytes(ROOT, MANAGER, "ListDevices", "a{sv}", Pairs([("limit", ("u", 10))] * (30 * MIB // 24)))
    agent = next(p for p in bench.processes if p.name == "gatehoused")
    with Client(bench) as c:
        times = []
        for serial in range(100, 103):
            data, before = message(serial), processor(agent)
            c.socket.sendall(data)
            check(not c.answered(serial), "refused")
            times.append(processor(agent) - before)
    print(f"{[round(t, 3) for t in times]} s of a processor each")
    check(harness.STRETCH > 1 or min(times) < 0.3 * slow(), f"{times} s of a processor for one message")


def processor(process):
    """Seconds that the agent has had of it."""
    with open(f"/proc/{process.pid}/schedstat", encoding="ascii") as f:
        return int(f.read().split()[0]) / 1e9


def sleeps(process):
    return harness.read(f"/proc/{process.pid}/stat").rsplit(")", 1)[1].split()[0] == "S"


def busy(*processes):
    """Seconds that they have had of a processor or waited for one."""
    times = [harness.read(f"/proc/{p.pid}/schedstat").split() for p in processes]
    return sum(int(had) + int(waited) for had, waited, *_ in times) / 1e9


def slow():
    return getattr(harness, "STRETCH", 1)


def large_messages_are_refused(bench):
    """Over 2 MiB, with words, and never stored: the agent's memory does not grow by one."""
    many_devices(bench, 2)
    agent = next(p for p in bench.processes if p.name == "gatehoused")
    with Client(bench) as c:
        c.call(ROOT, MANAGER, "GetDevice", "s", "device-00001")
        before = peak(agent)
        for size in (2 * MIB, 30 * MIB):
            try:
                c.call(ROOT, MANAGER, "GetDevice", "s", "x" * size)
                check(False, f"{size} bytes were taken")
            except Error as e:
                check(e.name == LIMITS and "2 MiB" in e.text, e)
        check(harness.STRETCH > 1 or peak(agent) - before < 2 * MIB, f"the agent's memory grew by {(peak(agent) - before) / MIB:.1f} MiB")
        try:
            c.call(ROOT, MANAGER, "GetDevice", "s", "x" * MIB)
            check(False, "there is such a device")
        except Error as e:
            check(e.name == "org.gatehouse1.Error.NoSuchDevice", e)


def peak(process):
    with open(f"/proc/{process.pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmHWM:"))


def descriptors(bench):
    """Two descriptors a call are refused; one a call, and answers not waited for: of one user, however many connections he has, few
    are open at once."""
    agent = many_devices(bench, 2)
    before, most = open_files(agent), 0
    os.chmod(bench.dir, 0o711)
    clients = [Client(bench, uid=STRANGER) for _ in range(8)]
    read, write = os.pipe()
    try:
        clients[0].call(ROOT, MANAGER, "Backup", "ha{sv}h", read, {}, read)
        check(False, "two descriptors were taken")
    except Error as e:
        check(e.name == LIMITS and "descriptor" in e.text, e)
    end = time.monotonic() + ATTACK
    for c in clients:
        c.socket.setblocking(False)
    while time.monotonic() < end:
        for c in clients:
            try:
                c.send(ROOT, MANAGER, "Backup", "ha{sv}", (read, {}), harness.BUS_NAME)
            except BlockingIOError:
                c.socket.close()
                clients[clients.index(c)] = c = Client(bench, uid=STRANGER)
                c.socket.setblocking(False)
        most = max(most, open_files(agent))
    os.close(read)
    os.close(write)
    # 64 of the user, and 512 of connections whose user the bus has yet to name
    check(most - before < 64 + 512 + 32, f"{most - before} descriptors more were open")
    wait_for("them to be closed", lambda: open_files(agent) <= before + 4)


def reconnecting_brings_nothing(bench):
    """A caller that comes again for each few calls has no more of the processor than one that stays."""
    agent = many_devices(bench, 20)
    os.chmod(bench.dir, 0o711)
    calls = [call_bytes(ROOT, OBJECTS, "GetManagedObjects"), call_bytes(ROOT, MANAGER, "Subscribe", "as", []),
             call_bytes(ROOT, MANAGER, "VerifyVault")]
    begun, before, n = time.monotonic(), processor(agent), 0
    while time.monotonic() < begun + ATTACK:
        with Client(bench, uid=STRANGER) as c:
            c.socket.sendall(b"".join(make(serial) for serial, make in enumerate(calls, 100)))
        n += 1
    share = (processor(agent) - before) / (time.monotonic() - begun)
    print(f"{n} connections; {share:.1%} of a processor")
    check(share < 0.2 * slow(), f"{share:.0%} of a processor for {n} connections")
    with Client(bench) as c:
        c.call(ROOT, MANAGER, "GetDevice", "s", "device-00001")


def subscribers_are_bounded(bench):
    """There are so many places for the subscribers of a user, and one whose connection has ended is free again."""
    sim_bench(bench, connect=False)
    own = [Client(bench) for _ in range(SUBSCRIBERS if os.geteuid() == 0 else SUBSCRIBERS // 4)]
    for c in own:
        c.call(ROOT, MANAGER, "Subscribe", "as", [])
    with Client(bench) as c:
        try:
            c.call(ROOT, MANAGER, "Subscribe", "as", [])
            check(False, "there is no bound")
        except Error as e:
            check(e.name == LIMITS, e)
    own.pop().close()

    def again():
        with Client(bench) as c:
            try:
                c.call(ROOT, MANAGER, "Subscribe", "as", [])
                return True
            except Error:
                return False
    wait_for("a place that became free", again)


def the_loop_waits_for_nobody(bench):
    """A bus daemon that does not answer, in the middle of calls for which the agent has to ask it something, keeps no session
    waiting: samples go on arriving. A question to the bus would be given up after 25 s of doing nothing: what all together had to do,
    and how long they waited for a processor, is not counted."""
    agent, driver, cloud, _ = sim_bench(bench)
    daemon = next(p for p in bench.processes if p.name == "dbus-daemon")
    calls = (("/org/freedesktop/LogControl1", "org.freedesktop.DBus.Properties", "Set", "ssv",
              ("org.freedesktop.LogControl1", "LogLevel", ("s", "info"))),
             (ROOT, MANAGER, "Subscribe", "as", ([],)), (ROOT, MANAGER, "Unsubscribe", "", ()))
    for _ in range(3):
        with Client(bench) as c:
            sent = [c.send(*call, harness.BUS_NAME) for _ in range(100) for call in calls]
            check(c.answered(sent[5]), "the first of them")
            daemon.send(signal.SIGSTOP)
            try:
                begun, mark = time.monotonic() - busy(agent, driver, cloud), cloud.mark()
                wait_for("samples while the bus is stopped", lambda: len([e for e in cloud.events()[mark:] if e.get("event") == "sample"]) >= 5)
                idle = time.monotonic() - busy(agent, driver, cloud) - begun
            finally:
                daemon.send(signal.SIGCONT)
            check(idle < 20, f"for five samples nothing was done for {idle:.0f} s while the bus did not answer")
            check(c.answered(sent[-1]), "the last one")


if __name__ == "__main__":
    harness.main(objects_unread, lists_unread, properties_unread, trees_unread, readers_are_not_limited, one_walk_a_sender, root_waits_for_one,
                 options_are_few,
                 many_options_hold_nothing, large_messages_are_refused, descriptors, reconnecting_brings_nothing, subscribers_are_bounded, the_loop_waits_for_nobody)
