#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A root that forgets at each boot what was written (Raspberry Pi OS's overlay file system), with state and keys where
doc/raspberry-pi.md puts them. Run as root in a system that is booted three times: while the card can be written, under the overlay,
and once more. As inside.py: one case after the other.

Reads /t/phase; writes /t/results. /t/partition is what the page's partition is; what the cloud and this test know lies in /t/cloud.
"""
import json
import os
import secrets
import sys

import inside
from console import Cloud, check, ok, read, run, wait_for
from inside import AGENT, CONFIG, EXAMPLES, KEYS, active, online, show, write

CLOUD = "/t/cloud"
# There is no disk in a container for the page's label.
PARTITION = ("LABEL=gatehouse /data ext4 defaults,noatime 0 2", "/t/partition /data none bind 0 0")
CHECK = " && gatehousectl check"  # which warns of this container's clock, too
FORGOTTEN = "/root/forgotten"
MOUNTED = ("/var/lib/gatehouse", "/etc/gatehouse")


class World:
    def __init__(self):
        self.figures = {}


def remember(name, data):
    with open(os.path.join(CLOUD, name), "wb") as f:
        f.write(data)


def remembered(name):
    with open(os.path.join(CLOUD, name), "rb") as f:
        return f.read()


def keyfile():
    with open(KEYS + "/current", "rb") as f:
        return f.read()


def start_cloud():
    """The same at each boot, with what it learned."""
    cloud = Cloud(CLOUD, [f"first-1:{remembered('key').decode()}:sim-1"])
    cloud.wait("listening", None)
    return cloud


def commands():
    section = read("/t/raspberry-pi.md").split("## A root that forgets")[1].split("\n## ")[0]
    return [line.strip() for line in section.splitlines() if line.startswith("    ")]


def on_overlay(path):
    return "overlay" in ok("stat", "--file-system", "--format=%T", path)


def findings():
    """Of check, by name."""
    text = run("gatehousectl", "--json=short", "check")[1]
    said = json.loads(next(line for line in text.splitlines() if line.startswith("{")))
    return [finding["id"] for finding in said["result"]["findings"]]


# ── The cases ──

def moved_to_a_partition(w):
    """in use on a card that can be written; state and keys are moved by the page's commands, the device is online again"""
    remember("key", secrets.token_hex(32).encode())
    ok("apt-get", "update")
    ok("apt-get", "install", "gatehouse", "gatehouse-devcloud", timeout=300)
    ok("cp", EXAMPLES + "/gatehouse.json", CONFIG)
    ok("cp", EXAMPLES + "/sim-1.json", "/etc/gatehouse/devices.d/sim-1.json")
    start_cloud()
    ok("systemctl", "reload", AGENT)
    ok("gatehousectl", "key", "set", "sim-1", "first-1", CLOUD + "/key", "--encoding=hex")
    online("sim-1")
    check(any(PARTITION[0] in line for line in commands()), "the page names the partition")
    for line in commands():
        ok("sh", "-c", line.replace(*PARTITION).removesuffix(CHECK))
    check(os.path.exists("/t/partition/state/vault.db") and os.path.exists("/t/partition/etc/keys/current"), "both are there")
    online("sim-1")


def rotated_under_the_overlay(w):
    """the root is an overlay in memory now: a key is rotated, the vault rekeyed"""
    check(on_overlay("/") and not any(on_overlay(path) for path in MOUNTED), "of the root alone nothing lasts")
    wait_for("the agent runs", lambda: active(AGENT))
    write(FORGOTTEN, "")
    start_cloud()
    online("sim-1")
    before = show("sim-1")["main_identity"], keyfile()
    ok("gatehousectl", "rotate", "sim-1")
    ok("gatehousectl", "vault", "rekey")
    after = show("sim-1")["main_identity"], keyfile()
    check(before[0] != after[0] and before[1] != after[1], f"{before[0]} and {after[0]}")
    check("state-volatile" not in findings(), "check says that the state lasts")
    remember("identity", after[0].encode())
    remember("keyfile", after[1])


def rebooted(w):
    """after a reboot the root is as it was on the card, but the rotated key and the keyfile are there, and open a session"""
    check(on_overlay("/") and not os.path.exists(FORGOTTEN), "the root has forgotten")
    wait_for("the agent runs", lambda: active(AGENT))
    check(keyfile() == remembered("keyfile"), "the keyfile is that of the rekey")
    cloud = start_cloud()
    mark = cloud.mark()
    online("sim-1")
    check(show("sim-1")["main_identity"] == remembered("identity").decode(), "the key is that of the rotation")
    cloud.wait("sample", "sim-1", mark)
    ok("gatehousectl", "vault", "verify")


def refused_without_the_partition(w):
    """the same with state and keys on the root that forgets: online, but a rotation is refused, and check says why"""
    ok("systemctl", "stop", AGENT)
    # Not without its mounts does systemd start the agent, as long as fstab has them.
    ok("sed", "-i", "/gatehouse/d", "/etc/fstab")
    ok("systemctl", "daemon-reload")
    ok("umount", *MOUNTED)
    check(all(on_overlay(path) for path in MOUNTED), "state and keys are in memory")
    ok("systemctl", "start", AGENT)
    online("sim-1")
    status, text = run("gatehousectl", "rotate", "sim-1")
    check(status != 0 and "overlay" in text, f"status {status}: {text}")
    check(show("sim-1")["main_identity"] == "first-1" and show("sim-1")["rotation_state"] == "idle", "no key was made")
    check("state-volatile" in findings(), "check names it")


CASES = {"card": (moved_to_a_partition,), "overlay": (rotated_under_the_overlay,),
         "reboot": (rebooted, refused_without_the_partition)}

if __name__ == "__main__":
    sys.exit(inside.run_cases(World(), CASES[read("/t/phase").strip()]))
