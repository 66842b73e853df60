#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The set-ups of tests/broken, each of which says what is broken, the finding that names it, and the words of cause and mend:
`gatehousectl check`, `gatehousectl status` and `systemctl status` have to say both. Where the agent does not run, `status` says
it on standard error, and systemctl shows the journal, which is what the agent says on its own.

A set-up is a module:  FINDING, an id of gatehouse-check(7);  WORDS, of cause and mend;  set_up(w), with w a Broken;
JOURNAL, what the agent itself then says, if it does not start with it;  STATUS, other words for status and systemctl, where the agent sees only what
follows;  MEND, of `check` alone."""
import importlib.util
import os
import pathlib
import socket
import sqlite3
import subprocess

import harness
from agent_bench import TEMPERATURE
from harness import check, wait_for
from watched import Watched

FOLDER = pathlib.Path(harness.ROOT) / "tests" / "broken"


class Broken(Watched):
    def sim(self):
        self.bench.write_device("boiler-1", "sim", {"x": TEMPERATURE}, interval="100ms")

    def device_file(self, name, text):
        os.makedirs(os.path.join(self.bench.config, "devices.d"), exist_ok=True)
        with open(os.path.join(self.bench.config, "devices.d", name), "w", encoding="utf-8") as f:
            f.write(text)

    def plugin_file(self, name, data):
        os.makedirs(self.bench.path("plugins"), exist_ok=True)
        with open(os.path.join(self.bench.path("plugins"), name + ".so"), "wb") as f:
            f.write(data)

    def damage(self, table, column):
        """One bit of what the vault has of boiler-1."""
        self.bench.wait_property("boiler-1", "State", "online")
        self.agent.stop()
        with sqlite3.connect(os.path.join(self.bench.state, "vault.db")) as db:
            data, = db.execute(f"SELECT {column} FROM {table} WHERE device = 'boiler-1'").fetchone()
            db.execute(f"UPDATE {table} SET {column} = ? WHERE device = 'boiler-1'", (data[:-1] + bytes([data[-1] ^ 1]),))
        db.close()
        self.agent.start()
        self.bench.wait_agent(self.agent)

    def other_server(self, *options):
        """openssl's, over UDP or TCP; its key is nobody's."""
        datagrams = any(o.startswith("-dtls") for o in options)
        port = harness.free_port(socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM)
        self.bench.spawn("openssl", ["openssl", "s_server", "-accept", str(port), "-psk", "00112233445566778899aabbccddeeff",
                                     "-psk_identity", "opaque-1", "-nocert", "-quiet", *options])
        return port

    def broker_with_another_key(self):
        port = self.other_server("-tls1_2")
        self.bench.write_config(f"mqtts://127.0.0.1:{port}", uplink={"profile": "senml-mqtt", "registrar": {"type": "manual"}})
        self.start(key=False, cloud=False)

    def plugins(self):
        plugins = self.bench.path("plugins")
        os.makedirs(plugins, exist_ok=True)
        for name in ("sim", "modbus"):
            if not os.path.lexists(os.path.join(plugins, name + ".so")):
                os.symlink(os.path.join(harness.BUILD_DIR, "plugins", name, name + ".so"), os.path.join(plugins, name + ".so"))

    def places(self):
        self.plugins()
        return ["--config-dir", self.bench.config, "--state-dir", self.bench.state, "--keyfile", self.bench.keyfile]

    def finding(self, name):
        """What `check` says of it, for programs and for people."""
        options = [*self.places(), "--plugin-dir", self.bench.path("plugins"), "--driver-program",
                   harness.program("agent/gatehouse-driver/gatehouse-driver"), "--agent-program",
                   harness.program("agent/gatehoused/gatehoused")]
        envelope = self.bench.ctl_json("check", *options, status=None)
        check(envelope["status"] == (2 if envelope["result"]["errors"] else 1 if envelope["result"]["warnings"] else 0), envelope)
        found = [f for f in envelope["result"]["findings"] if f["id"] == name]
        text = self.bench.ctl("check", *options, status=None).stdout.decode() if found else ""
        # The agent may have tried again in between, with another end: then both are asked once more.
        return found if found and f"{found[0]['severity']}: {name}" in text and found[0]["mend"] in text else []

    def last_words(self):
        """What an agent that does not start says on standard error, which the journal keeps."""
        return subprocess.run([harness.program("agent/gatehoused/gatehoused"), "--config-dir", self.bench.config, "--state-dir",
                               self.bench.state, "--runtime-dir", self.bench.runtime, "--keyfile", self.bench.keyfile,
                               "--allow-volatile-state"], env=dict(os.environ, **self.bench.env), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=harness.DEADLINE)


def lacks(text, words):
    return [word for word in words if word not in text]


def tells(w, case):
    words, mend = case.WORDS, getattr(case, "MEND", "")

    def found():
        text = "\n".join(f"{f['subject']}: {f['cause']}\n{f['mend']}" for f in w.finding(case.FINDING))
        return text and not lacks(text, [*words, mend])

    wait_for(lambda: f"{case.FINDING} with {words} {mend}: {w.finding(case.FINDING)}", found)
    if hasattr(case, "JOURNAL"):
        said = w.bench.ctl("status", *w.places(), status=None)
        check(said.returncode == 3 and not lacks(said.stderr.decode(), ["gatehoused is not running", case.FINDING, *words]), said)
        check(w.finding("agent-stopped"), "the first finding")
        said = w.last_words()
        check(said.returncode == 78 and not lacks(said.stderr, case.JOURNAL), said)
        return
    shown = getattr(case, "STATUS", [case.FINDING, *words])
    for who, look in (("status", lambda: w.bench.ctl("status")), ("systemctl status", w.notified.last)):
        wait_for(lambda h=who, k=look: f"{shown} in what {h} prints: {k()!r}", lambda k=look: not lacks(k(), shown))


def case_of(path):
    spec = importlib.util.spec_from_file_location("broken_" + path.stem.replace("-", "_"), path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def run(bench):
        w = Broken(bench)
        module.set_up(w)
        tells(w, module)

    run.__name__ = path.stem.replace("-", "_")
    return run


CASES = [case_of(path) for path in sorted(FOLDER.glob("*.py"))]

if __name__ == "__main__":
    check(len(CASES) >= 22, f"{len(CASES)} set-ups")
    harness.main(*CASES, needs=("busctl", "openssl"))
