#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Scan and ReadRaw: what a newcomer sees of a bus before anything is configured, through the agent and the real Modbus driver."""
import os
import struct
import sys
import threading
import time

import harness
from agent_bench import refused
from dbus_client import Client, Error
from harness import check, wait_for
from pulse import unless_it_stood_still

sys.path.insert(0, os.path.join(harness.ROOT, "tests", "prove"))
from lines import framed, Line, Server  # noqa: E402

MANAGER, JOB, ROOT = "org.gatehouse1.Manager", "org.gatehouse1.Job", "/org/gatehouse1"
SUNSPEC = ((4, "Fron"), (20, "Symo"), (44, "1.0 "), (52, "SN42"))


def sunspec(units, unit, base):
    registers = [0x5375, 0x6E53] + [0] * 66
    for at, text in SUNSPEC:
        registers[at:at + 2] = struct.unpack(">HH", text.encode())
    units.set.update({(unit, base + i): value for i, value in enumerate(registers)})


def identity(units, request):
    """Unit 3 tells by function 43, unit 5 is SunSpec, unit 6 refuses all; of unit 4 a gateway says that it is not there; the others
    are silent."""
    if request.unit in (4, 6):
        return bytes([request.function | 0x80, 2 if request.unit == 6 else 11])
    if request.unit == 3 and request.function == 43:
        return bytes([43, 14, 1, 1, 0, 0, 3]) + b"".join(bytes([i, len(t)]) + t for i, t in enumerate((b"ACME", b"M-1", b"2.0")))
    if request.unit == 5 or (request.unit == 3 and request.address < 100):
        return units.answer(request)
    return bytes([request.function | 0x80, 1]) if request.unit == 3 else None


def over_tcp(line, request):
    pdu = identity(line.units, request)
    if pdu:
        line.send(request, line.wrap(request, pdu))


def over_serial(line, request):
    pdu = identity(line.units, request)
    if pdu:
        line.send(framed(bytes([request.unit]) + pdu))


def start(bench):
    bench.write_config("coaps://127.0.0.1:1")
    bench.agent()
    bench.driver("modbus")
    wait_for("the driver", lambda: any(d[0] == "modbus" and d[2] == "connected" for d in bench.get(None, "Drivers")))


def scan(bench, *arguments, **options):
    return bench.ctl_json("scan", "modbus", *arguments, **options)["found"]


def units_are_found(bench):
    start(bench)
    server, line = Server(over_tcp), Line(over_serial)
    for url, units in ((f"tcp://127.0.0.1:{server.port}", server.units), (f"rtu:{line.path}?baud=115200", line.units)):
        sunspec(units, 5, 50000)

        def all_are_found(url=url):
            found = scan(bench, url, "--units=2-6", "--timeout=4s")
            check([(f["unit"], f.get("maker"), f.get("model"), f.get("version"), f.get("serial"), f.get("by")) for f in found] ==
                  [(3, "ACME", "M-1", "2.0", None, "identification"), (5, "Fron", "Symo", "1.0", "SN42", "SunSpec"),
                   (6, None, None, None, None, None)], found)
        # One is silent: it is waited for as long as servers may take for an answer.
        unless_it_stood_still(2, all_are_found)
        text = bench.ctl("scan", "modbus", url, "--units=3-6", "--timeout=10s")
        check(text.splitlines()[0].split() == ["UNIT", "MAKER", "MODEL", "VERSION", "BY", "URL", "SERIAL"], text)
        check("Symo" in text and "3 found." in text, text)
    # A whole bus without anybody: many slices, and its end.
    check(scan(bench, f"tcp://127.0.0.1:{server.port}", "--units=100-140", "--timeout=10ms") == [], "an empty bus")
    nobody = harness.free_port()
    refused(bench.ctl("scan", "modbus", f"tcp://127.0.0.1:{nobody}", status=None), 1, "cannot connect")
    refused(bench.ctl("scan", "modbus", f"tcp://127.0.0.1:{nobody}", "--units=9-2", status=None), 1, "FIRST-LAST")
    refused(bench.ctl("scan", "modbus", f"tcp://127.0.0.1:{nobody}", "colour=red", status=None), 1, "colour")
    refused(bench.ctl("scan", "modbus", f"tcp://127.0.0.1:{nobody}", "colour", status=None), 2, "KEY=VALUE")
    refused(bench.ctl("scan", "none", status=None), 1, "gatehouse-driver@none")


