#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The cases of ./dev ble, run within the virtual machine (run.py): one after the other, with one agent, driver and bluetoothd.
Controllers: hci0 is the sensor that is connected to, hci1 the gateway's, hci2 the beacons'."""
import glob
import json
import os
import random
import re
import signal
import struct
import subprocess
import sys
import time
import traceback

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[1:1] = [os.path.join(ROOT, "tests", "integration")]
import controllers  # noqa: E402
import harness  # noqa: E402
from harness import check, wait_for  # noqa: E402
from peripheral import Beacon, Peripheral, legacy_data  # noqa: E402

BLUETOOTHD = "/usr/libexec/bluetooth/bluetoothd"
HALL = "54:48:E6:8F:80:A5"
BIND_KEY = "231d39c1d7cc1ab1aee224cd096db932"
SEALED = bytes.fromhex("41a47266c95f730011223378237214")  # under this key, by HALL: 25.06 Cel, 50.55 %
LEGACY_MAX = 31
STRANGERS = 200
SHARED = 30  # advertisements whose cost is measured
CONTROLLERS, CONTROLLERS_TIME, TRIES = 3, 15, 8
RFKILL_CHANGE_ALL, RFKILL_BLUETOOTH = 3, 2


def plain(temperature, packet):
    """BTHome v2: packet number, temperature."""
    return bytes([0x40, 0x00, packet & 255, 0x02]) + int(temperature * 100).to_bytes(2, "little", signed=True)


def spent(process):
    """Seconds of the processor."""
    fields = harness.read(f"/proc/{process.pid}/stat").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def step(what):
    print(f"{time.monotonic():.1f} {what}", flush=True)


def read_decoder(path):
    with open(path, encoding="utf-8") as f:
        return json.loads("".join(line for line in f if not line.lstrip().startswith("//")))


def advertisement(vector):
    """Its arguments for Beacon.say(); None if it is of a characteristic, or longer than emulated controllers advertise."""
    said = {kind: {int(k, 16): bytes.fromhex(v) for k, v in vector.get(kind, {}).items()} for kind in ("manufacturer", "service")}
    said["name"] = vector.get("name")
    fits = (said["manufacturer"] or said["service"]) and vector.get("values") and len(legacy_data(**said)) <= LEGACY_MAX
    return said if fits and vector.get("result", "decoded") == "decoded" else None


def formats():
    """{format: the first of its vectors that can be advertised}."""
    found = {}
    for path in sorted(glob.glob(os.path.join(ROOT, "etc", "ble", "*.json"))):
        vectors = [v for v in read_decoder(path)["vectors"] if advertisement(v)]
        if vectors:
            found[os.path.basename(path)[:-len(".json")]] = vectors[0]
    return found


class World:
    def __init__(self, bench):
        self.bench, self.packet, self.formats = bench, 0, formats()
        bench.env["GATEHOUSE_BLE_DECODERS"] = os.path.join(ROOT, "etc", "ble")
        bench.bus()
        bench.monitor.kill()  # it would cost more than all else here
        self.btvirt = self.controllers()
        self.bluetoothd = bench.spawn("bluetoothd", [BLUETOOTHD, "-n"])
        self.gateway, self.box = self.address("hci1"), self.address("hci0")
        self.beacon = Beacon(2)
        self.agent_and_sensors()
        self.peripheral = Peripheral(bench, "hci0")

    def agent_and_sensors(self):
        bench = self.bench
        bench.write_device("hall", "ble", points={}, address=HALL, interval="0", adapter=self.gateway)
        bench.write_device("box", "ble", address=self.box, interval="0", adapter=self.gateway, points={
            "t": {"characteristic": "2a6e", "read": "1s"},
            "level": {"characteristic": "aa01", "type": "uint16", "scale": 0.1, "notify": True},
            "switch": {"characteristic": "aa02", "type": "uint8", "writable": True}})
        sensors = ["hall", "box"]
        for n, (name, vector) in enumerate(self.formats.items()):
            bench.write_device(name, "ble", points={}, address=self.address_of(n, vector), format=name, interval="0",
                               adapter=self.gateway)
            sensors.append(name)
        keys = {s: bench.new_key() for s in sensors}
        self.cloud = bench.devcloud([(f"first-{s}", key, s) for s, key in keys.items()])
        bench.write_config(self.cloud.url)
        self.agent = bench.agent()
        self.driver = bench.driver("ble")
        bench.set_keys([(s, f"first-{s}", key) for s, key in keys.items()])
        for s in sensors:
            bench.wait_property(s, "State", "online")

    @staticmethod
    def address_of(n, vector):
        return vector.get("address", f"C2:00:00:00:00:{n:02X}")

    def controllers(self):
        """Linked; the kernel may race against itself when it makes them, and is then never done: so again until there are three."""
        for _ in range(TRIES):
            btvirt = self.bench.spawn("btvirt", ["btvirt", "-L", f"-l{CONTROLLERS}"])
            end = time.monotonic() + CONTROLLERS_TIME
            while time.monotonic() < end:
                if all(controllers.address(i) for i in range(CONTROLLERS)):
                    return btvirt
                time.sleep(0.1)
            btvirt.kill()
            wait_for("them to go", lambda: not any(os.path.exists(f"/sys/class/bluetooth/hci{i}") for i in range(CONTROLLERS)))
        raise harness.Failure("no emulated controllers (btvirt)")

    def busctl(self, *arguments):
        return self.bench.busctl(*arguments, check_status=False)

    def address(self, adapter):
        def ask():
            done = self.busctl("get-property", "org.bluez", "/org/bluez/" + adapter, "org.bluez.Adapter1", "Address")
            return json.loads(done.stdout)["data"] if done.returncode == 0 else None
        return wait_for(f"{adapter} at bluetoothd", ask)

    def look(self):
        """For whoever reads of a failure: the gateway's controller, and what the kernel said."""
        for command in (["busctl", "--address=" + self.bench.env["DBUS_SYSTEM_BUS_ADDRESS"], "introspect", "--no-pager", "-l", "org.bluez",
                         "/org/bluez/hci1", "org.bluez.Adapter1"], ["dmesg"]):
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, errors="replace", check=False)
            print("\n".join(line.rstrip() for line in done.stdout.splitlines()[-30:]), flush=True)

    def values(self, sensor, point="temperature"):
        return [s["value"] for s in self.cloud.samples(sensor, point)]

    def care(self):
        """Versions of bluetoothd crash when a controller is taken away. Where it runs as a service, that starts it again."""
        if not self.bluetoothd.alive():
            step(f"bluetoothd ended by itself with status {self.bluetoothd.popen.poll()}: started again")
            self.bluetoothd.start()

    def reason(self, sensor, *words):
        def there():
            self.care()
            return any(word in self.bench.get(sensor, "SensorReason") for word in words)
        wait_for(lambda: f"{sensor}: {' or '.join(words)}, not {self.bench.get(sensor, 'SensorReason')}", there)

    def says_until(self, what, address, said, there):
        """An emulated advertisement is heard once; a sensor repeats it until something changes, and so does this."""
        spoken = 0

        def again():
            nonlocal spoken
            if time.monotonic() > spoken + 0.5:
                self.beacon.say(address, **said)
                spoken = time.monotonic()
            self.care()
            return there()
        wait_for(what, again)

    def hears_anew(self):
        """A temperature that it has not heard yet."""
        self.packet += 1
        temperature = self.packet + 0.5
        self.says_until(f"{temperature} of hall", HALL, {"service": {0xfcd2: plain(temperature, self.packet)}},
                        lambda: temperature in self.values("hall"))


