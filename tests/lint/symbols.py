#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""gatehouse-driver, gatehouse-registrar, gatehousectl and the plugins hold no code that could open the vault: nm is asked.

usage: symbols.py BUILD_DIR | --self-test
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

PROGRAMS = {"gatehouse-driver", "gatehouse-registrar", "gatehousectl"}
FORBIDDEN = re.compile(r"^vault_")
SKIPPED = 77


def built(build):
    for folder, folders, names in os.walk(build):
        folders[:] = [f for f in folders if f not in ("meson-private", "tests")]
        in_plugins = os.path.relpath(folder, build).split(os.sep)[0] == "plugins"
        for name in names:
            if name in PROGRAMS or (in_plugins and name.endswith(".so")):
                yield os.path.join(folder, name)


def symbols(path):
    text = subprocess.run(["nm", "--format=posix", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          check=True).stdout
    return [line.split(" ")[0] for line in text.splitlines()]


def check(build):
    problems, looked_at = [], 0
    for path in built(build):
        looked_at += 1
        problems.extend(f"{path}: holds {s}" for s in symbols(path) if FORBIDDEN.match(s))
    return problems, looked_at


def self_test():
    with tempfile.TemporaryDirectory() as build:
        os.makedirs(os.path.join(build, "agent", "gatehousectl"))
        source = os.path.join(build, "x.c")
        program = os.path.join(build, "agent", "gatehousectl", "gatehousectl")
        for body, expected in (("int main(void) { return 0; }", 0),
                               ("int vault_open(void) { return 1; }\nint main(void) { return vault_open(); }", 1)):
            with open(source, "w") as f:
                f.write(body)
            subprocess.run([os.environ.get("CC", "cc").split()[-1], "-O0", "-o", program, source], check=True)
            if len(check(build)[0]) != expected:
                print(f"self-test: expected {expected} found in: {body}")
                return 1
    print("self-test: a planted vault symbol is found")
    return 0


def main():
    if not shutil.which("nm"):
        print("nm is not installed")
        return SKIPPED
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    problems, looked_at = check(sys.argv[1])
    for problem in problems:
        print(problem)
    if looked_at == 0:
        print("nothing was built to look at")
        return SKIPPED
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
