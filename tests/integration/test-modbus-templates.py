#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Each shipped Modbus template against a recorded exchange (plugins/modbus/fixtures): the real driver asks what was recorded, is
answered the recorded bytes, and reports what the template's vector says."""
import json
import os
import socket
import struct
import threading

import harness
from harness import check, wait_for

TEMPLATES = os.path.join(harness.ROOT, "etc", "modbus")
FIXTURES = os.path.join(harness.ROOT, "plugins", "modbus", "fixtures")


class Replay:
    """A server that knows the recorded requests and nothing else."""

    def __init__(self, name):
        lines = [line.split(" ", 1) for line in harness.read(os.path.join(FIXTURES, name + ".exchange")).splitlines()]
        frames = [(direction, bytes.fromhex(frame)) for direction, frame in lines]
        self.answers = {request: answer for (_, request), (_, answer) in zip(frames[::2], frames[1::2])}
        check(self.answers and all(d == "><"[i % 2] for i, (d, _) in enumerate(frames)), f"{name}: a request, its answer, and so on")
        self.asked, self.unknown = set(), []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self._answer, args=(connection.makefile("rwb"),), daemon=True).start()

    def _answer(self, stream):
        while head := stream.read(6):
            rest = head[2:] + stream.read(struct.unpack(">H", head[4:6])[0])
            if rest not in self.answers:
                self.unknown.append(rest.hex(" "))
                return
            self.asked.add(rest)
            stream.write(head[:2] + self.answers[rest])
            stream.flush()


def names():
    return sorted(n[:-5] for n in os.listdir(TEMPLATES) if n.endswith(".json"))


def recorded_exchanges_are_read(bench):
    check({n[:-9] for n in os.listdir(FIXTURES) if n.endswith(".exchange")} == set(names()), "a recording of each template")
    bench.env["GATEHOUSE_MODBUS_TEMPLATES"] = TEMPLATES
    replays = {name: Replay(name) for name in names()}
    keys = {name: bench.new_key() for name in names()}
    cloud = bench.devcloud([(f"first-{n}", keys[n], n) for n in names()])
    bench.write_config(cloud.url)
    for name, replay in replays.items():
        bench.write_device(name, "modbus", points={}, url=f"tcp://127.0.0.1:{replay.port}", template=name, interval="1h")
    bench.agent()
    for name, key in keys.items():
        bench.key_set(name, f"first-{name}", key)
    bench.driver("modbus")

    def arrived(name):
        return {s["name"]: s["value"] for s in cloud.samples(name)}
    for name, replay in replays.items():
        with open(os.path.join(TEMPLATES, name + ".json"), encoding="utf-8") as f:
            wanted = json.load(f)["vectors"][0]["values"]
        wait_for(lambda: f"{name}: {wanted}; there are {arrived(name)}, and it asked for {replay.unknown}",
                 lambda: arrived(name).keys() >= wanted.keys() or replay.unknown)
        check(not replay.unknown, f"{name} asks for what was not recorded: {replay.unknown}")
        check(arrived(name) == wanted, f"{name}: {arrived(name)} is not {wanted}")
        check(replay.asked == set(replay.answers), f"{name} does not ask for all that was recorded")


if __name__ == "__main__":
    harness.main(recorded_exchanges_are_read)
