#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Samples of an outage, with a real agent that is killed, whose disk is full, whose file is damaged, or that is started again
under another durability: nothing is lost but what the documentation says, and it comes in order."""
import os

import harness
from agent_bench import SmallDisk, sim_bench, values, wait_samples
from harness import check, wait_for
from spool_bench import (COUNTER, arrived, check_whole, finish, lost, rows, spool_file, wait_drained, wait_file,
                         wait_spooled)

DEVICES = ("boiler-1", "boiler-2")


def start(bench, durability="always", devices=DEVICES, interval="20ms", **spool):
    agent, driver, cloud, _ = sim_bench(bench, devices, interval=interval, points={"n": COUNTER},
                                        spool={"durability": durability, **spool})
    for device in devices:
        wait_samples(cloud, device, 5)
    return agent, driver, cloud


def killed_in_outage(bench, durability):
    """The line goes down, and the agent is killed while it is. What a driver was answered for then is on disk."""
    agent, driver, cloud = start(bench, durability)
    cloud.kill()
    for device in DEVICES:
        bench.wait_property(device, "State", lambda s: s != "online", 60)
    before = max(bench.get(d, "Spooled") for d in DEVICES)
    wait_spooled(bench, DEVICES, before + 50)
    for _ in range(2):
        agent.kill()
        agent.start()
        bench.wait_agent(agent)
        wait_spooled(bench, DEVICES, before + 50)
    cloud.start()
    wait_drained(bench, DEVICES)
    finish(bench, driver, DEVICES)
    for device in DEVICES:
        check(check_whole(cloud, device) > before + 50, f"{device}: little came")
        check(bench.get(device, "Dropped") == 0, f"{device}: drops")


def killed_always(bench):
    killed_in_outage(bench, "always")


def killed_outage(bench):
    killed_in_outage(bench, "outage")


def killed_memory(bench):
    """In memory only: an outage's samples are lost with the agent, and no file is made."""
    agent, driver, cloud = start(bench, "memory")
    cloud.kill()
    wait_spooled(bench, DEVICES, 50)
    agent.kill()
    agent.start()
    bench.wait_agent(agent)
    cloud.start()
    for device in DEVICES:
        wait_samples(cloud, device, 5, 30)
    finish(bench, driver, DEVICES)
    for device in DEVICES:
        check(len(lost([n for n, _ in arrived(cloud, device)])) > 10, f"{device}: where do they come from?")
    check(not [f for f in os.listdir(bench.state) if f.startswith("spool")], "a file in memory only")


def killed_online(bench):
    """Under `always` nothing is lost at any moment; what was accepted just before comes again, as the same samples."""
    agent, driver, cloud = start(bench, "always")
    for _ in range(3):
        agent.kill()
        agent.start()
        bench.wait_agent(agent)
        for device in DEVICES:
            wait_samples(cloud, device, 20, 30)
    finish(bench, driver, DEVICES)
    for device in DEVICES:
        check_whole(cloud, device)


def killed_with_the_latest(bench):
    """Only the latest value is wanted, and it is as safe as others: the agent is killed in an outage, when the sensor has said its last."""
    key, last = bench.new_key(), 99
    cloud = bench.devcloud([("first-boiler-1", key, "boiler-1")])
    cloud.kill()
    bench.write_config(cloud.url, uplink={"order": "latest"}, spool={"durability": "always"})
    bench.write_device("boiler-1", "sim", {"n": COUNTER}, interval="10ms", count=last + 1)
    agent = bench.agent()
    bench.driver("sim")
    bench.key_set("boiler-1", "first-boiler-1", key)
    wait_for("the last value to be reported", lambda: str(last + 1) in bench.ctl("read", "boiler-1", "n"))
    agent.kill()
    agent.start()
    bench.wait_agent(agent)
    cloud.start()
    wait_for("the last value at the cloud", lambda: values(cloud, "boiler-1", "n")[-1:] == [last])
    wait_drained(bench, ("boiler-1",))
    check(len(values(cloud, "boiler-1", "n")) <= 5, f"{values(cloud, 'boiler-1', 'n')}: the backlog too")


