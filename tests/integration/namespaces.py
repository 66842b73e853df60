# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tests in namespaces of their own, which not everybody may have: in many containers not even root."""
import os
import shutil
import subprocess
import sys

SKIPPED = 77
INSIDE = "GATEHOUSE_INSIDE"


def unshare(options):
    return ["unshare", *options, *(["--propagation", "private"] if "--mount" in options else [])]


def possible(*options, trial="true"):
    """Whether there can be such namespaces, and `trial`, a command of the shell, succeeds in them."""
    return bool(shutil.which("unshare")) and subprocess.run([*unshare(options), "sh", "-c", trial], stdout=subprocess.DEVNULL,
                                                            stderr=subprocess.DEVNULL, check=False).returncode == 0


def enter(*options, trial="true"):
    """Runs this program again in them; where that cannot be it ends as skipped."""
    if INSIDE in os.environ:
        return
    if not possible(*options, trial=trial):
        print(f"this needs namespaces of its own, which cannot be had here: unshare {' '.join(options)} sh -c '{trial}'")
        sys.exit(SKIPPED)
    os.environ[INSIDE] = "1"
    os.execvp("unshare", [*unshare(options), sys.executable, *sys.argv])
