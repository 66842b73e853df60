# SPDX-License-Identifier: LGPL-2.1-or-later
"""A device file that names an uplink that there is not."""
FINDING = "bad-setting"
WORDS = ["devices.d/b.json:2:", "clod", "sudoedit"]


def set_up(w):
    w.sim()
    w.device_file("b.json", '{ "device": "b",\n "uplink": "clod", "driver": "sim", "points": {} }')
    w.start()
