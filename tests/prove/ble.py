#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""./dev prove ble [--short] [--sensors N] [--strangers N] [--seconds S]: N sensors that advertise once a second among strangers under
random addresses: the driver's CPU and memory stay within what is promised, and nothing grows. --short: a tenth of the time, and of the
strangers.

bluetoothd is a stand-in here, whose share is not that of the real one. That is measured in the virtual machine of ./dev ble, where there is
one, as a multiple of the driver's; it is printed, and not judged. Not with --short. CPU is judged by what was spent for what was said, so a
busy machine changes nothing. Its last line is JSON; status 0 only if all held."""
import argparse
import json
import os
import random
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "integration"))
import harness  # noqa: E402
from bluez_peer import Bluez  # noqa: E402
from harness import wait_for  # noqa: E402

RESIDENT_MAX = 25 << 10  # kB
CPU_MAX = 10  # per cent of a core, at an advertisement a second of each sensor
GROWTH_MAX = 1 << 10  # kB, once the first quarter has passed
SHORT = 10


def spent(process):
    fields = harness.read(f"/proc/{process.pid}/stat").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(process):
    return int(next(line.split()[1] for line in harness.read(f"/proc/{process.pid}/status").splitlines() if line.startswith("VmRSS")))


def frame(turn, value):
    """BTHome v2: packet number, temperature."""
    return bytes([0x40, 0x00, turn & 255, 0x02]) + value.to_bytes(2, "little")


class Room:
    def __init__(self, bench, options):
        self.bench, self.options = bench, options
        bench.env["GATEHOUSE_BLE_DECODERS"] = os.path.join(harness.ROOT, "etc", "ble")
        self.addresses = [f"A4:C1:38:{i >> 8:02X}:{i & 255:02X}:01" for i in range(options.sensors)]
        names = [f"s{i}" for i in range(options.sensors)]
        keys = [bench.new_key() for _ in names]
        self.cloud = bench.devcloud([(f"first-{n}", k, n) for n, k in zip(names, keys)], verbose=False)
        bench.write_config(self.cloud.url)
        for name, address in zip(names, self.addresses):
            bench.write_device(name, "ble", points={}, address=address, interval="0")
        bench.bus()
        bench.monitor.kill()  # it would read all of it
        self.bluez = Bluez(bench)
        self.bluez.add_adapter()
        self.agent, self.driver = bench.agent(), bench.driver("ble")
        bench.set_keys([(n, f"first-{n}", k) for n, k in zip(names, keys)])
        self.bluez.discovering()
        for name in names:  # one that is opened later has not heard the first of them
            bench.wait_property(name, "SensorState", lambda s: s != "no-driver")
        self.strangers = 0

    def say(self, turn):
        """Each sensor once, and the strangers of a second."""
        for i, address in enumerate(self.addresses):
            self.bluez.advertise(address, service={"fcd2": frame(turn, (turn * 7 + i) % 4000)})
        until = self.options.strangers * (turn + 1) // self.options.seconds
        while self.strangers < until:
            self.strangers += 1
            address = ":".join(f"{random.randrange(256):02X}" for _ in range(6))
            for _ in range(2):
                self.bluez.advertise(address, manufacturer={0x004c: os.urandom(20)}, rssi=-90)
            self.bluez.remove(self.bluez.path(address))

    def heard(self):
        """Until the driver has heard all of it: what it says of the last sensor."""
        last = f"s{self.options.sensors - 1}"
        wait_for("all to be heard", lambda: json.loads(self.bench.ctl("show", last, "--json=short"))["result"]["statistics"]["heard"]
                 == self.options.seconds)

    def everybody_ok(self):
        for i in range(self.options.sensors):
            self.bench.wait_property(f"s{i}", "SensorState", "ok")


def measure(bench, options):
    room, began = Room(bench, options), time.monotonic()
    cpu, early, most = [spent(p) for p in (room.driver, room.agent)], 0, 0
    for turn in range(options.seconds):
        room.say(turn)
        most = max(most, resident(room.driver))
        if turn == options.seconds // 4:
            early = resident(room.driver)
        time.sleep(max(0, began + turn + 1 - time.monotonic()))  # the sensors' own clock
    room.heard()
    room.everybody_ok()
    driver, agent = (100 * (spent(p) - before) / options.seconds for p, before in zip((room.driver, room.agent), cpu))
    wait_for("the agent to have handed over what waits", lambda: bench.get(None, "Spooled") == 0)
    return {"sensors": options.sensors, "strangers": room.strangers, "seconds": options.seconds, "driver_cpu_percent": round(driver, 1),
            "driver_kb": most, "driver_grew_kb": resident(room.driver) - early, "agent_cpu_percent": round(agent, 1),
            "agent_kb": resident(room.agent)}


def bluetoothd_share():
    """({what an advertisement costs each in the virtual machine, in ms}, None), or (None, why not)."""
    run = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "ble", "run.py")
    done = subprocess.run([sys.executable, run, "share"], stdout=subprocess.PIPE, text=True, errors="replace", check=False)
    lines = done.stdout.strip().splitlines() or ["nothing was printed"]
    share = json.loads(lines[-1]).get("share_ms") if lines[-1].startswith("{") else None
    return (share, None) if share else (None, lines[-1])


def print_share(driver_percent):
    share, why = bluetoothd_share()
    if not share or not share["driver"]:
        print(f"bluetoothd: a stand-in here; the real one's share is not known: {why or share}")
        return {}
    times = share["bluetoothd"] / share["driver"]
    print(f"bluetoothd: a stand-in here; the real one takes {times:.1f} times what the driver does for an advertisement ({share['bluetoothd']} ms "
          f"and {share['driver']} ms of an emulated processor), so about {times * driver_percent:.1f} % of a core here")
    return {"bluetoothd_per_driver": round(times, 1), "bluetoothd_cpu_percent_about": round(times * driver_percent, 1)}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sensors", type=int, default=200)
    parser.add_argument("--strangers", type=int, default=10000)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--short", action="store_true")
    options = parser.parse_args()
    if options.short:
        options.seconds, options.strangers = options.seconds // SHORT, options.strangers // SHORT
    bench = harness.Bench()
    try:
        result = measure(bench, options)
    except harness.Failure as e:
        bench.tails()
        print(json.dumps({"failed": str(e)}))
        return 1
    finally:
        bench.remove()
    if not options.short:
        result.update(print_share(result["driver_cpu_percent"]))
    wrong = [text for bad, text in (
        (result["driver_kb"] > RESIDENT_MAX, f"the driver has {result['driver_kb']} kB, at most {RESIDENT_MAX}"),
        (result["driver_cpu_percent"] > CPU_MAX, f"the driver takes {result['driver_cpu_percent']} % of a core, at most {CPU_MAX}"),
        (result["driver_grew_kb"] > GROWTH_MAX, f"the driver grew by {result['driver_grew_kb']} kB, at most {GROWTH_MAX}")) if bad]
    for text in wrong:
        print(f"FAILED: {text}")
    print(json.dumps({**result, "passed": not wrong}))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
