# SPDX-License-Identifier: LGPL-2.1-or-later
"""A bench with Bluetooth sensors, their cloud and a stand-in for bluetoothd."""
import os
import random

import harness
from bluez_peer import Bluez
from harness import wait_for

THERMOMETER, BUTTON, TAG = "54:48:E6:8F:80:A5", "B4:35:22:F5:3D:A4", "CB:B8:33:4C:88:4F"


def plain(temperature, packet):
    """BTHome v2: packet number, temperature."""
    return bytes([0x40, 0x00, packet & 255, 0x02]) + int(temperature * 100).to_bytes(2, "little", signed=True)


class Room:
    """A bench with sensors, their cloud and a bluetoothd."""

    def __init__(self, bench, sensors, adapters=(("hci0", "DC:A6:32:00:00:01"),), monitors=(),
                 formats=os.path.join(harness.ROOT, "etc", "ble")):
        self.bench = bench
        bench.env["GATEHOUSE_BLE_DECODERS"] = formats
        keys = {s: bench.new_key() for s in sensors}
        self.cloud = bench.devcloud([(f"first-{s}", key, s) for s, key in keys.items()])
        bench.write_config(self.cloud.url)
        for s, section in sensors.items():
            points = section.pop("points", {})
            bench.write_device(s, "ble", points=points, **{"interval": "0", **section})
        bench.bus()
        self.bluez = Bluez(bench)
        for name, address in adapters:
            self.bluez.add_adapter(name, address, monitors=monitors)
        self.agent = bench.agent()
        self.driver = bench.driver("ble")
        for s, key in keys.items():
            bench.key_set(s, f"first-{s}", key)

    def values(self, sensor, point="temperature"):
        return [s["value"] for s in self.cloud.samples(sensor, point)]

    def hears(self, sensor, value, say, point="temperature"):
        """Says it until it arrives: somebody who advertises does so again and again."""
        def there():
            say()
            return value in self.values(sensor, point)
        wait_for(f"{point} {value} of {sensor}", there)

    def until(self, what, say, found):
        """The same for what does not arrive as a value of one sensor: who is said something before the driver has opened him, or has his
        key, has heard nothing."""
        wait_for(what, lambda: (say(), found())[1])

    def says(self, temperature, packet, address=THERMOMETER, adapter="hci0"):
        self.bluez.advertise(address, service={"fcd2": plain(temperature, packet)}, adapter=adapter)

    def fails(self, sensor, word, say=lambda: None):
        self.bench.wait_property(sensor, "SensorReason", lambda reason: (say(), word in reason)[1])


def counter():
    """Packet numbers, each once."""
    n = random.randrange(256)
    while True:
        n += 1
        yield n
