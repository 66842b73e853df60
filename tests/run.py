#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs the suites and counts: the last line is `N passed, N failed`, with what was skipped, and why, above it.

usage: run.py [SUITE...]    lint unit integration prove builds fuzz asan valgrind system ble (all of them when none is named)
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
import traceback

from excerpt import telling

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FUZZ_SECONDS = int(os.environ.get("FUZZ_SECONDS", "5"))
CORES = os.cpu_count() or 1
# Tests of whole programs mostly wait: for servers, for deadlines, for lines that are cut. So more of them run than there are cores,
# and fewer where compilers and booted systems run beside them. What measures times is not parallel (tests/prove/meson.build).
WAITING = ["--num-processes", str(4 * CORES)]
WAITING_BESIDE = ["--num-processes", str(3 * CORES)]
MEMORY = "/dev/shm"
MEMORY_LEAST = 2 << 30  # free there, for what tests write
AT_ONCE = 3
SKIPPED = 77
SLOWEST = 10  # shown, so that what becomes slow is seen
AT_ONCE_LEAST = 6 << 30  # of the machine's memory, for steps beside one another
SAID_LAST = 20000  # characters of a step that ended badly, to look for the reason in
SANITIZERS = {"ASAN_OPTIONS": "detect_leaks=1:abort_on_error=1:detect_stack_use_after_return=1",
              "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"}
SUITES = ("lint", "unit", "integration", "prove", "builds", "fuzz", "asan", "valgrind", "system", "ble")


