# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two files with one device."""
FINDING = "bad-setting"
WORDS = ["twin-1.json", "neither is loaded", "sudoedit"]


def set_up(w):
    w.sim()
    for n in (1, 2):
        w.device_file(f"twin-{n}.json", '{ "device": "twin", "uplink": "cloud", "driver": "sim", "points": {} }')
    w.start()
