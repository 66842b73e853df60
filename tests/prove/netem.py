#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Samples over a bad line: none is lost, none counts twice, and the sessions stay.

usage: netem.py [--seconds S] [--devices N] [--loss P] [--seed N] [--only EPISODE]... [--keep]

The agent and a development cloud are in two network namespaces, with a line between them (wire.py) that loses, delays, reorders
and duplicates packets, both ways. The driver `sim` counts up a number for each of N devices, each over its own session. The
first episode takes S seconds (300) at a loss of P of all packets (0.3); the others are short: a round trip of 2 s, packets out
of order, packets twice, long cuts, another address of the agent in mid-session, a path of MTU 576, and IPv6 only. After each
the line is good again, and then:

  lost        every number that the driver counted is in the cloud: none is missing, and the agent has dropped none
  twice       a sample that came again has the same (name, time) and the same value, so that whoever keeps one for each has
              each once: no number has two times, no (name, time) two values
  handshakes  the cloud's sessions live all the time, so each handshake after the first is needless, but for the one that a
              change of the address needs: counted for each 1,000 exchanges, as are packs that came again (repeated). The
              goal for the first episode is at most 20 of each

The last line is JSON; status 0 only if all held. 77: namespaces or TUN devices are not allowed here.
"""
import argparse
import json
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "integration"))
import harness  # noqa: E402
import wire as line  # noqa: E402
from harness import wait_for  # noqa: E402

INTERVAL = 0.5
GOAL = 20  # for each 1,000 exchanges
DRAIN_SECONDS = 180
EPISODE_SECONDS = 15
EPISODES, EPISODE_V6 = ("loss", "delay", "reordering", "duplication", "cuts", "address", "mtu"), "ipv6"


def say(text):
    print(text, flush=True)


class Proof:
    def __init__(self, options):
        self.options, self.results, self.failed = options, {}, []
        self.wire = line.Wire(options.seed)
        self.near = line.NEAR
        self.devices = [f"child-{i:02d}" for i in range(options.devices)]
        self.bench = None

    # --- setting up ---

    def start(self, address):
        self.bench = bench = harness.Bench()
        self.keys = {d: bench.new_key() for d in self.devices}
        with self.wire.far():
            self.cloud = bench.devcloud([(f"first-{d}", self.keys[d], d) for d in self.devices], state=False, listen=address)
        bench.write_config(self.cloud.url)
        self.write_devices(1)
        self.agent = bench.agent()
        bench.set_keys((d, f"first-{d}", self.keys[d]) for d in self.devices)
        bench.wait_property(None, "Online", len(self.devices), 60)
        self.await_probes()

    def await_probes(self):
        wait_for("every child's first message", lambda: all(d["probes"] > 0 for d in self.cloud.stats()["devices"].values()), 60)

    def write_devices(self, count):
        for d in self.devices:
            self.bench.write_device(d, "sim", {"n": {"signal": "counter"}}, count=count, interval=f"{INTERVAL * 1000:g}ms")

    def stop(self):
        if not self.bench:
            return
        if self.options.keep:
            self.bench.close()
            say(f"kept: {self.bench.dir}")
        else:
            self.bench.remove()
        self.bench = None

    # --- an episode ---

    def exchanges(self):
        return sum(d["packs"] for d in self.cloud.stats()["devices"].values())

    def numbers(self, since):
        """{device: {number: {time, …}}} of what has arrived, and how many packs came again."""
        self.cloud.do("ping")
        found, again, repeating = {d: {} for d in self.devices}, 0, {}
        for e in self.cloud.find_events("sample", since):
            device, of = e["device"], found[e["device"]]
            repeats = e["time"] in of.get(e["value"], ())
            # The samples of a pack are one after the other.
            again += repeats and not repeating.get(device)
            repeating[device] = repeats
            of.setdefault(e["value"], set()).add(e["time"])
        return found, again

    def run(self, name, seconds, impair, needed=0, goal=False, once=False):
        """`impair` makes the line bad, for as long as `seconds`; `needed`: handshakes that the episode itself asks for; `once`:
        no pack has a reason to come again."""
        if not self.wanted(name):
            return
        say(f"{name}: {seconds:g} s")
        bench, count = self.bench, round(seconds / INTERVAL)
        self.write_devices(count)
        bench.ctl("reload")
        since, exchanges, dropped = self.cloud.mark(), self.exchanges(), self.dropped()
        driver = bench.driver("sim")
        started = time.monotonic()
        impair()
        self.let_pass(max(0, started + seconds - time.monotonic()))
        self.wire.clear()
        wanted = {float(n) for n in range(count)}

        def arrived():
            return all(wanted <= set(n) for n in self.numbers(since)[0].values())
        try:
            wait_for("all samples", arrived, DRAIN_SECONDS)
        except harness.Failure:
            say("  not all samples arrived")
        drained = time.monotonic() - started - seconds
        driver.stop()
        bench.processes.remove(driver)
        self.judge(name, since, count, {"exchanges": self.exchanges() - exchanges, "dropped": self.dropped() - dropped,
                                        "drained_seconds": round(drained, 1)}, needed, goal, once)

    def dropped(self):
        return sum(self.bench.get(d, "Dropped") for d in self.devices)

    def judge(self, name, since, count, figures, needed, goal, once):
        found, repeated = self.numbers(since)
        f = self.results[name] = {"sent": count * len(self.devices), **figures}
        f["lost"] = sum(float(n) not in of for of in found.values() for n in range(count))
        f["twice"] = sum(len(times) > 1 for of in found.values() for times in of.values())
        f["twice"] += sum(len(of) - len(set().union(*of.values())) for of in found.values() if of)
        f["repeated"] = repeated
        f["handshakes"] = len(self.cloud.find_events("session", since))
        needless = max(0, f["handshakes"] - needed)
        thousands = max(f["exchanges"], 1) / 1000
        f["needless_per_1000"], f["repeated_per_1000"] = round(needless / thousands, 1), round(repeated / thousands, 1)
        say("  " + ", ".join(f"{key} {value}" for key, value in f.items()))
        wrong = [what for what in ("lost", "twice", "dropped") if f[what]]
        if goal and (f["needless_per_1000"] > GOAL or f["repeated_per_1000"] > GOAL):
            say(f"  the goal of at most {GOAL} for each 1,000 exchanges was not reached")
        if needed and f["handshakes"] < needed:
            wrong.append("handshakes")
        if once and repeated > 1:  # one whose answer the cut may have taken
            wrong.append("repeated")
        self.failed += [f"{name}: {what}" for what in wrong]

    # --- the episodes ---

    def cut(self, seconds):
        self.wire.set(cut=True)
        self.let_pass(seconds)
        self.wire.set(cut=False)

    def let_pass(self, seconds):
        until = time.monotonic() + seconds
        wait_for("time to pass", lambda: time.monotonic() >= until, 2 * seconds)

    def cuts(self):
        length = max(6, self.options.seconds / 10)
        for _ in range(2):
            self.cut(length)
            self.let_pass(length / 2)

    def narrow(self):
        """What waits during a cut is more than such a path takes in one datagram."""
        self.wire.narrow(576)
        self.cut(EPISODE_SECONDS - 3)

    def readdress(self):
        after = "10.9.0.3" if self.near == line.NEAR else line.NEAR
        self.wire.readdress(self.near, after)
        self.near = after

    def wanted(self, *names):
        return not self.options.only or any(name in self.options.only for name in names)

    def all(self):
        if self.wanted(*EPISODES):
            self.over_v4()
        if self.wanted(EPISODE_V6):
            self.over_v6()

    def over_v4(self):
        set_to, short = self.wire.set, min(EPISODE_SECONDS, self.options.seconds)
        self.start(line.FAR)
        self.run("loss", self.options.seconds, lambda: set_to(loss=self.options.loss), goal=True)
        self.run("delay", 2 * short, lambda: set_to(delay=1))
        self.run("reordering", short, lambda: set_to(delay=0.01, reorder=0.25))
        self.run("duplication", short, lambda: set_to(duplicate=0.5))
        self.run("cuts", max(24, self.options.seconds / 3), self.cuts)
        self.run("address", short, self.readdress, needed=len(self.devices))
        self.run("mtu", EPISODE_SECONDS, self.narrow, once=True)
        self.stop()

    def over_v6(self):
        self.wire.narrow(1500)
        self.wire.without_v4()
        self.start(line.FAR_V6)
        self.run(EPISODE_V6, min(EPISODE_SECONDS, self.options.seconds), lambda: self.wire.set(loss=0.1))
        self.stop()


def main():
    parser = argparse.ArgumentParser(prog="./dev prove netem")
    parser.add_argument("--seconds", type=float, default=300, help="of the first episode")
    parser.add_argument("--devices", type=int, default=20)
    parser.add_argument("--loss", type=float, default=0.3, help="share of packets, both ways")
    parser.add_argument("--seed", type=int, default=1, help="what the line does")
    parser.add_argument("--only", action="append", choices=(*EPISODES, EPISODE_V6), help="this episode alone, or these")
    parser.add_argument("--keep", action="store_true", help="leave the scratch directory")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        proof = Proof(options)
    except line.NotPossible as e:
        say(json.dumps({"netem": "skipped", "why": str(e)}))
        return harness.SKIPPED
    result = {}
    try:
        proof.all()
    except harness.Failure as e:
        if proof.bench:
            proof.bench.tails()
        result["why"] = str(e)
    finally:
        proof.stop()
    ok = not proof.failed and not result
    say(json.dumps({"netem": "ok" if ok else "failed", "failed": proof.failed, **result, "seed": options.seed,
                    "loss": options.loss, **proof.results}))
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
