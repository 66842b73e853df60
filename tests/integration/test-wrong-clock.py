#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A machine whose clock is wrong, and a cloud that tells no time: the agent does not believe it, says so, and samples wait for a
right one; who knows better says so in the configuration."""
import time

import harness
from agent_bench import wait_samples
from harness import check, wait_for
from spool_bench import COUNTER, arrived, wait_spooled

DEVICE = "boiler-1"
DAY = 86400
WARNED = "warning: this machine's clock"


def set_clock(bench, seconds):
    """So much off, from now on."""
    with open(bench.path("clock"), "w", encoding="ascii") as f:
        f.write(str(int(seconds)))


def configure(bench, cloud, **sections):
    bench.write_config(cloud.url, spool={"durability": "always"}, **sections)


def start(bench, seconds, **sections):
    """Agent and driver on such a machine: (agent, cloud)."""
    key = bench.new_key()
    cloud = bench.devcloud([("first-1", key, DEVICE)])
    configure(bench, cloud, **sections)
    bench.write_device(DEVICE, "sim", {"n": COUNTER}, interval="20ms")
    set_clock(bench, seconds)
    env = {"WRONG_CLOCK": bench.path("clock")}
    agent = bench.agent(path="tests/tools/gatehoused-wrong-clock", env=env)
    bench.spawn("driver", [harness.program("tests/tools/gatehouse-driver-wrong-clock"), "sim", "--runtime-dir", bench.runtime,
                           "--plugin-dir", f"{harness.BUILD_DIR}/plugins/sim"], env=env)
    bench.key_set(DEVICE, "first-1", key)
    bench.wait_property(DEVICE, "State", "online")
    return agent, cloud


def warnings(agent):
    return [line for line in agent.text().splitlines() if WARNED in line]


def shown(bench):
    """What `status` says of the clock."""
    return [line for line in bench.ctl("status").splitlines() if line.strip().startswith("clock:")]


def check_times(cloud, begun):
    times = [t for _, t in arrived(cloud, DEVICE)]
    check(begun - 5 <= min(times) and max(times) <= time.time() + 5, f"from {min(times)} to {max(times)}, begun {begun}")


def dead_battery(bench):
    """The year 2000, which not even the configuration makes right; then somebody sets it."""
    begun = time.time()
    agent, cloud = start(bench, 946684800 - begun, clock="trust")
    agent.wait_text(WARNED)
    check("it says 2000-01-01" in warnings(agent)[0] and "battery" in warnings(agent)[0], warnings(agent))
    wait_spooled(bench, [DEVICE], 50)
    check(not arrived(cloud, DEVICE), "samples of the year 2000 are sent")
    check(shown(bench) and "2000-01-01" in shown(bench)[0], f"status says {shown(bench)}")
    check(bench.get(DEVICE, "LastAuthenticated") == 0, "it is believed elsewhere")
    set_clock(bench, 0)
    wait_samples(cloud, DEVICE, 50)
    check_times(cloud, begun)
    wait_for("status without it", lambda: not shown(bench))
    check(len(warnings(agent)) == 1, f"said once, not {warnings(agent)}")


def before_what_is_known(bench):
    """Ten minutes before what stands in the vault; who knows better says so, and that is followed at once."""
    begun = time.time()
    agent, cloud = start(bench, 0, clock="trust")
    wait_samples(cloud, DEVICE, 10)
    bench.wait_property(DEVICE, "LastAuthenticated", lambda t: t >= begun * 1e6)
    agent.stop()
    stopped = time.time()
    set_clock(bench, -600)
    configure(bench, cloud)
    agent.start()
    bench.wait_agent(agent)
    bench.wait_property(DEVICE, "State", "online", 60)
    wait_for("it in status", lambda: shown(bench), 30)
    since = len(arrived(cloud, DEVICE))
    wait_spooled(bench, [DEVICE], 50)
    # What was taken before it was stopped may still arrive; nothing that came later.
    late = [t for _, t in arrived(cloud, DEVICE)[since:] if not begun - 5 <= t <= stopped]
    check(not late, f"samples go out with a time that is wrong: {late[:5]}, not from {begun} to {stopped}")
    since = len(arrived(cloud, DEVICE))
    if begun % DAY < 3600:
        return  # ten minutes ago may have been before the day of the build, which nothing makes right
    configure(bench, cloud, clock="trust")
    bench.ctl("reload")
    wait_for("status without it", lambda: not shown(bench), 30)
    wait_for("samples", lambda: len(arrived(cloud, DEVICE)) > since, 60)


def never_set(bench):
    """Nobody has set it, and nobody tells the time."""
    key = bench.new_key()
    cloud = bench.devcloud([("first-1", key, DEVICE)])
    configure(bench, cloud)
    bench.write_device(DEVICE, "sim", {"n": COUNTER}, interval="20ms")
    bench.agent(path="tests/tools/gatehoused-no-clock", env={"NO_CLOCK_UNTIL": bench.path("clock-set")})
    check("nobody has set it" in "".join(shown(bench)) and "samples of 1 devices wait" in "".join(shown(bench)),
          f"status says {shown(bench)}")
    check("nobody has set it" in bench.get(None, "ClockProblem"), bench.get(None, "ClockProblem"))
    with open(bench.path("clock-set"), "w", encoding="ascii"):
        pass
    wait_for("status without it", lambda: not shown(bench))


if __name__ == "__main__":
    harness.main(dead_battery, before_what_is_known, never_set)
