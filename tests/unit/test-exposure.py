#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""How exposed systemd finds the units as they are built, each with what its package adds to it.

usage: test-exposure.py BUILD_DIR
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

BUILD = sys.argv.pop(1) if len(sys.argv) > 1 else "build"
UNITS = os.path.join(BUILD, "systemd")
# (name, template, drop-in) → the most that it may be
MOST = {
    ("gatehouse.service", "gatehouse.service", None): 1.3,
    ("gatehouse-driver@modbus.service", "gatehouse-driver@.service", "gatehouse-driver-modbus.conf"): 1.5,
    ("gatehouse-driver@ble.service", "gatehouse-driver@.service", "gatehouse-driver-ble.conf"): 0.6,
    ("gatehouse-driver@sim.service", "gatehouse-driver@.service", None): 1.3,
    ("gatehouse-keyfile.service", "gatehouse-keyfile.service", None): 1.3,
    ("gatehouse-metrics.service", "gatehouse-metrics.service", None): 1.3,
    ("gatehouse-provision.service", "gatehouse-provision.service", None): 1.3,
    ("gatehouse-registrar-exec@x.service", "gatehouse-registrar-exec@.service", None): 1.3,
    ("gatehouse-registrar-golioth@x.service", "gatehouse-registrar-golioth@.service", None): 1.3,
    ("gatehouse-registrar-hono@x.service", "gatehouse-registrar-hono@.service", None): 1.3,
}


def knows_offline():
    if not shutil.which("systemd-analyze"):
        return False
    return "--offline" in subprocess.run(["systemd-analyze", "--help"], stdout=subprocess.PIPE, text=True).stdout


def exposure(name, template, addition):
    """As with the drop-in, which systemd reads after the unit."""
    with tempfile.TemporaryDirectory() as place:
        path = os.path.join(place, name)
        with open(path, "w", encoding="utf-8") as to:
            for part in filter(None, (template, addition)):
                with open(os.path.join(UNITS, part), encoding="utf-8") as f:
                    to.write(f.read() + "\n")
        done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", path], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, env={**os.environ, "LC_ALL": "C.UTF-8"})
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert found, done.stdout
    return float(found.group(1))


@unittest.skipUnless(knows_offline(), "systemd-analyze is missing, or cannot judge unit files")
class ExposureTest(unittest.TestCase):
    def test_units(self):
        for (name, template, addition), most in MOST.items():
            with self.subTest(name):
                self.assertLessEqual(exposure(name, template, addition), most)

    def test_all_are_judged(self):
        """A new unit that runs something is not forgotten here."""
        judged = {template for _, template, _ in MOST}
        self.assertEqual({f for f in os.listdir(UNITS) if f.endswith(".service")}, judged)


if __name__ == "__main__":
    unittest.main()
