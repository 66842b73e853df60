#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a child costs: memory, time to come online, and CPU of a request, with many children against a hundred.

usage: scale.py [--children N] [--requests N]

Two agents stand side by side, one with 100 children and one with N, each with development clouds and a bus of its own. All
their children are online, each over its own DTLS-PSK session, with the default suites. One development cloud takes 1,000
children: its library looks at all sessions for each datagram. The agents begin with a soft limit of 256 descriptors, which
they have to raise themselves.

  time to all online from the first handshake until the agent says that all are online, with `admission` unlimited: at most
                     1.4 times what `gnutls-loop` takes for the same handshakes at the same clouds, with as many in flight at
                     each. It is GnuTLS on epoll and nothing else; the agent also sends each child's first message, and has it
                     answered. Both begin at clouds newly started, three times in turn, of which the quickest count: one
                     datagram lost at the end costs a second. With the default admission (64 handshakes in flight, 200
                     begun a second) it is measured, too.
  memory a child     (PSS of the agent with N - PSS of the agent with 100) / (N - 100), after the requests: at most 14 kB.
                     What the allocator holds back at that moment differs by up to 1 MB from run to run; below 1,000 children
                     that would decide, so it is allowed for there. Beside it: what bare GnuTLS takes, and what the kernel
                     does (its slabs).
  CPU of a request   user and system time of the agent per request that a cloud answered, while the driver `sim` reports for
                     one random child at a time (of 4,000: a driver takes no more): with N at most 1.2 times that with 100. In
                     rounds that alternate between the agents, so that both see the same machine; the median of the rounds.
                     Below 1,000 children this is told only: the sessions of 100 fit into a processor's cache and those of a
                     few hundred do not, so the processor and its other tenants decide.
  instructions of a request
                     user space, counted by valgrind's callgrind, exactly and on any machine: with N at most 1.1 times that
                     with 100.
  idle               how often the loop of the agent with N wakes up while nothing happens: at most once a second, with
                     `keepalive` never.
  longest turn       of the loop of an agent with N at --debug, from its start through all that come online at once, to its
                     end: at most 20 ms. What other processes took of the processor is not counted.

The last line is JSON with all figures; status 0 only if everything held. 77: this build or machine cannot be measured.
"""
import argparse
import json
import os
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "integration"))
import dbus_client  # noqa: E402
import harness  # noqa: E402
from harness import check, wait_for  # noqa: E402

FEW = 100
CHILDREN_MAX = 16384
CHILDREN_OF_CLOUD = 1000
CHILDREN_OF_DRIVER = 4000
ASKED_EVERY = 0.02  # seconds, how exactly the time to all online is known
SOFT_LIMIT = 256
HARD_LIMIT_LOW = 200  # too low for FEW children, as the agent counts them
ONLINE_RATIO_MAX = 1.4
ONLINE_NOISE = 0.5  # seconds: with few children all is over in a tenth, of which the machine has its part
MEMORY_MAX = 14.0  # kB a child
MEMORY_NOISE = 1024  # kB
CPU_RATIO_MAX = 1.2
INSTRUCTIONS_RATIO_MAX = 1.1
NOISE_MATTERS_BELOW = 1000
WAKEUPS_MAX = 1.0  # a second
IDLE_SECONDS = 10
TURN_MAX_MS = 20
ROUNDS = 10
ONLINE_ROUNDS = 3
INTERVAL = 0.002  # between two requests
COUNTED = 400  # requests whose instructions are counted, in each of
WINDOWS = 3  # of which the least counts
LASTING = 100000  # requests of a driver that is stopped before
COUNTER = "valgrind"
REPLACED = ("SSL", "OPENSSL_", "OSSL_", "GNUTLS_", "NETTLE_", "P11_KIT_", "CURL_", "SQLITE_", "LD_")  # the agent unsets these
OPENING = 600  # requests at a round's start, not counted: the driver's devices are being opened
ADMITTED_PER_SECOND = 200
UNLIMITED_IN_FLIGHT = 96  # of an uplink


def say(text=""):
    print(text, flush=True)


def cpu_seconds(pid):
    """Of all threads of another process, to the nanosecond: its clock of clock_getcpuclockid(3)."""
    return time.clock_gettime(~pid << 3 | 2)


def number_in(path, pattern):
    with open(path, encoding="ascii") as f:
        return int(re.search(pattern, f.read(), re.MULTILINE).group(1))


def pss_kilobytes(pid):
    return number_in(f"/proc/{pid}/smaps_rollup", r"^Pss:\s+(\d+) kB")


def slab_kilobytes():
    """What is in use of the kernel's slabs, in which it keeps sockets and files."""
    with open("/proc/slabinfo", encoding="ascii") as f:
        rows = (line.split() for line in f if not line.startswith(("#", "slabinfo")))
        return sum(int(active) * int(size) for _, active, _, size, *_ in rows) / 1024


