#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs the suites and counts: the last line is `N passed, N failed`, with what was skipped, and why, above it.

usage: run.py [SUITE...]    lint unit integration prove builds fuzz asan valgrind system (all of them when none is named)
"""
import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FUZZ_SECONDS = int(os.environ.get("FUZZ_SECONDS", "5"))
CORES = os.cpu_count() or 1
# Tests of whole programs mostly wait: for servers, for deadlines, for lines that are cut. So more of them run than there are cores.
# What measures times is not parallel (tests/prove/meson.build).
WAITING = ["--num-processes", str(2 * CORES)]
SUITES = ("lint", "unit", "integration", "prove", "builds", "fuzz", "asan", "valgrind", "system")


class Count:
    def __init__(self):
        self.passed, self.failed, self.skipped = 0, [], []

    def add(self, name, result, why=""):
        if result == "OK":
            self.passed += 1
        elif result == "SKIP":
            self.skipped.append(f"{name}{': ' + why if why else ''}")
        else:
            self.failed.append(name)


def build(directory, *options, env=None, targets=()):
    environment = dict(os.environ, **(env or {}))
    if not os.path.exists(os.path.join(directory, "build.ninja")):
        subprocess.run(["meson", "setup", directory, "-Dwerror=true", *options], cwd=ROOT, env=environment, check=True,
                       stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "--quiet", "-C", directory, *targets], cwd=ROOT, env=environment, check=True)


def meson_test(count, directory, label, *arguments, env=None):
    """Runs `meson test` and counts from its log of results, a JSON object a line."""
    log = os.path.join(ROOT, directory, "meson-logs", "testlog.json")
    if os.path.exists(log):
        os.unlink(log)
    environment = dict(os.environ, BUILD_DIR=os.path.join(ROOT, directory), **(env or {}))
    status = subprocess.run(["meson", "test", "-C", directory, "--no-rebuild", "--print-errorlogs", *arguments], cwd=ROOT,
                            env=environment).returncode
    # with --wrapper the log's name holds the wrapper's
    logs = [os.path.join(ROOT, directory, "meson-logs", f) for f in os.listdir(os.path.join(ROOT, directory, "meson-logs"))
            if f.startswith("testlog") and f.endswith(".json")]
    newest = max(logs, key=os.path.getmtime, default=None)
    seen = 0
    if newest:
        for line in open(newest):
            entry = json.loads(line)
            seen += 1
            why = (entry.get("stdout") or entry.get("stderr") or "").strip().splitlines()
            count.add(f"{label}: {entry['name']}", {"OK": "OK", "SKIP": "SKIP"}.get(entry["result"], "FAIL"),
                      why[-1] if why else "")
    if status != 0 and not count.failed:
        count.failed.append(f"{label}: meson test ended with status {status}")
    if seen == 0:
        count.failed.append(f"{label}: no test ran")


def run_plain(count, suites):
    build("build")
    for suite in suites:
        meson_test(count, "build", suite, "--suite", suite, *(WAITING if suite in ("integration", "prove") else []))


def run_builds(count):
    """What packagers and others build: the warnings of other optimisers and of another compiler, and the units there."""
    for name, options, env in (("release", ["--buildtype=release"], {}), ("clang", [], {"CC": "clang"})):
        compiler = env.get("CC", "cc")
        if not shutil.which(compiler):
            count.add(f"builds: {name}", "SKIP", f"{compiler} is not installed")
            continue
        try:
            build(f"build-{name}", *options, env=env)
        except subprocess.CalledProcessError as e:
            count.add(f"builds: {name}: {' '.join(e.cmd)} ended with status {e.returncode}", "FAIL")
            continue
        count.add(f"builds: {name}", "OK")
        meson_test(count, f"build-{name}", f"{name} unit", "--suite", "unit")


def run_asan(count):
    build("build-asan", "-Db_sanitize=address,undefined", "-Db_lundef=false", "-Doptimization=1")
    env = {"ASAN_OPTIONS": "detect_leaks=1:abort_on_error=1:detect_stack_use_after_return=1",
           "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"}
    meson_test(count, "build-asan", "asan unit", "--suite", "unit", "--timeout-multiplier", "4", env=env)
    meson_test(count, "build-asan", "asan integration", "--suite", "integration", "--timeout-multiplier", "4", *WAITING, env=env)


def run_valgrind(count):
    if not shutil.which("valgrind"):
        count.add("valgrind", "SKIP", "valgrind is not installed")
        return
    build("build-valgrind", "-Dzero_init=false")  # it is to see what was not set
    wrapper = "valgrind --quiet --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite --trace-children=no"
    meson_test(count, "build-valgrind", "valgrind", "--suite", "unit", "--wrapper", wrapper, "--timeout-multiplier", "20",
               env={"GATEHOUSE_SLOW": "1"})


def fuzz(target):
    corpus = os.path.join(ROOT, "tests", "fuzz", "corpus", target[len("fuzz-"):])
    # What is found goes to a scratch folder: the kept corpus is chosen by hand.
    with tempfile.TemporaryDirectory() as found:
        # LeakSanitizer needs ptrace, which many containers refuse; leaks are asan's and valgrind's business.
        command = [os.path.join(ROOT, "build-fuzz", "tests", "fuzz", target), f"-max_total_time={FUZZ_SECONDS}", "-timeout=10",
                   "-rss_limit_mb=2048", "-print_final_stats=1", f"-artifact_prefix={found}/", "-detect_leaks=0", found]
        if os.path.isdir(corpus):
            command.append(corpus)
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")


def run_fuzz(count):
    clang = subprocess.run(["which", "clang"], stdout=subprocess.DEVNULL).returncode == 0
    if not clang:
        count.add("fuzz", "SKIP", "clang is not installed")
        return
    targets = sorted(f[:-2] for f in os.listdir(os.path.join(ROOT, "tests", "fuzz")) if re.fullmatch(r"fuzz-.*\.c", f))
    build("build-fuzz", "-Dfuzz=true", "-Db_sanitize=address,undefined", "-Db_lundef=false", "-Db_pie=false",
          env={"CC": "clang"}, targets=[f"tests/fuzz/{t}" for t in targets])
    with concurrent.futures.ThreadPoolExecutor(CORES) as pool:
        for target, done in zip(targets, pool.map(fuzz, targets)):
            runs = re.search(r"number_of_executed_units:\s*(\d+)", done.stdout)
            print(f"fuzz {target}: {runs.group(1) if runs else '?'} runs, status {done.returncode}", flush=True)
            if done.returncode != 0:
                print(done.stdout[-6000:])
            count.add(f"fuzz: {target}", "OK" if done.returncode == 0 else "FAIL")


def run_system(count):
    if os.geteuid() != 0:
        count.add("system", "SKIP", "booting systems needs root")
        return
    done = subprocess.run([sys.executable, os.path.join(ROOT, "tests", "system", "system.py")], stdout=subprocess.PIPE, text=True)
    print(done.stdout, flush=True)
    try:
        cases = json.loads(done.stdout.splitlines()[-1])["cases"]
    except (IndexError, ValueError, KeyError):
        count.add(f"system: no result, status {done.returncode}", "FAIL")
        return
    for suite, results in cases.items():
        for case, passed in results.items():
            count.add(f"system: {suite}: {case}", "OK" if passed else "FAIL")


def main():
    wanted = sys.argv[1:] or list(SUITES)
    unknown = [s for s in wanted if s not in SUITES]
    if unknown:
        print(f"run.py: no suite '{unknown[0]}'; there are: {' '.join(SUITES)}", file=sys.stderr)
        return 2
    count = Count()
    started = time.monotonic()
    plain = [s for s in ("lint", "unit", "integration", "prove") if s in wanted]
    steps = [("plain", lambda c: run_plain(c, plain))] if plain else []
    steps += [s for s in (("builds", run_builds), ("fuzz", run_fuzz), ("asan", run_asan), ("valgrind", run_valgrind),
                            ("system", run_system)) if s[0] in wanted]
    for name, run in steps:
        begun = time.monotonic()
        try:
            run(count)
        except subprocess.CalledProcessError as e:
            count.failed.append(f"{name}: {' '.join(e.cmd)} ended with status {e.returncode}")
        print(f"{name} took {time.monotonic() - begun:.0f} s", flush=True)
    for name in count.skipped:
        print(f"skipped: {name}")
    for name in count.failed:
        print(f"FAILED: {name}")
    print(f"took {time.monotonic() - started:.0f} s")
    print(f"{count.passed} passed, {len(count.failed)} failed" + (f", {len(count.skipped)} skipped" if count.skipped else ""))
    return 1 if count.failed else 0


if __name__ == "__main__":
    sys.exit(main())
