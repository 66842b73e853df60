# SPDX-License-Identifier: LGPL-2.1-or-later
"""A device file with a comma too many."""
FINDING = "bad-setting"
WORDS = ["devices.d/comma.json:2:", "sudoedit"]


def set_up(w):
    w.sim()
    w.device_file("comma.json", '{ "device": "comma",\n  "uplink": "cloud", }\n')
    w.start()
