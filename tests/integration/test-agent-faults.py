#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What breaks beside the agent: drivers that die or hang, Modbus servers that go away, a full disk, a cloud that is not there.
Each says so where it broke, costs nobody else anything, and heals by itself."""
import os
import signal
import socket

import harness
from agent_bench import (KILLED_HELD_MAX, SmallDisk, TEMPERATURE, check_arrived, held_when_killed, modbus_device, refused, sessions,
                         sim_bench, values, wait_samples)
from harness import check, wait_for
from pulse import unless_it_stood_still

HELD_UP = 0.5  # seconds of the two that the values of KILLED_HELD_MAX take to be read


def driver_killed(bench):
    """Its devices are marked, the others' samples and all sessions go on; started again, samples flow."""
    server = bench.modbus_server()
    _, driver, cloud, keys = sim_bench(bench, ("a", "b"), interval="50ms")
    modbus_key = bench.new_key()
    cloud.do("add-credential", identity="first-m", key=modbus_key.hex(), device="m")
    modbus_device(bench, "m", server.port, 1)
    bench.ctl("reload")
    modbus = bench.driver("modbus")
    bench.key_set("m", "first-m", modbus_key)
    bench.wait_property("m", "State", "online")
    before = [sessions(cloud, d) for d in ("a", "b", "m")]
    for _ in range(2):
        driver.kill()
        for device in ("a", "b"):
            bench.wait_property(device, "State", "no-driver")
        check("driver sim is not connected" in bench.get("a", "LastError") and bench.get("m", "State") == "online", "the driver is named")
        drivers = {d[0]: d[2] for d in bench.get(None, "Drivers")}
        check(drivers == {"sim": "away", "modbus": "connected"}, drivers)
        wait_samples(cloud, "m", 5)
        driver.start()
        for device in ("a", "b"):
            bench.wait_property(device, "State", "online")
            wait_samples(cloud, device, 3)
    check([sessions(cloud, d) for d in ("a", "b", "m")] == before, "no session was touched")
    killed = []
    unless_it_stood_still(HELD_UP, lambda: little_is_held(bench, cloud, server, modbus, killed))
    modbus.stop()
    check_arrived(bench, cloud, server, "m", 1, killed=killed)


def little_is_held(bench, cloud, server, modbus, killed):
    """Killed, and started again: what it held then is bounded, as long as the agent takes over what it is handed."""
    wait_samples(cloud, "m", 5)
    modbus.kill()
    bench.wait_property("m", "State", "no-driver")
    last = server.served(1, "input", 2)[-1][1]
    killed.append(last)
    modbus.start()
    bench.wait_property("m", "State", "online")
    wait_for("what the next one reads, behind all that was handed over", lambda: max(values(cloud, "m")) > last + 1)
    held = held_when_killed(values(cloud, "m"), last)
    check(held <= KILLED_HELD_MAX, f"a driver that was killed held {held} values, up to {last}")


def driver_stuck(bench):
    """A write that never ends: the driver says so of the device, and is no longer alive to its watchdog. Ended by that,
    what waited for it is answered, and samples flow once it is there again."""
    points = {"x": TEMPERATURE, "trap": {"signal": "constant", "writable": True, "fault": "hang"}}
    agent, driver, cloud, _ = sim_bench(bench, ("a", "b"), points=points)
    bench.write_device("a", "sim", points, interval="100ms", deadline="500ms")
    bench.ctl("reload")
    wait_samples(cloud, "a", 3)
    before = sessions(cloud, "a")
    write = bench.spawn("write", [harness.program("agent/gatehousectl/gatehousectl"), "write", "a", "trap", "1"])
    bench.wait_property("a", "LastError", lambda e: "write" in e)
    agent.wait_text("a: warning: sensor failed: ")
    bench.ctl("show", "b")
    check(write.alive() and bench.get("a", "State") == "online", "the session goes on meanwhile")
    driver.kill()
    check(write.wait() == 1 and "driver" in write.text(), f"what waited is answered: {write.text()}")
    bench.wait_property("b", "State", "no-driver")
    driver.start()
    for device in ("a", "b"):
        bench.wait_property(device, "State", "online")
        bench.wait_property(device, "LastError", "")
        wait_samples(cloud, device, 3)
    check(sessions(cloud, "a") == before, "the session was not touched")


