#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The life of the packages, run as root in a booted system in which nothing of gatehouse is installed: an earlier version, the
upgrade, the way back, forward again, and what Debian's own tests of the package do. As inside.py: one case after the other.

Reads /t/versions ({"earlier", "now"}), writes /t/results.
"""
import json
import os
import secrets
import sys

import inside
from console import Cloud, check, ok, read, run, unit, wait_for
from inside import AGENT, CONFIG, EXAMPLES, KEYS, SIM, active, again, online, show, write

TREE = "/t/tree"
PACKAGES = ("gatehouse", "gatehouse-devcloud", "gatehouse-plugin-modbus")
CONFIG_MARK = "// as it was shipped before"
OWN_DROP_IN = "/etc/systemd/system/gatehouse.service.d/encrypted-keyfile.conf"
# Of dpkg --verify's lines: conffiles are an administrator's to change.
CONFFILE = " c /etc/gatehouse/"


class World:
    def __init__(self):
        self.figures = {}
        self.versions = json.loads(read("/t/versions"))
        self.key = secrets.token_hex(32)


def at(version):
    return [f"{p}={version}" for p in PACKAGES]


def installed_version():
    return ok("dpkg-query", "-W", "-f=${Version}", "gatehouse").strip()


def counted(w):
    """(time, number) of each sample of ticker-1 that its cloud has, in the order in which they came. One whose answer was lost comes
    again, byte for byte."""
    found = [(e["time"], e["value"]) for e in w.cloud.events() if e["event"] == "sample" and e.get("device") == "ticker-1"]
    return list(dict.fromkeys(found))


def spooled():
    return show("ticker-1")["spooled"]


def start_cloud(w):
    """The same, with what it learned, after each stop."""
    w.cloud = Cloud("/root", [f"first-1:{w.key}:ticker-1"])
    w.cloud.wait("listening", None)


def stop_cloud():
    ok("systemctl", "stop", "devcloud")


def verify(w):
    """What dpkg finds changed in the packages."""
    return [line for line in ok("dpkg", "--verify", *PACKAGES).splitlines() if CONFFILE not in line]


def asked():
    """What dpkg leaves of a version beside the one that was kept."""
    return [n for n in os.listdir("/etc/gatehouse") if ".dpkg-" in n]


def unattended_settings():
    section = read("/usr/share/doc/gatehouse/README.Debian").split("Upgrades without a question")[1]
    return "".join(line.strip() + "\n" for line in section.splitlines() if line.startswith("  "))


# ── The cases ──

def earlier(w):
    """an earlier version is installed and in use: a key, a rotation that waits for the cloud, samples that wait"""
    ok("apt-get", "update")
    ok("apt-get", "install", *at(w.versions["earlier"]), timeout=300)
    check(installed_version() == w.versions["earlier"], installed_version())
    w.conffile = read(CONFIG)
    ok("cp", EXAMPLES + "/gatehouse.json", CONFIG)
    write("/etc/gatehouse/devices.d/ticker-1.json", read(EXAMPLES + "/sim-1.json").replace("sim-1", "ticker-1")
          .replace('"signal": "sine", "period": "10s", "unit": "Cel"', '"signal": "counter"'))
    start_cloud(w)
    ok("systemctl", "reload", AGENT)
    write("/root/ticker.key", w.key)
    ok("gatehousectl", "key", "set", "ticker-1", "first-1", "/root/ticker.key", "--encoding=hex")
    w.cloud.wait("sample", "ticker-1")
    stop_cloud()
    ok("gatehousectl", "rotate", "ticker-1", "--no-wait")
    wait_for("samples wait", lambda: spooled() >= 5)
    w.before = show("ticker-1")
    check(w.before["rotation_state"] != "idle", w.before)
    w.keyfile = open(KEYS + "/current", "rb").read()


def upgraded(w):
    """unattended-upgrades as README.Debian sets it: the administrator's file stays, the samples arrive, the rotation is finished"""
    ok("apt-get", "install", "unattended-upgrades", timeout=120)
    write("/etc/apt/apt.conf.d/52gatehouse", unattended_settings())
    ok("unattended-upgrade", "--verbose", timeout=600)
    check(installed_version() == w.versions["now"], installed_version())
    wait_for("agent and driver run", lambda: active(AGENT, SIM))
    check(read(CONFIG) == read(EXAMPLES + "/gatehouse.json"), "the changed configuration file is as it was")
    check(open(KEYS + "/current", "rb").read() == w.keyfile, "the keyfile is the same")
    start_cloud(w)
    online("ticker-1")
    wait_for(lambda: show("ticker-1"), lambda: show("ticker-1")["rotation_state"] in ("idle", "retiring", "swapped"))
    check(show("ticker-1")["main_identity"] != w.before["main_identity"], "the rotation was finished")
    wait_for("what waited has arrived", lambda: spooled() == 0)
    ok("gatehousectl", "vault", "verify")


