# SPDX-License-Identifier: LGPL-2.1-or-later
"""The power fails at any point of install, first start, upgrade and rekey of the packages (`./dev prove powercut --store package`).

A Debian lies on a disk that remembers each write and flush (recorded.py). Booted once, the packages are installed there in an
earlier version, the agent makes its keyfile and vault, a device gets a key, the packages are upgraded, the vault is rekeyed
(package_steps.sh). Then for each cut the disk is made anew as the power may have left it: with all that was flushed, and of what
was written since some whole, some torn, some missing. It is booted, the commands of doc/raspberry-pi.md are run, and
always one of the two versions must be there and start, the vault must verify, a key that was reported as set must be there.
Needs root. The last line is JSON.
"""
import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "system"))
import earlier  # noqa: E402
import packages  # noqa: E402
import recorded  # noqa: E402
import roots  # noqa: E402
import system  # noqa: E402

SIZE = "1536M"
STEPS = ("install", "first start", "first key", "upgrade", "rekey")
BOOT_TIMEOUT = 1800  # seconds: of what hangs
UNIT = """[Unit]
After=dbus.socket network.target gatehouse.service
[Service]
Type=idle
Environment=HOME=/root
ExecStart=/bin/sh /t/package_steps.sh
ExecStopPost=/bin/systemctl poweroff --no-block
"""


def say(text):
    print(text, flush=True)


class Proof:
    def __init__(self, options, place):
        self.place, self.rng = place, random.Random(options.seed)
        self.base, self.log = os.path.join(place, "base.img"), os.path.join(place, "log")
        self.mounted = os.path.join(place, "root")
        os.makedirs(self.mounted)
        self.system = system.System(options.suite)
        self.system.shared = self.shared = os.path.join(place, "shared")

    def path(self, name):
        return os.path.join(self.shared, name)

    def prepare(self):
        """The packages in two versions, all that they need, and a disk with a Debian that has none of them."""
        root = roots.base(self.system.suite, system.PLACE)
        self.system.begin()
        debs = self.system.build(root)
        self.system.repository(root, debs)
        self.system.earlier(root, debs)
        for name, version in json.loads(open(self.path("versions"), encoding="utf-8").read()).items():
            roots.write(self.path(name), version)
        shutil.copy(os.path.join(HERE, "package_steps.sh"), self.shared)
        self.system.file("etc/systemd/system/steps.service", UNIT)
        wants = self.path("files/etc/systemd/system/multi-user.target.wants")
        os.makedirs(wants, exist_ok=True)
        os.symlink("../steps.service", os.path.join(wants, "steps.service"))
        subprocess.run(["truncate", "-s", SIZE, self.base], check=True)
        subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", root, self.base], check=True)
        loop = recorded.attach(self.base)
        self.mount(loop)
        shutil.rmtree(os.path.join(self.mounted, "etc/apt/sources.list.d"), ignore_errors=True)
        if os.path.exists(os.path.join(self.mounted, "etc/apt/sources.list")):
            os.unlink(os.path.join(self.mounted, "etc/apt/sources.list"))
        subprocess.run(["cp", "-a", self.path("files") + "/.", self.mounted], check=True)
        os.makedirs(os.path.join(self.mounted, "t"), exist_ok=True)
        self.boot("index")
        self.unmount(loop)

    def mount(self, device):
        subprocess.run(["mount", device, self.mounted], check=True)

    def unmount(self, loop=None):
        recorded.unmount(self.mounted)
        if loop:
            subprocess.run(["losetup", "--detach", loop], check=True)

    def boot(self, mode):
        roots.write(self.path("mode"), mode)
        for name in ("results", "status"):
            if os.path.exists(self.path(name)):
                os.unlink(self.path(name))
        try:
            roots.run("disk", self.mounted, self.shared, log=self.path("console.log"), timeout=BOOT_TIMEOUT)
        except subprocess.TimeoutExpired:
            return False
        return os.path.exists(self.path("status"))

    def steps_done(self):
        try:
            with open(self.path("progress"), encoding="ascii") as f:
                return f.read().count("\n")
        except OSError:
            return 0

    def live(self):
        """All of it once; the entries of the log."""
        image = os.path.join(self.place, "live.img")
        shutil.copyfile(self.base, image)
        with recorded.Recorded(image, self.log, os.path.join(self.place, "fuse"), self.steps_done) as device:
            device.record()
            self.mount(device.path)
            booted = self.boot("live")
            self.unmount()
        os.unlink(image)
        if not booted or self.steps_done() != len(STEPS):
            raise packages.Failed(f"without a cut it came to step {self.steps_done()}: {roots.tail(self.path('steps.log'))}")
        return recorded.read_log(self.log)

    def cut(self, entries, at):
        """What is wrong after the power failed before entry `at`, "" if nothing is; and what became of it."""
        image = os.path.join(self.place, "cut.img")
        subprocess.run(["cp", "--sparse=always", self.base, image], check=True)
        lost = recorded.apply(image, self.log, entries, at, self.rng)
        roots.write(self.path("reached"), str(entries[at][2]))
        loop = recorded.attach(image)
        try:
            self.mount(loop)
            booted = self.boot("recover")
            self.unmount()
        except subprocess.CalledProcessError as e:
            return f"the disk: {e}", {}
        finally:
            subprocess.run(["losetup", "--detach", loop], check=False)
        if not booted or not os.path.exists(self.path("results")):
            return f"it does not boot: {roots.tail(self.path('console.log'), 5)}", {}
        with open(self.path("results"), encoding="utf-8") as f:
            said = json.load(f)
        why = "" if said["recovered"] else f"{said['why']}: {roots.tail(self.path('steps.log'), 40)}"
        return why, {**said, "lost": lost}


