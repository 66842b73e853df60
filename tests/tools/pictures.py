#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The pictures of the documentation that are drawn from the source: the rooms, the life of a key, the phases of a connection.

usage: pictures.py BUILD_DIR [--check]

Draws them into doc/; with --check they are compared with what is there, and status 1 says that one is old."""
import os
import subprocess
import sys

import map as rooms

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def run(*command, given=None):
    return subprocess.run(command, input=given, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT).stdout


def tool(name, *arguments, given=None):
    return run(sys.executable, os.path.join("tests", "tools", name), *arguments, given=given)


def pictures(build):
    table = run(os.path.join(os.path.abspath(build), "tests", "tools", "connection-table"))
    return {
        "rooms.svg": rooms.Map().svg(counts=False),
        "life-of-a-key.svg": tool("rotation-picture.py", os.path.join("doc", "man", "rotation-table.txt")),
        "phases-of-a-connection.svg": tool("connection-picture.py", given=table),
    }


def main():
    check, old = "--check" in sys.argv[2:], []
    if len(sys.argv) < 2 or set(sys.argv[2:]) - {"--check"}:
        print(__doc__.split("\n\n")[1], file=sys.stderr)
        return 2
    for name, text in pictures(sys.argv[1]).items():
        path = os.path.join(ROOT, "doc", name)
        before = None
        if os.path.exists(path):
            with open(path, encoding="utf-8") as f:
                before = f.read()
        if text == before:
            continue
        old.append(name)
        if not check:
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
            print(f"doc/{name}")
    if check and old:
        print(f"old: {', '.join('doc/' + name for name in old)}; `./dev pictures` draws them anew")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
