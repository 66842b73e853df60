#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A whole driver for gatehouse: the load of this machine, and points that can be written. See doc/driver-protocol.md.

usage: driver.py NAME [SOCKET]     (needs python3-cbor2)

    { "device": "gateway", "uplink": "cloud", "driver": "NAME", "NAME": { "interval": 5 },
      "points": { "load": {}, "note": { "writable": true } } }"""
import collections
import errno
import json
import os
import select
import socket
import sys
import time

import cbor2


class Driver:
    def __init__(self, name, path):
        self.agent = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.agent.connect(path)
        self.devices, self.coming, self.written = {}, {}, {}
        self.credits, self.serial, self.unanswered, self.pauses = 0, 0, {}, {}
        self.waiting = collections.deque(maxlen=1000)  # [device, [sample]]; the oldest is dropped
        self.send("hello", {"name": name, "abi": 2, "version": "1.0"})

    def send(self, kind, *items, serial=None):
        self.serial += 1
        self.agent.send(cbor2.dumps([kind, serial or self.serial, *items]))

    def on_device(self, serial, name, section, points, more):
        before = self.coming.get(name, ("", ""))
        self.coming[name] = (before[0] + section, before[1] + points)

    def on_end(self, serial):
        kept = {name: d for name, d in self.devices.items() if self.coming.get(name) == d["texts"]}
        self.devices = {name: kept.get(name) or {"texts": texts, "points": json.loads(texts[1]), "due": 0,
                                                 "interval": json.loads(texts[0]).get("interval", 5)}
                        for name, texts in self.coming.items()}
        for name in self.devices:
            self.send("state", name, "ok", "")

    def on_credit(self, serial, credits, errors=None):
        parts = self.unanswered.pop(serial)
        back = [part for part, error in zip(parts, errors or []) if error not in (0, errno.ENODEV, errno.EINVAL)]
        self.pauses.update((part[0], time.monotonic() + 1) for part in back)  # of these devices only
        self.waiting = collections.deque(sorted([*back, *self.waiting], key=lambda part: part[1][0][1]), maxlen=1000)
        self.credits = credits - sum(map(len, self.unanswered.values()))

    def on_write(self, serial, name, point, value):
        writable = self.devices.get(name, {"points": {}})["points"].get(point, {}).get("writable")
        if writable:
            self.written[name, point] = value
        self.send("answer", 0 if writable else errno.EACCES, value if writable else f"{point} is not writable", serial=serial)

    def on_check(self, serial, name, section, points, more):
        if not more:
            self.send("answer", 0, [], serial=serial)

    def on_packet(self, kind, serial, *items):
        if kind == "begin":
            self.coming = {}
        elif kind == "welcome":
            self.credits = items[0]["credits"]
        elif kind in ("device", "end", "credit", "write", "check"):
            getattr(self, "on_" + kind)(serial, *items)
        elif kind in ("read", "scan", "raw", "secret"):
            self.send("answer", errno.EOPNOTSUPP, "this driver cannot do that", serial=serial)
        elif kind == "quit":
            self.send("answer", 0, 0, serial=serial)
            sys.exit(0)
        elif kind == "bye":
            sys.exit(items[0])

    def poll(self, now):
        for name, device in self.devices.items():
            if now >= device["due"]:
                device["due"] = now + device["interval"]
                for point in device["points"]:
                    value = os.getloadavg()[0] if point == "load" else self.written.get((name, point), "")
                    self.waiting.append([name, [[point, time.time_ns() // 1000, value, "", 0]]])
        parts, later = [], []
        for part in self.waiting:
            fits = len(parts) < min(self.credits, 100) and now >= self.pauses.get(part[0], 0)
            (parts if fits else later).append(part)
        if parts:
            self.waiting = collections.deque(later, maxlen=1000)
            self.send("report", *parts)
            self.unanswered[self.serial] = parts
            self.credits -= len(parts)

    def run(self):
        while True:
            self.poll(time.monotonic())
            if select.select([self.agent], [], [], 0.1)[0]:
                self.on_packet(*cbor2.loads(self.agent.recv(65536) or sys.exit("the agent closed the connection")))


if __name__ == "__main__":
    Driver(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "/run/gatehouse/driver.sock").run()
