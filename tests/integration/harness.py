# SPDX-License-Identifier: LGPL-2.1-or-later
"""The bench of the integration tests: a scratch directory, a private bus, the programs, and ways to wait for what they do.

    def samples_arrive(bench):
        key = bench.new_key()
        cloud = bench.devcloud([("abc-1", key, "boiler-1")])
        bench.write_config(cloud.url)
        bench.write_device("boiler-1", "sim", points={"x": {"signal": "sine", "period": "10s"}})
        bench.agent(); bench.driver("sim")
        bench.key_set("boiler-1", "abc-1", key)
        cloud.wait_event("sample", device="boiler-1")

    if __name__ == "__main__":
        harness.main(samples_arrive)

Each test gets a bench of its own, which is cleaned up whatever happens. Nothing waits without a deadline, and there is one for
all (waiting.py). When a test fails, the ends of all logs are shown. When one passes, a key that can be read fails it: every log,
all that went over the bus, the arguments and environments of what runs are searched for every key that the test made, that a
rotation made, and for the keyfile.

Programs are taken from the build directory that GATEHOUSE_BUILD or BUILD_DIR names.
"""
import atexit
import base64
import json
import os
import secrets
import shutil
import signal
import socket  # noqa: F401
import subprocess
import sys
import tempfile
import threading
import time
import traceback

from ports import free_port  # noqa: F401
from programs import LIBC, Devcloud, ModbusServer, Monitor, Process, program, read, read_bytes  # noqa: F401
from waiting import BUILD_DIR, DEADLINE, ROOT, STRETCH, Failure, check, wait_for  # noqa: F401

SKIPPED = 77
TAIL_LINES = 40
CLOSING = 20  # seconds for what a test left running; no verdict
BUS_NAME = "org.gatehouse1"
BUS_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path={path}</listen>
  <auth>EXTERNAL</auth>
  <limit name="auth_timeout">240000</limit>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
  </policy>
