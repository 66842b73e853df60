#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Packs that are too large for a cloud, however it shows that: they get smaller until they pass, one sample that never does is given
up and told, and every other one arrives once. A line that merely drops costs no sample, and its packs grow back."""
import contextlib
import json
import shutil

import harness
from harness import check, wait_for
from mqtt_peers import MOSQUITTO, Broker, Subscriber
from scripted_broker import HANG_UP, NOTHING, RESET, ScriptedBroker

DEVICE = "d1"
FAT = "x" * 200
PACK_MAX = 16384


def records(payload):
    """(name, time, value) of a SenML pack; nothing of a probe."""
    pack = json.loads(payload)
    base = pack[0].get("bt", 0)
    return [(r["n"], round((base + r.get("t", 0)) * 1e6), r.get("v", r.get("vs"))) for r in pack if r["n"] != "_probe"]


def setup(bench, port, key, version="5", backlog=300, **uplink):
    """A device with a backlog and no driver any more: what waits is all there is."""
    bench.write_config(f"mqtts://127.0.0.1:{port}",
                       uplink={"profile": "senml-mqtt", "mqtt_version": version, "registrar": {"type": "manual"}, **uplink},
                       spool={"durability": "always"})
    bench.write_device(DEVICE, "sim", {"n": {"signal": "counter"}}, interval="5ms", count=backlog)
    bench.agent()
    driver = bench.driver("sim")
    waiting = bench.wait_property(DEVICE, "Spooled", backlog)
    driver.stop()
    check(bench.get(DEVICE, "Spooled") == waiting, "the backlog stands")
    bench.key_set(DEVICE, "first-1", key)
    return driver


def is_telemetry(topic):
    return topic.endswith("/telemetry")


def arrived(broker):
    return [r for topic, payload in broker.payloads() if is_telemetry(topic) for r in records(payload)]


def check_counters(values, what):
    first = list(dict.fromkeys(values))
    check(first == list(range(min(first), min(first) + len(first))), f"{what}: not every sample, in order: {first[:20]}")


def limited(limit, how):
    """Telemetry over `limit` bytes is met so."""
    return lambda client, topic, payload: how if is_telemetry(topic) and len(payload) > limit else None


def all_arrive(bench, stack, how, version="5", limit=1000, connections=12):
    key = bench.new_key(text=True)
    broker = ScriptedBroker(stack, {"first-1": key}, limited(limit, how))
    setup(bench, broker.port, key, version)
    bench.wait_property(DEVICE, "Spooled", 0)
    check(bench.get(DEVICE, "Rejected") == 0 and bench.get(DEVICE, "Dropped") == 0, "none is given up")
    values = [v for _, _, v in arrived(broker)]
    check_counters(values, "arrived")
    check(len(values) == len(set(values)), "none twice")
    check(broker.connections() <= connections, f"{broker.connections()} connections for it")


def case(function):
    def run(bench):
        with contextlib.ExitStack() as stack:
            function(bench, stack)
    run.__name__ = function.__name__
    return run


@case
def broker_hangs_up(bench, stack):
    all_arrive(bench, stack, HANG_UP)


@case
def broker_resets(bench, stack):
    all_arrive(bench, stack, RESET)


@case
def disconnect_too_large_halves_at_once(bench, stack):
    all_arrive(bench, stack, (0x95,), connections=8)


@case
def unspecified_disconnect(bench, stack):
    all_arrive(bench, stack, (0x83,))


@case
def mosquitto_hangs_up(bench, stack):
    """In 3.1.1 it says nothing of max_packet_size, and ends the connection."""
    key = bench.new_key(text=True)
    broker = Broker(stack, {"first-1": key}, extra="max_packet_size 1000\n")
    seen = Subscriber(stack, broker, topic=f"gatehouse/{DEVICE}/telemetry")
    setup(bench, broker.port, key, "3.1.1")
    bench.wait_property(DEVICE, "Spooled", 0)
    check(bench.get(DEVICE, "Rejected") == 0, "none is given up")
    values = []

    def all_there():
        while not seen.lines.queue.empty():
            line = seen.lines.queue.get()
            if "telemetry" in line and "[" in line:
                values.extend(v for _, _, v in records(line[line.index("["):]))
        return len(set(values)) >= bench.get(DEVICE, "Delivered")
    wait_for("all of them", all_there)
    check_counters(values, "arrived")


def one_never_passes(bench, stack, how, version="5"):
    """Among small samples there are some that are larger than the broker takes."""
    key = bench.new_key(text=True)
    broker = ScriptedBroker(stack, {"first-1": key}, lambda client, topic, payload:
                            how if is_telemetry(topic) and FAT.encode() in payload else None)
    points = {"n": {"signal": "counter"}, "fat": {"signal": "constant", "value": FAT}}
    bench.write_config(f"mqtts://127.0.0.1:{broker.port}",
                       uplink={"profile": "senml-mqtt", "mqtt_version": version, "registrar": {"type": "manual"}},
                       spool={"durability": "always"})
    bench.write_device(DEVICE, "sim", points, interval="1s")
    agent = bench.agent()
    driver = bench.driver("sim")
    bench.wait_property(DEVICE, "Spooled", lambda n: n >= 2)
    driver.stop()
    # From then on small ones only.
    bench.write_device(DEVICE, "sim", {"n": {"signal": "counter"}}, interval="5ms")
    bench.call(None, "Reload")
    driver.start()
    bench.wait_property(DEVICE, "Spooled", lambda n: n >= 60)
    driver.stop()
    bench.key_set(DEVICE, "first-1", key)
    bench.wait_property(DEVICE, "Spooled", 0)
    fat = bench.get(DEVICE, "Rejected")
    values = [(time, v) for n, time, v in arrived(broker) if n == "n"]
    check(fat >= 1, "the fat ones are given up")
    check(not any(FAT.encode() in payload for _, payload in broker.payloads()), "and did not pass")
    check(len(values) == len(set(values)), "none of the others twice")
    check(len(values) == bench.get(DEVICE, "Delivered"), f"{len(values)} of {bench.get(DEVICE, 'Delivered')}")
    check("it is given up" in agent.text(), "it is told")


@case
def one_sample_never_passes(bench, stack):
    one_never_passes(bench, stack, HANG_UP)


@case
def one_sample_never_passes_3_1_1(bench, stack):
    one_never_passes(bench, stack, HANG_UP, "3.1.1")


@case
def one_sample_is_too_large(bench, stack):
    one_never_passes(bench, stack, (0x95,))


@case
def a_line_that_drops_loses_nothing(bench, stack):
    """Every connection ends after a while whatever is sent: nothing is given up, and packs grow back."""
    key = bench.new_key(text=True)
    drops = [True] * 11

    def publish(client, topic, payload):
        return HANG_UP if is_telemetry(topic) and records(payload) and drops and drops.pop() else None
    broker = ScriptedBroker(stack, {"first-1": key}, publish)
    driver = setup(bench, broker.port, key, backlog=300)
    bench.wait_property(DEVICE, "Spooled", 0)
    check(bench.get(DEVICE, "Rejected") == 0, "none is given up")
    check(arrived(broker), f"nothing waits, and nothing has arrived: "
          f"{[(len(payload), todo) for _, payload, todo in broker.seen]}, {bench.ctl('show', DEVICE)}")
    check_counters([v for _, _, v in arrived(broker)], "arrived")
    # A new backlog goes in large packs again.
    bench.call(DEVICE, "Disconnect")
    before = len(broker.seen)
    bench.write_device(DEVICE, "sim", {"n": {"signal": "counter"}}, interval="5ms", count=1500)
    bench.call(None, "Reload")
    driver.start()
    bench.wait_property(DEVICE, "Spooled", 1500)
    driver.stop()
    bench.call(DEVICE, "Connect")
    bench.wait_property(DEVICE, "Spooled", 0)
    sizes = [len(payload) for topic, payload, _ in broker.seen[before:] if is_telemetry(topic)]
    check(max(sizes) > 5000, f"packs of at most {max(sizes)} bytes")


@case
def a_broken_broker_is_given_no_sample(bench, stack):
    """It hangs up at every sample and at every probe: nothing is given up."""
    key = bench.new_key(text=True)
    broken = [True]
    broker = ScriptedBroker(stack, {"first-1": key},
                            lambda client, topic, payload: HANG_UP if is_telemetry(topic) and broken else None)
    setup(bench, broker.port, key, backlog=2)
    wait_for(lambda: f"{broker.connections()} connections, {len(broker.seen)} messages: {bench.ctl('show', DEVICE)}",
             lambda: broker.connections() >= 8)
    check(bench.get(DEVICE, "Rejected") == 0, "none is given up")
    broken.clear()
    bench.wait_property(DEVICE, "Spooled", 0)
    check(bench.get(DEVICE, "Rejected") == 0, "none was given up")


if __name__ == "__main__":
    harness.main(broker_hangs_up, broker_resets, disconnect_too_large_halves_at_once, unspecified_disconnect,
                 mosquitto_hangs_up, one_sample_never_passes, one_sample_never_passes_3_1_1, one_sample_is_too_large,
                 a_line_that_drops_loses_nothing, a_broken_broker_is_given_no_sample, needs=(MOSQUITTO, "stunnel"))
