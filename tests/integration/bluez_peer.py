# SPDX-License-Identifier: LGPL-2.1-or-later
"""A stand-in for bluetoothd on the bench's bus, for what the real one cannot be made to do: it has the objects, methods and habits
that matter to a client that scans and connects, and fails as it is told.

    bluez = Bluez(bench); bluez.add_adapter(); bluez.discovering("hci0"); bluez.advertise("A4:C1:38:02:83:F4", service={FCD2: b"..."})
"""
import threading
import time

import dbus_client
import harness
from dbus_client import CALL, DESTINATION, ERROR, ERROR_NAME, INTERFACE, MEMBER, PATH, REPLY_SERIAL, SENDER, SIGNAL, SIGNATURE, Writer, split
from harness import wait_for

ADAPTER, DEVICE, SERVICE, CHARACTERISTIC = (f"org.bluez.{x}" for x in ("Adapter1", "Device1", "GattService1", "GattCharacteristic1"))
MONITORS, MONITOR = "org.bluez.AdvertisementMonitorManager1", "org.bluez.AdvertisementMonitor1"
MANAGER, OBJECTS, PROPERTIES = "org.bluez.AgentManager1", "org.freedesktop.DBus.ObjectManager", "org.freedesktop.DBus.Properties"
BASE = "0000{}-0000-1000-8000-00805f9b34fb"
TYPES = {bool: "b", str: "s", int: "n", bytes: "ay", list: "as"}


def uuid(text):
    return BASE.format(text.lower()) if len(text) == 4 else text.lower()


def variant(name, value):
    if name in ("Adapter", "Service", "Device"):
        return ("o", value)
    if name == "ManufacturerData":
        return ("a{qv}", {k: ("ay", v) for k, v in value.items()})
    if name == "ServiceData":
        return ("a{sv}", {k: ("ay", v) for k, v in value.items()})
    return (TYPES[type(value)], value)


