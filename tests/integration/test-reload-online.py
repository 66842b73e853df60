#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a reload changes for a device that is online holds from the reload on, not from some later connection."""
import contextlib
import os

import harness
from agent_bench import sessions, sim_bench, wait_samples
from harness import check, wait_for
from mqtt_peers import Broker, Subscriber

DEVICE = "boiler-1"


def point(**more):
    return {"target": {"signal": "constant", "value": 21, **more}}


def command(cloud, **what):
    """What became of it."""
    mark = cloud.mark()
    number = cloud.do("command", device=DEVICE, **what)["id"]
    return wait_for(f"the outcome of {what}", lambda: [e["outcome"] for e in cloud.find_events("outcome", since=mark, device=DEVICE)
                                                       if e["outcome"].get("id") == number])[-1]


def a_point_becomes_writable(bench):
    _, _, cloud, _ = sim_bench(bench, points=point())
    for limits in ({"max": 30}, {"max": 50}, {"min": 40}):
        bench.write_device(DEVICE, "sim", point(writable=True, **limits), interval="100ms")
        bench.ctl("reload")
        outcome = command(cloud, point="target", value=45)
        check(outcome["ok"] is (limits != {"max": 30}), f"{limits}: {outcome}")
    check(float(bench.ctl("read", DEVICE, "target")) == 45, "it was written")
    bench.write_device(DEVICE, "sim", point(), interval="100ms")
    bench.ctl("reload")
    bench.write_device(DEVICE, "sim", point(writable=True), interval="100ms")
    bench.ctl("reload")
    check(command(cloud, point="target", value=46)["ok"] is True, "taken away and given again")
    check(sessions(cloud, DEVICE) == 1, "all of it over one session")


def mqtt(bench, stack, hardware="serial-1", **more):
    """A device over MQTT, its client id made of its hardware id."""
    key = bench.new_key(text=True)
    broker = Broker(stack, {"first-1": key.decode()})
    seen = Subscriber(stack, broker)
    bench.write_config(f"mqtts://127.0.0.1:{broker.port}", uplink={"profile": "homeassistant", "client_id": "gw-{hardware_id}",
                                                                   "registrar": {"type": "manual"}}, **more)
    device(bench, hardware, unit="Cel")
    bench.agent()
    bench.driver("sim")
    bench.key_set(DEVICE, "first-1", key)
    bench.wait_property(DEVICE, "State", "online")
    return broker, seen


def device(bench, hardware, **settings):
    bench.write_json(f"devices.d/{DEVICE}.json", {"device": DEVICE, "hardware_id": hardware, "uplink": "cloud", "driver": "sim",
                                                  "sim": {"interval": "100ms"}, "points": point(**settings)})


def announced_anew(bench):
    with contextlib.ExitStack() as stack:
        broker, seen = mqtt(bench, stack)
        seen.expect(rf'^homeassistant/sensor/{DEVICE}/target/config .*"unit_of_measurement": ?"°C"')
        device(bench, "serial-1", unit="%RH")
        bench.ctl("reload")
        seen.expect(rf'^homeassistant/sensor/{DEVICE}/target/config .*"unit_of_measurement": ?"%"')
        device(bench, "serial-1", unit="%RH", writable=True, min=5, max=30)
        bench.ctl("reload")
        seen.expect(rf'^homeassistant/number/{DEVICE}/target/config .*"max": ?30')
        device(bench, "serial-1", unit="%RH", writable=True, min=5, max=40)
        bench.ctl("reload")
        seen.expect(rf'^homeassistant/number/{DEVICE}/target/config .*"max": ?40')
        seen.expect(rf"^gatehouse/{DEVICE}/target/state ")
        connected = [line for line in seen_by(broker) if "New client connected" in line and "gw-serial-1" in line]
        check(len(connected) == 1, f"over one connection: {connected}")


def seen_by(broker):
    """All that the broker has logged so far."""
    while not broker.lines.queue.empty():
        line = broker.lines.queue.get()
        if line is not None:
            broker.lines.seen.append(line)
    return list(broker.lines.seen)


def another_client_id(bench):
    with contextlib.ExitStack() as stack:
        broker, seen = mqtt(bench, stack)
        device(bench, "serial-2", unit="Cel")
        bench.ctl("reload")
        broker.lines.expect("New client connected.* as gw-serial-2 ")
        bench.wait_property(DEVICE, "State", "online")
        seen.expect(rf'^homeassistant/sensor/{DEVICE}/target/config .*gatehouse_serial-2')
        seen.expect(rf"^gatehouse/{DEVICE}/target/state ")
        wait_for("the other one to be gone", lambda: any("gw-serial-1" in line and "disconnected" in line for line in seen_by(broker)))


def authenticated(bench, device, after=0):
    """When it was, once that is known: a device is online first, and has a message accepted then."""
    return bench.wait_property(device, "LastAuthenticated", lambda t: t > after)


def last_authenticated_never_goes_back(bench):
    """Neither when a reload makes the device anew, nor when the agent is stopped and started."""
    agent, _, cloud, _ = sim_bench(bench, ("a", "b", "c"))
    last = {d: authenticated(bench, d) for d in "abc"}

    def look():
        for d, before in last.items():
            now = bench.get(d, "LastAuthenticated")
            check(now >= before > 0, f"{d} goes back {before - now} us")
            last[d] = now
    for n in range(8):
        for d in "abc":
            wait_samples(cloud, d, 1)
        look()
        bench.write_config(cloud.url, uplink={"keepalive": f"{60 + n}s"})
        if n == 4:
            os.unlink(os.path.join(bench.config, "devices.d", "b.json"))
            last.pop("b")
        bench.ctl("reload")
        for _ in range(20):
            look()
        if n == 4:
            bench.write_device("b", "sim", {"x": {}}, interval="100ms")
            bench.ctl("reload")
            last["b"] = authenticated(bench, "b")
    agent.restart()
    bench.wait_agent(agent)
    look()


def last_authenticated_survives_a_kill(bench):
    """A step of a rotation, which is committed anyway, brings along what was noted in memory since the last time."""
    agent, _, cloud, _ = sim_bench(bench)
    first = authenticated(bench, DEVICE)
    later = authenticated(bench, DEVICE, first + 2_000_000)
    cloud.do("refuse", path="credentials", code="5.03", times=0)
    bench.ctl("rotate", "boiler-1", "--no-wait", seconds=60)
    bench.wait_property("boiler-1", "RotationState", "offered")
    agent.kill()
    cloud.kill()
    agent.start()
    bench.wait_agent(agent)
    now = bench.get("boiler-1", "LastAuthenticated")
    check(now >= later, f"it was {later}, and is {now}")


if __name__ == "__main__":
    harness.main(a_point_becomes_writable, announced_anew, another_client_id, last_authenticated_never_goes_back,
                 last_authenticated_survives_a_kill,
                 needs=("busctl", "mosquitto", "mosquitto_sub"))
