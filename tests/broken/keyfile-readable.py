# SPDX-License-Identifier: LGPL-2.1-or-later
"""A keyfile that others can read."""
import os

FINDING = "keyfile-mode"
WORDS = ["mode 0644", "chmod 0400"]
JOURNAL = ["0400"]


def set_up(w):
    w.sim()
    w.start()
    w.agent.stop()
    os.chmod(w.bench.keyfile, 0o644)
