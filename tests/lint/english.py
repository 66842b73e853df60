#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""English of comments, as far as a machine can see it: a comment begins with a noun or a verb, and says "except".

Folders join the list when they have been revised.
"""
import re
import sys

import lint

REVISED = ("src/", "agent/gatehoused/", "agent/gatehouse-devcloud/", "agent/gatehouse-registrar/", "include/", "plugins/sim/")
COMMENT = re.compile(r"/\*.*?\*/", re.S)
FORBIDDEN = [
    (re.compile(r"^/\*\s*(?:What|Who|Whoever|Whatever)\b"), "begins with {!r}: begin with a noun or a verb"),
    (re.compile(r"\bbut for\b", re.IGNORECASE), "{!r}: write \"except\""),
]


def check(root):
    problems = []
    for path in lint.files(root, ".c", ".h"):
        if not path.startswith(REVISED):
            continue
        text = "\n".join(lint.lines(root, path))
        for comment in COMMENT.finditer(text):
            for pattern, reason in FORBIDDEN:
                match = pattern.search(re.sub(r"\n\s*\* ?", " ", comment.group(0)))
                if match:
                    number = text.count("\n", 0, comment.start()) + 1
                    problems.append(f"{path}:{number}: {reason.format(match.group(0).lstrip('/* '))}")
    return problems


CLEAN = [("src/base/a.c", "/* The keys as they are stored, except the last. */\nint x; /* what */\n"),
         ("plugins/other/b.c", "/* What nobody revised yet. */\n")]
PLANTED = [("src/base/b.c", "/* What is stored. */\n"), ("src/vault/c.h", "int x; /* Whoever asks */\n"),
           ("include/d.h", "/* All of it, but\n * for the last. */\n")]

if __name__ == "__main__":
    sys.exit(lint.main(check, CLEAN, PLANTED))
