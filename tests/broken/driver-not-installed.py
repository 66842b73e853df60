# SPDX-License-Identifier: LGPL-2.1-or-later
"""A driver whose plugin is not installed."""
FINDING = "driver-missing"
WORDS = ["nobody"]
MEND = "apt install gatehouse-plugin-nobody"


def set_up(w):
    w.bench.write_device("boiler-1", "nobody", {"x": {}})
    w.plugins()
    w.start(options=("--plugin-dir", w.bench.path("plugins")))
