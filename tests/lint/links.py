#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Check that the unit tests of a room link that room and those below it, and nothing above.

usage: links.py BUILD_DIR | --self-test

What a room may use is said in includes.py; what a test links is read from build.ninja. Each room has a program `room-NAME` beside
the tests, which has the whole room in it: it links only if those below have all that the room calls.
"""
import os
import re
import sys

import includes
import lint

BUILD = re.compile(r"^build tests/unit/(test|room)-(\w+)(\S*): c_LINKER (.*)$", re.M)
LIBRARY = re.compile(r"\b(src|agent|plugins)/([\w-]+)/lib[\w-]+\.a")
# The program that shares its name with a room, and its tests too.
PROGRAMS = {"registrar": "gatehouse-registrar"}


def below(room):
    """All that a room may use, also by way of others."""
    found, todo = set(), [room]
    while todo:
        for target in includes.ALLOWED[todo.pop()] - found:
            found.add(target)
            todo.append(target)
    return found


def judge(kind, room, rest, inputs):
    libraries = set(LIBRARY.findall(inputs))
    name = f"tests/unit/{kind}-{room}{rest}"
    for top, folder in sorted(libraries):
        if top == "src" and (folder == room or folder in below(room)):
            continue
        if top == "agent" and PROGRAMS.get(room) == folder:
            continue
        yield f"build.ninja: {name} links {top}/{folder}; {room} may use {', '.join(sorted(below(room))) or 'nothing of ours'}"
    if kind == "room" and ("src", room) not in libraries:
        yield f"build.ninja: {name} does not link src/{room}"


def check(build):
    problems, alone, tested = [], set(), set()
    with open(os.path.join(build, "build.ninja"), encoding="utf-8") as f:
        text = f.read()
    for kind, room, rest, inputs in BUILD.findall(text):
        if room not in includes.ALLOWED:
            continue
        (alone if kind == "room" else tested).add(room)
        problems += judge(kind, room, rest, inputs)
    for room in sorted(includes.ALLOWED):
        if room not in alone:
            problems.append(f"build.ninja: room {room} is linked by no room-{room}: add it to `rooms` of tests/unit/meson.build")
        if room not in tested:
            problems.append(f"build.ninja: room {room} has no unit test tests/unit/test-{room}-MODULE.c")
    return problems


def tree(changed=(), without=()):
    """A build.ninja in which each room has a test and a program of its own."""
    lines = []
    for room in sorted(includes.ALLOWED):
        libraries = " ".join(f"src/{r}/lib{r}.a" for r in sorted({room} | below(room)))
        for name in (f"test-{room}-x", f"room-{room}"):
            if name not in without:
                lines.append(f"build tests/unit/{name}: c_LINKER {name}.c.o | {libraries}{dict(changed).get(name, '')}")
    return "\n".join(lines + ["build tests/unit/test-ctl-x: c_LINKER x.c.o | agent/gatehousectl/libctl.a", ""])


CLEAN = [("build.ninja", tree({"test-registrar-x": " agent/gatehouse-registrar/libregistrar-pure.a"}.items()))]
PLANTED = [
    ("build.ninja", tree({"test-vault-x": " src/uplink/libuplink.a"}.items())),
    ("build.ninja", tree({"test-doctor-x": " src/bus/libbus.a"}.items())),
    ("build.ninja", tree({"test-link-x": " agent/gatehouse-driver/libdriver.a"}.items())),
    ("build.ninja", tree({"room-base": " src/coap/libcoap.a"}.items())),
    ("build.ninja", tree(without={"room-spool"})),
    ("build.ninja", tree(without={"test-payload-x"})),
]

if __name__ == "__main__":
    sys.exit(lint.main(check, CLEAN, PLANTED))
