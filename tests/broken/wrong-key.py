# SPDX-License-Identifier: LGPL-2.1-or-later
"""Another key than the cloud has."""
FINDING = "key-refused"
WORDS = ["opaque-1", "ASCII, hex or base64", "gatehousectl key set boiler-1 opaque-1"]


def set_up(w):
    w.sim()
    w.broker_with_another_key()
    w.bench.key_set("boiler-1", "opaque-1", w.bench.new_key())
