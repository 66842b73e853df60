# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sensors for the virtual machine: one that only advertises, by HCI commands on a controller of its own, under any address; and one to
connect to, through bluetoothd's GattManager1 and LEAdvertisingManager1."""
import struct
import threading

import controllers
import dbus_client
from dbus_client import CALL, DESTINATION, INTERFACE, MEMBER, PATH, REPLY_SERIAL, SENDER, SIGNAL, SIGNATURE, Writer, split

SERVICE, CHARACTERISTIC, ADVERTISEMENT = (f"org.bluez.{x}" for x in ("GattService1", "GattCharacteristic1", "LEAdvertisement1"))
PROPERTIES, OBJECTS = "org.freedesktop.DBus.Properties", "org.freedesktop.DBus.ObjectManager"
BASE = "0000{}-0000-1000-8000-00805f9b34fb"


def legacy_data(manufacturer=None, service=None, name=None):
    """The content of an advertisement."""
    data = b"\x02\x01\x06"
    for company, content in (manufacturer or {}).items():
        data += bytes([len(content) + 3, 0xff]) + struct.pack("<H", company) + content
    for uuid, content in (service or {}).items():
        data += bytes([len(content) + 3, 0x16]) + struct.pack("<H", uuid) + content
    if name:
        data += bytes([len(name) + 1, 0x09]) + name.encode()
    return data


class Beacon:
    """An emulated controller shows an advertisement when it begins or changes, so each is begun anew."""

    def __init__(self, device):
        self.hci = controllers.open_hci(device)

    def command(self, opcode, data):
        self.hci.send(struct.pack("<BHB", 1, opcode, len(data)) + data)

    def say(self, address, **said):
        data = legacy_data(**said)
        self.command(0x200a, b"\0")
        self.command(0x2005, bytes.fromhex(address.replace(":", ""))[::-1])
        self.command(0x2006, struct.pack("<HHBBB6sBB", 0xa0, 0xa0, 3, 1, 0, bytes(6), 7, 0))
        self.command(0x2008, bytes([len(data)]) + data.ljust(31, b"\0"))
        self.command(0x200a, b"\1")

    def close(self):
        self.hci.close()


class Peripheral:
    def __init__(self, bench, adapter):
        self.values = {"2a6e": (2150).to_bytes(2, "little"), "aa01": b"\x05\x00", "aa02": b"\x00", "aa03": b"\x07"}
        self.flags = {"2a6e": ["read"], "aa01": ["read", "notify"], "aa02": ["read", "write"], "aa03": ["encrypt-read"]}
        self.written, self.notifying, self.path = [], False, f"/org/bluez/{adapter}"
        self.client = dbus_client.Client(bench)
        self.client.socket.settimeout(None)
        self.lock = threading.RLock()
        threading.Thread(target=self.serve, daemon=True).start()
        self.pending = {}

    def ask(self, path, interface, member, signature, *values):
        """Answered by serve(), which reads the socket alone."""
        with self.lock:
            event = threading.Event()
            serial = self.client.send(path, interface, member, signature, values, "org.bluez")
            self.pending[serial] = event
        assert event.wait(30), f"{member}: no answer"
        assert event.answer.kind == 2, f"{member}: {event.answer.body}"

    def begin(self):
        self.ask("/org/bluez", "org.bluez.AgentManager1", "RegisterAgent", "os", "/agent", "NoInputNoOutput")
        self.ask("/org/bluez", "org.bluez.AgentManager1", "RequestDefaultAgent", "o", "/agent")
        self.ask(self.path, "org.bluez.GattManager1", "RegisterApplication", "oa{sv}", "/app", {})
        self.ask(self.path, "org.bluez.LEAdvertisingManager1", "RegisterAdvertisement", "oa{sv}", "/adv", {})

    def serve(self):
        while True:
            try:
                m = self.client.receive()
            except Exception:  # closed
                return
            with self.lock:
                serial = self.client.reply_serial
                if m.kind == CALL:
                    self.reply(m, serial, *(self.handle(m) or ()))
                elif m.kind in (2, 3) and m.fields.get(REPLY_SERIAL) in self.pending:
                    event = self.pending.pop(m.fields[REPLY_SERIAL])
                    event.answer = m
                    event.set()

    def put(self, kind, fields, signature="", *values):
        body = Writer()
        for part, value in zip(split(signature), values):
            body.put(part, value)
        if signature:
            fields[SIGNATURE] = signature
        self.client.serial += 1
        self.client.transmit(kind, fields, body)

    def reply(self, m, serial, signature="", *values):
        self.put(2, {REPLY_SERIAL: serial, DESTINATION: m.fields[SENDER]}, signature, *values)

    def objects(self):
        found = {"/app/s": {SERVICE: {"UUID": ("s", BASE.format("181a")), "Primary": ("b", True)}}}
        for uuid, flags in self.flags.items():
            found["/app/s/" + uuid] = {CHARACTERISTIC: {"UUID": ("s", BASE.format(uuid)), "Service": ("o", "/app/s"),
                                                        "Flags": ("as", flags)}}
        return found

    def handle(self, m):
        uuid = m.path.rsplit("/", 1)[-1]
        if m.member == "GetManagedObjects":
            return ("a{oa{sa{sv}}}", self.objects())
        if m.member == "GetAll":
            return ("a{sv}", {"Type": ("s", "peripheral"), "LocalName": ("s", "box"), "ServiceUUIDs": ("as", ["181a"])})
        if m.member == "ReadValue":
            return ("ay", self.values[uuid])
        if m.member == "WriteValue":
            self.values[uuid] = bytes(m.body[0])
            self.written.append(self.values[uuid])
        if m.member in ("StartNotify", "StopNotify"):
            self.notifying = m.member == "StartNotify"
        return None

    def notify(self, value):
        with self.lock:
            self.put(SIGNAL, {PATH: "/app/s/aa01", INTERFACE: PROPERTIES, MEMBER: "PropertiesChanged"}, "sa{sv}as", CHARACTERISTIC,
                     {"Value": ("ay", value)}, [])

    def close(self):
        self.client.socket.shutdown(2)
