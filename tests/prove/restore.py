#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A backup is put back after every device was rotated: what becomes of the devices, by registrar and by how far it had come?

usage: restore.py [--devices N] [--print-table]

For each case a cloud of its own: backup, rotate all, restore (refused without --force, each rotated device named), start. Then what
doc/vault.md says in its table must have happened, and until a key was accepted nothing may have been offered or deleted at the
cloud. Where the old keys are gone there, the operator's way out is gone too, as the page has it. The last line is JSON;
status 0 only if every outcome is the one that the page prints.
"""
import argparse
import json
import os
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))
import harness  # noqa: E402
from harness import Failure, check, wait_for  # noqa: E402

PAGE = os.path.join(ROOT, "doc", "vault.md")
HEADING = "| registrar | when the backup is put back | what happens |"
WATCH_SECONDS = 6  # nothing may be offered or deleted meanwhile: several tries of each fit


def restore(bench, *options):
    """What `gatehoused --restore` said, and its status."""
    done = subprocess.run([harness.program("agent/gatehoused/gatehoused"), "--config-dir", bench.config, "--state-dir",
                           bench.state, "--keyfile", bench.keyfile, "--restore", bench.path("backup"), *options],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=dict(os.environ, **bench.env), timeout=60)
    with open(bench.path("restore.out"), "ab") as f:
        f.write(done.stdout)
    return done.returncode, done.stdout.decode(errors="replace")


class Case:
    registrar = situation = outcome = None
    uplink, cloud_options, rotation = {}, {}, {"retire_after": "1h"}

    def __init__(self, count):
        self.bench = harness.Bench()
        self.devices = [f"d{i}" for i in range(count)]

    def start(self):
        bench = self.bench
        self.keys = {d: bench.new_key() for d in self.devices}
        self.cloud = bench.devcloud([(self.first_identity(d), self.keys[d], d) for d in self.devices], **self.cloud_options)
        bench.write_config(self.cloud.url, uplink=self.uplink, rotation=self.rotation)
        for d in self.devices:
            bench.write_device(d, "sim", {"n": {"signal": "counter"}}, interval="1s")
        self.agent = bench.agent()
        bench.driver("sim")
        for d in self.devices:
            bench.key_set(d, self.first_identity(d), self.keys[d])
        self.await_states("online")

    def first_identity(self, device):
        return f"first-{device}"

    def await_states(self, *wanted, seconds=60):
        for d in self.devices:
            self.bench.wait_property(d, "State", lambda s: s in wanted, seconds)

    def rotate_all(self):
        self.bench.ctl("rotate", "--all", seconds=120)
        for d in self.devices:
            self.bench.wait_property(d, "RotationState", "swapped", 60)

    def credentials(self):
        return {d: sorted(json.dumps(c, sort_keys=True) for c in self.cloud.credentials(d)) for d in self.devices}

    def go_back(self):
        """Backup, rotate, restore, start."""
        bench = self.bench
        bench.ctl("vault", "backup", bench.path("backup"))
        self.rotate_all()
        before = self.newest = {d: bench.get(d, "MainFingerprint") for d in self.devices}
        self.agent.stop()
        status, said = restore(bench)
        check(status == 1, f"a backup older than the vault is put back without --force: {said}")
        for d in self.devices:
            check(f"{d}: " in said, f"{d} was rotated since, and is not named: {said}")
        status, said = restore(bench, "--force")
        check(status == 0, f"not put back: {said}")
        self.agent.start()
        bench.wait_agent(self.agent)
        for d in self.devices:
            check(bench.get(d, "MainFingerprint") != before[d], f"{d} has the newer key after all")

    def nothing_is_done(self):
        """While a device counts as restored."""
        self.await_states("restored")
        before, end = self.credentials(), time.monotonic() + WATCH_SECONDS
        while time.monotonic() < end:
            for d in self.devices:
                check(self.bench.get(d, "State") == "restored", f"{d} is no longer taken as restored, and nothing was accepted")
                refused = self.bench.ctl("rotate", d, status=None)
                check(refused.returncode == 1 and b"restored" in refused.stderr, f"{d} is rotated: {refused.stderr}")
        check(self.credentials() == before, f"the cloud's credentials changed from {before} to {self.credentials()}")

    def works_again(self):
        """Online, no longer restored, and a rotation takes."""
        self.await_states("online")
        for d in self.devices:
            self.bench.ctl("rotate", d, seconds=120)
            identity = self.bench.get(d, "MainIdentity")
            check(int(identity.rsplit("-", 1)[-1]) > 1000, f"{identity} may have been given out before")
        self.bench.ctl("vault", "verify")

    def hand_identity(self, device):
        return f"hand-{device}"

    def set_by_hand(self):
        """The operator's way: a key that the cloud knows, into backup, which takes over once it is accepted."""
        before = {d: self.bench.get(d, "MainFingerprint") for d in self.devices}
        for d in self.devices:
            key, identity = self.bench.new_key(), self.hand_identity(d)
            self.cloud.do("add-credential", identity=identity, key=key.hex(), device=d)
            self.bench.ctl("key", "set", d, identity, "--encoding=hex", stdin=key.hex().encode())
        for d in self.devices:
            self.bench.wait_property(d, "MainFingerprint", lambda f: f != before[d], 90)