class Bluez:
    def __init__(self, bench):
        self.bench, self.lock = bench, threading.RLock()
        self.objects = {"/org/bluez": {MANAGER: {}}}
        self.calls, self.failing, self.held, self.services = [], {}, set(), {}
        self.scanning_for = {}  # who began it, by adapter
        self.late_services = False
        self.remembered = {}  # services of before an update of the firmware, and what is answered to them, by address
        self.passkeys = {}  # what a sensor wants to be asked, by address
        self.asked = {}  # what follows an answer, by the number of the question
        self.pairing_agent = None
        self.monitors = {}  # (whose, its root, the object that is active), by adapter
        self.refuses_monitors = False
        self.client = None
        self.start()

    # --- its life ---

    def start(self):
        self.client = dbus_client.Client(self.bench)
        self.client.socket.settimeout(None)
        self.client.call("/org/freedesktop/DBus", "org.freedesktop.DBus", "AddMatch", "s",
                         "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged'", destination="org.freedesktop.DBus")
        # The last one: whoever waits for the name calls at once, and what comes beside an answer is not kept.
        self.client.call("/org/freedesktop/DBus", "org.freedesktop.DBus", "RequestName", "su", "org.bluez", 4,
                         destination="org.freedesktop.DBus")
        threading.Thread(target=self.serve, args=(self.client,), daemon=True).start()

    def stop(self):
        """As a crash: what it had is gone, its adapters will be found again."""
        with self.lock:
            self.client.socket.shutdown(2)
            self.monitors.clear()
            self.objects = {p: o for p, o in self.objects.items() if ADAPTER in o or MANAGER in o}
            for interfaces in self.objects.values():
                if ADAPTER in interfaces:
                    interfaces[ADAPTER]["Discovering"] = False

    def serve(self, client):
        while True:
            try:
                m = client.receive()
            except Exception:  # closed, however it says so
                return
            if m.kind == CALL:
                with self.lock:
                    self.handle(client, m, client.reply_serial)
            elif m.fields.get(REPLY_SERIAL) in self.asked:
                with self.lock:
                    self.asked.pop(m.fields[REPLY_SERIAL])(m)
            elif m.kind == SIGNAL and m.member == "NameOwnerChanged" and not m.body[2]:
                with self.lock:
                    self.gone(m.body[0])

    def gone(self, name):
        """Nothing is scanned for a client that has left the bus."""
        for path in [p for p, monitor in self.monitors.items() if monitor[0] == name]:
            del self.monitors[path]
        for path in [p for p, owner in self.scanning_for.items() if owner == name]:
            del self.scanning_for[path]
            if path in self.objects and self.objects[path][ADAPTER]["Discovering"]:
                self.set(path, ADAPTER, Discovering=False)

    # --- what it says ---

    def transmit(self, client, kind, fields, signature="", *values):
        body = Writer()
        for part, value in zip(split(signature), values):
            body.put(part, value)
        if signature:
            fields[SIGNATURE] = signature
        client.serial += 1
        try:
            client.transmit(kind, fields, body)
        except OSError:
            pass

    def signal(self, path, interface, member, signature, *values):
        fields = {PATH: path, INTERFACE: interface, MEMBER: member}
        self.transmit(self.client, SIGNAL, fields, signature, *values)

    def add(self, path, interface, **properties):
        with self.lock:
            self.objects.setdefault(path, {})[interface] = properties
            self.signal("/", OBJECTS, "InterfacesAdded", "oa{sa{sv}}", path,
                        {interface: {k: variant(k, v) for k, v in properties.items()}})

    def remove(self, path):
        """And all below."""
        with self.lock:
            for p in [p for p in self.objects if p == path or p.startswith(path + "/")]:
                interfaces = self.objects.pop(p)
                self.signal("/", OBJECTS, "InterfacesRemoved", "oas", p, list(interfaces))

    def set(self, path, interface, **properties):
        with self.lock:
            self.objects[path][interface].update(properties)
            self.signal(path, PROPERTIES, "PropertiesChanged", "sa{sv}as", interface,
                        {k: variant(k, v) for k, v in properties.items()}, [])

    # --- adapters and sensors ---

    def add_adapter(self, name="hci0", address="DC:A6:32:00:00:01", powered=True, monitors=()):
        """With `monitors`, their types, as one that was started with --experimental; all of it in one signal, as the real one does."""
        path, adapter = f"/org/bluez/{name}", {"Address": address, "Powered": powered, "Discovering": False}
        if not monitors:
            self.add(path, ADAPTER, **adapter)
            return
        with self.lock:
            self.objects[path] = {ADAPTER: adapter, MONITORS: {"SupportedMonitorTypes": list(monitors)}}
            self.signal("/", OBJECTS, "InterfacesAdded", "oa{sa{sv}}", path,
                        {i: {k: variant(k, v) for k, v in ps.items()} for i, ps in self.objects[path].items()})

    def adapter(self, name="hci0"):
        return self.objects.get(f"/org/bluez/{name}", {}).get(ADAPTER, {})

    def discovering(self, name="hci0"):
        wait_for(f"{name} scans", lambda: self.adapter(name).get("Discovering"))

    def listening(self, name="hci0"):
        wait_for(f"{name} has an active monitor", lambda: self.monitors.get(f"/org/bluez/{name}", [None] * 3)[2])

    @staticmethod
    def path(address, adapter="hci0"):
        return f"/org/bluez/{adapter}/dev_{address.replace(':', '_')}"

    def advertise(self, address, manufacturer=None, service=None, name=None, uuids=None, rssi=-60, adapter="hci0"):
        """Heard only by an adapter that scans: whether it was."""
        with self.lock:
            passive = not self.adapter(adapter).get("Discovering")
            if passive and not (self.adapter(adapter).get("Powered") and self.monitors.get(f"/org/bluez/{adapter}", [None] * 3)[2]):
                return False
            said = {"RSSI": rssi}
            if manufacturer:
                said["ManufacturerData"] = manufacturer
            if service:
                said["ServiceData"] = {uuid(k): v for k, v in service.items()}
            if uuids:
                said["UUIDs"] = [uuid(u) for u in uuids]
            if name:
                said["Name"] = name
            path = self.path(address, adapter)
            if path in self.objects and passive:
                self.heard_passively(path, said)
            elif path in self.objects:
                self.set(path, DEVICE, **said)
            else:
                self.add(path, DEVICE, Address=address, AddressType="public", Paired=False, Connected=False, ServicesResolved=False,
                         Adapter=f"/org/bluez/{adapter}", **said)
            return True

    def heard_passively(self, path, said):
        """Old data stay beside the new, of each kind; only what changed is told, and a signal only if it differs by 8 dB."""
        before, changed = self.objects[path][DEVICE], {}
        said.pop("Name", None)
        for key in ("ManufacturerData", "ServiceData"):
            merged = {**before.get(key, {}), **said.pop(key, {})}
            if merged != before.get(key, {}):
                changed[key] = merged
        if abs(said["RSSI"] - before["RSSI"]) >= 8:
            changed["RSSI"] = said["RSSI"]
        if changed:
            self.set(path, DEVICE, **changed)

    def gatt(self, address, services):
        """What a connection finds: {service: {characteristic: bytes}}."""
        self.services[address] = services

    def update(self, address, services, answer, adapter="hci0"):
        """Its firmware is updated: BlueZ goes on showing what it remembers, whose handles are others', until it forgets the sensor."""
        with self.lock:
            self.remembered[address] = (self.services[address], answer)
            self.services[address] = services

    def move(self, address, services, adapter="hci0"):
        """As an update that the sensor tells of: the objects go, and others come."""
        with self.lock:
            device = self.path(address, adapter)
            for path in [p for p in self.objects if p.startswith(device + "/") and SERVICE in self.objects[p]]:
                self.remove(path)
            self.services[address] = services
            self.show_services(device, services, 0x100)

    def lose(self, address, adapter="hci0"):
        self.set(self.path(address, adapter), DEVICE, Connected=False, ServicesResolved=False)

    def value(self, address, characteristic, value=None):
        """The bytes; or they change, and whoever subscribed hears of it."""
        for path, interfaces in list(self.objects.items()):
            c = interfaces.get(CHARACTERISTIC)
            if c and c["UUID"] == uuid(characteristic) and address.replace(":", "_") in path:
                if value is not None:
                    with self.lock:
                        self.services[address] = {s: {k: value if uuid(k) == uuid(characteristic) else v for k, v in cs.items()}
                                                  for s, cs in self.services[address].items()}
                        if c.get("Notifying"):
                            self.set(path, CHARACTERISTIC, Value=value)
        return {uuid(k): v for cs in self.services[address].values() for k, v in cs.items()}[uuid(characteristic)]

    # --- what it is asked ---

    def fail(self, member, error, times=1):
        """The next calls of it, or all (times 0)."""
        with self.lock:
            self.failing[member] = [error, times]

    def fail_no_more(self, member):
        with self.lock:
            del self.failing[member]

    def called(self, member, since=0):
        return [c for c in self.calls[since:] if c[1] == member]

    def handle(self, client, m, serial):
        self.calls.append((m.path, m.member, m.body, time.monotonic()))
        reply = {REPLY_SERIAL: serial, DESTINATION: m.fields[SENDER]}
        failing = self.failing.get(m.member)
        if m.member in self.held:
            return
        if failing:
            if failing[1] == 1:
                del self.failing[m.member]
            elif failing[1] > 1:
                failing[1] -= 1
            self.transmit(client, ERROR, {**reply, ERROR_NAME: "org.bluez.Error." + failing[0]}, "s", "as it was told")
            return
        method = getattr(self, "do_" + m.member, None)
        answer = method(m) if method else None
        if isinstance(answer, Exception):
            name, text = (*answer.args, "no")[:2]
            self.transmit(client, ERROR, {**reply, ERROR_NAME: "org.bluez.Error." + name}, "s", text)
        elif answer is not Ellipsis:
            self.transmit(client, 2, reply, *(answer or ()))
        after = getattr(self, "after_" + m.member, None)
        if after and answer is not Ellipsis and not isinstance(answer, Exception):
            after(m)

    def do_GetManagedObjects(self, _):
        return ("a{oa{sa{sv}}}", {p: {i: {k: variant(k, v) for k, v in ps.items()} for i, ps in o.items()}
                                  for p, o in self.objects.items()})

    def do_Set(self, m):
        interface, name, value = m.body
        self.set(m.path, interface, **{name: value.value})

    def do_StartDiscovery(self, m):
        if not self.objects[m.path][ADAPTER]["Powered"]:
            return Exception("NotReady")
        if self.objects[m.path][ADAPTER]["Discovering"]:
            return Exception("InProgress")
        self.scanning_for[m.path] = m.fields[SENDER]
        self.set(m.path, ADAPTER, Discovering=True)
        return None

    def do_StopDiscovery(self, m):
        if not self.objects[m.path][ADAPTER]["Discovering"]:
            return Exception("Failed")
        self.set(m.path, ADAPTER, Discovering=False)
        return None

    def ask(self, path, interface, member, destination, then, signature="", *values):
        """A call of ours; `then` with its answer."""
        self.transmit(self.client, CALL, {PATH: path, INTERFACE: interface, MEMBER: member, DESTINATION: destination}, signature, *values)
        self.asked[self.client.serial] = then

    def do_RegisterMonitor(self, m):
        """Its objects are read, and then it is activated, or released. Of more than seven patterns the real one dies."""
        sender, root, adapter = m.fields[SENDER], m.body[0], m.path
        client, answer = self.client, {REPLY_SERIAL: self.client.reply_serial, DESTINATION: sender}
        if adapter in self.monitors:
            return Exception("AlreadyExists")
        self.monitors[adapter] = [sender, root, None]

        def read(objects):
            if objects.kind == ERROR:
                return
            found = [(path, ps) for path, interfaces in objects.body[0].items() for i, ps in interfaces.items() if i == MONITOR]
            self.transmit(client, 2, answer)
            for path, ps in found:
                fits = path.startswith(root) and ps["Type"][1] == "or_patterns" and 0 < len(ps["Patterns"][1]) < 8
                if fits and not self.refuses_monitors:
                    self.monitors[adapter][2] = path
                self.ask(path, MONITOR, "Activate" if fits and not self.refuses_monitors else "Release", sender, lambda _: None)
        self.ask(root, OBJECTS, "GetManagedObjects", sender, read)
        return ...

    def do_UnregisterMonitor(self, m):
        monitor = self.monitors.pop(m.path, None)
        if not monitor:
            return Exception("DoesNotExist")
        if monitor[2]:
            self.ask(monitor[2], MONITOR, "Release", monitor[0], lambda _: None)
        return None

    def release(self, name="hci0"):
        """The kernel has dropped it; it stays in the books."""
        with self.lock:
            monitor = self.monitors[f"/org/bluez/{name}"]
            path, monitor[2] = monitor[2], None
            self.ask(path, MONITOR, "Release", monitor[0], lambda _: None)

    def do_RemoveDevice(self, m):
        self.remembered.pop(self.objects[m.body[0]][DEVICE]["Address"], None)
        self.remove(m.body[0])

    def after_Connect(self, m):
        address = self.objects[m.path][DEVICE]["Address"]
        self.set(m.path, DEVICE, Connected=True)
        if self.late_services:
            self.set(m.path, DEVICE, ServicesResolved=True)
        self.show_services(m.path, self.remembered.get(address, [self.services.get(address, {})])[0])
        if not self.late_services:
            self.set(m.path, DEVICE, ServicesResolved=True)

    def show_services(self, device, services, first=0):
        for i, (service, characteristics) in enumerate(services.items()):
            path = f"{device}/service{first + i:04x}"
            self.add_quietly(path, SERVICE, UUID=uuid(service), Primary=True)
            for k, characteristic in enumerate(characteristics):
                self.add_quietly(f"{path}/char{k:04x}", CHARACTERISTIC, UUID=uuid(characteristic), Service=path, Notifying=False)

    def add_quietly(self, path, interface, **properties):
        """Of late services not even a signal comes: they are there for whoever asks."""
        if self.late_services:
            self.objects.setdefault(path, {})[interface] = properties
        else:
            self.add(path, interface, **properties)

    def after_Disconnect(self, m):
        if m.path in self.objects:
            self.set(m.path, DEVICE, Connected=False, ServicesResolved=False)

    def do_RegisterAgent(self, m):
        if self.pairing_agent and self.pairing_agent[0] == m.fields[SENDER]:
            return Exception("AlreadyExists")
        self.pairing_agent = (m.fields[SENDER], m.body[0])
        return None

    def do_UnregisterAgent(self, _):
        self.pairing_agent = None

    def do_Pair(self, m):
        """Asks the agent for the passkey where there is one, and is answered then."""
        passkey = self.passkeys.get(self.objects[m.path][DEVICE]["Address"])
        if passkey is None:
            return None
        client, reply = self.client, {REPLY_SERIAL: self.client.reply_serial, DESTINATION: m.fields[SENDER]}

        def answered(answer):
            if answer.kind == 2 and answer.body[0] == passkey:
                self.transmit(client, 2, reply)
                self.after_Pair(m)
            else:
                self.transmit(client, ERROR, {**reply, ERROR_NAME: "org.bluez.Error.AuthenticationFailed"}, "s", "no")
        sender, path = self.pairing_agent
        self.transmit(client, CALL, {PATH: path, INTERFACE: "org.bluez.Agent1", MEMBER: "RequestPasskey", DESTINATION: sender}, "o", m.path)
        self.asked[client.serial] = answered
        return ...

    def after_Pair(self, m):
        self.set(m.path, DEVICE, Paired=True)

    def characteristic(self, m):
        address = m.path.split("/dev_")[1][:17].replace("_", ":")
        return address, self.objects[m.path][CHARACTERISTIC]["UUID"]

    def do_ReadValue(self, m):
        address, _ = self.characteristic(m)
        if address in self.remembered:
            answer = self.remembered[address][1]
            return answer if isinstance(answer, Exception) else ("ay", answer)
        return ("ay", self.value(*self.characteristic(m)))

    def do_WriteValue(self, m):
        self.value(*self.characteristic(m), bytes(m.body[0]))

    def do_StartNotify(self, m):
        self.objects[m.path][CHARACTERISTIC]["Notifying"] = True


def close(bluez):
    harness.check(bluez.client is not None, "it never ran")
    bluez.client.socket.shutdown(2)
