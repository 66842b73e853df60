#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A device whose record in the vault is damaged says so, stops alone, and has ways out: its key again, another, or none."""
import contextlib
import json
import os
import sqlite3

import harness
from agent_bench import refused, sim_bench, wait_samples
from harness import check, wait_for


def flip(data):
    return data[:-1] + bytes([data[-1] ^ 1])


@contextlib.contextmanager
def stopped_vault(bench, agent):
    """The database of the stopped agent; it is started again behind the change."""
    agent.stop()
    with contextlib.closing(sqlite3.connect(os.path.join(bench.state, "vault.db"))) as db, db:
        yield db
    agent.start()
    bench.wait_agent(agent)


def damage_key(db, device, slot):
    record, = db.execute("SELECT record FROM record WHERE device = ? AND slot = ?", (device, slot)).fetchone()
    db.execute("UPDATE record SET record = ? WHERE device = ? AND slot = ?", (flip(record), device, slot))


def damage_state(db, device):
    state, = db.execute("SELECT state FROM entry WHERE device = ?", (device,)).fetchone()
    db.execute("UPDATE entry SET state = ? WHERE device = ?", (flip(state), device))


def damage_all(db, device):
    damage_state(db, device)
    for slot, in db.execute("SELECT slot FROM record WHERE device = ?", (device,)).fetchall():
        damage_key(db, device, slot)


def told(bench, agent, device):
    """Everywhere where somebody may look."""
    check(bench.get(device, "State") == "damaged", bench.get(device, "State"))
    way_out = f"`gatehousectl key set {device} IDENTITY --force`"
    check(way_out in bench.get(device, "LastError"), bench.get(device, "LastError"))
    agent.wait_text(f"{device}: error: damaged in the vault: ")
    agent.wait_text(way_out)
    line, = [x for x in bench.ctl("list", "--no-legend").splitlines() if x.split()[0] == device]
    check(line.split()[3] == "damaged", line)
    check("damaged: 1" in bench.ctl("status"), bench.ctl("status"))
    text = bench.ctl("show", device)
    check("state: damaged" in text and way_out in text, text)
    bench.wait_property("other", "State", "online")


def out_again(bench, agent, cloud, device, identity, key):
    """Nothing but --force, and then it is as before: with its key, the samples that waited, and over a restart."""
    hexed = key.hex().encode()
    refused(bench.ctl("key", "set", device, identity, "--encoding=hex", stdin=hexed, status=None), 1, "--force")
    refused(bench.ctl("rotate", device, status=None), 1, "damaged")
    waiting = bench.wait_property(device, "Spooled", lambda n: n > 0)
    said = bench.ctl_json("key", "set", device, identity, "--encoding=hex", "--force", stdin=hexed)
    check(said["slot"] == "main" and len(said["fingerprint"]) == 16, said)
    bench.wait_property(device, "State", "online")
    wait_for("its samples", lambda: bench.get(device, "Delivered") >= waiting)
    agent.restart()
    bench.wait_agent(agent)
    bench.wait_property(device, "State", "online")
    check(bench.get(device, "MainIdentity") == identity and not bench.get(device, "LastError"), "durable")
    check("damaged" not in bench.ctl("status"), "and nothing is left of it")
    verify = bench.ctl_json("vault", "verify")["jobs"][0]
    check(verify["failed"] == 0, verify)
    bench.ctl("rotate", device)
    bench.wait_property(device, "State", "online")


def broken(bench, damage, devices=("bad", "other")):
    agent, _, cloud, keys = sim_bench(bench, devices, connect=True)
    wait_samples(cloud, "bad", 3)
    with stopped_vault(bench, agent) as db:
        damage(db)
    told(bench, agent, "bad")
    return agent, cloud, keys


def the_same_key_again(bench):
    agent, cloud, keys = broken(bench, lambda db: damage_key(db, "bad", 0))
    out_again(bench, agent, cloud, "bad", "first-bad", keys["bad"])


def another_key(bench):
    agent, cloud, _ = broken(bench, lambda db: damage_key(db, "bad", 0))
    key = bench.new_key()
    cloud.do("add-credential", identity="second-bad", key=key.hex(), device="bad")
    out_again(bench, agent, cloud, "bad", "second-bad", key)


def the_state_is_lost(bench):
    agent, cloud, keys = broken(bench, lambda db: damage_state(db, "bad"))
    out_again(bench, agent, cloud, "bad", "first-bad", keys["bad"])


def everything_is_lost(bench):
    agent, cloud, keys = broken(bench, lambda db: damage_all(db, "bad"))
    out_again(bench, agent, cloud, "bad", "first-bad", keys["bad"])


def after_a_rotation(bench):
    """The first key is in the other slot by then, and is the old one: either may be put again."""
    agent, _, _, _ = sim_bench(bench, ("bad", "other"), connect=True)
    for damage in (damage_all, damage_state, lambda db, d: damage_key(db, d, 0), lambda db, d: damage_key(db, d, 1)):
        bench.ctl("rotate", "bad")
        identity = bench.get("bad", "MainIdentity")
        new, = [bytes.fromhex(line["key"]) for line in map(json.loads, harness.read(bench.path("devcloud.state")).splitlines())
                if line.get("identity") == identity and "key" in line]
        with stopped_vault(bench, agent) as db:
            damage(db, "bad")
        if bench.get("bad", "State") == "damaged":
            told(bench, agent, "bad")
            bench.ctl("key", "set", "bad", identity, "--encoding=hex", "--force", stdin=new.hex().encode())
        else:  # the old one: deleted at the cloud by its id, and without one not at all
            done = bench.ctl("rotate", "bad", status=None)
            if done.returncode != 0:
                refused(done, 1, "key forget bad backup --force")
                bench.ctl("key", "forget", "bad", "backup", "--force")
        bench.wait_property("bad", "State", "online")


