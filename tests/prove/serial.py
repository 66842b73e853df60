#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Modbus lines as they really are: what a line did, what arrived, right or wrong.

usage: serial.py [--only TEXT]

A row is a report of a user of serial Modbus, or a fault of a server: the real driver reads a line on a pseudo terminal, or a TCP
server, that plays it (serial_rows.py, fault_rows.py). Each value that arrives has to be one that was answered, counters in order;
rows ask for more. All rows run at once, each on a line of its own, in one driver. The lines are played by this process: rows that are
wrong are played again if it did not get to run for half a request's time. The last line is JSON; status 0 only if all rows are right.
"""
import argparse
import concurrent.futures
import errno
import importlib.util
import json
import os
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(ROOT, "tests", "integration"), os.path.dirname(os.path.abspath(__file__))]
import fault_rows  # noqa: E402
import harness  # noqa: E402
import serial_rows  # noqa: E402
from lines import Line, Server  # noqa: E402
from pulse import Pulse  # noqa: E402

PATIENCE = 40 * harness.STRETCH
STOOD_STILL, TRIES = 0.2, 5  # seconds, half the timeout of most devices


def link_host(bench):
    path = os.path.join(ROOT, "tests", "integration", "test-link.py")
    spec = importlib.util.spec_from_file_location("test_link", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Host(bench.runtime)


class Case:
    """One row at work: its line, its device, and what the host heard of it."""

    def __init__(self, number, row, bench, host):
        self.row, self.host, self.device = row(), host, f"r{number}"
        if isinstance(self.row, fault_rows.Fault):
            self.line = Server(self.row.play)
            url = f"tcp://127.0.0.1:{self.line.port}"
        else:
            self.line = Line(self.row.play, bench.path(f"tty-{number}") if getattr(self.row, "link", False) else None)
            url = f"rtu:{self.line.path}{self.row.query}"
        if hasattr(self.row, "before"):
            self.row.before(self.line)
        self.section = dict({"url": url, "unit": self.row.unit, "interval": "60ms", "timeout": "400ms"}, **self.row.section)

    def devices(self):
        yield {"id": self.device, "section": self.section, "points": self.row.points}
        if hasattr(self.row, "dead"):
            yield {"id": self.device + "-dead", "section": dict(self.section, unit=self.row.dead), "points": self.row.points}

    def mark(self):
        return self.host.mark()

    def events(self, kind):
        return [e for e in list(self.host.events) if e["event"] == kind and e.get("device") == self.device]

    def values(self, point):
        return [s[2] for e in self.events("report") for s in e["samples"] if s[0] == point]

    def wait_values(self, n, point="counter"):
        def enough():
            values = self.values(point)
            return values if len(values) >= n else None
        return harness.wait_for(lambda: f"{n} values of {point}; there are {len(self.values(point))}, state: "
                                f"{self.events('state')[-1:]}", enough, PATIENCE)

    def state(self, state, since=0):
        def found():
            return [e for e in list(self.host.events)[since:]
                    if e["event"] == "state" and (e["device"], e["state"]) == (self.device, state)]
        return harness.wait_for(lambda: f"state {state}: {self.events('state')[-1:]}", found, PATIENCE)[-1]

    def last_state(self):
        return self.events("state")[-1]["state"]

    def write(self, point, value):
        """errno and value; how long it took is in self.took. A driver that is not connected yet is waited for."""
        def answered():
            done, self.took = self.host.ask_alone("write", driver="modbus", device=self.device, point=point, value=value)
            return done if done["r"] != -errno.ENOTCONN else None
        done = harness.wait_for("the driver", answered)
        return done["r"], done.get("value")

    def wrong(self):
        """Values that nobody answered."""
        counters, last = self.values("counter"), 0
        for value in counters:
            if value <= last or value > self.line.units.counters.get(self.row.unit, 0):
                return f"counter {value} after {last}"
            last = value
        good = last - len([value for value in self.row.spoiled if value <= last])
        if counters and len(counters) < (1 - self.row.losses) * good - 2:
            return f"only {len(counters)} of {good} values of the counter that were answered well"
        for point in self.row.points:
            place = self.row.points[point]
            if point == "counter" or place["table"] != "input" or place["type"] != "uint16":
                continue
            right = (257 * place["address"] + self.row.unit) & 0xFFFF
            for value in self.values(point):
                if value != right:
                    return f"{point} was {value}, not {right}"
        return None

    def judge(self):
        """What arrived, in words, and whether that is right."""
        try:
            if self.row.enough:
                self.wait_values(self.row.enough)
            fault = self.row.right(self) or self.wrong()
        except (harness.Failure, AssertionError) as e:
            fault = str(e)
        return fault or f"{sum(len(self.values(p)) for p in self.row.points)} values", fault is None


def run(bench, rows):
    host = link_host(bench)
    host.ask_alone = alone(host)
    cases = [Case(i, row, bench, host) for i, row in enumerate(rows)]
    host.do("devices", driver="modbus", devices=[d for case in cases for d in case.devices()])
    bench.driver("modbus")
    with concurrent.futures.ThreadPoolExecutor(len(cases)) as pool:
        verdicts = list(pool.map(Case.judge, cases))
    host.stop()
    for case in cases:
        case.line.stop()
    return [(case.row.name, *verdict) for case, verdict in zip(cases, verdicts)]


def alone(host):
    """One call at a time: the answers carry no number."""
    lock = threading.Lock()

    def ask(*arguments, **more):
        with lock:
            began = time.monotonic()
            return host.ask(*arguments, **more), time.monotonic() - began
    return ask


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n")[0])
    parser.add_argument("--only", default="", help="rows whose name contains this")
    options = parser.parse_args()
    rows = [r for r in serial_rows.ROWS + fault_rows.ROWS if options.only.lower() in r.name.lower()]
    began, verdicts, left = time.monotonic(), {}, rows

    def lines_play(bench):
        verdicts.update({name: (arrived, right) for name, arrived, right in run(bench, left)})
    for _ in range(TRIES):
        with Pulse() as pulse:
            played = harness.run_one(lines_play)
        left = [row for row in left if not verdicts.get(row.name, ("", False))[1]]
        if not left or pulse.longest < STOOD_STILL:
            break
        print(f"again: {len(left)} rows, since nothing ran here for {pulse.longest:.2f} s", flush=True)
    table = [(row.name, *verdicts[row.name]) for row in rows if row.name in verdicts]
    for name, arrived, right in table:
        print(f"{'right' if right else 'WRONG'}  {name}: {arrived}")
    wrong = [name for name, _, right in table if not right]
    print(json.dumps({"rows": len(table), "wrong": wrong, "seconds": round(time.monotonic() - began, 1)}))
    return 0 if played and table and not wrong else 1


if __name__ == "__main__":
    sys.exit(main())
