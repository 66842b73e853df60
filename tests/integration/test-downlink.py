#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Commands from the cloud: to a register of a real Modbus server and back. What may not be written is refused in words, what
cannot be is said at once, a command that is shown again is not carried out again; and all of it stands in the journal."""
import json
import time

import harness
from agent_bench import modbus_device, sim_bench
from harness import check, wait_for
from waiting import DEADLINE

DEVICE = "boiler-1"
WRITES_PER_SEC, WRITE_BURST = 10, 20
REFUSED_WRITES_SAID, REFUSED_WRITES_INTERVAL = 10, 30  # lines, in seconds
POINTS = {
    "flow": {"table": "input", "address": 2, "type": "uint16"},
    "setpoint": {"table": "holding", "address": 10, "type": "int16", "scale": 0.1, "writable": True, "min": 5, "max": 30}}


def start(bench, driver=True, points=None):
    server = bench.modbus_server()
    key = bench.new_key()
    cloud = bench.devcloud([("first", key, DEVICE)])
    bench.write_config(cloud.url)
    modbus_device(bench, DEVICE, server.port, 1, interval="100ms", points=points or POINTS)
    agent = bench.agent()
    plugin = bench.driver("modbus") if driver else None
    bench.key_set(DEVICE, "first", key)
    bench.wait_property(DEVICE, "State", "online" if driver else "no-driver")
    return server, cloud, agent, plugin


def command(cloud, since=0, device=DEVICE, **what):
    """What became of it."""
    mark = cloud.mark()
    number = cloud.do("command", device=device, **what).get("id")
    def mine():
        return [e["outcome"] for e in cloud.find_events("outcome", since=mark, device=device)
                if "body" in what or e["outcome"].get("id") == number]
    return wait_for(f"the outcome of {what}", mine, 15)[-1]


def written(server):
    return [value for _, value in server.served(1, "holding", 10, "write")]


def check_written(server, values):
    """These and no others; the server's word for it may come a moment after the outcome."""
    wait_for(lambda: f"the registers {values}; {written(server)} were written", lambda: len(written(server)) >= len(values), 5)
    check(written(server) == values, f"expected {values}, but {written(server)} were written")


def register_is_written(bench):
    server, cloud, agent, _ = start(bench)
    outcome = command(cloud, point="setpoint", value=21.5)
    check(outcome["ok"] is True and "error" not in outcome, outcome)
    check_written(server, [215])
    agent.wait_text("the cloud of uplink cloud, by command 1, had 21.5 written to setpoint of boiler-1")
    check(abs(bench.call(DEVICE, "Read", "s", "setpoint")[0]["data"] - 21.5) < 1e-9, "it reads back")


def what_was_really_set_is_told(bench):
    """A register holds tenths: the cloud, a caller on the bus, a person and the journal hear what the device has then."""
    server, cloud, agent, _ = start(bench)
    outcome = command(cloud, point="setpoint", value=21.57)
    check((outcome["ok"], outcome["value"]) == (True, 21.6), outcome)
    agent.wait_text("had 21.57 written to setpoint of boiler-1; the device took it as 21.6\n")
    check(bench.call(DEVICE, "Write", "sv", "setpoint", "d", "19.96")[0]["data"] == 20, "Write")
    check(bench.ctl("write", DEVICE, "setpoint", "25.04") == "25\n", "for people")
    check(bench.ctl_json("write", DEVICE, "setpoint", "12.345") == {"device": DEVICE, "point": "setpoint", "value": 12.3}, "JSON")
    check_written(server, [216, 200, 250, 123])
    bench.ctl("write", DEVICE, "setpoint", "20")
    agent.wait_text("had 20 written to setpoint of boiler-1 (by uid")


def several_points_are_written_together(bench):
    """Neighbours in one request; all are checked before the first is written, and the journal has a line for each."""
    more = {name: {"table": "holding", "address": 11 + i, "type": "uint16", "writable": True, "max": 100}
            for i, name in enumerate(("fan", "mode"))}
    server, _, agent, _ = start(bench, points=dict(POINTS, **more))
    def refused(*arguments, words, status=1):
        done = bench.ctl("write", DEVICE, *arguments, status=None)
        check(done.returncode == status and words in done.stderr.decode(), f"{arguments}: {done}")
    refused("setpoint=19", "mode=101", words="101 is beyond the limits of mode of boiler-1")
    refused("setpoint=19", "none=1", words="no point 'none'")
    refused("setpoint=19", "setpoint=20", words="setpoint is given twice")
    refused("setpoint=19", "mode", words="'mode': expected POINT=VALUE", status=2)
    check(bench.ctl("write", DEVICE, "mode=3", "setpoint=21.57", "fan=2") == "mode=3\nsetpoint=21.6\nfan=2\n", "for people")
    agent.wait_text("had 21.57 written to setpoint of boiler-1; the device took it as 21.6")
    agent.wait_text("had 3 written to mode of boiler-1")
    def writes():
        return [(entry, value) for address in (10, 11, 12) for entry, value in server.served(1, "holding", address, "write")]
    wait_for("three registers", lambda: len(writes()) >= 3)
    check([v for _, v in writes()] == [216, 2, 3], f"{writes()}: nothing of what was refused")
    check(len({time for time, _ in writes()}) == 1, f"{writes()}: in one request")
    check(bench.ctl_json("write", DEVICE, "fan=4") == {"device": DEVICE, "values": {"fan": 4}}, "JSON")


