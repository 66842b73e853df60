#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A machine whose clock is never set, with a cloud that tells its time to who asks by an option: samples get that time, and
neither wait for ever nor believe everything."""
import os
import time

import harness
from agent_bench import own_profile, wait_samples
from harness import check, wait_for
from spool_bench import COUNTER, arrived, check_whole, finish, wait_spooled

DEVICES = ("boiler-1", "boiler-2")
DAY = 86400


def timed_profile(bench):
    """SenML, with the option of Eclipse Hono's adapter."""
    hono = harness.read(os.path.join(harness.ROOT, "etc/profiles/hono.json"))
    line = next(line for line in hono.splitlines() if '"server_time"' in line)
    own_profile(bench, "timed", "senml", ('"telemetry": {', line.strip() + ' "telemetry": {'))


def start(bench, told_ms):
    """Everything, with a cloud that tells this time; samples wait. The agent's clock is set once there is a file `clock-set`."""
    keys = {d: bench.new_key() for d in DEVICES}
    cloud = bench.devcloud([(f"first-{d}", keys[d], d) for d in DEVICES])
    cloud.do("clock", ms=told_ms)
    timed_profile(bench)
    bench.write_config(cloud.url, uplink={"profile": "timed"}, spool={"durability": "always"})
    for d in DEVICES:
        bench.write_device(d, "sim", {"n": COUNTER}, interval="20ms")
    driver = bench.spawn("driver", [harness.program("tests/tools/gatehouse-driver-no-clock"), "sim", "--runtime-dir", bench.runtime,
                                    "--plugin-dir", os.path.join(harness.BUILD_DIR, "plugins", "sim")])
    agent = bench.agent(path="tests/tools/gatehoused-no-clock", env={"GATEHOUSE_BOOT_ID": "a" * 32,
                                                                         "NO_CLOCK_UNTIL": bench.path("clock-set")})
    wait_spooled(bench, DEVICES, 10)
    return agent, driver, cloud, keys


def give_keys(bench, keys):
    for d in DEVICES:
        bench.key_set(d, f"first-{d}", keys[d])


def check_times(cloud, device, least, most):
    times = [t for _, t in sorted(dict(reversed(arrived(cloud, device))).items())]
    check(times == sorted(set(times)), f"{device}: times do not rise")
    check(least <= times[0] and times[-1] <= most, f"{device}: from {times[0]} to {times[-1]}, expected {least} to {most}")


def start_told(bench):
    """With a cloud that is thirty days ahead, and whose time samples get."""
    begun = time.time()
    agent, driver, cloud, keys = start(bench, int((begun + 30 * DAY) * 1000))
    give_keys(bench, keys)
    agent.wait_text("samples get the time of the cloud of uplink cloud")
    for d in DEVICES:
        wait_samples(cloud, d, 50)
    return begun, agent, driver, cloud


def told(bench):
    """What waited, and what comes, has the cloud's time, which is another than this machine's; also after a restart."""
    begun, agent, driver, cloud = start_told(bench)
    agent.kill()
    agent.start()
    bench.wait_agent(agent)
    for d in DEVICES:
        wait_samples(cloud, d, 50)
    finish(bench, driver, DEVICES)
    took = time.time() - begun
    for d in DEVICES:
        check_whole(cloud, d)
        check_times(cloud, d, begun + 30 * DAY - 1, begun + 30 * DAY + took + 1)


def implausible(bench):
    """A cloud that thinks it is 1970 is not believed, which is said; once it knows better samples go on."""
    begun = time.time()
    agent, driver, cloud, keys = start(bench, 5000)
    give_keys(bench, keys)
    agent.wait_text("tells one that is not from 2026 to 2099: samples go on waiting", 20)
    check(not cloud.find_events("sample"), "a sample came with a time that nobody knows")
    cloud.do("clock", ms=0)
    for d in DEVICES:
        wait_samples(cloud, d, 50, 60)
    finish(bench, driver, DEVICES)
    for d in DEVICES:
        check_whole(cloud, d)
        check_times(cloud, d, begun - 1, time.time() + 1)


def synchronized(bench):
    """As soon as this machine's clock is right, it and not the cloud's time is that of the samples."""
    begun, _, driver, cloud = start_told(bench)
    with open(bench.path("clock-set"), "w", encoding="ascii"):
        pass
    for d in DEVICES:
        wait_for("samples with this machine's time", lambda d=d: arrived(cloud, d)[-1][1] < begun + DAY, 20)
        wait_samples(cloud, d, 50)
    finish(bench, driver, DEVICES)
    for d in DEVICES:
        check_whole(cloud, d)
        times = [t for _, t in sorted(dict(reversed(arrived(cloud, d))).items())]
        own = next(i for i, t in enumerate(times) if t < begun + DAY)
        check(own >= 50 and min(times[:own]) >= begun + 30 * DAY - 1, f"{d}: {own} had the cloud's time")
        check(begun - 1 <= min(times[own:]) and max(times[own:]) <= time.time() + 1, f"{d}: the cloud's time came again")


if __name__ == "__main__":
    harness.main(told, implausible, synchronized, needs=("busctl",))