def modbus_troubles(bench):
    """A server gone, a unit that refuses, one that is silent: each device says so, the good one goes on."""
    good = bench.modbus_server("good")
    bad = bench.modbus_server("bad", devices=2, options=("--exception-unit", "2"))
    mute = bench.modbus_server("mute", devices=2, options=("--silent-unit", "2"))
    units = {"good": (good, 1), "gone": (bad, 1), "refuses": (bad, 2), "silent": (mute, 2), "beside": (mute, 1)}
    keys = {d: bench.new_key() for d in units}
    cloud = bench.devcloud([(f"first-{d}", keys[d], d) for d in units])
    bench.write_config(cloud.url)
    for device, (server, unit) in units.items():
        modbus_device(bench, device, server.port, unit, timeout="200ms" if device == "silent" else "10s")
    bench.agent()
    driver = bench.driver("modbus")
    for device in units:
        bench.key_set(device, "first-" + device, keys[device])
    bench.wait_property("refuses", "LastError", lambda e: "failure" in e and "unit 2" in e)
    bench.wait_property("silent", "LastError", lambda e: e)
    for device in ("good", "gone", "beside"):
        bench.wait_property(device, "State", "online")
        check(bench.get(device, "LastError") == "", f"{device}: {bench.get(device, 'LastError')}")
        wait_samples(cloud, device, 5)
    bad.kill()
    bench.wait_property("gone", "LastError", lambda e: e)
    wait_samples(cloud, "good", 10)
    wait_samples(cloud, "beside", 3)
    since = len(cloud.samples("gone"))
    bad.start()
    wait_for("samples of what is back", lambda: len(cloud.samples("gone")) > since, 20)
    bench.wait_property("gone", "LastError", "")
    driver.stop()
    check_arrived(bench, cloud, good, "good", 1)
    check_arrived(bench, cloud, mute, "beside", 1)


def cloud_away_at_start(bench):
    """Samples wait, in order, and arrive when the cloud is there; until then `show` says why."""
    server = bench.modbus_server(devices=2)
    port = harness.free_port(socket.SOCK_DGRAM)
    keys = {d: bench.new_key() for d in ("a", "b")}
    bench.write_config(f"coaps://127.0.0.1:{port}")
    for unit, device in enumerate(keys, 1):
        modbus_device(bench, device, server.port, unit)
    bench.agent()
    driver = bench.driver("modbus")
    for device in keys:
        bench.key_set(device, "first-" + device, keys[device])
        bench.wait_property(device, "State", "unreachable")
    text = bench.ctl("show", "a")
    check("state: unreachable" in text and f"127.0.0.1:{port}" in text, f"in words: {text}")
    wait_for("some samples", lambda: bench.get("a", "Spooled") >= 40 and bench.get("b", "Spooled") >= 40)
    check(bench.get(None, "Spooled") >= 80, "the manager's sum")
    cloud = bench.devcloud([("first-" + d, keys[d], d) for d in keys], port=port)
    for device in keys:
        bench.wait_property(device, "State", "online", 30)
    driver.stop()
    for unit, device in enumerate(keys, 1):
        check_arrived(bench, cloud, server, device, unit)
        check(bench.get(device, "Dropped") == 0 and values(cloud, device)[0] == 1, "from the very first")
        bench.wait_property(device, "Spooled", 0)


def bounded_queue(bench):
    """What does not fit is dropped, oldest first, counted and shown; what is left arrives."""
    names = [f"n{i}" for i in range(10)]
    _, driver, cloud, _ = sim_bench(bench, interval="10ms", points={n: {"signal": "counter"} for n in names},
                                    spool={"max_bytes": "64K"})
    bench.call("boiler-1", "Disconnect")
    wait_for("drops", lambda: bench.get("boiler-1", "Dropped") > 500, 30)
    driver.stop()
    # What the driver handed over last may still be on its way to disk, and more give way to it.
    wait_for("the counts that are shown", lambda: f"{bench.get('boiler-1', 'Spooled')} waiting, "
             f"{bench.get('boiler-1', 'Dropped')} dropped" in bench.ctl("show", "boiler-1"))
    dropped, spooled = bench.get("boiler-1", "Dropped"), bench.get("boiler-1", "Spooled")
    check(100 < spooled < 65536 / 5, f"{spooled} samples in 64 kB")
    bench.call("boiler-1", "Connect")
    bench.wait_property("boiler-1", "Spooled", 0)
    lost = 0
    for name in names:
        # The pack that was under way when the line went, of at most 256 samples, may have arrived: it comes again, with the
        # same times.
        came = [(s["value"], s["time"]) for s in cloud.samples("boiler-1", name)]
        arrived = [value for value, _ in dict.fromkeys(came)]
        check(arrived == sorted(set(arrived)) and len(came) - len(arrived) <= 256 / len(names) + 1, f"in order, none twice: {came}")
        # What was under way when the line went, and what shares its row on disk, is older.
        kept = (spooled - 250) // len(names) - 1
        check(arrived[-kept:] == list(range(int(arrived[-1]) + 1 - kept, int(arrived[-1]) + 1)), "the youngest are kept")
        lost += int(arrived[-1]) + 1 - len(arrived)
    shown = bench.get("boiler-1", "Dropped")
    check(lost == shown >= dropped, f"{lost} are missing, {shown} are shown as dropped")


