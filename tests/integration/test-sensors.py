#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A sensor that is dead looks dead, wherever a user looks, though its session with the cloud is up: on D-Bus, in `list`,
`status` and `show`, and in what systemctl shows."""
import os
import socket

import harness
from agent_bench import TEMPERATURE, modbus_device, sim_bench
from harness import check, wait_for
from notified import Notified


def many(bench):
    """Each way for a sensor to be dead beside one that is well; all have their sessions."""
    devices = ("well", "silent", "unreachable", "refused", "homeless", "off")
    keys = {d: bench.new_key() for d in devices}
    cloud = bench.devcloud([(f"first-{d}", keys[d], d) for d in devices])
    bench.write_config(cloud.url)
    server = bench.modbus_server()
    bench.write_device("well", "sim", interval="100ms", points={"x": TEMPERATURE})
    modbus_device(bench, "silent", server.port, 9)
    modbus_device(bench, "unreachable", harness.free_port(socket.SOCK_STREAM), 1)
    bench.write_device("refused", "sim", interval="100ms", points={"x": dict(TEMPERATURE, phase="later")})
    bench.write_device("homeless", "nobody", points={"x": {}})
    bench.write_json("devices.d/off.json", {"device": "off", "uplink": "cloud", "driver": "sim", "enabled": False,
                                            "sim": {}, "points": {"x": TEMPERATURE}})
    notified = Notified(bench)
    agent = bench.agent(env={"NOTIFY_SOCKET": notified.path})
    sim, modbus = bench.driver("sim"), bench.driver("modbus")
    for d in devices:
        bench.key_set(d, f"first-{d}", keys[d])
    for d in devices[:4]:
        bench.wait_property(d, "State", "online")
    return agent, sim, modbus, server, notified


def dead_sensors_look_dead(bench):
    _, _, _, _, notified = many(bench)
    expected = {"well": "ok", "silent": "failed", "unreachable": "failed", "refused": "failed", "homeless": "no-driver",
                "off": "closed"}
    for device, state in expected.items():
        bench.wait_property(device, "SensorState", state)
    place = f"{bench.config}/devices.d/refused.json:"
    bench.wait_property("refused", "SensorReason", lambda r: r.startswith(place) and "unknown key" in r)
    line, column = bench.get("refused", "SensorReason")[len(place):].split(":")[:2]
    with open(os.path.join(bench.config, "devices.d/refused.json"), encoding="utf-8") as f:
        check("phase" in f.read().splitlines()[int(line) - 1], f"its place is {line}:{column}")
    for device, words in (("well", ""), ("silent", "respond"), ("unreachable", "connect"), ("homeless", "gatehouse-driver@nobody"),
                          ("off", "disabled")):
        reason = bench.get(device, "SensorReason")
        check(words in reason and bool(words) == bool(reason), f"{device}: {reason!r}")
    rows = {r["device"]: r for r in bench.ctl_json("list")["devices"]}
    check({d: r["sensor"] for d, r in rows.items()} == expected, rows)
    check(rows["silent"]["state"] == "online" and rows["silent"]["sensor_reason"] == bench.get("silent", "SensorReason"),
          rows["silent"])
    lines = {line.split()[0]: line for line in bench.ctl("list", "--no-legend").splitlines()}
    check("failed: " + bench.get("silent", "SensorReason") in lines["silent"], lines["silent"])
    check(lines["well"].split() == ["well", "sim", "cloud", "online", "ok"], lines["well"])
    status = bench.ctl_json("status")
    check(status["sensors"] == {"ok": 1, "failed": 3, "no-driver": 1, "closed": 1}, status)
    text = bench.ctl("status")
    check(" failed: 3" in text and " no-driver: 1" in text, text)
    text = bench.ctl("show", "silent")
    check("state: online" in text and "sensor: failed: " in text, text)
    told = ("5 of 6 devices online; sensors: 3 failed, 1 no-driver; 1 mistake in files: see gatehousectl status; bad-setting: "
            f"{place}{line}:{column}: ")
    wait_for(lambda: f"STATUS={notified.last()}", lambda: notified.last().startswith(told))


def sensors_come_back(bench):
    """The silent one answers, the driver comes and goes, the file is mended: each is seen."""
    agent, sim, modbus, server, notified = many(bench)
    bench.wait_property("refused", "SensorState", "failed")
    bench.write_device("refused", "sim", interval="100ms", points={"x": TEMPERATURE})
    modbus_device(bench, "silent", server.port, 1)
    bench.ctl("reload")
    for device in ("refused", "silent"):
        bench.wait_property(device, "SensorState", "ok")
        check(bench.get(device, "SensorReason") == "", "and no reason any more")
    modbus.stop()
    bench.wait_property("silent", "SensorState", "no-driver")
    check("gatehouse-driver@modbus" in bench.get("silent", "SensorReason"), bench.get("silent", "SensorReason"))
    modbus.start()
    bench.wait_property("silent", "SensorState", "ok")
    status = bench.ctl("status")
    row, = [line for line in status.splitlines() if "modbus" in line]
    check(row.endswith("connected"), f"a driver that is connected has no last error: {row!r}")
    wait_for("driver modbus connected", lambda: "driver modbus connected\n" in agent.text(), 5)
    server.kill()
    bench.wait_property("silent", "SensorState", "failed")
    server.start()
    bench.wait_property("silent", "SensorState", "ok", 20)
    wait_for(lambda: f"STATUS={notified.last()}", lambda: "1 failed, 1 no-driver" in notified.last())


def disabled_and_enabled(bench):
    sim_bench(bench)
    bench.wait_property("boiler-1", "SensorState", "ok")
    file = {"device": "boiler-1", "uplink": "cloud", "driver": "sim", "sim": {}, "points": {"x": TEMPERATURE}}
    bench.write_json("devices.d/boiler-1.json", dict(file, enabled=False))
    bench.ctl("reload")
    bench.wait_property("boiler-1", "SensorState", "closed")
    bench.write_json("devices.d/boiler-1.json", file)
    bench.ctl("reload")
    bench.wait_property("boiler-1", "SensorState", "ok")


if __name__ == "__main__":
    harness.main(dead_sensors_look_dead, sensors_come_back, disabled_and_enabled)
