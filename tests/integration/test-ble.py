#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The plugin `ble` between the agent and a bluetoothd that does what the real one cannot be made to do: one case for each report of
how BlueZ, adapters and sensors misbehave."""
import json
import os
import pty
import random
import subprocess
import termios

import harness
from agent_bench import refused
from ble_room import BUTTON, TAG, THERMOMETER, Room, counter
from bluez_peer import ADAPTER, DEVICE
from harness import check, wait_for

BIND_KEY = bytes.fromhex("231d39c1d7cc1ab1aee224cd096db932")
# of one sensor, with its counter: 25.06 Cel and 50.55 %
SEALED = bytes.fromhex("41a47266c95f730011223378237214")
AFTER_WRAP = [bytes.fromhex("41ba0db07aeef6ffffffff21fd4600"), bytes.fromhex("41de40b50e676600000000d7cb95de")]
RUUVI = bytes.fromhex("0512fc5394c37c0004fffc040cac364200cdcbb8334c884f")


def heard(bench):
    """Plain, encrypted, by manufacturer; by points and without any; the filter is set, and nobody is connected to."""
    room = Room(bench, {"hall": {"address": THERMOMETER}, "tag": {"address": TAG.lower(), "points": {
        "warmth": {"value": "temperature"}, "humidity": {"unit": "%"}}}, "locked": {"address": "54:48:e6:8f:80:a6"}})
    bluez = room.bluez
    bluez.discovering()
    check(bluez.called("SetDiscoveryFilter")[0][2][0] == {"Transport": ("s", "le"), "DuplicateData": ("b", True)}, "the filter")
    # Said until it is heard, and the same each time: a repeat is no sample.
    room.until("a sample", lambda: room.says(21.5, 1), lambda: room.values("hall") == [21.5])
    room.until("its points", lambda: bluez.advertise(TAG, manufacturer={0x0499: RUUVI}),
               lambda: room.values("tag", "warmth") == [24.3] and room.values("tag", "humidity") == [53.49])
    check(not room.values("tag", "pressure"), "no point asks for it")
    check(room.cloud.samples("tag", "humidity")[0]["unit"] == "%" and room.cloud.samples("hall", "temperature")[0]["unit"] == "Cel",
          "units: the point's, the format's")
    bench.wait_property("hall", "SensorState", "ok")
    room.says(21.5, 1)  # the same once more
    room.says(21.75, 2)
    wait_for("the next", lambda: 21.75 in room.values("hall"))
    check(room.values("hall") == [21.5, 21.75], f"a repeat is no sample: {room.values('hall')}")
    check("24.3" in bench.ctl("read", "tag", "warmth"), "the latest")
    check(not bluez.called("Connect") and not bluez.called("Pair"), "whoever only listens does not connect")


OWN_FORMAT = {"title": "A soil probe of one's own", "source": "its maker's sheet",
              "match": {"company": "0xfffe", "length": 4, "bytes": {"0": "a5"}},
              "fields": [{"name": "moisture", "at": 1, "type": "uint8", "scale": 0.5, "unit": "%"},
                         {"name": "depth", "at": 2, "type": "uint16", "order": "big", "unit": "mm"}],
              "vectors": [{"manufacturer": {"0xfffe": "a5500102"}, "values": {"moisture": 40, "depth": 258}}]}


def own_format(bench):
    """A file in the administrator's directory is all that a sensor of one's own takes: its samples arrive. One whose own vector
    fails is told with its place, and the others are read."""
    formats = bench.path("formats")
    os.mkdir(formats)
    for name, changed in (("soil", {}), ("wrong", {"vectors": [{"manufacturer": {"0xfffe": "a5500102"}, "values": {"moisture": 41}}]})):
        with open(os.path.join(formats, name + ".json"), "w", encoding="utf-8") as f:
            json.dump({**OWN_FORMAT, **changed}, f)
    room = Room(bench, {"bed": {"address": TAG, "format": "soil"}}, formats=formats)
    room.bluez.discovering()
    room.hears("bed", 33.5, lambda: room.bluez.advertise(TAG, manufacturer={0xfffe: bytes.fromhex("a5430203")}), "moisture")
    wait_for("the other value", lambda: 515 in room.values("bed", "depth"))
    check(room.cloud.samples("bed", "moisture")[0]["unit"] == "%", "its unit")
    check("wrong.json" in room.driver.text(), f"the file that fails: {room.driver.text()}")


def keys(bench):
    """Without a key, with a wrong one, with the right one, plain frames behind it, a replay: told, counted, and never a sample."""
    room = Room(bench, {"hall": {"address": THERMOMETER}})
    bluez = room.bluez
    bluez.discovering()
    say = lambda data=SEALED: bluez.advertise(THERMOMETER, service={"fcd2": data})  # noqa: E731
    room.fails("hall", "--kind=bind", say)
    bench.ctl("key", "set", "hall", "--kind=bind", stdin=b"00" * 15 + b"01")
    room.fails("hall", "does not fit", say)
    bench.ctl("key", "set", "hall", "--kind=bind", stdin=BIND_KEY.hex().encode())
    room.hears("hall", 25.06, say)
    wait_for("its other value", lambda: room.values("hall", "humidity") == [50.55])
    check(room.values("hall") == [25.06], f"once: {room.values('hall')}")
    bench.wait_property("hall", "SensorState", "ok")
    counted = statistics(bench, "hall")
    check(counted["wrong_key"] >= 1 and counted["no_key"] >= 1, counted)
    for n in range(3):
        room.says(99.0, n)
        say()
    wait_for("counted", lambda: statistics(bench, "hall")["not_encrypted"] == 3)
    check(room.values("hall") == [25.06], f"nobody without the key is believed, and nothing twice: {room.values('hall')}")
    # the counter outlives the driver, and the agent
    wait_for("it is remembered", lambda: os.path.getsize(os.path.join(bench.state, "vault.db-wal")) > 0)
    room.driver.stop()
    wait_for("nothing is scanned for it any more", lambda: not bluez.adapter()["Discovering"])
    room.driver.start()
    bluez.discovering()
    room.agent.restart()
    bench.wait_agent(room.agent)
    bench.wait_property("hall", "SensorState", lambda s: s != "no-driver")
    known = lambda: sum(statistics(bench, "hall").get(k, 0) for k in ("repeated", "held_back"))  # noqa: E731
    wait_for("counted", lambda: (say(), known() >= 5)[1])
    check(room.values("hall") == [25.06], "a recording is no sample after a restart either")
    bench.ctl("key", "counter-reset", "hall")
    wait_for("once more", lambda: (say(), len(room.values("hall")) == 2)[1])


def statistics(bench, sensor):
    return json.loads(bench.ctl("show", sensor, "--json=short"))["result"].get("statistics", {})


def discovery(bench):
    """InProgress again and again; ended by itself; begun by somebody else's books."""
    room = Room(bench, {"hall": {"address": THERMOMETER, "timeout": "5s"}}, adapters=())
    bluez, n = room.bluez, counter()
    room.fails("hall", "no Bluetooth adapter")
    bluez.fail("StartDiscovery", "InProgress", times=0)
    bluez.add_adapter()
    wait_for("again and again", lambda: len(bluez.called("StartDiscovery")) >= 2)
    room.fails("hall", "InProgress")
    bluez.fail_no_more("StartDiscovery")
    bluez.discovering()
    room.hears("hall", 20.0, lambda: room.says(20.0, next(n)))
    bench.wait_property("hall", "SensorState", lambda state: (room.says(20.0, next(n)), state == "ok")[1])
    bluez.set("/org/bluez/hci0", ADAPTER, Discovering=False)  # as after somebody's connect
    room.hears("hall", 20.5, lambda: room.says(20.5, next(n)))
    check(bluez.called("StopDiscovery"), "what BlueZ may still have in its books is cleared first")
    bench.wait_property("hall", "SensorState", lambda state: (room.says(20.5, next(n)), state == "ok")[1])
    room.fails("hall", "not heard for")  # and after its time-out it is said to be silent


