#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""gatehousectl: every verb but `key`, what it prints for people and for programs, and its exit status."""
import json
import os
import subprocess

import harness
from agent_bench import refused, sessions, sim_bench, wait_samples
from harness import check, wait_for

CTL = "agent/gatehousectl/gatehousectl"
STRANGER = "65534"
POINTS = {"x": {"signal": "sine", "unit": "Cel"}, "count": {"signal": "counter"},
          "target": {"signal": "constant", "value": 21, "writable": True, "min": 5, "max": 30},
          "name": {"signal": "constant", "value": "kettle", "writable": True},
          "on": {"signal": "constant", "value": False, "writable": True}}
ON_DEVICES = (["show"], ["rotate"], ["connect"], ["disconnect"], ["key", "promote"])


def fails(bench, status, *arguments, says=(), stdin=b""):
    return refused(bench.ctl(*arguments, status=None, stdin=stdin), status, *says)


def without_an_agent(bench):
    bench.bus()
    for verb in (["status"], [], ["list"], ["show", "a"], ["rotate", "--all"], ["rotate", "a"], ["read", "a", "x"],
                 ["write", "a", "x", "1"], ["key", "promote", "a"], ["device", "add", "a"], ["device", "remove", "a", "--yes"],
                 ["connect", "a"], ["disconnect", "a"], ["reload"], ["vault", "verify"], ["watch"]):
        fails(bench, 3, *verb, says=["gatehoused is not running"])
    bench.env["DBUS_SYSTEM_BUS_ADDRESS"] = "unix:path=" + bench.path("nowhere")
    fails(bench, 1, "status", says=["cannot reach the system bus"])


def usage(bench):
    for verb in (["stat"], ["show"], ["show", "a", "b"], ["rotate"], ["rotate", "a", "--all"], ["--json=yes", "list"],
                 ["--colour"], ["key", "set"], ["key", "put", "a"], ["vault", "open"], ["vault", "init"], ["device", "add"],
                 ["write", "a", "x"], ["read"], ["read", "a", "b", "c"], ["read", "a", "--all"], ["connect"], ["connect", "a", "--all"], ["list", "--state=onlin"],
                 ["list", "--state=online,onlin"], ["list", "--sensor="], ["--type=q", "write", "a", "x", "1"], ["rotate"]):
        done = bench.ctl(*verb, status=None)
        check(done.returncode == 2 and done.stderr and not done.stdout, f"{verb}: {done}")
    check("exit status:" in bench.ctl("--help"), "help")
    check(bench.ctl("--version").startswith("gatehousectl "), "version")


def looking(bench):
    sim_bench(bench, ("a", "b"), connect=True)
    bench.write_json("devices.d/c.json", {"device": "c", "uplink": "cloud", "driver": "modbus", "points": {},
                                          "modbus": {"url": "tcp://127.0.0.1:1", "unit": 1}})
    bench.ctl("reload")
    status = bench.ctl_json()
    check((status["devices"], status["online"], status["vault_state"]) == (3, 2, "open"), status)
    check(status["states"] == {"online": 2, "no-credential": 1}, status)
    check([d["state"] for d in status["drivers"] if d["name"] == "sim"] == ["connected"], status["drivers"])
    text = bench.ctl("status")
    check("devices: 3, 2 online" in text and "no-credential: 1" in text and "sim" in text, text)
    rows = json.loads(bench.ctl("--json=pretty", "list"))["result"]["devices"]
    check([(r["device"], r["driver"], r["uplink"], r["state"]) for r in rows] ==
          [("a", "sim", "cloud", "online"), ("b", "sim", "cloud", "online"), ("c", "modbus", "cloud", "no-credential")], rows)
    check(len(bench.ctl("--json=pretty", "list").splitlines()) > 10 and
          len(bench.ctl("--json=short", "list").splitlines()) == 1, "pretty has lines, short is one")
    text = bench.ctl("list")
    check(text.splitlines()[0].split() == ["DEVICE", "DRIVER", "UPLINK", "STATE", "SENSOR"] and "3 devices." in text, text)
    check(len(bench.ctl("list", "--no-legend").splitlines()) == 3, "no legend")
    shown = bench.ctl_json("show", "a")
    check(shown["state"] == "online" and shown["main_identity"] == "first-a" and len(shown["main_fingerprint"]) == 16 and
          shown["suite"] and shown["forward_secrecy"] is True, shown)
    text = bench.ctl("show", "a")
    for words in ("state: online", "identity first-a, fingerprint " + shown["main_fingerprint"], "forward secrecy: yes", "recorded traffic safe: yes (PSK with ECDHE",
                  "backup key: none", "rotation: idle"):
        check(words in text, f"{words!r} is not in {text}")
    check("never" in bench.ctl("show", "c") and "main key: none" in bench.ctl("show", "c"), "one without a key")
    for verb in ON_DEVICES:
        fails(bench, 4, *verb, "nobody", says=["nobody"])
    fails(bench, 4, "read", "nobody", "x", says=["nobody"])
    fails(bench, 4, "write", "nobody", "x", "1")
    fails(bench, 4, "device", "remove", "nobody", "--yes")
    fails(bench, 4, "watch", "nobody")


