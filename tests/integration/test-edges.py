#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What an operator does in the middle of something else: the agent goes on, and nothing is left half done."""
import json
import signal

import harness
from agent_bench import TEMPERATURE, sessions, sim_bench
from harness import check, wait_for



def device_text(device):
    return json.dumps({"device": device, "uplink": "cloud", "driver": "sim", "sim": {"interval": "50ms"},
                       "points": {"x": TEMPERATURE}})


def added_device(bench, device="oven-1"):
    """A device added over the bus, online at a cloud."""
    key = bench.new_key()
    cloud = bench.devcloud([(f"first-{device}", key, device)])
    bench.write_config(cloud.url)
    agent = bench.agent()
    bench.driver("sim")
    bench.call(None, "AddDevice", "sa{sv}", device, "1", "config", "s", device_text(device))
    bench.key_set(device, f"first-{device}", key)
    bench.wait_property(device, "State", "online")
    return agent, cloud


def removed_while_samples_are_under_way(bench):
    agent, cloud = added_device(bench)
    cloud.do("refuse", path="credentials", method="DELETE", code="5.00")
    arrived = len(cloud.samples("oven-1"))
    cloud.send(signal.SIGSTOP)
    bench.wait_property("oven-1", "Spooled", lambda n: n > 3)
    bench.call(None, "RemoveDevice", "sa{sv}", "oven-1", "0")
    cloud.send(signal.SIGCONT)
    wait_for("the cloud to answer", lambda: len(cloud.samples("oven-1")) > arrived)
    cloud.do("clear")
    agent.wait_text("removed at the cloud too", 30)
    check(cloud.credentials("oven-1") == [], "the cloud still has its credential")
    bench.call(None, "AddDevice", "sa{sv}", "oven-1", "1", "config", "s", device_text("oven-1"))
    bench.wait_property("oven-1", "State", "no-credential")


def configured_again_while_its_removal_waits(bench):
    agent, cloud = added_device(bench)
    cloud.do("refuse", path="credentials", method="DELETE", code="5.03")
    bench.call(None, "RemoveDevice", "sa{sv}", "oven-1", "0")
    cloud.wait_event("refused", 30)
    bench.write_json("devices.d/oven-1.json", json.loads(device_text("oven-1")))
    bench.call(None, "Reload")
    cloud.do("clear")
    bench.wait_property("oven-1", "State", "no-credential", 60)
    check("removed at the cloud too" not in agent.text(), "its tombstone was still there")
    bench.key_set("oven-1", "second-oven-1", bench.new_key())


def disconnected_while_its_new_key_is_tried(bench):
    _, _, cloud, _ = sim_bench(bench, interval="1h")
    cloud.wait_event("sample")
    before = sessions(cloud, "boiler-1")
    cloud.do("lose-before-apply", path="telemetry")
    bench.call("boiler-1", "Rotate", "a{sv}", "0")
    bench.wait_property("boiler-1", "RotationState", "probing")
    wait_for("the session of the new key", lambda: sessions(cloud, "boiler-1") > before)
    bench.call("boiler-1", "Disconnect")
    cloud.do("clear")
    bench.call("boiler-1", "Connect")
    bench.wait_property("boiler-1", "RotationState", "swapped", 30)


def an_identity_taken_by_hand_is_passed_over(bench):
    _, _, cloud, _ = sim_bench(bench, ("boiler-1", "boiler-2"), uplink={"identity": "{device}-{n}"}, connect=False)
    for device, identity in (("boiler-1", "first-boiler-1"), ("boiler-2", "boiler-1-1")):
        bench.key_set(device, identity, bench.new_key() if device == "boiler-2" else bench.keys[0])
    bench.wait_property("boiler-1", "State", "online")
    bench.call("boiler-1", "Rotate", "a{sv}", "0")
    bench.wait_property("boiler-1", "MainIdentity", "boiler-1-2")




if __name__ == "__main__":
    harness.main(removed_while_samples_are_under_way, configured_again_while_its_removal_waits,
                 disconnected_while_its_new_key_is_tried, an_identity_taken_by_hand_is_passed_over)