def adapters(bench):
    """bluetoothd ends and comes again, the adapter is taken out and comes back under another name, is switched off, is blocked."""
    room = Room(bench, {"hall": {"address": THERMOMETER}})
    bluez, n = room.bluez, counter()
    room.hears("hall", 1.0, lambda: room.says(1.0, next(n)))
    bluez.stop()
    room.fails("hall", "bluetooth.service")
    bluez.start()
    room.hears("hall", 2.0, lambda: room.says(2.0, next(n)))
    bench.wait_property("hall", "SensorState", "ok")
    bluez.remove("/org/bluez/hci0")
    room.fails("hall", "no Bluetooth adapter")
    bluez.add_adapter("hci3")
    room.hears("hall", 3.0, lambda: room.says(3.0, next(n), adapter="hci3"))
    bluez.fail("Set", "Blocked", times=1)
    bluez.set("/org/bluez/hci3", ADAPTER, Powered=False, Discovering=False)
    room.fails("hall", "rfkill unblock")  # for ten seconds
    bluez.set("/org/bluez/hci3", ADAPTER, Powered=True)
    room.hears("hall", 4.0, lambda: room.says(4.0, next(n), adapter="hci3"))
    bench.wait_property("hall", "SensorState", "ok")
    bluez.set("/org/bluez/hci3", ADAPTER, Powered=False, Discovering=False)
    room.hears("hall", 5.0, lambda: room.says(5.0, next(n), adapter="hci3"))  # switched on again
    check(any(c[2][1] == "Powered" for c in bluez.called("Set")), "asked to go on")


