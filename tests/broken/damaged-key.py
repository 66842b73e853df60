# SPDX-License-Identifier: LGPL-2.1-or-later
"""A key whose record in the vault does not open."""
FINDING = "key-damaged"
WORDS = ["gatehousectl key set boiler-1 IDENTITY --force"]


def set_up(w):
    w.sim()
    w.start()
    w.damage("record", "record")
