#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""./dev bench ble [--sensors N] [--strangers N] [--seconds S]: what the driver of Bluetooth sensors costs: CPU and memory, with N sensors
that advertise once a second among N strangers, each heard once under a random address, all through a stand-in for bluetoothd (whose
own share is not that of the real one, and is not shown). And whether anything grows."""
import argparse
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "integration"))
import harness  # noqa: E402
from bluez_peer import Bluez  # noqa: E402
from harness import wait_for  # noqa: E402


def spent(pid):
    fields = harness.read(f"/proc/{pid}/stat").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid):
    return int(next(line.split()[1] for line in harness.read(f"/proc/{pid}/status").splitlines() if line.startswith("VmRSS")))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sensors", type=int, default=200)
    parser.add_argument("--strangers", type=int, default=10000)
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args()
    bench = harness.Bench()
    try:
        measure(bench, options)
    finally:
        bench.remove()


def measure(bench, options):
    bench.env["GATEHOUSE_BLE_DECODERS"] = os.path.join(harness.ROOT, "etc", "ble")
    bench.write_config("coaps://127.0.0.1:1")
    addresses = [f"A4:C1:38:{i >> 8:02X}:{i & 255:02X}:01" for i in range(options.sensors)]
    for i, address in enumerate(addresses):
        bench.write_device(f"s{i}", "ble", points={}, address=address, interval="0")
    bench.bus()
    bench.monitor.kill()  # it would read all of it
    bluez = Bluez(bench)
    bluez.add_adapter()
    agent, driver = bench.agent(), bench.driver("ble")
    bluez.discovering()
    n, strangers, began, cpu, first = 0, 0, time.monotonic(), (spent(driver.pid), spent(agent.pid)), None
    while (now := time.monotonic() - began) < options.seconds:
        for address in addresses:
            n += 1
            bluez.advertise(address, service={"fcd2": bytes([0x40, 0x00, n // options.sensors & 255, 0x02]) + (n % 4000).to_bytes(2, "little")})
        while strangers < options.strangers * (now + 1) / options.seconds:
            strangers += 1
            address = ":".join(f"{random.randrange(256):02X}" for _ in range(6))
            bluez.advertise(address, manufacturer={0x004c: os.urandom(20)}, rssi=-90)
            bluez.remove(bluez.path(address))
        if first is None and now > options.seconds / 4:
            first = resident(driver.pid)
        time.sleep(max(0, 1 - (time.monotonic() - began - now)))
    wall = time.monotonic() - began
    wait_for("it answers", lambda: bench.get("s0", "SensorState") == "ok")
    driver_cpu, agent_cpu = (100 * (spent(p.pid) - before) / wall for p, before in zip((driver, agent), cpu))
    print(f"{options.sensors} sensors, {n} advertisements, {strangers} strangers in {wall:.0f} s")
    print(f"driver: {driver_cpu:.1f} % of a core, {resident(driver.pid)} kB resident, {resident(driver.pid) - (first or 0):+d} kB since a quarter")
    print(f"agent:  {agent_cpu:.1f} % of a core, {resident(agent.pid)} kB resident (its cloud is away: it keeps the samples)")


if __name__ == "__main__":
    main()
