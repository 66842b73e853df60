# SPDX-License-Identifier: LGPL-2.1-or-later
"""A device without a key."""
FINDING = "key-missing"
WORDS = ["no key", "gatehousectl key set boiler-1 IDENTITY"]


def set_up(w):
    w.sim()
    w.start(key=False)
