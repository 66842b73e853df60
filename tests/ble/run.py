#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""./dev ble [CASE...]: the plugin with a real bluetoothd, the kernel's Bluetooth and emulated controllers, in a virtual machine
(machine.py) whose files are this machine's. The cases stand in inside.py.

Its last line is JSON: what each case came to, seconds, and of the case "share" what an advertisement costs bluetoothd, the driver and the
agent, in milliseconds of the emulated processor. Status 77: this machine cannot do it, and why."""
import json
import os
import re
import sys
import threading
import time

import machine

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))
from waiting import BUILD_DIR  # noqa: E402

PROGRAMS = ("btvirt", "bluetoothctl", "dbus-daemon", "busctl")
SKIPPED = 77
# For a machine that hangs; no verdict on a busy one.
LIMIT = 3600


def main():
    began = time.monotonic()
    try:
        machine.needs(PROGRAMS)
        vm = machine.start(os.path.join(BUILD_DIR, "ble"), [
            "/usr/bin/env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/run", "TMPDIR=/dev/shm", "LC_ALL=C.UTF-8", "PYTHONDONTWRITEBYTECODE=1",
            f"GATEHOUSE_BUILD={BUILD_DIR}", sys.executable, "-u", os.path.join(HERE, "inside.py"), *sys.argv[1:]])
    except machine.Missing as e:
        print(f"skipped: {e}")
        return SKIPPED
    timer = threading.Timer(LIMIT, vm.kill)
    timer.start()
    text = ""
    for line in vm.stdout:
        line = line.decode(errors="replace").replace("\r", "")
        text += line
        print(line, end="", flush=True)
    timer.cancel()
    vm.wait()
    cases = {name: word == "ok" for word, name in re.findall(r"^(ok|FAILED) +(\S+)", text, re.M)}
    whole = "init: status 0" in text and cases and all(cases.values())
    if not whole and all(cases.values()):
        cases["the machine"] = False
    share = re.search(r"^share (\{.*\})$", text, re.M)
    print(json.dumps({"cases": cases, **({"share_ms": json.loads(share.group(1))} if share else {}), "seconds": round(time.monotonic() - began, 1)}))
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
