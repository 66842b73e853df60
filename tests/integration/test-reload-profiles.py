#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Profiles are files like the others: a reload reads those that are in use, refuses a wrong one, takes a changed one over for its
devices and leaves the rest alone."""
import contextlib
import json
import os
import re
import signal
import time

import harness
from agent_bench import TEMPERATURE, own_profile, refused, sessions, wait_samples
from dbus_client import Client, Error
from harness import check, wait_for
from mqtt_peers import Broker, Subscriber


def wrong_profile(bench):
    """It makes the reload fail with its place, and nothing changes; mended, a start and a reload take it. What is read again as it was
    costs no session."""
    keys = {d: bench.new_key() for d in ("a", "b")}
    cloud = bench.devcloud([(f"id-{d}", keys[d], d) for d in keys])
    own_profile(bench, "site", "senml")
    uplinks = {"own": {"url": cloud.url, "profile": "site"}, "shipped": {"url": cloud.url, "profile": "senml"}}
    bench.write_json("gatehouse.json", {"uplinks": uplinks})
    bench.write_device("a", "sim", {"x": TEMPERATURE}, uplink="own", interval="50ms")
    bench.write_device("b", "sim", {"x": TEMPERATURE}, uplink="shipped", interval="50ms")
    agent = bench.agent()
    bench.driver("sim")
    for device, key in keys.items():
        bench.key_set(device, "id-" + device, key)
        bench.wait_property(device, "State", "online")
    own_profile(bench, "site", "senml", ('"base_name": "{device}:"', '"base_name": "{devic}:"'))
    bench.write_device("c", "sim", {"x": TEMPERATURE}, uplink="shipped")
    words = ("profiles/site.json:7:18:", "{devic} means nothing here")
    refused(bench.ctl("reload", status=None), 78, *words)
    agent.send(signal.SIGHUP)
    wait_for("the refusal of SIGHUP", lambda: "the configuration stays as it was" in agent.text())
    check(all(w in agent.text() for w in words), agent.text())
    os.unlink(os.path.join(bench.config, "profiles", "site.json"))
    refused(bench.ctl("reload", status=None), 78, "gatehouse.json:5:", "there is no profile site.json in")
    devices = [r["device"] for r in bench.ctl_json("list")["devices"]]
    check(devices == ["a", "b"], f"nothing was taken from what was refused: {devices}")
    # Added meanwhile, a device speaks the words that were taken, whatever is in the file now.
    own_profile(bench, "site", "senml", ('"transport": "coap"', '"transport": "carrier pigeon"'))
    bench.ctl("device", "add", "d", stdin=json.dumps({"device": "d", "uplink": "own", "driver": "sim", "sim": {}, "points": {}}).encode())
    check(bench.get("d", "State") == "no-credential", "it is there")
    own_profile(bench, "site", "senml")
    bench.ctl("reload")
    for device in keys:
        wait_samples(cloud, device, 3)
    check([sessions(cloud, d) for d in keys] == [1, 1], "what did not change disturbs nobody")
    own_profile(bench, "site", "senml", ('"max_payload": 1024', '"max_payload": 512'))
    bench.ctl("reload")
    wait_for("a session with the new words", lambda: sessions(cloud, "a") == 2)
    wait_samples(cloud, "a", 3)
    check(sessions(cloud, "b") == 1, "the other uplink's device is as it was")


TOPICS = "(?:gatehouse|site)/a/telemetry"
RELOAD_PAUSE = 1.5  # seconds; after two the agent waits no longer for what is under way


class Told:
    """What the broker has carried."""

    def __init__(self, stack, broker):
        self.subscriber = Subscriber(stack, broker)

    def lines(self):
        lines = self.subscriber.lines
        while not lines.queue.empty():
            lines.seen.append(lines.queue.get())
        return lines.seen

    def numbers(self, topic):
        """The counter's values in all packs on that topic, as they came."""
        packs = [json.loads(m[1]) for line in self.lines() if line and (m := re.match(rf"{topic} \d (.*)", line))]
        return [r["v"] for pack in packs for r in pack if r["n"] == "n"]


def reload_under_way(first, second):
    """The serial of a Reload that has begun; it is asked for a while whether it is still under way."""
    serial = first.send("/org/gatehouse1", "org.gatehouse1.Manager", "Reload", "", (), harness.BUS_NAME)
    for _ in range(20):
        try:
            second.call("/org/gatehouse1", "org.gatehouse1.Manager", "Reload")
        except Error as e:
            check(e.name == "org.gatehouse1.Error.Busy", str(e))
        else:
            break
    return serial


