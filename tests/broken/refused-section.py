# SPDX-License-Identifier: LGPL-2.1-or-later
"""A section of a device file that its plugin refuses."""
from agent_bench import TEMPERATURE

FINDING = "bad-setting"
WORDS = ["devices.d/boiler-1.json:", "unknown key", "sudoedit"]


def set_up(w):
    w.bench.write_device("boiler-1", "sim", {"x": dict(TEMPERATURE, phase="late")}, interval="100ms")
    w.start()
