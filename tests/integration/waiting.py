# SPDX-License-Identifier: LGPL-2.1-or-later
"""How long tests wait: for all of them one deadline, so generous that only what never comes is not there by then. A test
judges what was promised, never how busy the machine is: what is said to be quick is compared with something else in the same run,
or counted in steps, packets or CPU time."""
import json
import os
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD_DIR = os.path.abspath(os.environ.get("GATEHOUSE_BUILD") or os.environ.get("BUILD_DIR") or os.path.join(ROOT, "build"))


class Failure(Exception):
    pass


def check(condition, what):
    if not condition:
        raise Failure(what)


def stretch():
    """Sanitizers make everything a few times slower."""
    try:
        with open(os.path.join(BUILD_DIR, "meson-info", "intro-buildoptions.json"), encoding="utf-8") as f:
            options = {o["name"]: o["value"] for o in json.load(f)}
        return 1 if options.get("b_sanitize") in (None, "none", []) else 4
    except OSError:
        return 1


STRETCH = stretch()
# Seconds after which what did not happen is taken for lost.
DEADLINE = 120 if STRETCH == 1 else 300
ASKED_EVERY = 0.01


def wait_for(what, get, seconds=DEADLINE):
    """get() again and again until it answers something true; what it answered. `seconds` matters only beyond DEADLINE: for what
    takes minutes on an idle machine."""
    limit = max(seconds, DEADLINE)
    end = time.monotonic() + limit
    while True:
        asked = time.monotonic()
        found = get()
        if found:
            return found
        if asked > end:
            raise Failure(f"not within {limit:g} s: {what() if callable(what) else what}")
        # Most of the machine is left to what is waited for.
        time.sleep(max(ASKED_EVERY, 2 * (time.monotonic() - asked)))
