#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""gatehousectl on several devices: which are listed, what is known of their points, and acts on many at once."""
import os

import harness
from agent_bench import refused, sim_bench
from harness import check, wait_for

POINTS = {"x": {"signal": "counter", "unit": "1/min"}, "p-2": {"signal": "constant", "value": 21.5, "unit": "Cel"},
          "p-10": {"signal": "constant", "value": "kettle"}}


def columns(text):
    """Each row's words of a table without a heading."""
    return [line.split() for line in text.splitlines()]


def ids(bench, *options):
    return [r["device"] for r in bench.ctl_json("list", *options)["devices"]]


def listed_as_people_count(bench):
    devices = ("meter-10", "meter-2", "meter-1", "boiler")
    sim_bench(bench, devices)
    bench.write_device("silent", "modbus", url="tcp://127.0.0.1:1", unit=1, points={})
    bench.ctl("reload")
    bench.ctl("disconnect", "meter-2")
    bench.wait_property("meter-2", "State", "disabled")
    for device in devices:
        bench.wait_property(device, "SensorState", "ok")
    ordered = ["boiler", "meter-1", "meter-2", "meter-10", "silent"]
    check(ids(bench) == ordered, ids(bench))
    check([row[0] for row in columns(bench.ctl("list", "--no-legend"))] == ordered, "for people too")
    for options, wanted in ((("--state=online",), ["boiler", "meter-1", "meter-10"]), (("--state=disabled,no-credential",), ["meter-2", "silent"]),
                            (("--driver=modbus",), ["silent"]), (("--driver", "sim", "--state", "disabled"), ["meter-2"]),
                            (("--uplink=cloud",), ordered), (("--uplink=other",), []), (("--sensor=ok",), ordered[:-1]),
                            (("--sensor=no-driver",), ["silent"])):
        check(ids(bench, *options) == wanted, f"{options}: {ids(bench, *options)}")
    check("\n2 of 5 devices.\n" in bench.ctl("list", "--state=disabled,no-credential"), "how many of how many")
    # a file that is not loaded has a state of its own
    with open(os.path.join(bench.config, "devices.d", "broken.json"), "w", encoding="utf-8") as f:
        f.write('{"device": "broken"')
    bench.ctl("reload", status=None)
    check([r["state"] for r in bench.ctl_json("list", "--state=bad-setting")["mistakes"]] == ["bad-setting"], "bad settings")
    check(bench.ctl_json("list", "--state=online")["mistakes"] == [], "and only where they are asked for")


def points_are_shown(bench):
    _, driver, _, _ = sim_bench(bench, ("a", "b"), points=POINTS)
    samples = wait_for("samples of all", lambda: len(bench.ctl_json("read", "--all")["samples"]) == 6 and
                       bench.ctl_json("read", "--all")["samples"])
    check([(s["device"], s["point"]) for s in samples] == [(d, p) for d in "ab" for p in ("p-2", "p-10", "x")], samples)
    check(samples[0]["value"] == 21.5 and samples[0]["unit"] == "Cel" and samples[0]["quality"] == "good", samples[0])
    rows = columns(bench.ctl("read", "a"))
    check(rows[0] == ["DEVICE", "POINT", "VALUE", "UNIT", "AGE", "QUALITY"], rows)
    check([row[:3] for row in rows[1:3]] == [["a", "p-2", "21.5"], ["a", "p-10", "kettle"]] and rows[1][-1] == "good", rows)
    check([s["device"] for s in bench.ctl_json("read", "--latest", "b", "a")["samples"]] == ["b"] * 3 + ["a"] * 3, "several")
    check({s["device"] for s in bench.ctl_json("read", "--latest", "a", "nobody", status=None)["result"]["samples"]} == {"a"}, "and goes on")
    refused(bench.ctl("read", "--latest", "a", "nobody", status=None), 6, "nobody")
    refused(bench.ctl("read", "a", "b", "a", status=None), 2, "gatehousectl read --latest DEVICE...")
    # they are known without their sensor
    driver.stop()
    bench.wait_property("a", "SensorState", "no-driver")
    before, = [s for s in bench.ctl_json("read", "a")["samples"] if s["point"] == "x"]
    check(before["unit"] == "1/min" and before["time"] > 1.7e15, before)
    text = bench.ctl("show", "a")
    for words in ("driver: sim", f"file: {bench.config}/devices.d/a.json", "main key: identity first-a", "backup key: none",
                  "recorded traffic safe: yes", "sensor: no-driver: "):
        check(words in text, f"{words!r} is not in {text}")
    check(any(row[:2] == ["p-2", "21.5"] for row in columns(text)), text)
    shown = bench.ctl_json("show", "a")
    check([p["point"] for p in shown["points"]] == ["p-2", "p-10", "x"] and shown["file"].endswith("a.json"), shown)


def where_and_when(bench):
    """Where a sensor is, and when a connection is tried again."""
    _, _, cloud, _ = sim_bench(bench, ("a",), points=POINTS)
    bench.write_device("line", "modbus", url="tcp://127.0.0.1:1", unit=17, points={})
    bench.ctl("reload")
    check(bench.get("line", "Address") == "tcp://127.0.0.1:1, unit 17" and bench.get("a", "Address") == "", "addresses")
    check("address: tcp://127.0.0.1:1, unit 17" in bench.ctl("show", "line"), bench.ctl("show", "line"))
    check(bench.get("a", "NextTry") == 0 and "next try" not in bench.ctl("show", "a"), "it is connected")
    cloud.kill()
    bench.ctl("disconnect", "a")
    bench.ctl("connect", "a")
    wait_for("a next try", lambda: bench.get("a", "NextTry") > 1.7e15)
    wait_for("it to be shown", lambda: "next try: " in bench.ctl("show", "a"))


def many_at_once(bench):
    sim_bench(bench, ("a", "b", "c"))
    check(bench.ctl_json("disconnect", "c", "a") == {"devices": ["c", "a"]}, "in the order in which they were named")
    for device, state in zip("abc", ("disabled", "online", "disabled")):
        bench.wait_property(device, "State", state)
    check(bench.ctl_json("connect", "--all")["devices"] == ["a", "b", "c"], "all")
    for device in "abc":
        bench.wait_property(device, "State", "online")
    done = bench.ctl_json("disconnect", "nobody", "b", status=None)
    check(done["status"] == 6 and done["result"]["devices"] == ["b"] and "nobody" in done["errors"][0], done)
    bench.wait_property("b", "State", "disabled")
    refused(bench.ctl("connect", "nobody", "noone", status=None), 4, "nobody", "noone")


if __name__ == "__main__":
    harness.main(listed_as_people_count, points_are_shown, where_and_when, many_at_once, needs=("busctl",))