def a_row_is_written(bench):
    """One configured point, several registers: each has a name of its own, for writing and reading too."""
    server, cloud, _, _ = start(bench, points=dict(POINTS, valve={"table": "holding", "address": 20, "type": "uint16", "count": 3,
                                                                  "writable": True, "max": 100}))
    outcome = command(cloud, point="valve.2", value=77)
    check((outcome["ok"], outcome["value"]) == (True, 77), outcome)
    wait_for("the register", lambda: [v for _, v in server.served(1, "holding", 21, "write")] == [77])
    check(bench.ctl("read", DEVICE, "valve.2") == "77\n" and bench.ctl("read", DEVICE, "valve.3") == "0\n", "read back")
    for point, value, status, words in (("valve.2", 101, "denied", "beyond the limits"), ("valve.4", 1, "invalid", "no such point"),
                                        ("valve", 1, "invalid", "no such point"), ("flow.1", 1, "denied", "not writable")):
        outcome = command(cloud, point=point, value=value)
        check(outcome["ok"] is False and outcome["status"] == status and words in outcome["error"], f"{point}: {outcome}")


def refused_in_words(bench):
    server, cloud, agent, _ = start(bench)
    for what, status, words in ((dict(point="setpoint", value=31), "denied", "beyond the limits"),
                                (dict(point="setpoint", value=4.9), "denied", "5 to 30"),
                                (dict(point="flow", value=1), "denied", "not writable"),
                                (dict(point="nothing", value=1), "invalid", "no point"),
                                (dict(point="setpoint", value="warm"), "denied", "takes numbers"),
                                (dict(point="setpoint", value=[1]), "invalid", ""),
                                (dict(body='{"id":7,"point":"setpoint"}'), "invalid", "value"),
                                (dict(body='{"id":7,"point":"setpoint","value":1,"value":2}'), "invalid", ""),
                                (dict(body='{"point":'), "invalid", "")):
        outcome = command(cloud, **what)
        check(outcome["ok"] is False and outcome["status"] == status and words in outcome["error"], f"{what}: {outcome}")
    check(not written(server), f"nothing was written: {written(server)}")
    agent.wait_text("the cloud of uplink cloud, by command 1, wanted 31 of setpoint of boiler-1: 31 is beyond the limits")
    check(command(cloud, point="setpoint", value=20)["ok"], "and the next one is carried out")


def driver_away(bench):
    _, cloud, _, _ = start(bench, driver=False)
    outcome = command(cloud, point="setpoint", value=20)
    check(outcome["ok"] is False and outcome["status"] == "unavailable" and "away" in outcome["error"], outcome)


def lost_outcome(server, cloud):
    """Only then it cannot have arrived yet."""
    wait_for("the write", lambda: written(server) == [200])
    cloud.wait_event("fault", fault="lose-before-apply", device=DEVICE)


def shown_again_not_done_again(bench):
    """Its outcome is lost on the way, the session ends: the cloud shows the command once more."""
    server, cloud, _, _ = start(bench)
    cloud.do("lose-before-apply", path="commands/outcome", times=0)
    number = cloud.do("command", device=DEVICE, point="setpoint", value=20)["id"]
    lost_outcome(server, cloud)
    mark = cloud.mark()
    cloud.do("clear")
    cloud.do("restart")
    cloud.wait_event("outcome", seconds=40, since=mark, device=DEVICE, outcome={"id": number, "ok": True, "value": 20})
    check(command(cloud, point="setpoint", value=22)["ok"], "the next one")
    check_written(server, [200, 220])


def without_an_id_it_is_a_state(bench):
    """It is carried out when it changes, and not because it is shown again."""
    server, cloud, _, _ = start(bench)
    cloud.do("lose-before-apply", path="commands/outcome", times=0)
    cloud.do("command", device=DEVICE, body=json.dumps({"point": "setpoint", "value": 20}))
    lost_outcome(server, cloud)
    mark = cloud.mark()
    cloud.do("clear")
    cloud.do("restart")
    cloud.wait_event("outcome", seconds=40, since=mark, device=DEVICE, outcome={"id": None, "ok": True, "value": 20})
    for value in (22, 20):
        check(command(cloud, body=json.dumps({"point": "setpoint", "value": value}))["ok"], "the next state")
    check_written(server, [200, 220, 200])


