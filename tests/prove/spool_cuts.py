# SPDX-License-Identifier: LGPL-2.1-or-later
"""Cuts while samples wait: the agent ends in the middle of what it does with spool.db, and is started again. What is lost?

What `prove powercut --store spool` draws. Some devices report counters through the sim plugin, whose driver lives on and keeps what
it was not answered for, so a number that never arrives was answered for. The agent runs under tests/tools/cut-layer.c, ends
before or after a call on a file that is drawn, and finds what a disk may hold then (disk.py). That falls into a time in which the
line is up, the cloud slow or not; in which it is silent; in which an outage's samples are sent; or in which the agent starts.

At an episode's end all arrives, in order per device, and what comes again is the same sample. Under `always`, every other episode,
none is missing. Under `outage` those that are came within the last 5 s before a cut, and before the agent knew that the line was
down. The file is never found damaged.
"""
import random
import subprocess
import time

import cut_layer
import episodes
import harness
import spool_bench
from episodes import say
from harness import check, wait_for
from pulse import Pulse

STATES = ("online", "slow", "outage", "draining", "starting")
COUNTS = ("lost", "lost_under_outage", "out_of_order", "other_times", "other_violations")
DEVICES = ("d1", "d2", "d3")
INTERVAL = 0.04
CUT_SECONDS = 1.5
SLOW_MS = 400
START_CUT_SECONDS = 3
ONLINE_SECONDS = 60
UNWRITTEN_SECONDS = 5  # what `outage` may lose
CLOCK_SECONDS = 0.5  # between a sample's time and when it is taken over, and as much more as nothing ran here at most