def two_adapters(bench):
    """A sensor of one adapter is not heard by the other."""
    second = "DC:A6:32:00:00:02"
    room = Room(bench, {"any": {"address": THERMOMETER}, "one": {"address": BUTTON, "adapter": second}, "none": {
        "address": TAG, "adapter": "00:00:00:00:00:09"}}, adapters=(("hci0", "DC:A6:32:00:00:01"), ("hci1", second)))
    room.fails("none", "no Bluetooth adapter 00:00:00:00:00:09")
    for adapter in ("hci0", "hci1"):
        room.bluez.discovering(adapter)
    room.until("by any", lambda: room.says(9.0, 1, adapter="hci1"), lambda: room.values("any") == [9.0])

    def both():
        room.says(7.0, 1, address=BUTTON, adapter="hci0")
        room.says(8.0, 2, address=BUTTON, adapter="hci1")
    room.until("by its own", both, lambda: 8.0 in room.values("one"))
    check(room.values("one") == [8.0], "not by the other")


GATT = {"181a": {"2a6e": (2150).to_bytes(2, "little", signed=True)}, "1815": {"aa01": b"\x05\x00", "aa02": b"\x00"}}
GATT_POINTS = {"t": {"characteristic": "2a6e", "read": "1s"},
               "level": {"characteristic": "aa01", "service": "1815", "type": "uint16", "scale": 0.1, "notify": True},
               "switch": {"characteristic": "aa02", "type": "uint8", "writable": True, "min": 0, "max": 3}}