def registers_are_read(bench):
    start(bench)
    server = Server(over_tcp)
    url, more = f"--url=tcp://127.0.0.1:{server.port}", "--timeout=10s"
    server.units.set.update({(3, 10): 0x41AA, (3, 11): 0x6666})
    check(bench.ctl("read", url, more, "--unit=3", "--read=holding:10:2:float32") == "21.3\n", "a float")
    values = bench.ctl_json("read", url, more, "--unit=3", "--read=holding:10:2:float32,input:20:3")["values"]
    check(values == [21.3] + [(257 * a + 3) & 0xFFFF for a in (20, 21, 22)], values)
    refused(bench.ctl("read", url, more, "--unit=3", "--read=input:200", status=None), 1, "exception 1, illegal function")
    refused(bench.ctl("read", url, "--unit=2", "--read=input:0", "--timeout=50ms", status=None), 1, "does not answer")
    refused(bench.ctl("read", url, "--unit=3", status=None), 2, "--read=WHAT")
    refused(bench.ctl("read", "--unit=3", "a", "b", status=None), 2, "--url=URL")
    options = {"url": ("s", f"tcp://127.0.0.1:{server.port}"), "unit": ("i", 3), "read": ("s", "holding:3"),
               "timeout": ("s", "10s")}
    with Client(bench) as c:
        values, = c.call(ROOT, MANAGER, "ReadRaw", "sa{sv}", "modbus", options)
        check([tuple(v) for v in values] == [("x", 257 * 3 + 3)], values)
        for driver, more, name in (("modbus", {"unit": ("s", "x")}, "InvalidArgument"), ("nobody", {}, "DriverAway"),
                                   ("no body", {}, "InvalidArgument")):
            try:
                c.call(ROOT, MANAGER, "ReadRaw", "sa{sv}", driver, {**options, **more})
                check(False, f"{driver} {more} was taken")
            except Error as e:
                check(e.name == "org.gatehouse1.Error." + name, f"{driver} {more}: {e}")


class Queueing:
    """A gateway that asks its units one after the other, waits long for each, and is silent about those that are not there."""

    def __init__(self, there, patience):
        self.there, self.patience = there, patience

    def __call__(self, server, request):
        time.sleep(0.02 if request.unit in self.there else self.patience)
        if request.unit in self.there:
            server.send(request, server.answer(request))


def slow_gateways_are_waited_for(bench):
    """What answers later than it is waited for is there all the same."""
    start(bench)
    server = Server(Queueing({2, 5, 6}, 0.15))

    def all_are_found():
        # Many silent ones at the end: an answer that is late shows while others are asked.
        found = scan(bench, f"tcp://127.0.0.1:{server.port}", "--units=1-14", "--timeout=50ms")
        check(sorted(f["unit"] for f in found) == [2, 5, 6], found)
    unless_it_stood_still(0.2, all_are_found)


