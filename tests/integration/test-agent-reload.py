#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reload: all or nothing, by SIGHUP and over D-Bus, and who did not change does not notice."""
import json
import os
import signal

import harness
from agent_bench import TEMPERATURE, refused, sessions, sim_bench, wait_samples
from dbus_client import Client, Error
from harness import check, wait_for


def write(bench, name, text):
    with open(os.path.join(bench.config, name), "w", encoding="utf-8") as f:
        f.write(text)


def devices(bench):
    return [r["device"] for r in bench.ctl_json("list")["devices"]]


def all_or_nothing(bench):
    agent, _, cloud, _ = sim_bench(bench, ("a", "b"))
    before = [sessions(cloud, d) for d in "ab"]
    good = harness.read(os.path.join(bench.config, "gatehouse.json"))
    # a mistake in one device's file, beside changes that would be right
    bench.write_device("c", "sim", {"x": TEMPERATURE})
    os.unlink(os.path.join(bench.config, "devices.d", "b.json"))
    write(bench, "devices.d/bad.json", '{ "device": "bad",\n  "uplink": "clod", "driver": "sim" }')
    words = ("devices.d/bad.json:2:13:", '"clod"')
    refused(bench.ctl("reload", status=None), 78, *words)
    since = len(agent.text())
    agent.send(signal.SIGHUP)
    wait_for("the refusal of SIGHUP", lambda: "the configuration stays as it was" in agent.text()[since:])
    check(all(w in agent.text()[since:] for w in words), agent.text())
    check(devices(bench) == ["a", "b"], "nothing was taken from it")
    wait_samples(cloud, "b", 3)
    # a mistake in gatehouse.json
    os.unlink(os.path.join(bench.config, "devices.d", "bad.json"))
    write(bench, "gatehouse.json", good.replace('"senml"', '"nosuch"'))
    refused(bench.ctl("reload", status=None), 78, "gatehouse.json:5:", "nosuch")
    write(bench, "gatehouse.json", good + "}")
    refused(bench.ctl("reload", status=None), 78, "gatehouse.json:11:2")
    check(devices(bench) == ["a", "b"], "nothing was taken from it")
    write(bench, "gatehouse.json", good)
    bench.ctl("reload")
    check(devices(bench) == ["a", "c"], "mended, it is taken")
    check([sessions(cloud, d) for d in "ab"] == before, "and who did not change has its session")
    wait_samples(cloud, "a", 3)


def who_changes(bench):
    agent, driver, cloud, keys = sim_bench(bench, ("a", "b", "c", "d"))
    before = [sessions(cloud, d) for d in "abcd"]
    bench.write_device("b", "sim", {"x": TEMPERATURE, "y": {"signal": "counter"}}, interval="50ms")
    os.unlink(os.path.join(bench.config, "devices.d", "c.json"))
    bench.write_json("devices.d/d.json", {"device": "d", "uplink": "cloud", "driver": "sim", "enabled": False, "sim": {},
                                          "points": {"x": {}}})
    agent.send(signal.SIGHUP)
    wait_for("the new point", lambda: cloud.samples("b", "y"))
    check(devices(bench) == ["a", "b", "d"], "c is gone")
    bench.wait_property("d", "State", "disabled")
    for device in ("c", "d"):
        wait_for(f"the end of {device}'s session", lambda d=device: cloud.find_events("closed", device=d))
    check([sessions(cloud, d) for d in "ab"] == before[:2], "other points need no other session")
    check(driver.text().count("connected to the agent") == 1, "nor another driver")
    # back again: the key was kept
    bench.write_device("c", "sim", {"x": TEMPERATURE}, interval="50ms")
    bench.write_device("d", "sim", {"x": TEMPERATURE}, interval="50ms")
    bench.ctl("reload")
    for device in ("c", "d"):
        bench.wait_property(device, "State", "online")
        wait_samples(cloud, device, 3)
    check([sessions(cloud, d) - n for d, n in zip("abcd", before)] == [0, 0, 1, 1], "one more session each")


def another_cloud(bench):
    """An uplink that changes takes its devices along, waiting samples too; the others stay."""
    keys = {d: bench.new_key() for d in ("a", "b")}
    first = bench.devcloud([("id-a", keys["a"], "a"), ("id-b", keys["b"], "b")], name="first")
    second = bench.devcloud([("id-a", keys["a"], "a")], name="second")
    other = {"url": first.url, "profile": "senml"}
    uplinks = {"cloud": {"url": first.url, "profile": "senml"}, "other": other}
    bench.write_json("gatehouse.json", {"uplinks": uplinks})
    points = {"n": {"signal": "counter"}}
    bench.write_device("a", "sim", points, interval="50ms")
    bench.write_device("b", "sim", points, uplink="other", interval="50ms")
    bench.agent()
    bench.driver("sim")
    for device in ("a", "b"):
        bench.key_set(device, "id-" + device, keys[device])
        bench.wait_property(device, "State", "online")
    wait_samples(first, "a", 3)
    before = sessions(first, "b")
    uplinks["cloud"]["url"] = second.url
    bench.write_json("gatehouse.json", {"uplinks": uplinks})
    bench.ctl("reload")
    wait_samples(second, "a", 3)
    arrived = [s["value"] for cloud in (first, second) for s in cloud.samples("a", "n")]
    check(sorted(set(arrived)) == list(range(int(max(arrived)) + 1)), f"none lost on the way: {arrived}")
    check(sessions(first, "b") == before, "the other uplink's device is as it was")


