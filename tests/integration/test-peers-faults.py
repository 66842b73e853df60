#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The whole agent over a bad network and before a cloud that forgets, falls silent, or is not where its name says.

What the Modbus server served is compared with what the cloud has at the end of each: nothing lost, in order, and what came
twice is the same sample again (a pack whose answer was lost with its session).
"""
import re
import socket
import subprocess
import sys
import time

import harness
from agent_peers import COUNTER, LossyProxy, check_list, write_counter
from harness import check, wait_for

DEVICES = ("boiler-1", "boiler-2")
LOSS_SECONDS, SEED = 20, 20
TWO_HOMES = "two-homes.test"


class Setting:
    """Two Modbus devices and a cloud; `host` and `port` where the agent looks for it."""

    def __init__(self, bench, host="127.0.0.1", port=None, cloud=True, cloud_port=0):
        self.bench = bench
        self.keys = {d: bench.new_key() for d in DEVICES}
        self.modbus = bench.modbus_server(devices=len(DEVICES))
        self.cloud = self.start_cloud(port=cloud_port) if cloud else None
        bench.write_config(f"coaps://{host}:{port or self.cloud.port}", uplink={"registrar": {"type": "manual"}})
        for unit, device in enumerate(DEVICES, 1):
            write_counter(bench, device, unit, self.modbus.port, interval="100ms")
        bench.agent()
        self.driver = bench.driver("modbus")
        for device in DEVICES:
            bench.key_set(device, f"id-{device}", self.keys[device])

    def start_cloud(self, **options):
        return self.bench.devcloud([(f"id-{d}", self.keys[d], d) for d in DEVICES], **options)

    def wait_samples(self, count, seconds=10, since=0):
        for device in DEVICES:
            self.cloud.wait_events(count, "sample", seconds, since, device=device)

    def compare(self, seconds=20):
        """The driver's end is the end of what is served. Returns how many samples came twice."""
        repeats = 0
        self.driver.stop()
        for unit, device in enumerate(DEVICES, 1):
            self.bench.wait_property(device, "Spooled", 0, seconds)
            served = [value for _, value in self.modbus.served(unit, *COUNTER)]
            arrived = [(round(s["time"] * 1e6), s["value"]) for s in self.cloud.samples(device, "reads")]
            repeats += check_list(device, served, arrived)
            check(self.bench.get(device, "Dropped") == 0, f"{device} dropped some")
            print(f"  {device}: {len(served)} served, all arrived in order")
        return repeats


def a_fifth_of_all_datagrams_lost(bench):
    """Each way, so that more than a third of all requests go unanswered. The first handshakes are spared: whether those
    come about is a matter of the server, and GnuTLS's does not repeat a flight of its own."""
    port = harness.free_port()
    proxy = LossyProxy(port, SEED)
    try:
        setting = Setting(bench, port=proxy.port, cloud_port=port)
        setting.wait_samples(1)
        proxy.lossy = True
        time.sleep(LOSS_SECONDS)  # the length of the trial: nothing is waited for
        proxy.lossy = False
        repeats = setting.compare(60)
        sessions = {d: setting.cloud.stats(d)["handshakes"] for d in DEVICES}
        print(f"  {proxy.counts}; {len(proxy.backs)} handshakes begun, made {sessions}; {repeats} samples repeated")
        check(all(n <= 3 for n in sessions.values()), f"needless handshakes: {sessions}")
        check(repeats == 0 or any(n > 1 for n in sessions.values()), "samples came twice over one and the same session")
    finally:
        proxy.end()


def the_cloud_forgets_its_sessions(bench):
    setting = Setting(bench)
    setting.wait_samples(5)
    mark = setting.cloud.mark()
    setting.cloud.do("restart")
    started = time.monotonic()
    setting.wait_samples(5, 30, mark)
    print(f"  samples flow {time.monotonic() - started:.1f} s after the cloud has lost all sessions")
    repeats = setting.compare()
    print(f"  {repeats} repeated")


def the_cloud_is_silent_for_a_while(bench):
    """Requests are sent again and a second session is tried; whichever is answered first goes on."""
    setting = Setting(bench)
    setting.wait_samples(5)
    mark = setting.cloud.mark()
    setting.cloud.do("silence", ms=5000)
    setting.wait_samples(30, 30, mark)
    repeats = setting.compare()
    sessions = {d: len(setting.cloud.find_events("session", device=d)) for d in DEVICES}
    print(f"  {repeats} repeated, sessions {sessions}")


