# SPDX-License-Identifier: LGPL-2.1-or-later
"""A host name without an address."""
FINDING = "name-unresolved"
WORDS = ["cloud.invalid", "getent ahosts cloud.invalid"]


def set_up(w):
    w.sim()
    w.bench.write_config("coaps://cloud.invalid:5684")
    w.start(cloud=False)