def disk_full(bench):
    """A key that cannot be committed is refused, and nothing of it leaves; with room again everything works."""
    if os.geteuid() != 0:
        print("skipped: only root can mount")
        return
    with SmallDisk(bench.state) as disk:
        agent, _, cloud, keys = sim_bench(bench, ("a", "b"), connect=False)
        bench.key_set("a", "first-a", keys["a"])
        bench.wait_property("a", "State", "online")
        disk.fill()
        refused(bench.ctl("key", "set", "b", "first-b", status=None, stdin=keys["b"]), 1, "disk is full")
        check(bench.get("b", "State") == "no-credential", "nothing is held of it")
        since = cloud.mark()
        refused(bench.ctl("rotate", "a", status=None), 1, "a: rotation failed")
        check(bench.get("a", "BackupIdentity") == "" and bench.get("a", "RotationState") == "idle", "no new key")
        refused(bench.ctl("device", "add", "n", status=None,
                          stdin=b'{ "device": "n", "uplink": "cloud", "driver": "sim", "sim": {}, "points": {} }'), 1, "n.json")
        wait_samples(cloud, "a", 3)
        check(not cloud.find_events("credential", since=since), "and the cloud was told of none")
        disk.empty()
        bench.ctl("key", "set", "b", "first-b", stdin=keys["b"])
        bench.wait_property("b", "State", "online")
        bench.ctl("rotate", "a")
        # full in the middle of one: it waits where it stands, and goes on
        cloud.do("refuse", code="4.29", max_age=1, path="credentials", method="POST", times=0)
        rotation = bench.spawn("rotate", [harness.program("agent/gatehousectl/gatehousectl"), "rotate", "b"])
        bench.wait_property("b", "RotationState", "offered")
        disk.fill()
        cloud.do("clear")
        agent.wait_text("cannot commit a step of the rotation", 20)
        wait_samples(cloud, "b", 3)
        check(rotation.alive() and bench.get("b", "MainIdentity") == "first-b", "it waits")
        disk.empty()
        check(rotation.wait(30) == 0 and bench.get("b", "BackupIdentity") == "first-b", "it goes on")
        agent.restart()
        bench.wait_agent(agent)
        for device in ("a", "b"):
            bench.wait_property(device, "State", "online")
        bench.close()


def stopped_in_the_middle(bench):
    """SIGTERM while calls wait: they are answered, and it ends well."""
    points = {"x": TEMPERATURE, "trap": {"signal": "constant", "writable": True, "fault": "hang"}}
    agent, driver, cloud, _ = sim_bench(bench, points=points)
    cloud.do("slow", ms=60000, path="credentials", times=0)  # it may not be over before the agent is stopped
    waiting = [bench.spawn(name, [harness.program("agent/gatehousectl/gatehousectl"), *arguments])
               for name, arguments in (("rotate", ["rotate", "boiler-1"]), ("write", ["write", "boiler-1", "trap", "1"]))]
    bench.wait_property("boiler-1", "RotationState", "offered")
    agent.stop()
    for process in waiting:
        check(process.wait() in (1, 3), f"{process.name}: {process.popen.returncode} {process.text()}")
    driver.send(signal.SIGKILL)


if __name__ == "__main__":
    harness.main(driver_killed, driver_stuck, modbus_troubles, cloud_away_at_start, bounded_queue, disk_full,
                 stopped_in_the_middle, needs=("busctl",))