def format_case(name):
    """A format's vector, advertised, arrives in the cloud with the values that the file promises."""
    def case(w):
        vector = w.formats[name]
        if "key" in vector:
            w.bench.ctl("key", "set", name, "--kind=bind", stdin=vector["key"].encode())
        address = w.address_of(list(w.formats).index(name), vector)
        first = next(iter(vector["values"]))
        w.says_until(f"{first} of {name}", address, advertisement(vector), lambda: w.values(name, first))
        for point, value in vector["values"].items():
            wanted = value["value"] if isinstance(value, dict) else value
            wait_for(lambda p=point, v=wanted: f"{p} {v} of {name}, not {w.values(name, p)}", lambda p=point: w.values(name, p))
            got = w.values(name, point)[-1]
            same = abs(got - wanted) < 1e-6 * max(1, abs(wanted)) if isinstance(wanted, float) else got == wanted
            check(same, f"{name}: {point} is {got!r}, not {wanted!r}")
    case.__name__ = "format-" + name
    return case


def encrypted(w):
    """With its bind key, once; a repeat is nothing, and neither is what is not encrypted."""
    w.bench.ctl("key", "set", "hall", "--kind=bind", stdin=BIND_KEY.encode())
    w.says_until("25.06 of hall", HALL, {"service": {0xfcd2: SEALED}}, lambda: 25.06 in w.values("hall"))
    refused = lambda: json.loads(w.bench.ctl("show", "hall", "--json=short"))["result"]["statistics"]["not_encrypted"]  # noqa: E731
    w.says_until("refused", HALL, {"service": {0xfcd2: plain(99, 200)}}, lambda: refused() >= 2)
    w.says_until("refused", HALL, {"service": {0xfcd2: SEALED}}, lambda: refused() >= 2)
    check(w.values("hall") == [25.06], w.values("hall"))
    w.bench.ctl("key", "forget", "hall", "--kind=bind")
    w.hears_anew()


