# SPDX-License-Identifier: LGPL-2.1-or-later
"""The programs that a bench of the integration tests runs, each with ways to wait for what it does. They are found in the build
directory that GATEHOUSE_BUILD or BUILD_DIR names."""
import ctypes
import json
import os
import signal
import socket
import struct
import subprocess

from ports import free_port
from waiting import BUILD_DIR, DEADLINE, Failure, check, wait_for

PR_SET_PDEATHSIG = 1
NO_UNIT = 248  # of Modbus: there are 247
LIBC = ctypes.CDLL(None, use_errno=True)


def program(path):
    """agent/gatehoused/gatehoused below the build directory."""
    full = os.path.join(BUILD_DIR, path)
    check(os.path.exists(full), f"{full} is not built")
    return full


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read()
    except OSError:
        return ""


def read_bytes(path):
    try:
        with open(path, "rb") as f:
            return f.read()
    except OSError:
        return b""


class Process:
    """A program under test. What it writes is kept in NAME.out and NAME.err, across restarts too."""

    def __init__(self, bench, name, argv, env=None):
        self.bench, self.name, self.argv = bench, name, argv
        self.env = dict(os.environ, **bench.env, **(env or {}))
        self.out, self.err = bench.path(name + ".out"), bench.path(name + ".err")
        self.popen = None
        self._events, self._offset = [], 0

    def start(self):
        with open(self.out, "ab") as out, open(self.err, "ab") as err:
            self.popen = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=self.env,
                                          cwd=self.bench.dir,
                                          preexec_fn=lambda: LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL))
        return self

    @property
    def pid(self):
        return self.popen.pid

    def alive(self):
        return self.popen is not None and self.popen.poll() is None

    def send(self, number):
        self.popen.send_signal(number)

    def wait(self, seconds=DEADLINE):
        """Its status once it has ended."""
        limit = max(seconds, DEADLINE)
        try:
            return self.popen.wait(limit)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.name} did not end within {limit:g} s") from None

    def heeds(self, number):
        """Whether it has a handler for the signal, or has blocked it to read it from a descriptor: before that it would just die of it."""
        masks = [line.split()[1] for line in read(f"/proc/{self.pid}/status").splitlines() if line.startswith(("SigBlk:", "SigCgt:"))]
        return any(int(mask, 16) >> (number - 1) & 1 for mask in masks)

    def interrupt(self, number=signal.SIGINT):
        """A signal that it has a handler for."""
        wait_for(f"{self.name} to have a handler for signal {number}", lambda: not self.alive() or self.heeds(number))
        self.send(number)

    def stop(self, seconds=DEADLINE):
        """SIGTERM, after which it has to end well."""
        if self.alive():
            self.interrupt(signal.SIGTERM)
            status = self.wait(seconds)
            check(status == 0, f"{self.name} ended with status {status} on SIGTERM")

    def kill(self):
        """SIGKILL, as a power cut would."""
        if self.popen is not None:
            self.popen.kill()
            self.popen.wait()

    def restart(self):
        self.stop()
        return self.start()

    def text(self):
        return "".join(read(path) for path in (self.out, self.err))

    def events(self):
        """All lines of JSON on its standard output so far."""
        if os.path.exists(self.out):
            with open(self.out, "rb") as f:
                f.seek(self._offset)
                data = f.read()
            whole = data[:data.rfind(b"\n") + 1]
            self._offset += len(whole)
            self._events.extend(json.loads(line) for line in whole.splitlines() if line.startswith(b"{"))
        return self._events

    def mark(self):
        """To be given as `since`: only events after now."""
        return len(self.events())

    def find_events(self, event, since=0, **fields):
        return [e for e in self.events()[since:]
                if e.get("event") == event and all(e.get(k) == v for k, v in fields.items())]

    def wait_event(self, event, seconds=DEADLINE, since=0, **fields):
        return self.wait_events(1, event, seconds, since, **fields)[0]

    def wait_events(self, count, event, seconds=DEADLINE, since=0, **fields):
        def enough():
            alive = self.alive()  # what it said last it said before it ended
            found = self.find_events(event, since, **fields)
            if len(found) < count:
                check(alive, f"{self.name} ended with status {self.popen.poll()} while {event} was awaited")
                return None
            return found
        return wait_for(f"{count} x {event} {fields or ''} from {self.name}", enough, seconds)

    def wait_text(self, text, seconds=DEADLINE):
        return wait_for(f"{text!r} in the log of {self.name}", lambda: text in self.text(), seconds)


class Monitor(Process):
    """All that goes over the private bus, a JSON object a message."""

    def __init__(self, bench):
        super().__init__(bench, "bus-monitor", ["busctl", "--address=" + bench.env["DBUS_SYSTEM_BUS_ADDRESS"],
                                                "--json=short", "monitor"])
        self.out = bench.path("bus.monitor")

    def messages(self, since=0, **fields):
        """Those whose header has these fields, as busctl names them."""
        return [m for m in self.events()[since:] if all(m.get(k) == v for k, v in fields.items())]

    def signals(self, member, since=0, **fields):
        """(path, arguments) of each."""
        return [(m["path"], m["payload"]["data"]) for m in self.messages(since, type="signal", member=member, **fields)]


