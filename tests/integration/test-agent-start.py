#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What stops gatehoused at its start, and what does not: mistakes in files, keyfiles and vaults that are not right, a second
agent. What it refuses it says, and leaves every file as it was."""
import json
import os
import shutil
import sqlite3
import subprocess

import harness
from agent_bench import ReadOnly, check_options, sim_bench, wait_samples
from dbus_client import Client
from harness import check, wait_for

AGENT = "agent/gatehoused/gatehoused"


def run(bench, *options, keyfile=None):
    """gatehoused that is to end by itself."""
    if "DBUS_SYSTEM_BUS_ADDRESS" not in bench.env:
        bench.bus()
    argv = [harness.program(AGENT), "--config-dir", bench.config, "--state-dir", bench.state, "--runtime-dir", bench.runtime,
            "--keyfile", keyfile or bench.keyfile, "--allow-volatile-state", *options]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          env=dict(os.environ, **bench.env), timeout=harness.DEADLINE)
    with open(bench.path("run.out"), "a", encoding="utf-8") as f:
        f.write(f"$ gatehoused {' '.join(options)} -> {done.returncode}\n{done.stdout}")
    return done


def refuses(bench, status, *words, options=(), **more):
    done = run(bench, *options, **more)
    check(done.returncode == status, f"status {done.returncode}, not {status}: {done.stdout}")
    for word in words:
        check(word in done.stdout, f"{word!r} is not in: {done.stdout}")
    return done.stdout


def write(bench, name, text):
    with open(os.path.join(bench.config, name), "w", encoding="utf-8") as f:
        f.write(text)


def files(directory):
    """Every file's content, but for locks, and a log of SQLite's without anything in it."""
    found = {}
    for folder, _, names in os.walk(directory):
        for name in names:
            if not name.endswith((".lock", "-shm")):
                found[os.path.join(folder, name)] = harness.read_bytes(os.path.join(folder, name))
    return {path: content for path, content in found.items() if content or not path.endswith("-wal")}


def mistakes_in_gatehouse_json(bench):
    bench.make_keyfile()
    place = os.path.join(bench.config, "gatehouse.json")
    for text, where, words in (
            ('{ "uplinks": { "cloud": {\n    "url": "coap://127.0.0.1:1", "profile": "senml" } } }', ":2:12:", "coaps"),
            ('{ "uplinks": {},\n  "rotatoin": {} }', ":2:3:", '"rotatoin"'),
            ('{ "uplinks": {},\n  "rotation": { "max_age": "90" } }', ":2:28:", "90"),
            ('{ "uplinks": {}\n  "spool": {} }', ":2:3:", "','"),
            ('{ "uplinks": {},\n  "uplinks": {} }', ":2:3:", "twice"),
            ('{ "uplinks": { "cloud": { "url": "coaps://127.0.0.1:1",\n   "profile": "nosuch" } } }', ":2:15:", 'profile nosuch')):
        write(bench, "gatehouse.json", text)
        refuses(bench, 78, place + where, words)
        refuses(bench, 78, place + where, words, options=["--check-config"])
    os.unlink(place)
    refuses(bench, 78, place)
    check(not os.path.exists(os.path.join(bench.state, "vault.db")), "no vault was made before the configuration was right")


def options_that_do_not_go_together(bench):
    """Nothing is done, least of all the one that destroys."""
    bench.make_keyfile()
    for options, words in ((("--restore", "x", "--backup", "y"), "at a time"), (("--verify-vault", "--check-config"), "at a time"),
                           (("--recover", "--backup", "y"), "--recover goes"), (("--force",), "--force goes with --restore"),
                           (("--backup-keyfile", "x"), "--backup-keyfile goes with --restore")):
        refuses(bench, 2, words, options=options)
    check(os.listdir(bench.state) == [], "no vault was made")


def mistakes_in_device_files(bench):
    """The device is not loaded, the rest run; --check-config wants all or nothing."""
    _, _, cloud, keys = sim_bench(bench, ("good",))
    agent = next(p for p in bench.processes if p.name == "gatehoused")
    check(run(bench, "--check-config", *check_options(bench)).returncode == 0, "a good configuration")
    device = '{ "device": "%s", "uplink": "%s", "driver": "sim",\n  "sim": {}, "points": { %s } }'
    write(bench, "devices.d/bad-uplink.json", device % ("bad-uplink", "clod", ""))
    write(bench, "devices.d/bad-point.json", device % ("bad-point", "cloud", '"x": { "writable": 1 }'))
    write(bench, "devices.d/bad-syntax.json", '{ "device": "bad-syntax",')
    write(bench, "devices.d/twice-1.json", device % ("twice", "cloud", '"x": {}'))
    write(bench, "devices.d/.hidden.json", "{")
    write(bench, "devices.d/good.json~", "{")
    write(bench, "devices.d/good.json.dpkg-old", "{")
    os.makedirs(os.path.join(bench.state, "devices.d"))
    with open(os.path.join(bench.state, "devices.d", "twice-2.json"), "w", encoding="utf-8") as f:
        f.write(device % ("twice", "cloud", '"x": {}'))
    text = refuses(bench, 78, options=["--check-config"])
    agent.stop()
    since = len(agent.text())
    agent.start()
    bench.wait_agent(agent)
    for say in (lambda: text, lambda: agent.text()[since:]):
        for words in ("devices.d/bad-uplink.json:1:", "devices.d/bad-point.json:2:", "devices.d/bad-syntax.json:1:",
                      "etc/devices.d/twice-1.json:1:", "state/devices.d/twice-2.json:1:", "neither is loaded"):
            wait_for(lambda w=words, s=say: f"{w!r} in: {s()}", lambda w=words, s=say: w in s())
        said = say()
        check("hidden" not in said and "good.json" not in said, f"what is no device file was read: {said}")
    check([r["device"] for r in bench.ctl_json("list")["devices"]] == ["good"], "only the good one is loaded")
    wait_samples(cloud, "good", 3)


def keyfiles(bench):
    _, _, cloud, _ = sim_bench(bench)
    agent = next(p for p in bench.processes if p.name == "gatehoused")
    agent.stop()
    before = files(bench.state)
    other = bench.path("other")

    def put(data, mode=0o400):
        if os.path.exists(other):
            os.unlink(other)
        with open(other, "wb", opener=lambda p, f: os.open(p, f, 0o600)) as f:
            f.write(data)
        os.chmod(other, mode)
    good = harness.read_bytes(bench.keyfile)
    for data, mode, words in ((os.urandom(32), 0o400, "another one"), (bytes(range(32)), 0o400, "not random"), (good[:31], 0o400, "31 bytes"),
                              (good + b"\n", 0o400, "33 bytes"), (b"", 0o400, "it is empty"), (good, 0o440, "group"),
                              (good, 0o404, "others"), (good, 0o420, "group")):
        put(data, mode)
        refuses(bench, 78, other, keyfile=other)
        text = run(bench, keyfile=other).stdout
        check(any(w in text for w in (words, "chmod")), f"{words!r} is not in: {text}")
        after = files(bench.state)
        check(after == before, f"after {words} these are not as before: {[p for p in {*before, *after} if before.get(p) != after.get(p)]}")
    refuses(bench, 78, "nowhere", keyfile=bench.path("nowhere"))
    refuses(bench, 78, bench.config, keyfile=bench.config)
    text = run(bench, keyfile=bench.path("nowhere")).stdout
    for way in (f"put a copy of its keyfile to {bench.path('nowhere')}", "gatehoused --recover", "gatehoused --restore FILE"):
        check(way in text, f"a way back is not told: {way}: {text}")
    check(files(bench.state) == before, "the vault was written to")
    agent.start()
    bench.wait_agent(agent)
    bench.wait_property("boiler-1", "State", "online")
    wait_samples(cloud, "boiler-1", 2)


def vaults(bench):
    sim_bench(bench)
    agent = next(p for p in bench.processes if p.name == "gatehoused")
    agent.stop()
    vault = os.path.join(bench.state, "vault.db")
    good = harness.read_bytes(vault)
    foreign = bench.path("foreign.db")
    with sqlite3.connect(foreign) as db:
        db.execute("CREATE TABLE t (x)")
        db.execute("INSERT INTO t VALUES (1)")
    db.close()
    middle = len(good) // 2
    for content, words in ((b"not a database, " * 100, "not a vault"), (harness.read_bytes(foreign), "another program's"),
                           (b"", "empty"), (good[:1000], "corrupt"), (good[:middle // 4096 * 4096], "corrupt"),
                           (good[:4096] + bytes(len(good) - 4096), "corrupt"),
                           (good[:60] + (2).to_bytes(4, "big") + good[64:], "format 2")):
        for name in os.listdir(bench.state):
            os.unlink(os.path.join(bench.state, name))
        with open(vault, "wb") as f:
            f.write(content)
        refuses(bench, 1, vault, words)
        after = files(bench.state)
        check(after == {vault: content}, f"{words}: it was written to: {[(p, len(c)) for p, c in after.items()]}")
    os.unlink(vault)
    os.mkdir(vault)
    refuses(bench, 1, vault)
    os.rmdir(vault)
    with open(vault, "wb") as f:
        f.write(good)
    agent.start()
    bench.wait_agent(agent)
    bench.wait_property("boiler-1", "State", "online")


def one_bad_record(bench):
    """A record that does not open stops its own device, and says so."""
    sim_bench(bench, ("a", "b"))
    agent = next(p for p in bench.processes if p.name == "gatehoused")
    agent.stop()
    with sqlite3.connect(os.path.join(bench.state, "vault.db")) as db:
        record, = db.execute("SELECT record FROM record WHERE device = 'a'").fetchone()
        db.execute("UPDATE record SET record = ? WHERE device = 'a'", (record[:-1] + bytes([record[-1] ^ 1]),))
    db.close()
    done = run(bench, "--verify-vault")
    check(done.returncode == 1 and "a: error: its record for uplink cloud" in done.stdout and "1 with problems" in done.stdout, done)
    agent.start()
    bench.wait_agent(agent)
    bench.wait_property("b", "State", "online")
    check(bench.get("a", "State") == "damaged" and bench.get("a", "LastError"), "the state and the reason are shown")
    job = bench.ctl_json("vault", "verify", status=None)["result"]["jobs"][0]
    check(job["state"] == "failed" and [r["device"] for r in job["results"]] == ["a"], job)


def second_agent(bench):
    agent, _, cloud, _ = sim_bench(bench)
    refuses(bench, 75, f"process {agent.pid}")
    refuses(bench, 75, f"process {agent.pid}", options=["--verify-vault"])
    wait_samples(cloud, "boiler-1", 3)
    # the name alone taken: another state directory
    os.makedirs(bench.path("state2"))
    refuses(bench, 1, "org.gatehouse1", options=["--state-dir", bench.path("state2"), "--runtime-dir", bench.path("state2")])
    check(agent.alive() and bench.get("boiler-1", "State") == "online", "the first goes on")


def read_only_state(bench):
    if os.geteuid() != 0:
        print("skipped: only root can mount")
        return
    sim_bench(bench)
    agent = next(p for p in bench.processes if p.name == "gatehoused")
    agent.stop()
    before = files(bench.state)
    with ReadOnly(bench.state):
        refuses(bench, 1, bench.state, "Read-only file system")
    check(files(bench.state) == before, "nothing changed")
    shutil.rmtree(bench.state)
    os.makedirs(bench.state)
    with ReadOnly(bench.state):
        refuses(bench, 1, bench.state, "Read-only file system")
    check(os.listdir(bench.state) == [], "no half-made vault")


def stopped_while_verifying(bench):
    """The agent stopped in the middle of a verification; of a vault that is full of damage, so that it takes a while."""
    agent, *_ = sim_bench(bench, ("a",))
    agent.stop()
    with sqlite3.connect(os.path.join(bench.state, "vault.db")) as db:
        state, = db.execute("SELECT state FROM entry").fetchone()
        record, = db.execute("SELECT record FROM record").fetchone()
        names = [f"x{i}" for i in range(3000)]
        db.executemany("INSERT INTO entry VALUES (?, 'cloud', ?)", [(n, state) for n in names])
        db.executemany("INSERT INTO record VALUES (?, 'cloud', 0, ?)", [(n, record) for n in names])
    db.close()
    agent.start()
    bench.wait_agent(agent)
    bench.wait_property("a", "State", "online")
    with Client(bench) as c:
        c.call("/org/gatehouse1", "org.gatehouse1.Manager", "VerifyVault")
        agent.stop()


if __name__ == "__main__":
    harness.main(mistakes_in_gatehouse_json, options_that_do_not_go_together, mistakes_in_device_files, keyfiles, vaults, one_bad_record, second_agent,
                 read_only_state, stopped_while_verifying, needs=("busctl",))
