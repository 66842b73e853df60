#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Set-ups that are broken, one a case, and what a person who looks is told: by `gatehousectl status`, `list`, `show`, and by
`systemctl status`, whose line is what the agent says as STATUS=. Nothing of it may look healthy, and each has words that lead on."""
import contextlib
import os
import socket
import sqlite3
import subprocess

import harness
from agent_bench import TEMPERATURE, SmallDisk, modbus_device
from harness import check, wait_for
from watched import watched, watched_cases

SIM = {"x": TEMPERATURE}


# --- Sensors ---

@watched
def a_silent_unit(w):
    server = w.bench.modbus_server()
    modbus_device(w.bench, "boiler-1", server.port, 9, timeout="200ms")
    w.start(drivers=("modbus",))
    w.tells(status=["failed: 1"], row=["online", "failed: "], show=["state: online", "sensor: failed: ", "respond"],
            systemctl="1 of 1 devices online; sensors: 1 failed")


@watched
def an_unreachable_plc(w):
    modbus_device(w.bench, "boiler-1", harness.free_port(socket.SOCK_STREAM), 1)
    w.start(drivers=("modbus",))
    w.tells(status=["failed: 1"], row=["online", "failed: "], show=["state: online", "sensor: failed: ", "connect"],
            systemctl="sensors: 1 failed")


@watched
def a_section_that_its_driver_refuses(w):
    w.bench.write_device("boiler-1", "sim", {"x": dict(TEMPERATURE, phase="late")}, interval="100ms")
    w.start()
    place = f"{w.bench.config}/devices.d/boiler-1.json:"
    w.tells(status=["failed: 1", "bad-setting: " + place], row=["failed: " + place], show=["sensor: failed: " + place, "unknown key"],
            systemctl="1 mistake in files")


@watched
def a_driver_that_is_not_installed(w):
    w.bench.write_device("boiler-1", "nobody", {"x": {}})
    w.start()
    w.tells(status=["no-driver: 1"], row=["no-driver"], show=["sensor: no-driver: ", "gatehouse-driver@nobody"],
            systemctl="1 of 1 devices online; sensors: 1 no-driver")


@watched
def a_driver_that_went_away(w):
    w.bench.write_device("boiler-1", "sim", SIM, interval="100ms")
    w.start()
    w.bench.wait_property("boiler-1", "State", "online")
    w.drivers["sim"].kill()
    w.tells(status=["no-driver: 1"], row=["no-driver"], show=["sensor: no-driver: "], systemctl="sensors: 1 no-driver")


@watched
def a_device_that_is_switched_off(w):
    w.bench.write_json("devices.d/boiler-1.json", {"device": "boiler-1", "uplink": "cloud", "driver": "sim", "enabled": False,
                                                   "sim": {}, "points": SIM})
    w.start()
    w.tells(status=["disabled: 1"], row=["disabled", "closed"], show=["state: disabled"], systemctl="0 of 1 devices online")


# --- Files ---

def in_file(w, name, text, *words, device, rows=1):
    w.bench.write_device("boiler-1", "sim", SIM, interval="100ms")
    with open(os.path.join(w.bench.config, "devices.d", name), "w", encoding="utf-8") as f:
        f.write(text)
    w.start()
    for again in range(2):
        w.tells(status=["devices: 1, 1 online", "bad-setting: ", *words], row=["bad-setting", *words], device=device,
                systemctl=f"1 of 1 devices online; {rows} mistake")
        w.restart()  # nothing else tells of it then
    w.bench.ctl("show", device, status=4)


@watched
def a_comma_too_many(w):
    in_file(w, "comma.json", '{ "device": "comma",\n  "uplink": "cloud", }\n', "devices.d/comma.json:2:", "comma", device="comma")


@watched
def an_uplink_that_is_not_there(w):
    in_file(w, "b.json", '{ "device": "b",\n "uplink": "clod", "driver": "sim", "points": {} }', "devices.d/b.json:2:", "clod",
            device="b")


@watched
def one_id_in_two_files(w):
    w.bench.write_json("devices.d/twin-1.json", {"device": "twin", "uplink": "cloud", "driver": "sim", "points": {}})
    in_file(w, "twin-2.json", '{ "device": "twin",\n "uplink": "cloud", "driver": "sim", "points": {} }', "twin-1.json",
            "neither is loaded", device="twin-2", rows=2)


@watched
def a_file_that_is_none(w):
    os.mkdir(os.path.join(w.bench.config, "devices.d", "folder.json"))
    w.bench.write_device("boiler-1", "sim", SIM, interval="100ms")
    w.start()
    w.tells(status=["bad-setting: ", "folder.json", "regular file"], row=["bad-setting"], device="folder",
            systemctl="1 mistake in files")


@watched
def a_reload_that_was_refused(w):
    w.bench.write_device("boiler-1", "sim", SIM, interval="100ms")
    w.start()
    w.bench.write_json("gatehouse.json", {"uplinks": {}, "colour": 1})
    w.bench.ctl("reload", status=78)
    w.tells(status=["devices: 1, 1 online", "bad-setting: ", "gatehouse.json:3:", "colour"], row=["online"], show=["state: online"],
            systemctl="in files")


# --- Keys and the cloud ---

@watched
def no_key_yet(w):
    w.bench.write_device("boiler-1", "sim", SIM, interval="100ms")
    w.start(key=False)
    w.tells(status=["devices: 1, 0 online", "no-credential: 1"], row=["no-credential"], show=["state: no-credential", "main key: none"],
            systemctl="0 of 1 devices online")


@watched
def another_key_than_the_cloud_has(w):
    w.bench.write_device("boiler-1", "sim", SIM, interval="100ms")
    w.start(key=False)
    w.bench.key_set("boiler-1", "first-boiler-1", w.bench.new_key())
    w.tells(status=["refused: 1"], row=["refused"], show=["state: refused", "first-boiler-1", "ASCII, hex or base64"],
            systemctl="0 of 1 devices online")


@watched
def an_identity_that_the_cloud_does_not_know(w):
    w.bench.write_device("boiler-1", "sim", SIM, interval="100ms")
    w.start(key=False)
    w.bench.key_set("boiler-1", "nobody-s", w.keys["boiler-1"])
    w.tells(status=["refused: 1"], row=["refused"], show=["state: refused", "nobody-s"], systemctl="0 of 1 devices online")


@watched
def a_cloud_that_is_away(w):
    w.bench.write_device("boiler-1", "sim", SIM, interval="100ms")
    w.start()
    w.bench.wait_property("boiler-1", "State", "online")
    w.cloud.kill()
    w.bench.ctl("disconnect", "boiler-1")
    w.bench.ctl("connect", "boiler-1")
    w.tells(status=["devices: 1, 0 online", "unreachable: 1"], row=["unreachable"], show=["state: unreachable", "last error: ", "waiting"],
            systemctl="0 of 1 devices online")


@watched
def a_host_that_has_no_address(w):
    w.bench.write_device("boiler-1", "sim", SIM, interval="100ms")
    w.bench.write_config("coaps://cloud.invalid:5684")
    w.start(cloud=False)
    w.tells(status=["unreachable: 1"], row=["unreachable"], show=["state: unreachable", "cloud.invalid"],
            systemctl="0 of 1 devices online")


@watched
def a_cloud_that_takes_no_samples(w):
    w.bench.write_device("boiler-1", "sim", SIM, interval="100ms")
    w.start()
    w.bench.wait_property("boiler-1", "State", "online")
    w.cloud.do("refuse", code="4.03", path="telemetry", method="POST", device="boiler-1", times=0)
    words = ["messages-refused: boiler-1: ", "4.03", "may this identity send there"]
    w.tells(status=words, row=["online"], listed=words, show=["state: online", *words[1:]],
            systemctl="1 of 1 devices online; messages-refused: boiler-1: the key is right, but the server answers 4.03")


@watched
def a_device_that_was_disconnected(w):
    w.bench.write_device("boiler-1", "sim", SIM, interval="100ms")
    w.start()
    w.bench.wait_property("boiler-1", "State", "online")
    w.bench.ctl("disconnect", "boiler-1")
    w.tells(status=["disabled: 1"], row=["disabled"], show=["state: disabled"], systemctl="0 of 1 devices online")


# --- The vault and the disk ---

@contextlib.contextmanager
def stopped_vault(w):
    w.agent.stop()
    with contextlib.closing(sqlite3.connect(os.path.join(w.bench.state, "vault.db"))) as db, db:
        yield db
    w.agent.start()
    w.bench.wait_agent(w.agent)


def damaged(w, table, column, where=""):
    w.bench.write_device("boiler-1", "sim", SIM, interval="100ms")
    w.start()
    w.bench.wait_property("boiler-1", "State", "online")
    if where:
        w.bench.ctl("rotate", "boiler-1")
    with stopped_vault(w) as db:
        data, = db.execute(f"SELECT {column} FROM {table} WHERE device = 'boiler-1' {where}").fetchone()
        db.execute(f"UPDATE {table} SET {column} = ? WHERE device = 'boiler-1' {where}", (data[:-1] + bytes([data[-1] ^ 1]),))


@watched
def a_damaged_key(w):
    damaged(w, "record", "record")
    w.tells(status=["damaged: 1"], row=["damaged"], show=["state: damaged", "key set boiler-1 IDENTITY --force"],
            systemctl="0 of 1 devices online")
    check("boiler-1: error: damaged in the vault: " in w.agent.text(), "and the journal, at err")


@watched
def a_damaged_state(w):
    damaged(w, "entry", "state")
    w.tells(status=["damaged: 1"], row=["damaged"], show=["state: damaged", "key set boiler-1 IDENTITY --force"],
            systemctl="0 of 1 devices online")


@watched
def a_damaged_old_key(w):
    damaged(w, "record", "record", "AND slot = 0")
    words = ["backup credential: ", "key forget boiler-1 backup --force"]
    w.tells(status=words, row=["online"], listed=words, show=["last error: backup credential: ", *words],
            systemctl="1 of 1 devices online; messages-refused: boiler-1: backup credential: ")


@watched
def a_rotation_of_a_damaged_key(w):
    """Nothing is waited for: it is refused at once, with the same way out everywhere."""
    damaged(w, "record", "record")
    done = w.bench.ctl("rotate", "boiler-1", status=None)
    check(done.returncode == 1 and b"boiler-1 is damaged in the vault: main credential: " in done.stderr, f"rotate: {done}")
    words = ["main credential: ", "key set boiler-1 IDENTITY --force", "device remove boiler-1"]
    w.tells(status=["damaged: 1", *words], row=["damaged"], show=["state: damaged", "rotation: idle", *words],
            systemctl="0 of 1 devices online; key-damaged: boiler-1: main credential: ")


@watched
def a_full_disk(w):
    """Before anything had to be written there, and when it had to."""
    if os.geteuid() != 0:
        print("skipped: only root can mount")
        return
    with SmallDisk(w.bench.state) as disk:
        w.bench.write_device("boiler-1", "sim", SIM, interval="100ms")
        w.start()
        w.bench.wait_property("boiler-1", "State", "online")
        wait_for("a rate", lambda: w.bench.get(None, "SpoolHours") > 0)
        w.tells(status=["room for "])
        disk.fill()
        full = "spool.db: the disk is full"
        w.tells(status=["and no more can be kept: ", full], row=["online", "ok"], listed=["problem: spool-fails: ", full],
                show=["state: online", "spool: ", full])
        check("room for" not in w.bench.ctl("status") and w.bench.get(None, "SpoolHours") == 0, w.bench.ctl("status"))
        w.cloud.kill()
        w.tells(status=["and no more can be kept: "])
        w.agent.wait_text("samples cannot be kept: ")
        wait_for("words for the service manager", lambda: "spool-fails: " in w.notified.last() and full in w.notified.last())
        check("room for" not in w.bench.ctl("status"), w.bench.ctl("status"))
        disk.empty()
        w.tells(status=["room for "])
        wait_for("the end of it", lambda: w.bench.get(None, "SpoolProblem") == "")
        w.agent.stop()


@watched
def a_file_that_was_removed_while_it_was_stopped(w):
    """Its samples are in sight, and are sent when it is back."""
    for d in ("boiler-1", "gone"):
        w.bench.write_device(d, "sim", SIM, interval="100ms")
    w.start(devices=("boiler-1", "gone"))
    w.bench.wait_property("gone", "State", "online")
    w.cloud.kill()
    waiting = w.bench.wait_property("gone", "Spooled", lambda n: n > 3)
    w.agent.stop()
    path = os.path.join(w.bench.config, "devices.d", "gone.json")
    os.rename(path, w.bench.path("kept"))
    w.agent.start()
    w.bench.wait_agent(w.agent)
    w.tells(status=["devices: 1, ", "of gone, which is not configured or not loaded"])
    w.agent.wait_text("gone: warning: ")
    check("samples wait, and the device is not configured" in w.agent.text(), w.agent.text())
    said = w.bench.ctl("show", "gone", status=None).stderr.decode()
    check("samples wait for it, and no file configures it" in said, said)
    orphan, = w.bench.ctl_json("status")["orphans"]
    check(orphan["device"] == "gone" and orphan["samples"] >= waiting, orphan)
    w.cloud.start()
    w.bench.wait_property("boiler-1", "State", "online")
    lost = "samples-orphaned: gone: "
    w.tells(status=["problem: " + lost], row=["online"], listed=["problem: " + lost, "samples wait for it"],
            systemctl="1 of 1 devices online; " + lost)
    os.rename(w.bench.path("kept"), path)
    w.bench.ctl("reload")
    check(w.bench.ctl_json("status")["orphans"] == [], "it is there again")
    wait_for("its samples", lambda: w.bench.get("gone", "Delivered") >= waiting)


@watched
def no_agent(w):
    """What stops it: each is said where it was started, and `gatehousectl` says that it does not run."""
    w.bench.write_device("boiler-1", "sim", SIM, interval="100ms")
    w.start()
    w.agent.stop()
    for spoil, status, words in ((lambda: w.bench.write_json("gatehouse.json", {"uplinks": {}, "colour": 1}), 78, "gatehouse.json:3:"),
                                 (lambda: (w.bench.write_config(w.cloud.url), os.unlink(w.bench.keyfile)), 78, w.bench.keyfile)):
        spoil()
        done = subprocess.run([harness.program("agent/gatehoused/gatehoused"), "--config-dir", w.bench.config, "--state-dir",
                               w.bench.state, "--runtime-dir", w.bench.runtime, "--keyfile", w.bench.keyfile, "--allow-volatile-state"],
                              env=dict(os.environ, **w.bench.env), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=harness.DEADLINE)
        check(done.returncode == status and words in done.stderr, f"expected {status} and {words}: {done}")
        for verb in (["status"], ["list"], ["show", "boiler-1"]):
            said = w.bench.ctl(*verb, status=None)
            check(said.returncode == 3 and b"gatehoused is not running" in said.stderr and not said.stdout, f"{verb}: {said}")


CASES = watched_cases(globals())

if __name__ == "__main__":
    check(len(CASES) >= 20, f"{len(CASES)} set-ups")
    harness.main(*CASES, needs=("busctl",))