def stopped_in_outage(bench):
    """SIGTERM writes what waits, line up or down; another durability finds it, also `memory`, which then removes the file."""
    agent, driver, cloud = start(bench, "outage")
    for durability in ("outage", "always", "memory"):
        cloud.kill()
        wait_spooled(bench, DEVICES, 50)
        agent.stop()
        bench.write_config(cloud.url, spool={"durability": durability})
        agent.start()
        bench.wait_agent(agent)
        wait_spooled(bench, DEVICES, 50)
        cloud.start()
        wait_drained(bench, DEVICES)
    finish(bench, driver, DEVICES)
    for device in DEVICES:
        check_whole(cloud, device)
    agent.restart()
    wait_for("an empty file to be removed", lambda: not os.path.exists(spool_file(bench)))


def reloaded(bench):
    """Durability and bounds change while samples wait."""
    _, driver, cloud = start(bench, "memory")
    cloud.kill()
    wait_spooled(bench, DEVICES, 50)
    bench.write_config(cloud.url, spool={"durability": "always"})
    bench.ctl("reload")
    wait_file(bench)
    wait_spooled(bench, DEVICES, 100)
    bench.write_config(cloud.url, spool={"durability": "outage", "max_bytes": "1G"})
    bench.ctl("reload")
    wait_spooled(bench, DEVICES, 150)
    cloud.start()
    wait_drained(bench, DEVICES)
    finish(bench, driver, DEVICES)
    for device in DEVICES:
        check_whole(cloud, device)


def removed(bench):
    """What waited for a device whose file is gone is given up, and that is said; the others' stays."""
    agent, driver, cloud = start(bench, "always")
    cloud.kill()
    wait_spooled(bench, DEVICES, 50)
    os.unlink(os.path.join(bench.config, "devices.d", DEVICES[0] + ".json"))
    bench.ctl("reload")
    agent.wait_text("samples that waited are given up: the device is removed")
    check("boiler-2: " not in "".join(line for line in agent.text().splitlines() if "given up" in line), agent.text())
    cloud.start()
    finish(bench, driver, DEVICES[1:])
    check_whole(cloud, DEVICES[1])


def damaged(bench):
    """A damaged file is moved aside and reported; samples go on."""
    agent, driver, cloud = start(bench, "always")
    cloud.kill()
    wait_spooled(bench, DEVICES, 50)
    agent.stop()
    with open(spool_file(bench), "r+b") as f:
        f.seek(4096)
        f.write(b"no page of a database" * 40)
    agent.start()
    bench.wait_agent(agent)
    agent.wait_text("is corrupt (")
    agent.wait_text("a new one is begun; what waited in it is given up")
    wait_for("the damaged file under another name",
             lambda: [f for f in os.listdir(bench.state) if f.startswith("spool.db.corrupt-")])
    cloud.start()
    for device in DEVICES:
        wait_samples(cloud, device, 5, 30)
    finish(bench, driver, DEVICES)
    check(bench.ctl("list"), "the agent has ended")


def later_version(bench):
    """What a later version wrote stays as it is, and is said."""
    agent, _, _ = start(bench, "always", DEVICES[:1])
    agent.stop()
    rows(bench, "PRAGMA user_version = 7")
    agent.start()
    check(agent.wait() != 0, "it starts")
    agent.wait_text("spool.db has format 7, this version knows format 2: install a later version")
    check(not [f for f in os.listdir(bench.state) if "corrupt" in f], "it was moved aside")


def full(bench):
    """A full disk: reports wait for their answers, what the cloud accepts goes on, and nothing is lost."""
    with SmallDisk(bench.state, "3m") as disk:
        agent, driver, cloud = start(bench, "always")
        disk.fill()
        cloud.kill()
        agent.wait_text("samples cannot be kept", 60)
        check("the disk is full" in agent.text(), "why?")
        cloud.start()
        for device in DEVICES:
            wait_samples(cloud, device, 20, 30)
        disk.empty()
        agent.wait_text("samples are kept again")
        finish(bench, driver, DEVICES)
        for device in DEVICES:
            check_whole(cloud, device)
        check(agent.text().count("samples cannot be kept") == 1, "it was said more than once")


