# SPDX-License-Identifier: LGPL-2.1-or-later
"""A Modbus server at which nothing listens."""
import socket

import harness
from agent_bench import modbus_device

FINDING = "sensor-failed"
WORDS = ["connect", "are its address and unit right", "sudoedit ", "devices.d/boiler-1.json && sudo gatehousectl reload"]


def set_up(w):
    modbus_device(w.bench, "boiler-1", harness.free_port(socket.SOCK_STREAM), 1)
    w.start(drivers=("modbus",))
