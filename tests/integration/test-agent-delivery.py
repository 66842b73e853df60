#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What arrives at the cloud is what the Modbus server served: every value of its counters, per device, in order, less the
drops shown; across a cloud that is killed, drivers that end, answers that are lost, and an agent that is stopped.

Samples wait in memory: those of an outage are lost with an agent that ends during it. So the agent is stopped here while the
line is up."""

import harness
from agent_bench import check_arrived, modbus_device, own_profile, values, wait_delivered, wait_samples
from harness import check, wait_for
from spool_bench import COUNTER, check_whole

DEVICES = ("boiler-1", "boiler-2", "boiler-3")


def start(bench):
    server = bench.modbus_server(devices=len(DEVICES))
    keys = {d: bench.new_key() for d in DEVICES}
    cloud = bench.devcloud([(f"first-{d}", keys[d], d) for d in DEVICES])
    bench.write_config(cloud.url, rotation={"retire_after": "1s"})
    for unit, device in enumerate(DEVICES, 1):
        modbus_device(bench, device, server.port, unit, interval="20ms")
    agent, driver = bench.agent(), bench.driver("modbus")
    for device in DEVICES:
        bench.key_set(device, "first-" + device, keys[device])
        bench.wait_property(device, "State", "online")
        wait_samples(cloud, device, 5)
    return server, cloud, agent, driver


def compare(bench, server, cloud, driver, twice=0):
    """After the last read. A pack whose acceptance never came back is sent again: so much may be there twice."""
    for unit, device in enumerate(DEVICES, 1):
        wait_for(f"enough values of {device}", lambda u=unit: len(server.served(u, "input", 2)) > 50)
    if driver.alive():
        driver.stop()
    for unit, device in enumerate(DEVICES, 1):
        bench.wait_property(device, "Spooled", 0, 30)
        served = check_arrived(bench, cloud, server, device, unit, twice)
        check(served == list(range(1, len(served) + 1)), f"{device}: {len(served)} were served")
        check(bench.get(device, "Dropped") == 0, f"{device}: drops")


def cloud_killed(bench):
    server, cloud, _, driver = start(bench)
    for _ in range(2):
        cloud.kill()
        wait_for("samples that wait", lambda: all(bench.get(d, "Spooled") >= 20 for d in DEVICES))
        cloud.start()
        for device in DEVICES:
            wait_delivered(bench, device)
    compare(bench, server, cloud, driver, twice=512)


def driver_ended(bench):
    """Ended by SIGTERM the driver hands over what it has read. A driver that is killed loses what it holds at that moment."""
    server, cloud, _, driver = start(bench)
    for _ in range(3):
        driver.restart()
        for device in DEVICES:
            wait_samples(cloud, device, 5)
    compare(bench, server, cloud, driver)


def answers_lost(bench):
    """Requests and answers that get lost, refusals, and rotations meanwhile."""
    server, cloud, _, driver = start(bench)
    cloud.do("lose-before-apply", path="telemetry", times=2)
    cloud.do("lose-after-apply", path="telemetry", times=2)
    for device in DEVICES:
        wait_samples(cloud, device, 5, 20)
    cloud.do("refuse", code="5.03", max_age=1, path="telemetry", times=3)
    bench.ctl("rotate", "--all")
    for device in DEVICES:
        wait_samples(cloud, device, 5, 20)
    compare(bench, server, cloud, driver, twice=512)


def agent_stopped(bench):
    """Stopped while the line is up: a driver keeps what was not taken over, and hands it to the next agent."""
    server, cloud, agent, driver = start(bench)
    for _ in range(2):
        agent.stop()
        agent.start()
        bench.wait_agent(agent)
        for device in DEVICES:
            bench.wait_property(device, "State", "online")
            wait_samples(cloud, device, 5)
    driver.stop()
    for unit, device in enumerate(DEVICES, 1):
        bench.wait_property(device, "Spooled", 0, 30)
        served = [v for _, v in server.served(unit, "input", 2)]
        arrived = values(cloud, device)
        check((first := list(dict.fromkeys(arrived))) == sorted(first) and set(arrived) <= set(served), f"{device}: order, or values never served")
        missing = sorted(set(served) - set(arrived))
        check(len(missing) <= 2 * 3, f"{device}: {len(missing)} of {len(served)} are lost: {missing}")


def outage_is_said(bench):
    """Once for all devices, with a reason; and that it is over."""
    keys = {d: bench.new_key() for d in DEVICES}
    cloud = bench.devcloud([(f"first-{d}", keys[d], d) for d in DEVICES])
    bench.write_config(cloud.url)
    for device in DEVICES:
        bench.write_device(device, "sim", {"n": COUNTER}, interval="100ms")
    agent = bench.agent()
    bench.driver("sim")
    bench.set_keys((d, f"first-{d}", keys[d]) for d in DEVICES)
    bench.wait_property(None, "Online", len(DEVICES))
    cloud.kill()
    agent.wait_text("uplink cloud: no session, for ", 60)
    line = next(line for line in harness.read(agent.err).splitlines() if "no session, for " in line)
    check("with 3 of its devices trying; boiler-1: " in line and "nothing listens there" in line, line)
    cloud.start()
    for device in DEVICES:
        bench.ctl("connect", device)
    agent.wait_text("uplink cloud: there are sessions again, after ", 30)
    text = harness.read(agent.err)
    check(text.count("no session, for") == text.count("sessions again") == 1, text)


def drained_at_a_rate(bench):
    """What has piled up comes as fast as the profile says, and not faster: who may send more often is done first."""
    rates, piled = {"quick": 20, "slow": 4}, 60
    keys = {d: bench.new_key() for d in rates}
    cloud = bench.devcloud([(f"first-{d}", keys[d], d) for d in rates])
    for device, rate in rates.items():
        own_profile(bench, device, "senml", ('"max_payload": 1024', f'"max_payload": 128, "drain_rate": {rate}'))
        bench.write_device(device, "sim", {"n": COUNTER}, interval="10ms", count=piled, uplink=device)
    bench.write_json("gatehouse.json", {"uplinks": {d: {"url": cloud.url, "profile": d, "registrar": {"type": "coap"}} for d in rates}})
    bench.agent()
    bench.driver("sim")
    for device in rates:
        bench.wait_property(device, "Spooled", piled)
    for device in rates:
        bench.key_set(device, f"first-{device}", keys[device])
        bench.wait_property(device, "State", "online")
    for device, rate in rates.items():
        bench.wait_property(device, "Spooled", 0)
        check_whole(cloud, device)
        times = [e["at"] / 1e6 for e in cloud.find_events("sample", device=device)]
        packs, took = cloud.stats()["devices"][device]["packs"], times[-1] - times[0]
        check(packs >= piled / 3, f"{device}: only {packs} packs")
        check(took >= (packs - 1) / rate / 2, f"{device}: {packs} packs took {took:.2f} s, at {rate} a second")
    order = [e["device"] for e in cloud.find_events("sample")]
    beside = order[:len(order) - order[::-1].index("quick")].count("slow")
    check(beside <= piled / 2, f"{beside} of {piled} samples of who may send less often came before the last of who may send five times as often")


if __name__ == "__main__":
    harness.main(cloud_killed, driver_ended, answers_lost, agent_stopped, outage_is_said, drained_at_a_rate, needs=("busctl",))
