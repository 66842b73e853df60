#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A cloud's name has several addresses, and some of them are black holes: nothing comes back from there, not even an ICMP error.
In a network namespace of its own, with /etc/hosts of a mount namespace as the name server."""
import contextlib
import os
import subprocess
import time

import harness
import namespaces
from harness import check
from mqtt_peers import Broker
from waiting import STRETCH

NAME = "cloud.gatehouse.test"
DEVICE = "boiler-1"
# Seconds, until samples arrive again where an address was known that works: as promised where that is measured. Otherwise that they
# arrive is waited for, and how long it takes is the machine's matter.
BOUND = 25


def address(n):
    return f"127.0.0.{n}"


def name_means(addresses):
    """Written in place: the namespace has this very file mounted."""
    with open("/etc/hosts", "w", encoding="utf-8") as f:
        f.write("127.0.0.1 localhost\n" + "".join(f"{a} {NAME}\n" for a in addresses))


def dark(*addresses):
    """From now on these are black holes, and no others."""
    subprocess.run(["nft", "-f", "-"], check=True, text=True, input="table ip dark\ndelete table ip dark\ntable ip dark {\n"
                   "chain in {\ntype filter hook input priority 0\n" + "".join(f"ip daddr {a} drop\n" for a in addresses) + "}\n}\n")


def start(bench, url, **uplink):
    bench.write_config(url, uplink)
    bench.write_device(DEVICE, "sim", {"x": {"signal": "sine", "period": "10s"}}, interval="1s")
    bench.agent()
    bench.driver("sim")


def told(what, seconds):
    print(f"{what}: {seconds:.1f} s")
    check("GATEHOUSE_MEASURES" not in os.environ or seconds < BOUND * STRETCH, f"{what} after {seconds:.1f} s")


def seven_of_eight_are_dark(bench):
    """The one that works is the last, in the order in which they are tried."""
    key = bench.new_key()
    cloud = bench.devcloud([("first-1", key, DEVICE)], listen=address(9))
    name_means(address(n) for n in range(2, 10))
    dark(*map(address, range(2, 9)))
    start(bench, f"coaps://{NAME}:{cloud.port}")
    began = time.monotonic()
    bench.key_set(DEVICE, "first-1", key)
    cloud.wait_event("sample", device=DEVICE, seconds=120)
    told("of eight addresses the last answers, first sample", time.monotonic() - began)


def seven_of_eight_brokers_are_dark(bench):
    key = bench.new_key()
    with contextlib.ExitStack() as stack:
        broker = Broker(stack, {"first-1": key}, listen=address(9))
        name_means(address(n) for n in range(2, 10))
        dark(*map(address, range(2, 9)))
        start(bench, f"mqtts://{NAME}:{broker.port}", profile="senml-mqtt", registrar={"type": "manual"})
        began = time.monotonic()
        bench.key_set(DEVICE, "first-1", key)
        bench.wait_property(DEVICE, "Delivered", lambda n: n > 0, 120)
        told("of eight brokers the last answers, first sample", time.monotonic() - began)


def the_live_address_goes_dark(bench):
    key = bench.new_key()
    old = bench.devcloud([("first-1", key, DEVICE)], name="old", listen=address(2))
    new = bench.devcloud([("first-1", key, DEVICE)], name="new", listen=address(3), port=old.port)
    dark()
    name_means([address(2), address(3)])
    start(bench, f"coaps://{NAME}:{old.port}")
    bench.key_set(DEVICE, "first-1", key)
    bench.wait_property(DEVICE, "Delivered", lambda n: n > 1)
    first, second = (old, new) if old.samples(DEVICE) else (new, old)
    began = time.monotonic()
    dark(address(2 if first is old else 3))
    second.wait_event("sample", device=DEVICE, seconds=120)
    told("the address that worked went dark, samples at the other one", time.monotonic() - began)


def the_live_broker_goes_dark(bench):
    key = bench.new_key()
    with contextlib.ExitStack() as stack:
        old = Broker(stack, {"first-1": key}, listen=address(2))
        new = Broker(stack, {"first-1": key}, listen=address(3), port=old.port)
        dark()
        name_means([address(2), address(3)])
        start(bench, f"mqtts://{NAME}:{old.port}", profile="senml-mqtt", registrar={"type": "manual"})
        bench.key_set(DEVICE, "first-1", key)
        before = bench.wait_property(DEVICE, "Delivered", lambda n: n > 1)
        at_old = any("New client connected" in line for line in peek(old))
        began = time.monotonic()
        dark(address(2 if at_old else 3))
        (new if at_old else old).lines.expect("Received PUBLISH from")
        told("the broker that worked went dark, samples at the other one", time.monotonic() - began)


def peek(broker):
    """What it has said so far."""
    return list(broker.lines.seen) + [line for line in list(broker.lines.queue.queue) if line]


def main():
    namespaces.enter("--mount", "--net", trial="mount -t tmpfs tmpfs /mnt && nft list ruleset")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/mnt"], check=True)
    with open("/mnt/hosts", "w", encoding="utf-8"):
        pass
    subprocess.run(["mount", "--bind", "/mnt/hosts", "/etc/hosts"], check=True)
    harness.main(seven_of_eight_are_dark, seven_of_eight_brokers_are_dark, the_live_address_goes_dark, the_live_broker_goes_dark,
                 needs=("nft", "ip"))


if __name__ == "__main__":
    main()
