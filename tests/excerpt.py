# SPDX-License-Identifier: LGPL-2.1-or-later
"""The few lines of a failed test's output that tell why it failed, for where only the end of a long log is kept."""
import re

LINES = 15
LONGEST = 400  # characters of a line
# What our tests, unittest, cmocka, Python, the sanitizers, valgrind, meson and compilers write of a failure.
TELLING = re.compile("|".join((
    r"FAILED", r"WRONG", r"FAIL:", r"\[ +ERROR +\]", r"ERROR:", r"\berror:", r"^SUMMARY:", r"not within", r"TIMEOUT", r"[Tt]imed out",
    r"^Traceback", r"^[A-Za-z_][\w.]*(Error|Exception|Failure|Failed)\b", r"Assertion", r"[Ss]egmentation fault", r"core dumped",
    r"^==\d+== +(Invalid|Conditional|Use of|definitely|Syscall)")))


def short(line):
    return line if len(line) <= LONGEST else line[:LONGEST] + " …"


def telling(text, lines=LINES):
    """At most that many of its lines, in their order: those that tell of a failure, the first ones first, and else the last."""
    said = [line.rstrip() for line in text.splitlines()]
    said = [line for line in said if line]
    chosen = {i for i, line in enumerate(said) if TELLING.search(line)}
    chosen = set(sorted(chosen)[:lines])
    for i in range(len(said) - 1, -1, -1):
        if len(chosen) >= lines:
            break
        chosen.add(i)
    return [short(said[i]) for i in sorted(chosen)]
