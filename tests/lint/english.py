#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""English of comments and of texts for users, as far as a machine can see it: a comment or sentence begins with a noun or a verb, and says
"except".

Folders and pages join the lists when they have been revised.
"""
import re
import sys

import lint

REVISED = ("src/", "agent/gatehoused/", "agent/gatehouse-devcloud/", "agent/gatehouse-registrar/", "agent/gatehousectl/", "agent/gatehouse-driver/", "include/", "plugins/")
PAGES = ("README.md", "NEWS.md", "CONTRIBUTING.md", "doc/commands.md", "doc/getting-started.md", "doc/monitoring.md", "doc/provisioning.md", "doc/trouble.md",
         "systemd/gatehouse.catalog")
TEXTS = (".md", ".xml", ".catalog")
SENTENCE = (re.compile(r"(?:^|(?<=[.!?] )|(?<=<!-- ))(?:What|Who|Whoever|Whatever)\b(?! is wrong\b)[^?]*?(?=[.:;]|$)"), "begins with {!r}: begin with a noun or a verb")
COMMENT = re.compile(r"/\*.*?\*/", re.S)
FORBIDDEN = [
    (re.compile(r"^/\*\s*(?:What|Who|Whoever|Whatever)\b"), "begins with {!r}: begin with a noun or a verb"),
    (re.compile(r"\bbut for\b", re.IGNORECASE), "{!r}: write \"except\""),
]


def check_texts(root):
    for path in lint.files(root, *TEXTS):
        if path.startswith("tests/"):
            continue
        patterns = [FORBIDDEN[1], *([SENTENCE] if path in PAGES or path.endswith(".xml") else [])]
        for number, line in enumerate(lint.lines(root, path), 1):
            for pattern, reason in patterns:
                match = pattern.search(line.strip())
                if match and not line.startswith(("    ", "#")):
                    yield f"{path}:{number}: {reason.format(match.group(0)[:40])}"
                elif match and path.endswith(".xml"):
                    yield f"{path}:{number}: {reason.format(match.group(0)[:40])}"


def check(root):
    problems = list(check_texts(root))
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
         ("tests/other/b.c", "/* What nobody revised yet. */\n"), ("doc/other.md", "What nobody revised yet.\n"),
         ("doc/commands.md", "It says what is stored. Ask: who?\n\n    What a command prints.\n")]
PLANTED = [("src/base/b.c", "/* What is stored. */\n"), ("agent/gatehousectl/b.c", "/* What is shown. */\n"),
           ("plugins/ble/b.h", "/* What a sensor says. */\n"), ("agent/gatehouse-driver/b.c", "/* All but for one. */\n"), ("src/vault/c.h", "int x; /* Whoever asks */\n"),
           ("include/d.h", "/* All of it, but\n * for the last. */\n"),
           ("doc/other.md", "All of it but for the last.\n"), ("README.md", "It is done. What is stored goes.\n"),
           ("systemd/gatehouse.catalog", "Whoever has it has all.\n"), ("src/bus/a.xml", "    <!-- What was counted. -->\n")]

if __name__ == "__main__":
    sys.exit(lint.main(check, CLEAN, PLANTED))
