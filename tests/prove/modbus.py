#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Many Modbus buses at once: when readings come, and what those that do not answer cost.

usage: modbus.py [--servers N] [--seconds S]

N (200) Modbus TCP servers with one device each, 50 registers a second, in one driver; beside them a serial bus of 20 units at
19200 baud, of which two are dead. After S (30) seconds a tenth of the servers is stopped with its connections open, for S seconds
more, and later the serial bus is looked at for 30 s once the dead units are left alone for as long as they ever are.

A reading's lateness is its time on the grid of its device's earliest; an idle timer that fires as often in the same run says what
the machine adds. Holds if
  - p99 of the lateness is at most 50 ms beyond the timer's,
  - with the dead servers, p99 of the others is at most 20 % (or 2 ms) more,
  - on the serial bus at most one time-out a dead unit and 30 s is lost, requests are one at a time, and no gap is shorter than
    wanted, all from the wire.
The last line is JSON.
"""
import argparse
import importlib.util
import json
import os
import signal
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(ROOT, "tests", "integration"), os.path.dirname(os.path.abspath(__file__))]
import harness  # noqa: E402
from harness import check  # noqa: E402
from lines import Line  # noqa: E402

REGISTERS, UNITS, DEAD_UNITS = 50, 20, (7, 14)
BAUD, TIMEOUT, WINDOW = 19200, 0.3, 30
LATENESS_MAX, DEAD_RATIO_MAX, DEAD_FLOOR = 50.0, 1.2, 2.0
# The pauses of a dead unit grow from 1 s to 30 s and a quarter: that long, and a little.
WARM_UP = 75


def link_host(bench):
    path = os.path.join(ROOT, "tests", "integration", "test-link.py")
    spec = importlib.util.spec_from_file_location("test_link", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Host(bench.runtime)


def p99(values):
    values = sorted(values)
    return values[min(len(values) - 1, len(values) * 99 // 100)]


def lateness(times):
    """ms behind the grid of one second on which the earliest lie."""
    # A tick may be missing: the grid is what counts.
    phases = [(t - times[0] + 0.5) % 1 - 0.5 for t in times]
    first = min(phases)
    return [(p - first) * 1000 for p in phases]


class Timer(threading.Thread):
    """Fires ten times a second, and does nothing else."""

    def __init__(self):
        super().__init__(daemon=True)
        self.times, self.stopping = [], False

    def run(self):
        due = time.monotonic()
        while not self.stopping:
            due += 0.1
            time.sleep(max(0, due - time.monotonic()))
            self.times.append(time.monotonic() - due)


class Bus:
    """The serial bus, seen from the wire."""

    def __init__(self):
        self.line = Line(self.play)
        self.crossed, self.answered_at = 0, 0.0
        self.waiting = None  # a request without an answer

    def play(self, line, request):
        # A request that does not wait for the time-out comes after a gap: at once. What this thread reads late seems early.
        if self.waiting and request.at < self.waiting + TIMEOUT / 2:
            self.crossed += 1
        self.waiting = request.at if request.unit in DEAD_UNITS else None
        if request.unit in DEAD_UNITS:
            return
        answer = line.answer(request)
        time.sleep((len(answer) + 8) * 10 / BAUD)
        line.send(answer)

    def devices(self):
        for unit in range(1, UNITS + 1):
            yield {"id": f"u{unit}", "section": {"url": f"rtu:{self.line.path}?baud={BAUD}", "unit": unit, "interval": "1s",
                                                 "timeout": f"{int(TIMEOUT * 1000)}ms", "retries": 2},
                   "points": {"counter": {"table": "input", "address": 2, "type": "uint16"}}}

    def most_in_window(self, unit, since):
        times = [r.at for r in self.line.requests if r.unit == unit and r.at >= since]
        return max((sum(t <= s < t + WINDOW for s in times) for t in times), default=0)


class Proof:
    def __init__(self, bench, options):
        self.bench, self.options, self.figures = bench, options, {}
        self.servers = [bench.modbus_server(f"server-{i}") for i in range(options.servers)]
        self.bus, self.host, self.timer = Bus(), link_host(bench), Timer()
        # The agent takes 5,000 samples a second of a driver: all are read, and one of each device is reported each time.
        points = {f"p{i}": {"table": "holding", "address": i, "type": "uint16", "on_change": i > 0} for i in range(REGISTERS)}
        devices = [{"id": f"d{i}", "points": points, "section": {"url": f"tcp://127.0.0.1:{s.port}", "interval": "1s",
                                                                 "timeout": "500ms"}} for i, s in enumerate(self.servers)]
        self.host.do("devices", driver="modbus", devices=devices + list(self.bus.devices()))
        self.driver = bench.driver("modbus")
        self.begun = time.monotonic()
        harness.wait_for("all servers read", lambda: len(self.times(0)) >= options.servers, 60)

    def times(self, since):
        """By device: when its answers came."""
        found = {}
        for e in list(self.host.events)[since:]:
            if e["event"] == "report" and e["device"].startswith("d"):
                for sample in e["samples"]:
                    if sample[0] == "p0":
                        found.setdefault(e["device"], []).append(sample[1] / 1e6)
        return found

    def phase(self, name, devices):
        since, before = self.host.mark(), len(self.timer.times)
        time.sleep(self.options.seconds)
        times = self.times(since)
        late = [ms for d in devices for ms in lateness(times[d])]
        idle = p99([1000 * t for t in self.timer.times[before:]])
        self.figures[name] = {"readings": len(late), "p99_ms": round(p99(late), 2), "timer_p99_ms": round(idle, 2)}
        return p99(late), idle

    def run(self):
        self.timer.start()
        all_devices = [f"d{i}" for i in range(len(self.servers))]
        late, idle = self.phase("alive", all_devices)
        n_dead = len(self.servers) // 10
        for server in self.servers[:n_dead]:
            server.send(signal.SIGSTOP)
        time.sleep(2)
        late_with_dead, _ = self.phase("with_dead", all_devices[n_dead:])
        self.usage()
        for server in self.servers[:n_dead]:
            server.send(signal.SIGCONT)
        self.serial()
        faults = []
        if late > idle + LATENESS_MAX:
            faults.append(f"p99 is {late:.1f} ms, an idle timer's {idle:.1f}")
        if late_with_dead > max(late * DEAD_RATIO_MAX, late + DEAD_FLOOR):
            faults.append(f"with dead servers p99 is {late_with_dead:.1f} ms, without {late:.1f}")
        return faults + self.judge_serial()

    def usage(self):
        with open(f"/proc/{self.driver.pid}/status", encoding="ascii") as f:
            resident = next(line for line in f if line.startswith("VmRSS"))
        cpu = 0
        for thread in os.listdir(f"/proc/{self.driver.pid}/task"):
            with open(f"/proc/{self.driver.pid}/task/{thread}/schedstat", encoding="ascii") as f:
                cpu += int(f.read().split()[0])
        self.figures["driver"] = {"cpu_percent": round(cpu / 1e7 / (time.monotonic() - self.begun), 2),
                                  "resident_kb": int(resident.split()[1])}

    def serial(self):
        time.sleep(max(0, self.begun + WARM_UP + 2 * WINDOW - time.monotonic()))
        since = self.begun + WARM_UP
        gaps = sorted(self.bus.line.gaps)
        self.figures["serial"] = {
            "timeouts_per_dead_unit_in_30_s": {u: self.bus.most_in_window(u, since) for u in DEAD_UNITS},
            "least_gap_ms": round(gaps[0] * 1000, 2), "requests": len(self.bus.line.requests), "crossed": self.bus.crossed}

    def judge_serial(self):
        s = self.figures["serial"]
        faults = []
        if any(n > 1 for n in s["timeouts_per_dead_unit_in_30_s"].values()):
            faults.append(f"a dead unit was asked {s['timeouts_per_dead_unit_in_30_s']} times in 30 s")
        if s["least_gap_ms"] < 5:
            faults.append(f"a gap of {s['least_gap_ms']} ms")
        if s["crossed"]:
            faults.append(f"{s['crossed']} requests while another one was under way")
        living = [e for e in self.host.events if e["event"] == "state" and e["state"] == "failed" and
                  e["device"].startswith("u") and int(e["device"][1:]) not in DEAD_UNITS]
        return faults + [f"{e['device']} was failed: {e['reason']}" for e in living]


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n")[0])
    parser.add_argument("--servers", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=30)
    options, figures = parser.parse_args(), {}

    def modbus_buses(bench):
        proof = Proof(bench, options)
        faults = proof.run()
        figures.update(proof.figures)
        proof.host.stop()
        check(not faults, "; ".join(faults))
    good = harness.run_one(modbus_buses)
    print(json.dumps({**figures, "servers": options.servers, "ok": good}))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