def connected(w):
    """Read, notified, written, with the outcome; and scanned again behind it."""
    w.peripheral.begin()
    wait_for("read", lambda: 21.5 in w.values("box", "t"))
    wait_for("subscribed", lambda: w.peripheral.notifying)

    def notified():
        w.peripheral.notify(b"\x2a\x00")
        return 4.2 in w.values("box", "level")
    wait_for("notified", notified)
    w.bench.ctl("write", "box", "switch", "2")
    check(w.peripheral.written[-1:] == [b"\x02"], f"written: {w.peripheral.written}")
    check("21.5" in w.bench.ctl("read", "box", "t"), "read on demand")
    w.hears_anew()


def link_lost(w):
    """The sensor's controller goes, and comes back: connected again by itself, and subscribed again."""
    power = lambda on: w.busctl("set-property", "org.bluez", "/org/bluez/hci0", "org.bluez.Adapter1", "Powered", "b", on)  # noqa: E731
    power("false")
    w.bench.wait_property("box", "SensorState", lambda state: state != "ok")
    w.hears_anew()
    w.peripheral.values["2a6e"] = (2225).to_bytes(2, "little")
    power("true")
    wait_for("read again", lambda: 22.25 in w.values("box", "t"))

    def notified():
        w.peripheral.notify(b"\x2b\x00")
        return 4.3 in w.values("box", "level")
    wait_for("notified again", notified)
    w.hears_anew()


def paired(w):
    """Just-works, and then what only an encrypted connection may read."""
    w.bench.write_device("box", "ble", address=w.box, interval="0", adapter=w.gateway, pairing="just-works",
                         points={"secret": {"characteristic": "aa03", "type": "uint8", "read": "1s"}})
    w.bench.ctl("reload")
    wait_for("read", lambda: 7 in w.values("box", "secret"))
    # Not connected any longer: Linux 6.1 may crash when a controller goes with which L2CAP is open (hci_chan_del).
    os.unlink(os.path.join(w.bench.config, "devices.d", "box.json"))
    w.bench.ctl("reload")
    connected_still = lambda: '"data":true' in w.busctl("get-property", "org.bluez", "/org/bluez/hci1/dev_" + w.box.replace(":", "_"),  # noqa: E731
                                                        "org.bluez.Device1", "Connected").stdout
    wait_for("the end of the connection", lambda: not connected_still())
    w.hears_anew()


def crowd(w):
    """Strangers, each under an address of its own: the sensor is heard among them."""
    for _ in range(STRANGERS):
        address = ":".join(f"{random.randrange(256):02X}" for _ in range(6))
        w.beacon.say(address, manufacturer={0x004c: os.urandom(16)})
    w.hears_anew()


def share(w):
    """What an advertisement costs bluetoothd, beside the driver and the agent. The processor is an emulated one: only proportions tell."""
    everybody = {"bluetoothd": w.bluetoothd, "driver": w.driver, "agent": w.agent}
    w.hears_anew()
    before = {name: spent(process) for name, process in everybody.items()}
    for _ in range(SHARED):
        w.hears_anew()
    cost = {name: round(1000 * (spent(process) - before[name]) / SHARED, 1) for name, process in everybody.items()}
    print(f"share {json.dumps(cost)}", flush=True)


def scanned(w):
    """`scan ble` shows a sensor that is not configured, decoded. One that ends before the sensor was on the air is made again."""
    said = {"service": {0xfcd2: bytes.fromhex("40002e01641e012e34451601")}}
    scans = []

    def seen(scan):
        return [f for f in json.loads(harness.read(scan.out))["result"]["found"] if f["address"] == "C4:35:22:F5:3D:A4"]

    def found():
        if scans and scans[-1].alive():
            return []
        if not scans or not seen(scans[-1]):
            scans.append(w.bench.spawn(f"scan-{len(scans)}", [harness.program("agent/gatehousectl/gatehousectl"), "--json=short",
                                                              "scan", "ble", "seconds=5"]))
            return []
        return seen(scans[-1])

    w.says_until("the sensor in a scan", "C4:35:22:F5:3D:A4", said, found)
    one = found()[0]
    check(one["format"] == "bthome" and "27.8" in json.dumps(one), one)


