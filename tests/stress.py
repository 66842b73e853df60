#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hunts for what fails now and then: runs tests many times, several copies beside one another and busy loops beside them.

usage: stress.py NAME... [--times N] [--beside K] [--busy B] [--stall S] [--build DIRECTORY] [--case CASE]... [--keep DIRECTORY]

NAME: a test as `meson test --list` has it without its suite, or a whole suite. --times: runs of each (20), --beside: how many at
once (twice the cores), --busy: loops that take CPU meanwhile (one a core),
--stall: of each run's processes one at a time stands still for up to so many seconds, as it does on a machine that has none for
it (0; not for tests that stop a process themselves), --build: of the tests (build; build-asan under sanitizers),
--case: only that case of the test, --keep: where the output of each run that failed is kept. For each run that failed the lines
that tell why are shown. The last line is JSON; status 0 only if no run failed.
"""
import argparse
import collections
import concurrent.futures
import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

import run
from excerpt import telling

SKIPPED = 77
PATIENCE = 1800  # seconds, for one run: it hangs
BUSY = "while True: pass"


def tests_of(build, names):
    """Each test by its name, and those of each suite."""
    text = subprocess.run(["meson", "introspect", "--tests", build], stdout=subprocess.PIPE, text=True, check=True).stdout
    tests = json.loads(text)
    suites = {suite.split(":")[-1] for test in tests for suite in test["suite"]}
    for name in names:
        found = [t for t in tests if t["name"] == name or (name in suites and any(s.split(":")[-1] == name for s in t["suite"]))]
        if not found:
            sys.exit(f"stress.py: no test or suite '{name}'; `meson test -C {build} --list` has them all")
        yield from found


def processes_of(session):
    """(pid, state) of all that a run has started."""
    found, parents = {}, {session}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", encoding="ascii", errors="replace") as f:
                state, parent, _, its_session = f.read().rsplit(")", 1)[1].split()[:4]
        except OSError:  # it has ended
            continue
        found[int(entry)] = (state, int(parent), int(its_session))
    more = True
    while more:
        more = {pid for pid, (_, parent, of) in found.items() if (parent in parents or of == session) and pid not in parents}
        parents |= more
    return [(pid, found[pid][0]) for pid in parents if pid in found]


def stall(session, longest, ended):
    """One after the other, until the run has ended, each of its processes may stand still. What the test has stopped stays so."""
    while not ended.wait(random.uniform(0, longest / 4)):
        running = [pid for pid, state in processes_of(session) if state not in "TtZX"]
        if not running:
            continue
        pid = random.choice(running)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            ended.wait(random.uniform(0, longest))
            os.kill(pid, signal.SIGCONT)


def play(test, build, cases, scratch, longest_stall):
    env = {**os.environ, **run.SANITIZERS, **test["env"], "TMPDIR": scratch}
    began, ended = time.monotonic(), threading.Event()
    with tempfile.TemporaryFile("w+", errors="replace", dir=scratch) as output:
        process = subprocess.Popen([*test["cmd"], *cases], env=env, cwd=test["workdir"] or build, stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=subprocess.STDOUT, start_new_session=True)
        if longest_stall:
            threading.Thread(target=stall, args=(process.pid, longest_stall, ended)).start()
        try:
            status = process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            status = process.wait()
            print(f"FAILED: not over after {PATIENCE} s", file=output, flush=True)
        finally:
            ended.set()
        output.seek(0)
        return test["name"], status, output.read(), time.monotonic() - began


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n")[0])
    parser.add_argument("names", nargs="+", metavar="NAME")
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--beside", type=int, default=2 * run.CORES)
    parser.add_argument("--busy", type=int, default=run.CORES)
    parser.add_argument("--stall", type=float, default=0)
    parser.add_argument("--build", default=os.path.join(run.ROOT, "build"))
    parser.add_argument("--case", action="append", default=[])
    parser.add_argument("--keep")
    options = parser.parse_args()
    tests = list(tests_of(options.build, options.names))
    runs, failed, longest = collections.Counter(), collections.Counter(), 0.0
    loops = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(options.busy)]
    began = time.monotonic()
    try:
        with run.scratch_directory() as scratch, concurrent.futures.ThreadPoolExecutor(options.beside) as pool:
            futures = [pool.submit(play, test, options.build, options.case, scratch, options.stall) for _ in range(options.times) for test in tests]
            for future in concurrent.futures.as_completed(futures):
                name, status, text, seconds = future.result()
                runs[name] += 1
                longest = max(longest, seconds)
                if status in (0, SKIPPED):
                    continue
                failed[name] += 1
                print(f"FAILED  {name}, run {runs[name]}, after {seconds:.0f} s, status {status}")
                print("".join(f"    {line}\n" for line in telling(text)), end="", flush=True)
                if options.keep:
                    os.makedirs(options.keep, exist_ok=True)
                    safe = re.sub(r"[^\w.-]", "_", name)
                    with open(os.path.join(options.keep, f"{safe}-{runs[name]}.log"), "w", encoding="utf-8") as f:
                        f.write(text)
    finally:
        for loop in loops:
            loop.kill()
    print(json.dumps({"runs": sum(runs.values()), "failed": sum(failed.values()), "of": dict(failed), "longest": round(longest, 1),
                      "seconds": round(time.monotonic() - began, 1)}))
    return 1 if failed or not runs else 0


if __name__ == "__main__":
    sys.exit(main())
