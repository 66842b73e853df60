#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A rotation that cannot go on says what it waits for and until when: to whoever waits for it, and to whoever looks."""
import json
import time

import harness
from agent_bench import sim_bench
from harness import check, wait_for

DEVICE = "boiler-1"


def waits(bench):
    """What `show` says of it."""
    lines = [line.split(":", 1)[1].strip() for line in bench.ctl("show", DEVICE).splitlines() if "waits for:" in line]
    return lines[0] if lines else ""


def cloud_away(bench):
    _, _, cloud, _ = sim_bench(bench)
    cloud.kill()
    bench.wait_property(DEVICE, "State", lambda state: state != "online", 60)
    begun = time.monotonic()
    done = bench.ctl("rotate", DEVICE, "--timeout=6s", status=None, seconds=60)
    text = done.stderr.decode()
    check(done.returncode == 1 and "not done within 6s" in text, f"status {done.returncode}: {text}")
    check(5 < time.monotonic() - begun < 60, f"it took {time.monotonic() - begun:.1f} s")
    check("waits for a session, over which the cloud is asked" in text, f"it does not say what it waits for: {text}")
    check(waits(bench).startswith("a session, over which the cloud is asked"), f"show says: {waits(bench)!r}")
    check("job" in bench.ctl("rotate", DEVICE, "--no-wait", seconds=60), "no word of the job that goes on")
    answer = json.loads(bench.ctl("--json=short", "rotate", DEVICE, "--no-wait", seconds=60))
    check("running" in json.dumps(answer), f"the job is not in {answer}")
    cloud.start()
    bench.wait_property(DEVICE, "RotationState", "swapped", 120)
    check("the time to delete the old key" in waits(bench) and ", until " in waits(bench), f"show says: {waits(bench)!r}")


def registrar_asks_to_come_again(bench):
    _, _, cloud, _ = sim_bench(bench)
    cloud.do("refuse", path="credentials", code="5.03", max_age=30, times=0)
    bench.ctl("rotate", DEVICE, "--no-wait", seconds=60)
    wait_for(lambda: f"the registrar to be waited for; show says: {waits(bench)!r}", lambda: waits(bench).startswith("the registrar, "))
    done = bench.ctl("rotate", DEVICE, "--timeout=8s", status=None, seconds=60)
    text = done.stderr.decode()
    check(done.returncode == 1 and "waits for the registrar, which is asked again" in text and ", until " in text,
          f"status {done.returncode}: {text}")
    until = wait_for("a time that lies ahead", lambda: bench.get(DEVICE, "RotationUntil") > time.time() * 1e6, 60)
    check(until, "none")
    cloud.do("clear")
    bench.wait_property(DEVICE, "RotationState", "swapped", 120)


def wrong_duration(bench):
    sim_bench(bench, connect=False)
    done = bench.ctl("rotate", DEVICE, "--timeout=soon", status=None)
    check(done.returncode == 2 and "--timeout soon" in done.stderr.decode(), done.stderr.decode())


if __name__ == "__main__":
    harness.main(cloud_away, registrar_asks_to_come_again, wrong_duration)
