#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The whole agent with mosquitto as its cloud: samples up, commands down, keys rotated, over each child's own TLS-PSK session.
What went through the broker is what mosquitto_sub has seen."""
import contextlib
import json
import os
import re
import resource
import signal
import subprocess

import harness
from agent_bench import modbus_device, own_profile
from harness import check, wait_for
from mqtt_peers import MOSQUITTO, STAYS, Broker, HostileBroker, Subscriber, memory_peak, publish, write_program
from registrar_peers import Registrar

DEVICE = "boiler-1"
POINTS = {
    "reads": {"table": "input", "address": 2, "type": "uint16"},
    "setpoint": {"table": "holding", "address": 10, "type": "int16", "scale": 0.1, "writable": True, "min": 5, "max": 30}}


NONE, PACKS, SAMPLES = range(3)


def samples_of(pack):
    """(time, value) of each reading of it."""
    records = json.loads(pack)
    return [(round((records[0]["bt"] + r.get("t", 0)) * 1e6), r["v"]) for r in records if r["n"] == "reads"]


class Cloud:
    """A broker, what it has carried, and an agent with one device on a Modbus server."""

    def __init__(self, bench, stack, version="auto", profile="senml-mqtt", registrar=None, directory=None, **broker):
        self.bench = bench
        self.key = bench.new_key(text=True)
        self.broker = Broker(stack, {"first-1": self.key.decode()}, **broker)
        self.seen = Subscriber(stack, self.broker, options=STAYS if self.broker.persistent else ())
        self.server = bench.modbus_server()
        bench.write_config(f"mqtts://127.0.0.1:{self.broker.port}",
                           uplink={"profile": profile, "mqtt_version": version,
                                   "registrar": registrar or {"type": "manual"}},
                           rotation={"retire_after": "1s"}, spool={"durability": "always"})
        modbus_device(bench, DEVICE, self.server.port, 1, interval="100ms", points=POINTS)
        self.agent = bench.agent(*(("--registrar-dir", directory) if directory else ()))
        self.driver = bench.driver("modbus")
        bench.key_set(DEVICE, "first-1", self.key)

    def online(self):
        self.bench.wait_property(DEVICE, "State", "online")
        return self

    def packs(self):
        """All that went through the broker so far, in order, as they are written."""
        found = (re.match(rf"gatehouse/{DEVICE}/telemetry \d (.*)", line) for line in list(self.seen.lines.seen))
        return [m[1] for m in found if m]

    def arrived(self):
        return [value for pack in self.packs() for _, value in samples_of(pack)]

    def announced(self, word):
        """How often this was said of the device."""
        self.drain()
        return sum(bool(re.match(rf"gatehouse/{DEVICE}/status \d {word}$", line)) for line in self.seen.lines.seen)

    def drain(self):
        """Lines are read as they are asked for."""
        while not self.seen.lines.queue.empty():
            line = self.seen.lines.queue.get()
            if line is not None:
                self.seen.lines.seen.append(line)

    def wait_values(self, more, seconds=15):
        before = len(self.arrived())

        def enough():
            self.drain()
            return len(self.arrived()) >= before + more
        wait_for(f"{more} more values", enough, seconds)

    def compare(self, again=NONE):
        """Every value that was read from the sensor went through the broker, in order, and once; but for what may come again: PACKS
        that were not acknowledged, as they were; SAMPLES, in other packs too, with the same time."""
        self.driver.stop()
        self.bench.wait_property(DEVICE, "Spooled", 0)
        served = [v for _, v in self.server.served(1, "input", 2)]

        def all_there():
            self.drain()
            return set(served) <= set(self.arrived())
        wait_for(lambda: f"values {sorted(set(served) - set(self.arrived()))[:5]}", all_there)
        packs = list(dict.fromkeys(self.packs())) if again == PACKS else self.packs()
        samples = [sample for pack in packs for sample in samples_of(pack)]
        first = list(dict.fromkeys(samples)) if again == SAMPLES else samples
        check([value for _, value in first] == served, f"served {served}, arrived {samples}")
        check(self.bench.get(DEVICE, "Dropped") == 0, "drops")


def case(function):
    def run(bench):
        with contextlib.ExitStack() as stack:
            function(bench, stack)
    run.__name__ = function.__name__
    return run


def samples(bench, stack, version, tls, suite):
    cloud = Cloud(bench, stack, version=version, tls=tls).online()
    cloud.wait_values(10)
    check(suite in bench.get(DEVICE, "Suite"), bench.get(DEVICE, "Suite"))
    check(bench.get(DEVICE, "ForwardSecrecy"), "forward secrecy")
    wait_for("that it is announced", lambda: cloud.announced("online"))
    cloud.compare()


@case
def samples_over_tls_1_3(bench, stack):
    samples(bench, stack, "5", "tlsv1.3", "TLS_CHACHA20_POLY1305_SHA256")


@case
def samples_over_tls_1_2(bench, stack):
    samples(bench, stack, "5", "tlsv1.2", "TLS_ECDHE_PSK_WITH_CHACHA20")


@case
def samples_over_3_1_1(bench, stack):
    samples(bench, stack, "3.1.1", None, "CHACHA20_POLY1305_SHA256")  # whichever TLS the broker has


@case
def commands_go_down(bench, stack):
    cloud = Cloud(bench, stack).online()
    cloud.wait_values(1)
    for number, value, ok in ((7, 21.5, True), (8, 99, False)):
        publish(cloud.broker, f"gatehouse/{DEVICE}/command", json.dumps({"id": number, "point": "setpoint", "value": value}))
        outcome = json.loads(cloud.seen.expect(rf"^gatehouse/{DEVICE}/outcome \d (.*)")[1])
        check(outcome["id"] == number and outcome["ok"] is ok, outcome)
    check([v for _, v in cloud.server.served(1, "holding", 10, "write")] == [215], "the register")
    cloud.driver.stop()
    bench.wait_property(DEVICE, "SensorState", "no-driver")
    publish(cloud.broker, f"gatehouse/{DEVICE}/command", json.dumps({"id": 9, "point": "setpoint", "value": 20}))
    outcome = json.loads(cloud.seen.expect(rf"^gatehouse/{DEVICE}/outcome \d (.*)")[1])
    check(outcome["ok"] is False and outcome["status"] == "unavailable", f"without a driver: {outcome}")


def outcome_while_away(bench, stack, leave, come_back):
    """A command is being carried out when the cloud goes out of sight: its outcome is told afterwards, and it is carried out once."""
    cloud = Cloud(bench, stack).online()
    cloud.wait_values(1)
    topic, command = f"gatehouse/{DEVICE}/command", json.dumps({"id": 7, "point": "setpoint", "value": 20})
    cloud.server.send(signal.SIGSTOP)
    publish(cloud.broker, topic, command)
    cloud.broker.lines.expect(f"Received PUBACK from {DEVICE}")
    leave(cloud)
    cloud.server.send(signal.SIGCONT)
    cloud.agent.wait_text("by command 7, had 20 written to setpoint")
    come_back(cloud)
    outcome = json.loads(cloud.seen.expect(rf"^gatehouse/{DEVICE}/outcome \d (.*)")[1])
    check(outcome == {"id": 7, "ok": True, "value": 20}, outcome)
    # The cloud may not have seen it, and repeat the command.
    cloud.online()
    publish(cloud.broker, topic, command)
    again = json.loads(cloud.seen.expect(rf"^gatehouse/{DEVICE}/outcome \d (.*)")[1])
    check(again == outcome, again)
    check([v for _, v in cloud.server.served(1, "holding", 10, "write")] == [200], "written once")
    # A cloud whose ids have begun anew asks for something else.
    publish(cloud.broker, topic, json.dumps({"id": 7, "point": "setpoint", "value": 21}))
    other = json.loads(cloud.seen.expect(rf"^gatehouse/{DEVICE}/outcome \d (.*)")[1])
    check(other == dict(outcome, value=21), other)
    # The server's word for it may come a moment after the outcome.
    wait_for("another command with the same id",
             lambda: [v for _, v in cloud.server.served(1, "holding", 10, "write")] == [200, 210], 5)


@case
def outcome_after_a_stop(bench, stack):
    outcome_while_away(bench, stack, lambda _: (bench.call(DEVICE, "Disconnect"), bench.wait_property(DEVICE, "State", "disabled")),
                       lambda _: bench.call(DEVICE, "Connect"))


@case
def outcome_after_an_outage(bench, stack):
    def back(cloud):
        # What is told to a broker before anybody has subscribed there, nobody sees.
        cloud.agent.send(signal.SIGSTOP)
        cloud.broker.start()
        cloud.seen = Subscriber(stack, cloud.broker)
        cloud.agent.send(signal.SIGCONT)

    outcome_while_away(bench, stack, lambda cloud: cloud.broker.stop(signal.SIGKILL), back)


@case
def what_the_broker_has_kept_is_no_command(bench, stack):
    """A retained message comes with each subscription, and was said long ago."""
    cloud = Cloud(bench, stack)
    for number in (8, 9):
        bench.call(DEVICE, "Disconnect")
        bench.wait_property(DEVICE, "State", "disabled")
        subprocess.run(["mosquitto_pub", "-h", "127.0.0.1", "-p", str(cloud.broker.plain), "-q", "1", "-r",
                        "-t", f"gatehouse/{DEVICE}/command", "-m", json.dumps({"id": 7, "point": "setpoint", "value": 29})],
                       check=True, timeout=harness.DEADLINE)
        bench.call(DEVICE, "Connect")
        cloud.broker.lines.expect(f"Sending PUBLISH to {DEVICE} .*r1, .*/command'")
        publish(cloud.broker, f"gatehouse/{DEVICE}/command", json.dumps({"id": number, "point": "setpoint", "value": 10 + number}))
        outcome = json.loads(cloud.seen.expect(rf"^gatehouse/{DEVICE}/outcome \d (.*)")[1])
        check(outcome["id"] == number and outcome["ok"], outcome)
    check([v for _, v in cloud.server.served(1, "holding", 10, "write")] == [180, 190], "the kept one was carried out")


@case
def broker_restarts(bench, stack):
    """What it had not acknowledged when it was killed is sent again."""
    cloud = Cloud(bench, stack, persistent=True).online()
    cloud.wait_values(10)
    # A subscriber without a session of its own would miss what the agent sends before it is back.
    wait_for("the session of who looks on in the broker's file", lambda: os.path.exists(cloud.broker.path("mosquitto.db")))
    cloud.broker.stop(signal.SIGKILL)
    bench.wait_property(DEVICE, "Spooled", lambda n: n > 10)
    cloud.broker.start()
    bench.wait_property(DEVICE, "State", "online", 40)
    cloud.wait_values(20, 20)
    cloud.compare(PACKS)


@case
def agent_killed(bench, stack):
    cloud = Cloud(bench, stack).online()
    cloud.wait_values(10)
    cloud.agent.kill()
    cloud.seen.expect(f"^gatehouse/{DEVICE}/status \\d offline")
    cloud.agent.start()
    bench.wait_agent(cloud.agent)
    cloud.online().wait_values(10)
    cloud.compare(SAMPLES)


@case
def status_is_told(bench, stack):
    """Online and offline, as long as they are: also when the agent is stopped, or the device disconnected."""
    cloud = Cloud(bench, stack).online()
    cloud.seen.expect(rf"^gatehouse/{DEVICE}/status \d online")
    bench.call(DEVICE, "Disconnect")
    cloud.seen.expect(rf"^gatehouse/{DEVICE}/status \d offline")
    bench.call(DEVICE, "Connect")
    cloud.seen.expect(rf"^gatehouse/{DEVICE}/status \d online")
    cloud.agent.stop()
    cloud.seen.expect(rf"^gatehouse/{DEVICE}/status \d offline")


def follows_both(bench, stack, profile):
    cloud = Cloud(bench, stack, profile=profile).online()
    cloud.seen.expect(rf"^gatehouse/{DEVICE}/status \d online", 10)
    cloud.server.kill()
    bench.wait_property(DEVICE, "SensorState", "failed")
    cloud.seen.expect(rf"^gatehouse/{DEVICE}/status \d offline", 10)
    check(bench.get(DEVICE, "State") == "online", "the session is not the sensor's matter")
    cloud.server.start()
    cloud.seen.expect(rf"^gatehouse/{DEVICE}/status \d online", 20)
    cloud.driver.kill()
    bench.wait_property(DEVICE, "SensorState", "no-driver")
    cloud.seen.expect(rf"^gatehouse/{DEVICE}/status \d offline", 10)
    cloud.driver.start()
    cloud.seen.expect(rf"^gatehouse/{DEVICE}/status \d online", 20)
    # What the broker keeps for who comes later is the last of it, also across a new session.
    cloud.server.kill()
    bench.wait_property(DEVICE, "SensorState", "failed")
    cloud.seen.expect(rf"^gatehouse/{DEVICE}/status \d offline", 10)
    bench.call(DEVICE, "Disconnect")
    bench.call(DEVICE, "Connect")
    bench.wait_property(DEVICE, "State", "online")
    cloud.seen.expect(rf"^gatehouse/{DEVICE}/status \d offline", 10)


@case
def availability_follows_the_sensor_too(bench, stack):
    """A dead sensor, or none to read it, is offline to the cloud, though the session is up."""
    follows_both(bench, stack, "senml-mqtt")


@case
def availability_in_homeassistant(bench, stack):
    follows_both(bench, stack, "homeassistant")


def with_registrar(bench, stack, **broker):
    os.makedirs(bench.path("programs"))
    registrar = Registrar(bench, None, "exec", options=("--program-dir", bench.path("programs")), program="tell")
    cloud = Cloud(bench, stack, registrar={"type": "exec", "program": "tell", "encoding": "hex"},
                  directory=registrar.directory, **broker)
    write_program(cloud.broker, bench.path("programs", "tell"))
    return cloud.online()


def psk_identities(cloud):
    return [line.split(":")[0] for line in harness.read(cloud.broker.path("psk")).splitlines()]


def broker_keys(bench, cloud):
    """Those that the agent made, so that the bench looks for them."""
    bench.keys.extend(bytes.fromhex(line.split(":")[1]) for line in harness.read(cloud.broker.path("psk")).splitlines())


@case
def rotates(bench, stack):
    cloud = with_registrar(bench, stack)
    cloud.wait_values(5)
    bench.ctl("rotate", DEVICE, seconds=60)
    broker_keys(bench, cloud)
    check(bench.get(DEVICE, "MainIdentity") != "first-1", "another key is main")
    cloud.online().wait_values(10)
    bench.wait_property(DEVICE, "RotationState", "idle", 40)
    check(psk_identities(cloud) == [bench.get(DEVICE, "MainIdentity")], f"the old key is gone: {psk_identities(cloud)}")
    cloud.compare()


@case
def a_login_beside_the_key(bench, stack):
    """A broker that wants a user name and a password, too: named when they are missing or wrong, sent once they are set, also after a
    restart, and on no line, page or reply."""
    passwords = bench.path("passwords")
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "anna-of-hall-3", "open-sesame-17"], check=True)
    os.chmod(passwords, 0o644)
    cloud = Cloud(bench, stack, identity_is_user=False, extra=f"allow_anonymous false\npassword_file {passwords}\n")
    bench.wait_property(DEVICE, "LastError", lambda text: "want a user name and a password" in text)
    said = bench.ctl("key", "set", DEVICE, "--kind=login", stdin=b"anna-of-hall-3\nwrong-password-4711\n")
    bench.wait_property(DEVICE, "LastError", lambda text: "are they right" in text)
    with open(bench.path("login"), "w") as f:
        f.write("anna-of-hall-3\nopen-sesame-17\n")
    said += bench.ctl("key", "set", DEVICE, "--kind=login", bench.path("login"))
    cloud.online().wait_values(3)
    fingerprint = bench.get(DEVICE, "LoginFingerprint")
    check(len(fingerprint) == 16 and fingerprint in said and fingerprint in bench.ctl("show", DEVICE), f"{fingerprint}: {said}")
    cloud.agent.stop()
    cloud.agent = bench.agent()
    cloud.online().wait_values(3)
    said += bench.ctl("show", DEVICE) + bench.ctl("--json=short", "show", DEVICE)
    for text in (said, cloud.agent.text()):
        check("anna-of" not in text and "sesame" not in text and "wrong-pass" not in text, text)
    for arguments, words in ((["backup"], b"a login has no slot"), (["--force"], b"for the keys that a cloud knows")):
        done = bench.ctl("key", "forget", DEVICE, *arguments, "--kind=login", status=None)
        check(done.returncode == 2 and words in done.stderr, done.stderr)
    done = bench.ctl("key", "set", DEVICE, "--kind=login", "--force", status=None, stdin=b"bert\n")
    check(done.returncode == 2 and b"for the keys that a cloud knows" in done.stderr, done.stderr)
    done = bench.ctl("key", "set", DEVICE, "--kind=login", status=None, stdin=b"b" * 300)
    check(done.returncode == 1 and b"login is too long" in done.stderr and b"126 bytes together" in done.stderr, done.stderr)
    check(bench.get(DEVICE, "LoginFingerprint") == fingerprint, "and it is there as it was")
    bench.ctl("key", "forget", DEVICE, "--kind=login")
    bench.wait_property(DEVICE, "LoginFingerprint", "")
    bench.wait_property(DEVICE, "LastError", lambda text: "want a user name and a password" in text)
    done = bench.ctl("key", "set", DEVICE, "--kind=login", "--encoding=hex", status=None)
    check(done.returncode == 2, "a login has no encoding")
    done = bench.ctl("key", "forget", DEVICE, "--kind=login", status=None)
    check(done.returncode == 1 and b"no login" in done.stderr, done.stderr)


def denied(bench, stack, version):
    """The broker lets the new identity in, but nothing of it through: the rotation has to notice, and to keep what works."""
    cloud = with_registrar(bench, stack, version=version, acl=["user first-1", "topic readwrite #"])
    cloud.wait_values(5)
    bench.call(DEVICE, "Rotate", "a{sv}", "0")
    bench.wait_property(DEVICE, "RotationState", lambda s: s in ("offered", "probing"))
    wait_for("a probe that came to nothing, and main again",
             lambda: cloud.announced("online") >= 2)
    check(len(psk_identities(cloud)) == 2, "the broker has both keys")
    cloud.online().wait_values(10, 60)
    check(bench.get(DEVICE, "RotationState") in ("offered", "probing"), bench.get(DEVICE, "RotationState"))
    broker_keys(bench, cloud)
    check(bench.get(DEVICE, "MainIdentity") == "first-1", "main is what works")


@case
def acl_denies_the_new_key(bench, stack):
    denied(bench, stack, "5")


@case
def acl_denies_the_new_key_3_1_1(bench, stack):
    denied(bench, stack, "3.1.1")


@case
def probe_that_cannot_be_sent(bench, stack):
    """The broker takes no packet as long as the probe: the rotation waits, and what works goes on."""
    own_profile(bench, "long-probe", "senml-mqtt", ('"vb": true', f'"vs": "{"x" * 2000}"'))
    cloud = with_registrar(bench, stack, profile="long-probe", extra="max_packet_size 1500\n")
    cloud.wait_values(5)
    bench.call(DEVICE, "Rotate", "a{sv}", "0")
    bench.wait_property(DEVICE, "RotationState", lambda s: s in ("offered", "probing"))
    wait_for("a probe that came to nothing, and main again",
             lambda: cloud.announced("online") >= 3)
    cloud.online().wait_values(10, 60)
    broker_keys(bench, cloud)
    check(bench.get(DEVICE, "MainIdentity") == "first-1", "main is what works")


@case
def hostile_broker(bench, stack):
    """A broker that knows the key and sends packets without measure: the agent's memory stays as it is, the device says why, and a
    device elsewhere goes on."""
    def pieces(_):
        yield b"\x30\x80\x80\x80\x64" + bytes([0, 1]) + b"c"
        for _ in range(200):
            yield bytes(1 << 20)

    keys = {name: bench.new_key(text=True) for name in ("good", "bad")}
    good, bad = Broker(stack, {"good": keys["good"]}), HostileBroker(stack, "bad", keys["bad"].decode(), pieces)
    seen = Subscriber(stack, good)
    bench.write_json("gatehouse.json", {"uplinks": {
        name: {"url": f"mqtts://127.0.0.1:{port}", "profile": "senml-mqtt", "mqtt_version": "5", "registrar": {"type": "manual"}}
        for name, port in (("good", good.port), ("bad", bad.port))}})
    for name in keys:
        bench.write_device(name, "sim", {"x": {"signal": "counter"}}, uplink=name, interval="50ms")
    agent = bench.agent()
    bench.driver("sim")
    bench.key_set("good", "good", keys["good"])
    bench.wait_property("good", "State", "online")
    before = memory_peak(agent)
    bench.key_set("bad", "bad", keys["bad"])
    for _ in range(3):  # each time that it is let in
        served = bad.served
        bench.wait_property("bad", "LastError", lambda text: "packet of 209715205 bytes" in text, 40)
        wait_for("another connection", lambda: bad.served > served or bench.call("bad", "Connect"), 40)
        for _ in range(20):
            seen.expect("^gatehouse/good/telemetry")
    check(bench.get("good", "State") == "online", "the other one goes on")
    check(harness.STRETCH > 1 or memory_peak(agent) - before < 8, f"{memory_peak(agent) - before:.1f} MB more")


def all_denied(bench, stack, version):
    """A broker that lets the device in and nothing of it through: no sample may count as delivered."""
    cloud = Cloud(bench, stack, version=version, acl=["user nobody", "topic readwrite #"])
    bench.wait_property(DEVICE, "Spooled", lambda n: n > 30, 40)
    words = "does not come back: may this identity send there and read there too" if version == "3.1.1" else "0x87"
    bench.wait_property(DEVICE, "LastError", lambda text: words in text and f'"gatehouse/{DEVICE}/telemetry"' in text)
    cloud.agent.wait_text(words)
    check(bench.get(DEVICE, "Delivered") == 0, f"{bench.get(DEVICE, 'Delivered')} are shown as delivered")
    cloud.drain()
    check(not cloud.arrived(), "and none arrived")


@case
def all_denied_is_noticed(bench, stack):
    all_denied(bench, stack, "5")


@case
def all_denied_is_noticed_3_1_1(bench, stack):
    all_denied(bench, stack, "3.1.1")


@contextlib.contextmanager
def small_stack(size):
    """For what is started meanwhile."""
    before = resource.getrlimit(resource.RLIMIT_STACK)
    resource.setrlimit(resource.RLIMIT_STACK, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_STACK, before)


def turns(agent):
    """Milliseconds of the loop's turns, of those that are worth a line."""
    return [int(t) / 1000 for t in re.findall(r"a turn of the loop took (\d+) us", harness.read(agent.err))]


