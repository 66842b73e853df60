#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A device whose session is made on demand: it connects for what it has to send, disconnects after its time without anything,
and misses nothing. As its cloud sees it, by the sessions that come and go."""

import harness
from harness import check

DEVICE = "sleepy-1"


def start(bench, interval, idle_timeout, **device):
    key = bench.new_key()
    cloud = bench.devcloud([("first", key, DEVICE)])
    bench.write_config(cloud.url, rotation={"retire_after": "1s"})
    bench.write_json(f"devices.d/{DEVICE}.json", {
        "device": DEVICE, "uplink": "cloud", "driver": "sim", "session": "on-demand", "idle_timeout": idle_timeout,
        "sim": {"interval": interval}, "points": {"n": {"signal": "counter"}}, **device})
    agent = bench.agent()
    bench.key_set(DEVICE, "first", key)
    return cloud, agent


def sleeps_between_samples(bench):
    cloud, _ = start(bench, "3s", "1s")
    bench.wait_property(DEVICE, "State", "no-driver")
    check(not cloud.find_events("session"), "nobody has anything to say")
    driver = bench.driver("sim")
    cloud.wait_events(3, "closed", seconds=40)
    driver.stop()
    cloud.wait_events(len(cloud.find_events("session")), "closed")
    sessions, values = cloud.find_events("session"), [s["value"] for s in cloud.samples(DEVICE, "n")]
    check(values == list(range(values[0], values[0] + len(values))), f"every sample, once, in order: {values}")
    check(3 <= len(sessions) <= len(values) + 1, f"{len(sessions)} sessions for {len(values)} samples")
    check(bench.get(DEVICE, "Spooled") == 0, "nothing waits")


def idle_is_shown_and_ended(bench):
    cloud, _ = start(bench, "1h", "8s")  # so long that the test sees it online
    bench.driver("sim")
    cloud.wait_event("sample", device=DEVICE)
    bench.wait_property(DEVICE, "State", "idle")
    cloud.wait_event("closed", device=DEVICE)
    mark = cloud.mark()
    bench.call(DEVICE, "Connect")
    cloud.wait_event("session", device=DEVICE, since=mark)
    bench.wait_property(DEVICE, "State", "online")
    bench.wait_property(DEVICE, "State", "idle")


def rotates_when_asked(bench):
    cloud, _ = start(bench, "1h", "1s")
    bench.driver("sim")
    cloud.wait_event("sample", device=DEVICE)
    bench.wait_property(DEVICE, "State", "idle")
    bench.ctl("rotate", DEVICE)
    check(bench.get(DEVICE, "MainIdentity") != "first", "another key is main")
    bench.wait_property(DEVICE, "State", "idle")


def becomes_persistent_by_a_reload(bench):
    cloud, _ = start(bench, "1h", "1s")
    bench.driver("sim")
    cloud.wait_event("sample", device=DEVICE)
    bench.wait_property(DEVICE, "State", "idle")
    bench.write_device(DEVICE, "sim", {"n": {"signal": "counter"}}, interval="1h")
    bench.ctl("reload")
    bench.wait_property(DEVICE, "State", "online")


if __name__ == "__main__":
    harness.main(sleeps_between_samples, idle_is_shown_and_ended, rotates_when_asked, becomes_persistent_by_a_reload)
