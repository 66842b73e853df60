# SPDX-License-Identifier: LGPL-2.1-or-later
"""The rows of serial.py: what users of serial Modbus have reported, played by a line on a pseudo terminal. Each row is a class with
a name, the device's settings, what the line does, and what is right."""
import re
import time

import harness
from lines import COUNTER, crc, framed

# Read in requests of the same shape, so that an answer taken for another's would show.
POINTS = {"counter": {"table": "input", "address": 2, "type": "uint16"},
          "a": {"table": "input", "address": 10, "type": "uint16"},
          "b": {"table": "input", "address": 20, "type": "uint16"},
          "set": {"table": "holding", "address": 30, "type": "uint16", "writable": True}}

# Where a time-out of 100 ms decides, a busy machine makes answers late that were meant well.
BUSY = 0.3


class Row:
    """All values that arrive are right, counters in order, and as many as `enough`."""
    name = ""
    section = {}
    query = "?baud=115200"
    enough = 10
    unit = 1
    losses = 0  # which share of the counter's values that were answered well, in time, may be missing
    points = POINTS

    def __init__(self):
        self.turn, self.spoiled = 0, set()

    def spoil(self, line, request):
        """What the counter is now goes out in no good answer: its loss is the line's."""
        if request.covers(COUNTER):
            self.spoiled.add(line.units.counters[request.unit])

    def play(self, line, request):
        line.send(line.answer(request))

    def right(self, bench):
        """What else has to hold: an error's words, or None."""
        return None


class Clean(Row):
    name = "nothing: a clean line"

    def right(self, bench):
        r, value = bench.write("set", 4711)
        return None if (r, value) == (0, 4711) and bench.line.units.written == [(1, 30, 4711)] else f"write: {r} {value}"


class Zero(Row):
    name = "a 00 byte before each answer"

    def play(self, line, request):
        line.send(b"\0" + line.answer(request))


class Ones(Row):
    name = "FF bytes before each answer"

    def play(self, line, request):
        line.send(b"\xff\xff\xff" + line.answer(request))


class Echo(Row):
    name = "the request comes back as an echo"

    def play(self, line, request):
        line.send(request.frame)
        if request.function != 6 or self.turn:
            line.send(line.answer(request))

    def right(self, bench):
        r, _ = bench.write("set", 1)
        if r >= 0:
            return "a write that only the echo acknowledged was taken as done"
        self.turn = 1
        r, value = bench.write("set", 2)
        return None if (r, value) == (0, 2) else f"write over an echoing line: {r} {value}"


class EchoConfigured(Echo):
    name = "the same with \"echo\": \"yes\""
    section = {"echo": "yes"}


class EchoUnknown(Echo):
    name = "an echo, and the first request is a write"
    section = {"interval": "1h", "timeout": "300ms"}
    points = {"set": dict(POINTS["set"], poll=False)}
    enough = 0


class WriteOnly(Row):
    name = "a unit that answers writes and no reads, and the first request is a write"
    section = {"interval": "1h", "timeout": "200ms"}
    points = {"set": dict(POINTS["set"], poll=False)}
    enough = 0

    def play(self, line, request):
        if request.function == 6:
            line.send(line.answer(request))

    def right(self, bench):
        r, value = bench.write("set", 4)
        return None if (r, value) == (0, 4) and bench.state("ok") else f"write: {r} {value}"


class HeadLost(Row):
    name = "RTS dropped too late: every third answer lacks its first byte"

    def play(self, line, request):
        self.turn += 1
        answer = line.answer(request)
        if self.turn % 3 == 0:
            self.spoil(line, request)
        line.send(answer[self.turn % 3 == 0:])


class Noise(Row):
    name = "every third answer has a byte changed in its middle"

    def play(self, line, request):
        self.turn += 1
        answer = bytearray(line.answer(request))
        if self.turn % 3 == 0:
            answer[4] ^= 0x10
            self.spoil(line, request)
        line.send(bytes(answer))


class Pieces(Row):
    name = "answers split at each byte, 8 ms between (t1.5 is 0.75 ms)"
    section = {"interval": "100ms"}

    def play(self, line, request):
        line.send_slowly(line.answer(request), 0.008)


class Halves(Row):
    name = "answers split once, at each byte in turn, 30 ms between"
    section = {"interval": "100ms"}

    def play(self, line, request):
        answer = line.answer(request)
        self.turn = self.turn % (len(answer) - 1) + 1
        line.send(answer[:self.turn])
        time.sleep(0.03)
        line.send(answer[self.turn:])


class Glued(Row):
    name = "another unit's answer glued before ours"

    def play(self, line, request):
        line.send(framed(bytes([request.unit + 1, request.function, 2, 0xAA, 0xAA])) + line.answer(request))


class Stale(Row):
    name = "each answer comes twice, the second one on its heels"

    def play(self, line, request):
        line.send(line.answer(request) * 2)


class Late(Row):
    name = "every fifth answer comes after the time-out"
    section = {"timeout": "300ms", "interval": "350ms"}
    losses = BUSY

    def play(self, line, request):
        self.turn += 1
        answer = line.answer(request)
        if self.turn % 5 == 0:
            self.spoil(line, request)
            time.sleep(0.4)
        line.send(answer)


class Foreign(Row):
    name = "another master asks the same unit and is answered, before our answer"

    def play(self, line, request):
        line.send(framed(bytes([request.unit, request.function, 0, 99, 0, request.count])) +
                  framed(bytes([request.unit, request.function, 2 * request.count]) + b"\xaa" * 2 * request.count) +
                  line.answer(request))


class Broadcast(Row):
    name = "another master's broadcast before each answer"

    def play(self, line, request):
        line.send(framed(bytes([0, 6, 0, 1, 0, 2])) + line.answer(request))


