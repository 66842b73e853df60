# SPDX-License-Identifier: LGPL-2.1-or-later
"""A Modbus unit that does not answer."""
from agent_bench import modbus_device

FINDING = "sensor-failed"
WORDS = ["respond", "are its address and unit right", "sudoedit ", "devices.d/boiler-1.json && sudo gatehousectl reload"]


def set_up(w):
    server = w.bench.modbus_server()
    modbus_device(w.bench, "boiler-1", server.port, 9, timeout="200ms")
    w.start(drivers=("modbus",))
