#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What Home Assistant is told over a real broker: every announced topic by its rules, and nothing is left behind of what is gone."""
import contextlib
import json
import os
import subprocess

import discovery
import harness
from harness import check, wait_for
from mqtt_peers import Broker, publish
from scripted_broker import NOTHING, ScriptedBroker

DEVICE = "plant-1"
# All kinds of points that a plugin can have.
POINTS = {
    "flow": {"table": "input", "address": 0, "type": "int16", "scale": 0.1, "unit": "Cel"},
    "humidity": {"table": "input", "address": 4, "type": "uint16", "scale": 0.1, "unit": "%RH", "expire_after": "10min"},
    "reads": {"table": "input", "address": 2, "type": "uint16"},
    "count": {"table": "input", "address": 100, "type": "int32", "unit": "Wh"},
    "ratio": {"table": "input", "address": 110, "type": "float32", "unit": "bogus/unit"},
    "big": {"table": "input", "address": 120, "type": "int64"},
    "label": {"table": "input", "address": 150, "type": "string", "length": 8},
    "pump": {"table": "coil", "address": 3, "writable": True},
    "door": {"table": "discrete", "address": 1},
    "flag": {"table": "holding", "address": 20, "type": "bit", "bit": 2},
    "setpoint": {"table": "holding", "address": 10, "type": "int16", "scale": 0.1, "unit": "Cel", "writable": True, "min": 5, "max": 30},
    "free": {"table": "holding", "address": 11, "type": "int16", "scale": 0.5, "unit": "W", "writable": True},
    "wide": {"table": "holding", "address": 12, "type": "float32", "writable": True},
    "below": {"table": "holding", "address": 14, "type": "uint16", "writable": True, "max": 10},
}
EXPECTED = {f"homeassistant/{component}/{DEVICE}/{point}/config" for component, points in {
    "sensor": ["flow", "humidity", "reads", "count", "ratio", "big", "label", "setpoint", "free", "wide", "below"],
    "binary_sensor": ["pump", "door", "flag"], "number": ["setpoint", "free", "wide", "below"], "switch": ["pump"]}.items() for point in points}


class Home:
    """A broker and an agent whose uplink `cloud` has the profile `homeassistant`; `other` is the same broker for other devices."""

    def __init__(self, bench, stack, profile="homeassistant"):
        self.bench, self.key = bench, bench.new_key(text=True)
        self.broker = Broker(stack, {"first-1": self.key.decode()})
        self.server = bench.modbus_server()
        self.configure(profile)
        self.device(POINTS)
        self.agent = self.driver = None

    def configure(self, profile="homeassistant", **more):
        self.bench.write_config(f"mqtts://127.0.0.1:{self.broker.port}", uplink={"profile": profile, "registrar": {"type": "manual"}, **more})

    def device(self, points, name=DEVICE, **more):
        self.bench.write_json(f"devices.d/{name}.json", {
            "device": name, "uplink": "cloud", "driver": "modbus",
            "modbus": {"url": f"tcp://127.0.0.1:{self.server.port}", "unit": 1, "interval": "200ms", "timeout": "10s"}, "points": points, **more})

    def start(self):
        self.agent = self.agent or self.bench.agent()
        self.driver = self.bench.driver("modbus")
        self.bench.key_set(DEVICE, "first-1", self.key)
        self.bench.wait_property(DEVICE, "State", "online")
        return self

    def kept(self, topic="homeassistant/#"):
        """What the broker keeps now: topic to payload."""
        done = subprocess.run(["mosquitto_sub", "-h", "127.0.0.1", "-p", str(self.broker.plain), "-t", topic, "--retained-only", "-W", "1",
                               "-F", "%t\t%p"], stdout=subprocess.PIPE, text=True, check=False)
        return dict(line.split("\t", 1) for line in done.stdout.splitlines())

    def wait_kept(self, expected, topic="homeassistant/#"):
        """What it keeps then."""
        return self.wait_until(f"{sorted(expected)}", lambda kept: set(kept) == set(expected), topic)

    def wait_until(self, what, judge_kept, topic="gatehouse/#"):
        """What is kept once judge_kept(it): on a busy machine one answer may be less than all."""
        last = {}

        def right():
            last.clear()
            last.update(self.kept(topic))
            return judge_kept(last)
        wait_for(lambda: f"{what}, not {last}", right)
        return last


