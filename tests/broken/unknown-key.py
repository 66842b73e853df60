# SPDX-License-Identifier: LGPL-2.1-or-later
"""A key of gatehouse.json that there is not."""
FINDING = "bad-setting"
WORDS = ["gatehouse.json:3:", "colour", "sudoedit"]
JOURNAL = ["gatehouse.json:3:", "colour"]


def set_up(w):
    w.sim()
    w.start()
    w.agent.stop()
    w.bench.write_json("gatehouse.json", {"uplinks": {}, "colour": 1})
