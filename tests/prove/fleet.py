#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A new key for each of thousands of devices, over their own sessions: is it cheap, bounded, and does it disturb nothing?

usage: fleet.py [--devices N] [--concurrent C] [--rate R] [--keep]

N devices are online at gatehouse-devcloud, each over its own session; then `gatehousectl rotate --all`. One devcloud takes 2,000
of them: its library looks at all sessions for each datagram. Asserted:

  rotated      every device has a new key that the cloud accepts, and gatehousectl ends with status 0
  handshakes   at most one a device, beside its first connection: the one that tries the new key
  in flight    never more than C, as the agent's journal says of the devices' states at --debug (staged, offered, probing) and as
               the clouds see it: from the offer of a new key until a message with it is accepted
  fsync        at most N / 10 calls of fsync and fdatasync in the agent, counted by a preloaded library
  loop         no turn of the agent's loop over 20 ms, as the agent's journal says at --debug; what other
               processes took of the processor meanwhile is not counted
  objects      GetManagedObjects shows all devices, no turn of the loop over 50 ms meanwhile; likewise the job's results and
               the list of nodes

The last line is JSON; status 0 only if all held. 77: this machine or build cannot be measured.
"""
import argparse
import json
import os
import re
import resource
import signal
import struct
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "integration"))
import dbus_client  # noqa: E402
import harness  # noqa: E402
from harness import check, wait_for  # noqa: E402

ROOT, MANAGER, DEVICE, JOB = "/org/gatehouse1", "org.gatehouse1.Manager", "org.gatehouse1.Device", "org.gatehouse1.Job"
DEVICES_OF_CLOUD = 2000
HANDSHAKES_PER_SECOND = 1000
SYNCS_MAX = 0.1  # a device
TURN_MAX_MS = 20
OBJECTS_TURN_MAX_MS = 50


def say(text):
    print(text, flush=True)


class Fleet:
    def __init__(self, options):
        self.n, self.concurrent, self.rate = options.devices, options.concurrent, options.rate
        self.bench, self.figures = harness.Bench(), {"devices": self.n, "concurrent": self.concurrent}
        self.devices = [f"child-{i:05d}" for i in range(self.n)]
        self.clouds = []
        self.syncs_file = self.bench.path("syncs")

    # --- setting up ---

    def start(self):
        bench = self.bench
        keys = {d: bench.new_key() for d in self.devices}
        uplinks = {}
        for i, start in enumerate(range(0, self.n, DEVICES_OF_CLOUD)):
            mine, name = self.devices[start:start + DEVICES_OF_CLOUD], f"cloud-{i}"
            cloud = bench.devcloud([(f"first-{d}", keys[d], d) for d in mine], name=name, state=False)
            self.clouds.append(cloud)
            uplinks[name] = {"url": cloud.url, "profile": "senml", "registrar": {"type": "coap"},
                             "admission": {"concurrent": 64, "rate": HANDSHAKES_PER_SECOND, "jitter": "1s"}}
            for d in mine:
                bench.write_device(d, f"nobody-{i}", {"x": {}}, uplink=name)
        bench.write_json("gatehouse.json", {"uplinks": uplinks,
                                            "rotation": {"concurrent": self.concurrent, "rate": self.rate}})
        bench.bus()
        bench.monitor.kill()  # it would take a processor of its own to write down what nobody reads
        bench.processes.remove(bench.monitor)
        self.agent = bench.agent("--debug", wait=False)
        self.agent.kill()
        self.journal = tempfile.NamedTemporaryFile(dir="/dev/shm", prefix="gatehouse-journal-")
        self.agent.err = self.journal.name  # in memory: lines that wait for the disk would be turns that do
        self.agent.env.update(LD_PRELOAD=harness.program("tests/tools/sync-count.so"), SYNC_COUNT_FILE=self.syncs_file)
        self.agent.start()
        bench.wait_agent(self.agent, 60)
        bench.set_keys(((d, f"first-{d}", keys[d]) for d in self.devices), 120)
        bench.wait_property(None, "Online", self.n, 60 + 3 * self.n / HANDSHAKES_PER_SECOND)
        wait_for("every device's first message",
                 lambda: all(d["probes"] > 0 for c in self.clouds for d in c.stats()["devices"].values()), 60)

    # --- looking ---

    def syncs(self):
        with open(self.syncs_file, "rb") as f:
            return struct.unpack("=Q", f.read(8))[0]

    def lines(self, since):
        """What the agent has said since then."""
        with open(self.agent.err, encoding="utf-8", errors="replace") as f:
            f.seek(since)
            return f.read()

    def turns(self, since):
        """Milliseconds of each turn of the loop worth a line of the journal."""
        return [int(t) / 1000 for t in re.findall(r"a turn of the loop took (\d+) us", self.lines(since))]

    def mark(self):
        return os.path.getsize(self.agent.err)

    def events(self, marks):
        """Of all clouds, in their order."""
        for c in self.clouds:
            c.do("ping")
        return sorted((e for c, mark in zip(self.clouds, marks) for e in c.events()[mark:]), key=lambda e: e["at"])

    def most_in_flight(self, steps):
        """Of steps of devices, in their order: (device, whether its rotation is under way from now on)."""
        flying, most = set(), 0
        for device, flies in steps:
            (flying.add if flies else flying.discard)(device)
            most = max(most, len(flying))
        check(not flying, f"{len(flying)} rotations did not end")
        return most

    def steps_in_journal(self, since):
        for device, state in re.findall(r"(\S+): rotation is (\w+)$", self.lines(since), re.MULTILINE):
            yield device, state in ("staged", "offered", "probing")

    def steps_at_cloud(self, events):
        """From the offer of a new key until a message with it is accepted."""
        for e in events:
            if e["event"] == "credential" and e["result"] == "added":
                yield e["device"], True
            elif e["event"] == "probe" and not e["identity"].startswith("first-"):
                yield e["device"], False

    # --- the rotation ---

    def rotate(self):
        f = self.figures
        marks, journal, syncs, started = [c.mark() for c in self.clouds], self.mark(), self.syncs(), time.monotonic()
        done = self.bench.ctl("--json=short", "rotate", "--all", status=None, seconds=600 + self.n)
        f["seconds"] = round(time.monotonic() - started, 2)
        f["syncs"] = self.syncs() - syncs
        f["status"] = done.returncode
        job = json.loads(done.stdout)["result"]["jobs"][0]
        f["done"], f["not_rotated"] = job["done"], job["failed"]
        events, handshakes = self.events(marks), {}
        for e in events:
            if e["event"] == "session":
                handshakes[e["device"]] = handshakes.get(e["device"], 0) + 1
        f["handshakes"], f["most_handshakes_of_one"] = sum(handshakes.values()), max(handshakes.values(), default=0)
        f["most_in_flight"] = self.most_in_flight(self.steps_in_journal(journal))
        f["most_at_cloud"] = self.most_in_flight(self.steps_at_cloud(events))
        f["turns_over_2_ms"] = len(self.turns(journal))
        f["longest_turn_ms"] = max(self.turns(journal), default=0)
        added = {e["device"]: e["identity"] for e in events if e["event"] == "credential"}
        probed = {(e["device"], e["identity"]) for e in events if e["event"] == "probe"}
        f["accepted"] = sum((d, added.get(d)) in probed for d in self.devices)

    def look(self):
        """What shows a fleet as a whole."""
        f = self.figures
        with dbus_client.Client(self.bench) as c:
            journal, started = self.mark(), time.monotonic()
            objects, = c.call(ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
            f["objects_seconds"] = round(time.monotonic() - started, 2)
            shown = [o[DEVICE] for o in objects.values() if DEVICE in o]
            f["objects"] = len(shown)
            f["objects_new"] = sum(not p["MainIdentity"][1].startswith("first-") for p in shown)
            f["longest_turn_objects_ms"], journal = max(self.turns(journal), default=0), self.mark()
            job = next(path for path, o in objects.items() if JOB in o)
            (_, results), = c.call(job, "org.freedesktop.DBus.Properties", "Get", "ss", JOB, "Results")
            f["results"] = len(results)
            f["longest_turn_results_ms"], journal = max(self.turns(journal), default=0), self.mark()
            c.call(ROOT + "/device", "org.freedesktop.DBus.Introspectable", "Introspect")
            f["longest_turn_nodes_ms"] = max(self.turns(journal), default=0)

    def judge(self):
        f = self.figures
        held = {
            "every device rotated": (f["status"], f["done"], f["not_rotated"]) == (0, self.n, 0),
            "every new key accepted": f["accepted"] == f["objects_new"] == f["objects"] == self.n,
            "one handshake a device": f["most_handshakes_of_one"] <= 1,
            f"at most {self.concurrent} in flight": max(f["most_in_flight"], f["most_at_cloud"]) <= self.concurrent,
            f"at most {SYNCS_MAX * self.n:g} fsync": f["syncs"] <= SYNCS_MAX * self.n,
            f"no turn over {TURN_MAX_MS} ms": f["longest_turn_ms"] <= TURN_MAX_MS,
            f"no turn over {OBJECTS_TURN_MAX_MS} ms for all objects": max(f["longest_turn_objects_ms"], f["longest_turn_results_ms"], f["longest_turn_nodes_ms"])
            <= OBJECTS_TURN_MAX_MS and f["results"] == self.n,
        }
        for what, ok in held.items():
            say(f"  {'held' if ok else 'FAILED'}: {what}")
        return [what for what, ok in held.items() if not ok]


def cannot(devices, concurrent):
    """Why there is nothing to measure here, or None."""
    if harness.STRETCH > 1:
        return "a build with sanitizers says nothing about time"
    needed, (soft, hard) = devices + 2 * concurrent + 512, resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard >= needed:
        return None
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, needed))
    except (OSError, ValueError):
        return f"the hard limit of open files is {hard}; {devices} devices need {needed}: ulimit -Hn {needed}"
    return None


def main():
    parser = argparse.ArgumentParser(prog="./dev prove fleet")
    parser.add_argument("--devices", type=int, default=10000)
    parser.add_argument("--concurrent", type=int, default=128, help="rotations in flight, as gatehouse.json has it")
    parser.add_argument("--rate", type=int, default=1000, help="rotations begun in a second")
    parser.add_argument("--keep", action="store_true", help="leave the scratch directory")
    options = parser.parse_args()
    why = cannot(options.devices, options.concurrent)
    if why:
        say(json.dumps({"fleet": "skipped", "why": why}))
        return harness.SKIPPED
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    fleet, failed, result = Fleet(options), ["not measured"], {}
    try:
        say(f"{options.devices} devices come online")
        fleet.start()
        say(f"rotation of all, {options.concurrent} in flight")
        fleet.rotate()
        fleet.look()
        failed = fleet.judge()
    except (harness.Failure, dbus_client.Error) as e:
        fleet.bench.tails()
        result["why"] = str(e)
    finally:
        fleet.bench.close()
        if options.keep:
            say(f"kept: {fleet.bench.dir}")
        else:
            fleet.bench.remove()
    say(json.dumps({"fleet": "failed" if failed else "ok", "failed": failed, **result, **fleet.figures}))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