def heard_after_a_rotation(bench):
    server, cloud, _, _ = start(bench)
    bench.ctl("rotate", DEVICE)
    check(command(cloud, point="setpoint", value=20)["ok"], "over the new session")
    check_written(server, [200])


def too_many_are_refused(bench):
    """A burst is carried out, and then no more than the rate. The first 20 outcomes are as much as the burst allows at once; each one
    more was begun after the first command was given, and before its own outcome was told."""
    server, cloud, _, _ = start(bench)
    mark, begun, numbers = cloud.mark(), time.clock_gettime(time.CLOCK_BOOTTIME), []

    def told():
        return cloud.find_events("outcome", since=mark, device=DEVICE)
    end = time.monotonic() + DEADLINE
    while all(e["outcome"]["ok"] for e in told()):
        check(time.monotonic() < end, f"none of {len(numbers)} commands was refused")
        numbers.append(cloud.do("command", device=DEVICE, point="setpoint", value=10 + len(numbers) % 200 / 10)["id"])
    cloud.wait_events(len(numbers), "outcome", since=mark, device=DEVICE)
    outcomes = {e["outcome"]["id"]: e["outcome"] for e in told()}
    check(sorted(outcomes) == sorted(numbers), "one outcome of each command")
    busy = [o for o in outcomes.values() if not o["ok"]]
    check(all(o["status"] == "busy" for o in busy), f"the others: {busy[:2]}")
    check(all(outcomes[n]["ok"] for n in numbers[:WRITE_BURST]), f"so many at once are carried out: {outcomes}")
    done = [e["at"] / 1e6 - begun for e in told() if e["outcome"]["ok"]]
    for count, at in enumerate(done, 1):
        check(count <= WRITE_BURST + WRITES_PER_SEC * at, f"{count} were done in {at:.2f} s: {done}")
    wait_for("the last of them at the server", lambda: len(written(server)) >= len(done), 5)
    check(len(written(server)) == len(done), f"{len(done)} done, {len(written(server))} written")


def bus_writes_are_written_down(bench):
    _, _, agent, _ = start(bench)
    bench.ctl("write", DEVICE, "setpoint", "25")
    agent.wait_text("a caller on the bus had 25 written to setpoint of boiler-1")
    bench.ctl("write", DEVICE, "setpoint", "99", status=1)
    agent.wait_text("a caller on the bus wanted 99 of setpoint of boiler-1: 99 is beyond the limits")


def a_flood_is_a_few_lines(bench):
    """What a cloud is refused again and again leaves as many lines as somebody can read, and their number; a write that is done
    beside it, and one that a caller on the bus is refused, leave theirs."""
    server, cloud, agent, _ = start(bench)
    mark, begun = cloud.mark(), time.monotonic()
    for n in range(120):
        cloud.do("command", device=DEVICE, point="flow", value=n)
    wait_for("some outcomes", lambda: len(cloud.find_events("outcome", since=mark)) >= 20, 15)
    bench.ctl("write", DEVICE, "setpoint", "4", status=1)
    agent.wait_text("a caller on the bus wanted 4 of setpoint of boiler-1")
    bench.ctl("write", DEVICE, "setpoint", "20")
    agent.wait_text("a caller on the bus had 20 written to setpoint of boiler-1")
    refused, intervals = agent.text().count("of flow of boiler-1"), 1 + (time.monotonic() - begun) // REFUSED_WRITES_INTERVAL
    check(0 < refused <= 5 + REFUSED_WRITES_SAID * intervals, f"{refused} lines about what the cloud was refused")


def without_writable_points_nobody_listens(bench):
    _, _, cloud, _ = sim_bench(bench, ["d1"])
    cloud.wait_event("sample", device="d1")
    cloud.do("command", device="d1", point="x", value=1)
    cloud.wait_events(len(cloud.samples("d1")) + 5, "sample", device="d1")
    check(not cloud.find_events("outcome"), json.dumps(cloud.find_events("outcome")))


if __name__ == "__main__":
    harness.main(register_is_written, what_was_really_set_is_told, several_points_are_written_together, a_row_is_written, refused_in_words, driver_away, shown_again_not_done_again, without_an_id_it_is_a_state, heard_after_a_rotation,
                 too_many_are_refused, bus_writes_are_written_down, a_flood_is_a_few_lines, without_writable_points_nobody_listens)
