#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a sample costs on its whole way: driver, driver protocol, spool, SenML, DTLS, acknowledgement.

usage: throughput.py [--devices N] [--seconds S] [--rates N,...] [--durability outage|always|memory] [--profile DIRECTORY]
                     [--against BUILD [--rounds N]]

DEVICES devices of the plugin sim report to one agent, and that to one development cloud, first at 1,000 samples a second, then
at as many as a driver may send, 5,000. For each: samples that arrived a second, how many a pack holds, CPU of each process for a
thousand samples (user and system), and how old a sample is when it arrives. --profile: perf records the agent meanwhile, if it
is there, and DIRECTORY gets what it says of each function. --against: another build directory, as of the commit before, is
measured too, in turn with this one and as often (ROUNDS); the medians of both, and their ratios.

Holds if as many arrive as were sent, in order, and none is dropped. The last line is JSON.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "integration"))
import harness  # noqa: E402
from harness import check, wait_for  # noqa: E402

RATES = (1000, 5000)


def cpu_seconds(pid):
    """Of all threads of another process, to the nanosecond: its clock of clock_getcpuclockid(3)."""
    return time.clock_gettime(~pid << 3 | 2)


def source_of(build):
    """The source tree that a build directory was made from."""
    with open(os.path.join(build, "meson-info", "meson-info.json"), encoding="utf-8") as f:
        return json.load(f)["directories"]["source"]