class AddsBoth(Case):
    registrar, situation = "`coap`, adds", "the old keys are not yet deleted at the cloud"
    outcome = ("The cloud still accepts them: every device comes back online by itself and is rotated again. The newer credentials "
               "stay at the cloud until you delete them there.")

    def run(self):
        self.go_back()
        self.await_states("online")
        for d, found in self.credentials().items():
            check(len(found) == 2, f"{d} has {found} at the cloud")
        self.works_again()


class AddsRetired(Case):
    registrar, situation = "`coap`, adds", "the old keys have been deleted at the cloud"
    outcome = ("The cloud refuses the keys of the backup: locked out, state `restored`. Nothing is offered or deleted. Put back the "
               "vault that was replaced (`vault.db.replaced-1`), or register a key at the cloud and `gatehousectl key set` it.")
    rotation = {"retire_after": "1s"}

    def rotate_all(self):
        self.bench.ctl("rotate", "--all", seconds=120)
        for d in self.devices:
            self.bench.wait_property(d, "RotationState", "idle", 60)

    def run(self):
        self.go_back()
        self.nothing_is_done()
        self.set_by_hand()
        self.works_again()


class AddsRetiredAndBack(AddsRetired):
    outcome = None  # the other way out of the same row

    def run(self):
        self.go_back()
        self.nothing_is_done()
        self.agent.stop()
        path = os.path.join(self.bench.state, "vault.db")
        os.rename(path + ".replaced-1", path)
        self.agent.start()
        self.bench.wait_agent(self.agent)
        self.await_states("online")
        for d in self.devices:
            check(self.bench.get(d, "MainFingerprint") == self.newest[d], f"{d} has not its newest key again")


class Replaces(Case):
    registrar, situation = "`coap`, replaces", "at any time after the rotation"
    outcome = ("The new key has displaced the old one under the same identity: locked out, state `restored`, and the ways out are "
               "those of the row above.")
    uplink = {"registrar": {"type": "coap", "mode": "replaces"}, "identity": "{device}"}
    cloud_options = {"replaces": True}

    def first_identity(self, device):
        return device

    def hand_identity(self, device):
        self.cloud.do("forget-key", key=device)
        return device

    def run(self):
        self.go_back()
        self.nothing_is_done()
        self.set_by_hand()
        self.await_states("online")
        self.bench.ctl("vault", "verify")


class Manual(Case):
    registrar, situation = "`manual`", "both keys stand at the cloud"
    outcome = ("The old key is accepted: every device comes back online by itself. The newer credential stays at the cloud until you "
               "delete it there.")
    uplink = {"registrar": {"type": "manual"}}

    def rotate_all(self):
        """The operator carries each new key to the cloud."""
        bench = self.bench
        for d in self.devices:
            job, = bench.call(d, "Rotate", "a{sv}", "0")
            bench.wait_property(d, "BackupIdentity", lambda s: s != "")
            bench.ctl("key", "export", d, "backup", bench.path(d + ".key"))
            key = harness.read_bytes(bench.path(d + ".key"))
            bench.keys.append(key)
            self.cloud.do("add-credential", identity=bench.get(d, "BackupIdentity"), key=key.hex(), device=d)
            bench.ctl("key", "promote", d)
            bench.wait_property(d, "RotationState", "swapped", 60)

    def run(self):
        self.go_back()
        self.await_states("online")


class ManualGone(Manual):
    registrar, situation = "`manual`", "you have deleted the old key at the cloud"
    outcome = "Locked out, state `restored`: the ways out are those of the second row."

    def run(self):
        self.go_back()
        self.nothing_is_done()
        self.set_by_hand()
        self.await_states("online")

    def go_back(self):
        rotate = self.rotate_all

        def rotate_and_delete():
            rotate()
            for d in self.devices:
                self.cloud.do("forget-key", key=f"first-{d}")
        self.rotate_all = rotate_and_delete
        super().go_back()


CASES = (AddsBoth, AddsRetired, AddsRetiredAndBack, Replaces, Manual, ManualGone)


def rows():
    return [f"| {c.registrar} | {c.situation} | {c.outcome} |" for c in CASES if c.outcome]


def check_page():
    text = harness.read(PAGE)
    check(HEADING in text, f"{PAGE} has no table of outcomes")
    for row in rows():
        check(row in text, f"{PAGE} does not say: {row}")


def run(cls, count):
    case, started = cls(count), time.monotonic()
    try:
        case.start()
        case.run()
        found = case.bench.find_keys()
        check(not found, f"a key stands in {', '.join(found)}")
        print(f"ok      {cls.__name__} ({time.monotonic() - started:.1f} s)", flush=True)
        return True
    except (Failure, subprocess.TimeoutExpired) as e:
        print(f"FAILED  {cls.__name__}: {e}", flush=True)
        case.bench.tails()
        return False
    finally:
        case.bench.remove()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--devices", type=int, default=4)
    parser.add_argument("--print-table", action="store_true")
    parser.add_argument("case", nargs="*")
    args = parser.parse_args()
    if args.print_table:
        print("\n".join([HEADING, "|---|---|---|", *rows()]))
        return 0
    wanted = [c for c in CASES if not args.case or c.__name__ in args.case]
    failed = [c.__name__ for c in wanted if not run(c, args.devices)]
    try:
        check_page()
    except Failure as e:
        print(e)
        failed.append("page")
    print(json.dumps({"prove": "restore", "devices": args.devices, "cases": len(wanted), "failed": failed}))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
