#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""org.gatehouse1 as its callers see it: what the introspection XML promises, who may do what, and what comes unasked."""
import itertools
import json
import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

import harness
import namespaces
from agent_bench import sessions, sim_bench, wait_samples
from dbus_client import Client, Error
from harness import check, device_path, wait_for
from pulse import Pulse

MANAGER, DEVICE, JOB = ("org.gatehouse1." + n for n in ("Manager", "Device", "Job"))
ROOT = "/org/gatehouse1"
EMITS = "org.freedesktop.DBus.Property.EmitsChangedSignal"
EXPLICIT = "org.freedesktop.systemd1.Explicit"
PROPERTIES = "org.freedesktop.DBus.Properties"
STRANGER, OPERATOR, OUTSIDER = 65534, 64050, 64051
INSIDE = "GATEHOUSE_TEST_BUS_INSIDE"
FREE = {"ListDevices", "ListSensors", "GetDevice", "GetSummary", "Unsubscribe"}
INVALID = "org.gatehouse1.Error.InvalidArgument"
STOOD_STILL, LAG_TRIES = 0.5, 5  # seconds


def described(interface):
    """What an <interface> promises, in a form to be compared."""
    def arguments(member):
        return [(a.get("direction", "out"), a.get("type"), a.get("name")) for a in member.findall("arg")]

    def annotations(member):
        return sorted((a.get("name"), a.get("value")) for a in member.findall("annotation")
                      if (a.get("name"), a.get("value")) != (EMITS, "true"))
    return {"methods": {m.get("name"): (arguments(m), annotations(m)) for m in interface.findall("method")},
            "signals": {m.get("name"): (arguments(m), annotations(m)) for m in interface.findall("signal")},
            "properties": {p.get("name"): (p.get("type"), p.get("access"), annotations(p))
                           for p in interface.findall("property")}}


def source(interface):
    path = os.path.join(harness.ROOT, "src", "bus", "interfaces", interface + ".xml")
    return described(ElementTree.parse(path).getroot().find("interface"))


def live(client, path, interface):
    text, = client.call(path, "org.freedesktop.DBus.Introspectable", "Introspect")
    found = [i for i in ElementTree.fromstring(text).findall("interface") if i.get("name") == interface]
    check(len(found) == 1, f"{path} has no {interface}")
    return described(found[0])


def introspection_is_the_source(bench):
    sim_bench(bench)
    with Client(bench) as c:
        job, = c.call(ROOT, MANAGER, "VerifyVault")
        for path, interface in ((ROOT, MANAGER), (device_path("boiler-1"), DEVICE), (job, JOB)):
            promised, given = source(interface), live(c, path, interface)
            for kind, members in promised.items():
                check(members == given[kind], f"{interface} {kind}: promised {members}, live {given[kind]}")
            everything, = c.call(path, PROPERTIES, "GetAll", "s", interface)
            types = {name: kind for name, (kind, _) in everything.items()}
            check(types == {n: p[0] for n, p in promised["properties"].items() if (EXPLICIT, "true") not in p[2]},
                  f"{interface}: GetAll gives {types}")