def mqtt_bench(bench, stack):
    """Two devices that count, each on an uplink of its own, a with a profile of one's own: (agent, broker, what it has carried)."""
    keys = {d: bench.new_key(text=True) for d in ("a", "b")}
    broker = Broker(stack, {d: key.decode() for d, key in keys.items()})
    told = Told(stack, broker)
    own_profile(bench, "site", "senml-mqtt")
    uplinks = {name: {"url": f"mqtts://127.0.0.1:{broker.port}", "profile": profile} for name, profile in (("own", "site"), ("shipped", "senml-mqtt"))}
    bench.write_json("gatehouse.json", {"uplinks": uplinks})
    for device, uplink in (("a", "own"), ("b", "shipped")):
        bench.write_device(device, "sim", {"n": {"signal": "counter"}}, uplink=uplink, interval="20ms")
    agent = bench.agent()
    bench.driver("sim")
    for device, key in keys.items():
        bench.key_set(device, device, key)
        bench.wait_property(device, "State", "online")
    wait_for("samples", lambda: len(told.numbers("gatehouse/a/telemetry")) > 5)
    return agent, broker, told


def hold_back(bench, broker):
    """From here on a pack is under way, and others wait: the broker will take all of it, but later."""
    broker.send_signal(signal.SIGSTOP)
    waiting = int(bench.get("a", "Spooled"))
    wait_for("samples that wait", lambda: int(bench.get("a", "Spooled")) > waiting + 5)


def change_of_topics(bench, broker, told, topic):
    """With a pack under way; whether the broker had it acknowledged before the agent waits no longer."""
    first = len(told.numbers(TOPICS))
    own_profile(bench, "site", "senml-mqtt", ("gatehouse/{device}", f"{topic}/{{device}}"))
    with Client(bench) as one, Client(bench) as two:
        hold_back(bench, broker)
        begun = time.monotonic()
        serial = reload_under_way(one, two)
        broker.send_signal(signal.SIGCONT)
        check(one.answered(serial), "it is taken")
        in_time = time.monotonic() - begun < RELOAD_PAUSE
    before = len(told.numbers(f"{topic}/a/telemetry"))
    wait_for("samples on the new topic", lambda: len(told.numbers(f"{topic}/a/telemetry")) > before + 5)
    arrived = told.numbers(TOPICS)
    last = arrived[first - 1]
    values = arrived[first:] if in_time else list(dict.fromkeys(n for n in arrived[first:] if n > last))
    check(values == list(range(last + 1, last + 1 + len(values))), f"none lost, none twice, in order: {arrived}")
    return in_time


def changed_profile(bench):
    """Other topics: what waits goes there, what is under way is waited for. Nothing is lost, and nothing comes twice."""
    with contextlib.ExitStack() as stack:
        _, broker, told = mqtt_bench(bench, stack)
        begun = {"gatehouse/a": 1, "site/a": 0, "gatehouse/b": 1}
        for topic in ("site", "gatehouse") * 5:
            begun[topic + "/a"] += 1
            if change_of_topics(bench, broker, told, topic):
                break
            print("  again: the broker did not run for so long that it was not waited for")
        else:
            raise harness.Failure("the broker never answered in time")
        after = len(told.numbers("gatehouse/b/telemetry"))
        wait_for("the other device's samples", lambda: len(told.numbers("gatehouse/b/telemetry")) > after + 3)
        arrived = told.numbers("gatehouse/b/telemetry")
        check(arrived == list(range(len(arrived))), f"and none of the other device: {arrived}")
        count = {topic: sum(f"{topic}/status 0 online" == line for line in told.lines()) for topic in begun}
        check(count == begun, f"a session more for who speaks otherwise, none for the other: {count}, not {begun}")


def nobody_answers(bench):
    """What is under way is not waited for without end; and an agent that is stopped meanwhile ends."""
    with contextlib.ExitStack() as stack:
        agent, broker, told = mqtt_bench(bench, stack)
        own_profile(bench, "site", "senml-mqtt", ("gatehouse/{device}", "site/{device}"))
        hold_back(bench, broker)
        bench.ctl("reload")
        broker.send_signal(signal.SIGCONT)
        wait_for("samples on the new topic", lambda: len(told.numbers("site/a/telemetry")) > 5)
        arrived = told.numbers("gatehouse/a/telemetry") + told.numbers("site/a/telemetry")
        check(sorted(set(arrived)) == list(range(max(arrived) + 1)), f"none lost: {arrived}")
        own_profile(bench, "site", "senml-mqtt")
        with Client(bench) as first, Client(bench) as second:
            hold_back(bench, broker)
            serial = reload_under_way(first, second)
            agent.send(signal.SIGTERM)
            check(agent.wait() == 0, "it ends in good order")
            check(not first.answered(serial), "a reload that was not done is no success")
            check(agent.text().count("configuration read again") == 1, agent.text())


if __name__ == "__main__":
    harness.main(wrong_profile, changed_profile, nobody_answers, needs=("busctl", "mosquitto", "mosquitto_sub"))
