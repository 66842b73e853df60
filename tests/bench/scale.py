#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a child costs: memory, and CPU of a request, with many children against a hundred.

usage: scale.py [--children N] [--requests N]

Two agents stand side by side, one with 100 children and one with N, each with a development cloud and a bus of its own. All
their children are online, each over its own DTLS-PSK session, with the default suites and the default admission (64 handshakes
in flight, 200 begun a second). The agents begin with a soft limit of 256 descriptors, which they have to raise themselves.

  memory a child     (PSS of the agent with N - PSS of the agent with 100) / (N - 100), after the requests: at most 14 kB.
                     What the allocator holds back at that moment differs by up to 1 MB from run to run; below 1,000 children
                     that would decide, so it is allowed for there.
  CPU of a request   user and system time of the agent per request that the cloud answered, while the driver `sim` reports for
                     one random child at a time: with N at most 1.3 times that with 100. In rounds that alternate between the
                     agents, so that both see the same machine; the median of the rounds.

The last line is JSON with all figures; status 0 only if everything held. 77: this build or machine cannot be measured.
"""
import argparse
import json
import os
import re
import resource
import signal
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "integration"))
import harness  # noqa: E402
from harness import check, wait_for  # noqa: E402

FEW = 100
CHILDREN_MAX = 4096  # devices of one driver
SOFT_LIMIT = 256
HARD_LIMIT_LOW = 200  # too low for FEW children, as the agent counts them
MEMORY_MAX = 14.0  # kB a child
MEMORY_NOISE = 1024  # kB
NOISE_MATTERS_BELOW = 1000
CPU_RATIO_MAX = 1.3
ROUNDS = 10
INTERVAL = 0.002  # between two requests
OPENING = 600  # requests at a round's start, not counted: the driver's devices are being opened
ADMITTED_PER_SECOND = 200


def say(text=""):
    print(text, flush=True)


def cpu_seconds(pid):
    """Of all threads of another process, to the nanosecond: its clock of clock_getcpuclockid(3)."""
    return time.clock_gettime(~pid << 3 | 2)


def pss_kilobytes(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
        return int(re.search(r"^Pss:\s+(\d+) kB", f.read(), re.MULTILINE).group(1))


def descriptor_limit(pid):
    with open(f"/proc/{pid}/limits", encoding="ascii") as f:
        return int(re.search(r"^Max open files\s+(\d+)", f.read(), re.MULTILINE).group(1))


class Fleet:
    """An agent with its children and their cloud."""

    def __init__(self, children):
        self.children, self.bench, self.figures = children, harness.Bench(), {"children": children}
        self.requests, self.cpu = 0, []
        self.devices = [f"child-{i:05d}" for i in range(children)]

    def provision(self):
        keys = {d: self.bench.new_key() for d in self.devices}
        self.cloud = self.bench.devcloud([(f"first-{d}", keys[d], d) for d in self.devices], state=False)
        self.bench.write_config(self.cloud.url)
        self.write_devices(1)
        self.agent = self.bench.agent()
        started = time.monotonic()
        self.bench.set_keys((d, f"first-{d}", keys[d]) for d in self.devices)
        self.figures["seconds_to_set_keys"] = round(time.monotonic() - started, 2)

    def write_devices(self, count):
        for d in self.devices:
            self.bench.write_device(d, "sim", {"n": {"signal": "counter"}}, shared=True, count=count,
                                    interval=f"{INTERVAL * 1000:g}ms")

    def start(self, count):
        """As after a boot: everything is in the vault already."""
        self.write_devices(count)
        self.agent.stop()
        started = time.monotonic()
        self.agent.start()
        self.bench.wait_agent(self.agent)
        self.bench.wait_property(None, "Online", self.children, 30 + 3 * self.children / ADMITTED_PER_SECOND)
        self.figures["seconds_to_all_online"] = round(time.monotonic() - started, 2)
        self.settle()
        self.figures["pss_kb_idle"] = pss_kilobytes(self.agent.pid)
        self.figures["descriptor_limit"] = descriptor_limit(self.agent.pid)

    def settle(self):
        """Until every child's first message after its handshake was answered."""
        wait_for("every child's first message", lambda: all(d["probes"] > 0 for d in self.cloud.stats()["devices"].values()),
                 30)

    def packs(self):
        return sum(d["packs"] for d in self.cloud.stats()["devices"].values())

    def arrived(self, count, since):
        """Until `count` samples after `since` are in the cloud."""
        def enough():
            return len(self.cloud.find_events("sample", since)) >= count
        wait_for(lambda: f"{count} samples; {len(self.cloud.find_events('sample', since))} arrived", enough,
                 30 + 3 * count * INTERVAL)

    def round(self, count):
        mark = self.cloud.mark()
        driver = self.bench.driver("sim")
        self.arrived(OPENING, mark)
        packs, cpu = self.packs(), cpu_seconds(self.agent.pid)
        self.arrived(count, mark)
        cpu, requests = cpu_seconds(self.agent.pid) - cpu, self.packs() - packs
        self.cpu.append(cpu / requests)
        self.requests += requests
        driver.stop()
        self.bench.processes.remove(driver)

    def end(self):
        """What there is to say after the rounds, before anything is stopped."""
        f = self.figures
        f["online"] = self.bench.get(None, "Online")
        f["pss_kb"] = pss_kilobytes(self.agent.pid)
        f["requests"] = self.requests
        f["cpu_us_a_request"] = round(statistics.median(self.cpu) * 1e6, 1)
        cpu, started = cpu_seconds(self.agent.pid), time.monotonic()
        time.sleep(2)  # the figure is what happens when nothing does
        f["idle_cpu_percent"] = round((cpu_seconds(self.agent.pid) - cpu) / (time.monotonic() - started) * 100, 3)

    def says_when_limited(self):
        """With a hard limit that is too low the agent has to say so, with numbers and the way out."""
        self.agent.stop()
        self.agent.argv = ["prlimit", f"--nofile={HARD_LIMIT_LOW}:{HARD_LIMIT_LOW}", *self.agent.argv]
        self.agent.start()
        self.agent.wait_text("raise LimitNOFILE=")
        return True


