# SPDX-License-Identifier: LGPL-2.1-or-later
"""The other rows of serial.py: faults of servers and gateways over TCP, and what each may cost. As serial_rows.py."""
import time

import harness
from serial_rows import BUSY, POINTS, Row

TEN = {f"p{i}": {"table": "input", "address": 100 + i, "type": "uint16"} for i in range(10)}
TEN["counter"] = POINTS["counter"]


class Fault(Row):
    section = {"timeout": "300ms"}

    def play(self, line, request):
        line.send(request, line.answer(request))

    def requests(self, bench, seconds):
        """How many came in so long."""
        before = len(bench.line.requests)
        time.sleep(seconds)
        return len(bench.line.requests) - before


class AnyCode(Fault):
    name = "exceptions 0, 1, 7, 8, 0x55, 0x80, 0xFF for one register of ten"
    points = TEN
    codes = (0, 1, 7, 8, 0x55, 0x80, 0xFF)

    def play(self, line, request):
        self.turn += 1
        if request.covers(105):
            line.send(request, line.refuse(request, self.codes[self.turn // 20 % len(self.codes)]))
        else:
            line.send(request, line.answer(request))

    def right(self, bench):
        for i in (0, 4, 6, 9):
            bench.wait_values(5, f"p{i}")
        reason = bench.state("degraded")["reason"]
        return None if "point p5: exception " in reason and not bench.values("p5") else reason


class ShortRefusal(Fault):
    name = "exception 4 for the upper half of ten registers for 1 s: afterwards one request a tick for them again"
    points = TEN
    section = {"interval": "100ms"}

    def play(self, line, request):
        if request.covers(107) and not self.turn:
            line.send(request, line.refuse(request, 4))
        else:
            line.send(request, line.answer(request))

    def right(self, bench):
        bench.state("degraded")
        time.sleep(1)
        self.turn = 1
        bench.state("ok", bench.mark() if bench.last_state() != "ok" else 0)
        time.sleep(1.5)
        n = self.requests(bench, 2)
        return None if n <= 44 else f"{n} requests in 20 ticks of two requests"


class BusyOnce(Fault):
    name = "\"busy\" twice, with an interval of one minute"
    section = {"interval": "1min", "retries": 1}
    points = {"a": POINTS["a"]}
    enough = 0

    def play(self, line, request):
        self.turn += 1
        line.send(request, line.refuse(request, 6) if self.turn <= 2 else line.answer(request))

    def right(self, bench):
        bench.wait_values(1, "a")
        bad = [e["state"] for e in bench.events("state") if e["state"] == "failed"]
        return f"states: {bad}" if bad else None


class GatewayOnce(Fault):
    name = "exception 11 at every third request: repeated at once, no change reported anew"
    points = {"a": dict(POINTS["a"], on_change=True), "counter": dict(POINTS["counter"], interval="50ms")}

    def play(self, line, request):
        self.turn += 1
        line.send(request, line.refuse(request, 11) if self.turn % 3 == 0 else line.answer(request))

    def right(self, bench):
        n = len(bench.values("a"))
        bad = [e["state"] for e in bench.events("state") if e["state"] != "ok"]
        return None if n == 1 and not bad else f"{n} reports of one value, states {bad}"


class KeepsConnection(Fault):
    name = "a gateway for one connection, with a dead unit: the living one loses nothing, one connection"
    section = {"interval": "50ms", "timeout": "200ms"}
    dead = 9

    def play(self, line, request):
        if request.unit != self.dead:
            line.send(request, line.answer(request))

    def right(self, bench):
        bench.wait_values(40)
        n = bench.line.connections
        return None if n == 1 else f"{n} connections"


class DeadCosts(KeepsConnection):
    name = "a dead unit costs one time-out each time it is tried, its repetitions come after the living"
    section = {"interval": "50ms", "timeout": "300ms", "retries": 3}

    def right(self, bench):
        bench.wait_values(60)
        times = [r.at for r in bench.line.requests]
        longest = max(b - a for a, b in zip(times, times[1:]))
        units = [r.unit for r in bench.line.requests]
        twice = any(a == b == self.dead for a, b in zip(units, units[1:]))
        return None if longest < 0.45 and not twice else f"longest pause {longest:.2f} s, twice in a row: {twice}"


class WriteFirst(KeepsConnection):
    name = "a write waits for one request, not for a dead unit's five repetitions of 500 ms"
    section = {"interval": "1s", "timeout": "500ms", "retries": 5, "degrade_for": "1s"}
    enough = 2

    def right(self, bench):
        worst = 0
        for value in range(6):
            r, _ = bench.write("set", value)
            worst = max(worst, bench.took)
            if r < 0:
                return "a write failed"
            time.sleep(0.15)
        return None if worst < 0.9 else f"a write took {worst:.2f} s"


class Duplicates(Fault):
    name = "each answer comes twice, with a delay after each connect"
    section = {"delay_after_connect": "200ms", "interval": "50ms"}

    def play(self, line, request):
        line.send(request, line.answer(request) * 2)

    def right(self, bench):
        n = bench.line.connections
        return None if n == 1 else f"{n} connections"


class Swallowed(Fault):
    name = "the first request of each connection is swallowed"

    def play(self, line, request):
        if line.first:
            line.first = False
        else:
            line.send(request, line.answer(request))


class LateTcp(Fault):
    name = "every fourth answer comes after the time-out, behind the next request"
    section = {"timeout": "100ms", "interval": "150ms"}
    losses = BUSY

    def play(self, line, request):
        self.turn += 1
        answer = line.answer(request)
        if self.turn % 4 == 0:
            self.spoil(line, request)
            time.sleep(0.14)
        line.send(request, answer)


class WrongTransaction(Fault):
    name = "a server with transaction numbers of its own (\"check_transaction\": false)"
    section = {"check_transaction": False}

    def play(self, line, request):
        answer = line.answer(request)
        line.send(request, b"\x77\x77" + answer[2:])


class OtherUnitTcp(Fault):
    name = "every third answer carries another unit: dropped"
    section = {"timeout": "100ms"}
    losses = BUSY

    def play(self, line, request):
        self.turn += 1
        pdu = line.units.answer(request)
        if self.turn % 3 == 0:
            self.spoil(line, request)
        line.send(request, line.wrap(request, pdu, 5 if self.turn % 3 == 0 else None))


class OneTime(Fault):
    name = "all values of one answer carry one time"
    points = TEN
    section = {"interval": "100ms"}

    def right(self, bench):
        for e in bench.events("report"):
            times = {s[1] for s in e["samples"] if s[0] in TEN and s[0] != "counter"}
            if len(times) > 1 and len(e["samples"]) <= 11:
                return f"{len(times)} times in one answer"
        return None


class Dust(Fault):
    name = "123456 x 0.00001, and -43.85 as a float32 x 0.1: no binary dust"
    points = {"u": {"table": "input", "address": 40, "type": "uint32", "scale": 0.00001},
              "f": {"table": "input", "address": 42, "type": "float32", "scale": 0.1},
              "g": {"table": "input", "address": 44, "type": "float32", "scale": 0.001},
              "counter": POINTS["counter"]}

    def before(self, line):
        for unit in (1,):
            line.units.set.update({(unit, 40): 1, (unit, 41): 57920, (unit, 42): 0xC3DB, (unit, 43): 0x4000,
                                   (unit, 44): 0x449A, (unit, 45): 0x51EC})

    def right(self, bench):
        got = (bench.wait_values(1, "u")[0], bench.wait_values(1, "f")[0], bench.wait_values(1, "g")[0])
        return None if got == (1.23456, -43.85, 1.23456) else str(got)


class MaxInterval(Fault):
    name = "an unchanged value with \"on_change\" and a \"max_interval\" of 300 ms"
    section = {"interval": "50ms"}
    points = {"a": dict(POINTS["a"], on_change=True, max_interval="300ms"), "counter": POINTS["counter"]}
    enough = 40

    def right(self, bench):
        n, ticks = len(bench.values("a")), len(bench.values("counter"))
        return None if n >= 3 and n < ticks / 3 else f"{n} reports in {ticks} ticks"


class Heartbeat(Fault):
    name = "\"write_interval\" of 200 ms: what was written is written again and again, and nothing before that"
    points = {"set": dict(POINTS["set"], write_interval="200ms", poll=False), "counter": POINTS["counter"]}

    def right(self, bench):
        if bench.line.units.written:
            return "written before anybody asked for it"
        bench.write("set", 7)
        harness.wait_for("five writes", lambda: len(bench.line.units.written) >= 5)
        bench.write("set", 8)
        harness.wait_for("three more", lambda: bench.line.units.written[-3:] == [(1, 30, 8)] * 3)
        times = [r.at for r in bench.line.requests if r.function == 6]
        return None if times[4] - times[0] > 0.7 else f"five writes within {times[4] - times[0]:.2f} s"


class DeadHeartbeat(Fault):
    name = "a unit that dies under a \"write_interval\" of 100 ms is not waited for each time"
    points = {"set": dict(POINTS["set"], write_interval="100ms", poll=False)}
    section = {"timeout": "200ms"}
    enough = 0

    def play(self, line, request):
        if not self.turn:
            line.send(request, line.answer(request))

    def right(self, bench):
        bench.write("set", 7)
        bench.state("ok")
        harness.wait_for("five writes", lambda: len(bench.line.units.written) >= 5)
        self.turn = 1
        bench.state("failed")
        n = self.requests(bench, 2.5)
        if n > 3:
            return f"asked {n} times in 2.5 s"
        self.turn = 0
        since = bench.mark()
        bench.state("ok", since)
        return None


class OnDemand(Fault):
    name = "\"poll\": false is read when asked for, \"alone\" in a request of its own, a group in one"
    points = {"counter": POINTS["counter"], "never": dict(POINTS["a"], poll=False),
              "b": dict(POINTS["b"], address=21, alone=True), "c": dict(POINTS["b"], address=22),
              "d": dict(POINTS["b"], address=23, group="g"), "e": dict(POINTS["b"], address=60, group="g")}

    def right(self, bench):
        shapes = {(r.address, r.count) for r in bench.line.requests}
        if shapes != {(2, 1), (21, 1), (22, 1), (23, 38)} and shapes != {(2, 1), (21, 1), (22, 39)}:
            return f"requests: {sorted(shapes)}"
        done, _ = bench.host.ask_alone("read", driver="modbus", device=bench.device, point="never")
        return None if done.get("value") == 257 * 10 + 1 else str(done)


class Closes(Fault):
    name = "\"close_after_poll\": a connection for each tick"
    section = {"close_after_poll": True, "interval": "100ms"}

    def right(self, bench):
        return None if bench.line.connections >= 8 else f"{bench.line.connections} connections"


class ScaleRegister(Fault):
    name = "a value and its \"scale_register\" (10^-2, then 10^-1), read in one request; a row of three with one"
    points = {"v": {"table": "input", "address": 40, "type": "int16", "scale_register": 45},
              "row": {"table": "input", "address": 41, "type": "uint16", "count": 3, "scale_register": 45},
              "counter": POINTS["counter"]}

    def before(self, line):
        line.units.set.update({(1, 40): 12345, (1, 41): 1, (1, 42): 2, (1, 43): 3, (1, 45): 0xFFFE})

    def right(self, bench):
        got = [bench.wait_values(1, p)[0] for p in ("v", "row.1", "row.2", "row.3")]
        if got != [123.45, 0.01, 0.02, 0.03]:
            return str(got)
        bench.line.units.set[(1, 45)] = 0xFFFF
        harness.wait_for("the other scale", lambda: bench.values("v")[-1] == 1234.5)
        return None if set(bench.values("v")) == {123.45, 1234.5} else str(set(bench.values("v")))


ROWS = (AnyCode, ShortRefusal, BusyOnce, GatewayOnce, KeepsConnection, DeadCosts, WriteFirst, Duplicates, Swallowed, LateTcp,
        WrongTransaction, OtherUnitTcp, OneTime, Dust,
        MaxInterval, Heartbeat, DeadHeartbeat, OnDemand, Closes, ScaleRegister)
