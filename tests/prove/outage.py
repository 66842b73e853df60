#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The line is down for minutes and the agent killed meanwhile: does every sample arrive that a driver was answered for?

usage: outage.py [--transport coap|mqtt] [--devices N] [--rate R] [--down SECONDS] [--kills N] [--durability D] [--seed S]

N devices (100) report R samples a second each (10), through the sim plugin, whose counters go on by one a report and whose driver
keeps what it was not answered for: a number that never arrives is a sample that it was answered for. The cloud falls silent for
SECONDS (120) at a moment that is drawn, and during that time the agent is ended by SIGKILL (2 times) at moments that are drawn and
started again. Then all of it has to arrive, each device's in order, and what comes again has to be the same sample: another
time would make it a new one to the cloud.

The last line is JSON; status 0 only if nothing was lost, out of order, or another sample when it came again.
"""
import argparse
import contextlib
import decimal
import json
import os
import random
import shutil
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "integration"))
import harness  # noqa: E402
import spool_bench  # noqa: E402
from harness import check, wait_for  # noqa: E402
from mqtt_peers import MOSQUITTO, Broker, Subscriber, publish  # noqa: E402

WARM_SECONDS = (3, 8)  # before the line goes down
TAIL_SECONDS = 5  # and after it is up again
DRAIN_SECONDS = 300


class Coap:
    """gatehouse-devcloud over DTLS; the line is cut by its being silent."""

    def __init__(self, bench, devices, _):
        self.bench, self.devices = bench, devices
        self.keys = {d: bench.new_key() for d in devices}
        self.cloud = bench.devcloud([(f"first-{d}", self.keys[d], d) for d in devices])

    def configure(self, **sections):
        self.bench.write_config(self.cloud.url, uplink={"admission": "unlimited"}, **sections)

    def connect(self):
        self.bench.set_keys((d, f"first-{d}", self.keys[d]) for d in self.devices)

    def cut(self, seconds):
        self.cloud.do("silence", ms=int(seconds * 1000))

    def arrived(self):
        """(number, time) by device, in the order of arrival."""
        self.cloud.do("ping")
        found = {d: [] for d in self.devices}
        for e in self.cloud.events():
            if e["event"] == "sample" and e["name"] == "n":
                found[e["device"]].append((int(e["value"]), e["time"]))
        return found


class Mqtt:
    """mosquitto, and one mosquitto_sub that is told all of it; the line is cut by SIGSTOP of the broker: what was connected is neither
    closed nor answered, what connects anew gets no further than TCP, and what it has acknowledged it still has. Once it goes on
    it reads what has come meanwhile, over connections that nobody waits for any more as well."""

    def __init__(self, bench, devices, stack):
        self.bench, self.devices = bench, devices
        self.keys = {d: bench.new_key(text=True) for d in devices}
        self.broker = Broker(stack, {f"first-{d}": self.keys[d].decode() for d in devices}, extra="max_queued_messages 0\n", quiet=True)
        # Its session and its keepalive outlast the outage.
        self.seen = Subscriber(stack, self.broker, "gatehouse/+/telemetry", ("-c", "-i", "outage", "-k", "3600"))

    def configure(self, **sections):
        self.bench.write_config(f"mqtts://127.0.0.1:{self.broker.port}",
                                uplink={"profile": "senml-mqtt", "registrar": {"type": "manual"}, "admission": "unlimited"},
                                **sections)

    def connect(self):
        self.bench.set_keys((d, f"first-{d}", self.keys[d]) for d in self.devices)

    def cut(self, seconds):
        self.broker.process.send_signal(signal.SIGSTOP)
        resume = threading.Timer(seconds, self.broker.process.send_signal, (signal.SIGCONT,))
        resume.daemon = True
        resume.start()

    def arrived(self):
        """(number, time) by device, in the order of arrival."""
        publish(self.broker, "gatehouse/last/telemetry", "[]")
        self.seen.expect("^gatehouse/last/telemetry ")
        found = {d: [] for d in self.devices}
        for line in self.seen.lines.seen:
            topic, *rest = line.split(" ", 2)
            device = topic.removeprefix("gatehouse/").removesuffix("/telemetry")
            if device in found:
                found[device] += self.samples(device, rest[1])
        return found

    @staticmethod
    def samples(device, text):
        """RFC 8428 section 4.6: base names and base times are for all records that follow."""
        base_name, base_time = "", decimal.Decimal(0)
        for record in json.loads(text, parse_float=decimal.Decimal):
            base_name, base_time = record.get("bn", base_name), record.get("bt", base_time)
            if base_name + record.get("n", "") == f"{device}:n":
                yield int(record["v"]), base_time + record.get("t", 0)


TRANSPORTS = {"coap": Coap, "mqtt": Mqtt}


def say(text):
    print(text, flush=True)


def wait_online(bench, n, seconds=120):
    bench.wait_property(None, "Online", n, seconds)


def run_outage(bench, agent, transport, options, rng):
    """The times at which what happened, in seconds since the cut."""
    kills = sorted(rng.uniform(0.05, 0.95) * options.down for _ in range(options.kills))
    say(f"the line goes down for {options.down} s, SIGKILL after {', '.join(f'{k:.1f} s' for k in kills)}")
    began = time.monotonic()
    transport.cut(options.down)
    restarts = []
    for when in kills:
        time.sleep(max(0, began + when - time.monotonic()))  # the moment that was drawn
        agent.kill()
        started = time.monotonic()
        agent.start()
        bench.wait_agent(agent, 60)
        restarts.append(round(time.monotonic() - started, 2))
    time.sleep(max(0, began + options.down - time.monotonic()))
    return kills, restarts


def judge(found):
    result = {"sent": 0, "arrived": 0, "repeated": 0, "lost": 0, "out_of_order": 0, "other_times": 0}
    for samples in found.values():
        numbers = [n for n, _ in samples]
        result["sent"] += max(numbers, default=-1) + 1
        result["arrived"] += len(set(numbers))
        result["repeated"] += len(numbers) - len(set(numbers))
        result["lost"] += len(spool_bench.lost(numbers))
        result["out_of_order"] += len(spool_bench.out_of_order(numbers))
        result["other_times"] += len(spool_bench.other_times(samples))
    return result


def prove(bench, stack, options, rng):
    devices = [f"d{i:03d}" for i in range(options.devices)]
    transport = TRANSPORTS[options.transport](bench, devices, stack)
    transport.configure(spool={"durability": options.durability})
    for d in devices:
        bench.write_device(d, "sim", {"n": spool_bench.COUNTER}, interval=f"{1000 // options.rate}ms")
    agent, driver = bench.agent(), bench.driver("sim")
    transport.connect()
    wait_online(bench, len(devices))
    time.sleep(rng.uniform(*WARM_SECONDS))
    kills, restarts = run_outage(bench, agent, transport, options, rng)
    waiting = bench.get(None, "Spooled")
    size = os.path.getsize(spool_bench.spool_file(bench)) if options.durability != "memory" else 0
    wait_online(bench, len(devices))
    up = time.monotonic()
    time.sleep(TAIL_SECONDS)
    driver.stop(60)
    wait_for(lambda: f"{bench.get(None, 'Spooled')} samples still wait", lambda: bench.get(None, "Spooled") == 0, DRAIN_SECONDS)
    drained = round(time.monotonic() - up, 1)
    result = judge(transport.arrived())
    dropped = sum(bench.get(d, "Dropped") + bench.get(d, "Rejected") for d in devices[:10])
    check(agent.alive(), "the agent has ended")
    ok = not any(result[k] for k in ("lost", "out_of_order", "other_times")) and dropped == 0
    ok = ok and result["sent"] >= options.devices * options.rate * options.down / 2
    return ok, {**result, "waiting_when_the_line_came_back": waiting, "file_bytes": size, "drained_seconds": drained,
                "killed_at": [round(k, 1) for k in kills], "restart_seconds": restarts}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--transport", choices=sorted(TRANSPORTS), default="coap")
    parser.add_argument("--devices", type=int, default=100)
    parser.add_argument("--rate", type=int, default=10)
    parser.add_argument("--down", type=float, default=120)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--durability", choices=("always", "outage"), default="always")
    parser.add_argument("--seed", type=int)
    options = parser.parse_args()
    if options.transport == "mqtt" and not shutil.which(MOSQUITTO):
        say("mosquitto is not installed")
        return harness.SKIPPED
    seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    say(f"seed {seed}")
    started, bench, stack = time.monotonic(), harness.Bench(), contextlib.ExitStack()
    try:
        ok, result = prove(bench, stack, options, random.Random(seed))
    except Exception as e:  # said in the last line, with what the programs had to say before it
        bench.tails()
        ok, result = False, {"failure": str(e)}
    finally:
        bench.remove()
        stack.close()
    say(json.dumps({"outage": "ok" if ok else "failed", "transport": options.transport, "durability": options.durability,
                    "devices": options.devices, "rate": options.rate, "down": options.down, "seed": seed, **result,
                    "seconds": round(time.monotonic() - started, 1)}))
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
