#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Commands that a broker keeps for a device that is absent, where that was asked for; and brokers that take PSK with CBC alone."""
import contextlib
import json
import subprocess

import harness
from agent_bench import modbus_device
from harness import check, wait_for
from mqtt_peers import MOSQUITTO, Broker, Subscriber, publish
from waiting import DEADLINE

DEVICE = "boiler-1"
TOPIC = f"gatehouse/{DEVICE}/command"
POINTS = {"setpoint": {"table": "holding", "address": 10, "type": "int16", "scale": 0.1, "writable": True, "min": 5, "max": 30}}


class Cloud:
    """A broker, and an agent with one device on a Modbus server, whose uplink has these keys too."""

    def __init__(self, bench, stack, uplink, tls=None, extra=""):
        self.bench, self.told, key = bench, [], bench.new_key(text=True)
        self.broker = Broker(stack, {"first-1": key.decode()}, tls=tls, extra=extra, by_listener=False)
        self.seen = Subscriber(stack, self.broker)
        self.server = bench.modbus_server()
        bench.write_config(f"mqtts://127.0.0.1:{self.broker.port}",
                           uplink={"profile": "senml-mqtt", "registrar": {"type": "manual"}, **uplink})
        modbus_device(bench, DEVICE, self.server.port, 1, interval="100ms", points=POINTS)
        self.agent = bench.agent()
        bench.driver("modbus")
        bench.key_set(DEVICE, "first-1", key)

    def online(self):
        self.bench.wait_property(DEVICE, "State", "online")

    def written(self):
        return [v for _, v in self.server.served(1, "holding", 10, "write")]

    def command(self, number, value):
        publish(self.broker, TOPIC, json.dumps({"id": number, "point": "setpoint", "value": value}))

    def outcome(self, number):
        """The next that is told; one that was not heard is told again."""
        while not self.told or self.told[-1]["id"] != number:
            outcome = json.loads(self.seen.expect(rf"^gatehouse/{DEVICE}/outcome \d (.*)")[1])
            check(outcome["ok"] and (outcome["id"] == number or outcome in self.told), outcome)
            self.told += [outcome] if outcome["id"] == number else []


def case(function):
    def run(bench):
        with contextlib.ExitStack() as stack:
            function(bench, stack)
    run.__name__ = function.__name__
    return run


def kept(bench, stack, version):
    """What was asked for while the agent was stopped is carried out when it is back, in order and once."""
    cloud = Cloud(bench, stack, {"session_expiry": "1h", "mqtt_version": version})
    cloud.online()
    cloud.command(1, 20)
    cloud.outcome(1)
    cloud.agent.stop()
    cloud.command(2, 21)
    cloud.command(3, 22.5)
    cloud.agent.start()
    bench.wait_agent(cloud.agent)
    cloud.online()
    cloud.outcome(2)
    cloud.outcome(3)
    cloud.command(4, 23)
    cloud.outcome(4)
    check(cloud.written() == [200, 210, 225, 230], cloud.written())


@case
def kept_for_an_absent_device(bench, stack):
    kept(bench, stack, "5")


@case
def kept_for_an_absent_device_3_1_1(bench, stack):
    kept(bench, stack, "3.1.1")


@case
def kept_while_the_line_is_down(bench, stack):
    """The device disconnects for a while, and the agent goes on."""
    cloud = Cloud(bench, stack, {"session_expiry": "1h"})
    cloud.online()
    cloud.command(1, 20)
    cloud.outcome(1)
    bench.call(DEVICE, "Disconnect")
    bench.wait_property(DEVICE, "State", "disabled")
    cloud.command(2, 21)
    bench.call(DEVICE, "Connect")
    cloud.outcome(2)
    check(cloud.written() == [200, 210], cloud.written())


def retain(cloud, text):
    subprocess.run(["mosquitto_pub", "-h", "127.0.0.1", "-p", str(cloud.broker.plain), "-q", "1", "-r", "-t", TOPIC, "-m", text],
                   check=True, timeout=DEADLINE)


@case
def retained_commands_on_request(bench, stack):
    """What the broker retains is carried out at each connection."""
    cloud = Cloud(bench, stack, {"retained_commands": True})
    cloud.online()
    cloud.command(1, 20)
    cloud.outcome(1)
    cloud.agent.stop()
    retain(cloud, json.dumps({"id": 2, "point": "setpoint", "value": 21}))
    cloud.agent.start()
    bench.wait_agent(cloud.agent)
    wait_for("the retained command", lambda: cloud.written() == [200, 210])


@case
def cbc_on_request(bench, stack):
    """A broker that documents PSK-AES256-CBC-SHA: without the suite nothing is in common, with it there is no forward secrecy."""
    extra = "ciphers PSK-AES256-CBC-SHA\n"
    cloud = Cloud(bench, stack, {}, tls="tlsv1.2", extra=extra)
    bench.wait_property(DEVICE, "LastError", lambda text: "psk-cbc" in text or "suites" in text)
    check(bench.get(DEVICE, "State") != "online", "a suite that nobody asked for")
    bench.write_config(f"mqtts://127.0.0.1:{cloud.broker.port}", uplink={
        "profile": "senml-mqtt", "registrar": {"type": "manual"}, "suites": ["ecdhe-psk", "psk", "psk-cbc"]})
    bench.ctl("reload")
    cloud.online()
    check(bench.get(DEVICE, "Suite") == "TLS_PSK_WITH_AES_256_CBC_SHA", bench.get(DEVICE, "Suite"))
    check(bench.get(DEVICE, "ForwardSecrecy") is False, "forward secrecy")
    shown = bench.ctl("show", DEVICE)
    check("recorded traffic safe: no" in shown, shown)


if __name__ == "__main__":
    harness.main(kept_for_an_absent_device, kept_for_an_absent_device_3_1_1, kept_while_the_line_is_down, retained_commands_on_request,
                 cbc_on_request, needs=(MOSQUITTO,))
