#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The packages on booted Debian systems: built, put into a repository, and in a Debian 12 and a Debian 13 with systemd
installed by apt from there, and used as root and as others would (the cases are in inside.py). With --life, in a second system each,
the life of the packages: upgraded from an earlier version, gone back to it, debian/tests (life.py); and a root that forgets all
at each boot (overlay.py).

usage: system.py [--suite bookworm|trixie] [--life] [--earlier COMMIT] [--keep]

Needs root. Prints a table of cases, last a line of JSON; status 0 only if every case passed in each root. --earlier, which is --life,
has the earlier version built from a commit or tag; without it, it is today's under a lower version. --keep leaves what the systems
wrote below build/system/SUITE-run and SUITE-life.
"""
import argparse
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time

import earlier
import packages
import roots

ROOT = packages.ROOT
BUILD_DIR = os.environ.get("BUILD_DIR", os.path.join(ROOT, "build"))
PLACE = os.path.join(BUILD_DIR, "system")
PACKAGES = ("gatehouse", "gatehouse-devcloud", "gatehouse-plugin-modbus", "gatehouse-plugin-ble")
PEERS = ("mosquitto", "mosquitto-clients", "polkitd")
LIFE_PEERS = ("unattended-upgrades",)
INSIDE = ("inside.py", "console.py", "life.py", "overlay.py", "onair.py", "onboarding.py", "page.py", "person.py")
RASPBERRY_PI = os.path.join(ROOT, "doc", "raspberry-pi.md")
GETTING_STARTED = os.path.join(ROOT, "doc", "getting-started.md")
REPOSITORY = "deb [trusted=yes] file:/t/repo ./\n"
# What a user answers; and so that the plugin is installed by a command of its own.
APT_SETTINGS = 'APT::Get::Assume-Yes "true";\nAPT::Install-Recommends "false";\n'
BOOT_TIMEOUT = 1800  # seconds: of what hangs, as the other two
MARK = "<!-- installed and run by tests/system -->"
UNIT = """[Unit]
After=dbus.socket network.target
[Service]
Type=idle
Environment=HOME=/root DEBIAN_FRONTEND=noninteractive PYTHONDONTWRITEBYTECODE=1
ExecStart=/usr/bin/python3 /t/{program}
ExecStopPost=/bin/systemctl poweroff --no-block
StandardOutput=file:/t/inside.log
StandardError=inherit
"""
# What the offline repository is made of: the packages, and all that they need from Debian, for a system without a network.
FETCH = """set -e
apt-get -qq update
mkdir -p /t/fetched/partial
apt-get -qq -o Dir::Cache::archives=/t/fetched -o APT::Keep-Downloaded-Packages=true --download-only install {packages} {peers}
apt-get -qq install {packages}
test ! -e /etc/gatehouse/keys/current
test ! -e /var/lib/gatehouse/vault.db
"""


def readme_commands():
    """The indented commands below the mark in README.md."""
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as f:
        text = f.read().split(MARK)[1]
    section = re.split(r"^## ", text, flags=re.MULTILINE)[0]
    return [line.strip() for line in section.splitlines() if line.startswith("    ") and line.strip()]


class System:
    """One release: its root, its packages, its boot."""

    def __init__(self, suite, life=False, commit=None):
        self.suite, self.life, self.commit = suite, life or bool(commit), commit
        self.shared = os.path.join(PLACE, suite + "-run")
        self.cases, self.figures, self.error = [], {}, None

    def log(self, name):
        return os.path.join(self.shared, name + ".log")

    def file(self, path, text):
        """One that the root has."""
        path = os.path.join(self.shared, "files", path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)

    def begin(self):
        shutil.rmtree(self.shared, ignore_errors=True)
        os.makedirs(os.path.join(self.shared, "state"), mode=0o755)
        self.file("etc/apt/apt.conf.d/90test", roots.acquire_settings() + APT_SETTINGS)

    def add(self, case, what, begun, reason):
        self.cases.append({"case": case, "what": what, "passed": not reason, "reason": reason,
                           "seconds": round(time.monotonic() - begun, 1)})

    def build(self, root):
        if self.suite == roots.own_suite():
            return self.build_here()
        packages.copy_tree(os.path.join(self.shared, "src"))
        if roots.run("chroot", root, self.shared, "sh", "-c", earlier.BUILD, log=self.log("build"), timeout=1800) != 0:
            raise packages.Failed(f"the packages do not build: {roots.tail(self.log('build'))}")
        return sorted(glob.glob(os.path.join(self.shared, "built", "deb", "*.deb")))

    def build_here(self):
        begun, directory = time.monotonic(), os.path.join(self.shared, "built", "deb")
        debs = packages.build(directory)
        findings = packages.look(directory)
        if findings is not None:
            self.add("lintian", "finds nothing, down to the pedantic", begun, "\n".join(findings) or None)
        return debs

    def repository(self, root, debs):
        """And, in a chroot, an install as for an image, which must leave no key."""
        repo = os.path.join(self.shared, "repo")
        packages.repository(repo, debs)
        self.file("etc/apt/sources.list.d/gatehouse.list", REPOSITORY)
        command = FETCH.format(packages=" ".join(PACKAGES), peers=" ".join((*PEERS, *(LIFE_PEERS if self.life else ()))))
        begun = time.monotonic()
        passed = roots.run("chroot", root, self.shared, "sh", "-c", command, log=self.log("fetch"), timeout=1200) == 0
        self.add("image", "apt install in a chroot: no keyfile, no vault is made", begun,
                 None if passed else roots.tail(self.log("fetch")))
        for deb in glob.glob(os.path.join(self.shared, "fetched", "*.deb")):
            shutil.copy(deb, repo)
        packages.write_index(repo)

    def earlier(self, root, debs):
        """The earlier version is in the repository too; the life of a package begins with it."""
        place = os.path.join(PLACE, f"{self.suite}-earlier")
        if self.commit:
            before = earlier.built(self.commit, self.suite, root, place)
        else:
            shutil.rmtree(place, ignore_errors=True)
            before = earlier.repacked(debs, place)
        for deb in before:
            shutil.copy(deb, os.path.join(self.shared, "repo"))
        packages.write_index(os.path.join(self.shared, "repo"))
        versions = {"earlier": earlier.field(before[0], "Version"), "now": earlier.field(debs[0], "Version")}
        roots.write(os.path.join(self.shared, "versions"), json.dumps(versions))
        shutil.rmtree(place, ignore_errors=True)

    def another(self, name):
        """A system with the same repository, below `name`."""
        first, self.shared = self.shared, os.path.join(PLACE, f"{self.suite}-{name}")
        shutil.rmtree(self.shared, ignore_errors=True)
        shutil.copytree(first, self.shared, symlinks=True, ignore=shutil.ignore_patterns(
            "built", "fetched", "src", "overlay", "results", "state", "*.log", "*.wants"))
        os.makedirs(os.path.join(self.shared, "state"), mode=0o755)

    def second(self):
        """For life.py."""
        self.another("life")
        for path in ("debian/tests", "tests/peers"):
            shutil.copytree(os.path.join(ROOT, path), os.path.join(self.shared, "tree", path))
        self.prepare("life.py")

    def prepare(self, program="inside.py"):
        """What the booted system finds at /t, and the unit that runs the cases."""
        for name in INSIDE:
            shutil.copy(os.path.join(roots.HERE, name), self.shared)
        shutil.copy(GETTING_STARTED, self.shared)
        shutil.copy(os.path.join(ROOT, "tests", "peers", "pymodbus-server.py"), self.shared)
        shutil.copy(os.path.join(ROOT, "tests", "prove", "lines.py"), self.shared)
        for path in glob.glob(os.path.join(ROOT, "tests", "integration", "*.py")):  # what cases import, and what that imports
            if not os.path.basename(path).startswith("test-"):
                shutil.copy(path, self.shared)
        with open(os.path.join(self.shared, "install"), "w", encoding="utf-8") as f:
            f.write("\n".join(readme_commands()) + "\n")
        self.file("etc/systemd/system/cases.service", UNIT.format(program=program))
        wants = os.path.join(self.shared, "files", "etc/systemd/system/multi-user.target.wants")
        os.makedirs(wants, exist_ok=True)
        os.symlink("../cases.service", os.path.join(wants, "cases.service"))

    def overlaid(self, root):
        """A card that is written once, then a root in memory over it, booted twice: overlay.py."""
        self.another("overlay")
        self.prepare("overlay.py")
        shutil.copy(RASPBERRY_PI, self.shared)
        card = os.path.join(self.shared, "card")
        for name in ("partition", "cloud"):
            os.makedirs(os.path.join(self.shared, name))
        subprocess.run(["cp", "-a", root, card], check=True)
        subprocess.run(["rm", "-rf", card + "/etc/apt/sources.list", card + "/etc/apt/sources.list.d"], check=True)
        subprocess.run(["cp", "-a", self.shared + "/files/.", card], check=True)
        try:
            for phase, how in (("card", "disk"), ("overlay", "forgets"), ("reboot", "forgets")):
                roots.write(os.path.join(self.shared, "phase"), phase)
                self.boot(card, how)
        finally:
            shutil.rmtree(card, ignore_errors=True)

    def boot(self, root, how="boot"):
        if os.path.exists(os.path.join(self.shared, "results")):
            os.unlink(os.path.join(self.shared, "results"))
        status = roots.run(how, root, self.shared, log=self.log("console"), timeout=BOOT_TIMEOUT)
        results = os.path.join(self.shared, "results")
        if not os.path.exists(results):
            raise packages.Failed(f"it did not boot, status {status}: {roots.tail(self.log('console'))}")
        with open(results, encoding="utf-8") as f:
            for entry in map(json.loads, f):
                if "figures" in entry:
                    self.figures.update(entry["figures"], complete=True)
                else:
                    self.cases.append(entry)
        if not self.figures.pop("complete", False):
            raise packages.Failed(f"the cases did not come to their end: {roots.tail(self.log('console'))}")

    def step(self, what, do, *arguments):
        print(f"system: {self.suite}: {what}", file=sys.stderr, flush=True)
        return do(*arguments)

    def run(self):
        try:
            root = self.step("a root to work in", roots.base, self.suite, PLACE)
            self.begin()
            debs = self.step("the packages", self.build, root)
            self.step("a repository of them", self.repository, root, debs)
            self.prepare()
            self.step("the cases, booted", self.boot, root)
            if self.life:
                self.step("an earlier version", self.earlier, root, debs)
                self.second()
                self.step("the life of the packages, booted", self.boot, root)
                self.step("a root that forgets, rebooted", self.overlaid, root)
        except Exception as e:  # whatever ends a root's run is its result
            self.error = str(e) or repr(e)

    def results(self):
        """By case; the run itself is one."""
        return {**{c["case"]: c["passed"] for c in self.cases}, "run": not self.error}

    def passed(self):
        return all(self.results().values())

    def say(self):
        print(f"\n{self.suite}")
        for c in self.cases:
            print(f"  {'passed' if c['passed'] else 'FAILED'} {c['seconds']:6.1f} s  {c['case']}: {c['what']}")
            if c["reason"]:
                print("      " + c["reason"].replace("\n", "\n      "))
        if self.error:
            print(f"  FAILED: {self.error}")
        print(f"  figures: {json.dumps(self.figures)}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--suite", choices=roots.SUITES, action="append")
    parser.add_argument("--life", action="store_true")
    parser.add_argument("--earlier", metavar="COMMIT")
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("system.py: booting systems needs root", file=sys.stderr)
        return 2
    begun = time.monotonic()
    systems = [System(s, options.life, options.earlier) for s in options.suite or roots.SUITES]
    threads = [threading.Thread(target=s.run) for s in systems]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for s in systems:
        s.say()
    held = all(s.passed() for s in systems)
    if held and not options.keep:
        for s in systems:
            for name in ("run", "life", "overlay"):
                shutil.rmtree(os.path.join(PLACE, f"{s.suite}-{name}"), ignore_errors=True)
    print(json.dumps({"held": held, "seconds": round(time.monotonic() - begun, 1),
                      "cases": {s.suite: s.results() for s in systems},
                      "figures": {s.suite: s.figures for s in systems}}))
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
