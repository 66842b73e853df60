# SPDX-License-Identifier: LGPL-2.1-or-later
"""A reload that was refused for a mistake."""
FINDING = "bad-setting"
WORDS = ["gatehouse.json:3:", "colour", "sudoedit"]


def set_up(w):
    w.sim()
    w.start()
    w.bench.write_json("gatehouse.json", {"uplinks": {}, "colour": 1})
    w.bench.ctl("reload", status=78)
