#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Counters of sensors that encrypt, from the air to the cloud: a battery is changed, recordings are played again. The time that has to
pass is a file (tests/tools/later.c)."""
import json
import os
import random
import subprocess

import harness
from bluez_peer import Bluez
from harness import check, wait_for

SENSOR = "54:48:E6:8F:80:A5"
KEY = "231d39c1d7cc1ab1aee224cd096db932"
RECORDED = 1000
SILENCE = 61  # seconds


def sealed(first, values):
    """What the sensor says: a temperature each, counted from `first`."""
    objects = ["02" + round(100 * v).to_bytes(2, "little", signed=True).hex() for v in values]
    lines = "".join(f"{first + n} {o}\n" for n, o in enumerate(objects))
    done = subprocess.run([harness.program("tests/tools/bthome-seal"), SENSOR, KEY], input=lines, stdout=subprocess.PIPE, text=True,
                          check=True)
    return [bytes.fromhex(line) for line in done.stdout.split()]


class Air:
    def __init__(self, bench):
        self.bench, self.seconds, self.said = bench, 0, 0
        bench.env["GATEHOUSE_BLE_DECODERS"] = os.path.join(harness.ROOT, "etc", "ble")
        key = bench.new_key()
        self.cloud = bench.devcloud([("first-hall", key, "hall")])
        bench.write_config(self.cloud.url)
        bench.write_device("hall", "ble", points={}, address=SENSOR, interval="0")
        self.pass_time(0)
        bench.bus()
        self.bluez = Bluez(bench)
        self.bluez.add_adapter()
        bench.agent()
        self.driver = bench.spawn("driver-ble", [harness.program("agent/gatehouse-driver/gatehouse-driver"), "ble", "--runtime-dir", bench.runtime,
                                                 "--plugin-dir", os.path.join(harness.BUILD_DIR, "tests", "tools", "later")],
                                  env={"LATER": bench.path("later")})
        bench.key_set("hall", "first-hall", key)
        bench.ctl("key", "set", "hall", "--kind=bind", stdin=KEY.encode())
        self.bluez.discovering()

    def pass_time(self, seconds):
        self.seconds += seconds
        path = self.bench.path("later")
        with open(path + "~", "w", encoding="ascii") as f:
            f.write(str(self.seconds))
        os.rename(path + "~", path)

    def say(self, frames):
        for frame in frames:
            self.said += self.bluez.advertise(SENSOR, service={"fcd2": frame})

    def values(self):
        return [s["value"] for s in self.cloud.samples("hall", "temperature")]

    def arrives(self, value):
        wait_for(f"{value} in the cloud", lambda: value in self.values())

    def statistics(self):
        return json.loads(self.bench.ctl("show", "hall", "--json=short"))["result"].get("statistics", {})

    def refused(self):
        """How many were, once all that was said has been heard."""
        counted = {}

        def all_heard():
            counted.update(self.statistics())
            return counted.get("heard") == self.said
        wait_for(lambda: f"{self.said} to be heard, not {counted}", all_heard)
        check(counted["wrong_key"] == 0, counted)
        return counted["repeated"] + counted["held_back"]

    def begin(self, counter, value):
        """Heard for the first time, once the driver has the key."""
        (frame,) = sealed(counter, [value])
        wait_for("the first", lambda: (self.say([frame]), value in self.values())[1])

    def refuses(self, frames, what):
        """Each is heard, and none is a sample."""
        values, refused = self.values(), self.refused()
        self.say(frames)
        check(self.refused() == refused + len(frames), f"{what}: {self.statistics()}")
        check(self.values() == values, f"{what}: {len(self.values()) - len(values)} accepted")


def battery_changed(bench):
    """A count that begins at 0 again is believed at the third advertisement if it was silent for 60 s, not before, and from then on goes on."""
    air = Air(bench)
    air.begin(5000, 20.0)
    restarted = sealed(0, [1.0, 2.0, 3.0, 4.0])
    air.refuses(restarted, "without a silence")
    air.pass_time(SILENCE)
    air.refuses(restarted[:2], "the first two")
    air.say(restarted[2:3])
    air.arrives(3.0)
    air.say(restarted[3:])
    air.arrives(4.0)
    check(air.values() == [20.0, 3.0, 4.0], air.values())
    air.refuses(restarted, "its own recording")


def replayed(bench):
    """What was recorded of a sensor, all of it, in order and out of order, beside the sensor, after a silence, and after a restart."""
    air = Air(bench)
    recording = sealed(20000, [n / 100 for n in range(RECORDED)])
    air.begin(19999, -1.0)
    air.say(recording)
    wait_for("the last", lambda: len(air.values()) == RECORDED + 1)
    air.refuses(recording, "in order")
    air.pass_time(SILENCE)
    air.refuses(recording, "after a silence")
    shuffled = random.sample(recording, RECORDED)
    air.refuses(shuffled[:100], "out of order")
    live = sealed(20000 + RECORDED, [30.0, 31.0, 32.0])
    for value, frame in zip((30.0, 31.0, 32.0), live):
        air.say([frame])
        air.arrives(value)
        air.refuses(recording[:20], "beside the sensor")
    air.driver.stop()
    wait_for("nothing is scanned for it any more", lambda: not air.bluez.adapter()["Discovering"])
    air.driver.start()
    air.bluez.discovering()
    air.said = 0
    wait_for("it scans again", lambda: (air.say(live[-1:]), air.statistics().get("repeated", 0) > 0)[1])
    air.pass_time(SILENCE)
    air.refuses(recording, "after a restart")
    air.say(sealed(20000 + RECORDED + 3, [33.0]))
    air.arrives(33.0)


if __name__ == "__main__":
    harness.main(battery_changed, replayed)