def connected(bench):
    """Read, notified, written, read on demand; nothing is scanned while a connection is made; a lost one is made again."""
    room = Room(bench, {"box": {"address": BUTTON, "points": dict(GATT_POINTS)}, "hall": {"address": THERMOMETER}})
    bluez, n = room.bluez, counter()
    bluez.gatt(BUTTON, {k: dict(v) for k, v in GATT.items()})
    bluez.fail("Connect", "Failed", times=1)  # le-connection-abort-by-local
    bluez.discovering()
    room.until("read", lambda: bluez.advertise(BUTTON, name="box"), lambda: 21.5 in room.values("box", "t"))
    wait_for("subscribed", lambda: bluez.called("StartNotify"))
    bluez.value(BUTTON, "aa01", b"\x2a\x00")
    wait_for("notified", lambda: 4.2 in room.values("box", "level"))
    bench.ctl("write", "box", "switch", "2")
    check(bluez.value(BUTTON, "aa02") == b"\x02" and bluez.called("WriteValue")[-1][2][1] == {"type": ("s", "request")}, "written")
    bluez.fail("WriteValue", "NotPermitted")
    refused(bench.ctl("write", "box", "switch", "1", status=None), 1, "NotPermitted")
    refused(bench.ctl("write", "box", "switch", "4", status=None), 1, "4")
    check("21.5" in bench.ctl("read", "box", "t"), "read on demand")
    bench.wait_property("box", "SensorState", "ok")
    for call in bluez.called("Connect"):
        before = [c[1] for c in bluez.calls[:bluez.calls.index(call)] if c[1] in ("StartDiscovery", "StopDiscovery")]
        check(before[-1] == "StopDiscovery", f"scanned while connecting: {before}")
    room.hears("hall", 19.0, lambda: room.says(19.0, next(n)))  # and scanned again afterwards
    mark = len(bluez.calls)
    bluez.lose(BUTTON)
    wait_for("connected again", lambda: bluez.called("Connect", mark))
    wait_for("subscribed again", lambda: bluez.called("StartNotify", mark))
    bluez.value(BUTTON, "aa01", b"\x07\x00")
    wait_for("notified again", lambda: 0.7 in room.values("box", "level"))


def services(bench):
    """Resolved before they are there; and others than BlueZ remembers, which it is made to forget."""
    room = Room(bench, {"box": {"address": BUTTON, "points": {"t": dict(GATT_POINTS["t"])}},
                        "lock": {"address": TAG, "pairing": "just-works", "points": {"t": dict(GATT_POINTS["t"])}}})
    bluez = room.bluez
    bluez.late_services = True
    for address in (BUTTON, TAG):
        bluez.gatt(address, {"181a": GATT["181a"]})
    bluez.discovering()
    room.until("read", lambda: bluez.advertise(BUTTON), lambda: 21.5 in room.values("box", "t"))
    check(not bluez.called("Pair"), "nobody asked for it")
    room.until("paired and read", lambda: bluez.advertise(TAG), lambda: 21.5 in room.values("lock", "t"))
    check(bluez.called("RegisterAgent")[0][2][1] == "NoInputNoOutput" and len(bluez.called("Pair")) == 1, "paired once")


UPDATED = {"1800": {"2a00": b"box"}, **GATT}
ON_DEMAND = {"t": {"characteristic": "2a6e", "read": "1h"}}
INVALID_HANDLE = Exception("Failed", "Operation failed with ATT error: 0x01")


