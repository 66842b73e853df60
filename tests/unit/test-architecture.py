#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""doc/architecture.md names functions that there are, and its pictures are those of the tables and of the includes.

usage: test-architecture.py BUILD_DIR"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEXT = (ROOT / "doc" / "architecture.md").read_text(encoding="utf-8")


def defined():
    found = set()
    for folder in ("src", "agent"):
        for path in (ROOT / folder).rglob("*.c"):
            found |= set(re.findall(r"(?m)^[a-z][^;=\n]*?\b(\w+)\(", path.read_text(encoding="utf-8")))
    return found


def test_functions_are_there():
    named = re.findall(r"`(\w+)\(\)`", TEXT.split("## Three ways, by function")[1].split("\n## ")[0])
    assert len(named) > 20, named
    missing = [name for name in named if name not in defined()]
    assert not missing, f"doc/architecture.md names functions that are gone: {', '.join(missing)}"


def test_the_pictures_are_current():
    done = subprocess.run([sys.executable, ROOT / "tests/tools/pictures.py", sys.argv[1], "--check"], stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stdout


def test_the_pictures_are_shown():
    shown = TEXT + (ROOT / "README.md").read_text(encoding="utf-8")
    for name in ("rooms", "life-of-a-key", "phases-of-a-connection"):
        assert f"{name}.svg)" in shown, f"neither README.md nor doc/architecture.md shows doc/{name}.svg"


if __name__ == "__main__":
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
            print("ok", name)
