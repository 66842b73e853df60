#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Each message id is one, is used, and is explained in the journal's catalogue; and nothing else is in there."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def main():
    defined = re.findall(r'^#define (MESSAGE_\w+) "(.*)"', (ROOT / "src/base/messages.h").read_text(), re.MULTILINE)
    catalog = (ROOT / "systemd/gatehouse.catalog").read_text()
    explained = re.findall(r"^-- (\S+)$", catalog, re.MULTILINE)
    ids = [i for _, i in defined]
    problems = [f"{name}: {i} is no 128-bit id" for name, i in defined if not re.fullmatch("[0-9a-f]{32}", i)]
    problems += [f"{i} stands twice" for i in set(ids) if ids.count(i) > 1]
    problems += [f"{name} is not explained" for name, i in defined if i not in explained]
    problems += [f"{i} is explained, and no message" for i in explained if i not in ids]
    problems += [f"{i} is explained twice" for i in set(explained) if explained.count(i) > 1]
    sources = "".join(p.read_text() for d in ("src", "agent") for p in (ROOT / d).rglob("*.c"))
    problems += [f"{name} is never sent" for name, _ in defined if name not in sources]
    for entry in catalog.split("\n-- ")[1:]:
        head, _, text = entry.partition("\n\n")
        fields = [line.split(":")[0] for line in head.splitlines()[1:]]
        if fields[:1] != ["Subject"] or "Defined-By" not in fields or not text.strip():
            problems.append(f"{entry[:32]}: no subject, or no text")
    print("\n".join(problems) or f"{len(defined)} messages")
    return 1 if problems or not defined else 0


if __name__ == "__main__":
    sys.exit(main())