def all_too_large(bench, stack, max_payload=None, **broker):
    """An outage has left thousands of samples, and none of them can ever be sent: they are given up, one after the other, and
    neither the stack nor the loop's other work pays for their number."""
    key = bench.new_key(text=True)
    server = Broker(stack, {"first-1": key.decode()}, **broker)
    bench.write_config(f"mqtts://127.0.0.1:{server.port}",
                       uplink={"profile": "senml-mqtt", "registrar": {"type": "manual"}, **({"max_payload": max_payload} if max_payload else {})})
    bench.write_device("d1", "sim", {f"p{i}": {"signal": "constant", "value": "x" * 250} for i in range(20)}, interval="20ms")
    with small_stack(512 * 1024):
        agent = bench.agent("--debug")
    driver = bench.driver("sim")
    waiting = bench.wait_property("d1", "Spooled", lambda n: n >= 5000, 60)
    driver.stop()
    bench.key_set("d1", "first-1", key)
    bench.wait_property("d1", "Spooled", 0, 60)
    check(bench.get("d1", "Rejected") >= waiting and bench.get("d1", "Delivered") == 0, f"{bench.get('d1', 'Rejected')} of {waiting}")
    check(bench.get("d1", "State") == "no-driver" and agent.alive(), bench.get("d1", "State"))
    if harness.STRETCH == 1:
        longest = max(turns(agent), default=0)
        check(longest <= 20, f"a turn of {longest} ms")


@case
def too_large_for_the_broker(bench, stack):
    all_too_large(bench, stack, extra="max_packet_size 250\n")


@case
def too_large_for_the_uplink(bench, stack):
    all_too_large(bench, stack, max_payload=256)


if __name__ == "__main__":
    harness.main(samples_over_tls_1_3, samples_over_tls_1_2, samples_over_3_1_1, commands_go_down, outcome_after_a_stop, outcome_after_an_outage,
                 what_the_broker_has_kept_is_no_command, status_is_told, availability_follows_the_sensor_too,
                 availability_in_homeassistant, broker_restarts, agent_killed,
                 rotates, a_login_beside_the_key, acl_denies_the_new_key, acl_denies_the_new_key_3_1_1, probe_that_cannot_be_sent, hostile_broker,
                 all_denied_is_noticed, all_denied_is_noticed_3_1_1, too_large_for_the_broker, too_large_for_the_uplink, needs=(MOSQUITTO,))
