#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Words that do not belong into a finished source: notes to oneself, and references to where the work was planned.

A note with a place of its own (an upstream report as `project#123`) is fine.
"""
import re
import sys

import lint

TEXTS = (".c", ".h", ".py", ".sh", ".md", ".build", ".txt", ".json", ".xml", ".service", ".socket", ".rules", ".conf", ".yml",
         ".supp", ".in", ".catalog", ".postinst", ".install", ".docs")
NAMES = ("dev", "run", "control", "rules", "changelog", "in-root")
SELF = "tests/lint/words.py"
FORBIDDEN = [
    (re.compile(r"\b(?:TODO|FIXME|XXX)\b"), "a note to oneself"),
    (re.compile(r"(?<!0 )\bfor now\b", re.IGNORECASE), "either it is right, or it is not done"),
    (re.compile(r"\b[Ii]ssues?\s+(?:#\s*)?\d"), "the tracker's numbers mean nothing here"),
    (re.compile(r"(?<![\w#])#\d{1,4}\b(?!\w)(?!.*[{;])"), "the tracker's numbers mean nothing here"),
    (re.compile(r"\b(?:DESIGN|FACTS|STYLE)(?:\.md\b|\s+\d)"), "a page that is not in the tree"),
    (re.compile(r"(?<![\w/.$-])shared/"), "a place that is not in the tree"),
]


def wanted(path):
    return path != SELF and (path.endswith(TEXTS) or path.split("/")[-1] in NAMES)


def check(root):
    problems = []
    for path in filter(wanted, lint.files(root)):
        for number, line in enumerate(lint.lines(root, path), 1):
            for pattern, reason in FORBIDDEN:
                match = pattern.search(line)
                if match:
                    problems.append(f"{path}:{number}: \"{match.group(0)}\": {reason}")
    return problems


CLEAN = [("a.c", "/* mosquitto#2594: loops; see HACKING.md. An issue of 5 copies. */\n#define X 1\n"),
         ("b.md", "a library shared by two, DESIGNED well\n"), ("c.py", "color = '#123456'\n"), ("run", 'ls "$shared/x"\n')]
PLANTED = [("a1.c", "/* TODO: more */\n"), ("a2.h", "/* good enough for now */\n"), ("a3.md", "see issue 12\n"),
           ("a4.py", "# as #12 says\n"), ("a5.c", "/* DESIGN 4 */\n"), ("a6.md", "[page](DESIGN.md)\n"),
           ("a7.md", "in shared/facts\n"), ("dev", "# XXX\n"),
           ("a.service.in", "# as in issue 3\n"), ("b.catalog", "FIXME\n"), ("b.postinst", "# TODO\n"), ("b.install", "# XXX\n"),
           ("b.docs", "shared/page.md\n"), ("system/in-root", "# see DESIGN.md\n")]

if __name__ == "__main__":
    sys.exit(lint.main(check, CLEAN, PLANTED))