class Run:
    def __init__(self, bench, devices, rate, durability):
        self.bench = bench
        # An earlier build reads the profiles of its own time.
        bench.env["GATEHOUSE_PROFILE_DIR"] = os.path.join(source_of(harness.BUILD_DIR), "etc", "profiles")
        self.devices, self.rate = [f"d{i:03d}" for i in range(devices)], rate
        keys = {d: bench.new_key() for d in self.devices}
        self.cloud = bench.devcloud([(f"first-{d}", keys[d], d) for d in self.devices], state=False)
        bench.write_config(self.cloud.url, spool={"durability": durability})
        for d in self.devices:
            bench.write_device(d, "sim", {"n": {"signal": "counter"}}, interval=f"{1000 * devices // rate}ms")
        self.agent = bench.agent()
        bench.set_keys((d, f"first-{d}", keys[d]) for d in self.devices)
        self.agent.stop()
        self.agent.start()
        bench.wait_agent(self.agent)
        bench.wait_property(None, "Online", devices, 60)
        self.driver = bench.driver("sim")
        wait_for("samples of each device", lambda: all(d["samples"] > 0 for d in self.cloud.stats()["devices"].values()))

    def totals(self):
        devices = self.cloud.stats()["devices"].values()
        return sum(d["samples"] for d in devices), sum(d["packs"] for d in devices)

    def build(self):
        """The build directory that the agent under measurement was started from."""
        return os.path.dirname(os.path.dirname(os.path.dirname(os.readlink(f"/proc/{self.agent.pid}/exe"))))

    def measure(self, seconds, profile):
        pids = {"agent": self.agent.pid, "driver": self.driver.pid, "cloud": self.cloud.pid}
        recorder = self.record(profile) if profile else None
        mark, started = self.cloud.mark(), time.monotonic()
        samples, packs = self.totals()
        cpu = {name: cpu_seconds(pid) for name, pid in pids.items()}
        time.sleep(seconds)  # what is measured is what happens meanwhile
        cpu = {name: cpu_seconds(pid) - cpu[name] for name, pid in pids.items()}
        after = self.totals()
        took, arrived = time.monotonic() - started, after[0] - samples
        if recorder:
            recorder.wait()
        offset = time.clock_gettime(time.CLOCK_REALTIME) - time.clock_gettime(time.CLOCK_BOOTTIME)
        ages = [e["at"] / 1e6 + offset - e["time"] for e in self.cloud.find_events("sample", since=mark)]
        return {"wanted": self.rate, "samples_per_second": round(arrived / took),
                "samples_a_pack": round(arrived / max(1, after[1] - packs), 2),
                "age_ms_p50": round(statistics.median(ages) * 1000, 2),
                **{f"{name}_cpu_ms_per_1000": round(used * 1e6 / arrived, 2) for name, used in cpu.items()}}

    def record(self, directory):
        os.makedirs(directory, exist_ok=True)
        self.data = os.path.join(directory, f"perf-{self.rate}.data")
        return subprocess.Popen(["perf", "record", "-q", "-g", "-o", self.data, "-p", str(self.agent.pid), "--", "sleep", "5"],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def compare(self):
        """After the last report: what was sent has arrived."""
        self.driver.stop()
        for d in self.devices:
            self.bench.wait_property(d, "Spooled", 0, 30)
            values = [s["value"] for s in self.cloud.samples(d, "n")]
            check(values == list(range(values[0], values[0] + len(values))), f"{d}: not each once and in order")
            check(self.bench.get(d, "Dropped") == 0, f"{d}: drops")


def measure(rate, options):
    """One run of the build that the harness knows, or None if something was lost."""
    bench = harness.Bench()
    try:
        run = Run(bench, options.devices, rate, options.durability)
        result = {"build": run.build(), **run.measure(options.seconds, options.profile)}
        print(result, flush=True)
        run.compare()
        return result
    except harness.Failure as e:
        print(e)
        bench.tails()
        return None
    finally:
        bench.close()
        bench.remove()


def measure_other(build, rate, options):
    """One run of BUILD, in a process of its own: the harness takes its programs from one build directory for good."""
    command = [sys.executable, os.path.abspath(__file__), "--rates", str(rate), "--devices", str(options.devices),
               "--seconds", str(options.seconds), "--durability", options.durability]
    done = subprocess.run(command, env={**os.environ, "GATEHOUSE_BUILD": build}, stdout=subprocess.PIPE, text=True, check=False)
    sys.stdout.write("".join(done.stdout.splitlines(True)[:-1]))
    sys.stdout.flush()
    if done.returncode:
        return None
    result = json.loads(done.stdout.splitlines()[-1])["runs"][0]
    check(result["build"] == build, f"measured {result['build']} instead of {build}")
    return result


def ratios(ours, theirs):
    """Of the medians, by what was measured."""
    def median(runs, key):
        return statistics.median(r[key] for r in runs)
    return {key: round(median(ours, key) / max(median(theirs, key), 1e-9), 2) for key in ours[0] if key not in ("wanted", "build")}


def compare_builds(rate, options):
    """This build and the other in turn, so that what else the machine does meets both."""
    builds = [os.path.abspath(options.against), harness.BUILD_DIR]
    runs = {build: [] for build in builds}
    for _ in range(options.rounds):
        for build in builds:
            runs[build].append(measure_other(build, rate, options))
    theirs, ours = runs.values()
    if None in theirs + ours:
        return None
    return {"wanted": rate, "ratios": ratios(ours, theirs), "runs": ours, "against": theirs}


def main():
    parser = argparse.ArgumentParser(prog="./dev bench throughput")
    parser.add_argument("--devices", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rates", type=lambda text: [int(n) for n in text.split(",")], default=RATES, metavar="N,...")
    parser.add_argument("--durability", choices=("outage", "always", "memory"), default="outage")
    parser.add_argument("--profile", metavar="DIRECTORY")
    parser.add_argument("--against", metavar="BUILD")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if options.profile and not shutil.which("perf"):
        parser.error("perf is not installed")
    if options.against and not os.path.isdir(options.against):
        parser.error(f"{options.against}: there is no such directory")
    runs = []
    for rate in options.rates:
        runs.append(compare_builds(rate, options) if options.against else measure(rate, options))
        if options.against and runs[-1]:
            print(f"ratios at {rate}/s: {runs[-1]['ratios']}", flush=True)
    ok = None not in runs
    print(json.dumps({"bench": "throughput", "ok": ok, "devices": options.devices, "durability": options.durability,
                      "runs": runs}))
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
