#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Shows every device's state and samples as they come, and writes a point: gatehouse over D-Bus with python3-dbus (org.gatehouse1(5)).

usage: watch.py [DEVICE POINT VALUE]

Needs python3-dbus and python3-gi. Whoever may not subscribe is told so by AccessDenied.
"""
import sys

import dbus
import dbus.mainloop.glib
from gi.repository import GLib

NAME, ROOT = "org.gatehouse1", "/org/gatehouse1"
MANAGER, DEVICE = "org.gatehouse1.Manager", "org.gatehouse1.Device"


def main():
    dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
    bus = dbus.SystemBus()
    manager = dbus.Interface(bus.get_object(NAME, ROOT), MANAGER)

    def on_sample(device, point, when, value, unit):
        print(f"{device} {point} = {value} {unit}", flush=True)

    def on_changed(interface, changed, invalidated, path=None):
        if interface == DEVICE and "State" in changed:
            print(f"{path}: {changed['State']}", flush=True)

    # Before anything is asked for, so that nothing is missed.
    bus.add_signal_receiver(on_sample, "Sample", MANAGER, NAME)
    bus.add_signal_receiver(on_changed, "PropertiesChanged", dbus.PROPERTIES_IFACE, NAME, path_keyword="path")
    for id, path, driver, uplink, state in manager.ListDevices(dbus.Dictionary({}, "sv")):
        print(f"{id} ({driver} -> {uplink}): {state}", flush=True)
    manager.Subscribe(dbus.Array([], "s"))  # none: all devices

    if len(sys.argv) == 4:
        device = dbus.Interface(bus.get_object(NAME, manager.GetDevice(sys.argv[1])), DEVICE)
        print("set:", device.Write(sys.argv[2], float(sys.argv[3])), flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    try:
        main()
    except dbus.DBusException as e:
        sys.exit(f"{e.get_dbus_name()}: {e.get_dbus_message()}")
    except KeyboardInterrupt:
        pass
