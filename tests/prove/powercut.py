#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Power cuts before and after the calls by which something becomes durable or leaves the agent: does the promise hold?

usage: powercut.py [--store vault|spool|package] [--cuts N] [--seed S] [--jobs N] [--first-episode E] [--keep]

As kill.py, or with the spool as spool_cuts.py, but what the agent has not synced is lost, kept, or torn (disk.py says how), its files' names included. One cut in
five leaves all in place, as SIGKILL does, and unsynced as it was: a later cut of the power may take what was found after it.
The scratch directory stands in memory if it can: what a disk may hold is the model's business.
With `package`, the whole machine's disk while the packages are installed, upgraded and used for the first time: package_cuts.py.
"""
import argparse
import os
import sys
import tempfile

import cuts
import disk
import episodes
import spool_cuts

KILLS = 0.2  # of the cuts
MEMORY = "/dev/shm"


class PowerCut:
    def layer(self):
        env = self.page.env(self.bench.path("journal"))
        self.disk = disk.Disk(self.bench.state, self.bench.path("journal"))
        return env

    def fallen(self):
        self.disk.follow()
        self.tally.counts["cuts_with_unsynced_changes"] += any(self.disk.pending())
        for path in self.disk.compare():
            self.violation(f"the layer does not know what became of {path}")
        if self.rng.random() >= KILLS:
            self.disk.power_cut(self.rng)


class VaultEpisode(PowerCut, cuts.Episode):
    pass


class SpoolEpisode(PowerCut, spool_cuts.Episode):
    pass


STORES = {"vault": VaultEpisode, "spool": SpoolEpisode}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--store", choices=sorted([*STORES, "package"]), default="vault")
    options, sys.argv[1:] = parser.parse_known_args()
    if os.path.isdir(MEMORY):
        tempfile.tempdir = MEMORY
    if options.store == "package":
        import package_cuts

        sys.exit(package_cuts.main())
    sys.exit(episodes.main("powercut", STORES[options.store]))
