#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A sensor's own key (--kind=bind): into the vault, to the driver of that device and to nobody else, with what the driver wanted
remembered; whatever happens to keys otherwise leaves it alone."""
import array
import fcntl
import json
import os
import socket
import time

import cbor2

import harness
from agent_bench import refused, sim_bench
from dbus_client import Client, Error
from harness import check, device_path, wait_for

POINTS = {"bytes": {"signal": "key-bytes"}, "times": {"signal": "key-times"}}
DEVICE = "org.gatehouse1.Device"
WAL_HEADER, WAL_FRAME_HEADER = 32, 24


def latest(cloud, device, point):
    samples = cloud.samples(device, point)
    return samples[-1]["value"] if samples else None


def arrives(cloud, device, **points):
    for point, value in points.items():
        wait_for(f"{device} {point} {value}", lambda: latest(cloud, device, point) == value)


def bench_of(bench, *devices, **more):
    return sim_bench(bench, devices, points=POINTS, **more)


def set_key(bench, device, key, *options):
    return bench.ctl("key", "set", device, "--kind=bind", *options, stdin=key.hex().upper().encode() + b"\n")


def handed_over(bench):
    """Set, set again, forgotten; across a restart of the driver, of the agent, and a reload that has the device opened anew."""
    agent, driver, cloud, _ = bench_of(bench, "a", "b")
    arrives(cloud, "a", bytes=0, times=0)
    key = bench.new_key(16)
    said = set_key(bench, "a", key)
    fingerprint = bench.get("a", "BindFingerprint")
    check(fingerprint and fingerprint in said and "16 bytes" in said, said)
    check(fingerprint in bench.ctl("show", "a") and "bind key" not in bench.ctl("show", "b"), "show")
    arrives(cloud, "a", bytes=16, times=1)
    driver.restart()
    arrives(cloud, "a", bytes=16, times=2)
    bench.write_device("a", "sim", interval="90ms", points=POINTS)
    bench.ctl("reload")
    arrives(cloud, "a", bytes=16, times=3)
    agent.restart()
    bench.wait_agent(agent)
    arrives(cloud, "a", bytes=16, times=4)
    check(bench.get("a", "BindFingerprint") == fingerprint, "after a restart")
    bench.ctl("key", "counter-reset", "a")
    arrives(cloud, "a", bytes=16, times=1)
    bench.ctl("key", "forget", "a", "--kind=bind")
    arrives(cloud, "a", bytes=0)
    check(bench.get("a", "BindFingerprint") == "" and latest(cloud, "b", "bytes") == 0, "none")
    refused(bench.ctl("key", "forget", "a", "--kind=bind", status=None), 1, "no bind key")
    refused(bench.ctl("key", "counter-reset", "a", status=None), 1, "no bind key")


def committed(path):
    """How many transactions are in a log of SQLite, whole: the last page of each has the size of the database then in its header."""
    data, found = harness.read_bytes(path), 0
    if len(data) >= WAL_HEADER:
        step = WAL_FRAME_HEADER + int.from_bytes(data[8:12], "big")
        found = sum(data[at + 4:at + 8] != bytes(4) for at in range(WAL_HEADER, len(data) - step + 1, step))
    return found


def remembered(bench):
    """What the driver wanted remembered is there after the agent was killed: written soon, and after that once a minute."""
    agent, driver, cloud, _ = bench_of(bench, "a")
    set_key(bench, "a", bench.new_key(16))
    arrives(cloud, "a", times=1)
    driver.restart()
    arrives(cloud, "a", times=2)
    driver.stop()
    bench.wait_property("a", "SensorState", "no-driver")
    agent.stop()  # writes what waits
    agent.start()
    bench.wait_agent(agent)
    driver.start()
    arrives(cloud, "a", times=3)
    driver.stop()
    agent.stop()
    agent.start()
    bench.wait_agent(agent)
    log = lambda: committed(os.path.join(bench.state, "vault.db-wal"))  # noqa: E731
    before, since = log(), time.monotonic()
    driver.start()
    arrives(cloud, "a", times=4)
    wait_for("the first words since the start are written at once", lambda: log() > before)
    before = log()
    for n in range(5, 9):  # and what comes within the minute is not: a card wears out
        driver.restart()
        arrives(cloud, "a", times=n)
    after = log()
    agent.kill()
    if time.monotonic() - since >= 60:
        print("remembered: not judged, this took longer than the minute")
        return
    check(after == before, f"{before} transactions in the log became {after}")
    driver.stop()
    agent.start()
    bench.wait_agent(agent)
    driver.start()
    arrives(cloud, "a", times=5)


def others_left_alone(bench):
    """Rotation, rekey and removal: the first two do not touch it, the last forgets it."""
    _, _, cloud, keys = sim_bench(bench, ("a",), connect=False, points=POINTS)
    bench.ctl("device", "add", "gone", stdin=json.dumps({"device": "gone", "uplink": "cloud", "driver": "sim",
                                                         "sim": {"interval": "100ms"}, "points": POINTS}).encode())
    shared = bench.new_key(16)
    bench.key_set("a", "first-a", keys["a"])
    set_key(bench, "a", shared)
    set_key(bench, "gone", shared)  # one sensor, known under two names
    fingerprint = bench.get("a", "BindFingerprint")
    check(bench.get("gone", "BindFingerprint") == fingerprint, "the same key")
    bench.wait_property("a", "State", "online")
    before = bench.get("a", "MainFingerprint")
    bench.ctl("rotate", "a")
    check(bench.get("a", "MainFingerprint") != before and bench.get("a", "BindFingerprint") == fingerprint, "rotation")
    bench.ctl("vault", "rekey", f"--keyfile={bench.keyfile}")
    check(bench.get("a", "BindFingerprint") == fingerprint, "rekey")
    bench.ctl("vault", "verify")
    arrives(cloud, "a", bytes=16)
    bench.ctl("device", "remove", "gone", "--yes")
    bench.ctl("device", "add", "gone", stdin=json.dumps({"device": "gone", "uplink": "cloud", "driver": "sim",
                                                         "sim": {"interval": "100ms"}, "points": POINTS}).encode())
    check(bench.get("gone", "BindFingerprint") == "", "forgotten with the device")
    set_key(bench, "gone", shared)
    # no cloud ever gets what a driver knows, nor the other way round
    refused(bench.ctl("key", "set", "gone", "first-gone", status=None, stdin=shared), 1, "bind key")
    cloud_key = bench.new_key(16)
    bench.key_set("gone", "first-gone", cloud_key)
    refused(bench.ctl("key", "set", "a", "--kind=bind", status=None, stdin=cloud_key.hex().encode()), 1, "for a cloud")


def what_is_no_bind_key(bench):
    bench_of(bench, "a", connect=False)
    key = bench.new_key(16)
    for stdin, words in ((key[:12].hex(), "12. Keys of 12 bytes"), (key.hex() + "00", "this has 17"), ("", "this has 0"),
                         (key.hex()[:-1] + "x", "is not hex")):
        refused(bench.ctl("key", "set", "a", "--kind=bind", status=None, stdin=stdin.encode()), 1, words)
    refused(bench.ctl("key", "set", "a", "id", "file", "--kind=bind", status=None), 2, "no identity")
    refused(bench.ctl("key", "set", "a", status=None), 2, "--kind=bind")
    refused(bench.ctl("key", "forget", "a", status=None), 2, "--kind=bind")
    client = Client(bench)
    for slot, identity, n, words in (("backup", "", 16, "in main"), ("main", "x", 16, "no identity"), ("main", "", 12, "of 12 bytes"),
                                     ("main", "", 32, "this has 32")):
        try:
            client.call(device_path("a"), DEVICE, "SetCredential", "ssha{sv}", slot, identity, memfd(bench.new_key(n)),
                        {"kind": ("s", "bind")})
            raise harness.Failure(f"{words}: taken")
        except Error as e:
            check(words in str(e), f"{words}: {e}")
    for kind, content in (("bind", key), ("login", b"anna\nsesame\n")):
        for member, args in (("SetCredential", ("main", "", memfd(content))), ("ForgetCredential", ("main",))):
            try:
                client.call(device_path("a"), DEVICE, member, "ssha{sv}" if len(args) == 3 else "sa{sv}", *args,
                            {"kind": ("s", kind), "force": ("b", True)})
                raise harness.Failure(f"{member} of a {kind}, forced: taken")
            except Error as e:
                check("force is for the keys that a cloud knows" in str(e), f"{member}, {kind}: {e}")
    check(bench.get("a", "BindFingerprint") == "", "nothing was set")
    bench.ctl("key", "set", "a", "--kind=bind", "--encoding=raw", stdin=key)
    check(bench.get("a", "BindFingerprint") != "", "raw, where that is said")


def memfd(data):
    fd = os.memfd_create("key", os.MFD_ALLOW_SEALING)
    os.write(fd, data)
    fcntl.fcntl(fd, 1033, 15)  # F_ADD_SEALS: all of them
    return fd


class Peer:
    """A driver of our own, to which every section is right."""

    def __init__(self, bench, name):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(harness.DEADLINE)
        self.socket.connect(os.path.join(bench.runtime, "driver.sock"))
        self.send("hello", 1, {"name": name, "abi": 3, "version": ""})

    def send(self, kind, *items):
        self.socket.send(cbor2.dumps([kind, *items]))

    def next(self, kind):
        """(packet, descriptors) of the next of that kind; others are not looked at."""
        while True:
            data, ancillary, _, _ = self.socket.recvmsg(65536, socket.CMSG_SPACE(4 * 8))
            fds = array.array("i")
            for _, _, passed in ancillary:
                fds.frombytes(passed)
            packet = cbor2.loads(data)
            if packet[0] == kind:
                return packet, list(fds)
            if packet[0] == "check":
                self.send("answer", packet[1], 0, [])
            check(not fds, f"a descriptor with {packet}")


def only_its_driver(bench):
    """Two drivers beside one another: each gets the keys of its own devices; a device that is given to another driver takes its key
    along, and the first hears nothing of it any more."""
    bench.write_config("coaps://127.0.0.1:1")
    bench.write_device("mine", "one", points={"x": {}})
    bench.write_device("theirs", "two", points={"x": {}})
    bench.bus()
    agent = bench.agent()
    one, two = Peer(bench, "one"), Peer(bench, "two")
    for peer in (one, two):
        peer.next("end")
    keys = {device: bench.new_key(16) for device in ("mine", "theirs")}
    for device, key in keys.items():
        set_key(bench, device, key)
    for peer, device in ((one, "mine"), (two, "theirs")):
        packet, fds = peer.next("secret")
        check(packet[2:] == [device, ""] and len(fds) == 1, f"{packet} {fds}")
        check(os.pread(fds[0], 100, 0) == keys[device], "the key")
        try:
            os.pwrite(fds[0], b"x", 0)
            raise harness.Failure("the descriptor can be written to")
        except OSError:
            os.close(fds[0])
        peer.send("answer", packet[1], 0, 0)
        peer.send("keep", 5, device, f"seen of {device}")
    one.send("keep", 6, "theirs", "not one's own")  # may have been taken away meanwhile: no offence, and no effect
    one.send("report", 7, ["theirs", [["x", 1, 1, "", 0]]])
    check(one.next("credit")[0][3] == [19], "not its device")
    bench.write_device("mine", "two", points={"x": {}})
    caller = Client(bench)
    caller.send("/org/gatehouse1", "org.gatehouse1.Manager", "Reload", "", (), harness.BUS_NAME)  # asks the driver meanwhile
    packet, fds = two.next("secret")
    check(packet[2:] == ["mine", "seen of mine"] and os.pread(fds[0], 100, 0) == keys["mine"], packet)
    os.close(fds[0])
    two.send("answer", packet[1], 95, "no keys here")
    agent.wait_text("takes no bind keys")
    set_key(bench, "theirs", bench.new_key(16))
    packet, fds = two.next("secret")
    check(packet[2:] == ["theirs", ""], f"another key, and nothing remembered of the one before: {packet}")
    os.close(fds[0])
    one.send("hello", 8, {"name": "one", "abi": 3, "version": ""})
    one.next("bye")  # and no secret before
    caller.close()


def never_undone(bench):
    """What a driver that counts by the key before still says does not bring back what the operator began anew."""
    bench.write_config("coaps://127.0.0.1:1")
    bench.write_device("d", "one", points={"x": {}})
    bench.bus()
    agent = bench.agent()
    one = Peer(bench, "one")
    one.next("end")

    def secret(kept):
        packet, fds = one.next("secret")
        check(packet[2:] == ["d", kept], f"{packet}, and not {kept!r}")
        os.close(fds[0])
        return packet[1]

    def told():
        """What was said before is read: a report is answered behind it."""
        one.send("report", 9, ["d", [["x", time.time_ns() // 1000, 1, "", 0]]])
        one.next("credit")

    set_key(bench, "d", bench.new_key(16))
    one.send("answer", secret(""), 0, 0)
    one.send("keep", 5, "d", "17")
    told()
    for act in (lambda: bench.ctl("key", "counter-reset", "d"), lambda: set_key(bench, "d", bench.new_key(16))):
        act()
        serial = secret("")
        one.send("keep", 5, "d", "18")
        told()
        one.send("answer", serial, 0, 0)
        agent.restart()
        bench.wait_agent(agent)
        one.socket.close()
        one = Peer(bench, "one")
        one.send("answer", secret(""), 0, 0)
        one.send("keep", 5, "d", "1")
        told()
    agent.restart()
    bench.wait_agent(agent)
    one.socket.close()
    one = Peer(bench, "one")
    secret("1")


def exported_nowhere(bench):
    """Neither a list of keys nor ExportCredential has it."""
    bench_of(bench, "a")
    key = bench.new_key(16)
    set_key(bench, "a", key)
    out = bench.path("out.csv")
    bench.ctl("export", "csv", out)
    check("first-a" in harness.read(out) and not any(form.decode(errors="replace") in harness.read(out) for form in harness.key_forms(key)),
          "the cloud's key alone")
    os.unlink(out)
    refused(bench.ctl("key", "export", "a", "bind", bench.path("key"), status=None), 1, "no slot 'bind'")


if __name__ == "__main__":
    harness.main(handed_over, remembered, others_left_alone, what_is_no_bind_key, only_its_driver, never_undone,
                 exported_nowhere)
