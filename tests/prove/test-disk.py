#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The power cut layer, tried on a program that keeps a value rightly and on ones that forget a step: whoever forgets one has to
lose a value in some cut, and the other never."""
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "integration"))
import cut_layer  # noqa: E402
import disk  # noqa: E402
import harness  # noqa: E402
from harness import check  # noqa: E402

SIZE, ROUNDS, OUTCOMES = 1500, 3, 25
MEMORY = "/dev/shm"  # the model stands for the disk
RIGHT = ("rightly", "in-log", "in-directory", "in-vault")
WRONG = ("without-file-sync", "without-directory-sync", "in-place", "in-log-without-sync", "in-directory-without-sync")


class Scratch:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="gatehouse-disk-", dir=MEMORY if os.path.isdir(MEMORY) else None)
        self.kept, self.journal = os.path.join(self.dir, "kept"), os.path.join(self.dir, "journal")
        os.mkdir(self.kept)
        self.outcome, self.keyfile = os.path.join(self.dir, "outcome"), os.path.join(self.dir, "keyfile")
        with open(self.keyfile, "wb", opener=lambda p, flags: os.open(p, flags, 0o600)) as f:
            f.write(os.urandom(32))
        self.page = cut_layer.Page(os.path.join(self.dir, "page"))
        self.env = dict(os.environ, **self.page.env(self.journal))

    def run(self, *argv):
        """(status, what it wrote)"""
        done = subprocess.run(argv, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        check(done.returncode in (0, -signal.SIGKILL), f"{argv}: {done.returncode} {done.stderr.decode()}")
        return done.returncode, done.stdout

    def keep(self, how, rounds=ROUNDS):
        if how == "in-vault":
            arguments = ("keep-vault", os.path.join(self.kept, "vault.db"), self.keyfile)
        else:
            arguments = ("keep-value", self.kept, how)
        status, said = self.run(harness.program(f"tests/tools/{arguments[0]}"), *arguments[1:], str(rounds))
        return status, len(said.split())

    def found(self, path):
        """The value kept there: a number, 0 for none, None for something that is neither."""
        names = os.listdir(path)
        return self.entries(path) if "vault.db" in names else found_in(path, names)

    def entries(self, path):
        """Of the vault, all of which have to open."""
        vault = os.path.join(path, "vault.db")
        if not os.path.exists(vault):
            return 0
        copy = shutil.copytree(path, path + ".copy")
        try:
            look = json.loads(subprocess.check_output([harness.program("tests/tools/vault-look"),
                                                       os.path.join(copy, "vault.db"), self.keyfile], timeout=60))
        finally:
            shutil.rmtree(copy)
        check(not look["problems"], f"the vault has {look['problems']}")
        return len(look["entries"])

    def close(self):
        shutil.rmtree(self.dir)


def value(n):
    text = bytearray(bytes([ord("a") + n % 26]) * SIZE)
    head = b"%d " % n
    text[:len(head) + 1] = head + b"."
    text[-1:] = b"\n"
    return bytes(text)


def found_in(path, names):
    numbers = [int(name) for name in names if name.isdigit()]
    for n in sorted(numbers, reverse=True):
        data = harness.read_bytes(os.path.join(path, str(n), "value"))
        if data:
            return n if data == value(n) else None
    if "log" in names:
        data, n = harness.read_bytes(os.path.join(path, "log")), 0
        while data.startswith(value(n + 1)):  # what follows the last whole one is a log's to drop
            data, n = data[SIZE:], n + 1
        return n
    if "value" not in names:
        return 0
    data = harness.read_bytes(os.path.join(path, "value"))
    return next((n for n in range(1, ROUNDS + 1) if data == value(n)), None)


def lost_in(how, left, after, rng):
    """(cut, outcomes that are neither the last value said to be kept nor the one under way)"""
    s = Scratch()
    try:
        s.run("true")  # the layer tells its names
        d = disk.Disk(s.kept, s.journal)
        s.page.arm(s.page.file_calls(), left, after)
        status, said = s.keep(how)
        d.follow()
        check(not d.compare(), f"{how}: the model does not know what became of {d.compare()}")
        lost = 0
        for _ in range(OUTCOMES if how != "in-vault" else OUTCOMES // 5):
            d.power_cut(rng, s.outcome)
            lost += s.found(s.outcome) not in (said, said + 1)
        return status == -signal.SIGKILL, lost
    finally:
        s.close()


def walk(how, rng):
    """Every call, before and after, until none is left to be cut at; the outcomes that lost something."""
    lost, left, cuts = 0, 1, 0
    while True:
        was_cut, n = lost_in(how, left, False, rng)
        if not was_cut:
            return cuts, lost + n
        lost += n + lost_in(how, left, True, rng)[1]
        left, cuts = left + 1, cuts + 2


def forgotten_steps_show(rng):
    for how in RIGHT:
        cuts, lost = walk(how, rng)
        check(cuts >= 2 * 4 * ROUNDS, f"{how}: only {cuts} cuts")
        check(lost == 0, f"{how}: lost in {lost} outcomes")
    for how in WRONG:
        cuts, lost = walk(how, rng)
        check(lost > 0, f"{how}: {cuts} cuts, and nothing was lost")


def killed_is_not_lost_and_not_synced(rng):
    """After SIGKILL all is there that was written; what of it was not synced can still go with the power."""
    s = Scratch()
    try:
        s.run("true")
        d = disk.Disk(s.kept, s.journal)
        s.page.arm(["fsync"], 1, False)
        check(s.keep("in-log") == (-signal.SIGKILL, 0), "not ended at its first fsync")
        d.follow()
        check(not d.compare() and s.found(s.kept) == 1, "what was written before SIGKILL is not there")
        check(d.pending() == (1, 1), f"pending: {d.pending()}")
        outcomes = set()
        for _ in range(50):
            d.power_cut(rng, s.outcome)
            outcomes.add(s.found(s.outcome))
        check(outcomes == {0, 1}, f"outcomes: {outcomes}")
        # Another process syncs what it finds.
        s.page.disarm()
        check(s.keep("in-log", 1) == (0, 1), "does not go on")
        d.follow()
        check(d.pending() == (0, 0) and not d.compare(), f"pending: {d.pending()}")
        d.power_cut(rng)
        check(harness.read_bytes(os.path.join(s.kept, "log")) == 2 * value(1), "lost what was synced")
    finally:
        s.close()


def what_was_opened_stays(rng):
    """An agent that was killed between writing a commit and syncing it leaves it behind; the next one opens it, and acts on it.
    From then on it may not go with the power."""
    cuts = 0
    while True:
        s = Scratch()
        try:
            s.run("true")
            d = disk.Disk(s.kept, s.journal)
            s.page.arm(["pwrite64", "fdatasync"], 2 * cuts + 1, False)
            if s.keep("in-vault")[0] == 0:
                break
            opened = s.entries(s.kept)
            s.page.arm(["fdatasync"], 1, False)  # when it has read all, and is about to write
            s.keep("in-vault")
            d.follow()
            for _ in range(OUTCOMES // 5):
                d.power_cut(rng, s.outcome)
                left = s.entries(s.outcome)
                check(left >= opened, f"cut {cuts}: of {opened} that were opened {left} are left")
            cuts += 1
        finally:
            s.close()
    check(cuts >= 2 * ROUNDS, f"only {cuts} cuts")


def names_that_were_read_stay(rng):
    """The same of a device's file: an agent that was killed before it synced the name leaves a device that the next one shows."""
    s = Scratch()
    try:
        s.run("true")
        os.mkdir(os.path.join(s.kept, "devices.d"))
        d = disk.Disk(s.kept, s.journal)
        s.page.arm(["fsync"], 2, False)
        status, _ = s.run(harness.program("tests/tools/keep-value"), os.path.join(s.kept, "devices.d"), "rightly", "1")
        d.follow()
        check(status == -signal.SIGKILL and d.pending()[1] > 0, f"not ended before its name was synced: {d.pending()}")
        s.page.disarm()
        with open(os.path.join(s.dir, "gatehouse.json"), "w", encoding="utf-8") as f:
            f.write("{}")
        status, _ = s.run(harness.program("agent/gatehoused/gatehoused"), "--check-config", "--config-dir", s.dir, "--state-dir",
                          s.kept)
        d.follow()
        check(status == 0 and d.pending() == (0, 0), f"not durable after it was read: {d.pending()}")
    finally:
        s.close()


def main():
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}", flush=True)
    for test in (forgotten_steps_show, killed_is_not_lost_and_not_synced, what_was_opened_stays,
                 names_that_were_read_stay):
        test(random.Random(f"{seed}/{test.__name__}"))
        print(f"ok      {test.__name__}", flush=True)


if __name__ == "__main__":
    main()
