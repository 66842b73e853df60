#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The real gatehouse-driver with the Modbus plugin between a Modbus server process and the agent's end of the driver protocol
(tests/tools/link-host.c): every value that the server says it served arrives, once, in order."""
import importlib.util
import os
import socket
import sys

import harness
from agent_peers import pymodbus_interpreter
from harness import check
from pulse import unless_it_stood_still

sys.path.insert(0, os.path.join(harness.ROOT, "tests", "prove"))
from lines import framed, Line, Pair, Server  # noqa: E402

INTERVAL = "20ms"
# Of a request: long, for what is asked again since its answer was late was served twice, and arrived once.
TIMEOUT = "10s"
POINTS = {"counter": {"table": "input", "address": 2, "type": "uint16"},
          "flow": {"table": "input", "address": 0, "type": "int16", "scale": 0.1, "unit": "Cel"},
          "setpoint": {"table": "holding", "address": 10, "type": "int16", "scale": 0.1, "writable": True}}


def link_host(bench):
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "test-link.py")
    spec = importlib.util.spec_from_file_location("test_link", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Host(bench.runtime)


def device(name, port, unit, points=None):
    return {"id": name, "points": points or POINTS,
            "section": {"url": f"tcp://127.0.0.1:{port}", "unit": unit, "interval": INTERVAL, "timeout": TIMEOUT}}


def values(host, name, point):
    return [s[2] for e in list(host.events) if e["event"] == "report" and e["device"] == name
            for s in e["samples"] if s[0] == point]


def what_is_served_arrives(bench):
    server = bench.modbus_server(devices=3)
    host = link_host(bench)
    try:
        nobody = harness.free_port(socket.SOCK_STREAM)
        names = ["d1", "d2", "d3"]
        host.do("devices", driver="modbus",
                devices=[device(name, server.port, unit) for unit, name in enumerate(names, 1)] +
                [device("away", nobody, 1)])
        bench.driver("modbus")
        for name in names:
            host.state_of(name, "ok")
        check("cannot connect" in host.state_of("away", "failed")["reason"], "the reason of what is away")
        harness.wait_for("30 samples each", lambda: all(len(values(host, n, "counter")) >= 30 for n in names))
        done = host.ask("write", driver="modbus", device="d2", point="setpoint", value=22.54)
        check((done["r"], done["value"]) == (0, 22.5), f"what was set: {done}")
        harness.wait_for("the set-point", lambda: values(host, "d2", "setpoint")[-1:] == [22.5])
        server.stop()
        for name in names:
            host.state_of(name, "failed")
        for unit, name in enumerate(names, 1):
            served = [value for _, value in server.served(unit, "input", 2)]
            # A state may overtake what is reported.
            harness.wait_for(lambda n=name, s=served: f"{n}: all of {s}; there are {values(host, n, 'counter')}",
                             lambda n=name, s=served: values(host, n, "counter") == s)
        check([v for _, v in server.served(2, "holding", 10, "write")] == [225], "one write")
        since = host.mark()
        server.start()
        for name in names:
            host.state_of(name, "ok", since)
            host.report_of(name, since)
    finally:
        host.stop()


def mistakes_have_their_place(bench):
    host = link_host(bench)
    try:
        bench.driver("modbus")
        host.driver(True)
        done = host.ask("check", driver="modbus", id="a", section={"url": "rtu:ttyS0", "unit": 1},
                        points={"p": {"table": "input", "address": 0, "type": "int24"}})
        check(done["complaints"] == ["/section/url", "/points/p/type"], f"complaints: {done}")
    finally:
        host.stop()


def over(bench, url, command):
    """A peer of others' making serves unit 1 at the url: all that it says it served arrives, and a write is there."""
    log = bench.path("peer.served")
    peer = bench.spawn("peer", [*command, "--log", log])
    harness.wait_for("the peer", lambda: peer.text().strip())
    host = link_host(bench)
    try:
        host.do("devices", driver="modbus", devices=[
            {"id": "d", "points": POINTS, "section": {"url": url or f"rtu+tcp://127.0.0.1:{peer.text().split()[0]}", "unit": 1,
                                                      "interval": "50ms", "timeout": TIMEOUT, "retries": 0}}])
        bench.driver("modbus")
        host.state_of("d", "ok")
        harness.wait_for("20 samples", lambda: len(values(host, "d", "counter")) >= 20)
        done = host.ask("write", driver="modbus", device="d", point="setpoint", value=18.5)
        check((done["r"], done["value"]) == (0, 18.5), f"what was set: {done}")
        harness.wait_for("the set-point", lambda: values(host, "d", "setpoint")[-1:] == [18.5])
        since = host.mark()
        peer.stop()
        host.state_of("d", "failed", since)
        served = [line.split() for line in harness.read(log).splitlines()]
        counters = [int(r[5]) for r in served if r[1:5] == ["read", "1", "input", "2"]]

        def all_there():
            arrived = values(host, "d", "counter")
            # The last one may have been written down, and its answer not sent when it was ended.
            return arrived == counters[:len(arrived)] and len(counters) - len(arrived) <= 1
        harness.wait_for(lambda: f"all of {counters}; there are {values(host, 'd', 'counter')}", all_there)
        check([r[5] for r in served if r[1:5] == ["write", "1", "holding", "10"]] == ["185"], "one write")
    finally:
        host.stop()