def objects_come_and_go(bench):
    sim_bench(bench, ("a", "b.c"))
    since = bench.monitor.mark()
    with Client(bench) as c:
        def objects():
            found, = c.call(ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
            return found
        check({device_path("a"), device_path("b.c")} <= set(objects()), f"devices: {list(objects())}")
        check(objects()[device_path("a")][DEVICE]["State"] == ("s", "online"), "with their properties")
        text = {"device": "new", "uplink": "cloud", "driver": "sim", "sim": {}, "points": {"x": {}}}
        path, = c.call(ROOT, MANAGER, "AddDevice", "sa{sv}", "new", {"config": ("s", json.dumps(text))})
        check(path == device_path("new") and DEVICE in objects()[path], "the added device is an object")
        c.call(ROOT, MANAGER, "RemoveDevice", "sa{sv}", "new", {})
        check(path not in objects(), "the removed one is none")
        job, = c.call(ROOT, MANAGER, "VerifyVault")
        check(JOB in objects()[job], "a job is an object")
    added = [[p, sorted(i)] for _, (p, i) in wait_for(
        "InterfacesAdded", lambda: (lambda s: s if len(s) >= 2 else None)(bench.monitor.signals("InterfacesAdded", since)))]
    check([p for p, _ in added] == [path, job], f"added: {added}")
    check(DEVICE in added[0][1] and JOB in added[1][1], f"added: {added}")
    removed = bench.monitor.signals("InterfacesRemoved", since)
    check([(p, i) for _, (p, i) in removed] == [(path, [DEVICE])], f"removed: {removed}")
    wait_for("Finished", lambda: (job, ["done"]) in bench.monitor.signals("Finished", since))


def changes_are_few(bench):
    """However often devices change: one PropertiesChanged a second each, and the last one tells the truth. Of so many
    devices that a round of signals takes several turns of the agent's loop."""
    often, *rest = devices = [f"d{i:03}" for i in range(300)]
    sim_bench(bench, devices, interval="1h", connect=False)

    def told(since):
        found = {}
        for m in bench.monitor.messages(since, type="signal", member="PropertiesChanged"):
            found.setdefault(m["path"], []).append(m)
        return found

    def last_state(signals):
        states = [m["payload"]["data"][1]["State"]["data"] for m in signals or () if "State" in m["payload"]["data"][1]]
        return states[-1] if states else None

    def quiet():
        """Nothing of what came of the start is still to be told: a signal that was sent before the first change would count as one of it."""
        said = {path for path, arguments in bench.monitor.signals("PropertiesChanged") if arguments[1].get("SensorState", {}).get("data") == "ok"}
        return said >= {device_path(d) for d in devices}
    wait_for("all sensors' first word", quiet)
    with Client(bench) as c:
        mark = bench.monitor.mark()
        c.call(device_path(often), PROPERTIES, "Get", "ss", DEVICE, "Driver")
        wait_for("that call in the monitor: with it, all signals before it", lambda: bench.monitor.messages(mark, destination=c.name))
        since, begun, signals = bench.monitor.mark(), time.time() * 1e6, 0
        for i in itertools.count():
            # What it was told to be last, it is not.
            c.call(device_path(often), DEVICE, ("Disconnect", "Connect")[signals % 2])
            c.call(device_path(rest[i % len(rest)]), DEVICE, "Disconnect")
            if i % 50 == 0:
                signals = len(told(since).get(device_path(often), []))
                if i > len(rest) and signals >= 3:
                    break
        c.call(device_path(often), DEVICE, "Disconnect")
    wait_for("the last state of each", lambda: (lambda found: all(last_state(found.get(device_path(d))) == "disabled" for d in devices))(told(since)))
    # A machine that is busy brings signals late, and so nearer to those behind them, but none before it was sent.
    for path, signals in told(since).items():
        after = [m["timestamp-realtime"] - begun for m in signals]
        check(all(t >= i * 1e6 for i, t in enumerate(after)), f"{path}: signals {after} us after the first change")


def changes_are_told_alone(bench):
    """A signal carries what has changed, and none is sent for nothing; of a device that is added, what InterfacesAdded said counts
    as told. Nothing in it is declared as not signalled."""
    sim_bench(bench, ("a", "b"), interval="1h")
    silent = {name for name, (_, _, annotations) in source(DEVICE)["properties"].items() if annotations}

    def told(device, since):
        return [set(arguments[1]) for path, arguments in bench.monitor.signals("PropertiesChanged", since) if path == device_path(device)]

    def one(device, since):
        return wait_for(f"a signal of {device}", lambda: told(device, since))[0]
    with Client(bench) as c:
        # The first one may be of everything.
        for method, state in (("Disconnect", "disabled"), ("Connect", "online")):
            since = bench.monitor.mark()
            c.call(device_path("a"), DEVICE, method)
            wait_for(state, lambda m=since, s=state: any(arguments[1].get("State", {}).get("data") == s for _, arguments in
                                                         bench.monitor.signals("PropertiesChanged", m, path=device_path("a"))))
        wait_for("its sensor's first word", lambda: any(
            arguments[1].get("SensorState", {}).get("data") == "ok"
            for _, arguments in bench.monitor.signals("PropertiesChanged", path=device_path("a"))))
        since = bench.monitor.mark()
        c.call(device_path("a"), DEVICE, "Disconnect")
        wait_for("disabled", lambda: any("State" in names for names in told("a", since)))
        found = set().union(*told("a", since))
        check("State" in found and not found & {"Id", "Driver", "Uplink", "File", "Address", "MainIdentity", "MainFingerprint",
                                                "SensorState", "RotationState"}, f"of a device that was disconnected: {found}")
        text = {"device": "new", "uplink": "cloud", "driver": "sim", "sim": {}, "points": {"x": {}}}
        since = bench.monitor.mark()
        c.call(ROOT, MANAGER, "AddDevice", "sa{sv}", "new", {"config": ("s", json.dumps(text))})
        c.call(device_path("new"), DEVICE, "Disconnect")
        found = one("new", since)
        check(found and not found & {"Driver", "Uplink", "File", "MainIdentity"}, f"of a device that was added: {found}")
        everything = [set(arguments[1]) for path, arguments in bench.monitor.signals("PropertiesChanged")
                      if path.startswith(ROOT + "/device/")]
        check(not any(names & silent for names in everything), f"{silent} are not signalled: {everything}")


def samples_go_to_who_asked(bench):
    sim_bench(bench, ("a", "b"), interval="50ms")
    with Client(bench) as all_, Client(bench) as one, Client(bench) as none:
        all_.call(ROOT, MANAGER, "Subscribe", "as", [])
        one.call(ROOT, MANAGER, "Subscribe", "as", ["b"])
        got = all_.wait_signals(20, "Sample")
        check({s[0] for s in got} == {"a", "b"}, "samples of both")
        device, point, when, (kind, value), unit = got[0]
        check(point == "x" and kind == "d" and abs(value) <= 1 and unit == "Cel", got[0])
        check(abs(when / 1e6 - time.time()) < 60, f"its time is {when}")
        check({s[0] for s in one.wait_signals(10, "Sample")} == {"b"}, "only of the device asked for")
        sent = wait_for("samples in the monitor", lambda: bench.monitor.messages(type="signal", member="Sample"))
        check(all(m.get("destination") in (all_.name, one.name) for m in sent), "each to one address")
        one.call(ROOT, MANAGER, "Subscribe", "as", ["a"])
        one.signals.clear()
        check({s[0] for s in one.wait_signals(5, "Sample")} == {"a"}, "a new subscription replaces the old")
        one.call(ROOT, MANAGER, "Unsubscribe")
        wait_for("its answer in the monitor: with it, all samples before it", lambda: [
            answer for call in bench.monitor.messages(type="method_call", member="Unsubscribe", sender=one.name)
            for answer in bench.monitor.messages(type="method_return", destination=one.name, reply_cookie=call["cookie"])])
        since = bench.monitor.mark()
        all_.wait_signals(len([s for s in all_.signals if s.member == "Sample"]) + 10, "Sample")
        check(not bench.monitor.messages(since, type="signal", member="Sample", destination=one.name), "unsubscribed")
        check(not none.signals, "who did not ask gets nothing")
        try:
            one.call(ROOT, MANAGER, "Subscribe", "as", ["nobody"])
            check(False, "an unknown device was taken")
        except Error as e:
            check(e.name == "org.gatehouse1.Error.NoSuchDevice" and "nobody" in e.text, str(e))


def points_as_they_are(bench):
    """The newest of each point without asking its sensor, and what is wrong with a value apart from a point that takes none."""
    points = {"x": {"signal": "counter", "unit": "1/min"}, "name": {"signal": "constant", "value": "kettle"},
              "target": {"signal": "constant", "value": 21, "writable": True, "min": 5, "max": 30}}
    _, driver, _, _ = sim_bench(bench, ("a",), interval="50ms", points=points)
    path = device_path("a")
    with Client(bench) as c:
        def samples():
            return {s[0]: s[1:] for s in c.call(path, DEVICE, "GetSamples")[0]}
        first = wait_for("a sample of each point", lambda: set(samples()) == set(points) and samples())
        when, value, unit, quality = first["x"]
        check(value[0] == "x" and unit == "1/min" and quality == 0 and abs(when / 1e6 - time.time()) < 60, first["x"])
        check(first["name"][1:] == (("s", "kettle"), "", 0), first["name"])
        check([s[0] for s in c.call(path, DEVICE, "GetSamples")[0]] == sorted(points), "by name")
        wait_for("newer ones", lambda: samples()["x"][1][1] > value[1] and samples()["x"][0] > when)
        driver.stop()
        bench.wait_property("a", "SensorState", "no-driver")
        last = samples()
        check(set(last) == set(points) and last["x"][1][1] > value[1], "what was known last is known when its driver has gone")
        driver.start()
        bench.wait_property("a", "SensorState", "ok")
        for point, value, name in (("target", ("s", "warm"), "WrongType"), ("target", ("d", 31.0), "OutOfRange"),
                                   ("x", ("d", 1.0), "NotWritable"), ("y", ("d", 1.0), "NoSuchPoint")):
            try:
                c.call(path, DEVICE, "Write", "sv", point, value)
                raise harness.Failure(f"{point} took {value}")
            except Error as e:
                check(e.name == "org.gatehouse1.Error." + name and point in e.text, f"{point} {value}: {e}")


def read_for_a_while(client, points):
    """2,400 samples, and on until each point is there behind the last that was left out: (how many of them are missing, how many were
    told to be, the longest time in seconds without any message)."""
    counts, told, behind, longest = {p: [] for p in points}, 0, set(points), 0
    before = time.monotonic()
    while sum(map(len, counts.values())) < 2400 or behind < set(points):
        m = client.receive()
        longest, before = max(longest, time.monotonic() - before), time.monotonic()
        if m.member == "Sample":
            counts[m.body[1]].append(m.body[3][1])
            behind.add(m.body[1])
        elif m.member == "Lagged" and all(counts.values()):
            told, behind = told + m.body[0], set()
        elif m.member == "Lagged":  # what is missing before the first of a point cannot be seen: from here on
            counts = {p: [] for p in points}
        else:
            client.keep(m)
    for point, c in counts.items():
        check(c == sorted(set(c)), f"{point}: not in order, or some twice: {[pair for pair in zip(c, c[1:]) if pair[0] >= pair[1]]}")
    return sum(c[-1] - c[0] + 1 - len(c) for c in counts.values()), told, longest


def slow_reader_lags(bench):
    """Who stops reading costs nothing but a bounded number of messages, and is told what was left out; of what another one reads none
    is. Where this process, or one of those that it comes from, stood still, both may miss some, and just those that they are told of:
    then it is tried again."""
    points = {f"p{i:03}": {"signal": "counter"} for i in range(120)}
    # Not faster: on a busy machine this client too must be able to keep up. And in memory: what a disk that stands still makes the driver
    # hand over again comes again here, too.
    sim_bench(bench, ("a",), interval="200ms", points=points, connect=False, spool={"durability": "memory"})
    for _ in range(LAG_TRIES):
        with Pulse() as pulse:
            wrong, longest = one_reads_and_one_does_not(bench, points)
        if not wrong:
            return
        if max(longest, pulse.longest) < STOOD_STILL:
            break
        print(f"  again: no message for {longest:.1f} s, and nothing ran here for {pulse.longest:.1f} s: {wrong}")
    raise harness.Failure(wrong)


def one_reads_and_one_does_not(bench, points):
    """(what is wrong unless somebody stood still, or None; the longest time in seconds without any message)"""
    with Client(bench) as slow, Client(bench) as quick:
        slow.call(ROOT, MANAGER, "Subscribe", "as", [])
        quick.call(ROOT, MANAGER, "Subscribe", "as", [])
        missing, told, longest = read_for_a_while(quick, points)
        check(missing == told, f"the quick one misses {missing}, and is told of {told}")
        left_out = len(bench.monitor.messages(type="signal", member="Lagged", destination=quick.name))

        def sent_to_slow():
            return bench.monitor.messages(type="signal", member="Sample", destination=slow.name)
        wait_for("what was sent in the monitor", lambda: len(sent_to_slow()) >= 1000)
        sent = sent_to_slow()
        check(1000 <= len(sent) <= 1300, f"{len(sent)} samples were sent to one who reads none")
        lagged = slow.wait_signals(1, "Lagged")[0][0]
        before = [m.member for m in slow.signals].index("Lagged")
        missing, told, _ = read_for_a_while(slow, points)
        check(missing == told, f"the slow one misses {missing}, and is told of {told}")
    if left_out:
        return f"the quick one lagged {left_out} times, and is to have them all", longest
    if lagged < 1000 or before < 1000:
        return f"after {before} samples {lagged} were left out", longest
    return None, longest


def pages_and_options(bench):
    devices = sorted(f"d{i}" for i in range(7))
    sim_bench(bench, devices, interval="1h", connect=False)
    with Client(bench) as c:
        def page(**options):
            found, = c.call(ROOT, MANAGER, "ListDevices", "a{sv}", options)
            return [d[0] for d in found]

        def wrong(path, interface, method, *arguments):
            try:
                c.call(path, interface, method, *arguments)
            except Error as e:
                return e
            raise harness.Failure(f"{method}{arguments} was taken")
        check(page() == devices, "all")
        check(page(limit=("u", 3)) == devices[:3], "the first page")
        check(page(limit=("u", 3), after=("s", "d2")) == devices[3:6], "the second")
        check(page(limit=("u", 3), after=("s", "d5")) == devices[6:], "the last")
        check(page(after=("s", "d3x")) == devices[4:], "behind an id that is not there")
        check(page(after=("s", "d6")) == [], "behind the last")
        found, = c.call(ROOT, MANAGER, "ListDevices", "a{sv}", {})
        check(found[0] == ("d0", device_path("d0"), "sim", "cloud", "no-credential"), found[0])
        boiler = device_path("d0")
        for error, option in ((wrong(ROOT, MANAGER, "ListDevices", "a{sv}", {"limits": ("u", 3)}), "'limits'"),
                              (wrong(ROOT, MANAGER, "ListDevices", "a{sv}", {"limit": ("s", "3")}), "'limit'"),
                              (wrong(ROOT, MANAGER, "ListDevices", "a{sv}", {"limit": ("u", 0)}), "limit"),
                              (wrong(ROOT, MANAGER, "ListDevices", "a{sv}", {"limit": ("u", 1001)}), "limit"),
                              (wrong(ROOT, MANAGER, "AddDevice", "sa{sv}", "x", {"conf": ("s", "{}")}), "'conf'"),
                              (wrong(ROOT, MANAGER, "AddDevice", "sa{sv}", "x", {}), "config"),
                              (wrong(ROOT, MANAGER, "RemoveDevice", "sa{sv}", "d0", {"kep": ("b", True)}), "'kep'"),
                              (wrong(boiler, DEVICE, "Rotate", "a{sv}", {"now": ("b", True)}), "'now'"),
                              (wrong(boiler, DEVICE, "ForgetCredential", "sa{sv}", "main", {"f": ("b", True)}), "'f'"),
                              (wrong(boiler, DEVICE, "ForgetCredential", "sa{sv}", "third", {}), "'third'"),
                              (wrong(boiler, DEVICE, "ExportCredential", "s", "third"), "'third'")):
            check(error.name == INVALID and option in error.text, str(error))
        check(wrong(ROOT, MANAGER, "GetDevice", "s", "D0").name == "org.gatehouse1.Error.NoSuchDevice", "ids have a case")
        check(wrong(device_path("nobody"), DEVICE, "Connect").name == "org.freedesktop.DBus.Error.UnknownObject", "no object")
        check(wrong(ROOT + "/job/01", JOB, "Cancel").name == "org.freedesktop.DBus.Error.UnknownObject", "no such job")


def sample_arguments(types, key):
    """Something of each type, so that a call is well formed."""
    return [{"s": "main", "as": [], "a{sv}": {}, "v": ("d", 1.0), "h": key}[t] for t in types]


def strangers_only_look(bench):
    if os.geteuid() != 0:
        print("skipped: only root can be somebody else")
        return
    _, _, cloud, _ = sim_bench(bench)
    os.chmod(bench.dir, 0o711)
    job = bench.call(None, "VerifyVault")[0]
    before, since = bench.get("boiler-1", "MainFingerprint"), sessions(cloud, "boiler-1")
    with Client(bench, uid=STRANGER) as c, open("/dev/null", "rb") as key:
        refused = 0
        for path, interface in ((ROOT, MANAGER), (device_path("boiler-1"), DEVICE), (job, JOB)):
            for method, (arguments, _) in source(interface)["methods"].items():
                types = [t for direction, t, _ in arguments if direction == "in"]
                if method in FREE:
                    continue
                try:
                    c.call(path, interface, method, "".join(types), *sample_arguments(types, key.fileno()))
                    raise harness.Failure(f"a stranger may {method}")
                except Error as e:
                    check(e.name == "org.freedesktop.DBus.Error.AccessDenied", f"{method}: {e}")
                    refused += 1
            everything, = c.call(path, PROPERTIES, "GetAll", "s", interface)
            shown = {p for p, (_, _, notes) in source(interface)["properties"].items() if (EXPLICIT, "true") not in notes}
            check(set(everything) == shown, f"a stranger sees {interface}")
        check(refused >= 23, f"{refused} methods change something")
        try:
            c.call("/org/freedesktop/LogControl1", PROPERTIES, "Set", "ssv", "org.freedesktop.LogControl1", "LogLevel",
                   ("s", "debug"))
            raise harness.Failure("a stranger set the log level")
        except Error as e:
            check(e.name == "org.freedesktop.DBus.Error.AccessDenied", str(e))
        found, = c.call(ROOT, MANAGER, "ListDevices", "a{sv}", {})
        check(found[0][0] == "boiler-1", "a stranger may list")
        c.call(ROOT, MANAGER, "GetDevice", "s", "boiler-1")
    check(bench.get("boiler-1", "MainFingerprint") == before and bench.get("boiler-1", "State") == "online", "untouched")
    check(sessions(cloud, "boiler-1") == since, "and still in the session that it had")


def inside(bench, case):
    """Runs a case of this file where users and groups are others: of uid OPERATOR, in the group, and of uid OUTSIDER."""
    mounts = []
    for name, lines in (("passwd", f"operator:x:{OPERATOR}:{OPERATOR}::/:/bin/sh\noutsider:x:{OUTSIDER}:{OUTSIDER}::/:/bin/sh\n"),
                        ("group", f"gatehouse-admin:x:{OPERATOR + 100}:operator\n")):
        with open("/etc/" + name, encoding="utf-8") as f, open(bench.path(name), "w", encoding="utf-8") as made:
            made.write("".join(line for line in f if not line.startswith("gatehouse-admin:")) + lines)
        mounts.append(f"mount --bind {bench.path(name)} /etc/{name}")
    return subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", " && ".join([*mounts, 'exec "$@"']), "sh",
                           sys.executable, os.path.abspath(__file__), case], env={**os.environ, INSIDE: "1"}, check=False).returncode


