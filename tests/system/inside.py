#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The cases of `./dev system`, run as root in the booted system: one after the other, each builds on those before.

Reads /t/install (the README's commands), prints what it does, and writes /t/results: a JSON object a case.
"""
import json
import os
import re
import secrets
import signal
import sys
import time
import traceback

import onair
import onboarding
import person
from console import Cloud, Failure, Shell, check, cursor, journal, ok, opens_inside, read, run, unit, wait_for

SHARED = "/t"
KEYS = "/etc/gatehouse/keys"
CONFIG = "/etc/gatehouse/gatehouse.json"
EXAMPLES = "/usr/share/doc/gatehouse/examples"
AGENT, MODBUS, SIM = "gatehouse.service", "gatehouse-driver@modbus.service", "gatehouse-driver@sim.service"
BLE = "gatehouse-driver@ble.service"
MANAGER = ("org.gatehouse1", "/org/gatehouse1", "org.gatehouse1.Manager")
WARNING = 4
BLE_EXPOSURE_MAX = 0.6
EXPOSURE_MAX = {AGENT: 1.3, MODBUS: 1.5, SIM: 1.3, "gatehouse-keyfile.service": 1.3, "gatehouse-registrar-golioth@x.service": 1.3}
OWN_UNITS = (AGENT, MODBUS, SIM, "gatehouse-keyfile.service")


class World:
    """What one case leaves to the next."""

    def __init__(self):
        self.figures = {}
        self.shell = Shell("/root")
        self.lines = [line for line in read(os.path.join(SHARED, "install")).splitlines() if line.strip()]
        self.keys = {}


def state(name):
    return unit(name, "ActiveState")


def active(*names):
    return all(state(name) == "active" for name in names)


def status_of(*command, **options):
    return run(*command, **options)[0]


def samples_go_on(w, *devices, seconds=30):
    after = w.cloud.mark()
    for device in devices:
        w.cloud.wait("sample", device, after, seconds)


def show(device):
    return json.loads(ok("gatehousectl", "--json=short", "show", device))["result"]


def online(*devices):
    for device in devices:
        wait_for(f"{device} online", lambda d=device: show(d)["state"] == "online", 90)


def answered(*command, **options):
    """What it printed. Where the Modbus server did not get to answer within the second that a device gives it, it is told again."""
    def told():
        status, text = run(*command, **options)
        late = status != 0 and "does not answer" in text
        check(status == 0 or late, f"{' '.join(command)} ended with status {status}: {text}")
        return text if status == 0 else None
    return wait_for(f"an answer to {' '.join(command)}", told)


def said_in_journal(name, mark, words):
    """What was written before a process ended may reach the journal after its end was seen."""
    def said():
        return [e["MESSAGE"] for e in journal(name, since=mark)]
    wait_for(lambda: f"{words!r} in the journal: {said()}", lambda: any(words in m for m in said()), 10)


def again():
    """The agent is started anew, more often than systemd takes for sound."""
    ok("systemctl", "reset-failed", AGENT)
    ok("systemctl", "start", AGENT)


def write(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


# ── The cases ──

def installed(w):
    """apt install: the agent runs, and waits for devices"""
    w.figures["_begun"] = time.monotonic()
    while w.lines and not w.lines[0].startswith("gatehousectl "):
        w.shell.type(w.lines.pop(0))
    wait_for("the agent runs", lambda: active(AGENT), 30)
    wait_for(lambda: unit(AGENT, "StatusText"), lambda: unit(AGENT, "StatusText") == "0 of 0 devices online")
    w.figures["install_seconds"] = round(time.monotonic() - w.figures["_begun"], 1)


def quiet(w):
    """without devices the journal has a few lines and no warning"""
    wait_for("the driver is there", lambda: active(SIM), 20)
    entries = journal(*OWN_UNITS)
    bad = [e["MESSAGE"] for e in entries if int(e["PRIORITY"]) <= WARNING]
    if "overlay" in ok("stat", "--file-system", "--format=%T", "/var/lib/gatehouse"):
        # where this test runs, not what it is about
        bad = [m for m in bad if not m.startswith("/var/lib/gatehouse is on an overlay")]
    own = [e["MESSAGE"] for e in entries if e.get("SYSLOG_IDENTIFIER", "").startswith("gatehouse")]
    check(not bad, bad)
    check(len(own) <= 8, own)


def keyfile(w):
    """the keyfile was made at the first start: 32 bytes, 0400, root's, in a directory of root's"""
    s, d = os.stat(KEYS + "/current"), os.stat(KEYS)
    check((s.st_mode & 0o7777, s.st_uid, s.st_size) == (0o400, 0, 32), s)
    check((d.st_mode & 0o7777, d.st_uid) == (0o700, 0), d)
    check(os.listdir(KEYS) == ["current"], os.listdir(KEYS))
    d = os.stat("/var/lib/gatehouse")
    check(d.st_mode & 0o7777 == 0o700 and d.st_uid != 0, d)
    w.keyfile = open(KEYS + "/current", "rb").read()


def first_sample(w):
    """the README's commands, as typed: the first sample is in the cloud"""
    seen = w.shell.output
    while w.lines:
        line = w.lines.pop(0)
        w.shell.type(line + (" &" if line.startswith("gatehouse-devcloud ") else ""))
    wait_for(lambda: read(seen)[-1500:], lambda: re.search(r"^sim-1 +level +-?\d", read(seen), re.MULTILINE), 30)
    w.figures["apt_to_first_sample_seconds"] = round(time.monotonic() - w.figures.pop("_begun"), 1)
    w.shell.type("kill %1")
    w.sim_identity, w.sim_key = read("/root/cloud.psk").strip().split(":")


def modbus(w):
    """a plugin installed beside the agent runs; a Modbus server's values arrive"""
    pid = unit(AGENT, "MainPID")
    ok("apt-get", "install", "gatehouse-plugin-modbus", timeout=120)
    wait_for("the driver runs", lambda: active(MODBUS))
    check(unit(AGENT, "MainPID") == pid, "the agent was not restarted for it")
    key = secrets.token_hex(32)
    later = secrets.token_hex(32)
    w.keys = {"boiler-1": key, "sim-1": w.sim_key, onair.NAME: later}
    w.cloud = Cloud("/root", [f"{w.sim_identity}:{w.sim_key}:sim-1", f"first-2:{key}:boiler-1", f"first-3:{later}:{onair.NAME}"])
    ok("systemd-run", "--quiet", "--unit=modbus-server", "python3", SHARED + "/pymodbus-server.py", "--port", "1502")
    ok("cp", EXAMPLES + "/boiler-1.json", "/etc/gatehouse/devices.d/")
    ok("systemctl", "reload", AGENT)
    write("/root/boiler-1.key", key)
    ok("gatehousectl", "key", "set", "boiler-1", "first-2", "/root/boiler-1.key", "--encoding=hex")
    e = w.cloud.wait("sample", "boiler-1")
    check((e["name"], e["value"], e["unit"]) == ("flow_temp", 55, "Cel"), e)
    w.cloud.wait("sample", "sim-1", seconds=60)
    online("boiler-1", "sim-1")
    wait_for(lambda: unit(AGENT, "StatusText"), lambda: unit(AGENT, "StatusText") == "2 of 2 devices online")


def serial(w):
    """a serial line that is plugged in for the first time while the driver runs: its values can be read"""
    device = {"device": "meter-1", "uplink": "cloud", "driver": "modbus",
              "modbus": {"url": "rtu:/dev/serial-test?baud=19200", "unit": 1, "interval": "1s"},
              "points": {"a": {"table": "input", "address": 10, "type": "uint16"}}}
    write("/etc/gatehouse/devices.d/meter-1.json", json.dumps(device))
    ok("systemctl", "reload", AGENT)

    def read_it():
        return run("gatehousectl", "read", "meter-1", "a")
    wait_for(read_it, lambda: "no such device" in read_it()[1])
    ok("systemd-run", "--quiet", "--unit=serial-line", "python3", SHARED + "/lines.py", "/dev/serial-test")
    wait_for(read_it, lambda: read_it()[0] == 0 and "2571" in read_it()[1], 30)
    devices = ok("systemctl", "show", "--property=DeviceAllow", MODBUS)
    check("char-ttyUSB" in devices and "/dev/char/188:0" in devices, devices)
    text = "\n".join(str(e.get("MESSAGE", "")) for e in journal())
    check("stat device" not in text and "/dev/char/" not in text, "the numbers of absent devices are taken without a word")
    os.unlink("/etc/gatehouse/devices.d/meter-1.json")
    ok("systemctl", "reload", AGENT)
    ok("systemctl", "stop", "serial-line")


def bluetooth(w):
    """from apt install gatehouse-plugin-ble to a BTHome sensor's first sample; the plugin goes, and the rest goes on"""
    begun, pid = time.monotonic(), unit(AGENT, "MainPID")
    ok("apt-get", "install", "gatehouse-plugin-ble", timeout=300)
    wait_for("the driver runs", lambda: active(BLE))
    check(unit(AGENT, "MainPID") == pid, "the agent was not restarted for it")
    with onair.thermometer():
        # The driver looks for bluetoothd every few seconds.
        wait_for("it is found, and named", lambda: onair.NAME in run("gatehousectl", "scan", "ble", "seconds=3")[1])
        ok("gatehousectl", "scan", "ble", onair.ADDRESS, "--add", "seconds=3")
        write("/root/bthome.key", w.keys[onair.NAME])
        ok("gatehousectl", "key", "set", onair.NAME, "first-3", "/root/bthome.key", "--encoding=hex")
        e = w.cloud.wait("sample", onair.NAME)
        check((e["name"], e["value"], e["unit"]) == ("temperature", onair.CELSIUS, "Cel"), e)
        w.figures["apt_to_first_ble_sample_seconds"] = round(time.monotonic() - begun, 1)
        text = ok("systemd-analyze", "security", "--no-pager", BLE)
        score = float(re.search(r"Overall exposure level for \S+: ([\d.]+)", text).group(1))
        w.figures.setdefault("exposure", {})["gatehouse-driver@ble"] = score
        check(score <= BLE_EXPOSURE_MAX, f"{BLE}: {score}, at most {BLE_EXPOSURE_MAX}")
        check(unit(BLE, "RestrictAddressFamilies") == "AF_UNIX", unit(BLE, "RestrictAddressFamilies"))
        ok("gatehousectl", "device", "remove", onair.NAME, "--yes")
    ok("apt-get", "purge", "gatehouse-plugin-ble", timeout=120)
    check(state(BLE) == "inactive" and active(AGENT, SIM), "only the plugin's driver ended")
    samples_go_on(w, "sim-1", "boiler-1")


def calls(w):
    """busctl and gatehousectl, as root: list, show, read, write"""
    text = ok("busctl", "call", *MANAGER, "ListDevices", "a{sv}", "0")
    check('"boiler-1"' in text and '"sim-1"' in text and '"online"' in text, text)
    check("u 2" in ok("busctl", "get-property", *MANAGER, "Devices"), "the property Devices")
    check("boiler-1" in ok("gatehousectl", "list"), "gatehousectl list")
    check("forward secrecy" in ok("gatehousectl", "show", "boiler-1"), "gatehousectl show")
    answered("gatehousectl", "write", "boiler-1", "setpoint", "21.5")
    check("21.5" in answered("gatehousectl", "read", "boiler-1", "setpoint"), "what was written is read")
    check("/org/gatehouse1/device/boiler_2d1" in ok("busctl", "tree", "org.gatehouse1"), "busctl tree")


def stranger(w):
    """a stranger may look, and is refused what changes anything; a driver's user may not even look"""
    check(status_of("gatehousectl", "status", user="nobody") == 0, "looking is free")
    for command in (("reload",), ("rotate", "boiler-1"), ("write", "boiler-1", "setpoint", "5"), ("read", "boiler-1", "setpoint"),
                    ("disconnect", "boiler-1"), ("key", "export", "boiler-1", "main"), ("device", "remove", "sim-1", "--yes")):
        status, text = run("gatehousectl", *command, user="nobody")
        check(status == 5, f"gatehousectl {' '.join(command)}: status {status}, not 5: {text}")
    status, text = run("busctl", "call", *MANAGER, "Reload", user="nobody")
    check(status != 0 and "Access denied" in text, text)
    for user in ("gatehouse-modbus", "gatehouse-sim"):
        status, text = run("busctl", "call", *MANAGER, "ListDevices", "a{sv}", "0", user=user)
        check(status != 0 and re.search("denied|rejected", text, re.IGNORECASE), f"{user}: {text}")
    samples_go_on(w, "boiler-1")


def administrator(w):
    """a member of gatehouse-admin may do all but give and take keys"""
    users = "u operator - \"an operator\"\nm operator gatehouse-admin\n"
    write("/root/operator.conf", users)
    ok("systemd-sysusers", "/root/operator.conf")
    answered("gatehousectl", "write", "boiler-1", "setpoint", "22.5", user="operator")
    ok("gatehousectl", "reload", user="operator")
    ok("gatehousectl", "disconnect", "sim-1", user="operator")
    ok("gatehousectl", "connect", "sim-1", user="operator")
    for command in (("key", "export", "boiler-1", "main"), ("key", "forget", "boiler-1", "backup"), ("vault", "verify")):
        status, text = run("gatehousectl", *command, user="operator")
        check(status == 5, f"gatehousectl {' '.join(command)}: status {status}, not 5: {text}")
    online("sim-1")


def confined(w):
    """a driver can read neither the state, nor the key, nor the agent's memory"""
    agent = unit(AGENT, "MainPID")
    places = ("/var/lib/gatehouse/vault.db", "/run/credentials/gatehouse.service/key_current", KEYS + "/current", CONFIG,
              f"/proc/{agent}/environ", f"/proc/{agent}/maps")
    for driver, user in ((MODBUS, "gatehouse-modbus"), (SIM, "gatehouse-sim")):
        pid, uid = unit(driver, "MainPID"), ok("id", "-u", user).strip()
        check(f"Uid:\t{uid}\t{uid}" in read(f"/proc/{pid}/status"), f"{driver} runs as {user}")
        check("Seccomp:\t2" in read(f"/proc/{pid}/status"), "its system calls are filtered")
        who = (pid, int(uid), os.stat(f"/proc/{pid}").st_gid)
        check(opens_inside(*who, f"/proc/{pid}/maps"), "its own memory's map")
        for place in places:
            ok("head", "-c1", place)
            check(not opens_inside(*who, place), f"{driver} can read {place}")
        for place in ("/run/gatehouse/x", "/etc/x", "/usr/x"):
            check(not opens_inside(*who, place, os.O_WRONLY | os.O_CREAT), f"{driver} can write {place}")


def rotated(w):
    """rotate: finished, the new key is in use"""
    before, mark = show("boiler-1"), w.cloud.mark()
    ok("gatehousectl", "rotate", "boiler-1", timeout=90)
    after = show("boiler-1")
    check(after["main_identity"] != before["main_identity"] and after["backup_identity"] == before["main_identity"], after)
    check(w.cloud.wait("credential", "boiler-1", mark)["identity"] == after["main_identity"], "learnt by the cloud")
    check(w.cloud.wait("session", "boiler-1", mark)["identity"] == after["main_identity"], "a session with the new key")
    samples_go_on(w, "boiler-1")


def registrar(w):
    """a registrar is started by its socket, for the agent only, and tells Golioth's calls of the new key"""
    agent, sock = ok("id", "-u", "gatehouse").strip(), "/run/gatehouse-registrar/golioth.sock"
    check(os.stat(sock).st_mode & 0o7777 == 0o660 and str(os.stat(sock).st_gid) == ok("id", "-g", "gatehouse").strip(), "0660")
    write("/root/api-key", "secret-of-this-test\n")
    os.makedirs("/etc/gatehouse/api-keys", exist_ok=True)
    ok("install", "-m0400", "/root/api-key", "/etc/gatehouse/api-keys/golioth")
    key = secrets.token_hex(32)
    cloud = Cloud("/root", [f"first-3@barn:{key.encode().hex()}:sim-2"], "golioth", "--port", "5685", "--https-port", "8443",
                  "--https-ca", "/etc/gatehouse/ca.pem", "--golioth-project", "barn", "--api-key-file", "/root/api-key")
    cloud.wait("listening", None)
    config = read(CONFIG)
    uplink = {"url": "coaps://127.0.0.1:5685", "profile": "senml",
              "registrar": {"type": "golioth", "project": "barn", "url": "https://127.0.0.1:8443", "ca": "/etc/gatehouse/ca.pem"}}
    write(CONFIG, config.replace('"cloud": {', f'"golioth": {json.dumps(uplink)},\n"cloud": {{', 1))
    write("/etc/gatehouse/devices.d/sim-2.json", read(EXAMPLES + "/sim-1.json").replace("sim-1", "sim-2")
          .replace('"uplink": "cloud"', '"uplink": "golioth"'))
    ok("systemctl", "reload", AGENT)
    write("/root/sim-2.key", key)
    ok("gatehousectl", "key", "set", "sim-2", "first-3@barn", "/root/sim-2.key", "--encoding=text")
    cloud.wait("sample", "sim-2")
    ok("gatehousectl", "rotate", "sim-2", timeout=90)
    identity = show("sim-2")["main_identity"]
    check(identity.endswith("@barn") and identity != "first-3@barn", identity)
    cloud.wait("sample", "sim-2", cloud.mark())
    wait_for("the unit's instances are gone", lambda: "gatehouse-registrar-golioth@" not in
             ok("systemctl", "list-units", "--all", "--plain", "--no-legend", "gatehouse-registrar-golioth@*"))
    status, text = run("python3", "-c", f"import socket; socket.socket(socket.AF_UNIX).connect('{sock}')", user="nobody")
    check(status != 0 and "Permission" in text, text)
    ok("python3", "-c", f"import os, socket; os.setgid({os.stat(sock).st_gid}); os.setuid({agent}); "
       f"socket.socket(socket.AF_UNIX).connect('{sock}')")
    os.unlink("/etc/gatehouse/devices.d/sim-2.json")
    write(CONFIG, config)
    ok("systemctl", "reload", AGENT)


def driver_killed(w):
    """a driver that is killed is started again, and samples go on"""
    pid = unit(MODBUS, "MainPID")
    os.kill(int(pid), signal.SIGKILL)
    wait_for("another process", lambda: active(MODBUS) and unit(MODBUS, "MainPID") not in (pid, "0"))
    samples_go_on(w, "boiler-1")
    check(unit(AGENT, "NRestarts") == "0", "the agent went on")


def watchdog(w):
    """an agent that hangs is ended by its watchdog and started again; sessions are up"""
    pid, begun = unit(AGENT, "MainPID"), time.monotonic()
    os.kill(int(pid), signal.SIGSTOP)
    wait_for("another agent", lambda: active(AGENT) and unit(AGENT, "MainPID") not in (pid, "0"), 120)
    w.figures["watchdog_seconds"] = round(time.monotonic() - begun, 1)
    check(unit(AGENT, "NRestarts") == "1", unit(AGENT, "NRestarts"))
    wait_for("drivers", lambda: active(MODBUS, SIM))
    online("boiler-1", "sim-1")
    samples_go_on(w, "boiler-1", "sim-1", seconds=60)


def refused_on_reload(w):
    """a mistake in a file: the reload fails and says where, and what runs goes on"""
    pid, good = unit(AGENT, "MainPID"), read(CONFIG)
    mark = cursor()
    write(CONFIG, '{ "uplinks": { "cloud": { "url": "coaps://127.0.0.1:5684", "profile": "senml" } },\n  "rotatoin": {} }\n')
    try:
        check(status_of("systemctl", "reload", AGENT) != 0, "the reload is refused")
        said_in_journal(AGENT, mark, CONFIG + ":2:3:")
    finally:
        write(CONFIG, good)
    bad = "/etc/gatehouse/devices.d/bad.json"
    write(bad, '{ "device": "bad", "uplink": "clod", "driver": "sim",\n  "sim": {}, "points": {} }\n')
    mark = cursor()
    try:
        check(status_of("systemctl", "reload", AGENT) != 0, "the reload is refused")
        said_in_journal(AGENT, mark, bad + ":1:30:")
    finally:
        os.unlink(bad)
    check(active(AGENT) and unit(AGENT, "MainPID") == pid, "the agent went on")
    samples_go_on(w, "boiler-1")
    ok("systemctl", "reload", AGENT)


def refused_at_start(w):
    """a mistake in gatehouse.json at the start: status 78, and no restarts"""
    good = read(CONFIG)
    write(CONFIG, '{ "uplinks": [] }\n')
    mark = cursor()
    try:
        check(status_of("systemctl", "restart", AGENT) != 0, "the start fails")
        wait_for(lambda: state(AGENT), lambda: state(AGENT) == "failed")
        values = unit(AGENT, "ExecMainStatus", "NRestarts", "Result")
        check((values["ExecMainStatus"], values["NRestarts"], values["Result"]) == ("78", "0", "exit-code"), values)
        said_in_journal(AGENT, mark, CONFIG + ":1:14:")
    finally:
        write(CONFIG, good)
    again()
    wait_for("drivers", lambda: active(MODBUS, SIM))
    online("boiler-1", "sim-1")
    samples_go_on(w, "boiler-1", "sim-1")


def stopped(w):
    """stop: sessions are closed, status says "not running" with exit status 3, and a call starts nothing"""
    mark = w.cloud.mark()
    ok("systemctl", "stop", AGENT)
    for device in ("boiler-1", "sim-1"):
        w.cloud.wait("closed", device, mark)
    for command in (("status",), ("list",), ()):
        status, text = run("gatehousectl", *command)
        check(status == 3 and "not running" in text, f"status {status}: {text}")
    run("busctl", "call", *MANAGER, "ListDevices", "a{sv}", "0")
    wait_for("all of it to be stopped", lambda: [state(u) for u in (AGENT, MODBUS, SIM)] == ["inactive"] * 3)


def same_key(w):
    """started again: the same keyfile, and all is as it was"""
    check(open(KEYS + "/current", "rb").read() == w.keyfile, "the keyfile is the same")
    again()
    online("boiler-1", "sim-1")
    samples_go_on(w, "boiler-1", "sim-1")
    ok("gatehousectl", "vault", "verify")


def vault_care(w):
    """rekeyed while it runs; a backup made by root and put back while it is stopped is the agent's, and in the journal"""
    ok("gatehousectl", "vault", "rekey")
    new = open(KEYS + "/current", "rb").read()
    check(new != w.keyfile and os.listdir(KEYS) == ["current"], os.listdir(KEYS))
    check(os.stat(KEYS + "/current").st_mode & 0o777 == 0o400, "the new keyfile is 0400")
    w.keyfile = new
    ok("systemctl", "restart", AGENT)
    online("boiler-1", "sim-1")
    ok("gatehousectl", "vault", "backup", "/root/backup")
    ok("systemctl", "stop", AGENT)
    ok("gatehoused", "--restore", "/root/backup", "--keyfile", KEYS + "/current")
    agent = os.stat("/var/lib/gatehouse").st_uid
    for name in os.listdir("/var/lib/gatehouse"):
        check(os.stat("/var/lib/gatehouse/" + name).st_uid == agent, f"{name} is not the agent's")
    again()
    online("boiler-1", "sim-1")
    ok("gatehousectl", "rotate", "boiler-1", timeout=90)
    ids = dict(re.findall(r"^-- ([0-9a-f]{32})\nSubject: (.*)$", read("/usr/lib/systemd/catalog/gatehouse.catalog"), re.MULTILINE))
    for subject in ("The vault was sealed anew under a new keyfile", "A backup of the vault was put back"):
        one, = (i for i, s in ids.items() if s == subject)
        text = ok("journalctl", "--no-pager", "-x", "MESSAGE_ID=" + one)
        check(subject in text and "(by uid 0)" in text, f"{subject}: {text}")


def no_second_key(w):
    """a vault without its keyfile: no other key is made, and the error says what is missing"""
    ok("systemctl", "stop", AGENT)
    os.rename(KEYS + "/current", "/root/kept")
    mark, restarts = cursor(), unit(AGENT, "NRestarts")
    run("systemctl", "start", AGENT)
    for words in (f"cannot open keyfile {KEYS}/current", f"put a copy of its keyfile to {KEYS}/current",
                  f"gatehoused --recover --keyfile {KEYS}/current", "gatehoused --restore FILE"):
        said_in_journal(AGENT, mark, words)
    wait_for("given up", lambda: state(AGENT) == "failed")
    check(unit(AGENT, "ExecMainStatus") == "78" and unit(AGENT, "NRestarts") == restarts, "it does not loop")
    check(os.listdir(KEYS) == [], "no key was made")
    os.rmdir(KEYS)
    run("systemctl", "start", AGENT)
    wait_for("given up", lambda: state(AGENT) == "failed")
    check(unit(AGENT, "NRestarts") == restarts, "nor without the directory")
    os.mkdir(KEYS, 0o700)
    os.rename("/root/kept", KEYS + "/current")
    again()
    online("boiler-1")


def removed(w):
    """a plugin removed: its driver ends, the rest goes on; all removed and installed again: the same keys"""
    ok("apt-get", "remove", "gatehouse-plugin-modbus", timeout=120)
    check(state(MODBUS) == "inactive" and active(AGENT, SIM), f"only the plugin's driver ended: {state(MODBUS)}")
    ok("systemctl", "restart", AGENT)
    wait_for("the agent and the other driver", lambda: active(AGENT, SIM))
    check(state(MODBUS) == "inactive", f"the driver of a plugin that is gone: {state(MODBUS)}")
    run("systemctl", "start", MODBUS)
    wait_for("it to end", lambda: state(MODBUS) == "failed")
    check(unit(MODBUS, "NRestarts") == "0" and unit(MODBUS, "ExecMainStatus") == "78", "it loops")
    ok("systemctl", "reset-failed", MODBUS)
    samples_go_on(w, "sim-1")
    ok("apt-get", "remove", "gatehouse", "gatehouse-devcloud", timeout=120)
    check(not active(AGENT) and not active(SIM), "all of it ended")
    check(os.path.exists(KEYS + "/current") and os.path.exists("/var/lib/gatehouse/vault.db"), "keyfile and vault stay")
    ok("apt-get", "install", "gatehouse", "gatehouse-devcloud", "gatehouse-plugin-modbus", timeout=120)
    online("sim-1", "boiler-1")
    samples_go_on(w, "sim-1", "boiler-1")


def log_level(w):
    """systemctl service-log-level speaks to the agent"""
    check(ok("systemctl", "service-log-level", "gatehouse").strip() == "info", "as it begins")
    ok("systemctl", "service-log-level", "gatehouse", "debug")
    check(ok("systemctl", "service-log-level", "gatehouse").strip() == "debug", "as it was set")
    ok("systemctl", "service-log-level", "gatehouse", "info")
    check(status_of("systemctl", "service-log-level", "gatehouse", "debug", user="nobody") != 0, "nobody sets it")


def executes_nothing_else(w):
    """neither agent nor driver can execute another program, or a file that they write"""
    for name, program in ((AGENT, "/usr/sbin/gatehoused"), (SIM, "/usr/libexec/gatehouse/gatehouse-driver"),
                          (MODBUS, "/usr/libexec/gatehouse/gatehouse-driver")):
        mounts = [line.split() for line in read(f"/proc/{unit(name, 'MainPID')}/mountinfo").splitlines()]
        # the last one on a place hides those before
        options = {m[4]: m[5].split(",") for m in mounts}
        check("noexec" not in options[program], f"{name}: itself: {options}")
        for place in ("/", "/usr/bin", "/etc", "/tmp", "/var/tmp", "/var/lib/gatehouse", "/run", "/run/gatehouse", "/dev/shm", "/home"):
            covers = max((m for m in options if (place + "/").startswith(m.rstrip("/") + "/")), key=len)
            check("noexec" in options[covers], f"{name} may execute what is in {place}: {covers} is {options[covers]}")


def purged(w):
    """purge says what it leaves, and leaves it"""
    text = ok("apt-get", "purge", "gatehouse", "gatehouse-devcloud", "gatehouse-plugin-modbus", timeout=120)
    check("left in place: /etc/gatehouse /var/lib/gatehouse" in text and "rm -r /etc/gatehouse /var/lib/gatehouse" in text, text)
    check(open(KEYS + "/current", "rb").read() == w.keyfile and os.path.exists("/var/lib/gatehouse/vault.db"), "keyfile and vault stay")


def exposure(w):
    """systemd-analyze security and verify"""
    for name, most in EXPOSURE_MAX.items():
        text = ok("systemd-analyze", "security", "--no-pager", name)
        score = float(re.search(r"Overall exposure level for \S+: ([\d.]+)", text).group(1))
        w.figures.setdefault("exposure", {})[name.removesuffix(".service")] = score
        check(score <= most, f"{name}: {score}, at most {most}")
    status, text = run("systemd-analyze", "verify", AGENT, MODBUS, SIM, "gatehouse-keyfile.service")
    # without a man(1) here, as in a minimal system, Documentation=man: cannot be followed
    own = [line for line in text.splitlines() if "gatehouse" in line and "Command 'man " not in line]
    check(not own and (status == 0 or "Command 'man " in text), text)


def no_key_told(w):
    """no key in the journal, nor in what the programs were started with"""
    text = "\n".join(str(e.get("MESSAGE", "")) for e in journal())
    for device, key in w.keys.items():
        check(key not in text and key.upper() not in text, f"the first key of {device} is in the journal")
    check(w.keyfile.hex() not in text, "the keyfile is in the journal")
    check("sim-1" in text or "boiler-1" in text, "the journal was looked at")


CASES = (installed, quiet, keyfile, first_sample, modbus, serial, bluetooth, calls, stranger, administrator, person.polkit, confined, rotated, registrar,
         driver_killed, watchdog, refused_on_reload, refused_at_start, stopped, same_key, vault_care, no_second_key, removed, log_level,
         executes_nothing_else, exposure, no_key_told, purged, *onboarding.CASES)


def run_cases(w, cases):
    failed = 0
    with open(os.path.join(SHARED, "results"), "w", encoding="utf-8") as results:
        for case in cases:
            print(f"\n=== {case.__name__}", flush=True)
            begun, reason = time.monotonic(), None
            try:
                case(w)
            except Failure as e:
                reason = str(e)
            except Exception:  # what a case did not foresee is a failure of that case
                reason = traceback.format_exc()
            if reason:
                failed += 1
                print(f"FAILED: {reason}", flush=True)
                run("journalctl", "--no-pager", "-n", "60")
            print(json.dumps({"case": case.__name__, "what": case.__doc__, "passed": not reason, "reason": reason,
                              "seconds": round(time.monotonic() - begun, 1)}), file=results, flush=True)
        print(json.dumps({"figures": w.figures}), file=results, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(run_cases(World(), CASES))
