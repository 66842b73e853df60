# SPDX-License-Identifier: LGPL-2.1-or-later
"""The holder's end of tests/tools/cut-layer.c: a page shared with the program that is to end at a chosen call.

    page = Page(bench.path("cut-page"))
    process = bench.spawn("x", argv, env=page.env())
    page.arm(page.file_calls(), left=3, after=False)
    process.wait()                  # ended by SIGKILL, before the third call on a file from now
    page.cut()                      # ("pwrite64", "before")
"""
import mmap
import os
import struct

import harness

SIZE = 4096
ARMED, CALLS, AFTER, LEFT, CUT, MADE = (8 * i for i in range(6))
NAMES, NAME_SIZE, NAME_COUNT = MADE + 8 * 32, 16, 32
DECIDING = NAMES + NAME_SIZE * NAME_COUNT
SENDS = ("send", "sendto", "sendmsg")


class Page:
    def __init__(self, path):
        self.path = path
        with open(path, "wb") as f:
            f.truncate(SIZE)
        with open(path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), SIZE)

    def env(self, journal=None):
        """For the program: with a journal, which is made if it is not there, what it does to files is recorded."""
        env = {"LD_PRELOAD": harness.program("tests/tools/libcut-layer.so"), "GATEHOUSE_CUT_PAGE": self.path,
               "ASAN_OPTIONS": "verify_asan_link_order=0:" + os.environ.get("ASAN_OPTIONS", "")}
        if journal:
            open(journal, "ab").close()
            env["GATEHOUSE_CUT_JOURNAL"] = journal
        return env

    def get(self, at):
        return struct.unpack_from("=Q", self.map, at)[0]

    def put(self, at, value):
        struct.pack_into("=Q", self.map, at, value)

    def names(self):
        """The kinds of calls in the layer's order; known once a program has begun under it."""
        raw = (self.map[NAMES + i * NAME_SIZE:NAMES + (i + 1) * NAME_SIZE] for i in range(NAME_COUNT))
        return [name.rstrip(b"\0").decode() for name in raw if name[0]]

    def file_calls(self):
        return [name for name in self.names() if name not in SENDS]

    def made(self):
        """How often each kind was called until now."""
        return {name: self.get(MADE + 8 * i) for i, name in enumerate(self.names())}

    def arm(self, kinds, left, after):
        """The program ends at the call of one of these kinds (None: all) that is number `left` from now."""
        self.disarm()
        names = self.names()
        bits = (1 << NAME_COUNT) - 1 if kinds is None else sum(1 << names.index(k) for k in kinds)
        self.put(CUT, 0)
        self.put(CALLS, bits)
        self.put(AFTER, int(after))
        self.put(LEFT, left)
        self.put(ARMED, 1)

    def hasten(self):
        """Armed already: the next call is it, whatever it is."""
        self.disarm()
        self.put(CALLS, (1 << NAME_COUNT) - 1)
        self.put(LEFT, 1)
        self.put(ARMED, 1)

    def armed(self):
        return self.get(ARMED) == 1

    def disarm(self):
        self.put(ARMED, 0)

    def settle(self, process):
        """Disarmed, and no call is under way any more that had seen it armed: the process has ended by one, or goes on."""
        self.disarm()
        harness.wait_for("the calls under way", lambda: self.get(DECIDING) == 0 or not process.alive())

    def cut(self):
        """(kind, "before" or "after") of the call at which the program ended; None if it was not the layer that ended it."""
        kind = self.get(CUT)
        return (self.names()[kind - 1], "after" if self.get(AFTER) else "before") if kind else None