def members_may_all_but_keys(bench):
    """Members of gatehouse-admin, of which the caller's process says nothing: its groups are looked up. One call waits for that,
    the next ones for it, and another one's for nothing."""
    if INSIDE not in os.environ:
        if not namespaces.possible("--mount", trial="mount -t tmpfs tmpfs /mnt"):
            print("skipped: users of its own are for root, in a namespace")
            return
        check(inside(bench, "members_may_all_but_keys") == 0, "see above")
        return
    sim_bench(bench, ("a",), interval="50ms")
    os.chmod(bench.dir, 0o711)
    with Client(bench, uid=OPERATOR) as member, Client(bench, uid=OUTSIDER) as other:
        sent = [member.send(device_path("a"), DEVICE, method, "", (), harness.BUS_NAME) for _ in range(5) for method in ("Disconnect", "Connect")]
        check(all([member.answered(serial) for serial in sent]), "calls of a member, many at once")
        member.call(ROOT, MANAGER, "Subscribe", "as", ["a"])
        member.wait_signals(5, "Sample")
        for client, method in ((member, "VerifyVault"), (other, "VerifyVault"), (other, "Reload")):
            try:
                client.call(ROOT, MANAGER, method)
                check(False, f"{method} is not for this user")
            except Error as e:
                check(e.name == "org.freedesktop.DBus.Error.AccessDenied", e)