def devices_are_polled_meanwhile(bench):
    """A scan of a bus with many silent units, and a device on it: its polls go on, and the scan can be cancelled."""
    start(bench)
    times, lock = [], threading.Lock()

    def manner(server, request):
        if request.unit == 1:
            with lock:
                times.append(len(server.requests))
            server.send(request, server.answer(request))
    server = Server(manner)
    bench.write_device("meter", "modbus", points={"counter": {"table": "input", "address": 2, "type": "uint16"}},
                       url=f"tcp://127.0.0.1:{server.port}", unit=1, interval="50ms", timeout="10s")
    bench.ctl("reload")
    wait_for("polls", lambda: len(times) > 2)
    with Client(bench) as c:
        job, = c.call(ROOT, MANAGER, "Scan", "sa{sv}", "modbus", {
            "url": ("s", f"tcp://127.0.0.1:{server.port}"), "units": ("s", "10-200"), "timeout": ("s", "100ms")})
        before = len(times)
        wait_for("progress", lambda: bench.ask(job, JOB, "Done") >= 20)
        check(bench.ask(job, JOB, "Total") == 191, "the units")
        since = times[before:]
        check(len(since) >= 4, f"{len(since)} polls beside 20 silent units")
        gaps = [b - a for a, b in zip(since, since[1:])]
        check(max(gaps) <= 6, f"so many requests between two polls: {gaps}")
        c.call(job, JOB, "Cancel")
        wait_for("the end", lambda: bench.ask(job, JOB, "State") == "cancelled")


def counts(bench, device):
    return bench.ctl_json("show", device)["statistics"]


def what_happens_is_counted(bench):
    """Each third request is not answered, then each third answer is damaged; one register is refused."""
    start(bench)
    server = Server(lambda server, request: server.send(request, server.refuse(request, 2) if request.covers(100) else
                                                        server.answer(request)))

    def noisy(line, request):
        kind = len(line.requests) % 3
        if kind == 1:
            line.send(line.answer(request)[:-1] + b"\0" if line.answer(request)[-1] else b"\1")
        elif kind == 2:
            line.send(line.answer(request))
    line = Line(noisy)
    points = {"a": {"table": "input", "address": 10, "type": "uint16"}}
    bench.write_device("tcp", "modbus", points={**points, "b": {"table": "input", "address": 100, "type": "uint16"}},
                       url=f"tcp://127.0.0.1:{server.port}", interval="50ms", timeout="10s", trace=True)
    bench.write_device("line", "modbus", points=points, url=f"rtu:{line.path}", interval="50ms", timeout="300ms",
                       retries=3, degrade_after=100)
    bench.ctl("reload")

    def counted(device, **least):
        told = counts(bench, device)
        return all(told.get(name, 0) > n for name, n in least.items())
    wait_for("counts", lambda: counted("tcp", requests=20, exceptions=0) and counted("line", timeouts=5, crc_errors=0))
    told = counts(bench, "tcp")
    check(told["exceptions"] == told["exception_2"] > 0 and told["timeouts"] == told["crc_errors"] == 0, told)
    check(told["connects"] == 1 and 0 < told["round_trip_us"] < 10000000, told)
    wait_for("what it says to have asked", lambda: len(server.requests) >= told["requests"])
    told = counts(bench, "line")
    check(0 < told["timeouts"] <= told["requests"] and told["crc_errors"] > 0, told)
    text = bench.ctl("show", "line")
    check("statistics: requests " in text and "crc_errors " in text, text)
    with Client(bench) as c:
        got, = c.call(harness.device_path("line"), "org.gatehouse1.Device", "GetStatistics")
        check(got["crc_errors"] >= told["crc_errors"], got)
    # What is traced is what the server saw; and only where it was asked for.
    log = harness.read(bench.path("driver-modbus.err"))
    frame = server.requests[0].frame.hex(" ")
    check(f"tcp: tcp://127.0.0.1:{server.port} > {frame}" in log, f"{frame} in the log")
    check(" ms)" in log and "line: rtu:" not in log, "the answers, and not the other device's")
    bench.ctl("read", f"--url=tcp://127.0.0.1:{server.port}", "--read=input:77", "--timeout=10s", "--trace")
    check("06 01 04 00 4d 00 01\n" in harness.read(bench.path("driver-modbus.err")), "the read's frame")
    wait_for("the scan's frames", lambda: (bench.ctl("scan", "modbus", f"rtu:{line.path}", "--units=1", "--trace"),
                                           f"rtu:{line.path} <" in harness.read(bench.path("driver-modbus.err")))[1])


if __name__ == "__main__":
    harness.main(units_are_found, registers_are_read, slow_gateways_are_waited_for, devices_are_polled_meanwhile,
                 what_happens_is_counted)
