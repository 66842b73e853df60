#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Is a key that the agent is done with anywhere in its memory?

usage: wiped.py [--transport coap|mqtt] [--tls 1.2|1.3] [--devices N] [--keep]

An agent that may be dumped (gatehoused-dumpable: the agent's own objects, but for the one that forbids it) has N devices at
gatehouse-devcloud, or over MQTT at mosquitto, by TLS 1.3 or 1.2. After each of the transport's PHASES the whole of its memory is
taken by gcore(1), mappings that are otherwise left out of cores included, and searched for the keyfile and for every key of every
device: main, backup, retired. Each as raw bytes, in hex of both cases, in base64 at each of its three alignments, and where a key is
itself hex text, as what that text means; whole, or either half, since an allocator writes over what was freed.

The agent also holds plants, one in each form and one in a locked arena: the search has to find them, each time. A tenth of the devices
have a key that is text.

What a library holds, and we cannot wipe, is in KNOWN with the reason; whatever else is found fails the proof. The last line is JSON;
status 0 only if all held. 77: nothing can be dumped here.
"""
import argparse
import base64
import collections
import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "integration"))
import dbus_client  # noqa: E402
import harness  # noqa: E402
from harness import Failure, check, wait_for  # noqa: E402
from mqtt_peers import MOSQUITTO, Broker, write_program  # noqa: E402
from registrar_peers import Registrar  # noqa: E402
from uplink_peers import Failed  # noqa: E402

ROOT = "/org/gatehouse1"
DEVICE = "org.gatehouse1.Device"
PLANTS = ("raw", "hex", "HEX", "base64", "raw")  # as allow-dumps.c plants them; the last in an arena
PATTERN_MIN = 12
PT_LOAD = 1

# What a library or a request holds, and only then: phase, what, form, where (a pattern of the mapping's name), the reason.
KNOWN = (
    ("offers", "new", "base64", r"\[heap\]", "the request that offers a new key, until it is answered or given up: it may have to "
     "be sent again"),
    ("connecting", "held", "raw", r"\[heap\]|anonymous", "what TLS 1.3 offers, until the broker has answered or is given up"),
)


def say(text):
    print(text, flush=True)


# --- what is searched for ---

def forms(key):
    """(form, bytes) of all that a key may look like."""
    yield "raw", key
    yield "hex", key.hex().encode()
    yield "HEX", key.hex().upper().encode()
    for shift in range(3):
        # what of its base64 does not depend on what stands before and behind it
        text = base64.b64encode(bytes(shift) + key)
        yield "base64", text[(shift * 8 + 5) // 6:len(text) // 4 * 4 - (4 if (len(key) + shift) % 3 else 0)]
    try:
        yield "meaning", bytes.fromhex(key.decode("ascii"))
    except (UnicodeDecodeError, ValueError):
        pass


def patterns(what, key):
    """(name, bytes) for find-bytes."""
    for form, data in forms(key):
        half = len(data) // 2
        for part, piece in (("whole", data), ("first-half", data[:half]), ("second-half", data[half:])):
            if len(piece) >= PATTERN_MIN:
                yield f"{what}:{form}:{part}", piece


class Hit:
    def __init__(self, name, where, address):
        self.what, self.whose, self.form, self.part = name.split(":")
        self.where, self.address = where, address


# --- a core and what its addresses are ---

class Core:
    def __init__(self, pid, directory):
        os.makedirs(directory)
        with open(f"/proc/{pid}/maps", encoding="utf-8") as f:
            self.maps = [self.mapping(line) for line in f]
        done = subprocess.run(["gcore", "-a", "-o", os.path.join(directory, "core"), str(pid)], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        self.path = os.path.join(directory, f"core.{pid}")
        check(os.path.exists(self.path), f"gcore left no core:\n{done.stdout}")
        self.segments = self.read_segments()
        self.size = os.path.getsize(self.path)

    @staticmethod
    def mapping(line):
        fields = line.split(maxsplit=5)
        begin, end = (int(x, 16) for x in fields[0].split("-"))
        return begin, end, fields[1], os.path.basename(fields[5].strip()) if len(fields) > 5 else "anonymous"

    def read_segments(self):
        """(offset in the file, address, size) of each piece of memory."""
        with open(self.path, "rb") as f:
            header = f.read(64)
            offset, = struct.unpack_from("<Q", header, 32)
            size, count = struct.unpack_from("<HH", header, 54)
            f.seek(offset)
            table = f.read(size * count)
        entries = (struct.unpack_from("<IIQQQQQQ", table, i * size) for i in range(count))
        return [(at, address, length) for kind, _, at, address, _, length, _, _ in entries if kind == PT_LOAD and length]

    def where(self, offset):
        """The address and the name of the mapping of a place in the file; registers and the like are none."""
        for at, address, length in self.segments:
            if at <= offset < at + length:
                address += offset - at
                return address, next((name for begin, end, _, name in self.maps if begin <= address < end), "unmapped")
        return offset, "notes"

    def missing(self):
        """Writable memory that the core does not have."""
        there = [(address, address + length) for _, address, length in self.segments]
        return [f"{begin:x}-{end:x} {name}" for begin, end, mode, name in self.maps
                if mode.startswith("rw") and not any(a <= begin < b for a, b in there)]

    def search(self, wanted):
        text = "".join(f"{name} {data.hex()}\n" for name, data in wanted)
        done = subprocess.run([harness.program("tests/tools/find-bytes"), self.path], input=text, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False)
        check(done.returncode == 0, done.stderr)
        found = (line.split(" ", 1) for line in done.stdout.splitlines())
        return [Hit(name, where, address) for offset, name in found for address, where in [self.where(int(offset))]]


# --- the clouds ---

class Coap:
    """gatehouse-devcloud."""

    def __init__(self, bench, keys):
        self.bench = bench
        self.cloud = bench.devcloud([(f"first-{d}", key, d) for d, key in keys.items()])
        self.url, self.uplink, self.options = self.cloud.url, {}, ()

    def silence(self):
        self.cloud.do("silence", ms=600000)

    def speak(self):
        self.cloud.do("clear")

    def credentials(self):
        """{key: device} of what the cloud accepts now; {key: device} of what it ever did. From its journal."""
        accepted, ever = {}, {}
        for line in map(json.loads, harness.read_bytes(self.bench.path("devcloud.state")).splitlines()):
            if line["op"] == "put":
                accepted[line["identity"]] = key = bytes.fromhex(line["key"])
                ever[key] = line["device"]
            elif line["op"] == "delete":
                del accepted[line["identity"]]
        return {key: ever[key] for key in accepted.values()}, ever

    def close(self):
        pass


class Mqtt:
    """mosquitto, which a program is the registrar of."""

    def __init__(self, bench, keys, tls):
        self.first, self.stack = keys, contextlib.ExitStack()
        self.broker = Broker(self.stack, {f"first-{d}": key for d, key in keys.items()}, tls=f"tlsv{tls}", quiet=True)
        os.makedirs(bench.path("programs"))
        write_program(self.broker, bench.path("programs", "tell"))
        registrar = Registrar(bench, None, "exec", options=("--program-dir", bench.path("programs")), program="tell")
        self.url, self.options = f"mqtts://127.0.0.1:{self.broker.port}", ("--registrar-dir", registrar.directory)
        self.uplink = {"profile": "senml-mqtt", "registrar": {"type": "exec", "program": "tell", "encoding": "hex"}}

    def silence(self):
        self.broker.send_signal(signal.SIGSTOP)

    def speak(self):
        self.broker.send_signal(signal.SIGCONT)

    def credentials(self):
        """As for CoAP. From what the program was told, and mosquitto's own list."""
        ever = {key: device for device, key in self.first.items()}
        if os.path.exists(self.broker.path("told")):
            for device, _, key in map(str.split, harness.read(self.broker.path("told")).splitlines()):
                ever[bytes.fromhex(key)] = device
        accepted = [bytes.fromhex(line.split(":")[1]) for line in harness.read(self.broker.path("psk")).splitlines()]
        return {key: ever[key] for key in accepted}, ever

    def close(self):
        self.stack.close()


# --- the fleet ---

class Fleet:
    def __init__(self, transport, tls, count):
        self.transport, self.tls, self.cloud = transport, tls, None
        self.bench, self.devices = harness.Bench(), [f"d{i:03d}" for i in range(count)]
        self.plant = secrets.token_bytes(32)
        self.first = {d: self.bench.new_key(64 if i % 10 == 0 else 32, text=i % 10 == 0) for i, d in enumerate(self.devices)}
        self.keyfiles = []  # those before the present one
        self.passed = set()  # keys that the cloud has accepted, phase by phase

    def start(self):
        bench, keys = self.bench, self.first
        self.cloud = Coap(bench, keys) if self.transport == "coap" else Mqtt(bench, keys, self.tls)
        # who retires is asked for, one phase after the other
        bench.write_config(self.cloud.url, uplink={"admission": "unlimited", **self.cloud.uplink}, rotation={"retire_after": "1h"})
        for d in self.devices:
            bench.write_device(d, "sim", {"n": {"signal": "counter"}}, interval="1s")
        self.agent = bench.agent(*self.cloud.options, path="tests/prove/gatehoused-dumpable",
                                 env={"GATEHOUSE_PLANT": self.plant.hex()})
        bench.driver("sim")
        bench.set_keys((d, f"first-{d}", keys[d]) for d in self.devices)
        self.bus = dbus_client.Client(bench)

    def states(self):
        objects, = self.bus.call(ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
        shown = [{k: v[1] for k, v in o[DEVICE].items()} for o in objects.values() if DEVICE in o]
        return collections.Counter((p["State"], p["RotationState"]) for p in shown)

    def await_all(self, rotation):
        self.await_state("online", rotation)

    def await_state(self, state, rotation):
        wanted = {(state, rotation): len(self.devices)}
        wait_for(lambda: f"all {wanted}; there are {dict(self.states())}", lambda: self.states() == wanted, 120)

    def tell(self, method, signature, *arguments):
        """One after the other: the agent bounds what a caller may have outstanding."""
        for d in self.devices:
            self.bus.call(harness.device_path(d), DEVICE, method, signature, *arguments)

    # --- the phases ---

    def handshakes(self):
        self.await_all("idle")
        suite = self.bench.get(self.devices[0], "Suite")
        check(self.transport == "coap" or ("_WITH_" in suite) == (self.tls == "1.2"), f"{suite} is not one of TLS {self.tls}")

    def reconnected(self):
        """The sessions anew: the agent has its keys from the vault alone."""
        self.agent.restart()
        self.bench.wait_agent(self.agent)
        self.bus.close()
        self.bus = dbus_client.Client(self.bench)
        self.await_all("idle")

    def rotation(self):
        self.tell("Rotate", "a{sv}", {})
        self.await_all("swapped")

    def retirement(self):
        self.tell("ForgetCredential", "sa{sv}", "backup", {})
        self.await_all("idle")

    def offers(self):
        """Each new key is on its way, and nothing comes back, so that it may have to be sent again."""
        self.cloud.silence()
        self.tell("Rotate", "a{sv}", {})
        wait_for("the offers", lambda: all(rotation == "offered" for _, rotation in self.states()), 60)

    def answered(self):
        self.cloud.speak()
        self.await_all("swapped")

    def connecting(self):
        """Each has a connection, has said what TLS begins with, and waits."""
        self.tell("Disconnect", "")
        self.await_state("disabled", "idle")
        self.cloud.silence()
        self.tell("Connect", "")
        self.await_state("connecting", "idle")

    def given_up(self):
        """No broker ever answered."""
        self.tell("Disconnect", "")
        self.await_state("disabled", "idle")

    def connected(self):
        self.cloud.speak()
        self.tell("Connect", "")
        self.await_all("idle")

    def disconnected(self):
        self.tell("Disconnect", "")
        self.await_state("disabled", "idle")

    def rekeyed(self):
        """The vault is sealed anew under another keyfile."""
        self.keyfiles.append(harness.read_bytes(self.bench.keyfile))
        self.bench.ctl("vault", "rekey", "--keyfile", self.bench.keyfile)

    # --- what they leave ---

    def keys(self, then):
        """(what, whose, key) of every key that there is or was; `then`: what the cloud accepted."""
        _, ever = self.cloud.credentials()
        self.passed |= set(then)
        for keyfile in (*self.keyfiles, harness.read_bytes(self.bench.keyfile)):
            yield "keyfile", "-", keyfile
        for key, device in ever.items():
            yield "held" if key in then else "retired" if key in self.passed else "new", device, key

    def planted(self):
        for n, form in enumerate(PLANTS):
            yield n, form, bytes(b ^ (0xff - n) for b in self.plant)

    def wanted(self, then):
        for what, whose, key in self.keys(then):
            yield from patterns(f"{what}:{whose}", key)
        for n, _, key in self.planted():
            yield from patterns(f"plant:{n}", key)


# What is done, one after the other; the memory is searched after each.
BEGIN = ("handshakes", "reconnected", "rotation", "retirement")
PHASES = {
    "coap": (*BEGIN, "offers", "answered", "rekeyed"),
    # A new key goes to the registrar, so there is no offer; but a broker may keep handshakes waiting.
    "mqtt": (*BEGIN, "connecting", "given_up", "connected", "disconnected", "rekeyed"),
}


# --- judging ---

def known(phase, hit):
    """Why it may be there, or None."""
    return next((reason for when, what, form, where, reason in KNOWN
                 if (when, what, form) == (phase, hit.what, hit.form) and re.fullmatch(where, hit.where)), None)


def check_plants(fleet, hits):
    """Those that were not found; each must show in its own form, whole."""
    found = {(h.whose, h.form) for h in hits if h.what == "plant" and h.part == "whole"}
    return [f"plant {n} ({form}) was not found" for n, form, _ in fleet.planted() if (str(n), form) not in found]


def look(phase, fleet, core, then, figures):
    """What is found that should not be. Last of all, when every key is known."""
    wanted = list(fleet.wanted(then))
    hits = core.search(wanted)
    problems = [*check_plants(fleet, hits), *(f"not in the core: {m}" for m in core.missing())]
    groups = collections.defaultdict(list)
    for hit in hits:
        if hit.what != "plant":
            groups[hit.what, hit.form, hit.where].append(hit)
    listed = {}
    for (what, form, where), group in sorted(groups.items()):
        reason = known(phase, group[0])
        whole = sum(h.part == "whole" for h in group)
        text = f"{what} key in {form}, in {where}: {whole} whole and {len(group) - whole} halves, {len({h.whose for h in group})} devices"
        if reason:
            listed[f"{what} {form} {where}"] = len(group)
            say(f"  known: {text}: {reason}")
        else:
            problems.append(f"{text}; the first at {group[0].address:x}, {group[0].part} of {group[0].whose}")
    figures[phase] = {"keys": sum(":raw:whole" in name for name, _ in wanted) - len(PLANTS), "patterns": len(wanted),
                      "core_mb": round(core.size / 1e6, 1), "known": listed}
    say(f"{phase}: {figures[phase]['keys']} keys, {len(wanted)} patterns, {core.size / 1e6:.0f} MB")
    for problem in problems:
        say(f"  FOUND: {problem}")
    return problems


def prove(options):
    fleet, figures, cores = Fleet(options.transport, options.tls, options.devices), {}, []
    problems, started = [], time.monotonic()
    try:
        fleet.start()
        for name in PHASES[options.transport]:
            getattr(fleet, name)()
            cores.append((name, Core(fleet.agent.pid, fleet.bench.path(f"core-{name}")), fleet.cloud.credentials()[0]))
        for name, core, then in cores:
            problems += [f"{name}: {p}" for p in look(name, fleet, core, then, figures)]
    except (Failure, Failed, dbus_client.Error, OSError) as e:
        problems.append(f"{type(e).__name__}: {e}")
        fleet.bench.tails()
    finally:
        fleet.bench.close()
        if fleet.cloud:
            fleet.cloud.close()
        if options.keep:
            say(f"kept: {fleet.bench.dir}")
        else:
            fleet.bench.remove()
    say(json.dumps({"wiped": "failed" if problems else "ok", "transport": options.transport,
                    **({"tls": options.tls} if options.transport == "mqtt" else {}), "devices": options.devices, "phases": figures,
                    "problems": problems, "seconds": round(time.monotonic() - started, 1)}))
    return 1 if problems else 0


def main():
    parser = argparse.ArgumentParser(prog="./dev prove wiped")
    parser.add_argument("--transport", choices=sorted(PHASES), default="coap")
    parser.add_argument("--tls", choices=("1.2", "1.3"), default="1.3", help="what the broker speaks, over MQTT")
    parser.add_argument("--devices", type=int, default=100)
    parser.add_argument("--keep", action="store_true", help="leave the cores and the scratch directory")
    options = parser.parse_args()
    why = None
    if harness.STRETCH > 1:
        why = "a sanitizer keeps what was freed, and copies of its own"
    elif not shutil.which("gcore"):
        why = "gcore (package gdb) is not installed"
    elif options.transport == "mqtt" and not shutil.which(MOSQUITTO):
        why = "mosquitto is not installed"
    if why:
        say(json.dumps({"wiped": "skipped", "why": why}))
        return harness.SKIPPED
    os.environ.pop("LD_BIND_NOW", None)  # the agent sees to it
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    return prove(options)


if __name__ == "__main__":
    sys.exit(main())
