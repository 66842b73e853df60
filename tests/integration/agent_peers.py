# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the whole agent is held against: libcoap's own servers, pymodbus, and a network that loses datagrams."""
import heapq
import json
import os
import random
import re
import select
import socket
import threading
import time

import harness
from harness import check, wait_for

COUNTER = ("input", 2)
COUNTER_POINT = {"reads": {"table": "input", "address": 2, "type": "uint16"}}


def write_counter(bench, device, unit, port, uplink="cloud", interval="200ms"):
    """A Modbus device whose one point is the counter of the test servers: each value is served exactly once."""
    bench.write_device(device, "modbus", url=f"tcp://127.0.0.1:{port}", unit=unit, interval=interval, uplink=uplink, timeout="30s",
                       points=COUNTER_POINT)


def check_list(device, served, arrived):
    """`arrived` (time, value) as they came. Every served value is there, in order; one that came more than once is the
    same sample again. Returns how many were such repeats."""
    first = list(dict.fromkeys(arrived))
    values = [value for _, value in first]
    lost = sorted(set(served) - set(values))
    check(not lost, f"{device}: {len(lost)} of {len(served)} values are lost: {lost[:20]}")
    check(values == served, f"{device}: served {served[:50]}, arrived {values[:50]}")
    check(all(a[0] < b[0] for a, b in zip(first, first[1:])), f"{device}: times are not ascending")
    return len(arrived) - len(first)


class CoapServer(harness.Process):
    """coap-server-gnutls or -openssl. Its log shows the keys that it was given, so it is kept apart from ours.

    It makes what is not there yet by PUT or POST (up to ten resources, -d 10), and answers 2.01 and then 2.04."""
    REQUEST = re.compile(r"^v:1 t:CON c:(POST|PUT) i:\w+ \{\w*\} \[ Uri-Path:telemetry, ")
    BODY = re.compile(r"^<<((?:[0-9a-f]{2})+)>>$")

    def __init__(self, bench, program, keys):
        self.port = harness.free_port(row=2)  # it takes one for coap, the next for coaps
        path = bench.path(program + ".keys")
        with open(path, "w", encoding="ascii") as f:
            f.writelines(f"CoAP,{identity},{key.decode()}\n" for identity, key in keys.items())
        super().__init__(bench, program, [program, "-A", "127.0.0.1", "-p", str(self.port - 1), "-h", "CoAP", "-k",
                                          "not-this-one", "-i", path, "-d", "10", "-v", "7"])
        self.out = self.err = bench.path(program + ".log")

    def start(self):
        before = self.text().count("created DTLS")
        super().start()
        wait_for(f"{self.name} to listen", lambda: self.text().count("created DTLS") > before)
        return self

    def text(self):
        return harness.read(self.out)

    @property
    def url(self):
        return f"coaps://127.0.0.1:{self.port}"

    def samples(self, device):
        """(time, value) of each that arrived, in order, repeats too."""
        found, wanted = [], False
        for line in self.text().splitlines(keepends=True):
            body = self.BODY.match(line.rstrip("\n")) if wanted and line.endswith("\n") else None
            if body:
                found += unpack(json.loads(bytes.fromhex(body[1])), device)
            wanted = bool(self.REQUEST.match(line))
        return found


def unpack(pack, device):
    """(time, value) of each record of a SenML pack of this device that is no probe."""
    base = pack[0]
    if base["bn"] != device + ":" or base["n"] == "_probe":
        return []
    # To the microsecond, so that equal times are equal numbers.
    return [(round((base["bt"] + r.get("t", 0)) * 1e6), r["v"]) for r in pack]


class LossyProxy:
    """Datagrams between the agent and a server, each way, by a seeded generator dropped, sent twice, or held back so
    that later ones overtake."""
    DROP, TWICE, LATE = 0.2, 0.05, 0.1
    LATE_SECONDS = 0.03

    def __init__(self, port, seed, front=("127.0.0.1", 0)):
        self.server, self.random = ("127.0.0.1", port), random.Random(seed)
        self.front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.front.bind(front)
        self.port = self.front.getsockname()[1]
        self.backs, self.clients, self.late = {}, {}, []
        self.counts = dict.fromkeys(("passed", "dropped", "twice", "late"), 0)
        self.running, self.lossy = True, False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def end(self):
        self.running = False
        self.thread.join()
        for s in (self.front, *self.backs.values()):
            s.close()

    def run(self):
        while self.running:
            ready, _, _ = select.select([self.front, *self.backs.values()], [], [], 0.005)
            for s in ready:
                try:
                    self.take(s)
                except (ConnectionError, BlockingIOError):
                    pass  # what ICMP reports is lost like anything else; a send may have taken the report since it was ready
            while self.late and self.late[0][0] <= time.monotonic():
                self.put(*heapq.heappop(self.late)[2:])

    def take(self, s):
        if s is self.front:
            data, client = s.recvfrom(65536, socket.MSG_DONTWAIT)
            if client not in self.backs:
                back = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                back.connect(self.server)
                self.backs[client], self.clients[back] = back, client
            self.judge(self.backs[client], None, data)
        else:
            self.judge(self.front, self.clients[s], s.recv(65536, socket.MSG_DONTWAIT))

    def judge(self, s, to, data):
        chance = self.random.random() if self.lossy else 1
        if chance < self.DROP:
            self.counts["dropped"] += 1
            return
        self.counts["passed"] += 1
        if chance < self.DROP + self.TWICE:
            self.counts["twice"] += 1
            self.put(s, to, data)
        elif chance < self.DROP + self.TWICE + self.LATE:
            self.counts["late"] += 1
            at = time.monotonic() + self.LATE_SECONDS
            heapq.heappush(self.late, (at, self.counts["late"], s, to, data))
            return
        self.put(s, to, data)

    @staticmethod
    def put(s, to, data):
        try:
            s.sendto(data, to) if to else s.send(data)
        except ConnectionError:
            pass


def pymodbus_interpreter():
    """The python that has pymodbus: Debian's own, whatever runs this test. None: not installed."""
    for python in ("/usr/bin/python3", "python3"):
        if os.system(f"{python} -c 'import pymodbus' 2>/dev/null") == 0:
            return python
    return None


class PymodbusServer(harness.ModbusServer):
    def __init__(self, bench, python, devices):
        super().__init__(bench, "pymodbus", devices)
        self.argv = [python, os.path.join(harness.ROOT, "tests/peers/pymodbus-server.py"), "--port", str(self.port),
                     "--devices", str(devices), "--log", self.log]

    def settle(self):
        """It writes down first, and answers then."""
