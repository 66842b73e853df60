# SPDX-License-Identifier: LGPL-2.1-or-later
"""A Bluetooth sensor on the air of a booted system: a BTHome thermometer, heard by a stand-in for bluetoothd (the real one does not
start on a kernel without Bluetooth)."""
import contextlib
import itertools
import threading

from console import wait_for

ADDRESS, NAME = "54:48:E6:8F:80:A5", "bthome-80a5"
CELSIUS = 21.5


class SystemBus:
    """As much of a bench as the stand-in asks for."""
    env = {"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/run/dbus/system_bus_socket"}


def own_bluez(bluez):
    """None until the bus has read the policy that lets root have the name."""
    from dbus_client import Error

    try:
        return bluez(SystemBus())
    except Error:
        return None


@contextlib.contextmanager
def thermometer():
    """While it lasts it advertises. gatehouse-plugin-ble must be installed, whose policy of the bus is needed."""
    from bluez_peer import Bluez

    bluez = wait_for("the name of bluetoothd", lambda: own_bluez(Bluez))
    bluez.add_adapter()
    ended = threading.Event()

    def advertise():
        for n in itertools.count():
            if ended.wait(0.2):
                return
            bluez.advertise(ADDRESS, service={"fcd2": bytes([0x40, 0x00, n & 255, 0x02]) + int(CELSIUS * 100).to_bytes(2, "little")})
    advertiser = threading.Thread(target=advertise, daemon=True)
    advertiser.start()
    try:
        yield bluez
    finally:
        ended.set()
        advertiser.join()
        bluez.stop()