def case(function):
    def run(bench):
        with contextlib.ExitStack() as stack:
            function(bench, stack)
    run.__name__ = function.__name__
    return run


def judge(kept, states):
    rules, seen, found = discovery.load_rules(), {}, []
    for topic, payload in sorted(kept.items()):
        wrong = list(discovery.faults(rules, topic, payload, True, seen))
        if not wrong and json.loads(payload)["state_topic"] in states:
            config = json.loads(payload)
            wrong = list(discovery.state_faults(rules, topic.split("/")[1], config, states[config["state_topic"]]))
        found += [f"{topic}: {one}" for one in wrong]
    check(not found, "\n".join(found))


@case
def every_topic_is_accepted(bench, stack):
    home = Home(bench, stack).start()
    kept = home.wait_kept(EXPECTED)
    judge(kept, home.wait_until("a state of each", lambda states: len([t for t in states if t.endswith("/state")]) == len(POINTS)))
    config = {t.split("/")[1] + " " + t.split("/")[3]: json.loads(p) for t, p in kept.items()}
    check(config["sensor flow"]["device_class"] == "temperature" and config["sensor flow"]["unit_of_measurement"] == "°C", config["sensor flow"])
    check(config["sensor humidity"]["expire_after"] == 600 and "expire_after" not in config["sensor flow"], "expire_after as configured")
    check(config["sensor count"]["state_class"] == "total_increasing" and config["sensor count"]["device_class"] == "energy", config["sensor count"])
    check("device_class" not in config["sensor ratio"] and config["sensor ratio"]["unit_of_measurement"] == "bogus/unit", config["sensor ratio"])
    check((config["number free"]["min"], config["number free"]["max"]) == (-16384, 16383.5), config["number free"])
    check((config["number setpoint"]["min"], config["number setpoint"]["max"]) == (5, 30), config["number setpoint"])
    check((config["number below"]["min"], config["number below"]["max"]) == (0, 10), config["number below"])
    check(config["number wide"]["min"] < -1e38 and config["number wide"]["max"] > 1e38, config["number wide"])
    check(config["number free"]["step"] == 0.5 and config["number below"]["step"] == 1, "steps are the register's")
    # A switch can be switched.
    publish(home.broker, config["switch pump"]["command_topic"], config["switch pump"]["payload_on"])
    pump = config["switch pump"]["state_topic"]
    home.wait_until("the coil is on", lambda states: json.loads(states.get(pump, "{}")).get("value") is True)
    # The broker is told of the sensor, too.
    available = config["sensor flow"]["availability_topic"]
    home.wait_until("online", lambda states: states.get(available) == "online")
    home.server.kill()
    home.wait_until("offline", lambda states: states.get(available) == "offline")


@case
def rules_notice(bench, stack):
    """The judge is judged: each of these is refused."""
    rules, good = discovery.load_rules(), {
        "name": "flow", "unique_id": "a", "state_topic": "g/a/state", "value_template": "{{ value_json.value }}", "device_class": "temperature",
        "state_class": "measurement", "unit_of_measurement": "°C", "device": {"identifiers": ["a"]}, "origin": {"name": "g"}}
    number = {"command_topic": "g/set", "min": 1, "max": 2, "step": 1}
    switch = {"command_topic": "g/set", "value_template": "{{ 'ON' if value_json.value else 'OFF' }}"}
    topic = "homeassistant/{}/d/p/config"
    check(not list(discovery.faults(rules, topic.format("sensor"), json.dumps(good), True, {})), "the good one")
    check(not list(discovery.faults(rules, topic.format("number"), json.dumps(number), True, {})), "the good number")
    check(not list(discovery.faults(rules, topic.format("switch"), json.dumps(switch), True, {})), "the good switch")
    bad = [(topic.format("sensor"), good | change) for change in (
        {"unit_of_measurement": "Cel"}, {"device_class": "warmth"}, {"state_class": "sum"}, {"device": {}}, {"origin": {}}, {"min": 1},
        {"expire_after": "10min"}, {"state_topic": ""}, {"value_template": "{{ value"}, {"device_class": "energy", "unit_of_measurement": "kWh"})]
    bad += [(topic.format("number"), number | change) for change in (
        {"min": 3}, {"step": 0.0001}, {"max": "2"}, {"command_topic": "g/+"}, {"mode": "boxed"}, {"min": 0, "max": 0})]
    bad += [(topic.format("switch"), switch | {"state_on": "true"}), (topic.format("lamp"), switch),
            ("homeassistant/sensor/d.e/p/config", good), ("homeassistant/sensor/d/p/configs", good), (topic.format("switch"), {})]
    for where, config in bad:
        check(list(discovery.faults(rules, where, json.dumps(config), True, {})), f"not noticed: {where} {config}")
    seen = {}
    check([len(list(discovery.faults(rules, topic.format("sensor"), json.dumps(good), True, seen))) for _ in range(2)] == [0, 1], "twice one id")