def ended(end):
    def case(w):
        # How it ends is not ours to judge: some versions crash even when they are asked to end.
        w.bluetoothd.send(end)
        w.bluetoothd.wait()
        w.bench.wait_property("hall", "SensorReason", lambda reason: "bluetooth.service" in reason)
        w.bluetoothd.start()
        w.address("hci1")
        w.hears_anew()
        w.bench.wait_property("hall", "SensorState", "ok")
    case.__name__ = {signal.SIGTERM: "bluetoothd-restarted", signal.SIGKILL: "bluetoothd-crashed"}[end]
    case.__doc__ = "heard again by itself, and told meanwhile"
    return case


def rfkill(soft):
    """All of Bluetooth: a struct rfkill_event."""
    with open("/dev/rfkill", "wb", buffering=0) as f:
        f.write(struct.pack("<IBBBB", 0, RFKILL_BLUETOOTH, RFKILL_CHANGE_ALL, soft, 0))


def blocked(w):
    """By rfkill, and no longer."""
    rfkill(1)
    w.reason("hall", "rfkill unblock", "is off")
    rfkill(0)
    wait_for("the beacon's controller", lambda: controllers.up(2))
    w.hears_anew()
    w.bench.wait_property("hall", "SensorState", "ok")


def unplugged(w):
    """The controllers are taken out, and put back."""
    w.beacon.close()
    w.btvirt.kill()
    w.reason("hall", "no Bluetooth adapter")
    w.btvirt = w.controllers()
    check(w.address("hci1") == w.gateway, "the same adapter")
    w.beacon = Beacon(2)
    w.hears_anew()
    w.bench.wait_property("hall", "SensorState", "ok")


def listens(w):
    """Passively, at a bluetoothd with --experimental, before and after that has crashed: heard, while nobody discovers."""
    w.bluetoothd.send(signal.SIGTERM)
    w.bluetoothd.wait()
    directory = os.path.join(w.bench.config, "devices.d")
    for name in os.listdir(directory):  # one sensor that is to be scanned for actively decides for all
        os.unlink(os.path.join(directory, name))
    w.bench.write_device("hall", "ble", points={}, address=HALL, interval="0", adapter=w.gateway, scan="passive")
    w.bench.ctl("reload")
    w.bluetoothd = w.bench.spawn("bluetoothd-experimental", [BLUETOOTHD, "-n", "--experimental"])
    for crash in (True, False):
        w.address("hci1")
        w.hears_anew()
        w.bench.wait_property("hall", "SensorState", "ok")
        check(w.bench.get("hall", "SensorReason") == "", w.bench.get("hall", "SensorReason"))
        discovers = w.busctl("get-property", "org.bluez", "/org/bluez/hci1", "org.bluez.Adapter1", "Discovering").stdout
        check('"data":false' in discovers, f"nobody discovers: {discovers}")
        if crash:
            w.bluetoothd.send(signal.SIGKILL)
            w.bluetoothd.wait()
            w.bench.wait_property("hall", "SensorReason", lambda reason: "bluetooth.service" in reason)
            w.bluetoothd.start()


CASES = (*(format_case(name) for name in formats()), encrypted, connected, link_lost, paired, crowd, share, scanned, ended(signal.SIGTERM),
         ended(signal.SIGKILL), blocked, unplugged, listens)


def main():
    wanted = sys.argv[1:]
    cases = [c for c in CASES if not wanted or any(re.fullmatch(w.replace("*", ".*"), c.__name__) for w in wanted)]
    if not cases:
        print(f"no such case; there are: {' '.join(c.__name__ for c in CASES)}")
        return 2
    bench, failed = harness.Bench(), 0
    try:
        step("the agent, bluetoothd, three controllers")
        world = World(bench)
        step("ready")
        for case in cases:
            began = time.monotonic()
            try:
                case(world)
                print(f"ok      {case.__name__} ({time.monotonic() - began:.1f} s)", flush=True)
            except Exception as e:  # the others are still to run
                failed += 1
                print(f"FAILED  {case.__name__} : {e}", flush=True)
                if not isinstance(e, harness.Failure):
                    traceback.print_exc(file=sys.stdout)
                world.look()
    except Exception as e:
        print(f"FAILED  world : {e}", flush=True)
        traceback.print_exc(file=sys.stdout)
        subprocess.run(["dmesg"], check=False)
        failed += 1
    found = bench.find_keys()
    if found:
        print(f"FAILED  keys : a key stands in {', '.join(found)}", flush=True)
    if failed:
        bench.tails()
    bench.close()
    return 1 if failed or found else 0


if __name__ == "__main__":
    sys.exit(main())
