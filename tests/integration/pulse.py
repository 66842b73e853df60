# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whether this process stood still, or one that it started waited for a processor. A peer that lives in it, or is one of these, has
answered late then, and the program under test was right to notice.

    unless_it_stood_still(2, lambda: check(scan(bench) == [1, 2], "both are found"))     # within two seconds each answers
"""
import os
import threading
import time

from waited import family, waited_by_thread
from waiting import Failure

BEAT = 0.02
BEATS_A_LOOK = 10
TRIES = 10


class Pulse:
    """Within the block: the longest pause of this process, and how long the threads of its own and of all that it started waited for a
    processor, together; in seconds."""

    def __enter__(self):
        self.longest, self.waited, self.ended = 0.0, 0.0, threading.Event()
        self.before = waited_by_thread(family(os.getpid()))
        self.latest = {}
        self.last = time.monotonic()
        self.thread = threading.Thread(target=self.beat, daemon=True)
        self.thread.start()
        return self

    def beat(self):
        beats = 0
        while not self.ended.wait(BEAT):
            self.note()
            beats += 1
            if beats % BEATS_A_LOOK == 0:
                self.look()

    def note(self):
        now = time.monotonic()
        self.longest, self.last = max(self.longest, now - self.last), now

    def look(self):
        """What has ended since the last look keeps what it had waited by then."""
        self.latest.update(waited_by_thread(family(os.getpid())))
        self.waited = sum(ms - self.before.get(thread, 0) for thread, ms in self.latest.items()) / 1000

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()
        self.note()
        self.look()

    def held_up(self):
        """By so much something may have come too late."""
        return max(self.longest, self.waited)


def unless_it_stood_still(seconds, attempt):
    """What attempt() gives. It is made again if it failed while this process did not run for so long, or while those that it started
    waited so long for a processor."""
    for _ in range(TRIES):
        with Pulse() as pulse:
            try:
                return attempt()
            except Failure as e:
                failure = e
        if pulse.held_up() < seconds:
            raise failure
        print(f"  again: nothing ran here for {pulse.longest:.1f} s, a processor was waited for {pulse.waited:.1f} s: {failure}")
    raise failure