def no_sample_lost(w):
    """the counter has no gap but where the driver began anew, and the samples before the upgrade are all there"""
    samples = counted(w)
    runs, last = 1, -1
    for _, n in samples:
        if n != last + 1:
            check(n == 0, f"{last} is followed by {n}: {samples}")
            runs += 1
        last = n
    w.figures["samples_over_upgrade"] = len(samples)
    # With the agent, and with its own package.
    check(runs in (2, 3) and len(samples) > w.before["spooled"], f"{runs} runs of the driver: {samples}")


def went_back(w):
    """the earlier version again: it reads vault and spool, or says why not and has changed nothing"""
    ok("systemctl", "stop", AGENT)
    before = open("/var/lib/gatehouse/vault.db", "rb").read()
    again()
    online("ticker-1")
    identity = show("ticker-1")["main_identity"]
    ok("apt-get", "-o", "Dpkg::Options::=--force-confdef", "--allow-downgrades", "install", *at(w.versions["earlier"]), timeout=300)
    check(installed_version() == w.versions["earlier"], installed_version())
    wait_for("it runs, or has given up", lambda: active(AGENT) or unit(AGENT, "ActiveState") == "failed")
    if active(AGENT):
        online("ticker-1")
        check(show("ticker-1")["main_identity"] == identity, "the same key")
        ok("gatehousectl", "vault", "verify")
        w.figures["roll_back"] = "reads it"
    else:
        check(unit(AGENT, "ExecMainStatus") == "78", unit(AGENT, "ExecMainStatus"))
        check(open("/var/lib/gatehouse/vault.db", "rb").read() == before, "nothing was changed")
        w.figures["roll_back"] = "refuses"
    w.identity = identity


def unchanged_conffile(w):
    """forward again, the configuration file as it was shipped: the new one comes, no question"""
    w.own = read(CONFIG)
    write(CONFIG, w.conffile)
    for name in asked():
        os.unlink("/etc/gatehouse/" + name)
    ok("apt-get", "install", *at(w.versions["now"]), timeout=300)
    if CONFIG_MARK in w.conffile:
        check(CONFIG_MARK not in read(CONFIG), "the file is the new version's")
    left = asked()
    write(CONFIG, w.own)
    check(not left, left)
    ok("systemctl", "restart", AGENT)
    online("ticker-1")
    check(show("ticker-1")["main_identity"] == w.identity, "the same key")


def verified(w):
    """dpkg --verify finds no file changed"""
    check(not verify(w), verify(w))
    check("gatehouse-plugin-abi-1" in ok("dpkg-query", "-W", "-f=${Provides}", "gatehouse"), "what plugins of others depend on")


def plugin_put_back(w):
    """a plugin is removed while it runs, its device waits, and put back goes on by itself"""
    pid = unit(AGENT, "MainPID")
    ok("apt-get", "remove", "gatehouse-devcloud", timeout=120)
    wait_for("its device says so", lambda: show("ticker-1")["sensor_state"] == "no-driver")
    ok("apt-get", "install", "gatehouse-devcloud", timeout=120)
    stop_cloud()
    start_cloud(w)
    online("ticker-1")
    mark = w.cloud.mark()
    w.cloud.wait("sample", "ticker-1", mark)
    check(unit(AGENT, "MainPID") == pid, "the agent was not restarted for it")


def encrypted_keyfile(w):
    """the keyfile encrypted by the documented command: the agent opens its vault with it, a copy of the file does not"""
    text = read("/usr/share/doc/gatehouse/README.Debian")
    section = text.split("The keyfile, encrypted")[1]
    command = next(line.strip() for line in section.splitlines() if line.startswith("  sh "))
    ok("sh", "-c", command)
    check(open(KEYS + "/current", "rb").read() != w.keyfile and os.path.exists(OWN_DROP_IN), "the file is encrypted")
    online("ticker-1")
    check(run("gatehoused", "--verify-vault", "--keyfile", KEYS + "/current", "--state-dir", "/var/lib/gatehouse")[0] != 0,
          "the encrypted file is no keyfile")


def debians_tests(w):
    """debian/tests, each as autopkgtest runs it"""
    stop_cloud()
    for name in ("first-sample", "rotation", "modbus"):
        ok("sh", f"{TREE}/debian/tests/{name}", timeout=600)
    check(not run("systemctl", "--failed", "--plain", "--no-legend")[1].count("gatehouse"), "no unit failed")


CASES = (earlier, upgraded, no_sample_lost, went_back, unchanged_conffile, verified, plugin_put_back, encrypted_keyfile,
         debians_tests)

if __name__ == "__main__":
    sys.exit(inside.run_cases(World(), CASES))