def libmodbus_on_a_serial_line(bench):
    pair = Pair()
    over(bench, f"rtu:{pair.ends[0]}?baud=19200&parity=even",
         [harness.program("tests/peers/modbus-server"), "--rtu", pair.ends[1]])


def pymodbus(bench, url, *options):
    python = pymodbus_interpreter()
    if python is None:
        print("no pymodbus here")
        return
    over(bench, url, [python, os.path.join(harness.ROOT, "tests", "peers", "pymodbus-server.py"), *options])


def pymodbus_on_a_serial_line(bench):
    pair = Pair()
    pymodbus(bench, f"rtu:{pair.ends[0]}?baud=19200", "--rtu", pair.ends[1])


def pymodbus_rtu_inside_tcp(bench):
    pymodbus(bench, None, "--rtu")


GATEWAY_PATH, GATEWAY_TARGET = 10, 11


def scan(host, **options):
    """All units, asked for in slices as the agent does."""
    found, resume = [], {}
    while True:
        done = host.ask("scan", driver="modbus", options={**options, **resume})
        check(done["r"] == 0, done)
        units = [f for f in done["found"] if "unit" in f]
        found += units
        rest = [f for f in done["found"] if "unit" not in f]
        if not rest:
            return found
        check(len(rest) == 1 and 0 < rest[0]["done"] < rest[0]["total"] == 6, rest)
        resume = {"resume": rest[0]["resume"]}


def identity(line, request):
    """Unit 3 tells by function 43, unit 5 is SunSpec, unit 6 refuses all; of 2 and 7 a gateway says that they are not there; the
    others are silent."""
    units = line.units
    refusal = {6: 2, 2: GATEWAY_PATH, 7: GATEWAY_TARGET}.get(request.unit)
    if refusal:
        return bytes([request.function | 0x80, refusal])
    if request.unit == 3 and request.function == 43:
        return bytes([43, 14, 1, 1, 0, 0, 3]) + b"".join(bytes([i, len(t)]) + t for i, t in enumerate((b"ACME", b"M-1", b"2.0")))
    if request.unit == 5 or (request.unit == 3 and request.address < 100):
        return units.answer(request)
    return bytes([request.function | 0x80, 1]) if request.unit == 3 else None


def units_are_found_and_read(bench):
    def over_tcp(line, request):
        pdu = identity(line, request)
        if pdu:
            line.send(request, line.wrap(request, pdu))

    def over_serial(line, request):
        pdu = identity(line, request)
        if pdu:
            line.send(framed(bytes([request.unit]) + pdu))
    server, line = Server(over_tcp), Line(over_serial)
    sunspec = [0x5375, 0x6E53] + [0] * 66
    for at, text in ((4, "Fron"), (20, "Symo"), (44, "1.0 "), (52, "SN42")):
        sunspec[at:at + 2] = [ord(text[0]) << 8 | ord(text[1]), ord(text[2]) << 8 | ord(text[3])]
    host = link_host(bench)
    try:
        bench.driver("modbus")
        host.driver(True)
        for url, units in ((f"tcp://127.0.0.1:{server.port}", server.units), (f"rtu:{line.path}?baud=115200", line.units)):
            units.set.update({(5, 40000 + i): value for i, value in enumerate(sunspec)})

            def all_are_found(url=url):
                found = scan(host, url=url, units="2-7", timeout="4s")
                check([(f["unit"], f.get("maker"), f.get("model"), f.get("version"), f.get("serial")) for f in found] ==
                      [(3, "ACME", "M-1", "2.0", None), (5, "Fron", "Symo", "1.0", "SN42"), (6, None, None, None, None)], found)
            unless_it_stood_still(2, all_are_found)
            units.set.update({(3, 10): 0x41AA, (3, 11): 0x6666})
            done = host.ask("read_raw", driver="modbus", options={"url": url, "unit": 3, "timeout": TIMEOUT,
                                                                 "read": "holding:10:2:float32,input:20:3"})
            check(done["r"] == 0 and done["values"] == [21.3] + [(257 * a + 3) & 0xFFFF for a in (20, 21, 22)], done)
            for read, words in (("input:0:3:float32", "expected"), ("inputs:0", "unknown table"), (None, "expected"),
                                ("input:0:1:int12", "expected"), ("input:200", "exception 1, illegal function")):
                done = host.ask("read_raw", driver="modbus", options={"url": url, "unit": 3, "timeout": TIMEOUT, "read": read})
                check(done["r"] < 0 and words in done["text"], done)
        done = host.ask("scan", driver="modbus", options={"url": url, "units": "7-2"})
        check(done["r"] == -22 and "1-247" in done["text"], done)
    finally:
        host.stop()


if __name__ == "__main__":
    harness.main(what_is_served_arrives, mistakes_have_their_place, libmodbus_on_a_serial_line, pymodbus_on_a_serial_line,
                 pymodbus_rtu_inside_tcp, units_are_found_and_read)