def measure(few, many, requests):
    count = OPENING + requests // ROUNDS
    for fleet in (few, many):
        say(f"{fleet.children} children: keys, then all online")
        fleet.provision()
        fleet.start(count)
        say(f"  online after {fleet.figures['seconds_to_all_online']} s, PSS {fleet.figures['pss_kb_idle']} kB")
    say(f"{ROUNDS} rounds of {requests // ROUNDS} requests with each, one random child at a time")
    for _ in range(ROUNDS):
        for fleet in (few, many):
            fleet.round(count)
    for fleet in (few, many):
        fleet.end()


def judge(few, many):
    a, b, more = few.figures, many.figures, many.children - few.children
    memory_max = MEMORY_MAX + (MEMORY_NOISE / more if many.children < NOISE_MATTERS_BELOW else 0)
    result = {"memory_kb_a_child": round((b["pss_kb"] - a["pss_kb"]) / more, 2),
              "memory_kb_a_child_idle": round((b["pss_kb_idle"] - a["pss_kb_idle"]) / more, 2), "cpu_ratio": round(b["cpu_us_a_request"] / a["cpu_us_a_request"], 3), "few": a, "many": b}
    held = {"all online": all(f.figures["online"] == f.children for f in (few, many)),
            "descriptor limit raised": all(f.figures["descriptor_limit"] > f.children for f in (few, many)),
            "a low hard limit said": few.says_when_limited(),
            f"memory a child at most {memory_max:.3g} kB": result["memory_kb_a_child"] <= memory_max,
            f"CPU of a request at most {CPU_RATIO_MAX:g} times": result["cpu_ratio"] <= CPU_RATIO_MAX}
    failed = [what for what, ok in held.items() if not ok]
    for what, ok in held.items():
        say(f"  {'held' if ok else 'FAILED'}: {what}")
    return {"scale": "failed" if failed else "ok", "failed": failed, **result}


def cannot(children):
    """Why there is nothing to measure here, or None."""
    if harness.STRETCH > 1:
        return "a build with sanitizers says nothing about memory and CPU"
    try:
        pss_kilobytes(os.getpid())
    except OSError as e:
        return f"/proc/PID/smaps_rollup: {e.strerror}"
    if os.geteuid() != 0:
        return "the agent forbids being looked into (it is not dumpable), so its PSS is shown to root only: run as root"
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    needed = 2 * children + 512
    if hard != resource.RLIM_INFINITY and hard < needed:
        return f"the hard limit of open files is {hard}; {children} children need {needed}: ulimit -Hn {needed}"
    return None


def main():
    parser = argparse.ArgumentParser(prog="./dev scale")
    parser.add_argument("--children", type=int, default=2000)
    parser.add_argument("--requests", type=int, default=5000)
    options = parser.parse_args()
    if not FEW < options.children <= CHILDREN_MAX or options.requests < ROUNDS:
        parser.error(f"expected {FEW + 1} to {CHILDREN_MAX} children and at least {ROUNDS} requests")
    why = cannot(options.children)
    if why:
        say(json.dumps({"scale": "skipped", "why": why}))
        return harness.SKIPPED
    resource.setrlimit(resource.RLIMIT_NOFILE, (SOFT_LIMIT, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started, few, many = time.monotonic(), Fleet(FEW), Fleet(options.children)
    try:
        measure(few, many, options.requests)
        result = judge(few, many)
    except harness.Failure as e:
        for fleet in (few, many):
            fleet.bench.tails()
        result = {"scale": "failed", "why": str(e)}
    finally:
        for fleet in (few, many):
            fleet.bench.remove()
    say(json.dumps({**result, "admission": "default", "seconds": round(time.monotonic() - started, 1)}))
    return 0 if result["scale"] == "ok" else 1


if __name__ == "__main__":
    sys.exit(main())