def updated(bench):
    """A firmware with other services than BlueZ remembers, whose handles are now others': it is made to forget them, and the values are
    read again; once, if that does not help. Of one that is paired the bond would go with it: told instead."""
    room = Room(bench, {"box": {"address": BUTTON, "points": {"t": dict(GATT_POINTS["t"])}},
                        "asked": {"address": THERMOMETER, "points": dict(ON_DEMAND)},
                        "lock": {"address": TAG, "pairing": "just-works", "points": dict(ON_DEMAND)}})
    bluez = room.bluez
    sensors = {"box": BUTTON, "asked": THERMOMETER, "lock": TAG}
    bluez.discovering()
    for sensor, address in sensors.items():
        bluez.gatt(address, {"181a": dict(GATT["181a"])})
        wait_for(f"{sensor} is heard", lambda a=address: bluez.advertise(a))
        wait_for(f"{sensor} is read", lambda s=sensor: 21.5 in room.values(s, "t"))
    new = {"1800": {"2a00": b"box"}, "181a": {"2a6e": (2275).to_bytes(2, "little")}}
    bluez.update(BUTTON, new, b"\x07")  # what stands there now is shorter
    for sensor in ("asked", "lock"):
        bluez.update(sensors[sensor], new, INVALID_HANDLE)
        for _ in range(3):
            refused(bench.ctl("read", sensor, "t", status=None), 1, "ATT error: 0x01")
    for sensor in ("box", "asked"):
        wait_for(f"{sensor} is forgotten", lambda a=sensors[sensor]: bluez.path(a) in [c[2][0] for c in bluez.called("RemoveDevice")])
        wait_for(f"{sensor} is heard", lambda a=sensors[sensor]: bluez.advertise(a))
        if sensor == "asked":
            check("22.75" in bench.ctl("read", sensor, "t"), "read on demand")
        wait_for(f"{sensor} is read anew", lambda s=sensor: 22.75 in room.values(s, "t"))
    check(len(bluez.called("RemoveDevice")) == 2, f"each once: {bluez.called('RemoveDevice')}")
    room.fails("lock", "bluetoothctl remove " + TAG)


def moved(bench):
    """A sensor that tells of its new services while it is connected: read and subscribed to where they are now, in the same connection."""
    room = Room(bench, {"box": {"address": BUTTON, "points": dict(GATT_POINTS)}})
    bluez = room.bluez
    bluez.gatt(BUTTON, {k: dict(v) for k, v in GATT.items()})
    bluez.discovering()
    bluez.advertise(BUTTON)
    wait_for("read", lambda: 21.5 in room.values("box", "t"))
    wait_for("subscribed", lambda: bluez.called("StartNotify"))
    mark = len(bluez.calls)
    bluez.move(BUTTON, {**UPDATED, "181a": {"2a6e": (2375).to_bytes(2, "little")}})
    wait_for("read there", lambda: 23.75 in room.values("box", "t"))
    wait_for("subscribed there", lambda: bluez.called("StartNotify", mark))
    bluez.value(BUTTON, "aa01", b"\x2a\x00")
    wait_for("notified", lambda: 4.2 in room.values("box", "level"))
    check(not bluez.called("Connect", mark) and not bluez.called("RemoveDevice"), "in the same connection")


def passkeys(bench):
    """The sensor's own six digits are given, to that sensor only; others are told, and tried again."""
    room = Room(bench, {"lock": {"address": TAG, "pairing": "passkey", "passkey": "012345", "points": {"t": dict(GATT_POINTS["t"])}},
                        "other": {"address": BUTTON, "pairing": "passkey", "passkey": "999999", "points": {"t": dict(GATT_POINTS["t"])}}})
    bluez = room.bluez
    bluez.passkeys = {TAG: 12345, BUTTON: 12345}
    for address in (BUTTON, TAG):
        bluez.gatt(address, {"181a": GATT["181a"]})
    bluez.discovering()
    room.until("paired and read", lambda: bluez.advertise(TAG), lambda: 21.5 in room.values("lock", "t"))
    check(bluez.called("RegisterAgent")[0][2][1] == "KeyboardDisplay", bluez.called("RegisterAgent"))
    room.fails("other", "AuthenticationFailed", lambda: bluez.advertise(BUTTON))
    check(not room.values("other", "t"), "not read before it is paired")
    check("012345" not in room.agent.text() + room.driver.text(), "no passkey in a log")


