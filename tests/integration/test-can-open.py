#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""gatehoused --can-open: an updater asks the new version about the vault of the old one, which goes on running. What it says is
what opening would come to, and nothing of the vault is changed or locked."""
import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess

import harness
from agent_bench import sim_bench
from harness import check

LATER_FORMAT, WRONG_KEY, BAD_DATA, NO_INPUT, PARTIAL, USAGE = 76, 77, 65, 66, 6, 2


def can_open(bench, vault, *options, keyfile=None, environment=None):
    """(status, the line of JSON, words)."""
    scratch = bench.path("scratch")
    os.makedirs(scratch, exist_ok=True)
    done = subprocess.run([harness.program("agent/gatehoused/gatehoused"), "--config-dir", bench.config, "--keyfile", keyfile or bench.keyfile,
                           "--can-open", vault, *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, env=dict(os.environ, **bench.env, TMPDIR=scratch), timeout=harness.DEADLINE)
    check(os.listdir(scratch) == [], f"its copy is gone: {os.listdir(scratch)}")
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


def picture(directory):
    """All of a directory: names, contents, times of change."""
    found = {}
    for name in sorted(os.listdir(directory)):
        path = os.path.join(directory, name)
        if os.path.isfile(path):
            s = os.stat(path)
            with open(path, "rb") as f:
                found[name] = (hashlib.sha256(f.read()).hexdigest(), s.st_mtime_ns, s.st_ctime_ns, s.st_mode)
    return found


def stopped(bench, devices=("a", "b")):
    agent, _, _, _ = sim_bench(bench, devices, connect=True)
    agent.stop()
    return agent, os.path.join(bench.state, "vault.db")


def while_it_runs(bench):
    """The vault is held by an agent, and the last commit counts."""
    agent, driver, cloud, keys = sim_bench(bench, ("a", "b"), connect=True)
    vault = os.path.join(bench.state, "vault.db")
    status, told, words = can_open(bench, vault)
    check((status, told["result"], told["entries"], told["problems"]) == (0, "opens", 2, 0), (status, told, words))
    check("can be opened by this version" in words and told["vault"] == vault and told["format"] == 1, (told, words))
    bench.ctl("vault", "verify")
    bench.wait_property("a", "State", "online")
    bench.ctl("rotate", "a")
    status, told, words = can_open(bench, vault)
    check((status, told["entries"]) == (0, 2), (status, told, words))


def changes_nothing(bench):
    _, vault = stopped(bench)
    before = picture(bench.state)
    check(can_open(bench, vault)[0] == 0, "it opens")
    check(picture(bench.state) == before, f"{before} -> {picture(bench.state)}")


def opens_nothing_for_writing(bench):
    """As the system calls show: beside its own copy, which goes to TMPDIR."""
    _, vault = stopped(bench)
    scratch, trace = bench.path("scratch"), bench.path("trace")
    os.makedirs(scratch)
    done = subprocess.run(["strace", "-f", "-o", trace, "-e", "trace=%file", harness.program("agent/gatehoused/gatehoused"), "--config-dir",
                           bench.config, "--keyfile", bench.keyfile, "--can-open", vault], stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=harness.DEADLINE,
                          # A sanitizer's look for leaks wants to trace the process itself.
                          env=dict(os.environ, **bench.env, TMPDIR=scratch, ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"))
    check(done.returncode == 0, done)
    touched = [line for line in harness.read(trace).splitlines() if f'"{bench.state}' in line]
    check(any("vault.db" in line for line in touched), "the vault was read")
    for line in touched:
        check("O_WRONLY" not in line and "O_RDWR" not in line and "O_CREAT" not in line and
              not any(call in line for call in ("unlink", "rename", "chmod", "chown", "mkdir", "utime", "truncate")), line)


def later_format(bench):
    _, vault = stopped(bench)
    with contextlib.closing(sqlite3.connect(vault)) as db:
        db.execute("PRAGMA user_version = 2")
    status, told, words = can_open(bench, vault)
    check((status, told["result"]) == (LATER_FORMAT, "later-format"), (status, told))
    check(f"{vault} has format 2" in words and "later version" in told["reason"], words)


def wrong_keyfile(bench):
    _, vault = stopped(bench)
    other = bench.path("other-keyfile")
    bench.ctl("vault", "init", "--keyfile", other)
    status, told, words = can_open(bench, vault, keyfile=other)
    check((status, told["result"]) == (WRONG_KEY, "wrong-key"), (status, told, words))
    status, told, words = can_open(bench, vault, keyfile=bench.path("no-such"))
    check((status, told["result"]) == (WRONG_KEY, "no-keyfile") and "no-such" in words, (status, told, words))


def damaged(bench):
    """The file cut off, one record, no vault at all, nothing there."""
    _, vault = stopped(bench)
    whole = bench.path("whole")
    shutil.copy(vault, whole)
    with contextlib.closing(sqlite3.connect(vault)) as db, db:
        record, = db.execute("SELECT record FROM record WHERE device = 'a' AND slot = 0").fetchone()
        db.execute("UPDATE record SET record = ? WHERE device = 'a' AND slot = 0", (record[:-1] + bytes([record[-1] ^ 1]),))
    status, told, words = can_open(bench, vault)
    check((status, told["result"]) == (PARTIAL, "opens-in-part") and told["problems"] >= 1, (status, told))
    check("a: " in words and "b: " not in words, words)
    shutil.copy(whole, vault)
    os.truncate(vault, os.path.getsize(vault) // 2)
    status, told, words = can_open(bench, vault)
    check((status, told["result"]) == (BAD_DATA, "damaged") and vault in words, (status, told, words))
    with open(vault, "wb") as f:
        f.write(b"x" * 5000)
    status, told, words = can_open(bench, vault)
    check((status, told["result"]) == (BAD_DATA, "not-a-vault") and vault in words, (status, told, words))
    os.unlink(vault)
    status, told, words = can_open(bench, vault)
    check((status, told["result"]) == (NO_INPUT, "missing") and not os.path.exists(vault), (status, told, words))
    check(can_open(bench, vault, "--verify-vault")[0] == USAGE, "one act at a time")


if __name__ == "__main__":
    harness.main(while_it_runs, changes_nothing, opens_nothing_for_writing, later_format, wrong_keyfile, damaged, needs=("strace",))