class Devcloud(Process):
    """gatehouse-devcloud. After a restart it has the same ports. With `project`, `tenant` or both it answers management
    calls, told to record them."""

    def __init__(self, bench, name, credentials, port=0, replaces=False, state=True, project=None, tenant=None,
                 api_key=None, listen="127.0.0.1", verbose=True):
        self.psk_file, self.socket = bench.path(name + ".psk"), bench.path(name + ".ctl")
        with open(self.psk_file, "w", encoding="utf-8", opener=lambda p, f: os.open(p, f, 0o600)) as f:
            for identity, key, *device in credentials:
                f.write(":".join([identity, key.hex(), *device]) + "\n")
        super().__init__(bench, name, [])
        self.mode, self.state, self.listen = "--replaces" if replaces else "--adds", state, listen
        self.verbose = ["--verbose"] if verbose else []
        # Its own from the beginning, so that it has the same after a restart.
        self.port, self.https_port = port or free_port(), free_port(socket.SOCK_STREAM)
        self.project, self.tenant, self.api_key_file = project, tenant, None
        self.ca, self.record = bench.path(name + ".ca.pem"), bench.path(name + ".record")
        if api_key:
            self.api_key_file = bench.path(name + ".api-key")
            self.set_api_key(api_key)

    def start(self):
        self.argv = [program("agent/gatehouse-devcloud/gatehouse-devcloud"), "--psk-file", self.psk_file, "--port",
                     str(self.port), "--listen", self.listen, self.mode, "--json", *self.verbose, "--control", self.socket]
        if self.state:
            self.argv += ["--state", self.bench.path(self.name + ".state")]
        if self.project or self.tenant:
            self.argv += ["--https-port", str(self.https_port), "--https-ca", self.ca, "--record", self.record]
            for option, value in (("--golioth-project", self.project), ("--hono-tenant", self.tenant),
                                  ("--api-key-file", self.api_key_file)):
                self.argv += [option, value] if value else []
        mark = self.mark()
        super().start()
        listening = self.wait_event("listening", since=mark)
        self.port, self.https_port = listening["port"], listening.get("https_port", 0)
        return self

    def set_api_key(self, key):
        with open(self.api_key_file, "w", encoding="utf-8", opener=lambda p, f: os.open(p, f, 0o600)) as f:
            f.write(key + "\n")

    @property
    def url(self):
        return f"coaps://{f'[{self.listen}]' if ':' in self.listen else self.listen}:{self.port}"

    @property
    def https_url(self):
        return f"https://127.0.0.1:{self.https_port}"

    def recorded(self):
        """Every management call until now, bodies and all."""
        self.do("ping")
        return [json.loads(line) for line in read(self.record).splitlines()]

    def do(self, command, **arguments):
        """A command of its control socket; Failure if it refuses."""
        answer = self.ask(command, **arguments)
        check(answer["ok"], f"{self.name}: {command}: {answer.get('error')}")
        return answer

    def ask(self, command, **arguments):
        return json.loads(self.control_line(json.dumps(dict(arguments, command=command)).encode() + b"\n"))

    def control_line(self, line):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(DEADLINE)
            wait_for("the control socket", lambda: os.path.exists(self.socket))
            s.connect(self.socket)
            s.sendall(line)
            data = b""
            while not data.endswith(b"\n"):
                part = s.recv(65536)
                check(part, f"{self.name} closed the control connection")
                data += part
        return data

    def stats(self, device=None):
        answer = self.do("stats")
        return answer["devices"].get(device) if device else answer

    def credentials(self, device):
        return self.do("credentials", device=device)["credentials"]

    def samples(self, device, name=None):
        """All that arrived until now."""
        if self.alive():
            self.do("ping")
        return [e for e in self.find_events("sample", device=device) if name is None or e["name"] == name]


class ModbusServer(Process):
    """tests/peers/modbus-server; its log has each value that it served."""

    def __init__(self, bench, name, devices=1, port=0, options=()):
        self.log = bench.path(name + ".served")
        self.port = port or free_port(socket.SOCK_STREAM)
        super().__init__(bench, name, [program("tests/peers/modbus-server"), "--port", str(self.port), "--devices",
                                       str(devices), "--log", self.log, *options])

    def start(self):
        super().start()
        wait_for(f"{self.name} to listen", self._listens)
        return self

    def _listens(self):
        check(self.alive(), f"{self.name} ended with status {self.popen.poll()}")
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def settle(self):
        """It writes a value down when the answer has been sent, and does one thing after the other: what it had answered before it is
        asked here is in its log when it has answered. There is no such unit, so this leaves no trace."""
        if not self.alive():
            return
        with socket.create_connection(("127.0.0.1", self.port), DEADLINE) as s:
            s.sendall(struct.pack(">HHHBBHH", 1, 0, 6, NO_UNIT, 3, 0, 1))
            check(s.recv(64), f"{self.name} closed the connection")

    def served(self, unit, table, address, verb="read"):
        """(time in microseconds, raw value) of each whose answer has been sent."""
        self.settle()
        rows = (line.split() for line in read(self.log).splitlines(keepends=True) if line.endswith("\n"))
        return [(int(r[0]), int(r[5])) for r in rows
                if r[1] == verb and int(r[2]) == unit and r[3] == table and int(r[4]) == address]