class Episode:
    @staticmethod
    def new_tally():
        return episodes.Tally(STATES, COUNTS)

    def __init__(self, seed, number):
        self.number, self.rng = number, random.Random(f"spool/{seed}/{number}")
        self.tally = self.new_tally()
        self.bench, self.cut, self.violated = harness.Bench(), 0, False
        self.durability = "outage" if number % 2 == 0 else "always"
        self.page = cut_layer.Page(self.bench.path("cut-page"))
        self.cuts = []  # when, and since when the agent knew that the line was down

    def violation(self, text, kind="other_violations"):
        text = f"episode {self.number} ({self.durability}), cut {self.cut}: {text}"
        say(f"VIOLATION {text}")
        self.violated = True
        self.tally.violations.append(text)
        self.tally.counts[kind] += 1

    def start(self):
        keys = {d: self.bench.new_key() for d in DEVICES}
        self.cloud = self.bench.devcloud([(f"first-{d}", keys[d], d) for d in DEVICES])
        self.bench.write_config(self.cloud.url, uplink={"admission": "unlimited"}, spool={"durability": self.durability})
        for d in DEVICES:
            self.bench.write_device(d, "sim", {"n": spool_bench.COUNTER}, interval=f"{int(INTERVAL * 1000)}ms")
        env = self.layer()
        subprocess.run(["true"], env=dict(harness.os.environ, **env), check=True)  # the layer tells its calls
        self.agent = self.bench.agent(env=env)
        self.driver = self.bench.driver("sim")
        self.bench.set_keys((d, f"first-{d}", keys[d]) for d in DEVICES)
        self.await_samples(3)

    def await_samples(self, n):
        before = {d: len(self.cloud.samples(d)) for d in DEVICES}
        wait_for("samples of all devices", lambda: all(len(self.cloud.samples(d)) >= before[d] + n for d in DEVICES),
                 ONLINE_SECONDS)

    # --- a cut ---

    def go_to(self, state):
        """Into that state; since when the agent knows that the line is down, or None."""
        known = None
        if state == "slow":
            self.cloud.do("slow", path="telemetry", ms=SLOW_MS, times=0)
        elif state in ("outage", "draining"):
            self.cloud.do("silence", ms=3600 * 1000)
            time.sleep(self.rng.uniform(0.2, 3))  # so that something waits, and sometimes is written because it is old
            if state == "outage" and self.rng.random() < 0.4:
                for d in DEVICES:
                    self.bench.wait_property(d, "State", lambda s: s != "online", ONLINE_SECONDS)
                known = time.time()
                time.sleep(self.rng.uniform(0, 1))
        if state == "draining":
            self.cloud.do("clear")
        return known

    def run_cut(self, state):
        known = None
        if state != "starting":
            known = self.go_to(state)
            self.page.arm(self.page.file_calls(), self.rng.randint(1, 80), self.rng.random() < 0.5)
            try:
                self.agent.popen.wait(CUT_SECONDS * harness.STRETCH)
            except subprocess.TimeoutExpired:
                self.page.hasten()
            self.agent.wait()
            self.page.disarm()
        else:
            self.agent.kill()
            self.fallen()
            self.page.arm(self.page.file_calls(), self.rng.randint(1, 60), self.rng.random() < 0.5)
            self.agent.start()
            self.await_start()
        self.fall(state, known)
        self.cloud.do("clear")
        if state == "slow":
            # it comes before what the next agent sends
            wait_for("what the slow cloud holds back", lambda: self.cloud.stats()["held"] == 0)
        self.agent.start()
        self.bench.wait_agent(self.agent, ONLINE_SECONDS)
        self.await_samples(3)

    def await_start(self):
        """It ends on its way, or is there and is ended."""
        end = time.monotonic() + START_CUT_SECONDS * harness.STRETCH
        while self.agent.alive() and time.monotonic() < end and self.page.armed():
            time.sleep(0.005)
        if self.page.armed():
            self.page.hasten()
            self.agent.wait()
        self.agent.wait()
        self.page.disarm()

    def fall(self, state, known):
        call = self.page.cut()
        check(call, f"the agent ended with status {self.agent.popen.returncode}")
        self.tally.calls.setdefault(call[0], {"before": 0, "after": 0})[call[1]] += 1
        self.tally.count({state})
        self.cuts.append((time.time(), known or float("inf")))
        self.fallen()
        say(f"  {self.number}.{self.cut} {self.durability}, {state}, {call[1]} {call[0]}")

    # --- the end ---

    def judge(self, device):
        slack, samples = CLOCK_SECONDS + self.pulse.longest, spool_bench.arrived(self.cloud, device)
        numbers, times = [n for n, _ in samples], dict(samples)
        for n in spool_bench.lost(numbers):
            before = max(k for k in times if k < n) if any(k < n for k in times) else min(times)
            when = times[before] + (n - before) * INTERVAL
            near = [c for c, known in self.cuts if c - UNWRITTEN_SECONDS - slack <= when <= c + slack and when <= known]
            if self.durability == "outage" and near:
                self.tally.counts["lost_under_outage"] += 1
            else:
                self.violation(f"{device}: {n} is lost, of {when:.2f}; cuts at {[round(c, 2) for c, _ in self.cuts]}", "lost")
        for n in spool_bench.out_of_order(numbers):
            self.violation(f"{device}: {n} came late", "out_of_order")
        for n in spool_bench.other_times(samples):
            self.violation(f"{device}: {n} came again with another time", "other_times")
        self.tally.counts["samples"] += len(set(numbers))
        self.tally.counts["repeated"] += len(numbers) - len(set(numbers))

    def end(self):
        self.driver.stop()
        for d in DEVICES:
            self.bench.wait_property(d, "Spooled", 0, ONLINE_SECONDS)
        for d in DEVICES:
            self.judge(d)
            if self.bench.get(d, "Dropped") or self.bench.get(d, "Rejected"):
                self.violation(f"{d}: something was dropped or rejected")
        if "a new one is begun" in self.agent.text():
            self.violation("the file was found damaged")
        self.tally.made = self.page.made()
        self.bench.close()

    def run(self, cuts):
        left = []
        with Pulse() as self.pulse:
            self.start()
            for self.cut in range(1, cuts + 1):
                if not left:
                    left = [*STATES, "outage"]
                    self.rng.shuffle(left)
                self.run_cut(left.pop())
            self.end()
        return self.cut
