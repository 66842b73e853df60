#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a Modbus reading costs the driver, against the least that reading takes.

usage: modbus.py [--seconds S] [--rate R] [--registers N]

The driver reads N (10) neighbouring registers of one device R (100) times a second and reports them to the agent's end of its
socket; tests/bench/modbus-loop.c does the same with bare libmodbus and does nothing with them. Both have a server of their own and
run at the same time, in turns of S seconds pinned to one core each and swapped, so that neither has the better one. The last line is
JSON; status 0 only if the driver takes at most 1.3 times as much CPU time.
"""
import argparse
import importlib.util
import json
import os
import statistics
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))
import harness  # noqa: E402

RATIO_MAX = 1.3
TURNS = 4


def link_host(bench):
    path = os.path.join(ROOT, "tests", "integration", "test-link.py")
    spec = importlib.util.spec_from_file_location("test_link", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Host(bench.runtime)


def cpu_seconds(pid):
    """Of all its threads."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="ascii") as f:
            total += int(f.read().split()[0])
    return total / 1e9


def pin(pid, core):
    for thread in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(thread), {core})


def measure(bench, options, figures):
    servers = [bench.modbus_server(name) for name in ("server-driver", "server-loop")]
    points = {f"p{i}": {"table": "input", "address": 100 + i, "type": "uint16"} for i in range(options.registers)}
    host = link_host(bench)
    host.do("devices", driver="modbus", devices=[{"id": "d", "points": points, "section": {
        "url": f"tcp://127.0.0.1:{servers[0].port}", "interval": f"{1000 // options.rate}ms"}}])
    driver = bench.driver("modbus")
    host.state_of("d", "ok")
    host.do("count")
    loop = bench.spawn("modbus-loop", [harness.program("tests/bench/modbus-loop"), str(servers[1].port),
                                       str(1000000 // options.rate), str(options.registers)])
    pids, cores, ratios = (driver.pid, loop.pid), sorted(os.sched_getaffinity(0))[:2], []
    for turn in range(TURNS):
        for i, pid in enumerate(pids):
            pin(pid, cores[(turn + i) % len(cores)])
        before = [cpu_seconds(pid) for pid in pids]
        time.sleep(options.seconds)
        used = [cpu_seconds(pid) - b for pid, b in zip(pids, before)]
        figures.setdefault("driver_us", []).append(round(used[0] / options.seconds / options.rate * 1e6, 1))
        figures.setdefault("loop_us", []).append(round(used[1] / options.seconds / options.rate * 1e6, 1))
        ratios.append(used[0] / used[1])
    figures["ratio"] = round(statistics.median(ratios), 2)
    loop.stop()
    host.stop()


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n")[0])
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rate", type=int, default=100)
    parser.add_argument("--registers", type=int, default=10)
    options = parser.parse_args()
    figures = {"rate": options.rate, "registers": options.registers}

    def modbus_cpu(bench):
        measure(bench, options, figures)
    good = harness.run_one(modbus_cpu) and figures["ratio"] <= RATIO_MAX
    print(json.dumps({**figures, "ratio_max": RATIO_MAX, "ok": good}))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
