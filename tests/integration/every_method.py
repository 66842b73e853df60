#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Calls with python3-dbus, which belongs to the system's Python: reads a JSON list of calls on standard input, prints what became of
each: [null, answer] or [error name, message].

A call is [path, interface, method, [[type, value], ...]]; a value of type h is a path, opened for reading and writing."""
import json
import os
import sys

import dbus

NAME = "org.gatehouse1"


def argument(kind, value):
    if kind == "a{sv}":
        return dbus.Dictionary({k: dbus.String(v, variant_level=1) if isinstance(v, str) else dbus.Boolean(v, variant_level=1)
                                for k, v in value.items()}, signature="sv")
    if kind == "as":
        return dbus.Array(value, signature="s")
    if kind == "v":
        return dbus.Double(value, variant_level=1)
    if kind == "h":
        fd = os.open(value, os.O_RDWR)
        try:
            return dbus.types.UnixFd(fd)
        finally:
            os.close(fd)
    return dbus.String(value)


def plain(value):
    if isinstance(value, dbus.types.UnixFd):
        os.close(value.take())
        return "fd"
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, dbus.Boolean):
        return bool(value)
    return float(value) if isinstance(value, float) else int(value) if isinstance(value, int) else str(value)


def main():
    bus = dbus.SystemBus()
    found = []
    for path, interface, method, arguments in json.load(sys.stdin):
        proxy = bus.get_object(NAME, path, introspect=False)
        types = "".join(kind for kind, _ in arguments)
        call = proxy.get_dbus_method(method, interface)
        try:
            found.append([None, plain(call(*(argument(k, v) for k, v in arguments), signature=types))])
        except dbus.DBusException as e:
            found.append([e.get_dbus_name(), e.get_dbus_message()])
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