def capabilities(bench):
    """A sensor with a passkey comes, and goes: the agent is registered anew as what is needed then. BlueZ refuses a second registration."""
    just_works = {"address": BUTTON, "pairing": "just-works", "points": {"t": dict(GATT_POINTS["t"])}}
    room = Room(bench, {"box": just_works})
    def registered():
        return [call[2][1] for call in room.bluez.called("RegisterAgent")]
    wait_for("registered", lambda: registered() == ["NoInputNoOutput"])
    bench.write_device("lock", "ble", points={"t": dict(GATT_POINTS["t"])}, address=TAG, pairing="passkey", passkey="012345", interval="0")
    bench.ctl("reload")
    wait_for("registered anew", lambda: registered() == ["NoInputNoOutput", "KeyboardDisplay"])
    os.unlink(os.path.join(bench.config, "devices.d", "lock.json"))
    bench.ctl("reload")
    wait_for("and again", lambda: registered() == ["NoInputNoOutput", "KeyboardDisplay", "NoInputNoOutput"])
    os.unlink(os.path.join(bench.config, "devices.d", "box.json"))
    bench.ctl("reload")
    wait_for("no more", lambda: len(room.bluez.called("UnregisterAgent")) == 3 and room.bluez.pairing_agent is None)
    check("AlreadyExists" not in room.driver.text(), room.driver.text())


def limited(bench):
    """LimitsExceeded, for discovery and for a connection: told, and tried again until it is over."""
    room = Room(bench, {"box": {"address": BUTTON, "points": {"t": dict(GATT_POINTS["t"])}}})
    bluez = room.bluez
    bluez.gatt(BUTTON, {"181a": GATT["181a"]})
    bluez.discovering()
    bluez.fail("StartDiscovery", "LimitsExceeded", times=0)
    bluez.set("/org/bluez/hci0", ADAPTER, Discovering=False)
    room.fails("box", "cannot scan (LimitsExceeded")
    bluez.fail_no_more("StartDiscovery")
    bluez.discovering()
    bluez.fail("Connect", "LimitsExceeded", times=0)
    room.fails("box", "cannot connect: LimitsExceeded", lambda: bluez.advertise(BUTTON))
    bluez.fail_no_more("Connect")
    room.until("read", lambda: bluez.advertise(BUTTON), lambda: 21.5 in room.values("box", "t"))
    bench.wait_property("box", "SensorState", "ok")


def crowded_out(bench):
    """Four connections stay on an adapter: a fifth sensor is told so, not left without a word, and has its turn when one of them ends."""
    addresses = [f"C4:35:22:00:00:{i:02X}" for i in range(5)]
    room = Room(bench, {f"box-{i}": {"address": a, "points": {"t": dict(GATT_POINTS["t"])}} for i, a in enumerate(addresses)})
    bluez = room.bluez
    for address in addresses:
        bluez.gatt(address, {"181a": GATT["181a"]})
    bluez.discovering()
    connected = lambda: [a for a in addresses if (bluez.path(a) in bluez.objects and bluez.objects[bluez.path(a)][DEVICE].get("Connected"))]  # noqa: E731
    room.until("four connections", lambda: [bluez.advertise(a) for a in addresses], lambda: len(connected()) == 4)
    (left,) = set(addresses) - set(connected())
    fifth = f"box-{addresses.index(left)}"
    room.fails(fifth, "4 are open on this adapter", lambda: bluez.advertise(left))
    bench.wait_property(fifth, "SensorState", "failed")
    check(len(connected()) == 4 and not room.values(fifth, "t"), f"no fifth connection: {connected()}")
    for call in bluez.called("Connect"):
        before = [c[1] for c in bluez.calls[:bluez.calls.index(call)] if c[1] in ("StartDiscovery", "StopDiscovery")]
        check(before[-1] == "StopDiscovery", f"scanned while connecting: {before}")
    ended = f"box-{addresses.index(connected()[0])}"
    os.unlink(os.path.join(bench.config, "devices.d", ended + ".json"))
    bench.ctl("reload")
    room.until("its turn", lambda: bluez.advertise(left), lambda: 21.5 in room.values(fifth, "t"))
    bench.wait_property(fifth, "SensorState", "ok")
    check(len(connected()) <= 4, connected())