class Fleet:
    """An agent with its children and their clouds."""

    def __init__(self, children):
        self.children, self.bench, self.figures = children, harness.Bench(), {"children": children}
        self.requests, self.cpu = 0, []
        self.devices = [f"child-{i:05d}" for i in range(children)]
        self.clouds, self.journal = [], None

    # --- setting up ---

    def provision(self):
        self.keys = {d: self.bench.new_key() for d in self.devices}
        for i, start in enumerate(range(0, self.children, CHILDREN_OF_CLOUD)):
            mine = self.devices[start:start + CHILDREN_OF_CLOUD]
            self.clouds.append(self.bench.devcloud([(f"first-{d}", self.keys[d], d) for d in mine], name=f"cloud-{i}",
                                                   state=False, verbose=False))
        self.write_config()
        self.write_devices(1)
        self.agent = self.bench.agent()
        self.bench.monitor.kill()  # it would take a processor of its own to write down what nobody reads
        self.bench.processes.remove(self.bench.monitor)
        started = time.monotonic()
        self.bench.set_keys(((d, f"first-{d}", self.keys[d]) for d in self.devices), 120)
        self.figures["seconds_to_set_keys"] = round(time.monotonic() - started, 2)

    def cloud_of(self, i):
        return self.clouds[i // CHILDREN_OF_CLOUD]

    def write_config(self, clock=None, **uplink):
        self.bench.write_json("gatehouse.json", {**({"clock": clock} if clock else {}), "uplinks": {
            c.name: {"url": c.url, "profile": "senml", "registrar": {"type": "coap"}, "keepalive": "never", **uplink}
            for c in self.clouds}})

    def write_devices(self, count):
        for i, d in enumerate(self.devices):
            driver = "sim" if i < CHILDREN_OF_DRIVER else f"nobody-{i // CHILDREN_OF_DRIVER}"
            self.bench.write_device(d, driver, {"n": {"signal": "counter"}}, uplink=self.cloud_of(i).name, shared=True,
                                    count=count, interval=f"{INTERVAL * 1000:g}ms")

    # --- coming online ---

    def bare(self):
        """The same handshakes by gnutls-loop, while the agent is stopped: with as many in flight as it has, at all clouds at
        once as it does. One cloud after the other is another measurement: where fewer processes share two processors, the
        same handshakes take two thirds of the time, or five seconds more, for one socket loses what 960 send at once."""
        self.agent.stop(30)
        self.restart_clouds()
        in_flight = min(self.children, UNLIMITED_IN_FLIGHT * len(self.clouds))
        with open(self.bench.path("bare"), "w", encoding="ascii", opener=lambda p, f: os.open(p, f, 0o600)) as f:
            for i in sorted(range(self.children), key=lambda i: i % CHILDREN_OF_CLOUD):
                f.write(f"{self.cloud_of(i).port} first-{self.devices[i]} {self.keys[self.devices[i]].hex()}\n")
        with subprocess.Popen([harness.program("tests/bench/gnutls-loop"), f.name, str(in_flight)],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as loop:
            line = loop.stdout.readline()
            check(line, "gnutls-loop made no sessions")
            result = json.loads(line)
            result["kb_a_session"] = round(pss_kilobytes(loop.pid) / self.children, 2)
            loop.communicate()
        check(loop.returncode == 0, f"gnutls-loop ended with status {loop.returncode}")
        return result

    def restart_clouds(self):
        for c in self.clouds:
            c.restart()

    def start(self):
        """As after a boot: everything is in the vault already. How long it took, and since the first handshake."""
        self.agent.stop(30)
        self.restart_clouds()
        slab, marks, started = slab_kilobytes(), [c.mark() for c in self.clouds], time.clock_gettime(time.CLOCK_BOOTTIME)
        self.agent.start()
        self.bench.wait_agent(self.agent, 60)
        self.await_online(60 + 3 * self.children / ADMITTED_PER_SECOND)
        ended = time.clock_gettime(time.CLOCK_BOOTTIME)
        first = min(e["at"] for c, mark in zip(self.clouds, marks) for e in c.find_events("session", mark)) / 1e6
        self.settle()
        return {"seconds_to_all_online": round(ended - started, 2), "seconds_of_handshakes": round(ended - first, 2),
                "cpu_seconds": round(cpu_seconds(self.agent.pid), 2),
                "kernel_kb_a_child": round((slab_kilobytes() - slab) / self.children, 2)}

    def await_online(self, seconds):
        """Asked over one connection, and not all the time: what is measured has to do with two processors."""
        with dbus_client.Client(self.bench) as bus:
            def online():
                time.sleep(ASKED_EVERY)
                return bus.call("/org/gatehouse1", "org.freedesktop.DBus.Properties", "Get", "ss", "org.gatehouse1.Manager",
                                "Online")[0][1] == self.children
            wait_for("all online", online, seconds)

    def settle(self):
        """Until every child's first message after its handshake was answered."""
        wait_for("every child's first message",
                 lambda: all(d["probes"] > 0 for c in self.clouds for d in c.stats()["devices"].values()), 60)

    def start_to_stay(self, count):
        """With the default admission."""
        self.write_config()
        self.write_devices(count)
        self.figures.update(self.start())
        self.figures["pss_kb_idle"] = pss_kilobytes(self.agent.pid)
        self.figures["descriptor_limit"] = number_in(f"/proc/{self.agent.pid}/limits", r"^Max open files\s+(\d+)")

    def longest_turn(self):
        """Of an agent that starts, has all online at once, and is stopped."""
        self.write_config(admission="unlimited")
        with tempfile.NamedTemporaryFile(dir="/dev/shm", prefix="gatehouse-journal-") as journal:
            argv, err = self.agent.argv, self.agent.err
            self.agent.argv = [*argv, "--debug"]
            self.agent.stop(30)
            self.agent.err = journal.name  # in memory: lines that wait for the disk would be turns that do
            self.start()
            stopping = time.monotonic()
            self.agent.stop(30)
            self.figures["seconds_to_stop"] = round(time.monotonic() - stopping, 2)
            turns = [int(t) / 1000 for t in re.findall(r"a turn of the loop took (\d+) us", harness.read(journal.name))]
            self.agent.argv, self.agent.err = argv, err
        self.figures["turns_over_2_ms"], self.figures["longest_turn_ms"] = len(turns), max(turns, default=0)

    # --- requests ---

    def packs(self):
        return sum(d["packs"] for c in self.clouds for d in c.stats()["devices"].values())

    def arrived(self, count, since):
        """Until `count` samples after `since` are in the clouds."""
        def so_far():
            return sum(len(c.find_events("sample", mark)) for c, mark in zip(self.clouds, since))
        wait_for(lambda: f"{count} samples; {so_far()} arrived", lambda: so_far() >= count, 30 + 3 * count * INTERVAL)

    def round(self, count):
        marks = [c.mark() for c in self.clouds]
        driver = self.bench.driver("sim")
        self.arrived(OPENING, marks)
        packs, cpu = self.packs(), cpu_seconds(self.agent.pid)
        self.arrived(count, marks)
        cpu, requests = cpu_seconds(self.agent.pid) - cpu, self.packs() - packs
        self.cpu.append(cpu / requests if requests > 0 else None)  # None: it was over before it could be looked at
        self.requests += requests
        driver.stop()
        self.bench.processes.remove(driver)

    def count_instructions(self):
        """Of a request, in an agent that is started under valgrind. There it cannot raise its limit of descriptors, nor see that
        the clock is set. Its environment is one that it keeps: otherwise it would execute itself anew, without valgrind."""
        argv, env = self.agent.argv, self.agent.env
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        limit = 2 * CHILDREN_MAX if hard == resource.RLIM_INFINITY else hard
        self.write_config("trust", admission="unlimited")
        self.write_devices(LASTING)
        self.agent.stop(30)
        self.agent.argv = ["prlimit", f"--nofile={limit}:{limit}", COUNTER, "--tool=callgrind", "--instr-atstart=no",
                           f"--callgrind-out-file={self.bench.path('callgrind')}", *argv]
        self.agent.env = {"LD_BIND_NOW": "1", **{k: v for k, v in env.items() if not k.startswith(REPLACED)}}
        self.start()
        marks, driver = [c.mark() for c in self.clouds], self.bench.driver("sim")
        self.arrived(OPENING, marks)
        counted = [self.window(i + 1) for i in range(WINDOWS)]
        for process in (driver, self.agent):
            process.stop(30)
        self.bench.processes.remove(driver)
        self.figures["instructions_a_request"] = min(counted)
        self.agent.argv, self.agent.env = argv, env

    def window(self, number):
        """What the timers and the commits of other requests add differs from one to the next, and only ever adds."""
        self.counter("-i", "on")
        packs = self.packs()
        self.arrived(COUNTED, [c.mark() for c in self.clouds])
        self.counter("-i", "off")
        requests = self.packs() - packs
        self.counter("--dump")
        return round(number_in(f"{self.bench.path('callgrind')}.{number}", r"^totals: (\d+)") / requests)

    def counter(self, *command):
        subprocess.run(["callgrind_control", *command, str(self.agent.pid)], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)

    def wakeups(self):
        return number_in(f"/proc/{self.agent.pid}/task/{self.agent.pid}/status", r"^voluntary_ctxt_switches:\s+(\d+)")

    def end(self):
        """What there is to say after the rounds, before anything is stopped."""
        f = self.figures
        f["online"] = self.bench.get(None, "Online")
        f["pss_kb"] = pss_kilobytes(self.agent.pid)
        f["requests"] = self.requests
        seen = [cpu for cpu in self.cpu if cpu]
        check(len(seen) >= ROUNDS / 2, "too few rounds could be looked at: more --requests")
        f["cpu_us_a_request"] = round(statistics.median(seen) * 1e6, 1)
        time.sleep(5)  # timers of the last requests
        cpu, wakeups = cpu_seconds(self.agent.pid), self.wakeups()
        time.sleep(IDLE_SECONDS)  # the figure is what happens when nothing does
        f["idle_wakeups_a_second"] = round((self.wakeups() - wakeups) / IDLE_SECONDS, 2)
        f["idle_cpu_percent"] = round((cpu_seconds(self.agent.pid) - cpu) / IDLE_SECONDS * 100, 3)

    def says_when_limited(self):
        """With a hard limit that is too low the agent has to say so, with numbers and the way out."""
        self.agent.stop()
        self.agent.argv = ["prlimit", f"--nofile={HARD_LIMIT_LOW}:{HARD_LIMIT_LOW}", *self.agent.argv]
        self.agent.start()
        self.agent.wait_text("raise LimitNOFILE=")
        return True


def measure(few, many, requests):
    count, f = OPENING + requests // ROUNDS, many.figures
    for fleet in (few, many):
        say(f"{fleet.children} children: keys and clouds")
        fleet.provision()
    bare, unlimited = [], []
    many.write_config(admission="unlimited")
    for _ in range(ONLINE_ROUNDS):
        bare.append(many.bare())
        say(f"  gnutls-loop: {bare[-1]['seconds']} s, {bare[-1]['kb_a_session']} kB a session")
        unlimited.append(many.start())
        say(f"  the agent, admission unlimited: {unlimited[-1]['seconds_of_handshakes']} s, "
            f"{unlimited[-1]['seconds_to_all_online']} s from its start")
    f["bare"] = min(bare, key=lambda one: one["seconds"])
    f["unlimited"] = min(unlimited, key=lambda one: one["seconds_of_handshakes"])
    for fleet in (few, many):
        fleet.start_to_stay(count)
        say(f"  {fleet.children} with default admission: {fleet.figures['seconds_of_handshakes']} s, "
            f"{fleet.figures['seconds_to_all_online']} s from the start, PSS {fleet.figures['pss_kb_idle']} kB")
    say(f"{ROUNDS} rounds of {requests // ROUNDS} requests with each, one random child at a time")
    for _ in range(ROUNDS):
        for fleet in (few, many):
            fleet.round(count)
    for fleet in (few, many):
        fleet.end()
    many.longest_turn()
    for fleet in (few, many):
        fleet.count_instructions()
        say(f"  {fleet.children}: {fleet.figures['instructions_a_request']} instructions a request")


def cpu_ratio(few, many):
    """Of rounds that followed one another, since the machine changes meanwhile; the median of them."""
    pairs = [(a, b) for a, b in zip(few.cpu, many.cpu) if a and b]
    check(len(pairs) >= ROUNDS / 2, "too few rounds could be looked at: more --requests")
    return round(statistics.median(b / a for a, b in pairs), 3)


def judge(few, many):
    a, b, more = few.figures, many.figures, many.children - few.children
    noisy = many.children < NOISE_MATTERS_BELOW
    memory_max = MEMORY_MAX + (MEMORY_NOISE / more if noisy else 0)
    result = {"online_ratio": round(b["unlimited"]["seconds_of_handshakes"] / b["bare"]["seconds"], 2),
              "memory_kb_a_child": round((b["pss_kb"] - a["pss_kb"]) / more, 2),
              "memory_kb_a_child_idle": round((b["pss_kb_idle"] - a["pss_kb_idle"]) / more, 2),
              "kernel_kb_a_child": b["kernel_kb_a_child"],
              "cpu_ratio": cpu_ratio(few, many),
              "instructions_ratio": round(b["instructions_a_request"] / a["instructions_a_request"], 3),
              "idle_wakeups_a_second": b["idle_wakeups_a_second"], "longest_turn_ms": b["longest_turn_ms"],
              "few": a, "many": b}
    held = {"all online": all(f.figures["online"] == f.children for f in (few, many)),
            "descriptor limit raised": all(f.figures["descriptor_limit"] > f.children for f in (few, many)),
            "a low hard limit said": few.says_when_limited(),
            f"time to all online at most {ONLINE_RATIO_MAX:g} times the bare loop's":
                b["unlimited"]["seconds_of_handshakes"] <= ONLINE_RATIO_MAX * b["bare"]["seconds"] + ONLINE_NOISE * noisy,
            f"memory a child at most {memory_max:.3g} kB": result["memory_kb_a_child"] <= memory_max,
            f"CPU of a request at most {CPU_RATIO_MAX:g} times": result["cpu_ratio"] <= CPU_RATIO_MAX,
            f"instructions of a request at most {INSTRUCTIONS_RATIO_MAX:g} times":
                result["instructions_ratio"] <= INSTRUCTIONS_RATIO_MAX,
            f"idle at most {WAKEUPS_MAX:g} wake-ups a second": result["idle_wakeups_a_second"] <= WAKEUPS_MAX,
            f"no turn of the loop over {TURN_MAX_MS} ms": result["longest_turn_ms"] <= TURN_MAX_MS}
    if noisy:
        del held[f"CPU of a request at most {CPU_RATIO_MAX:g} times"]
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
    if not shutil.which(COUNTER):
        return f"{COUNTER} is not installed; it counts the instructions"
    if os.geteuid() != 0:
        return "the agent forbids being looked into (it is not dumpable), so its PSS is shown to root only: run as root"
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    needed = children + children // 2 + 512
    if hard != resource.RLIM_INFINITY and hard < needed:
        return f"the hard limit of open files is {hard}; {children} children need {needed}: ulimit -Hn {needed}"
    return None


def main():
    parser = argparse.ArgumentParser(prog="./dev scale")
    parser.add_argument("--children", type=int, default=2000)
    parser.add_argument("--transport", choices=("coap",), default="coap", help="over MQTT: scale-mqtt.py, by ./dev scale")
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
        result = {"scale": "failed", "why": str(e), "few": few.figures, "many": many.figures}
    finally:
        for fleet in (few, many):
            fleet.bench.remove()
    say(json.dumps({**result, "seconds": round(time.monotonic() - started, 1)}))
    return 0 if result["scale"] == "ok" else 1


if __name__ == "__main__":
    sys.exit(main())