</busconfig>
"""


def key_forms(key):
    """Every form in which a key could be read from a log."""
    forms = {key, key.hex().encode(), key.hex().upper().encode(), base64.b64encode(key).rstrip(b"="),
             base64.urlsafe_b64encode(key).rstrip(b"="), key.hex(" ").encode(), key.hex(":").encode(),
             *(separator.join(str(b) for b in key).encode() for separator in (" ", ",", ", "))}
    return {f for f in forms if len(f) >= 8}


def device_path(device):
    """sd_bus_path_encode(3)."""
    encoded = "".join(c if c.isascii() and c.isalnum() and not (i == 0 and c.isdigit()) else f"_{ord(c):02x}"
                      for i, c in enumerate(device))
    return "/org/gatehouse1/device/" + (encoded or "_")


class Bench:
    """One test's scratch directory and everything that runs in it."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="gatehouse-")
        self.processes, self.keys, self.monitor = [], [], None
        self.client, self.asking = None, threading.Lock()
        self.env = {"GATEHOUSE_PROFILE_DIR": os.path.join(ROOT, "etc", "profiles")}
        self.config, self.state, self.runtime = (self.path(d) for d in ("etc", "state", "run"))
        for directory in (self.config, self.path("etc", "devices.d"), self.state, self.runtime):
            os.makedirs(directory, mode=0o700)
        self.keyfile = self.path("keyfile")

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    # --- programs ---

    def add(self, process):
        self.processes.append(process)
        return process.start()

    def spawn(self, name, argv, env=None):
        return self.add(Process(self, name, argv, env))

    def bus(self):
        """A bus of its own, found by whatever asks for the system bus."""
        address = self.path("bus")
        with open(self.path("bus.conf"), "w", encoding="utf-8") as f:
            f.write(BUS_CONFIG.format(path=address))
        self.env["DBUS_SYSTEM_BUS_ADDRESS"] = f"unix:path={address}"
        daemon = self.spawn("dbus-daemon", ["dbus-daemon", "--nofork", "--nopidfile", "--print-address",
                                            f"--config-file={self.path('bus.conf')}"],
                            # It ends itself when a client with a full queue is to hear of another that left: a mistake of its own.
                            env={"DBUS_FATAL_WARNINGS": "0"})
        daemon.wait_text("unix:path=")
        self.monitor = self.add(Monitor(self))
        daemon.wait_text("became a monitor")  # busctl itself does not say so in every version
        return daemon

    def devcloud(self, credentials=(), name="devcloud", **options):
        """credentials: (identity, key) or (identity, key, device)."""
        return self.add(Devcloud(self, name, credentials, **options))

    def modbus_server(self, name="modbus-server", **options):
        return self.add(ModbusServer(self, name, **options))

    def agent(self, *options, name="gatehoused", wait=True, path="agent/gatehoused/gatehoused", env=None):
        """gatehoused on this bench's bus, which is started if there is none; awaited until it has its bus name."""
        if "DBUS_SYSTEM_BUS_ADDRESS" not in self.env:
            self.bus()
        if not os.path.exists(self.keyfile):
            self.make_keyfile()
        agent = self.spawn(name, [program(path), "--config-dir", self.config, "--state-dir", self.state, "--runtime-dir",
                                  self.runtime, "--keyfile", self.keyfile, "--allow-volatile-state", *options], env)
        if wait:
            self.wait_agent(agent)
        return agent

    def wait_agent(self, agent, seconds=DEADLINE):
        """Until it answers on the bus: after agent.start(), too."""
        def answers():
            check(agent.alive(), f"{agent.name} ended with status {agent.popen.poll()}")
            return self.answers()
        wait_for(f"{agent.name} on the bus", answers, seconds)

    def answers(self):
        try:
            return bool(self.ask("/org/gatehouse1", "org.gatehouse1.Manager", "Version"))
        except Failure:
            return False

    def driver(self, plugin, name=None, *options):
        return self.spawn(name or f"driver-{plugin}",
                          [program("agent/gatehouse-driver/gatehouse-driver"), plugin, "--runtime-dir", self.runtime,
                           "--plugin-dir", os.path.join(BUILD_DIR, "plugins", plugin), *options])

    def ctl(self, *arguments, stdin=b"", status=0, seconds=DEADLINE):
        """gatehousectl: what it printed. `status` None: any is fine; the CompletedProcess then."""
        done = subprocess.run([program("agent/gatehousectl/gatehousectl"), *arguments], input=stdin,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ, **self.env),
                              timeout=max(seconds, DEADLINE))
        with open(self.path("gatehousectl.out"), "ab") as f:
            f.write(f"$ gatehousectl {' '.join(arguments)} -> {done.returncode}\n".encode() + done.stdout + done.stderr)
        if status is None:
            return done
        check(done.returncode == status, f"gatehousectl {' '.join(arguments)}: status {done.returncode}, not {status}: "
              f"{done.stdout.decode(errors='replace')}{done.stderr.decode(errors='replace')}")
        return done.stdout.decode(errors="replace")

    def ctl_json(self, *arguments, status=0, **options):
        """What a verb has to say to programs: the result in the envelope. `status` None: any is fine; the envelope then."""
        envelope = json.loads(self.ctl("--json=short", *arguments, status=None, **options).stdout)
        check(sorted(envelope) == ["errors", "result", "status", "verb", "version", "warnings"] and status in (None, envelope["status"]), envelope)
        return envelope if status is None else envelope["result"]

    # --- the bus ---

    def busctl(self, *arguments, check_status=True, seconds=DEADLINE):
        done = subprocess.run(["busctl", "--address=" + self.env["DBUS_SYSTEM_BUS_ADDRESS"], "--json=short", *arguments],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=max(seconds, DEADLINE))
        check(not check_status or done.returncode == 0, f"busctl {' '.join(arguments)}: {done.stderr.strip()}")
        return done

    def get(self, device, name):
        """A property of a device, or with device None of the manager."""
        path, interface = (device_path(device), "Device") if device else ("/org/gatehouse1", "Manager")
        return self.ask(path, f"org.gatehouse1.{interface}", name)

    def ask(self, path, interface, name):
        """A property, as busctl would print it: asked over a connection that stays, for this is done many times a second."""
        import dbus_client  # it needs this module

        with self.asking:
            try:
                self.client = self.client or dbus_client.Client(self)
                answer = self.client.call(path, "org.freedesktop.DBus.Properties", "Get", "ss", interface, name)
            except dbus_client.Error as e:
                raise Failure(f"{path} {name}: {e}") from None
            except (OSError, Failure) as e:  # the bus has gone
                self.hang_up()
                raise Failure(f"{path} {name}: {e}") from None
        return dbus_client.as_json(answer[0].value)

    def hang_up(self):
        if self.client:
            self.client.close()
        self.client = None

    def call(self, device, method, *arguments):
        """The values answered. `arguments` as busctl takes them: the signature, then the values."""
        path, interface = (device_path(device), "Device") if device else ("/org/gatehouse1", "Manager")
        text = self.busctl("call", BUS_NAME, path, f"org.gatehouse1.{interface}", method, *arguments).stdout
        return json.loads(text)["data"] if text.strip() else []

    def wait_property(self, device, name, wanted, seconds=DEADLINE):
        """`wanted` a value or a function of it; the value."""
        seen = []

        def matches():
            seen[:] = [self.get(device, name)]
            return wanted(seen[0]) if callable(wanted) else seen[0] == wanted
        wait_for(lambda: f"{device or 'manager'} {name}: {seen[0] if seen else 'not readable'!r}, awaited "
                 f"{'something else' if callable(wanted) else repr(wanted)}", matches, seconds)
        return seen[0]

    # --- files ---

    def make_keyfile(self):
        self.ctl("vault", "init", "--keyfile", self.keyfile)

    def write_config(self, url, uplink=None, **sections):
        """gatehouse.json with one uplink `cloud`; more of it in `uplink`, other sections by name."""
        cloud = {"url": url, "profile": "senml", "registrar": {"type": "coap"}}
        cloud.update(uplink or {})
        self.write_json("gatehouse.json", {"uplinks": {"cloud": cloud}, **sections})

    def write_device(self, device, driver, points, uplink="cloud", **section):
        """devices.d/DEVICE.json; `section` is the driver's own."""
        self.write_json(f"devices.d/{device}.json", {"device": device, "uplink": uplink, "driver": driver,
                                                     driver: section, "points": points})

    def write_json(self, name, value):
        path = os.path.join(self.config, name)
        with open(path + "~", "w", encoding="utf-8") as f:
            json.dump(value, f, indent=2)
        os.rename(path + "~", path)

    # --- keys ---

    def new_key(self, size=32, text=False):
        """A key that may be in no log. `text`: letters and digits, as coap-client takes it."""
        key = secrets.token_hex(size // 2).encode() if text else secrets.token_bytes(size)
        self.keys.append(key)
        return key

    def key_set(self, device, identity, key):
        return self.ctl("key", "set", device, identity, "--encoding=hex", stdin=key.hex().encode())

    def generated_keys(self):
        """Those that rotations made: the clouds' copies."""
        entries = [json.loads(line) for p in os.listdir(self.dir) if p.endswith(".state")
                   for line in read_bytes(self.path(p)).splitlines()]
        secrets_of_sets = [secret for entry in entries for credential in entry.get("details", {}).get("set", [])
                           for secret in credential["secrets"] if "key" in secret]
        return [bytes.fromhex(entry["key"]) for entry in entries if "key" in entry] + [
            base64.b64decode(secret["key"]) for secret in secrets_of_sets]

    def set_keys(self, credentials, seconds=DEADLINE):
        """The main keys of many devices in one run: (device, identity, key) of each."""
        lines = "".join(f"{device} {identity} {key.hex()}\n" for device, identity, key in credentials)
        done = subprocess.run([program("tests/tools/set-keys")], input=lines.encode(), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, env=dict(os.environ, **self.env), timeout=max(seconds, DEADLINE))
        check(done.returncode == 0, f"set-keys: {done.stderr.decode(errors='replace')[:1000]}")

    def find_keys(self, extra=()):
        """Where a key can be read that should not be: logs, the bus, environments, arguments of what runs."""
        places = {p: read_bytes(self.path(p)) for p in os.listdir(self.dir) if p.endswith((".out", ".err", ".monitor"))}
        for process in self.processes:
            if process.alive():
                for part in ("environ", "cmdline"):
                    places[f"{process.name}'s {part}"] = read_bytes(f"/proc/{process.pid}/{part}")
        keys = {*self.keys, *self.generated_keys(), *extra, read_bytes(self.keyfile)}
        forms = {form for key in keys for form in key_forms(key)}
        return sorted({place for place, data in places.items() if any(form in data for form in forms)})

    # --- the end ---

    def tails(self):
        for path in sorted(os.listdir(self.dir)):
            if path.endswith((".out", ".err")) and os.path.getsize(self.path(path)):
                print(f"--- {path}", flush=True)
                print("\n".join(read(self.path(path)).splitlines()[-TAIL_LINES:]), flush=True)

    def sanitizer_reports(self):
        marks = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:")
        return [p.name for p in self.processes if any(m in read(p.err) for m in marks)]

    def close(self):
        self.hang_up()
        for process in reversed(self.processes):
            if process.alive():
                process.send(signal.SIGTERM)
        for process in reversed(self.processes):
            try:
                if process.popen is not None:
                    process.popen.wait(CLOSING)
            except subprocess.TimeoutExpired:
                process.kill()

    def remove(self):
        self.close()
        shutil.rmtree(self.dir, ignore_errors=True)


def run_one(test):
    bench = Bench()
    atexit.register(bench.remove)
    started = time.monotonic()
    try:
        test(bench)
        found = bench.find_keys()
        check(not found, f"a key stands in {', '.join(found)}")
        bench.close()
        reports = bench.sanitizer_reports()
        check(not reports, f"a sanitizer complains about {', '.join(reports)}")
        print(f"ok      {test.__name__} ({time.monotonic() - started:.1f} s)", flush=True)
        return True
    except Exception as e:  # whatever it was, the others are still to run
        print(f"FAILED  {test.__name__}: {e}", flush=True)
        if not isinstance(e, Failure):
            traceback.print_exc(file=sys.stdout)
        bench.tails()
        return False
    finally:
        bench.remove()
        atexit.unregister(bench.remove)


def main(*tests, needs=()):
    """Runs them, or those named as arguments; 77 if a program of `needs` is not installed."""
    missing = [name for name in ("dbus-daemon", *needs) if not shutil.which(name)]
    if missing:
        print(f"not installed: {', '.join(missing)}")
        sys.exit(SKIPPED)
    os.umask(0o022)  # files that others may write are what some tests look for
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    wanted = [t for t in tests if not sys.argv[1:] or t.__name__ in sys.argv[1:]]
    failed = [t.__name__ for t in wanted if not run_one(t)]
    print(f"{len(wanted) - len(failed)} passed, {len(failed)} failed{': ' + ', '.join(failed) if failed else ''}")
    sys.exit(1 if failed or not wanted else 0)