def strangers(bench):
    """Thousands of random addresses beside one sensor: it is heard, and nothing of theirs stays."""
    room = Room(bench, {"hall": {"address": THERMOMETER}})
    bluez, n = room.bluez, counter()
    room.hears("hall", 1.0, lambda: room.says(1.0, next(n)))
    room.hears("hall", 2.0, lambda: crowd(bluez, 50) or room.says(2.0, next(n)))
    before = resident(room.driver.pid)
    for i in range(60):
        crowd(bluez, 50)
    room.hears("hall", 3.0, lambda: room.says(3.0, next(n)))
    grown = resident(room.driver.pid) - before
    check(grown < 2048 or "sanitize" in harness.read(os.path.join(harness.BUILD_DIR, "meson-info", "intro-buildoptions.json"))
          and grown < 65536, f"3,000 strangers made it {grown} kB larger")


def crowd(bluez, count):
    for _ in range(count):
        address = ":".join(f"{random.randrange(256):02X}" for _ in range(6))
        if bluez.advertise(address, manufacturer={0x004c: os.urandom(20)}, rssi=-90):
            bluez.remove(bluez.path(address))


def resident(pid):
    return int(next(line.split()[1] for line in harness.read(f"/proc/{pid}/status").splitlines() if line.startswith("VmRSS")))


def while_asked(bench, say, *words, stdin=subprocess.DEVNULL):
    """`scan ble`, the CompletedProcess; meanwhile all of them advertise."""
    asked = subprocess.Popen([harness.program("agent/gatehousectl/gatehousectl"), "scan", "ble", *words], stdin=stdin,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **bench.env})
    wait_for("the scan to end", lambda: (say(), asked.poll() is not None)[1])
    return subprocess.CompletedProcess(words, asked.returncode, *asked.communicate())


def scan(bench):
    """Who is there: decoded, with what it would be called; encrypted; unknown with its bytes."""
    room = Room(bench, {"hall": {"address": THERMOMETER}})
    bluez = room.bluez
    bluez.discovering()
    sealed = bytes.fromhex("450aeb84467f85ba0100003188788c")

    def say():
        room.says(20.25, 7)
        bluez.advertise(TAG, manufacturer={0x0499: RUUVI}, name="Ruuvi 884F", rssi=-40)
        bluez.advertise(BUTTON, service={"fcd2": sealed}, rssi=-70)
        bluez.advertise("11:22:33:44:55:66", manufacturer={0x1234: b"\xab\xcd"}, rssi=-30)

    def scanned():
        """Once more if this process said nothing for so long."""
        done = while_asked(bench, say, "seconds=3", "--json=short")
        found = {f["address"]: f for f in json.loads(done.stdout)["result"]["found"]}
        return found if set(found) >= {THERMOMETER, TAG, BUTTON, "11:22:33:44:55:66"} else None
    found = wait_for("all of them", scanned)
    check(found[THERMOMETER]["id"] == "hall" and found[THERMOMETER]["configured"] == "yes", found[THERMOMETER])
    tag = found[TAG]
    check(tag["format"] == "ruuvi-5" and tag["id"] == "ruuvi-5-884f" and tag["rssi"] == -40 and "24.3 Cel" in tag["values"], tag)
    check("bind key" in found[BUTTON]["values"], found[BUTTON])
    check(found["11:22:33:44:55:66"]["manufacturer_data"] == "1234:abcd", "its bytes")
    refused(bench.ctl("scan", "ble", "seconds=never", status=None), 1, "seconds=1")