@case
def what_is_gone_is_taken_back(bench, stack):
    home = Home(bench, stack).start()
    home.wait_kept(EXPECTED)
    # A point that is removed, and one that is of another kind.
    home.device({k: v for k, v in POINTS.items() if k != "pump"} | {"flag": {"table": "holding", "address": 20, "type": "uint16"}})
    bench.ctl("reload")
    left = {t for t in EXPECTED if "/pump/" not in t and "/flag/" not in t} | {f"homeassistant/sensor/{DEVICE}/flag/config"}
    home.wait_kept(left)
    pump, flow = (f"gatehouse/{DEVICE}/{point}/state" for point in ("pump", "flow"))
    home.wait_until("its state is gone too", lambda states: flow in states and pump not in states)
    # Across a restart: while the agent is down a point goes.
    home.agent.stop()
    home.device({"flow": POINTS["flow"], "setpoint": POINTS["setpoint"]})
    home.agent.start()
    home.wait_kept({f"homeassistant/{c}/{DEVICE}/{p}/config" for c, p in (("sensor", "flow"), ("sensor", "setpoint"), ("number", "setpoint"))})
    # Another profile: nothing of this one is left.
    home.configure("senml-mqtt")
    bench.ctl("reload")
    home.wait_kept(set())
    home.configure()
    bench.ctl("reload")
    home.wait_kept({f"homeassistant/{c}/{DEVICE}/{p}/config" for c, p in (("sensor", "flow"), ("sensor", "setpoint"), ("number", "setpoint"))})
    # Its file is gone, while the agent is down: the key in the vault still opens a session.
    home.agent.stop()
    os.unlink(os.path.join(bench.config, "devices.d", DEVICE + ".json"))
    home.agent.start()
    home.wait_kept(set())
    home.wait_kept(set(), "gatehouse/#")
    wait_for("its file to be gone", lambda: not os.listdir(os.path.join(bench.state, "announced")))


@case
def a_removed_device_is_taken_back(bench, stack):
    """Over D-Bus, with and without its session, and by a reload."""
    home = Home(bench, stack)
    with open(os.path.join(bench.config, "devices.d", DEVICE + ".json"), encoding="utf-8") as f:
        text = f.read()
    os.unlink(os.path.join(bench.config, "devices.d", DEVICE + ".json"))
    home.agent = bench.agent()
    bench.ctl("device", "add", DEVICE, stdin=text.encode())
    home.start()
    home.wait_kept(EXPECTED)
    bench.ctl("device", "remove", DEVICE, "--yes", status=None)
    home.wait_kept(set())
    home.wait_kept(set(), "gatehouse/#")


@case
def a_file_that_goes_takes_its_device_back(bench, stack):
    home = Home(bench, stack).start()
    home.wait_kept(EXPECTED)
    os.unlink(os.path.join(bench.config, "devices.d", DEVICE + ".json"))
    bench.ctl("reload")
    home.wait_kept(set())
    home.wait_kept(set(), "gatehouse/#")


