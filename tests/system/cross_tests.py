#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The unit tests, the seeds of the fuzz targets and the demo, built for another processor and run under qemu-user: inside a root
of cross.py, from the top of the tree.

usage: cross_tests.py [ARCH]        without ARCH: of the processor itself

The last line is JSON: what passed and what failed of each, the demo's own last line, and what a thousand children take in memory
(tests/bench/memory.py).
"""
import json
import os
import re
import subprocess
import sys

import cross

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = "/t/tests"
DEMO_SECONDS = "20"
CROSS_FILE = """[binaries]
c = '{tools}-gcc'
ar = '{tools}-gcc-ar'
strip = '{tools}-strip'
objcopy = '{tools}-objcopy'
pkgconfig = '{tools}-pkg-config'
pkg-config = '{tools}-pkg-config'
exe_wrapper = '{qemu}'
[host_machine]
system = 'linux'
cpu_family = '{family}'
cpu = '{cpu}'
endian = 'little'
"""


def configure(arch):
    options = ["-Dseeds=true", "-Dwerror=true"]
    if arch:
        tools, qemu, family, cpu = cross.ARCHITECTURES[arch]
        with open("/t/cross.ini", "w", encoding="utf-8") as f:
            f.write(CROSS_FILE.format(tools=tools, qemu=qemu, family=family, cpu=cpu))
        options += ["--cross-file", "/t/cross.ini"]
    subprocess.run(["meson", "setup", BUILD, *options], check=True, stdout=sys.stderr)
    subprocess.run(["ninja", "--quiet", "-k", "0", "-C", BUILD], check=True, stdout=sys.stderr)


def run(wrap, suite):
    """(names that passed, that failed, that were skipped) of a suite; what failed is told on standard error."""
    done = subprocess.run([*wrap, "meson", "test", "-C", BUILD, "--no-rebuild", "--print-errorlogs", "--suite", suite,
                           "--timeout-multiplier", "4"], stdout=subprocess.PIPE, text=True)
    print(done.stdout, file=sys.stderr)
    found = re.findall(r"^ *\d+/\d+ (?:\S+ / )?(\S+) +(OK|FAIL|TIMEOUT|ERROR|SKIP|EXPECTEDFAIL)\b", done.stdout, re.MULTILINE)
    return tuple([name for name, result in found if result in results]
                 for results in (("OK",), ("FAIL", "TIMEOUT", "ERROR"), ("SKIP",)))


def demo(wrap):
    done = subprocess.run([*wrap, "python3", "tests/demo/demo.py", "--for", DEMO_SECONDS], stdout=subprocess.PIPE, text=True,
                          env={**os.environ, "BUILD_DIR": BUILD, "GATEHOUSE_BUILD": BUILD})
    print(done.stdout, file=sys.stderr)
    return done.returncode, (done.stdout.splitlines() or [""])[-1]


def memory(wrap):
    done = subprocess.run([*wrap, "python3", "tests/bench/memory.py"], stdout=subprocess.PIPE, text=True,
                          env={**os.environ, "GATEHOUSE_BUILD": BUILD})
    print(done.stdout, file=sys.stderr)
    lines = done.stdout.splitlines()
    return done.returncode, json.loads(lines[-1]) if lines else {}


def main():
    arch = sys.argv[1] if len(sys.argv) > 1 else None
    configure(arch)
    wrap = [sys.executable, os.path.join(HERE, "foreign.py"), cross.ARCHITECTURES[arch][1]] if arch else []
    said = {"failed": []}
    for suite in ("unit", "seeds"):
        passed, failed, skipped = run(wrap, suite)
        said[suite] = {"passed": len(passed), "failed": failed, "skipped": skipped}
        said["failed"] += failed if passed or failed else [f"no test of suite {suite} ran"]
    status, last = demo(wrap)
    said["demo"] = last
    said["failed"] += ["demo"] if status != 0 else []
    status, said["memory"] = memory(wrap)
    said["failed"] += ["memory"] if status != 0 else []
    print(json.dumps(said))
    return 1 if said["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