def added(bench):
    """The device file of one that was found, by address or id; added, it is heard. Refused: who is configured, whom no format knows, who is
    not there; and a driver that knows no such thing."""
    room = Room(bench, {"hall": {"address": THERMOMETER}})
    bluez = room.bluez
    bluez.discovering()
    def say():
        room.says(20.25, 7)
        bluez.advertise(TAG, manufacturer={0x0499: RUUVI})
        bluez.advertise("11:22:33:44:55:66", manufacturer={0x1234: b"\xab\xcd"})

    def scan(*words, stdin=subprocess.DEVNULL):
        """Once more if this process, or who scans, was not there for as long as the scan took."""
        for _ in range(20):
            done = while_asked(bench, say, *words, "seconds=1", stdin=stdin)
            if b"was not heard" not in done.stderr or "A0:00:00:00:00:00" in words:
                break
        return done

    tag = {"device": "ruuvi-5-884f", "uplink": "cloud", "driver": "ble", "ble": {"address": TAG, "format": "ruuvi-5"}, "points": {}}
    check(json.loads(scan(TAG.lower()).stdout) == tag, "the device file, to paste")
    check(json.loads(scan("ruuvi-5-884f", "--uplink=other").stdout) == {**tag, "uplink": "other"}, "by id, of another uplink")
    check(bench.ctl("list", "--json=short").count("ruuvi") == 0, "printed, not added")
    refused(scan(THERMOMETER), 1, "configured already, as hall")
    refused(scan("A0:00:00:00:00:00", "--add"), 1, "was not heard")
    refused(scan("99"), 1, "there is no number 99")
    refused(scan("11:22:33:44:55:66", "--add"), 1, "no format knows")
    refused(scan("--add"), 2, "its number, address or id")
    refused(bench.ctl("scan", "modbus", "tcp://127.0.0.1:1", "--add", status=None), 2, "only")
    # at a terminal it is asked for, by its number in the list
    ours, theirs = pty.openpty()
    def by_number():
        """None if nobody was heard."""
        termios.tcflush(theirs, termios.TCIFLUSH)
        os.write(ours, b"1\n")
        done = scan("--add", stdin=theirs)
        lines = [line for line in done.stdout.decode().splitlines() if line.split()[:1] == ["1"]]
        return (done, lines[0]) if lines else None
    first, number_1 = wait_for("a list", by_number)
    check(first.returncode == (1 if "hall" in number_1 else 0), f"number 1 was meant: {first}")
    if "hall" in number_1:
        check(scan(TAG, "--add").returncode == 0, "by address")
    os.close(ours)
    os.close(theirs)

    def read():
        bluez.advertise(TAG, manufacturer={0x0499: RUUVI})
        return [s[2]["data"] for s in bench.call("ruuvi-5-884f", "GetSamples")[0] if s[0] == "temperature"] == [24.3]
    wait_for("the added sensor's value", read)


def mistakes(bench):
    """Each with its place in the file."""
    room = Room(bench, {"hall": {"address": THERMOMETER}})
    bench.wait_property("hall", "SensorState", lambda s: s != "no-driver")
    for section, points, words in (
            ({}, {}, "\"address\" is missing"), ({"address": "x"}, {}, "expected a Bluetooth address"),
            ({"address": TAG, "format": "nothing"}, {}, "there is no format"),
            ({"address": TAG, "interval": "soon"}, {}, "expected a duration"),
            ({"address": TAG, "adapter": "hci0"}, {}, "expected \"any\""), ({"address": TAG, "more": 1}, {}, "unknown key"),
            ({"address": TAG, "pairing": "passkey"}, {}, "six digits"),
            ({"address": TAG}, {"x": {"characteristic": "zz"}}, "expected a UUID"),
            ({"address": TAG}, {"x": {"characteristic": "aa01"}}, "\"type\" is missing"),
            ({"address": TAG}, {"x": {"writable": True}}, "cannot be written"),
            ({"address": TAG}, {"x": {"characteristic": "aa01", "type": "colour"}}, "colour")):
        bench.write_device("bad", "ble", points=points, **section)
        text = refused(bench.ctl("reload", status=None), 78, words)
        check("bad.json:" in text, f"its place: {text}")
    os.unlink(bench.path("etc", "devices.d", "bad.json"))
    bench.ctl("reload")
    check(DEVICE and room.driver.alive(), "it goes on")


if __name__ == "__main__":
    harness.main(heard, own_format, keys, discovery, adapters, two_adapters, connected, services, updated, moved, passkeys, capabilities, limited, crowded_out, strangers, scan, added, mistakes)