def log_level_is_set(bench):
    agent, *_ = sim_bench(bench)
    where = ("/org/freedesktop/LogControl1", "org.freedesktop.LogControl1")
    bench.busctl("set-property", harness.BUS_NAME, *where, "LogLevel", "s", "debug")
    check("debug" in bench.busctl("get-property", harness.BUS_NAME, *where, "LogLevel").stdout, "the level is shown")
    bench.call("boiler-1", "Disconnect")
    agent.wait_text("session stopped")
    done = bench.busctl("set-property", harness.BUS_NAME, *where, "LogLevel", "s", "loud", check_status=False)
    check(done.returncode != 0 and "loud" in done.stderr, "an unknown level is refused")


def bus_goes_and_comes(bench):
    """The bus daemon killed: sessions go on; started again, the objects are back, and what changed meanwhile is told."""
    agent, _, cloud, _ = sim_bench(bench)
    daemon = next(p for p in bench.processes if p.name == "dbus-daemon")
    with Client(bench) as c:
        c.call(ROOT, MANAGER, "Subscribe", "as", [])
        calls = [c.send(device_path("boiler-1"), DEVICE, method, "", (), harness.BUS_NAME) for method in ("Disconnect", "Connect")]
        check(all(c.answered(call) for call in calls), "the calls")  # before that it is online still
        bench.wait_property("boiler-1", "State", "online")
    count = sessions(cloud, "boiler-1")
    daemon.kill()
    wait_samples(cloud, "boiler-1", 10)
    daemon.start()
    bench.wait_agent(agent)
    bench.monitor.start()
    wait_for("the monitor", lambda: daemon.text().count("became a monitor") == 2)
    check(bench.get("boiler-1", "State") == "online", "the device is an object again")
    with Client(bench) as c:
        c.call(ROOT, MANAGER, "Subscribe", "as", [])
        c.wait_signals(3, "Sample")
    check(sessions(cloud, "boiler-1") == count, "no session was made anew")
    since = bench.monitor.mark()
    bench.call("boiler-1", "Disconnect")
    wait_for("PropertiesChanged", lambda: [a for p, a in bench.monitor.signals("PropertiesChanged", since)
                                           if p == device_path("boiler-1")])
    daemon.send(signal.SIGTERM)
    daemon.wait()
    agent.stop()


if __name__ == "__main__":
    harness.main(introspection_is_the_source, objects_come_and_go, changes_are_few, changes_are_told_alone, samples_go_to_who_asked, points_as_they_are,
                 slow_reader_lags, pages_and_options, strangers_only_look, members_may_all_but_keys, log_level_is_set, bus_goes_and_comes,
                 needs=("busctl",))
