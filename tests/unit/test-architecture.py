#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""doc/architecture.md names functions that there are, and its picture of a key's life is the table's."""
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


def test_the_picture_is_the_tables():
    made = subprocess.run([sys.executable, ROOT / "tests/tools/rotation-picture.py", ROOT / "doc/man/rotation-table.txt"],
                          stdout=subprocess.PIPE, text=True, check=True).stdout
    assert made == (ROOT / "doc/life-of-a-key.svg").read_text(encoding="utf-8"), \
        "doc/life-of-a-key.svg is old: tests/tools/rotation-picture.py doc/man/rotation-table.txt > doc/life-of-a-key.svg"


if __name__ == "__main__":
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
            print("ok", name)
