# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whether this process stood still. A peer that lives in it has answered late then, and the program under test was right to notice.

    unless_it_stood_still(2, lambda: check(scan(bench) == [1, 2], "both are found"))     # within two seconds each answers
"""
import threading
import time

from waiting import Failure

BEAT = 0.02
TRIES = 10


class Pulse:
    """The longest pause of this process, in seconds, within the block."""

    def __enter__(self):
        self.longest, self.ended = 0.0, threading.Event()
        self.last = time.monotonic()
        self.thread = threading.Thread(target=self.beat, daemon=True)
        self.thread.start()
        return self

    def beat(self):
        while not self.ended.wait(BEAT):
            self.note()

    def note(self):
        now = time.monotonic()
        self.longest, self.last = max(self.longest, now - self.last), now

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()
        self.note()


def unless_it_stood_still(seconds, attempt):
    """What attempt() gives. It is made again if it failed while this process did not run for so long."""
    for _ in range(TRIES):
        with Pulse() as pulse:
            try:
                return attempt()
            except Failure as e:
                failure = e
        if pulse.longest < seconds:
            raise failure
        print(f"  again: nothing ran here for {pulse.longest:.1f} s")
    raise failure
