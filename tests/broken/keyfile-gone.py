# SPDX-License-Identifier: LGPL-2.1-or-later
"""A keyfile that was removed, with a vault that it opens."""
import os

FINDING = "keyfile-missing"
WORDS = ["is not there", "install -m 0400 COPY"]
JOURNAL = ["cannot open keyfile", "put a copy of its keyfile to"]


def set_up(w):
    w.sim()
    w.start()
    w.agent.stop()
    os.unlink(w.bench.keyfile)