def every_signal_counts(bench):
    """A SIGHUP that comes while the files are being read is not for nothing: they are read again."""
    agent, *_ = sim_bench(bench, connect=False)
    for i in range(40):
        bench.write_device(f"d{i:02}", "sim", {"x": {}})
        with open(os.path.join(bench.config, f"devices.d/d{i:02}.json"), "a", encoding="utf-8") as f:
            f.write("// a long comment\n" * 50000)
    with Client(bench) as first, Client(bench) as second:
        def under_way():
            """Of two at once one is refused: if that is the second, the first has begun."""
            first.send("/org/gatehouse1", "org.gatehouse1.Manager", "Reload", "", (), harness.BUS_NAME)
            try:
                second.call("/org/gatehouse1", "org.gatehouse1.Manager", "Reload")
            except Error as e:
                return check(e.name == "org.gatehouse1.Error.Busy", str(e)) or True
            return False
        wait_for("a reload under way", under_way)
        bench.write_device("a", "sim", {"x": {}})
        agent.send(signal.SIGHUP)
    wait_for("the device", lambda: "a" in devices(bench))
    check(len(devices(bench)) == 42, "all of them")


def one_client_id(bench):
    """Two devices that would throw each other off their broker for ever come in by no way."""
    def device(name, hardware, **more):
        return {"device": name, "hardware_id": hardware, "uplink": "cloud", "driver": "sim", "sim": {}, "points": {"x": {}}, **more}

    bench.write_config("mqtts://127.0.0.1:9", uplink={"profile": "senml-mqtt", "client_id": "{hardware_id}", "registrar": {"type": "manual"}})
    bench.write_json("devices.d/a.json", device("a", "0011"))
    agent = bench.agent()
    bench.driver("sim")
    bench.write_json("devices.d/b.json", device("b", "0011"))
    refused(bench.ctl("reload", status=None), 78, 'devices.d/a.json:3:18: the client id "0011" of "a"', "/etc/devices.d/b.json, so each",
            'devices.d/b.json:3:18: the client id "0011" of "b"', 'that of "a" in')
    check(devices(bench) == ["a"], "what runs is as it was")
    bench.write_json("devices.d/b.json", device("b", "0022"))
    bench.ctl("reload")
    bench.write_json("added.json", device("c", "0022"))
    refused(bench.ctl("device", "add", "c", os.path.join(bench.config, "added.json"), status=None), 78, '"0022" of "c"', 'that of "b" in')
    write(bench, "list.csv", "device,hardware_id\nd,0022\ne,0033\nf,0033\n")
    template = json.dumps({k: v for k, v in device("", "").items() if k not in ("device", "hardware_id")})
    write(bench, "template.json", template)
    refused(bench.ctl("provision", os.path.join(bench.config, "list.csv"), "--template=" + os.path.join(bench.config, "template.json"),
                      status=None), 1, 'that of "b" in', "its client id: row 3 has the same")
    check(devices(bench) == ["a", "b"], "none of them")
    # At a start neither is loaded, as with one id in two files: which of them is wrong nobody knows.
    bench.write_json("devices.d/b.json", device("b", "0011"))
    bench.write_json("devices.d/g.json", device("g", "0044"))
    agent.restart()
    bench.wait_agent(agent)
    check(devices(bench) == ["g"], "who has a client id of its own")
    for one, other in ("ab", "ba"):
        agent.wait_text(f'devices.d/{one}.json:3:18: the client id "0011" of "{one}" at the broker 127.0.0.1:9 is also that of "{other}" in '
                        f'{bench.config}/devices.d/{other}.json, so each')
    bench.write_json("devices.d/b.json", device("b", "0011", enabled=False))
    bench.ctl("reload")
    check(devices(bench) == ["a", "b", "g"], "who is not to be connected is in nobody's way")


def descriptors(process):
    return len(os.listdir(f"/proc/{process.pid}/fd"))


def reloads_leave_no_descriptors(bench):
    """Fifty changes of two uplinks, over CoAP and over MQTT, that are in use: each is made anew, and nothing is left of the one
    before."""
    agent, _, cloud, _ = sim_bench(bench, ("a",))
    key = bench.new_key()
    bench.write_device("m", "sim", {"x": TEMPERATURE}, uplink="broker")

    def change(n):
        cloud_url, seconds = cloud.url, f"{60 + n}s"
        bench.write_json("gatehouse.json", {"uplinks": {
            "cloud": {"url": cloud_url, "profile": "senml", "registrar": {"type": "coap"}, "keepalive": seconds},
            "broker": {"url": "mqtts://127.0.0.1:9", "profile": "senml-mqtt", "registrar": {"type": "manual"}, "keepalive": seconds}}})
        bench.ctl("reload")
        bench.wait_property("a", "State", "online")
    change(0)
    bench.key_set("m", "first-m", key)
    bench.wait_property("m", "State", "unreachable")
    change(1)
    before = descriptors(agent)
    for n in range(2, 52):
        change(n)
    # One or two come and go with a file, a look-up, a try to connect.
    wait_for(lambda: f"{descriptors(agent)} descriptors, {before} before", lambda: descriptors(agent) <= before + 3)


if __name__ == "__main__":
    harness.main(all_or_nothing, who_changes, another_cloud, every_signal_counts, one_client_id, reloads_leave_no_descriptors, needs=("busctl",))