def evicted(bench):
    """Beyond the bound the largest share gives way; a quiet device loses nothing."""
    agent, driver, cloud, _ = sim_bench(bench, ("loud", "quiet"), interval="5ms",
                                        points={f"n{i}" if i else "n": COUNTER for i in range(20)},
                                        spool={"durability": "always", "max_bytes": "64K"})
    bench.write_device("quiet", "sim", {"n": COUNTER}, interval="200ms")
    bench.ctl("reload")
    wait_samples(cloud, "loud", 5)
    wait_samples(cloud, "quiet", 5)
    cloud.kill()
    bench.wait_property("loud", "Dropped", lambda n: n > 1000, 60)
    check(bench.get("quiet", "Dropped") == 0, "the quiet one lost something")
    dropped = bench.get("loud", "Dropped")
    check(bench.get(None, "SpoolHours") < 1, "more hours than there is room for")
    agent.stop()
    check(os.path.getsize(spool_file(bench)) < 1024 * 1024, "the file is larger than its bound allows")
    agent.start()
    bench.wait_agent(agent)
    bench.wait_property("loud", "Dropped", lambda n: n >= dropped)
    cloud.start()
    finish(bench, driver, ("loud", "quiet"))
    numbers = [n for n, _ in arrived(cloud, "loud")]
    check(len(lost(numbers)) > 10, "nothing was lost, so what is the bound?")


def rejected(bench):
    """A sample that the cloud refuses as such is isolated, and stands in the table with the reason."""
    agent, driver, cloud = start(bench, "outage", DEVICES[:1], interval="100ms")
    cloud.do("refuse", code="4.00", path="telemetry", times=0)  # a pack of several is split until one is refused by itself
    bench.wait_property("boiler-1", "Rejected", lambda n: n >= 1, 30)
    cloud.do("clear")
    wait_samples(cloud, "boiler-1", 5)
    finish(bench, driver, DEVICES[:1])
    count = bench.get("boiler-1", "Rejected")
    agent.stop()
    found = rows(bench, "SELECT device, point, reason, value FROM rejected")
    check(len(found) == count and found[0][:3] == ("boiler-1", "n", "4.00"), f"{count} were rejected: {found}")
    numbers = [n for n, _ in arrived(cloud, "boiler-1")]
    check(lost(numbers) == sorted(int(float(f[3])) for f in found), f"lost {lost(numbers)}, rejected {found}")
    agent.start()
    bench.wait_agent(agent)
    bench.wait_property("boiler-1", "Rejected", count)


def clock_never_set(bench):
    """Samples of two boots whose clocks were never set wait over kills and boots, and arrive once a clock is: all, in order, with
    times that rise."""
    keys = {d: bench.new_key() for d in DEVICES}
    cloud = bench.devcloud([(f"first-{d}", keys[d], d) for d in DEVICES])
    bench.write_config(cloud.url, spool={"durability": "always"})
    for d in DEVICES:
        bench.write_device(d, "sim", {"n": COUNTER}, interval="20ms")
    driver = bench.spawn("driver", [harness.program("tests/tools/gatehouse-driver-no-clock"), "sim", "--runtime-dir", bench.runtime,
                                    "--plugin-dir", os.path.join(harness.BUILD_DIR, "plugins", "sim")])
    waiting = 0
    for boot in ("a", "a", "b"):
        agent = bench.agent(name="without-clock", path="tests/tools/gatehoused-no-clock", env={"GATEHOUSE_BOOT_ID": boot * 32})
        for d in DEVICES:
            if waiting == 0:
                bench.key_set(d, f"first-{d}", keys[d])
            bench.wait_property(d, "State", "online")
        waiting += 30
        wait_spooled(bench, DEVICES, waiting)
        check(not cloud.find_events("sample"), "a sample came without a time")
        agent.kill()
    agent = bench.agent(env={"GATEHOUSE_BOOT_ID": "c" * 32})
    agent.wait_text("during which its clock was never set")
    for d in DEVICES:
        wait_samples(cloud, d, waiting + 5)
    finish(bench, driver, DEVICES)
    for d in DEVICES:
        # The driver is older than the boots, and hands over again what it was not answered for: as of the next one.
        count = check_whole(cloud, d, same=False)
        check(count >= waiting, f"{d}: {count} came, {waiting} waited")
        times = [time for _, time in sorted(dict(reversed(arrived(cloud, d))).items())]
        check(times == sorted(set(times)), f"{d}: times do not rise")


if __name__ == "__main__":
    harness.main(clock_never_set, killed_always, killed_outage, killed_memory, killed_online, killed_with_the_latest, stopped_in_outage, reloaded, removed, damaged,
                 later_version, full, evicted, rejected, needs=("busctl",))