@case
def one_that_comes_back_has_one_session(bench, stack):
    """What is taken back of a removed device hangs at a silent broker, over a session with its client id, when it is added again:
    that session ends before another begins, and not because it got no answer."""
    key, silent, took_back = bench.new_key(text=True), [], []

    def publish_(client, topic, payload):
        if not payload:
            took_back.append(client)
        return NOTHING if silent and not payload else None
    broker = ScriptedBroker(stack, {"first-1": key.decode()}, publish_)
    bench.write_config(f"mqtts://127.0.0.1:{broker.port}", uplink={"profile": "homeassistant", "registrar": {"type": "manual"}})
    server = bench.modbus_server()
    text = {"device": DEVICE, "uplink": "cloud", "driver": "modbus",
            "modbus": {"url": f"tcp://127.0.0.1:{server.port}", "unit": 1, "interval": "200ms", "timeout": "10s"}, "points": {"reads": POINTS["reads"]}}
    bench.write_json(f"devices.d/{DEVICE}.json", text)
    bench.agent()
    bench.driver("modbus")
    bench.key_set(DEVICE, "first-1", key)
    bench.wait_property(DEVICE, "Delivered", lambda n: n > 3)
    silent.append(True)
    os.unlink(os.path.join(bench.config, "devices.d", DEVICE + ".json"))
    bench.ctl("reload")
    wait_for("something to be taken back", lambda: any(todo is NOTHING for _, _, todo in broker.seen))
    ghosts = list(broker.clients)
    bench.ctl("device", "add", DEVICE, stdin=json.dumps(text).encode())
    bench.wait_property(DEVICE, "Delivered", lambda n: n > 20)  # so long takes the end to come through TLS on a busy machine
    check(all(ghost.stream.fileno() < 0 for ghost in ghosts), "the session that took back goes on")
    check(set(took_back) <= set(ghosts), "what is there again is taken back")


@case
def what_could_not_be_written_down_is_later(bench, stack):
    home = Home(bench, stack)
    directory = os.path.join(bench.state, "announced")
    with open(directory, "w", encoding="utf-8"):
        pass  # where the directory would be
    home.start()
    home.wait_kept(EXPECTED)
    os.unlink(directory)
    bench.call(DEVICE, "Disconnect")
    bench.wait_property(DEVICE, "State", "disabled")
    bench.call(DEVICE, "Connect")
    wait_for("its file", lambda: os.path.isdir(directory) and any(name.startswith(DEVICE + "@") for name in os.listdir(directory)))


@case
def only_the_latest_after_an_outage(bench, stack):
    home = Home(bench, stack)
    home.device({"reads": POINTS["reads"]})
    home.start()
    home.wait_kept({f"homeassistant/sensor/{DEVICE}/reads/config"})
    home.broker.stop()
    bench.wait_property(DEVICE, "State", "unreachable")
    before = len(home.server.served(1, "input", 2))
    wait_for("forty more values", lambda: len(home.server.served(1, "input", 2)) >= before + 40)
    home.broker.start()
    mark = len(home.server.served(1, "input", 2))
    topic = f"gatehouse/{DEVICE}/reads/state"
    wait_for("a state from after the outage", lambda: json.loads(home.kept("gatehouse/#").get(topic, '{"value": 0}'))["value"] > mark)
    bench.wait_property(DEVICE, "Spooled", 0)
    delivered = bench.get(DEVICE, "Delivered")
    served = len(home.server.served(1, "input", 2))
    check(delivered <= served - 30, f"{delivered} of {served} were delivered: the backlog too")


@case
def names_that_cannot_be_topics(bench, stack):
    home = Home(bench, stack)
    home.device({"flow.temp": POINTS["flow"], "flow": POINTS["flow"]})
    home.device({"flow": POINTS["flow"]}, name="a.b")
    done = subprocess.run([harness.program("agent/gatehoused/gatehoused"), "--check-config", "--config-dir", bench.config, "--state-dir",
                           bench.state], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=dict(os.environ, **bench.env), check=False)
    check(done.returncode != 0, done.stdout)
    for place in (f"{DEVICE}.json:", "a.b.json:2:"):
        check(any(place in line and "does not take in names" in line for line in done.stdout.splitlines()), f"{place} in {done.stdout}")
    # The others run.
    home.device({"flow": POINTS["flow"]}, name="c")
    agent = bench.agent()
    check([d["device"] for d in bench.ctl_json("list")["devices"]] == ["c"], "c runs")
    check("does not take in names" in agent.text(), "and it is said")
    check("does not take in names" in bench.ctl("reload", status=None).stderr.decode(), "a reload says so too")


if __name__ == "__main__":
    harness.main(every_topic_is_accepted, rules_notice, what_is_gone_is_taken_back, a_removed_device_is_taken_back,
                 a_file_that_goes_takes_its_device_back, one_that_comes_back_has_one_session,
                 what_could_not_be_written_down_is_later, only_the_latest_after_an_outage, names_that_cannot_be_topics)
