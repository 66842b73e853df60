#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Records what the real driver and a server of pymodbus, which holds the registers of a template's vector, say to each other.

usage: record-modbus.py TEMPLATE...     (writes plugins/modbus/fixtures/TEMPLATE.exchange; GATEHOUSE_BUILD names the build)

A line is a frame in hex, > a request and < its answer, without the transaction number. tests/integration/test-modbus-templates.py
plays them to the driver. A recording of a real device of yours, from the driver's log with "trace": true, is worth more.
"""
import json
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))
import harness  # noqa: E402
from agent_peers import pymodbus_interpreter  # noqa: E402

TEMPLATES = os.path.join(ROOT, "etc", "modbus")
FRAME = re.compile(r" ([<>]) ([0-9a-f]{2}(?: [0-9a-f]{2})+)(?: \(|$)", re.M)


def record(bench, name):
    path = os.path.join(TEMPLATES, name + ".json")
    server = bench.spawn("pymodbus", [pymodbus_interpreter(), os.path.join(ROOT, "tests/peers/pymodbus-memory.py"), path])
    harness.wait_for("the server", lambda: server.text().strip())
    bench.env["GATEHOUSE_MODBUS_TEMPLATES"] = TEMPLATES
    bench.write_config("coaps://127.0.0.1:1")
    bench.write_device("d", "modbus", points={}, url=f"tcp://127.0.0.1:{server.text().split()[0]}", template=name, trace=True,
                       interval="1h")
    bench.agent()
    driver = bench.driver("modbus")
    bench.wait_property("d", "SensorState", "ok")
    wanted = len(json.loads(harness.read(path))["vectors"][0]["values"])
    harness.wait_for(f"{wanted} values of {name}", lambda: driver.text().count(" < ") == driver.text().count(" > ") > 0)
    frames = FRAME.findall(driver.text())
    with open(os.path.join(ROOT, "plugins", "modbus", "fixtures", name + ".exchange"), "w", encoding="ascii") as f:
        for direction, frame in frames:
            f.write(f"{direction} {frame[6:]}\n")
    print(f"{name}: {len(frames) // 2} requests")


def main():
    os.makedirs(os.path.join(ROOT, "plugins", "modbus", "fixtures"), exist_ok=True)
    good = True
    for name in sys.argv[1:]:
        def recording(bench, name=name):
            record(bench, name)
        good = harness.run_one(recording) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