def nothing_listens_and_then_it_does(bench):
    """ICMP says so at once; when the cloud comes up, all that has waited arrives."""
    port = harness.free_port()
    setting = Setting(bench, port=port, cloud=False)
    for device in DEVICES:
        bench.wait_property(device, "State", "unreachable")
        error = bench.get(device, "LastError")
        check(error == f"127.0.0.1:{port}: nothing listens there (ICMP: port unreachable)", error)
    wait_for("samples that wait", lambda: all(bench.get(d, "Spooled") >= 20 for d in DEVICES))
    setting.cloud = setting.start_cloud(port=port)
    setting.wait_samples(20, 30)
    for device in DEVICES:
        bench.wait_property(device, "LastError", "")  # when the cloud's answer is there, too
    check(setting.compare() == 0, "some arrived twice")


def a_name_that_nobody_knows(bench):
    setting = Setting(bench, host="no-such-host.invalid", port=5684, cloud=False)
    for device in DEVICES:
        bench.wait_property(device, "State", "unreachable", 40)
        error = bench.get(device, "LastError")
        check(re.search(r'cannot find the address of "no-such-host\.invalid" \(.+\): is it .* url, .* DNS', error), error)
    print(f"  {error}")
    # The name is mended in the configuration; nothing is started anew, and what has waited arrives.
    setting.cloud = setting.start_cloud()
    bench.write_config(setting.cloud.url, uplink={"registrar": {"type": "manual"}})
    bench.ctl("reload")
    setting.wait_samples(5, 30)
    setting.compare()


def the_first_address_of_a_name_is_dead(bench):
    """In a mount namespace of its own, where the name is known."""
    with open(bench.path("hosts"), "w", encoding="ascii") as f:
        f.write(f"127.0.0.1 {TWO_HOMES} localhost\n127.0.0.2 {TWO_HOMES}\n")
    inside = ["unshare", "-rm", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', bench.path("hosts")]
    if subprocess.run([*inside, "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
        print("  left out: this needs namespaces of users and mounts")
        return
    done = subprocess.run([*inside, sys.executable, __file__, "with_two_homes"], stdout=subprocess.PIPE, text=True,
                          timeout=harness.DEADLINE, check=False)
    check(done.returncode == 0, done.stdout)
    print(done.stdout.splitlines()[2])


def with_two_homes(bench):
    """At the first address somebody takes the datagrams and says nothing; at the second is the way to the cloud."""
    front, port = harness.free_port(), harness.free_port()
    first, second = (a[4][0] for a in socket.getaddrinfo(TWO_HOMES, front, type=socket.SOCK_DGRAM))
    proxy = LossyProxy(port, SEED, (second, front))
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as dead:
            dead.bind((first, front))
            setting = Setting(bench, host=TWO_HOMES, port=front, cloud_port=port)
            setting.wait_samples(5, 15)
            dead.settimeout(0)
            check(dead.recv(65536), "nothing came to the first address")
            check(setting.compare() == 0, "some arrived twice")
        print(f"  nobody at {first}, so {second} was tried")
    finally:
        proxy.end()


def an_answer_other_than_accepted_is_shown(bench):
    """The session stands and the cloud does not take the samples: they wait, and `show` says what it answers."""
    setting = Setting(bench)
    setting.wait_samples(2)
    setting.cloud.do("refuse", path="telemetry", device="boiler-1", code="4.04", times=0)
    bench.wait_property("boiler-1", "LastError", lambda e: '4.04 to messages on "telemetry", samples wait' in e)
    check(bench.get("boiler-1", "State") == "online" and bench.get("boiler-2", "LastError") == "", "the wrong device")
    print(f"  {bench.get('boiler-1', 'LastError')}")
    setting.cloud.do("clear")
    bench.wait_property("boiler-1", "LastError", "", 30)
    setting.compare()


if __name__ == "__main__":
    hidden = [with_two_homes] if with_two_homes.__name__ in sys.argv else []
    harness.main(*hidden, a_fifth_of_all_datagrams_lost, the_cloud_forgets_its_sessions, the_cloud_is_silent_for_a_while,
                 nothing_listens_and_then_it_does, a_name_that_nobody_knows, the_first_address_of_a_name_is_dead,
                 an_answer_other_than_accepted_is_shown)
