#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Lines that the unit tests run, by room. A whole program's test proves little about a room: it does not say which part broke.

usage: coverage.py [--least PERCENT] [--missed ROOM]

Builds into build-coverage/, runs the suite `unit` there and asks gcovr. --missed ROOM lists the files of a room with the lines that
no unit test reaches. The last line is JSON; status 0 only if the tests passed and each room of src/ has --least percent (85).
"""
import argparse
import collections
import json
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, "build-coverage")


def call(*command, **more):
    return subprocess.run(command, cwd=ROOT, **more)


def measure():
    """gcovr's summary, and whether the tests passed."""
    if not os.path.exists(os.path.join(BUILD, "build.ninja")):
        call("meson", "setup", BUILD, "-Db_coverage=true", "-Doptimization=0", check=True, stdout=subprocess.DEVNULL)
    call("ninja", "--quiet", "-C", BUILD, check=True)
    for folder, _, names in os.walk(BUILD):  # what an earlier run counted
        for name in names:
            if name.endswith(".gcda"):
                os.unlink(os.path.join(folder, name))
    passed = call("meson", "test", "-C", BUILD, "--no-rebuild", "--suite", "unit", stdout=subprocess.DEVNULL).returncode == 0
    done = call("gcovr", "--root", ROOT, "--filter", "src/", "--filter", "agent/", "--filter", "plugins/", "--json", "-", BUILD,
                "--gcov-ignore-parse-errors", stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout), passed


def ranges(numbers):
    """1, 2, 3, 7 as 1-3, 7."""
    spans = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in spans)


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n")[0])
    parser.add_argument("--least", type=float, default=85, help="percent of the lines of each room of src/")
    parser.add_argument("--missed", default="", help="list what is not reached in this room")
    options = parser.parse_args()
    summary, passed = measure()
    reached, all_lines = collections.Counter(), collections.Counter()
    for entry in summary["files"]:
        room = "/".join(entry["file"].split("/")[:2])
        code = [line for line in entry["lines"] if not line.get("gcovr/noncode")]
        missed = [line["line_number"] for line in code if line["count"] == 0]
        all_lines[room] += len(code)
        reached[room] += len(code) - len(missed)
        if missed and options.missed in (room, room.split("/")[1]):
            print(f"{entry['file']}: {len(missed)} of {len(code)}: {ranges(missed)}")
    percent = {room: round(100 * reached[room] / all_lines[room], 1) for room in sorted(all_lines) if all_lines[room]}
    for room, value in percent.items():
        print(f"{room:28}{all_lines[room]:7} lines {value:6.1f} %")
    below = [room for room, value in percent.items() if room.startswith("src/") and value < options.least]
    print(json.dumps({"rooms": percent, "below": below, "tests_passed": passed}))
    return 0 if passed and not below else 1


if __name__ == "__main__":
    sys.exit(main())
