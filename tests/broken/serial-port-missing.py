# SPDX-License-Identifier: LGPL-2.1-or-later
"""A serial port that is not plugged in."""
FINDING = "serial-missing"
WORDS = ["boiler-1", "ttyNOWHERE", "is the adapter plugged in?"]
MEND = "ls -l /dev/serial/by-id"


def set_up(w):
    w.bench.write_device("boiler-1", "modbus", {"x": {"table": "input", "address": 0, "type": "uint16"}}, url="rtu:/dev/ttyNOWHERE", interval="100ms")
    w.start(drivers=("modbus",))
