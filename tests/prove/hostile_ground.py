# SPDX-License-Identifier: LGPL-2.1-or-later
"""The machine that is attacked: mount and network namespaces of its own, users as they are installed, the agent and its drivers running
as those users, a journal, twenty healthy devices, and whoever administers them.

Needs root. enter() must be called before anything else, and executes the program again inside the namespaces.
"""
import fcntl
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
INSIDE = "GATEHOUSE_HOSTILE_NAMESPACE"
JOURNAL = "/run/systemd/journal/socket"
BUILD_HERE = "/run/gatehouse-build"
ASAN_HERE = "/run/gatehouse-build-asan"
MANY = 200  # users of drivers for whom nothing is configured: the agent counts connections of each
USERS = {**{f"gatehouse-many{i}": 64100 + i for i in range(MANY)},
         "gatehouse": 64001, "gatehouse-sim": 64002, "gatehouse-modbus": 64003, "gatehouse-evil": 64004,
         "gatehouse-nodevice": 64005, "stranger": 64006, "gatehouse-states": 64007, "gatehouse-reports": 64008,
         "gatehouse-deaf": 64009, "gatehouse-sessions": 64010, "gatehouse-again": 64011}
DATAGRAMS_QUEUED = 4096  # what systemd sets to 512; the journal here is slower
SIOCSIFFLAGS, IFF_UP, IFF_RUNNING = 0x8914, 1, 64
INTERVAL_MS = 500


def call(*argv):
    subprocess.run(argv, check=True)


def loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP | IFF_RUNNING))


def bind_build(directory, where):
    """Where other users reach it, whatever the directories above it allow."""
    os.makedirs(where, exist_ok=True)
    call("mount", "--bind", directory, where)


def enter(build, asan=None):
    """Why there is nothing to prove here, or None once inside."""
    if os.geteuid() != 0:
        return "users and namespaces of its own are for root: run as root"
    if INSIDE not in os.environ:
        unshare = ["unshare", "--mount", "--net", "--propagation", "private"]
        if subprocess.run([*unshare, "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
            return "this machine allows no namespaces (unshare --mount --net)"
        os.environ[INSIDE] = "1"
        os.execvp("unshare", [*unshare, sys.executable, *sys.argv])
    loopback_up()
    with open("/proc/sys/net/unix/max_dgram_qlen", "w", encoding="ascii") as f:
        f.write(str(DATAGRAMS_QUEUED))
    call("mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", "/run")
    os.makedirs(os.path.dirname(JOURNAL))
    for name, line in (("passwd", "{0}:x:{1}:{1}::/:/usr/sbin/nologin\n"), ("group", "{0}:x:{1}:\n")):
        with open(f"/etc/{name}", encoding="utf-8") as f:
            text = f.read()
        with open(f"/run/{name}", "w", encoding="utf-8") as f:
            f.write(text + "".join(line.format(user, uid) for user, uid in USERS.items()))
        call("mount", "--bind", f"/run/{name}", f"/etc/{name}")
    bind_build(build, BUILD_HERE)
    if asan:
        bind_build(asan, ASAN_HERE)
    os.environ["GATEHOUSE_BUILD"] = BUILD_HERE
    return None


def import_harness():
    """The harness looks for the build directory when it is loaded."""
    sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))
    import harness
    return harness


class Journal:
    """What the agent sends to the journal, kept by a process that does nothing else."""

    def __init__(self, path):
        self.path, self.offset, self.entries = path, 0, []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        if os.path.exists(JOURNAL):
            os.unlink(JOURNAL)
        self.socket.bind(JOURNAL)
        os.chmod(JOURNAL, 0o666)
        self.pid = os.fork()
        if self.pid == 0:
            self.keep()

    def keep(self):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with open(self.path, "ab", buffering=0) as f:
            while True:
                f.write(self.socket.recv(1 << 20) + b"\0\n")

    def read(self):
        """All entries so far, as dictionaries."""
        with open(self.path, "rb") as f:
            f.seek(self.offset)
            data = f.read()
        whole = data[:data.rfind(b"\0\n") + 2] if b"\0\n" in data else b""
        self.offset += len(whole)
        for entry in whole.split(b"\0\n")[:-1]:
            lines = entry.decode(errors="replace").splitlines()
            self.entries.append(dict(line.split("=", 1) for line in lines if "=" in line))
        return self.entries

    def close(self):
        os.kill(self.pid, signal.SIGTERM)
        os.waitpid(self.pid, 0)
        self.socket.close()


