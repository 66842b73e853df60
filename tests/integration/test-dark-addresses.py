#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A cloud's name has several addresses, and some of them are black holes: nothing comes back from there, not even an ICMP error.
In a network namespace of its own, with /etc/hosts of a mount namespace as the name server."""
import collections
import contextlib
import itertools
import os
import socket
import statistics
import struct
import subprocess
import threading
import time

import harness
import namespaces
from harness import check, wait_for
from mqtt_peers import Broker
from waiting import STRETCH

NAME = "cloud.gatehouse.test"
DEVICE = "boiler-1"
# Seconds, until samples arrive again where an address was known that works: as promised where that is measured. Otherwise what was
# tried until then is judged by the packets, and how long it takes is the machine's matter.
BOUND = 25
PACKETS = 2  # for one that is silent: the first, and one a second later; the next would follow three seconds after the first, and seven
# times as long is within BOUND
ETH_P_IP, UDP, SYN = 0x0800, 17, 0x02


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


class Seen:
    """The packets to a port, in the order in which they were sent: (last number of the address, port they come from). What is dropped
    is among them."""

    def __init__(self, port):
        self.port, self.packets, self.since, self.known = port, [], 0, set()
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP))
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            packet = self.socket.recv(65536)
            transport = packet[4 * (packet[0] & 15):]
            source, to = struct.unpack_from(">HH", transport)
            if to == self.port and (packet[9] == UDP or transport[13] & 0x12 == SYN):
                self.packets.append((packet[19], source))

    def begin(self, live):
        """From now on; whose packets were seen until now is known, which a session to this address has sent."""
        wait_for("the session's packets", lambda: any(to == live for to, _ in self.packets))
        self.since, self.known = len(self.packets), {source for _, source in self.packets}

    def before(self, live):
        """{(address, port it came from): how many packets}, of those before the first to the address that answers."""
        wait_for("a packet to the address that answers", lambda: any(to == live for to, _ in self.packets[self.since:]))
        return collections.Counter(itertools.takewhile(lambda p: p[0] != live, self.packets[self.since:]))


def each_once(seen):
    """How many packets each of the seven got before the one that answers was tried."""
    tried = seen.before(9)
    check(sorted(to for to, _ in tried) == list(range(2, 9)), f"each is tried once before the one that answers: {dict(tried)}")
    return tried.values()


def once_more(seen, gone, live):
    """Where it worked last is tried first, and once."""
    known = seen.known
    tried = [source for to, source in seen.before(live) if to == gone and source not in known]
    check(len(tried) <= 1, f"where it worked it is tried once more, and then elsewhere: {seen.packets}, beside {known}")


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
    seen = Seen(cloud.port)
    start(bench, f"coaps://{NAME}:{cloud.port}")
    began = time.monotonic()
    bench.key_set(DEVICE, "first-1", key)
    cloud.wait_event("sample", device=DEVICE, seconds=120)
    check(max(each_once(seen)) <= PACKETS, f"one that is silent is left before a third: {seen.packets}")
    told("of eight addresses the last answers, first sample", time.monotonic() - began)


def seven_of_eight_brokers_are_dark(bench):
    key = bench.new_key()
    with contextlib.ExitStack() as stack:
        broker = Broker(stack, {"first-1": key}, listen=address(9))
        name_means(address(n) for n in range(2, 10))
        dark(*map(address, range(2, 9)))
        seen = Seen(broker.port)
        start(bench, f"mqtts://{NAME}:{broker.port}", profile="senml-mqtt", registrar={"type": "manual"})
        began = time.monotonic()
        bench.key_set(DEVICE, "first-1", key)
        bench.wait_property(DEVICE, "Delivered", lambda n: n > 0, 120)
        # These the kernel repeats, whether or not the agent is held up; but not so often that most are.
        check(statistics.median(each_once(seen)) <= PACKETS, f"one that is silent is left before a third: {seen.packets}")
        told("of eight brokers the last answers, first sample", time.monotonic() - began)


def the_live_address_goes_dark(bench):
    key = bench.new_key()
    old = bench.devcloud([("first-1", key, DEVICE)], name="old", listen=address(2))
    new = bench.devcloud([("first-1", key, DEVICE)], name="new", listen=address(3), port=old.port)
    dark()
    name_means([address(2), address(3)])
    seen = Seen(old.port)
    start(bench, f"coaps://{NAME}:{old.port}")
    bench.key_set(DEVICE, "first-1", key)
    bench.wait_property(DEVICE, "Delivered", lambda n: n > 1)
    first, second = (old, new) if old.samples(DEVICE) else (new, old)
    began = time.monotonic()
    seen.begin(2 if first is old else 3)
    dark(address(2 if first is old else 3))
    second.wait_event("sample", device=DEVICE, seconds=120)
    once_more(seen, *((2, 3) if first is old else (3, 2)))
    told("the address that worked went dark, samples at the other one", time.monotonic() - began)


def the_live_broker_goes_dark(bench):
    key = bench.new_key()
    with contextlib.ExitStack() as stack:
        old = Broker(stack, {"first-1": key}, listen=address(2))
        new = Broker(stack, {"first-1": key}, listen=address(3), port=old.port)
        dark()
        name_means([address(2), address(3)])
        seen = Seen(old.port)
        start(bench, f"mqtts://{NAME}:{old.port}", profile="senml-mqtt", registrar={"type": "manual"})
        bench.key_set(DEVICE, "first-1", key)
        before = bench.wait_property(DEVICE, "Delivered", lambda n: n > 1)
        at_old = any("New client connected" in line for line in peek(old))
        began = time.monotonic()
        seen.begin(2 if at_old else 3)
        dark(address(2 if at_old else 3))
        (new if at_old else old).lines.expect("Received PUBLISH from")
        once_more(seen, *((2, 3) if at_old else (3, 2)))
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