class Count:
    def __init__(self):
        self.passed, self.failed, self.skipped = 0, [], []
        self.took = []  # (seconds, test)
        self.why = {}  # of what failed: the lines that tell why

    def add_all(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.took += other.took
        self.why.update(other.why)

    def fail(self, name, output=""):
        """`output`: all that it wrote."""
        self.failed.append(name)
        self.why[name] = telling(output)

    def add(self, name, result, output=""):
        if result == "OK":
            self.passed += 1
        elif result == "SKIP":
            why = output.strip().splitlines()
            self.skipped.append(f"{name}{': ' + why[-1] if why else ''}")
        else:
            self.fail(name, output)


class Step:
    """One part of the run. Beside others it says what it has to say when it has ended."""

    def __init__(self, name, run, beside=False):
        self.name, self.run, self.count = name, run, Count()
        self.output = tempfile.TemporaryFile("w+", errors="replace") if beside else None  # None: as it comes

    def call(self, *command, env=None, check=False, quiet=False):
        done = subprocess.run(command, cwd=ROOT, env=dict(os.environ, **(env or {})), check=check,
                              stdout=subprocess.DEVNULL if quiet else self.output,
                              stderr=subprocess.STDOUT if self.output and not quiet else self.output)
        return done.returncode

    def say(self, text):
        print(text, file=self.output, flush=True)

    def __call__(self):
        begun = time.monotonic()
        try:
            self.run(self)
        except subprocess.CalledProcessError as e:
            self.count.fail(f"{self.name}: {' '.join(e.cmd)} ended with status {e.returncode}", self.said())
        except Exception as e:  # whatever it was, the other steps count
            self.count.fail(f"{self.name}: {e!r}", traceback.format_exc())
        self.say(f"{self.name} took {time.monotonic() - begun:.0f} s")
        return self

    def said(self):
        """The end of what it wrote, if that is kept."""
        if not self.output:
            return ""
        self.output.seek(max(0, self.output.seek(0, os.SEEK_END) - SAID_LAST))
        return self.output.read()

    def show(self):
        if self.output:
            self.output.seek(0)
            shutil.copyfileobj(self.output, sys.stdout)
            sys.stdout.flush()


def build(step, directory, *options, env=None, targets=()):
    if not os.path.exists(os.path.join(ROOT, directory, "build.ninja")):
        step.call("meson", "setup", directory, "-Dwerror=true", *options, env=env, check=True, quiet=True)
    # Beside others, compilers give way to tests: those have timeouts of their peers to keep.
    step.call(*(["nice", "-n", "19"] if step.output else []), "ninja", "--quiet", "-C", directory, *targets, env=env, check=True)


def scratch_directory():
    """Where tests write. Much of it is written durably: on a disk that others use too, that takes most of their time. The path is
    short, for the sake of sockets."""
    try:
        free = os.statvfs(MEMORY)
        parent = MEMORY if free.f_bavail * free.f_frsize >= MEMORY_LEAST else None
    except OSError:
        parent = None
    scratch = tempfile.TemporaryDirectory(prefix="gh-", dir=parent, ignore_cleanup_errors=True)
    os.chmod(scratch.name, 0o755)  # some tests are other users too
    return scratch


def meson_test(step, directory, label, *arguments, env=None):
    """Runs `meson test` and counts from its log of results, a JSON object a line."""
    logs, count = os.path.join(ROOT, directory, "meson-logs"), step.count
    before = {f for f in os.listdir(logs) if f.startswith("testlog")} if os.path.isdir(logs) else set()
    for log in before:
        os.unlink(os.path.join(logs, log))
    with scratch_directory() as scratch:
        status = step.call("meson", "test", "-C", directory, "--no-rebuild", "--print-errorlogs", *arguments,
                           env={"BUILD_DIR": os.path.join(ROOT, directory), "TMPDIR": scratch, **(env or {})})
    # with --wrapper the log's name holds the wrapper's
    results = [os.path.join(logs, f) for f in os.listdir(logs) if f.startswith("testlog") and f.endswith(".json")]
    seen, failed = 0, len(count.failed)
    for line in open(results[0], encoding="utf-8") if results else ():
        entry = json.loads(line)
        seen += 1
        output = "\n".join(filter(None, (entry.get("stderr"), entry.get("stdout"), "" if entry["result"] in ("OK", "SKIP", "FAIL") else
                                         f"meson: {entry['result']} after {entry.get('duration', 0):.0f} s")))
        count.add(f"{label}: {entry['name']}", {"OK": "OK", "SKIP": "SKIP"}.get(entry["result"], "FAIL"), output)
        count.took.append((entry.get("duration", 0), f"{label}: {entry['name']}"))
    if status != 0 and len(count.failed) == failed:
        count.fail(f"{label}: meson test ended with status {status}", step.said())
    if seen == 0:
        count.fail(f"{label}: no test ran", step.said())


def suites(names):
    return [argument for name in names for argument in ("--suite", name)]


def run_plain(step, wanted, *arguments):
    build(step, "build")
    meson_test(step, "build", "plain", *suites(wanted), *arguments)


def run_builds(step):
    """What packagers and others build: the warnings of other optimisers and of another compiler, and the units there."""
    for name, options, env in (("release", ["--buildtype=release"], {}), ("clang", [], {"CC": "clang"})):
        compiler = env.get("CC", "cc")
        if not shutil.which(compiler):
            step.count.add(f"builds: {name}", "SKIP", f"{compiler} is not installed")
            continue
        try:
            build(step, f"build-{name}", *options, env=env)
        except subprocess.CalledProcessError as e:
            step.count.add(f"builds: {name}: {' '.join(e.cmd)} ended with status {e.returncode}", "FAIL", step.said())
            continue
        step.count.add(f"builds: {name}", "OK")
        meson_test(step, f"build-{name}", name, *suites(["unit"]))


def run_asan(step):
    build(step, "build-asan", "-Db_sanitize=address,undefined", "-Db_lundef=false", "-Doptimization=1")
    meson_test(step, "build-asan", "asan", *suites(["unit", "integration"]), *WAITING_BESIDE, env=SANITIZERS)


def run_valgrind(step):
    if not shutil.which("valgrind"):
        step.count.add("valgrind", "SKIP", "valgrind is not installed")
        return
    build(step, "build-valgrind", "-Dzero_init=false")  # it is to see what was not set
    wrapper = (f"valgrind --quiet --error-exitcode=99 --suppressions={os.path.join(ROOT, 'tests', 'valgrind.supp')} --leak-check=full "
               "--errors-for-leak-kinds=definite --trace-children=no")
    meson_test(step, "build-valgrind", "valgrind", *suites(["unit"]), "--wrapper", wrapper)


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


def run_fuzz(step):
    if not shutil.which("clang"):
        step.count.add("fuzz", "SKIP", "clang is not installed")
        return
    targets = sorted(f[:-2] for f in os.listdir(os.path.join(ROOT, "tests", "fuzz")) if re.fullmatch(r"fuzz-.*\.c", f))
    build(step, "build-fuzz", "-Dfuzz=true", "-Db_sanitize=address,undefined", "-Db_lundef=false", "-Db_pie=false",
          env={"CC": "clang"}, targets=[f"tests/fuzz/{t}" for t in targets])
    with concurrent.futures.ThreadPoolExecutor(CORES) as pool:
        for target, done in zip(targets, pool.map(fuzz, targets)):
            runs = re.search(r"number_of_executed_units:\s*(\d+)", done.stdout)
            step.say(f"fuzz {target}: {runs.group(1) if runs else '?'} runs, status {done.returncode}")
            if done.returncode != 0:
                step.say(done.stdout[-6000:])
            step.count.add(f"fuzz: {target}", "OK" if done.returncode == 0 else "FAIL", done.stdout)


def reason_in(text, suite, case):
    """Of a case that failed, as system.py tells it: its line, and those below it that are indented further. `run`: of the suite."""
    of_suite = re.search(rf"^{suite}\n((?:  .*\n)*)", text, re.M)
    found = re.search(r"^  FAILED:.*\n" if case == "run" else rf"^  FAILED +\S+ s  {case}:.*\n(?:      .*\n)*", of_suite[1] if of_suite else "", re.M)
    return found[0] if found else text


def run_system(step):
    if os.geteuid() != 0:
        step.count.add("system", "SKIP", "booting systems needs root")
        return
    done = subprocess.run([sys.executable, os.path.join(ROOT, "tests", "system", "system.py")], stdout=subprocess.PIPE, text=True,
                          stderr=step.output)
    step.say(done.stdout)
    try:
        cases = json.loads(done.stdout.splitlines()[-1])["cases"]
    except (IndexError, ValueError, KeyError):
        step.count.add(f"system: no result, status {done.returncode}", "FAIL", done.stdout)
        return
    for suite, results in cases.items():
        for case, passed in results.items():
            step.count.add(f"system: {suite}: {case}", "OK" if passed else "FAIL", reason_in(done.stdout, suite, case))


def run_ble(step):
    build(step, "build")
    done = subprocess.run([sys.executable, os.path.join(ROOT, "tests", "ble", "run.py")], stdout=subprocess.PIPE, text=True,
                          stderr=step.output, errors="replace", env={**os.environ, "BUILD_DIR": os.path.join(ROOT, "build")})
    step.say(done.stdout)
    last = (done.stdout.splitlines() or [""])[-1]
    if done.returncode == SKIPPED:
        step.count.add("ble", "SKIP", last)
        return
    try:
        cases = json.loads(last)["cases"]
    except (ValueError, KeyError):
        step.count.add(f"ble: no result, status {done.returncode}", "FAIL")
        return
    for case, passed in cases.items():
        step.count.add(f"ble: {case}", "OK" if passed else "FAIL", "\n".join(done.stdout.splitlines()[-40:]))


def main():
    wanted = sys.argv[1:] or list(SUITES)
    unknown = [s for s in wanted if s not in SUITES]
    if unknown:
        print(f"run.py: no suite '{unknown[0]}'; there are: {' '.join(SUITES)}", file=sys.stderr)
        return 2
    count, started = Count(), time.monotonic()
    # Stages, the quick one first: who made a slip need not wait for the rest. Each says how long it took.
    for stage, members, arguments in (("quick", ("lint", "unit"), ["--num-processes", str(2 * CORES)]),
                                      ("whole programs", ("integration", "prove"), WAITING)):
        of_stage = [s for s in members if s in wanted]
        if of_stage:
            step = Step(f"{stage} ({', '.join(of_stage)})", lambda step, of=of_stage, more=arguments: run_plain(step, of, *more))
            count.add_all(step().count)
    # What follows measures no times: it may run side by side, for half of it waits.
    rest = [(name, run) for name, run in (("system", run_system), ("asan", run_asan), ("ble", run_ble), ("builds", run_builds),
                                         ("fuzz", run_fuzz), ("valgrind", run_valgrind))
            if name in wanted]
    at_once = AT_ONCE if os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >= AT_ONCE_LEAST else 1
    if rest:
        print(f"{', '.join(name for name, _ in rest)}: {at_once} at a time, each is shown when it has ended", flush=True)
        with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
            for done in concurrent.futures.as_completed([pool.submit(Step(name, run, beside=True)) for name, run in rest]):
                done.result().show()
                count.add_all(done.result().count)
    for seconds, name in sorted(count.took, reverse=True)[:SLOWEST]:
        print(f"slowest: {seconds:6.1f} s  {name}")
    for name in count.skipped:
        print(f"skipped: {name}")
    for name in count.failed:
        print(f"why: {name}")
        print("".join(f"    {line}\n" for line in count.why[name]), end="")
    for name in count.failed:
        print(f"FAILED: {name}")
    print(f"took {time.monotonic() - started:.0f} s")
    print(f"{count.passed} passed, {len(count.failed)} failed" + (f", {len(count.skipped)} skipped" if count.skipped else ""))
    return 1 if count.failed else 0


if __name__ == "__main__":
    sys.exit(main())
