#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Addresses and routes that change under two hundred sessions, in network namespaces: each session that the kernel would now
send from elsewhere is made anew, once, and not faster than admission has it; no other is touched."""
import sys
import time

import harness
import wire as line
from harness import check, wait_for

CHILDREN = 200
RATE = 50
OTHER = "10.9.0.3"


def start(bench):
    wire = line.Wire(seed=1)
    devices = [f"child-{i:03d}" for i in range(CHILDREN)]
    keys = {d: bench.new_key() for d in devices}
    with wire.far():
        cloud = bench.devcloud([(f"first-{d}", keys[d], d) for d in devices], listen=line.FAR)
    bench.write_config(cloud.url, uplink={"admission": {"concurrent": 16, "rate": RATE, "jitter": "1s"}})
    for d in devices:
        bench.write_device(d, "nobody", {"x": {}})
    bench.agent()
    bench.set_keys((d, f"first-{d}", keys[d]) for d in devices)
    wait_online(bench, cloud)
    return wire, cloud


def wait_online(bench, cloud):
    bench.wait_property(None, "Online", CHILDREN, 30)
    wait_for("first messages", lambda: all(d["probes"] > 0 for d in cloud.stats()["devices"].values()), 30)


def boottime():
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def moved(cloud, since, address, begun):
    """Until each child has one new session, from that address, and never more of them than the rate allows since `begun`: what a
    busy machine holds up comes later, and together, but never earlier."""
    sessions = cloud.wait_events(CHILDREN, "session", 30, since)
    check(len({e["device"] for e in sessions}) == CHILDREN, "some child made more than one session")
    check(all(e["peer"].startswith(address + ":") for e in sessions), f"a session is not from {address}")
    for count, at in enumerate(sorted(e["at"] / 1e6 - begun for e in sessions), 1):
        check(count <= RATE * (at + 0.3), f"{count} sessions within {at:.3f} s, with a rate of {RATE}")


def address_changes(bench):
    wire, cloud = start(bench)
    since = cloud.mark()
    line.ip("addr", "add", "10.77.0.1/24", "dev", line.DEVICE)
    line.ip("route", "add", "10.78.0.0/24", "dev", line.DEVICE)
    until = time.monotonic() + 3
    wait_for("what has nothing to do with the cloud to change nothing", lambda: time.monotonic() > until)
    check(not cloud.find_events("session", since), "another network's address made sessions anew")
    begun = boottime()
    wire.readdress(line.NEAR, OTHER)
    moved(cloud, since, OTHER, begun)
    bench.wait_property(None, "Online", CHILDREN, 30)


def route_prefers_another_address(bench):
    _, cloud = start(bench)
    since = cloud.mark()
    line.ip("addr", "add", f"{OTHER}/24", "dev", line.DEVICE)
    begun = boottime()
    line.ip("route", "replace", "10.9.0.0/24", "dev", line.DEVICE, "src", OTHER)
    moved(cloud, since, OTHER, begun)
    bench.wait_property(None, "Online", CHILDREN, 30)


if __name__ == "__main__":
    try:
        line.Wire(seed=1).close()
    except line.NotPossible as e:
        print(e)
        sys.exit(harness.SKIPPED)
    harness.main(address_changes, route_prefers_another_address)