class Ground:
    """The agent, twenty healthy devices and the devices of each attacker."""
    SIM, MODBUS = 12, 8

    def __init__(self, harness, agent_program="agent/gatehoused/gatehoused"):
        self.harness, self.bench = harness, harness.Bench()
        self.agent_program = agent_program
        self.healthy = [f"healthy-{i:02d}" for i in range(self.SIM + self.MODBUS)]
        self.written = ("written-by-bus", "written-by-cloud")
        self.uplinks, self.devices, self.keys = {}, {}, {}
        self.journal = Journal("/run/journal.out")
        self.closers = [self.journal.close]

    def uid(self, name):
        return USERS[name]

    @property
    def bus_address(self):
        return self.bench.env["DBUS_SYSTEM_BUS_ADDRESS"]

    @property
    def socket_path(self):
        return os.path.join(self.bench.runtime, "driver.sock")

    @property
    def device_path(self):
        """The device that local callers are let loose at."""
        return self.harness.device_path("victim")

    @property
    def open_directory(self):
        return "/run/open"

    def as_user(self, name, argv):
        uid = str(USERS[name])
        return ["setpriv", "--reuid", uid, "--regid", uid, "--clear-groups", "--pdeathsig", "KILL", "--", *argv]

    # --- setting up ---

    def prepare(self):
        bench = self.bench
        os.makedirs(self.open_directory, exist_ok=True)
        os.chmod(self.open_directory, 0o777)
        shutil.copytree(os.path.join(self.harness.ROOT, "etc", "profiles"), bench.path("profiles"))
        bench.env["GATEHOUSE_PROFILE_DIR"] = bench.path("profiles")
        bench.bus()
        bench.monitor.kill()  # it would take a processor of its own to write down what nobody reads
        bench.processes.remove(bench.monitor)
        self.keys = {d: bench.new_key() for d in [*self.healthy, *self.written, "victim"]}
        self.cloud = bench.devcloud(state=False, verbose=False)
        self.uplinks["cloud"] = {"url": self.cloud.url, "profile": "senml", "registrar": {"type": "coap"}}
        self.modbus = bench.modbus_server(devices=self.MODBUS)
        points = {"n": {"signal": "counter"}, "set": {"signal": "constant", "value": 0, "writable": True}}
        for d in [*self.healthy[:self.SIM], *self.written]:
            self.write_device(d, "sim", points, interval=f"{INTERVAL_MS}ms")
        for unit, d in enumerate(self.healthy[self.SIM:], 1):
            self.write_device(d, "modbus", {"n": {"table": "input", "address": 2, "type": "uint16"}}, url=f"tcp://127.0.0.1:{self.modbus.port}", unit=unit, interval=f"{INTERVAL_MS}ms")
        self.write_device("victim", "nodevice", {"set": {"writable": True}})

    def write_device(self, device, driver, points, uplink="cloud", **section):
        self.bench.write_device(device, driver, points, uplink=uplink, **section)
        self.devices[device] = uplink

    def start(self):
        bench = self.bench
        with open(self.cloud.psk_file, "w", encoding="ascii") as f:
            f.writelines(f"first-{d}:{k.hex()}:{d}\n" for d, k in self.keys.items() if self.devices[d] == "cloud")
        self.cloud.restart()
        bench.write_json("gatehouse.json", {"uplinks": self.uplinks, "rotation": {"retire_after": "1h"}})
        bench.make_keyfile()
        os.chmod(bench.dir, 0o711)
        call("chown", "-R", "64001:64001", bench.config, bench.state, bench.runtime, bench.keyfile)
        os.chmod(bench.runtime, 0o755)
        self.agent = self.harness.Process(bench, "gatehoused", self.as_user("gatehouse", [
            self.harness.program(self.agent_program), "--config-dir", bench.config, "--state-dir", bench.state, "--runtime-dir",
            bench.runtime, "--keyfile", bench.keyfile, "--allow-volatile-state"]))
        self.agent.err = f"/run/agent-{os.path.basename(bench.dir)}.err"  # in memory: lines that wait for a disk would be turns that do
        with open(self.agent.err, "ab") as f:
            st = os.fstat(f.fileno())
        self.agent.env["JOURNAL_STREAM"] = f"{st.st_dev}:{st.st_ino}"
        bench.add(self.agent)
        bench.wait_agent(self.agent, 30)
        self.drivers = [self.driver(name) for name in ("sim", "modbus")]
        bench.set_keys([(d, f"first-{d}", k) for d, k in self.keys.items()])
        for d in [*self.healthy, *self.written]:
            bench.wait_property(d, "State", "online", 60)

    def driver(self, plugin):
        return self.bench.spawn(f"driver-{plugin}", self.as_user(f"gatehouse-{plugin}", [
            self.harness.program("agent/gatehouse-driver/gatehouse-driver"), plugin, "--runtime-dir", self.bench.runtime,
            "--plugin-dir", os.path.join(BUILD_HERE, "plugins", plugin)]))

    # --- looking ---

    def level(self, name):
        self.bench.busctl("set-property", "org.gatehouse1", "/org/freedesktop/LogControl1", "org.freedesktop.LogControl1", "LogLevel",
                          "s", name)

    def lines(self):
        """(level, text) of each line on standard error, which is the journal's as well."""
        text = self.harness.read(self.agent.err)
        return [(int(m[1]), m[2]) for m in re.finditer(r"^<(\d)>(.*)$", text, re.MULTILINE)]

    def turns(self, since):
        """Of each turn of the loop worth a line, milliseconds in all and of those on the processor."""
        found = (re.search(r"a turn of the loop took (\d+) us, (\d+) us", text) for _, text in self.lines()[since:])
        return [(int(m[1]) / 1000, int(m[2]) / 1000) for m in found if m]

    def cpu(self):
        with open(f"/proc/{self.agent.pid}/stat", encoding="ascii") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self, field="VmHWM"):
        """MiB."""
        with open(f"/proc/{self.agent.pid}/status", encoding="ascii") as f:
            return next(int(line.split()[1]) for line in f if line.startswith(field + ":")) / 1024

    def forget_peak(self):
        with open(f"/proc/{self.agent.pid}/clear_refs", "w", encoding="ascii") as f:
            f.write("5")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.agent.pid}/fd"))

    def samples(self, begin, end, grace):
        """How many of the healthy devices' samples were taken between two moments of the wall clock, and arrived in time."""
        self.cloud.do("ping")
        latest = (end + grace - time.time() + time.clock_gettime(time.CLOCK_BOOTTIME)) * 1e6
        return len({(e["device"], e["time"]) for e in self.cloud.events()
                    if e.get("event") == "sample" and e["name"] == "n" and e["device"] in self.healthy and begin <= e["time"] < end and e["at"] <= latest})

    def close(self):
        self.bench.close()
        for closer in self.closers:
            closer()
        self.bench.remove()
