#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Passive scanning: an advertisement monitor at a bluetoothd that was started with --experimental, and every way in which there is none,
or it ends."""
import itertools
import json
import os

import harness
from ble_room import BUTTON, TAG, THERMOMETER, Room, counter
from bluez_peer import ADAPTER, MONITORS
from harness import check, wait_for

TYPES = ["or_patterns"]
REPEATING, FILTERING = "6.12.38", "6.1.0-23-amd64 SMP Debian 6.1.99-1 (2024-07-15)"
PASSIVE = {"address": THERMOMETER, "scan": "passive"}
GATT = {"181a": {"2a6e": (2150).to_bytes(2, "little", signed=True)}}


def room_of(bench, sensors, monitors=TYPES, kernel=REPEATING, **options):
    bench.env["GATEHOUSE_BLE_KERNEL"] = kernel
    return Room(bench, {name: dict(section) for name, section in sensors.items()}, monitors=monitors, **options)


def never_active(room):
    check(not room.bluez.called("StartDiscovery"), f"no active scan: {[c[:2] for c in room.bluez.calls]}")


def monitor_calls(bluez):
    return [c[1] for c in bluez.calls if c[1] in ("RegisterMonitor", "UnregisterMonitor")]


def listens(bench):
    """Heard without a discovery; of what BlueZ keeps beside it, only what is new; while somebody scans, actively, and then no longer."""
    room = room_of(bench, {"hall": PASSIVE, "tag": {"address": TAG, "scan": "passive"}})
    bluez, n = room.bluez, counter()
    bluez.listening()
    room.hears("hall", 21.5, lambda: room.says(21.5, next(n)))
    bench.wait_property("hall", "SensorState", "ok")
    check(bench.get("hall", "SensorReason") == "", bench.get("hall", "SensorReason"))
    never_active(room)
    # Something else in turn with its values, which nothing numbers: BlueZ tells both each time.
    says = lambda t: bluez.advertise(TAG, service={"fcd2": b"\x40\x02" + (100 * t).to_bytes(2, "little")})  # noqa: E731
    degrees = itertools.count()
    room.until("the tag", lambda: says(next(degrees)), lambda: room.values("tag"))
    for i in range(3):
        bluez.advertise(TAG, service={"1234": bytes([i])})
    says(60)
    wait_for("its next", lambda: 60 in room.values("tag"))
    check(len(set(room.values("tag"))) == len(room.values("tag")), f"no value twice: {room.values('tag')}")
    never_active(room)
    wait_for("a scan to be active", lambda: (bench.ctl("scan", "ble", "seconds=1"), bluez.called("StartDiscovery"))[1])
    bluez.listening()
    room.hears("hall", 22.5, lambda: room.says(22.5, next(n)))
    check(not bluez.adapter()["Discovering"], "and passive again")


def recovers(bench):
    """bluetoothd ends and comes again, the kernel drops the monitor, the adapter is taken out and comes back under another name, the driver is
    killed: heard again by itself, and never actively."""
    room = room_of(bench, {"hall": PASSIVE})
    bluez, n = room.bluez, counter()
    hears = lambda value, adapter: room.hears("hall", value, lambda: room.says(value, next(n), adapter=adapter))  # noqa: E731
    hears(1.0, "hci0")
    bluez.stop()
    room.fails("hall", "bluetooth.service")
    bluez.start()
    hears(2.0, "hci0")
    bluez.release()
    hears(3.0, "hci0")
    bluez.remove("/org/bluez/hci0")
    bluez.monitors.clear()
    bluez.add_adapter("hci3", monitors=TYPES)
    hears(4.0, "hci3")
    room.driver.kill()
    room.driver.start()
    hears(5.0, "hci3")
    never_active(room)


def powered(bench):
    """The adapter is blocked, and switched off by somebody: BlueZ keeps the monitor in its books, and refuses a second until it is withdrawn."""
    room = room_of(bench, {"hall": PASSIVE})
    bluez, n = room.bluez, counter()
    hears = lambda value: room.hears("hall", value, lambda: room.says(value, next(n)))  # noqa: E731

    def anew(since):
        """As often as it takes: one that is still refused is tried again."""
        wait_for("registered anew", lambda: monitor_calls(bluez)[since:][-2:] == ["UnregisterMonitor", "RegisterMonitor"])
        bluez.listening()
    hears(1.0)
    before = len(monitor_calls(bluez))
    bluez.fail("Set", "Blocked", times=1)
    bluez.set("/org/bluez/hci0", ADAPTER, Powered=False)
    room.fails("hall", "rfkill unblock")
    bluez.set("/org/bluez/hci0", ADAPTER, Powered=True)
    anew(before)
    hears(2.0)
    before = len(monitor_calls(bluez))
    bluez.set("/org/bluez/hci0", ADAPTER, Powered=False)
    anew(before)  # switched on again
    hears(3.0)
    calls = monitor_calls(bluez)
    check(calls[::2] == ["RegisterMonitor"] * len(calls[::2]) and calls[1::2] == ["UnregisterMonitor"] * len(calls[1::2]),
          f"each but the first behind one that withdraws the last: {calls}")
    never_active(room)


def connects(bench):
    """The monitor is withdrawn while a connection is made, and comes back behind it."""
    room = room_of(bench, {"hall": PASSIVE, "box": {"address": BUTTON, "scan": "passive", "points": {
        "t": {"characteristic": "2a6e", "read": "1s"}}}})
    bluez, n = room.bluez, counter()
    bluez.gatt(BUTTON, {k: dict(v) for k, v in GATT.items()})
    bluez.listening()
    bluez.advertise(BUTTON, name="box")
    wait_for("read", lambda: 21.5 in room.values("box", "t"))
    for call in bluez.called("Connect"):
        before = [c[1] for c in bluez.calls[:bluez.calls.index(call)] if c[1] in ("RegisterMonitor", "UnregisterMonitor")]
        check(before[-1] == "UnregisterMonitor", f"listened to while connecting: {before}")
    room.hears("hall", 19.0, lambda: room.says(19.0, next(n)))
    never_active(room)


def actively(bench, words, **options):
    """Heard all the same, and said why."""
    room = room_of(bench, {"hall": PASSIVE, **options.pop("sensors", {})}, **options)
    bluez, n = room.bluez, counter()
    bluez.discovering()
    room.hears("hall", 20.0, lambda: room.says(20.0, next(n)))
    room.fails("hall", words)
    check(bench.get("hall", "SensorReason").startswith("scanned actively"), bench.get("hall", "SensorReason"))
    check(bench.get("hall", "SensorState") == "ok", "its state is no other for it")
    check(words in bench.ctl("show", "hall"), "in what show prints")
    return room, n


def without(bench):
    """A bluetoothd without monitors, until it has some; then without again."""
    room, n = actively(bench, "--experimental", monitors=())
    bluez = room.bluez
    bluez.add("/org/bluez/hci0", MONITORS, SupportedMonitorTypes=TYPES)
    bluez.listening()
    room.hears("hall", 21.0, lambda: room.says(21.0, next(n)))
    bench.wait_property("hall", "SensorReason", "")
    with bluez.lock:
        del bluez.objects["/org/bluez/hci0"][MONITORS]
        bluez.signal("/", "org.freedesktop.DBus.ObjectManager", "InterfacesRemoved", "oas", "/org/bluez/hci0", [MONITORS])
    bluez.discovering()
    room.hears("hall", 22.0, lambda: room.says(22.0, next(n)))


def unfit(bench):
    """Monitors of another type only."""
    room, _ = actively(bench, "--experimental", monitors=["other"])
    check(not room.bluez.called("RegisterMonitor"), "not asked")


def filtering(bench):
    """A kernel that drops what a sensor repeats."""
    room, _ = actively(bench, "Linux 6.1.99 drops", kernel=FILTERING)
    check(not room.bluez.called("RegisterMonitor"), "not asked")


def other(bench):
    """Another sensor of the adapter is to be scanned for actively; when it is gone, nobody is."""
    room, n = actively(bench, "scanned actively: tag, on the same adapter, asks for it", sensors={"tag": {"address": TAG}})
    os.unlink(os.path.join(bench.config, "devices.d", "tag.json"))
    bench.ctl("reload")
    room.bluez.listening()
    room.hears("hall", 21.0, lambda: room.says(21.0, next(n)))


def refused(bench):
    """bluetoothd refuses the monitor, at once or when it has seen it: scanned actively, and it is withdrawn."""
    room = room_of(bench, {"hall": PASSIVE}, adapters=())
    bluez, n = room.bluez, counter()
    bluez.refuses_monitors = True
    bluez.add_adapter(monitors=TYPES)
    bluez.discovering()
    room.hears("hall", 20.0, lambda: room.says(20.0, next(n)))
    room.fails("hall", "refused to listen passively on hci0 (the monitor was released)")
    check(not bluez.monitors, "withdrawn")
    bluez.remove("/org/bluez/hci0")
    room.fails("hall", "no Bluetooth adapter")
    bluez.refuses_monitors = False
    bluez.fail("RegisterMonitor", "Failed", times=1)
    bluez.add_adapter("hci1", "DC:A6:32:00:00:02", monitors=TYPES)
    bluez.discovering("hci1")
    room.hears("hall", 21.0, lambda: room.says(21.0, next(n), adapter="hci1"))
    room.fails("hall", "on hci1 (Failed")
    check(json.loads(bench.ctl("show", "hall", "--json=short"))["result"]["sensor_state"] == "ok", "heard all the same")


if __name__ == "__main__":
    harness.main(listens, recovers, powered, connects, without, unfit, filtering, other, refused)
