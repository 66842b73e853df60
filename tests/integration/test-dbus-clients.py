#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""org.gatehouse1 by the clients that people have: every method by busctl, gdbus and python3-dbus, which agree on what becomes of it; the
examples of doc/examples, one in C by gdbus-codegen; and clients that vanish."""
import json
import os
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree

import harness
from agent_bench import sim_bench
from dbus_client import Client
from harness import check, device_path, wait_for

MANAGER, DEVICE, JOB = ("org.gatehouse1." + n for n in ("Manager", "Device", "Job"))
ROOT = "/org/gatehouse1"
INTERFACES = os.path.join(harness.ROOT, "src", "bus", "interfaces")
EXAMPLES = os.path.join(harness.ROOT, "doc", "examples")
EVERY_METHOD = os.path.join(harness.ROOT, "tests", "integration", "every_method.py")
SYSTEM_PYTHON = "/usr/bin/python3"  # Debian's modules are for this one
BUSCTL_PASSES_DESCRIPTORS = 257
VANISHING = 100
POINTS = {"x": {"signal": "constant", "value": 1, "unit": "Cel", "writable": True, "min": 0, "max": 9}}


def device_text(name):
    return json.dumps({"device": name, "uplink": "cloud", "driver": "sim", "sim": {"interval": "100ms"}, "points": POINTS})


def methods(bench, who):
    """[(path, interface, method, [(type, value)...], expected)]: every method, in an order in which each finds what it needs. `expected`
    is a part of the error's message; None: it succeeds."""
    def scratch(name, data=b""):
        path = bench.path(f"{who}-{name}")
        with open(path, "wb") as f:
            f.write(data)
        os.chmod(path, 0o600)
        return path
    new, none = f"new-{who}", ("a{sv}", {})
    one, made = device_path("boiler-1"), device_path(new)
    job = bench.call(None, "VerifyVault")[0]
    key = os.urandom(32)
    bench.keys.append(key)
    manager = [
        ("ListDevices", [none], None), ("ListSensors", [none], None), ("GetSummary", [], None),
        ("GetDevice", [("s", "boiler-1")], None), ("GetDevice", [("s", "nobody")], "no device 'nobody'"),
        ("AddDevice", [("s", new), ("a{sv}", {"config": device_text(new)})], None),
        ("AddDevice", [("s", new), ("a{sv}", {"config": "{"})], ""),
        ("AddDevice", [("s", new), ("a{sv}", {"what": "x"})], "what"),
        ("Check", [none], None), ("Scan", [("s", "sim"), none], ""), ("ReadRaw", [("s", "sim"), none], ""),
        ("VerifyVault", [], None), ("Quiesce", [("a{sv}", {"seconds": "x"})], ""), ("Subscribe", [("as", ["boiler-1"])], None), ("Unsubscribe", [], None), ("Reload", [], None),
        ("Export", [("s", "csv"), ("h", scratch("list")), none], None), ("Backup", [("h", scratch("backup")), none], None),
        ("Provision", [("h", scratch("provision", b"nonsense\n")), none], ""),
        ("Rekey", [("h", scratch("rekey"))], ""), ("SetRecoveryKey", [("h", scratch("recovery"))], ""),
        ("RotateAll", [none], None),
    ]
    device = [
        ("SetCredential", [("s", "main"), ("s", f"{new}-1"), ("h", scratch("key", key)), none], ""),
        ("ExportCredential", [("s", "main")], ""), ("Promote", [], ""), ("ForgetCredential", [("s", "main"), none], ""),
        ("ResetCounter", [none], ""), ("Disconnect", [], None), ("Connect", [], None), ("Rotate", [none], ""),
    ]
    points = [("Write", [("s", "x"), ("v", 2.0)], None), ("Write", [("s", "nothing"), ("v", 2.0)], "nothing"), ("Read", [("s", "x")], None),
              ("WritePoints", [("a{sv}", {"x": 3.0})], None), ("WritePoints", [("a{sv}", {"x": 3.0, "nothing": 1.0})], "nothing"),
              ("GetSamples", [], None), ("GetStatistics", [], "")]
    return [*((ROOT, MANAGER, *m) for m in manager), *((made, DEVICE, *m) for m in device), *((one, DEVICE, *m) for m in points),
            (job, JOB, "Cancel", [], ""), (ROOT, MANAGER, "RemoveDevice", [("s", new), ("a{sv}", {"force": True})], None)]


