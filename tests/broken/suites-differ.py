# SPDX-License-Identifier: LGPL-2.1-or-later
"""Suites of which the server takes none."""
FINDING = "suites-differ"
WORDS = ["offered:", "suites", "sudoedit"]


def set_up(w):
    w.sim()
    port = w.other_server("-dtls1_2", "-cipher", "PSK-AES128-GCM-SHA256")
    w.bench.write_config(f"coaps://127.0.0.1:{port}", uplink={"suites": ["ecdhe-psk"]})
    w.start(cloud=False)
