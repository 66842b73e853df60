# SPDX-License-Identifier: LGPL-2.1-or-later
"""A driver that went away."""
FINDING = "driver-away"
WORDS = ["not connected", "systemctl restart gatehouse-driver@sim"]


def set_up(w):
    w.sim()
    w.start()
    w.bench.wait_property("boiler-1", "State", "online")
    w.drivers["sim"].kill()
