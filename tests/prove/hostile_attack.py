# SPDX-License-Identifier: LGPL-2.1-or-later
"""Attackers as processes: each role is a child of its own with a user of its own, and counts what it did.

    attack = Attack("caller", [Role("walk", walk_unread, uid, address)])
    attack.start(); ...; counts = attack.stop()

A role is a function of (counts, *arguments) that works until it is ended. `counts` is a Counts: numbers that outlive the role. It gives
up root before it begins, and forever.
"""
import ctypes
import multiprocessing
import os
import random
import signal
import sys
import time
import traceback

COUNTERS = 32
# systemd gives all that a user starts as much of the processor as all services together: a dozen attackers at this level get about that.
NICE = 10
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)
FORK = multiprocessing.get_context("fork")


class Counts:
    """Named numbers in memory that parent and child share."""

    def __init__(self):
        self.values = FORK.RawArray(ctypes.c_uint64, COUNTERS)
        self.names = FORK.RawArray(ctypes.c_char, COUNTERS * 32)
        self.index = {}

    def add(self, name, n=1):
        i = self.index.get(name)
        if i is None:
            i = self.index[name] = len(self.index)
            self.names[32 * i:32 * i + 32] = name.encode()[:31].ljust(32, b"\0")
        self.values[i] += n

    def read(self):
        names = [bytes(self.names[32 * i:32 * i + 32]).rstrip(b"\0").decode() for i in range(COUNTERS)]
        return {name: self.values[i] for i, name in enumerate(names) if name}


class Role:
    def __init__(self, name, function, uid, *arguments, needs_root=False):
        self.name, self.function, self.uid, self.arguments, self.needs_root = name, function, uid, arguments, needs_root
        self.counts, self.process = Counts(), None

    def start(self):
        self.process = FORK.Process(target=self.run, daemon=True)
        self.process.start()

    def run(self):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        random.seed()
        os.nice(NICE)
        try:
            if self.uid is not None and not self.needs_root:
                os.setgroups([])
                os.setresgid(self.uid, self.uid, self.uid)
                os.setresuid(self.uid, self.uid, self.uid)
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # after the change of user, which would clear it
            self.function(self.counts, *self.arguments)
            self.counts.add("ended")
        except BaseException:  # whatever it is, the report names the role
            self.counts.add("broken")
            traceback.print_exc(file=sys.stderr)
            sys.stderr.flush()
        os._exit(0)

    def stop(self):
        if self.process.is_alive():
            self.process.terminate()
        self.process.join(5)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        return self.counts.read()


class Attack:
    """Roles side by side."""

    def __init__(self, name, roles):
        self.name, self.roles = name, roles

    def start(self):
        for role in self.roles:
            role.start()

    def during(self):
        """What must work while it goes on, beside all that is measured: what did not."""
        return []

    def stop(self):
        return {role.name: role.stop() for role in self.roles}


def broken(did):
    """Roles that fell over themselves: then nothing is proved."""
    return [f"the attacker {name} broke" for name, counts in did.items() if isinstance(counts, dict) and counts.get("broken")]


def again(counts, act, *expected, pause=0.0):
    """act() for ever; what fails as `expected` is counted and begun anew."""
    while True:
        try:
            act()
        except expected as e:
            counts.add("cut_off" if isinstance(e, OSError) else type(e).__name__)
            time.sleep(max(pause, 0.001))
