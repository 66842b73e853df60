#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Commit messages: `area: imperative` in at most 72 characters, an empty line, and a body that says why.

usage: commits.py ROOT | --self-test

Checked are the commits since this file was added; merges are not. Skipped where there is no git, or no history.
"""
import re
import subprocess
import sys

SKIPPED = 77
SUBJECT, LINE = 72, 100
SELF = "tests/lint/commits.py"
AREA = re.compile(r"^[A-Za-z0-9][\w./@, +-]*: \S")
# The first word after the area, where it is a verb in another form: `adds`, `added`, `adding`.
NO_IMPERATIVE = re.compile(r"^[^:]+: (?:\w+(?:ed|ing)|adds|fixes|makes|removes|changes|uses)\b", re.IGNORECASE)
IMPERATIVES = {"embed", "feed", "need", "speed", "shed", "seed", "bring", "ring", "ping", "string", "king"}
TRAILER = re.compile(r"^[\w-]+(?:-by|-on): ", re.IGNORECASE)


def problems_of(message):
    lines = message.rstrip("\n").split("\n")
    subject, body = lines[0], [line for line in lines[2:] if line.strip() and not TRAILER.match(line)]
    if len(subject) > SUBJECT:
        yield f"the subject has {len(subject)} characters, at most {SUBJECT}"
    if not AREA.match(subject):
        yield "the subject is not `area: imperative`"
    elif NO_IMPERATIVE.match(subject) and subject.split(": ", 1)[1].split(" ")[0].lower() not in IMPERATIVES:
        yield "the subject's verb is no imperative"
    if subject.endswith("."):
        yield "the subject ends with a full stop"
    if len(lines) > 1 and lines[1].strip():
        yield "the second line is not empty"
    if not body:
        yield "there is no body: say why"
    if any(len(line) > LINE and " " in line.strip() for line in body):
        yield f"a line of the body has over {LINE} characters"


def git(root, *arguments):
    return subprocess.run(["git", "-C", root, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                          errors="replace", check=True).stdout


def check(root):
    added = git(root, "log", "--diff-filter=A", "--format=%H", "--", SELF).split()
    found = []
    for commit in git(root, "rev-list", "--no-merges", f"{added[-1]}..HEAD").split() if added else ():
        message = git(root, "log", "-1", "--format=%B", commit)
        found.extend(f"{commit[:10]} {message.splitlines()[0]}: {problem}" for problem in problems_of(message))
    return found


BODY = "\n\nBecause a reader wants the reason.\n"
CLEAN = ["spool: take the lock once" + BODY, "bus, link: refuse what is too long" + BODY, "tests: feed the dog" + BODY,
         "vault.c: say why" + BODY + "\nSigned-off-by: A <a@b.c>\n", "dev: ping often" + BODY]
PLANTED = ["take the lock once" + BODY, "spool: " + "x" * 80 + BODY, "spool: take the lock once\n", "spool: makes it short" + BODY,
           "spool: take it." + BODY, "spool: take it\nat once" + BODY, "spool: added it" + BODY, "spool: take it\n\nSigned-off-by: A <a@b.c>\n",
           "spool: take it\n\n" + "word " * 30 + "\n"]

if __name__ == "__main__":
    if sys.argv[1:] == ["--self-test"]:
        wrong = [m for m in CLEAN if list(problems_of(m))] + [m for m in PLANTED if not list(problems_of(m))]
        print("\n".join(f"self-test: judged wrongly: {m!r}" for m in wrong) or f"self-test: {len(PLANTED)} planted, 0 mistakes")
        sys.exit(1 if wrong else 0)
    try:
        complaints = check(sys.argv[1])
    except (OSError, subprocess.CalledProcessError):
        print("no git, or no history here")
        sys.exit(SKIPPED)
    print("\n".join(complaints))
    sys.exit(1 if complaints else 0)
