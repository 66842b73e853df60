# SPDX-License-Identifier: LGPL-2.1-or-later
"""A plugin that cannot be loaded: it is of another architecture, or cut short."""
FINDING = "plugin-abi"
WORDS = ["cannot load the plugin", "broken.so"]
MEND = "apt install --reinstall gatehouse gatehouse-plugin-broken"


def set_up(w):
    w.bench.write_device("boiler-1", "broken", {"x": {}})
    w.plugin_file("broken", b"\x7fELF")
    w.start(options=("--plugin-dir", w.bench.path("plugins")))
