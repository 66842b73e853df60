# SPDX-License-Identifier: LGPL-2.1-or-later
"""A key whose hexadecimal digits were stored instead of its bytes."""
FINDING = "key-encoding"
WORDS = ["a text in hex", "gatehousectl key set boiler-1 opaque-1 --encoding=hex"]


def set_up(w):
    w.sim()
    w.broker_with_another_key()
    w.bench.ctl("key", "set", "boiler-1", "opaque-1", "--encoding=text", stdin=w.keys["boiler-1"].hex()[:64].encode())
