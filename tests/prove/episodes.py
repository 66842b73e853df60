# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs episodes of cuts (cuts.py), several at once, counts what came of them, and says so in one line of JSON."""
import argparse
import collections
import json
import multiprocessing
import queue
import random
import signal
import sys
import time
import traceback

import dbus_client
from harness import Failure, check

COUNTS = ("lock_outs", "lost_keys", "registered_twice", "other_violations")
STATES = ("staged", "offered", "probing", "swapped", "retiring", "abandoning")
ALL_STATES_FROM, ALL_CALLS_FROM = 20, 1000  # cuts, from which on none may be without one
EPISODES_MORE = 4  # for a state that is still without a cut
CUTS_PER_EPISODE = 10
EPISODES_AT_ONCE = 4
VIOLATIONS_ENOUGH = 20


def say(text):
    print(text, flush=True)


class Tally:
    def __init__(self, states=STATES, counts=COUNTS):
        self.states = dict.fromkeys(states, 0)
        self.calls, self.made = {}, {}  # cuts at each kind of call, and how often it was called
        self.cuts, self.episodes, self.violations, self.online_seconds = 0, 0, [], []
        self.counts = collections.Counter(dict.fromkeys(counts, 0))

    def count(self, seen):
        for state in seen & set(self.states):
            self.states[state] += 1

    def add(self, other):
        for name in ("cuts", "episodes", "violations", "online_seconds"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.counts.update(other.counts)
        for state, n in other.states.items():
            self.states[state] += n
        for call, n in other.made.items():
            self.made[call] = self.made.get(call, 0) + n
        for call, sides in other.calls.items():
            own = self.calls.setdefault(call, {"before": 0, "after": 0})
            for side, n in sides.items():
                own[side] += n

    def missing(self, cuts):
        """States and calls that should have had a cut."""
        states = [state for state, n in self.states.items() if n == 0 and cuts >= ALL_STATES_FROM]
        return states, [call for call, n in self.made.items() if n > 0 and call not in self.calls and cuts >= ALL_CALLS_FROM]


def run_episode(episode, cuts, keep):
    started = time.monotonic()
    try:
        episode.tally.cuts = episode.run(cuts)
    except Exception as e:  # whatever it was: it counts, and the other episodes go on
        if not isinstance(e, (Failure, dbus_client.Error)):
            traceback.print_exc(file=sys.stdout)
        episode.violation(f"{type(e).__name__}: {e}")
        episode.tally.cuts = max(episode.cut, 1)
    finally:
        if episode.violated:
            episode.bench.tails()
        if episode.violated and keep:
            episode.bench.close()
            say(f"kept: {episode.bench.dir}")
        else:
            episode.bench.remove()
    episode.tally.episodes = 1
    say(f"episode {episode.number}: {episode.tally.cuts} cuts in {time.monotonic() - started:.0f} s")
    return episode.tally


class Episodes:
    """Several at once, a process each."""

    def __init__(self, kind, options, seed):
        self.kind, self.options, self.seed = kind, options, seed
        self.results, self.running, self.number = multiprocessing.Queue(), {}, options.first_episode

    def work(self, number, cuts):
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        self.results.put((number, run_episode(self.kind(self.seed, number), cuts, self.options.keep)))

    def begin(self, cuts):
        process = multiprocessing.Process(target=self.work, args=(self.number, cuts), daemon=True)
        process.start()
        self.running[self.number] = (process, cuts)
        self.number += 1

    def take(self):
        """What the next one to end had to tell."""
        while True:
            try:
                number, tally = self.results.get(timeout=1)
                break
            except queue.Empty:
                for number, (process, _) in self.running.items():
                    check(process.is_alive() or process.exitcode == 0, f"episode {number} fell with {process.exitcode}")
        self.running.pop(number)[0].join()
        return tally

    def run(self):
        tally, more = self.kind.new_tally(), EPISODES_MORE
        while len(tally.violations) < VIOLATIONS_ENOUGH:
            left = self.options.cuts - tally.cuts - sum(cuts for _, cuts in self.running.values())
            if left > 0 and len(self.running) < self.options.jobs:
                self.begin(min(left, CUTS_PER_EPISODE, -(-self.options.cuts // self.options.jobs)))
            elif self.running:
                tally.add(self.take())
            elif tally.missing(self.options.cuts)[0] and more > 0:
                more -= 1
                self.begin(CUTS_PER_EPISODE)
            else:
                break
        return tally


def main(name, kind):
    """`kind`: of episodes; with new_tally()."""
    parser = argparse.ArgumentParser(prog=f"./dev prove {name}")
    parser.add_argument("--cuts", type=int, default=200)
    parser.add_argument("--seed", type=int, default=None, help="default: drawn, and printed")
    parser.add_argument("--jobs", type=int, default=EPISODES_AT_ONCE, help="episodes at once")
    parser.add_argument("--first-episode", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="leave the scratch directory of what failed")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    say(f"seed {seed}")
    started = time.monotonic()
    tally = Episodes(kind, options, seed).run()
    states, calls = tally.missing(options.cuts)
    ok = not tally.violations and tally.cuts >= options.cuts and not states and not calls
    say(json.dumps({name: "ok" if ok else "failed", "cuts": tally.cuts, "seed": seed, "episodes": tally.episodes,
                    "cuts_in": tally.states, "cuts_at": tally.calls, "states_without_a_cut": states,
                    "calls_without_a_cut": calls, **tally.counts,
                    "slowest_online_seconds": round(max(tally.online_seconds, default=0), 2), "violations": tally.violations, "seconds": round(time.monotonic() - started, 1)}))
    return 0 if ok else 1
