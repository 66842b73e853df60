#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""doc/examples/driver.py, written from doc/driver-protocol.md alone, with the real agent: its samples arrive, it is written to, it
follows a reload, and the agent is told apart from what is no driver."""
import os
import socket
import sys

import cbor2

import harness
from harness import check, wait_for

EXAMPLE = os.path.join(harness.ROOT, "doc", "examples", "driver.py")


def start(bench):
    key = bench.new_key()
    cloud = bench.devcloud([("first-g", key, "g")])
    bench.write_config(cloud.url)
    bench.write_device("g", "python", {"load": {}, "note": {"writable": True}}, interval=0.05)
    agent = bench.agent()
    bench.key_set("g", "first-g", key)
    driver = bench.spawn("driver-python", [sys.executable, EXAMPLE, "python", os.path.join(bench.runtime, "driver.sock")])
    bench.wait_property("g", "State", "online")
    return agent, driver, cloud


def samples_and_writes(bench):
    _, driver, cloud = start(bench)
    bench.wait_property("g", "SensorState", "ok")
    wait_for("samples of load", lambda: len(cloud.samples("g", "load")) >= 10)
    check(all(isinstance(s["value"], (int, float)) for s in cloud.samples("g", "load")), "numbers")
    bench.ctl("write", "g", "note", "hello")
    wait_for("what was written", lambda: any(s["value"] == "hello" for s in cloud.samples("g", "note")))
    bench.ctl("write", "g", "load", "1", status=1)
    check("cannot do that" in bench.ctl("read", "g", "load", status=None).stderr.decode(), "its own words reach the caller")
    check([d[:3] for d in bench.get(None, "Drivers")] == [["python", "1.0", "connected"]], bench.get(None, "Drivers"))
    # a reload: a point more, and the driver goes on
    bench.write_device("g", "python", {"load": {}, "more": {"writable": True}}, interval=0.05)
    bench.ctl("reload")
    bench.ctl("write", "g", "more", "7")
    wait_for("the new point", lambda: any(s["value"] == 7 for s in cloud.samples("g", "more")))
    driver.kill()
    bench.wait_property("g", "State", "no-driver")


def said(peer, kind):
    """The next packet of that kind; the set of devices comes when it comes."""
    while (packet := cbor2.loads(peer.recv(65536)))[0] != kind:
        pass
    return packet


def breach(bench):
    """A peer that breaks the rules is told why, and costs the driver nothing but its connection."""
    agent, _, cloud = start(bench)
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    peer.settimeout(harness.DEADLINE)
    peer.connect(os.path.join(bench.runtime, "driver.sock"))
    peer.send(cbor2.dumps(["hello", 1, {"name": "other", "abi": 2, "version": ""}]))
    peer.send(cbor2.dumps(["report", 2, ["g", [["load", 1, 99.5, "", 0]]]]))
    packet = said(peer, "credit")
    check(packet[1] == 2 and packet[3] == [19], f"not its device: {packet}")
    peer.send(cbor2.dumps(["hello", 3, {"name": "python", "abi": 2, "version": ""}]))
    packet = said(peer, "bye")
    check("second hello" in packet[2], packet)
    check(peer.recv(65536) == b"", "closed")
    agent.wait_text("driver other: connection closed: a second hello")
    n = len(cloud.samples("g", "load"))
    wait_for("samples go on", lambda: len(cloud.samples("g", "load")) > n + 5)
    check(all(s["value"] != 99.5 for s in cloud.samples("g", "load")), "nobody speaks for another's device")


def storm(bench):
    """Devices that change their state without end, each time with a place in their file: the journal gets a few lines, and what is
    shown in the end is what was said last."""
    devices = [f"d{i}" for i in range(40)]
    bench.write_config("coaps://127.0.0.1:1")
    for device in devices:
        bench.write_device(device, "noisy", {"x": {}}, interval=1)
    agent = bench.agent()
    bench.wait_agent(agent)
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    peer.settimeout(harness.DEADLINE)
    peer.connect(os.path.join(bench.runtime, "driver.sock"))
    peer.send(cbor2.dumps(["hello", 1, {"name": "noisy", "abi": 2, "version": ""}]))
    said(peer, "end")
    for i in range(100):
        for device in devices:
            peer.send(cbor2.dumps(["state", 2, device, "failed" if i % 2 else "degraded", f"/noisy/interval: no {i}"]))
    for device in devices:
        bench.wait_property(device, "SensorReason", lambda reason, d=device: reason.endswith("no 99") and f"{d}.json:" in reason)
    lines = [line for line in agent.text().splitlines() if ": sensor " in line or "warning: sensor" in line]
    check(len(lines) <= 120, f"{len(lines)} lines")
    peer.close()


if __name__ == "__main__":
    harness.main(samples_and_writes, breach, storm)
