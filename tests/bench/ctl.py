#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What it costs to look at a large fleet: `gatehousectl list` and `status`, and GetManagedObjects.

usage: ctl.py [--devices N] [--times T]

N devices (10,000) are provisioned at an agent, out of reach of their cloud, so that nothing else goes on. Of T calls each (5) the quickest counts:
  list, status            seconds from the start of gatehousectl to its end
  *_cpu                   seconds of the processor that the program took of these
  managed_objects         seconds until the whole answer is there, and its size
  *_turn_ms               the longest turn of the agent's loop meanwhile, as it says itself at --debug; 0: none of over 2 ms
The last line is JSON; status 0 only if list takes under 1 s, status under 0.3 s, and no turn of a call is over 50 ms.
"""
import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "integration"))
import harness  # noqa: E402
from harness import check  # noqa: E402

DRIVER_DEVICES = 4000  # a driver has at most 4,096
BOUNDS = {"list": 1.0, "status": 0.3}
TURN_MAX_MS = 50
OBJECTS = ["busctl", "--json=short", "--timeout=60", "call", "org.gatehouse1", "/org/gatehouse1", "org.freedesktop.DBus.ObjectManager",
           "GetManagedObjects"]


def cpu_of_children():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class Fleet:
    def __init__(self, bench, journal, devices):
        self.bench, self.journal = bench, journal
        bench.write_config("coaps://127.0.0.1:1", uplink={"registrar": {"type": "manual"}})
        bench.bus()
        bench.monitor.kill()  # it would print every answer, on the same processor
        agent = bench.agent("--debug")
        agent.stop()
        agent.err = journal  # in memory: lines that wait for the disk would be turns that do
        agent.start()
        bench.wait_agent(agent)
        self.provision(devices)
        check(bench.get(None, "Devices") == devices, "devices are missing")

    def provision(self, devices):
        rows = ["hardware_id,device,settings"]
        for i in range(devices):
            driver = f"bench{i // DRIVER_DEVICES}"
            rows.append(f'SN-{i:06},dev-{i:05},"{{""driver"":""{driver}"",""{driver}"":{{""unit"":{i}}}}}"')
        listing, template = self.bench.path("devices.csv"), self.bench.path("template.json")
        with open(listing, "w", encoding="utf-8") as f:
            f.write("\n".join(rows) + "\n")
        with open(template, "w", encoding="utf-8") as f:
            json.dump({"uplink": "cloud", "points": {"x": {"unit": "Cel"}}}, f)
        self.bench.ctl("provision", listing, "--template=" + template, seconds=300)

    def measured(self, argv, times):
        """Seconds of the quickest call, of the processor for it, the bytes it printed, and the longest turn of all."""
        seconds, size, since = [], 0, os.path.getsize(self.journal)
        for _ in range(times):
            used, begin = cpu_of_children(), time.monotonic()
            done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ, **self.bench.env),
                                  timeout=harness.DEADLINE)
            seconds.append((round(time.monotonic() - begin, 3), round(cpu_of_children() - used, 3)))
            check(done.returncode == 0, f"{argv}: {done.stderr.decode()}")
            size = len(done.stdout)
        with open(self.journal, encoding="utf-8", errors="replace") as f:
            f.seek(since)
            turns = [int(t) / 1000 for t in re.findall(r"a turn of the loop took (\d+) us", f.read())]
        return *min(seconds), size, max(turns, default=0)


def main():
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--devices", type=int, default=10000)
    parser.add_argument("--times", type=int, default=5)
    o = parser.parse_args()
    bench, figures, failed = harness.Bench(), {"devices": o.devices}, []
    try:
        with tempfile.NamedTemporaryFile(dir="/dev/shm", prefix="gatehouse-journal-") as journal:
            fleet, ctl = Fleet(bench, journal.name, o.devices), harness.program("agent/gatehousectl/gatehousectl")
            for name, argv in (("list", [ctl, "list"]), ("status", [ctl, "status"]), ("managed_objects", OBJECTS)):
                figures[name], figures[name + "_cpu"], size, figures[name + "_turn_ms"] = fleet.measured(argv, o.times)
                print(f"{name}: {figures[name]} s ({figures[name + '_cpu']} s of the processor), {size} bytes printed, longest turn {figures[name + '_turn_ms']} ms", flush=True)
                if figures[name] > BOUNDS.get(name, harness.DEADLINE):
                    failed.append(f"{name} under {BOUNDS[name]} s")
                if figures[name + "_turn_ms"] > TURN_MAX_MS:
                    failed.append(f"no turn of {name} over {TURN_MAX_MS} ms")
    finally:
        bench.remove()
    print(json.dumps({"ctl": "failed" if failed else "ok", "failed": failed, **figures}))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
