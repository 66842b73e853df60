# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests of the whole agent share: benches that are set up alike, and counting what arrived."""
import ctypes
import errno
import os

import harness
from harness import check, wait_for

MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE, MNT_DETACH, CLONE_NEWNS = 1, 32, 4096, 16384, 1 << 18, 2, 0x20000
KILLED_HELD_MAX = 40  # values that a driver which is killed holds: of the reports that may be under way, and of the next one
TEMPERATURE = {"signal": "sine", "period": "10s", "unit": "Cel"}


def sim_bench(bench, devices=("boiler-1",), interval="100ms", points=None, connect=True, uplink=None, **sections):
    """Devices of the sim plugin, each with its own key at a development cloud; all online if `connect`."""
    keys = {d: bench.new_key() for d in devices}
    cloud = bench.devcloud([(f"first-{d}", keys[d], d) for d in devices])
    bench.write_config(cloud.url, uplink=uplink, **sections)
    for d in devices:
        bench.write_device(d, "sim", interval=interval, points=points or {"x": TEMPERATURE})
    agent = bench.agent()
    driver = bench.driver("sim")
    if connect:
        for d in devices:
            bench.key_set(d, f"first-{d}", keys[d])
        for d in devices:
            bench.wait_property(d, "State", "online")
    return agent, driver, cloud, keys


def check_options(bench, verb=False):
    """For --check-config, or the verb check: drivers and plugins as they are in the build directory."""
    plugins = bench.path("plugins")
    os.makedirs(plugins, exist_ok=True)
    for name in ("sim", "modbus"):
        link = os.path.join(plugins, name + ".so")
        if not os.path.lexists(link):
            os.symlink(os.path.join(harness.BUILD_DIR, "plugins", name, name + ".so"), link)
    return ["--plugin-dir", plugins, "--driver-program", harness.program("agent/gatehouse-driver/gatehouse-driver"),
            *(["--agent-program", harness.program("agent/gatehoused/gatehoused")] if verb else [])]


def own_profile(bench, name, of, *changes):
    """As an administrator makes one: a shipped profile (`of`) with other words, pairs of what stands there and what is to."""
    text = harness.read(os.path.join(harness.ROOT, "etc", "profiles", of + ".json"))
    for before, after in changes:
        check(before in text, f"{of} has no {before}")
        text = text.replace(before, after)
    os.makedirs(os.path.join(bench.config, "profiles"), exist_ok=True)
    with open(os.path.join(bench.config, "profiles", name + ".json"), "w", encoding="utf-8") as f:
        f.write(text)


def sessions(cloud, device, since=0):
    """How many sessions the cloud has seen of a device."""
    cloud.do("ping")
    return len(cloud.find_events("session", since=since, device=device))


def wait_samples(cloud, device, count, seconds=10):
    """Until so many more samples of the device have arrived."""
    before = len(cloud.samples(device))
    wait_for(f"{count} more samples of {device}", lambda: len(cloud.samples(device)) >= before + count, seconds)


def wait_delivered(bench, device):
    """Until what waits now is with the cloud, however fast more comes."""
    wanted = bench.get(device, "Delivered") + bench.get(device, "Spooled")
    bench.wait_property(device, "Delivered", lambda n: n >= wanted)


def refused(done, status, *words):
    """Of a gatehousectl that was to fail: its status, and what it has to say."""
    text = done.stderr.decode()
    check(done.returncode == status, f"status {done.returncode}, not {status}: {done.stdout.decode()}{text}")
    for word in words:
        check(word in text, f"{word!r} is not in: {text}")
    return text


def modbus_device(bench, device, port, unit, interval="50ms", points=None, timeout="30s", **section):
    """`timeout`: short only for what is silent; what is asked again since its answer was late was served twice, and arrived once."""
    bench.write_device(device, "modbus", url=f"tcp://127.0.0.1:{port}", unit=unit, interval=interval, timeout=timeout,
                       points=points or {"reads": {"table": "input", "address": 2, "type": "uint16"}}, **section)


def held_when_killed(arrived, killed):
    """How many values, up to the last that was served to a driver when it had been killed, it had not handed over."""
    return killed - max((value for value in arrived if value <= killed), default=0)


def check_arrived(bench, cloud, server, device, unit, twice=0, killed=()):
    """Every value that the Modbus server served has arrived, in order, less the drops shown; at most `twice` of them again. `killed`:
    of each time that the driver was killed, the last value that was served to it: what it held is lost, which is a row of values up to
    this, and the answer to what it had asked for last, which the server may have read later. How long that row may be is judged where
    it was killed."""
    served = [value for _, value in server.served(unit, "input", 2)]
    lost = bench.get(device, "Dropped") + bench.get(device, "Rejected")

    def missing():
        arrived = set(values(cloud, device))
        held = {value for last in killed for value in range(last + 1 - held_when_killed(arrived, last), last + 2)}
        return [value for value in served if value not in arrived and value not in held]
    wait_for(lambda: f"{len(served)} values of {device}, {lost} lost; missing: {missing()}", lambda: len(missing()) <= lost, 15)
    arrived = values(cloud, device)
    check(set(arrived) <= set(served), f"{device}: what arrived was never served: {set(arrived) - set(served)}")
    first = list(dict.fromkeys(arrived))  # a pack of several that comes again is no disorder
    check(first == sorted(first), f"{device}: out of order")
    check(len(arrived) - len(set(arrived)) <= twice, f"{device}: {len(arrived) - len(set(arrived))} arrived twice")
    # what comes again is the same sample, and can be told by its time
    check(len({(s["value"], s["time"]) for s in cloud.samples(device, "reads")}) == len(set(arrived)), f"{device}: other times")
    return served


def values(cloud, device, name="reads"):
    return [s["value"] for s in cloud.samples(device, name)]


class Mount:
    """A mount that only this test and its programs see, for root."""

    def __init__(self, where, source, kind, flags, options=""):
        self.where, self.arguments = where.encode(), (source.encode(), where.encode(), kind, flags, options.encode())

    def call(self, source, where, kind, flags, options):
        if harness.LIBC.mount(source, where, kind, ctypes.c_ulong(flags), options) != 0:
            raise harness.Failure(f"mount {where}: {os.strerror(ctypes.get_errno())}")

    def __enter__(self):
        check(harness.LIBC.unshare(CLONE_NEWNS) == 0, "no mount namespace of one's own")
        self.call(b"none", b"/", None, MS_REC | MS_PRIVATE, None)
        self.call(*self.arguments)
        return self

    def __exit__(self, *_):
        harness.LIBC.umount2(self.where, MNT_DETACH)


class ReadOnly(Mount):
    def __init__(self, where):
        super().__init__(where, where, None, MS_BIND)

    def __enter__(self):
        super().__enter__()
        self.call(None, self.where, None, MS_BIND | MS_REMOUNT | MS_RDONLY, None)
        return self


class SmallDisk(Mount):
    """A disk that can be filled."""

    def __init__(self, where, size="4m"):
        super().__init__(where, "none", b"tmpfs", 0, f"size={size}")
        self.filler = os.path.join(where, "filler")

    def fill(self):
        with open(self.filler, "wb", buffering=0) as f:
            try:
                while True:
                    f.write(bytes(4096))
            except OSError as e:
                check(e.errno == errno.ENOSPC, str(e))

    def empty(self):
        os.unlink(self.filler)
