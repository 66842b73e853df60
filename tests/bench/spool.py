#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a sample costs on disk: an SD card wears by what is written to it.

usage: spool.py [--seconds S]

For each durability, with the line up and down, at 10 and at 1,000 samples a second (10 devices of 1 and of 100 samples a second),
the agent runs S seconds (30) and what it writes is counted: `written`, by the calls on files (the journal of
tests/tools/cut-layer.c has them; wchar of /proc/PID/io counts sockets and pipes too), and `to_disk`, what the kernel accounts for as
dirtied pages (write_bytes of /proc/PID/io; 0 where the state directory is in memory).

One line a case, then one line of JSON; status 0 if under every durability something was measured, and with the line up, where
nothing has to be written, at most WRITTEN_UP bytes a sample are.
"""
import argparse
import json
import os
import sys
import time

for folder in ("integration", "prove"):
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), folder))
import cut_layer  # noqa: E402
import disk  # noqa: E402
import harness  # noqa: E402
import spool_bench  # noqa: E402

MEMORY = "/dev/shm"  # where writing costs nothing
DEVICES = [f"d{i}" for i in range(10)]
WRITTEN_UP = 20  # bytes a sample at 1,000 samples a second, line up, whatever the durability
SETTLE_SECONDS = 8  # the making of the file, and what is written 5 s later, are not a sample's


def counted(agent, journal):
    """Bytes written by calls on files, bytes of dirtied pages, syncs; until now."""
    written, syncs = 0, 0
    with open(f"/proc/{agent.pid}/io", encoding="ascii") as f:
        io = {k: int(v) for k, v in (line.split(":") for line in f)}
    with open(journal, "rb") as f:
        data = f.read()
    at = 0
    while at + disk.RECORD.size <= len(data):
        change, n, m, *_ = disk.RECORD.unpack_from(data, at)
        written += n if change == disk.WRITE else 0
        syncs += change == disk.SYNC
        at += disk.RECORD.size + n + m
    return written, io["write_bytes"], syncs


def measure(durability, up, rate, seconds):
    bench, journal = harness.Bench(), os.path.join(MEMORY, f"gatehouse-journal-{os.getpid()}")
    try:
        keys = {d: bench.new_key() for d in DEVICES}
        cloud = bench.devcloud([(f"first-{d}", keys[d], d) for d in DEVICES])
        bench.write_config(cloud.url, spool={"durability": durability})
        for d in DEVICES:
            bench.write_device(d, "sim", {"n": {"signal": "sine", "unit": "Cel"}}, interval=f"{1000 * len(DEVICES) // rate}ms")
        agent = bench.agent(env=cut_layer.Page(bench.path("cut-page")).env(journal))
        bench.set_keys((d, f"first-{d}", keys[d]) for d in DEVICES)
        bench.wait_property(None, "Online", len(DEVICES), 30)
        if not up:
            cloud.kill()
            for d in DEVICES:
                bench.wait_property(d, "State", lambda s: s != "online", 60)
        bench.driver("sim")
        time.sleep(SETTLE_SECONDS)
        before, began = (*counted(agent, journal), samples(bench)), time.monotonic()
        time.sleep(seconds)  # what is measured is a time
        after = (*counted(agent, journal), samples(bench))
        taken = time.monotonic() - began
        n = after[3] - before[3]
        result = {"durability": durability, "line": "up" if up else "down", "rate": rate, "samples": n,
                  "written_a_sample": round((after[0] - before[0]) / max(n, 1), 1),
                  "to_disk_a_sample": round((after[1] - before[1]) / max(n, 1), 1),
                  "syncs_a_second": round((after[2] - before[2]) / taken, 1),
                  "written_mb_an_hour": round((after[0] - before[0]) / taken * 3600 / 1e6, 1),
                  "to_disk_mb_an_hour": round((after[1] - before[1]) / taken * 3600 / 1e6, 1),
                  "hours": round(bench.get(None, "SpoolHours"), 1)}
        if not up and durability != "memory":
            agent.stop()
            result["file_bytes_a_sample"] = round(os.path.getsize(spool_bench.spool_file(bench)) / max(after[3], 1), 1)
        return result
    finally:
        bench.remove()
        if os.path.exists(journal):
            os.unlink(journal)


def samples(bench):
    """That were taken over until now."""
    return sum(bench.get(d, name) for d in DEVICES for name in ("Delivered", "Spooled", "Dropped"))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=30)
    options = parser.parse_args()
    started, results = time.monotonic(), []
    for durability in ("outage", "always", "memory"):
        for up in (True, False):
            for rate in (10, 1000):
                results.append(measure(durability, up, rate, options.seconds))
                print(json.dumps(results[-1]), flush=True)
    bad = [r for r in results if r["samples"] == 0 or (r["line"] == "up" and r["rate"] == 1000 and r["written_a_sample"] > WRITTEN_UP)
           or (r["durability"] == "memory" and r["written_a_sample"] > 0)]
    print(json.dumps({"bench": "failed" if bad else "ok", "cases": results, "failed": bad,
                      "seconds": round(time.monotonic() - started, 1)}), flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