def choose(entries, cuts, rng):
    """As many in each step, the same disk twice never: of a step with few writes all."""
    by_step = [[i for i, e in enumerate(entries) if e[2] == step] for step in range(len(STEPS))]
    return [(step, at) for step, places in enumerate(by_step)
            for at in sorted(rng.sample(places, min(len(places), -(-cuts // len(STEPS)))))]


def main():
    parser = argparse.ArgumentParser(prog="./dev prove powercut --store package")
    parser.add_argument("--cuts", type=int, default=40)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--suite", choices=roots.SUITES, default=roots.own_suite())
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("powercut: mounting disks and booting systems needs root", file=sys.stderr)
        return 2
    if "GATEHOUSE_POWER_MOUNTS" not in os.environ:  # mounts are this run's alone, and gone with it
        os.environ["GATEHOUSE_POWER_MOUNTS"] = "own"
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.orig_argv[1:]])
    begun, place = time.monotonic(), tempfile.mkdtemp(prefix="gatehouse-power-")
    say(f"seed {options.seed}")
    try:
        proof = Proof(options, place)
        proof.prepare()
        entries = proof.live()
        said = judge(proof, entries, choose(entries, options.cuts, proof.rng))
    finally:
        shutil.rmtree(place, ignore_errors=True)
    ok = said["cuts"] > 0 and not said["violations"]
    say(json.dumps({"powercut": "ok" if ok else "failed", "seed": options.seed, "suite": options.suite, "writes": len(entries),
                    "flushes": sum(1 for e in entries if e[1] == 0), **said, "seconds": round(time.monotonic() - begun, 1)}))
    return 0 if ok else 1


def judge(proof, entries, cuts):
    said = {"cuts": 0, "cuts_in": dict.fromkeys(STEPS, 0), "cuts_with_lost_writes": 0, "started_by_itself": 0, "versions": {},
            "violations": []}
    for step, at in cuts:
        why, what = proof.cut(entries, at)
        said["cuts"] += 1
        said["cuts_in"][STEPS[step]] += 1
        said["cuts_with_lost_writes"] += what.get("lost", 0) > 0
        said["started_by_itself"] += what.get("by_itself", False)
        version = what.get("version") or "none yet"
        said["versions"][version] = said["versions"].get(version, 0) + 1
        say(f"cut before write {at} of {len(entries)}, {STEPS[step]}: {why or version}")
        if why:
            said["violations"].append(f"{STEPS[step]}, write {at}: {why}")
    return said


if __name__ == "__main__":
    sys.exit(main())
