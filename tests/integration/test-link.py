#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The real gatehouse-driver with the sim plugin against the agent's end of the driver protocol (tests/tools/link-host.c):
samples, writes, a driver killed, hung and crashed, peers that are no drivers."""
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from waiting import BUILD_DIR as BUILD, DEADLINE

REPORTS_IN_FLIGHT = 8  # of a driver, without an answer


def wait_for(what, get):
    """get() until it answers something true; the only loop that looks at the clock."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        found = get()
        if found:
            return found
        time.sleep(0.005)
    raise AssertionError("not within %d s: %s" % (DEADLINE, what))


class Host:
    """link-host: events are kept, in order, and may be waited for."""

    def __init__(self, directory, *commands):
        """A command that is given is obeyed before any driver is let in."""
        self.events = []
        self.changed = threading.Condition()
        self.process = subprocess.Popen([BUILD + "/tests/tools/link-host", directory, *map(json.dumps, commands)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.expect(lambda e: e["event"] == "ready")

    def _read(self):
        for line in self.process.stdout:
            with self.changed:
                self.events.append(json.loads(line))
                self.changed.notify_all()

    def do(self, what, **more):
        self.process.stdin.write(json.dumps(dict(more, do=what)) + "\n")
        self.process.stdin.flush()

    def mark(self):
        with self.changed:
            return len(self.events)

    def expect(self, test, since=0):
        end = time.monotonic() + DEADLINE
        with self.changed:
            while True:
                for i in range(since, len(self.events)):
                    if test(self.events[i]):
                        return self.events[i]
                since = max(since, len(self.events))
                if not self.changed.wait(max(0, end - time.monotonic())):
                    raise AssertionError("not within %d s; the last events: %s" % (DEADLINE, self.events[-5:]))

    def ask(self, what, **more):
        since = self.mark()
        self.do(what, **more)
        return self.expect(lambda e: e["event"] == "done", since)

    def hold(self):
        """From the reports behind the one that is given on none is answered."""
        since = self.mark()
        self.do("hold")
        return self.events.index(self.expect(lambda e: e["event"] == "holding", since))

    def report_of(self, device, since=0):
        return self.expect(lambda e: e["event"] == "report" and e["device"] == device, since)

    def state_of(self, device, state, since=0):
        return self.expect(lambda e: e["event"] == "state" and (e["device"], e["state"]) == (device, state), since)

    def driver(self, connected, since=0):
        return self.expect(lambda e: e["event"] == "driver" and e["connected"] == connected, since)

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait(DEADLINE)
        self.reader.join(DEADLINE)
        self.process.stdin.close()
        self.process.stdout.close()


def device(name, interval="20ms", points=None, **section):
    return {"id": name, "section": dict(section, interval=interval),
            "points": points or {"n": {"signal": "counter", "unit": "1"},
                                 "set": {"signal": "constant", "value": 1, "writable": True}}}


class LinkTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        self.drivers = []
        self.addCleanup(self.end_drivers)
        self.host = self.start_host()

    def start_host(self, *commands):
        host = Host(self.directory, *commands)
        self.addCleanup(lambda: host.process.poll() is None and host.stop())
        return host

    def start_driver(self, env=None, **options):
        driver = subprocess.Popen([BUILD + "/agent/gatehouse-driver/gatehouse-driver", "sim", "--runtime-dir",
                                   self.directory, "--plugin-dir", BUILD + "/plugins/sim"],
                                  env=dict(os.environ, **(env or {})), **options)
        self.drivers.append(driver)
        return driver

    def end_drivers(self):
        for driver in self.drivers:
            if driver.poll() is None:
                driver.kill()
            driver.wait()

    def set_devices(self, *devices):
        self.host.do("devices", driver="sim", devices=devices)

    def test_samples(self):
        self.set_devices(device("a"), device("b"))
        before = time.time() * 1e6
        self.start_driver()
        for name in "ab":
            self.host.state_of(name, "ok")
            point, when, value, unit, quality = self.host.report_of(name)["samples"][0]
            self.assertEqual((point, value, unit), ("n", 0, "1"))
            if quality & 1:
                self.assertLess(when, 1e6 * time.clock_gettime(time.CLOCK_BOOTTIME))
            else:
                self.assertTrue(before - 1e6 < when < time.time() * 1e6 + 1e6, (before, when))
        # both points of a poll travel together, and maybe with those of the next one
        points = [s[0] for s in self.host.report_of("a")["samples"]]
        self.assertEqual(points, ["n", "set"] * max(1, len(points) // 2))

    def test_write_and_read(self):
        points = {"set": {"signal": "constant", "value": 1, "writable": True},
                  "bad": {"fault": "error", "writable": True}, "fixed": {"signal": "constant", "value": "x"}}
        self.set_devices(device("a", points=points))
        self.start_driver()
        self.host.report_of("a")
        since = self.host.mark()
        done = self.host.ask("write", driver="sim", device="a", point="set", value=7)
        self.assertEqual((done["r"], done["value"]), (0, 7))
        self.host.expect(lambda e: e["event"] == "report" and ["set", 7] in [[s[0], s[2]] for s in e["samples"]], since)
        self.assertEqual(self.host.ask("read", driver="sim", device="a", point="set")["value"], 7)
        self.assertEqual(self.host.ask("read", driver="sim", device="a", point="fixed")["value"], "x")
        for device_id, point, r, name in (("a", "bad", -5, None), ("a", "none", -2, "NoSuchPoint"),
                                          ("a", "fixed", -13, "NotWritable"), ("z", "set", -19, "NoSuchDevice")):
            done = self.host.ask("write", driver="sim", device=device_id, point=point, value=1)
            self.assertEqual(done["r"], r, done)
            self.assertTrue(done["text"])
            if name:
                self.assertEqual(done["name"], "org.gatehouse1.Error." + name)

    def test_shared(self):
        """Of many devices one at a time, and as many reports as were asked for."""
        names = ["d%d" % i for i in range(40)]
        points = {"n": {"signal": "counter"}}
        self.set_devices(*[device(name, interval="2ms", points=points, shared=True, count=200) for name in names])
        self.start_driver()

        def reported():
            with self.host.changed:
                return [e["device"] for e in self.host.events if e["event"] == "report" for s in e["samples"]]

        wait_for("200 reports", lambda: len(reported()) >= 200)
        self.assertGreater(len(set(reported())), 20)
        self.assertEqual(self.host.ask("read", driver="sim", device="d0", point="n")["r"], 0)
        self.assertEqual(len(reported()), 200)

    def test_killed(self):
        self.set_devices(device("a"))
        driver = self.start_driver()
        self.host.report_of("a")
        since = self.host.mark()
        driver.kill()
        self.host.driver(False, since)
        self.assertEqual(self.host.ask("write", driver="sim", device="a", point="set", value=1)["r"], -107)
        since = self.host.mark()
        self.start_driver()
        self.host.driver(True, since)
        self.assertEqual(self.host.report_of("a", since)["samples"][0][2], 0)

    def test_write_in_flight_when_killed(self):
        self.set_devices(device("a", points={"x": {"fault": "crash", "writable": True}}))
        driver = self.start_driver()
        self.host.report_of("a")
        done = self.host.ask("write", driver="sim", device="a", point="x", value=1)
        self.assertEqual(done["r"], -107)
        self.assertEqual(driver.wait(DEADLINE), -signal.SIGABRT)

    def test_one_device_changed(self):
        self.set_devices(device("a"), device("b"), device("c"))
        self.start_driver()
        for name in "abc":
            self.host.expect(lambda e: e["event"] == "report" and e["device"] == name and e["samples"][0][2] >= 3)
        since = self.host.mark()
        self.set_devices(device("a"), device("b", interval="10ms"))
        # b begins again from 0, a goes on, c is closed
        self.host.expect(lambda e: e["event"] == "report" and e["device"] == "b" and
                         any(s[2] == 0 for s in e["samples"]), since)
        self.assertGreaterEqual(self.host.report_of("a", since)["samples"][0][2], 3)
        since = self.host.mark()
        self.host.report_of("a", since)
        self.assertFalse([e for e in self.host.events[since:] if e.get("device") == "c"])

    def test_write_right_behind_a_change(self):
        """What is asked of a device that is closed and opened anew is asked of the new one; of one that goes, it is refused."""
        self.set_devices(device("a"), device("b"))
        self.start_driver()
        self.host.report_of("a")
        for n in range(10):
            since = self.host.mark()
            self.set_devices(device("a", interval="%dms" % (30 + n)), device("b"))
            self.host.do("write", driver="sim", device="a", point="set", value=n)
            self.host.do("read", driver="sim", device="a", point="set")
            done = self.host.expect(lambda e: e["event"] == "done", since)
            self.assertEqual((done["r"], done["value"]), (0, n))
            done = self.host.expect(lambda e: e["event"] == "done", self.host.events.index(done) + 1)
            self.assertEqual((done["r"], done["value"]), (0, n))
        since = self.host.mark()
        self.set_devices(device("b"))
        self.host.do("write", driver="sim", device="a", point="set", value=1)
        self.assertEqual(self.host.expect(lambda e: e["event"] == "done", since)["r"], -19)

    def test_write_in_flight_when_closed(self):
        self.set_devices(device("a", points={"x": {"fault": "hang", "writable": True}}))
        self.start_driver()
        self.host.report_of("a")
        since = self.host.mark()
        self.host.do("write", driver="sim", device="a", point="x", value=1)
        self.set_devices()
        self.assertEqual(self.host.expect(lambda e: e["event"] == "done", since)["r"], -125)

    def test_bad_configuration_is_the_devices_own(self):
        self.set_devices(device("a", interval="often"), device("b"))
        self.start_driver()
        self.assertIn("/section/interval", self.host.state_of("a", "failed")["reason"])
        self.host.report_of("b")
        done = self.host.ask("check", driver="sim", id="a", section={"interval": 5}, points={"p": {"signal": "?"}})
        self.assertEqual(done["complaints"], ["/section/interval", "/points/p/signal"])
        self.assertEqual(self.host.ask("check", driver="sim", id="a", section={}, points={})["complaints"], [])

    def test_scan(self):
        self.start_driver()
        self.host.driver(True)
        self.assertEqual(self.host.ask("scan", driver="sim", options={})["found"][0]["id"], "sim-1")
        self.assertEqual(self.host.ask("read_raw", driver="sim", options={})["r"], -95)

    def test_agent_restarted(self):
        """What the agent had not answered for comes again; nothing that it had is lost."""
        self.set_devices(device("a", points={"n": {"signal": "counter"}}))
        self.start_driver()
        self.host.report_of("a")
        held = self.host.hold()
        first = self.host.report_of("a", held)
        self.host.report_of("a", self.host.events.index(first) + 1)
        self.host.stop(signal.SIGKILL)
        # A driver that is there before its devices are would be told that it has none.
        self.host = self.start_host({"do": "devices", "driver": "sim", "devices": [device("a", points={"n": {"signal": "counter"}})]})
        values = []

        def enough():
            with self.host.changed:
                values[:] = [s[2] for e in self.host.events if e["event"] == "report" for s in e["samples"]]
            return len(values) > 20

        wait_for("samples after a restart", enough)
        self.assertLessEqual(values[0], first["samples"][0][2])
        self.assertEqual(values, list(range(values[0], values[0] + len(values))))

    def test_watchdog(self):
        """A driver stuck in its plugin stops petting its watchdog and says which device it is."""
        path = self.directory + "/notify"
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(notify.close)
        notify.bind(path)
        notify.settimeout(DEADLINE)
        self.set_devices(device("a", deadline="200ms", points={"x": {"fault": "hang", "writable": True}}), device("b"))
        driver = self.start_driver({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "200000"})
        while b"READY=1" not in notify.recv(4096):
            pass
        self.host.report_of("a")
        self.host.do("write", driver="sim", device="a", point="x", value=1)
        self.assertIn("write", self.host.state_of("a", "failed")["reason"])
        notify.setblocking(False)
        try:
            while True:
                notify.recv(4096)
        except BlockingIOError:
            pass
        notify.settimeout(1)
        with self.assertRaises(TimeoutError):
            notify.recv(4096)
        driver.terminate()
        self.assertEqual(driver.wait(DEADLINE), 1)

    def test_terminated(self):
        self.set_devices(device("a"))
        driver = self.start_driver()
        self.host.report_of("a")
        driver.terminate()
        self.host.state_of("a", "closed")
        self.assertEqual(driver.wait(DEADLINE), 0)

    def reports(self, since=0):
        with self.host.changed:
            return [e for e in self.host.events[since:] if e["event"] == "report"]

    def counted(self, since=0):
        return [s[2] for e in self.reports(since) for s in e["samples"]]

    def terminated_while_the_agent_is_busy(self):
        """Whether the agent was busy for less than the eight seconds that a driver waits."""
        since = self.host.mark()
        self.set_devices(device("a", points={"n": {"signal": "counter"}}))
        driver = self.start_driver(stderr=subprocess.PIPE)
        self.host.report_of("a", since)
        held = self.host.hold()
        wait_for("the reports that may be under way", lambda: len(self.reports(held)) == REPORTS_IN_FLIGHT)
        wait_for("more to be read, which waits in the driver", lambda: self.next_value() > len(self.counted(since)))
        before = len(self.counted(since))
        driver.terminate()
        self.host.state_of("a", "closed", since)
        self.host.do("release", r=0)
        said = driver.communicate(timeout=DEADLINE)[1].decode()
        self.assertEqual(driver.returncode, 0)
        self.host.driver(False, since)
        if "the agent has not answered for" in said:
            return False
        self.assertGreater(len(self.counted(since)), before)
        self.assertEqual(self.counted(since), list(range(len(self.counted(since)))))
        return True

    def next_value(self):
        return self.host.ask("read", driver="sim", device="a", point="n")["value"]

    def test_terminated_while_the_agent_is_busy(self):
        """What was read is handed over first, however long the agent takes for what came before."""
        for _ in range(5):
            if self.terminated_while_the_agent_is_busy():
                return
        self.fail("the driver was never answered within eight seconds")

    def test_terminated_beside_a_stuck_agent(self):
        """What it does not answer for in eight seconds is lost, and the driver says so."""
        self.set_devices(device("a"))
        driver = self.start_driver(stderr=subprocess.PIPE)
        self.host.report_of("a")
        self.host.report_of("a", self.host.hold())
        driver.terminate()
        said = driver.communicate(timeout=DEADLINE)[1].decode()
        self.assertEqual(driver.returncode, 0)
        self.assertIn("the agent has not answered for", said)

    def test_asked_to_quit(self):
        driver = self.start_driver()
        self.host.driver(True)
        self.host.do("quit", driver="sim")
        self.assertEqual(driver.wait(DEADLINE), 0)

    def connect(self, kind=socket.SOCK_SEQPACKET):
        peer = socket.socket(socket.AF_UNIX, kind)
        self.addCleanup(peer.close)
        peer.settimeout(DEADLINE)
        peer.connect(self.directory + "/driver.sock")
        return peer

    def closed_by_host(self, peer):
        """What it said last."""
        said = b""
        try:
            while True:
                packet = peer.recv(65536)
                if not packet:
                    return said
                said = packet
        except ConnectionError:
            return self.closed_by_host(peer)  # told once, before what is still to be read

    def test_strangers(self):
        """What is no packet of the protocol, a descriptor: closed with a word, and the driver goes on."""
        self.set_devices(device("a"))
        self.start_driver()
        self.host.report_of("a")
        for data in (b"GET / HTTP/1.0\r\n\r\n", b"\0AUTH EXTERNAL\r\n", b"A" * 60000, b"\x82\x66report\x01"):
            peer = self.connect()
            peer.send(data)
            self.assertIn(b"connection closed", self.closed_by_host(peer))
        peer = self.connect()
        socket.send_fds(peer, [b"\x82\x65hello\x01"], [0])
        self.assertIn(b"descriptor", self.closed_by_host(peer))
        with self.assertRaises(OSError):
            self.connect(socket.SOCK_STREAM)  # a driver of a version that spoke D-Bus
        since = self.host.mark()
        self.host.report_of("a", since)

    def test_usage(self):
        def run(*arguments):
            return subprocess.run([BUILD + "/agent/gatehouse-driver/gatehouse-driver", *arguments],
                                  capture_output=True, text=True, timeout=DEADLINE)
        self.assertEqual(run("--version").returncode, 0)
        self.assertIn("--plugin-dir", run("--help").stdout)
        self.assertEqual(run().returncode, 2)
        self.assertEqual(run("../x").returncode, 2)
        missing = run("none", "--plugin-dir", self.directory)
        self.assertEqual(missing.returncode, 78)
        self.assertIn("there is no plugin %s/none.so" % self.directory, missing.stderr)
        with open(self.directory + "/none.so", "w") as f:
            f.write("no ELF")
        self.assertEqual(run("none", "--plugin-dir", self.directory).returncode, 1)


if __name__ == "__main__":
    unittest.main(verbosity=2 if "-v" in sys.argv else 1)
