#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Settings as Golioth has them: each version is written to the writable points of these names and answered once, as a whole."""
import harness
from agent_bench import sim_bench
from harness import check, wait_for

DEVICE = "boiler-1"
POINTS = {"setpoint": {"signal": "constant", "value": 21, "writable": True, "min": 5, "max": 30},
          "valve": {"signal": "constant", "value": False, "writable": True}, "flow": {"signal": "counter"}}


def start(bench, points=POINTS, driver=True):
    key = bench.new_key()
    cloud = bench.devcloud([("first", key, DEVICE)])
    bench.write_config(cloud.url, uplink={"profile": "golioth", "registrar": {"type": "manual"}})
    bench.write_device(DEVICE, "sim", points, interval="1h")
    bench.agent()
    if driver:
        bench.driver("sim")
        bench.wait_property(DEVICE, "SensorState", "ok")
    bench.key_set(DEVICE, "first", key)
    bench.wait_property(DEVICE, "State", "online" if driver else "no-driver")
    return cloud


def answers(cloud, since=0):
    return [e["status"] for e in cloud.find_events("settings", since=since, device=DEVICE)]


def settle(cloud, **settings):
    """What the device answers to a new version."""
    mark = cloud.mark()
    version = cloud.do("settings", device=DEVICE, settings=settings)["version"]
    status = wait_for(f"the answer to {settings}", lambda: [s for s in answers(cloud, mark) if s["version"] == version])[0]
    return {e["setting_key"]: e["error_code"] for e in status.get("errors", [])}


def value(bench, point):
    return bench.call(DEVICE, "Read", "s", point)[0]["data"]


def each_version_is_answered(bench):
    cloud = start(bench)
    check(settle(cloud, setpoint=19, valve=True) == {}, "all are taken")
    check(value(bench, "setpoint") == 19 and value(bench, "valve") is True, "and written")
    check(settle(cloud) == {}, "none at all is answered too")
    found = settle(cloud, setpoint=31, valve=False, flow=1, TEMPERATURE_FORMAT="celsius")
    check(found == {"setpoint": 4, "flow": 1, "TEMPERATURE_FORMAT": 1}, f"out of range, and not to be written: {found}")
    check(value(bench, "valve") is False and value(bench, "setpoint") == 19, "the rest is taken")
    found = settle(cloud, setpoint="warm")
    check(found == {"setpoint": 3}, f"a value of the wrong kind: {found}")


def shown_again(bench):
    """Over the next session the same version is answered, and written to no point once more."""
    cloud = start(bench)
    check(settle(cloud, setpoint=19) == {}, "taken")
    bench.call(DEVICE, "Write", "sv", "setpoint", "d", "7")
    mark = cloud.mark()
    cloud.do("restart")
    bench.call(DEVICE, "Disconnect")
    bench.call(DEVICE, "Connect")
    check(wait_for("the answer", lambda: answers(cloud, mark))[0] == {"version": 1}, "the same answer")
    check(value(bench, "setpoint") == 7, "a version is written once")
    check(settle(cloud, setpoint=19) == {} and value(bench, "setpoint") == 19, "the next one is written")


def with_nothing_to_write(bench):
    """A device without writable points answers that it knows no setting: its cloud waits for that."""
    cloud = start(bench, {"flow": {"signal": "counter"}})
    check(settle(cloud, flow=1, other=True) == {"flow": 1, "other": 1}, "none is recognized")


def driver_comes_later(bench):
    """Settings wait for a driver that is not connected yet, as after a start of the machine."""
    cloud = start(bench, driver=False)
    version = cloud.do("settings", device=DEVICE, settings={"setpoint": 19})["version"]
    bench.driver("sim")
    check(wait_for("the answer", lambda: answers(cloud))[-1] == {"version": version}, "it is taken then")
    check(value(bench, "setpoint") == 19, "and written")


if __name__ == "__main__":
    harness.main(each_version_is_answered, shown_again, with_nothing_to_write, driver_comes_later, needs=("busctl",))
