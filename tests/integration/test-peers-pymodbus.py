#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The whole agent with pymodbus as the sensor: a Modbus server that shares no code with the plugin."""
import sys

import harness
from agent_peers import COUNTER, PymodbusServer, check_list, pymodbus_interpreter, write_counter
from harness import check

DEVICES = ("boiler-1", "boiler-2")
PYTHON = pymodbus_interpreter()
SETPOINT = {"setpoint": {"table": "holding", "address": 10, "type": "int16", "scale": 0.1, "unit": "Cel", "writable": True,
                         "min": 5, "max": 30}}


def pairs(cloud, device):
    return [(round(s["time"] * 1e6), s["value"]) for s in cloud.samples(device, "reads")]


def every_value_that_pymodbus_served_arrives(bench):
    keys = {device: bench.new_key() for device in DEVICES}
    modbus = bench.add(PymodbusServer(bench, PYTHON, len(DEVICES)))
    cloud = bench.devcloud([(f"id-{d}", keys[d], d) for d in DEVICES])
    bench.write_config(cloud.url)
    for unit, device in enumerate(DEVICES, 1):
        write_counter(bench, device, unit, modbus.port, interval="100ms")
    bench.write_device("writer", "modbus", url=f"tcp://127.0.0.1:{modbus.port}", unit=1, interval="1s", timeout="10s", points=SETPOINT)
    bench.agent()
    driver = bench.driver("modbus")
    for device in DEVICES:
        bench.key_set(device, f"id-{device}", keys[device])
        cloud.wait_events(30, "sample", device=device)
    bench.ctl("write", "writer", "setpoint", "22.5")
    check([v for _, v in modbus.served(1, "holding", 10, "write")] == [225], "the register was not written once with 225")
    driver.stop()
    for unit, device in enumerate(DEVICES, 1):
        bench.wait_property(device, "Spooled", 0)
        served = [value for _, value in modbus.served(unit, *COUNTER)]
        check(check_list(device, served, pairs(cloud, device)) == 0, f"{device}: some arrived twice")
        check(bench.get(device, "Dropped") == 0 and bench.get(device, "Rejected") == 0, f"{device} dropped or rejected")
        print(f"  {device}: {len(served)} served, all arrived once, in order")


if __name__ == "__main__":
    if not PYTHON:
        print("python3-pymodbus is not installed")
        sys.exit(harness.SKIPPED)
    harness.main(every_value_that_pymodbus_served_arrives)