def strangers_are_denied(bench):
    if os.geteuid() != 0:
        print("skipped: only root can be somebody else")
        return
    sim_bench(bench)
    os.chmod(bench.dir, 0o711)
    for directory in (bench.runtime, bench.state, bench.config):
        check(os.stat(directory).st_mode & 0o077 == 0, f"{directory} is open to others")

    def as_stranger(*arguments):
        with open(bench.path("device.json"), "rb") as stdin:
            return subprocess.run(["setpriv", "--reuid", STRANGER, "--clear-groups", harness.program(CTL), *arguments],
                                  stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  env=dict(os.environ, **bench.env), timeout=harness.DEADLINE)
    with open(bench.path("device.json"), "w", encoding="utf-8") as f:
        f.write("0123456789abcdef")
    if as_stranger("--version").returncode != 0:
        print("skipped: the build directory is not open to others")
        return
    for verb in (["rotate", "boiler-1"], ["rotate", "--all"], ["read", "boiler-1", "x"], ["write", "boiler-1", "x", "1"],
                 ["key", "set", "boiler-1", "i"], ["key", "forget", "boiler-1", "main"], ["key", "promote", "boiler-1"],
                 ["key", "export", "boiler-1", "main"], ["device", "add", "n"], ["device", "remove", "boiler-1", "--yes"],
                 ["connect", "boiler-1"], ["disconnect", "boiler-1"], ["reload"], ["vault", "verify"], ["watch"]):
        done = as_stranger(*verb)
        check(done.returncode == 5 and b"has not" in done.stderr and not done.stdout, f"{verb}: {done}")
    for verb in (["status"], ["list"], ["show", "boiler-1"]):
        check(as_stranger(*verb).returncode == 0, f"{verb} is for everybody")


def reading_and_writing(bench):
    _, driver, cloud, _ = sim_bench(bench, points=POINTS)
    bench.ctl("write", "boiler-1", "target", "22.5")
    check(float(bench.ctl("read", "boiler-1", "target")) == 22.5, "what was written is read")
    wait_for("it in the cloud", lambda: any(s["value"] == 22.5 for s in cloud.samples("boiler-1", "target")))
    answer = bench.ctl_json("read", "boiler-1", "target")
    check(answer["value"] == 22.5 and answer["time"] > 1.7e15, answer)
    bench.ctl("write", "boiler-1", "name", "teapot")
    check(bench.ctl("read", "boiler-1", "name") == "teapot\n", "a text")
    bench.ctl("write", "boiler-1", "on", "true")
    check(bench.ctl("read", "boiler-1", "on") == "true\n", "a truth")
    bench.ctl("--type=s", "write", "boiler-1", "name", "12")
    check(bench.ctl("read", "boiler-1", "name") == "12\n", "a text that looks like a number")
    fails(bench, 2, "--type=b", "write", "boiler-1", "on", "yes", says=["'yes'"])
    fails(bench, 2, "--type=x", "write", "boiler-1", "target", "9.5", says=["'9.5'"])
    fails(bench, 1, "write", "boiler-1", "x", "1", says=["x of boiler-1 is not writable", '"writable": true'])
    fails(bench, 1, "write", "boiler-1", "target", "30.1", says=["30.1 is beyond the limits of target of boiler-1, 5 to 30"])
    fails(bench, 1, "write", "boiler-1", "target", "--", "-1", says=["beyond the limits"])
    fails(bench, 1, "write", "boiler-1", "target", "warm", says=["takes numbers from 5 to 30"])
    fails(bench, 1, "write", "boiler-1", "target", "nan", says=["finite"])
    fails(bench, 1, "write", "boiler-1", "tagret", "20", says=["boiler-1 has no point 'tagret'"])
    fails(bench, 1, "read", "boiler-1", "tagret", says=["boiler-1 has no point 'tagret'"])
    check(float(bench.ctl("read", "boiler-1", "target")) == 22.5, "what was refused changed nothing")
    driver.stop()
    bench.wait_property("boiler-1", "State", "no-driver")
    fails(bench, 1, "write", "boiler-1", "target", "20", says=["the driver sim of boiler-1 is away"])
    fails(bench, 1, "read", "boiler-1", "target", says=["the driver sim of boiler-1 is away"])