class OtherUnit(Row):
    name = "every third request is answered by another unit"
    section = {"timeout": "100ms"}
    losses = BUSY

    def play(self, line, request):
        self.turn += 1
        answer = line.answer(request)
        if self.turn % 3 == 0:
            self.spoil(line, request)
            answer = framed(bytes([request.unit + 1]) + answer[1:-2])
        line.send(answer)


class Slow(Row):
    name = "a slow slave: 80 % of the time-out passes"
    section = {"timeout": "600ms", "interval": "650ms"}

    def play(self, line, request):
        time.sleep(0.48)
        line.send(line.answer(request))


class Clock(Row):
    name = "2400 baud, 60 registers, time-out 250 ms: the bytes alone need 0.57 s"
    query = "?baud=2400"
    section = {"timeout": "250ms", "interval": "700ms", "max_gap": 100}
    points = dict(POINTS, far={"table": "input", "address": 61, "type": "uint16"})
    enough = 3

    def play(self, line, request):
        for byte in line.answer(request):
            due = line.last_sent + 10 / 2400
            line.send(bytes([byte]))
            time.sleep(max(0, due - time.monotonic()))


class Gap(Row):
    name = "9600 baud: silence between frames (t3.5 is 3.6 ms, 5 ms wanted)"
    query = "?baud=9600"

    def right(self, bench):
        least = min(bench.line.gaps)
        return None if least >= 0.005 else f"{least * 1000:.1f} ms between an answer and the next request"


class Pause(Row):
    name = "a slave that needs 80 ms between requests"
    section = {"delay_between_requests": "80ms", "interval": "400ms"}

    def play(self, line, request):
        if not line.last_sent or request.at - line.last_sent >= 0.08:
            line.send(line.answer(request))
        else:
            self.turn += 1

    def right(self, bench):
        return f"{self.turn} requests came too early" if self.turn else None


class Silence(Row):
    name = "silence for a while, then it answers again"
    enough = 0
    section = {"timeout": "100ms"}

    def play(self, line, request):
        if self.turn:
            line.send(line.answer(request))

    def right(self, bench):
        reason = bench.state("failed")["reason"]
        time.sleep(1)
        self.turn = 1
        bench.wait_values(10)
        return None if "unit 1: does not answer" in reason else reason


class WrongBaud(Silence):
    name = "noise instead of answers for a while: it is said"

    def play(self, line, request):
        line.send(line.answer(request) if self.turn else b"\xf8\x00\x1e\xfe")

    def right(self, bench):
        reason = bench.state("failed")["reason"]
        self.turn = 1
        bench.wait_values(10)
        return None if "baud and parity" in reason else reason


class Kernel485(Row):
    name = "the adapter's driver has no RS-485 mode (\"rs485\": \"kernel\")"
    section = {"rs485": "kernel"}
    enough = 0

    def right(self, bench):
        reason = bench.state("failed")["reason"]
        return None if "RS-485 cannot be set" in reason and "auto" in reason else reason


class Busy(Row):
    name = "another program has the line"
    enough = 0

    def before(self, line):
        line.lock()

    def right(self, bench):
        reason = bench.state("failed")["reason"]
        return None if "in use by another program" in reason else reason


class Absent(Row):
    name = "the adapter is absent at start, comes, is unplugged, comes back under another name"
    link = True
    enough = 0

    def right(self, bench):
        reason = bench.state("failed")["reason"]
        if "no such device" not in reason:
            return reason
        for _ in range(2):
            bench.line.plug()
            bench.wait_values(len(bench.values("counter")) + 5)
            since = bench.mark()
            bench.line.unplug()
            bench.state("failed", since)
        bench.line.plug()
        bench.wait_values(len(bench.values("counter")) + 5)
        return None


class ToAll(Row):
    name = "a write to unit 0: all units, no answer, 150 ms of turnaround"
    section = {"unit": 0, "turnaround": "150ms"}
    unit = 0
    points = {"set": dict(POINTS["set"], poll=False)}
    enough = 0

    def play(self, line, request):
        line.units.answer(request)

    def right(self, bench):
        for value in (1, 2, 3, 4):
            r, got = bench.write("set", value)
            if (r, got) != (0, value):
                return f"write: {r} {got}"
        wanted = [(0, 30, value) for value in (1, 2, 3, 4)]
        harness.wait_for(lambda: f"written: {bench.line.units.written}", lambda: bench.line.units.written == wanted)
        times = [r.at for r in bench.line.requests]
        gaps = sorted(b - a for a, b in zip(times, times[1:]))
        return None if gaps[1] >= 0.14 else f"{gaps} s between them"  # what the line's thread reads late shortens the next


class Exceptions(Row):
    name = "exceptions 0, 7, 0x55, 0x80 in turn for one register"
    section = {"max_gap": 50}

    def play(self, line, request):
        if request.covers(10):
            self.turn += 1
            line.send(line.refuse(request, (0, 7, 0x55, 0x80)[self.turn // 8 % 4]))
        else:
            line.send(line.answer(request))

    def right(self, bench):
        bench.wait_values(5, "b")
        reason = bench.state("degraded")["reason"]
        if bench.values("a"):
            return "the bad register had values"
        return None if re.match(r"point a: exception (0|7|85|128), a code|point a: exception 7, neg", reason) else reason


ROWS = (Clean, Zero, Ones, Echo, EchoConfigured, EchoUnknown, WriteOnly,
        HeadLost, Noise, Pieces, Halves, Glued, Stale, Late, Foreign, Broadcast,
        OtherUnit, Slow, Clock, Gap, Pause, Silence, WrongBaud, Kernel485, Busy, Absent, ToAll, Exceptions)
assert crc(b"\x02\x07") == b"\x41\x12"