def another_device_has_it(bench):
    """What is no way out: a key or identity of another."""
    agent, cloud, keys = broken(bench, lambda db: damage_all(db, "bad"))
    for identity, key, says in (("first-other", bench.new_key(), "other has the identity"), ("i", keys["other"], "very key")):
        refused(bench.ctl("key", "set", "bad", identity, "--encoding=hex", "--force", stdin=key.hex().encode(), status=None), 1,
                says)
        check(bench.get("bad", "State") == "damaged", "as it was")
    out_again(bench, agent, cloud, "bad", "first-bad", keys["bad"])


def removed(bench):
    agent, _, cloud, _ = sim_bench(bench, ("other",), connect=True)
    for damage in (lambda db: damage_key(db, "new", 0), lambda db: damage_state(db, "new")):
        path, key, identity = bench.path("new-file"), bench.new_key(), "first-" + bench.new_key().hex()[:8]
        with open(path, "w", encoding="utf-8") as f:
            json.dump({"device": "new", "uplink": "cloud", "driver": "sim", "sim": {}, "points": {"x": {}}}, f)
        cloud.do("add-credential", identity=identity, key=key.hex(), device="new")
        bench.ctl("device", "add", "new", path)
        bench.key_set("new", identity, key)
        bench.wait_property("new", "State", "online")
        with stopped_vault(bench, agent) as db:
            damage(db)
        told(bench, agent, "new")
        bench.ctl("device", "remove", "new", "--yes")
        bench.ctl("show", "new", status=4)
        check(f"left at the cloud, to be deleted there by hand: identity {identity}" in agent.text(), "what is left is told")
        verify = bench.ctl_json("vault", "verify")["jobs"][0]
        check(verify["failed"] == 0, verify)
        bench.ctl("device", "add", "new", path)
        check(bench.get("new", "State") == "no-credential", "as a new one")
        bench.ctl("device", "remove", "new", "--yes")


def the_backup_is_damaged(bench):
    """Main is not concerned: the device runs, and says how the rest is put right."""
    agent, _, cloud, _ = sim_bench(bench, ("bad", "other"), connect=True)
    bench.ctl("rotate", "bad")
    with stopped_vault(bench, agent) as db:
        damage_key(db, "bad", 0)
    bench.wait_property("bad", "State", "online")
    check("`gatehousectl key forget bad backup --force`" in bench.get("bad", "LastError"), bench.get("bad", "LastError"))
    check("key forget bad backup" in agent.text(), "told at start")
    bench.ctl("key", "forget", "bad", "backup", "--force")
    check(not bench.get("bad", "BackupIdentity") and bench.get("bad", "RotationState") == "idle", "forgotten at once")
    check("left at the cloud, to be deleted there by hand: identity first-bad" in agent.text(), "what is left is told")
    bench.wait_property("bad", "State", "online")
    check(not bench.get("bad", "LastError"), "put right")
    since = cloud.mark()
    bench.ctl("rotate", "bad")
    cloud.wait_event("session", since=since, device="bad")


def rows_of(db, device, tables):
    return {t: db.execute(f"SELECT * FROM {t} WHERE device = ?", (device,)).fetchall() for t in tables}


def put_back(db, device, rows):
    for table in reversed(list(rows)):
        db.execute(f"DELETE FROM {table} WHERE device = ?", (device,))
    for table, values in rows.items():
        for row in values:
            db.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)


def rows_put_back(bench, tables):
    """To before a rotation: all of it opens, and would be the key that was given up."""
    agent, _, cloud, _ = sim_bench(bench, ("bad", "other"), rotation={"retire_after": "1h"})
    with stopped_vault(bench, agent) as db:
        before = rows_of(db, "bad", tables)
    for device in ("bad", "other"):
        bench.wait_property(device, "State", "online")
        bench.ctl("rotate", device)
    identity = bench.get("other", "MainIdentity")
    since = cloud.mark()
    with stopped_vault(bench, agent) as db:
        put_back(db, "bad", before)
    told(bench, agent, "bad")
    check("its rows are older than the vault" in bench.get("bad", "LastError"), bench.get("bad", "LastError"))
    check(bench.get("other", "MainIdentity") == identity, "the other is as it was")
    verify = bench.ctl_json("vault", "verify", status=1)["jobs"][0]
    check(verify["failed"] == 1, verify)
    wait_samples(cloud, "other", 3)
    check(not cloud.find_events("session", since=since, device="bad"), "an old key is used")
    key = bench.new_key()
    cloud.do("add-credential", identity="another-bad", key=key.hex(), device="bad")
    out_again(bench, agent, cloud, "bad", "another-bad", key)


def rows_put_back_whole(bench):
    rows_put_back(bench, ("entry", "record", "key"))


def rows_put_back_without_the_index(bench):
    rows_put_back(bench, ("entry", "record"))


if __name__ == "__main__":
    harness.main(the_same_key_again, another_key, the_state_is_lost, everything_is_lost, after_a_rotation, another_device_has_it,
                 removed, the_backup_is_damaged, rows_put_back_whole, rows_put_back_without_the_index, needs=("busctl",))