def promised():
    return {(interface, m.get("name")) for interface in (MANAGER, DEVICE, JOB)
            for m in ElementTree.parse(os.path.join(INTERFACES, interface + ".xml")).getroot().find("interface").findall("method")}


def run(bench, *command, **options):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ, **bench.env), timeout=harness.DEADLINE, **options)


def busctl_version():
    return int(subprocess.run(["busctl", "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout.split()[1])


VARIANTS = {str: "s", bool: "b", float: "d"}


def by_busctl(bench, path, interface, method, arguments):
    words, files = [], []
    for kind, value in arguments:
        if kind == "a{sv}":
            words += [str(len(value)), *(w for k, v in value.items() for w in (k, VARIANTS[type(v)], str(v).lower() if v is True else str(v)))]
        elif kind == "as":
            words += [str(len(value)), *value]
        elif kind == "v":
            words += ["d", str(value)]
        elif kind == "h":
            files.append(os.open(value, os.O_RDWR))
            words.append(str(files[-1]))
        else:
            words.append(value)
    types = ["".join(kind for kind, _ in arguments)] if arguments else []
    try:
        return run(bench, "busctl", "call", "org.gatehouse1", path, interface, method, *types, "--", *words, pass_fds=files)
    finally:
        for fd in files:
            os.close(fd)


def by_gdbus(bench, path, interface, method, arguments):
    """Its descriptors are those that it has inherited."""
    words, files = [], []

    def text(value):
        return json.dumps(value) if isinstance(value, (str, bool)) else str(value)
    for kind, value in arguments:
        if kind == "a{sv}":
            words.append("@a{sv} {" + ", ".join(f"{text(k)}: <{text(v)}>" for k, v in value.items()) + "}")
        elif kind == "as":
            words.append("@as [" + ", ".join(map(text, value)) + "]")
        elif kind == "v":
            words.append(f"<{value}>")
        elif kind == "h":
            files.append(os.open(value, os.O_RDWR))
            words.append(f"handle {files[-1]}")
        else:
            words.append(text(value))
    try:
        return run(bench, "gdbus", "call", "--system", "--dest", "org.gatehouse1", "--object-path", path, "--method", f"{interface}.{method}",
                   "--", *words, pass_fds=files)
    finally:
        for fd in files:
            os.close(fd)


def by_python(bench, calls):
    done = run(bench, SYSTEM_PYTHON, EVERY_METHOD, input=json.dumps([(p, i, m, a) for p, i, m, a, _ in calls]))
    check(done.returncode == 0, done.stderr)
    return json.loads(done.stdout)


def every_method_by_each_client(bench):
    sim_bench(bench, points=POINTS)
    calls = methods(bench, "python")
    check({(i, m) for _, i, m, _, _ in calls} == promised(), f"methods: {promised() ^ {(i, m) for _, i, m, _, _ in calls}}")
    failed = {}
    for (path, interface, method, _, expected), (name, told) in zip(calls, by_python(bench, calls)):
        if expected is None:
            check(name is None, f"{method}: {name}: {told}")
        elif expected:
            check(name and expected in told, f"{method}: {name}: {told}")
        check(not name or name.startswith(("org.gatehouse1.Error.", "org.freedesktop.DBus.Error.")), name)
        if expected == "":
            failed.setdefault(method, []).append(name)
    for who, call in (("busctl", by_busctl), ("gdbus", by_gdbus)):
        for path, interface, method, arguments, expected in methods(bench, who):
            if who == "busctl" and busctl_version() < BUSCTL_PASSES_DESCRIPTORS and any(kind == "h" for kind, _ in arguments):
                continue
            done = call(bench, path, interface, method, arguments)
            if expected is None:
                check(done.returncode == 0, f"{who} {method}: {done.stderr}")
            elif expected:
                check(done.returncode != 0 and expected in done.stderr, f"{who} {method}: {done}")
            elif who == "gdbus":  # busctl does not show names of errors
                name = failed[method].pop(0)
                check(name in done.stderr if name else done.returncode == 0, f"gdbus {method}: {name} by python3-dbus, here {done}")


def properties_by_each_client(bench):
    sim_bench(bench)
    job = bench.call(None, "VerifyVault")[0]
    for path, interface in ((ROOT, MANAGER), (device_path("boiler-1"), DEVICE), (job, JOB)):
        (name, told), = by_python(bench, [(path, "org.freedesktop.DBus.Properties", "GetAll", [("s", interface)], None)])
        check(name is None, told)
        shown = by_busctl(bench, path, "org.freedesktop.DBus.Properties", "GetAll", [("s", interface)]).stdout
        other = by_gdbus(bench, path, "org.freedesktop.DBus.Properties", "GetAll", [("s", interface)]).stdout
        for known in told:
            check(f'"{known}"' in shown and f"'{known}'" in other, f"{interface}.{known}")


def example_in_python(bench):
    sim_bench(bench, points=POINTS)
    example = bench.spawn("watch", [SYSTEM_PYTHON, os.path.join(EXAMPLES, "watch.py"), "boiler-1", "x", "3"])

    def said():
        return harness.read_bytes(example.out).decode()
    wait_for(lambda: f"what it shows: {said()} {harness.read_bytes(example.err)}",
             lambda: "boiler-1 (sim -> cloud): online" in said() and "set: 3.0" in said() and "boiler-1 x = 3.0 Cel" in said())
    bench.ctl("disconnect", "boiler-1")
    wait_for(lambda: f"the state: {said()}", lambda: f"{device_path('boiler-1')}: disabled" in said())


def example_in_c(bench):
    sim_bench(bench)
    directory = bench.path("c")
    os.makedirs(directory)
    shutil.copy(os.path.join(EXAMPLES, "rotate.c"), directory)
    shown = [line[7:] for line in harness.read(os.path.join(EXAMPLES, "rotate.c")).splitlines() if line.startswith(" *     ")]
    check(shown[-1] == "./rotate boiler-1", shown)
    build = "\n".join(shown[:-1]).replace("/usr/share/dbus-1/interfaces", INTERFACES)
    done = run(bench, "bash", "-ec", build, cwd=directory)
    check(done.returncode == 0, f"{build}: {done.stderr}")
    before = bench.get("boiler-1", "MainIdentity")
    done = run(bench, os.path.join(directory, "rotate"), "boiler-1")
    check(done.returncode == 0 and done.stdout.splitlines() == [f"boiler-1: identity {before}", "done"], done)
    check(bench.get("boiler-1", "MainIdentity") != before, "it has another key")
    done = run(bench, os.path.join(directory, "rotate"), "nobody")
    check(done.returncode == 1 and "no device 'nobody'" in done.stderr, done)


def open_files(agent):
    return len(os.listdir(f"/proc/{agent.pid}/fd"))


def clients_that_vanish(bench):
    """A hundred at once, each in the middle of something; whoever stays notices nothing, and nothing of them is left."""
    agent, _, _, _ = sim_bench(bench)
    calls = ((ROOT, MANAGER, "Subscribe", "as", [[]]), (ROOT, MANAGER, "Check", "a{sv}", [{}]), (ROOT, MANAGER, "ListDevices", "a{sv}", [{}]),
             (ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", "", []), (device_path("boiler-1"), DEVICE, "Read", "s", ["x"]),
             (device_path("boiler-1"), DEVICE, "Rotate", "a{sv}", [{}]))
    with Client(bench) as stays:
        stays.call(ROOT, MANAGER, "Subscribe", "as", [])
        before = open_files(agent)
        for _ in range(3):
            clients = [Client(bench) for _ in range(VANISHING)]
            for n, client in enumerate(clients):
                client.send(*calls[n % len(calls)], harness.BUS_NAME)
            for client in clients:
                client.close()
        stays.signals.clear()
        stays.wait_signals(1, "Sample")
        found, = stays.call(ROOT, MANAGER, "ListDevices", "a{sv}", {})
        check([d[0] for d in found] == ["boiler-1"], found)
        wait_for(lambda: f"{open_files(agent)} open files, {before} before", lambda: open_files(agent) <= before)
    bench.wait_property("boiler-1", "State", "online")
    check("error" not in agent.text().lower(), agent.text())


if __name__ == "__main__":
    harness.main(every_method_by_each_client, properties_by_each_client, example_in_python, example_in_c, clients_that_vanish,
                 needs=("busctl", "gdbus", "gdbus-codegen", "cc", "pkg-config"))