def device_file(bench, device, **changes):
    value = {"device": device, "uplink": "cloud", "driver": "sim", "sim": {"interval": "100ms"}, "points": {"x": {}}}
    value.update(changes)
    path = bench.path(device + "-file")
    with open(path, "w", encoding="utf-8") as f:
        json.dump(value, f, indent=1)
    return path


def devices_come_and_go(bench):
    agent, _, cloud, _ = sim_bench(bench)
    key = bench.new_key()
    cloud.do("add-credential", identity="first-new", key=key.hex(), device="new")
    bench.ctl("device", "add", "new", device_file(bench, "new"))
    bench.key_set("new", "first-new", key)
    wait_samples(cloud, "new", 3)
    fails(bench, 1, "device", "add", "new", device_file(bench, "new"), says=["there is a device 'new' already"])
    fails(bench, 1, "device", "remove", "boiler-1", "--yes", says=["boiler-1.json", "administrator"])
    check(bench.get("boiler-1", "State") == "online", "and stays")
    path = device_file(bench, "other", uplink="clod")
    fails(bench, 78, "device", "add", "other", path, says=["other.json:3:", '"clod"'])
    fails(bench, 78, "device", "add", "another", device_file(bench, "other"), says=['"other"', '"another"'])
    fails(bench, 78, "device", "add", "other", stdin=b'{"device": "other",', says=["other.json:1:"])
    fails(bench, 1, "device", "add", "other", bench.path("nowhere"), says=["nowhere"])
    check(os.listdir(os.path.join(bench.state, "devices.d")) == ["new.json"], "what was refused left no file")
    # kept: the credentials stay here and at the cloud, and serve again
    bench.ctl("device", "remove", "new", "--keep", "--yes")
    fails(bench, 4, "show", "new")
    check(len(cloud.credentials("new")) == 1, "kept at the cloud")
    with open(device_file(bench, "new"), "rb") as f:
        bench.ctl("device", "add", "new", "-", stdin=f.read())
    wait_samples(cloud, "new", 3)
    # removed: gone here at once, kept in mind until the cloud has deleted its credentials, also across a restart
    cloud.do("refuse", code="4.29", max_age=1, path="credentials", method="DELETE", device="new", times=0)
    bench.ctl("device", "remove", "new", "--yes")
    fails(bench, 4, "show", "new")
    check([r["device"] for r in bench.ctl_json("list")["devices"]] == ["boiler-1"], "not listed")
    fails(bench, 1, "device", "add", "new", device_file(bench, "new"), says=["not yet deleted"])
    agent.wait_text("new: the registrar says: the cloud answered 4.29")
    agent.restart()
    bench.wait_agent(agent)
    check(len(cloud.credentials("new")) == 1, "the cloud has it still")
    cloud.do("clear")
    wait_for("the deletion at the cloud", lambda: not cloud.credentials("new"), 20)
    wait_for("the end of the device", lambda: bench.ctl("device", "add", "new", device_file(bench, "new"),
                                                        status=None).returncode == 0)
    check(bench.get("new", "State") == "no-credential" and bench.get("new", "MainIdentity") == "", "as a new one")


