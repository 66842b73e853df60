#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is wrong in the files is seen as long as it is: Mistakes on D-Bus, `bad-setting` in status and list, what systemctl
shows; and `gatehoused --check-config` finds what it can before anything is loaded."""
import os
import signal
import socket
import subprocess

import harness
from agent_bench import TEMPERATURE, check_options, sim_bench
from dbus_client import Client
from harness import check, wait_for


def mistakes(bench):
    return bench.get(None, "Mistakes")


def wait_mistakes(bench, *expected):
    """(end of the file's name, line or None, words) of each, in any order."""
    def fits():
        found = mistakes(bench)
        return len(found) == len(expected) and all(
            any(m[0].endswith(file) and (line is None or m[1] == line) and words in m[3] for m in found)
            for file, line, words in expected)
    wait_for(lambda: f"{expected}; there are {mistakes(bench)}", fits)


def write_text(bench, name, text):
    with open(os.path.join(bench.config, name), "w", encoding="utf-8") as f:
        f.write(text)


def spoil(bench):
    """Every way for a file to be left out."""
    write_text(bench, "devices.d/comma.json", '{ "device": "comma",\n  "uplink": "cloud", }\n')
    bench.write_json("devices.d/uplink.json", {"device": "uplink", "uplink": "clod", "driver": "sim", "points": {}})
    os.mkdir(os.path.join(bench.config, "devices.d", "folder.json"))
    for name in ("one", "two"):
        bench.write_json(f"devices.d/{name}.json", {"device": "twin", "uplink": "cloud", "driver": "sim", "points": {}})


def mend(bench):
    os.rmdir(os.path.join(bench.config, "devices.d", "folder.json"))
    for name in ("comma", "uplink", "one", "two"):
        os.unlink(os.path.join(bench.config, f"devices.d/{name}.json"))


SPOILED = [("comma.json", 2, "comma"), ("uplink.json", 3, "there is no uplink"), ("folder.json", 0, "regular file"),
           ("one.json", 2, "neither is loaded"), ("two.json", 2, "neither is loaded")]


def not_loaded(bench):
    """Also after a restart, when nothing else tells of them."""
    agent, *_ = sim_bench(bench)
    check(mistakes(bench) == [], "none yet")
    spoil(bench)
    agent.restart()
    bench.wait_agent(agent)
    wait_mistakes(bench, *SPOILED)
    check(bench.get(None, "Devices") == 1, "the good one is loaded")
    text = bench.ctl("status")
    check("bad-setting" in text and f"{bench.config}/devices.d/comma.json:2:" in text, text)
    rows = bench.ctl_json("list")["mistakes"]
    check(all(r["state"] == "bad-setting" for r in rows), rows)
    check(sorted(r["device"] for r in rows) == ["comma", "folder", "one", "two", "uplink"], rows)
    lines = bench.ctl("list").splitlines()
    row, = [line for line in lines if line.startswith("uplink ")]
    check("bad-setting" in row and f"{bench.config}/devices.d/uplink.json:3:" in row, row)
    check("1 devices, 5 with bad settings." in lines[-1], lines[-1])
    shown = bench.ctl("show", "comma", status=None)
    check(shown.returncode == 4 and f"its file was not loaded: {bench.config}/devices.d/comma.json:2:" in shown.stderr.decode(), shown)
    since = bench.monitor.mark()
    mend(bench)
    bench.ctl("reload")
    wait_mistakes(bench)
    wait_for("that they are gone", lambda: any(
        "Mistakes" in data[1] and data[1]["Mistakes"]["data"] == []
        for _, data in bench.monitor.signals("PropertiesChanged", since)))
    check("bad-setting" not in bench.ctl("status") + bench.ctl("list"), "and from the lists")


def refused_reload(bench):
    """What was wrong stays, and so does why the reload was refused, until one is not."""
    agent, *_ = sim_bench(bench)
    write_text(bench, "devices.d/comma.json", '{ "device": "comma",\n  "uplink": "cloud", }\n')
    agent.restart()
    bench.wait_agent(agent)
    wait_mistakes(bench, ("comma.json", 2, "comma"))
    bench.write_json("devices.d/uplink.json", {"device": "uplink", "uplink": "clod", "driver": "sim", "points": {}})
    bench.ctl("reload", status=None)
    wait_mistakes(bench, ("comma.json", 2, "comma"), ("uplink.json", 3, "there is no uplink"))
    write_text(bench, "gatehouse.json", '{ "uplinks": {}, "colour": 1 }')
    bench.ctl("reload", status=None)
    wait_for(lambda: str(mistakes(bench)), lambda: any(m[0].endswith("gatehouse.json") and "colour" in m[3] for m in mistakes(bench)))
    check(bench.get(None, "Devices") == 1, "what runs goes on")


def of_a_plugin(bench):
    """What a driver refuses when it comes, with the place in the file, until it is mended; with the driver there a reload
    is refused, and says the same."""
    agent, driver, *_ = sim_bench(bench)
    driver.stop()
    bench.write_device("odd", "sim", points={"x": dict(TEMPERATURE, phase="late")}, interval="100ms")
    bench.ctl("reload")
    check(mistakes(bench) == [], "nobody could look yet")
    driver.start()
    with open(os.path.join(bench.config, "devices.d/odd.json"), encoding="utf-8") as f:
        line = next(i for i, text in enumerate(f, 1) if "phase" in text)
    wait_mistakes(bench, ("odd.json", line, "unknown key"))
    for device, state in (("boiler-1", "ok"), ("odd", "failed")):
        bench.wait_property(device, "SensorState", state)
    rows = bench.ctl_json("list")["devices"]
    check([(r["device"], r["sensor"]) for r in rows] == [("boiler-1", "ok"), ("odd", "failed")], f"a row a device: {rows}")
    check(f"odd.json:{line}:" in bench.ctl("status"), "status has the place")
    bench.write_device("odd", "sim", points={"x": dict(TEMPERATURE, phase=1)}, interval="200ms")
    bench.ctl("reload", status=None)
    check(all(m[0].endswith("odd.json") and m[1] == line for m in mistakes(bench)) and mistakes(bench), mistakes(bench))
    bench.write_device("odd", "sim", points={"x": TEMPERATURE}, interval="100ms")
    bench.ctl("reload")
    wait_mistakes(bench)
    bench.wait_property("odd", "SensorState", "ok")


def of_many_large_devices(bench):
    """More than may wait for a driver that is slow: each section is checked all the same."""
    agent, driver, *_ = sim_bench(bench)
    names = [f"large-{i}" for i in range(60)]
    points = dict({f"{n}-{'x' * 50}": TEMPERATURE for n in range(300)}, y=dict(TEMPERATURE, phase="late"))
    for name in names:
        bench.write_device(name, "sim", points=points, interval="1h")
    driver.send(signal.SIGSTOP)
    with Client(bench) as client:
        serial = client.send("/org/gatehouse1", "org.gatehouse1.Manager", "Reload", "", (), harness.BUS_NAME)
        for _ in range(2000):  # turns of the loop: meanwhile it reads the files, and asks as much as may wait
            client.call("/org/gatehouse1", "org.freedesktop.DBus.Peer", "Ping")
        driver.send(signal.SIGCONT)
        check(not client.answered(serial), "the reload is refused")
    check(sorted(os.path.basename(m[0]) for m in mistakes(bench)) == sorted(f"{n}.json" for n in names), mistakes(bench))
    check(bench.get(None, "Devices") == 1, "what runs goes on")


def told_to_systemd(bench):
    path = bench.path("notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(path)
        s.settimeout(harness.DEADLINE)
        bench.devcloud()
        bench.write_config("coaps://127.0.0.1:1")
        write_text(bench, "devices.d/comma.json", '{ "device": "comma",\n  "uplink": "cloud", }\n')
        bench.agent(env={"NOTIFY_SOCKET": path}, wait=False)
        said = ""
        while "STATUS=" not in said:
            said = s.recv(65536).decode()
    check("0 of 0 devices online; 1 mistake in files" in said, said)


def checked(bench, *options):
    """(status, what it says) of --check-config, with the plugins of the build directory."""
    done = subprocess.run([harness.program("agent/gatehoused/gatehoused"), "--config-dir", bench.config, "--state-dir", bench.state,
                           "--check-config", *check_options(bench), *options], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                          env=dict(os.environ, **bench.env), timeout=harness.DEADLINE)
    return done.returncode, done.stdout


def sections_are_read_by_plugins(bench):
    """Of every device, each mistake with its place; nothing else has to run."""
    bench.write_config("coaps://127.0.0.1:1")
    bench.write_device("good", "sim", points={"x": TEMPERATURE})
    bench.write_device("meter", "modbus", url="tcp://127.0.0.1:502", unit=1,
                       points={"a": {"table": "input", "address": 1, "type": "int16"}})
    check(checked(bench)[0] == 0, f"both are good: {checked(bench)}")
    bench.write_device("odd", "sim", points={"x": dict(TEMPERATURE, phase=1)}, interval="often")
    bench.write_device("meter", "modbus", url="tcp://127.0.0.1:502", unit=1,
                       points={"a": {"table": "inputs", "address": 1, "type": "int16"}})
    status, said = checked(bench)
    check(status == 78, said)
    for device, words in (("odd", "phase"), ("odd", "often"), ("meter", "inputs")):
        with open(os.path.join(bench.config, f"devices.d/{device}.json"), encoding="utf-8") as f:
            line = next(i for i, text in enumerate(f, 1) if words in text)
        check(f"devices.d/{device}.json:{line}:" in said, f"the place of {words} is not in {said}")
    check("good.json" not in said, said)


def missing_drivers(bench):
    bench.write_config("coaps://127.0.0.1:1")
    bench.write_device("lost", "zigbee", points={"x": {}})
    status, said = checked(bench)
    check(status == 78 and "devices.d/lost.json:4:" in said and "gatehouse-plugin-zigbee" in said, said)
    bench.write_device("lost", "sim", points={"x": TEMPERATURE})
    status, said = checked(bench, "--driver-program", "/nonexistent")
    check(status == 78 and "/nonexistent" in said, said)


def files_of_others(bench):
    """What root may read and the agent's user may not."""
    if os.geteuid() != 0:
        return
    bench.write_config("coaps://127.0.0.1:1")
    bench.write_device("secret", "sim", points={"x": TEMPERATURE})
    bench.write_device("open", "sim", points={"x": TEMPERATURE})
    for path in (bench.dir, bench.config, os.path.join(bench.config, "devices.d")):
        os.chmod(path, 0o755)
    for name in ("gatehouse.json", "devices.d/open.json"):
        os.chmod(os.path.join(bench.config, name), 0o644)
    os.chmod(os.path.join(bench.config, "devices.d/secret.json"), 0o600)
    status, said = checked(bench, "--user", "nobody")
    check(status == 78 and "devices.d/secret.json: user nobody" in said and "open.json" not in said, said)
    os.chmod(os.path.join(bench.config, "devices.d/secret.json"), 0o644)
    check(checked(bench, "--user", "nobody")[0] == 0, checked(bench, "--user", "nobody"))


if __name__ == "__main__":
    harness.main(not_loaded, refused_reload, of_a_plugin, of_many_large_devices, told_to_systemd, sections_are_read_by_plugins,
                 missing_drivers, files_of_others)