def rotating(bench):
    _, _, cloud, _ = sim_bench(bench, ("a", "b", "c"))
    check(bench.ctl("rotate", "a").startswith("a: rotation done"), "for people")
    check(bench.get("a", "MainIdentity") != "first-a" and bench.get("a", "BackupIdentity") == "first-a", "roles exchanged")
    done = bench.ctl_json("rotate", "b")["jobs"][0]
    check((done["device"], done["state"], done["kind"], done["done"], done["total"]) == ("b", "done", "rotate", 1, 1), done)
    check([(r["device"], r["outcome"]) for r in done["results"]] == [("b", "done")], done)
    bench.write_device("d", "sim", {"x": {}})
    bench.ctl("reload")
    text = refused(bench.ctl("rotate", "c", "d", status=None), 6)
    check(bench.get("c", "MainIdentity") != "first-c", "the one was rotated")
    job = bench.ctl_json("rotate", "d", status=None)["result"]["jobs"][0]
    check(job["state"] == "failed" and "no key" in job["results"][0]["reason"], f"the other: {job} {text}")
    fails(bench, 1, "rotate", "d", "-q", says=["d: rotation failed: the device has no key yet"])
    check(bench.ctl("rotate", "a", "nobody", status=None).returncode in (1, 6), "one does not exist")
    fails(bench, 1, "rotate", "c", "--compromised", says=["revoke it at the cloud"])
    bench.ctl("disconnect", "c")
    fails(bench, 1, "rotate", "c", says=["connect it first"])
    check(bench.get("c", "State") == "disabled", "disconnected")
    count = sessions(cloud, "c")
    bench.ctl("connect", "c")
    bench.wait_property("c", "State", "online")
    check(sessions(cloud, "c") == count + 1, "one new session")


def vault(bench):
    sim_bench(bench, ("a", "b"))
    check("2 entries looked at, 0 with problems" in bench.ctl("vault", "verify"), "both are looked at")
    job = bench.ctl_json("vault", "verify")["jobs"][0]
    check((job["kind"], job["state"], job["total"], job["failed"]) == ("verify-vault", "done", 2, 0), job)
    fails(bench, 1, "vault", "init", "--keyfile", bench.keyfile, says=["exists"])
    check(os.stat(bench.keyfile).st_mode & 0o7777 == 0o400 and os.path.getsize(bench.keyfile) == 32, "and is as it was")
    fails(bench, 1, "vault", "init", "--keyfile", bench.path("nowhere", "key"), says=["nowhere"])
    check(bench.ctl("-q", "vault", "init", "--keyfile", bench.path("key2")) == "", "quiet")


def watching(bench):
    agent, _, _, _ = sim_bench(bench, ("a", "b"))
    watch = bench.spawn("watch", [harness.program(CTL), "--json=short", "watch", "a"])
    watch.wait_events(5, "sample", device="a", point="x", unit="Cel")
    bench.ctl("disconnect", "a")
    wait_for("the state", lambda: any(e["properties"]["state"] == "disabled" for e in watch.find_events("state", device="a")))
    bench.ctl("connect", "a")
    bench.wait_property("a", "State", "online")
    bench.ctl("rotate", "a")
    watch.wait_event("rotation", device="a", outcome="done")
    check(not watch.find_events("sample", device="b"), "only of the device asked for")
    people = bench.spawn("watch-text", [harness.program(CTL), "watch"])
    people.wait_text("b x = ")
    check("Cel" in people.text(), people.text())
    people.interrupt()
    check(people.wait() == 0, "Ctrl-C is no failure")
    agent.stop()
    check(watch.wait() == 3 and "has stopped" in watch.text(), "the agent's end is told")


if __name__ == "__main__":
    harness.main(without_an_agent, usage, looking, strangers_are_denied, reading_and_writing, devices_come_and_go, rotating,
                 vault, watching, needs=("busctl",))
