#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Packs that are too large for a CoAP server, however it shows that: they get smaller until they pass, one sample that never does is
given up and told, and every other one arrives once. A path that loses large datagrams without a word is found by what arrives."""
import contextlib
import json

import harness
import nat as network
from harness import check, wait_for
from scripted_coap import CLOSE, NOTHING, REJECT, SIZE1, TOO_LARGE, ScriptedCoap, number
from wire import NotPossible

DEVICE = "d1"
FAT = "x" * 200


def records(payload):
    pack = json.loads(payload)
    base = pack[0].get("bt", 0)
    return [(r["n"], round((base + r.get("t", 0)) * 1e6), r.get("v", r.get("vs"))) for r in pack if r["n"] != "_probe"]


def arrived(server):
    return [r for path, body in list(server.bodies) if path == "telemetry" for r in records(body)]


def fill(bench, url, points, waiting, interval="5ms", reports=0, **uplink):
    """A device with a backlog and no driver any more: what waits is all there is."""
    bench.write_config(url, uplink={"registrar": {"type": "manual"}, **uplink}, spool={"durability": "always"})
    bench.write_device(DEVICE, "sim", points, interval=interval, **({"count": reports} if reports else {}))
    agent = bench.agent()
    driver = bench.driver("sim")
    bench.wait_property(DEVICE, "Spooled", lambda n: n >= waiting)
    driver.stop()
    return agent, driver


def check_all(bench, server):
    bench.wait_property(DEVICE, "Spooled", 0)
    found = arrived(server)
    check(len(found) == len(set(found)) == bench.get(DEVICE, "Delivered"), f"{len(found)} arrived, {len(set(found))} of them different")


def all_arrive(bench, stack, how, limit, most_failures):
    key = bench.new_key()
    server = ScriptedCoap(stack, {"first-1": key}, lambda client, m: how if len(m.payload) > limit else None)
    agent, _ = fill(bench, server.url, {"n": {"signal": "counter"}}, 100, reports=100)
    bench.key_set(DEVICE, "first-1", key)
    check_all(bench, server)
    check(bench.get(DEVICE, "Rejected") == 0 and bench.get(DEVICE, "Dropped") == 0, "none is given up")
    failures = sum(todo == how for _, todo in server.requests)
    check(1 <= failures <= most_failures, f"{failures} requests in vain")
    return server, agent


def one_never_passes(bench, stack, how):
    """Among small samples there are some that the server never takes."""
    key = bench.new_key()
    server = ScriptedCoap(stack, {"first-1": key}, lambda client, m: how if FAT.encode() in m.payload else None)
    agent, driver = fill(bench, server.url, {"n": {"signal": "counter"}, "fat": {"signal": "constant", "value": FAT}}, 2, "1s")
    bench.write_device(DEVICE, "sim", {"n": {"signal": "counter"}}, interval="5ms")
    bench.call(None, "Reload")
    driver.start()
    bench.wait_property(DEVICE, "Spooled", lambda n: n >= 30)
    driver.stop()
    bench.key_set(DEVICE, "first-1", key)
    check_all(bench, server)
    check(bench.get(DEVICE, "Rejected") >= 1, "the fat ones are given up")
    check(not any(FAT.encode() in body for _, body in server.bodies), "and did not pass")
    check("it is given up" in agent.text(), "it is told")


def case(function):
    def run(bench):
        with contextlib.ExitStack() as stack:
            function(bench, stack)
    run.__name__ = function.__name__
    return run


@case
def too_large_is_halved(bench, stack):
    all_arrive(bench, stack, (TOO_LARGE, []), 600, 6)


@case
def too_large_with_its_size(bench, stack):
    """The first pack after it is as large as the server said."""
    server, _ = all_arrive(bench, stack, (TOO_LARGE, [(SIZE1, number(700))]), 700, 2)
    sizes = [len(body) for path, body in server.bodies if path == "telemetry"]
    check(max(sizes) > 600, f"packs of at most {max(sizes)} bytes")


@case
def the_server_rejects(bench, stack):
    all_arrive(bench, stack, REJECT, 600, 8)


@case
def the_server_closes(bench, stack):
    all_arrive(bench, stack, CLOSE, 600, 8)


@case
def the_server_is_silent_to_large_ones(bench, stack):
    all_arrive(bench, stack, NOTHING, 600, 8)


@case
def one_sample_is_rejected(bench, stack):
    one_never_passes(bench, stack, REJECT)


@case
def one_sample_has_the_session_closed(bench, stack):
    one_never_passes(bench, stack, CLOSE)


@case
def large_datagrams_are_lost(bench, stack):
    """No ICMP tells of it: what is answered does. Told, and all arrive."""
    nat = network.Nat(drop_over=900)
    key = bench.new_key()
    with nat.far():
        cloud = bench.devcloud([("first-1", key, DEVICE)], listen=nat.CLOUD)
    agent, _ = fill(bench, cloud.url, {"n": {"signal": "counter"}}, 200)
    bench.key_set(DEVICE, "first-1", key)
    bench.wait_property(DEVICE, "Spooled", 0)
    values = [(s["time"], s["value"]) for s in cloud.samples(DEVICE, "n")]
    check(len(set(values)) == bench.get(DEVICE, "Delivered"), f"{len(values)} arrived")
    check(bench.get(DEVICE, "Rejected") == 0, "none is given up")
    agent.wait_text("large datagrams are lost on the way")
    check("lost on the way" in bench.get(DEVICE, "Limits"), bench.get(DEVICE, "Limits"))
    check("lost on the way" in bench.ctl("show", DEVICE), "shown")
    nat.close()


if __name__ == "__main__":
    tests = [too_large_is_halved, too_large_with_its_size, the_server_rejects, the_server_closes, the_server_is_silent_to_large_ones,
             one_sample_is_rejected, one_sample_has_the_session_closed]
    try:
        network.Nat().close()
        tests.append(large_datagrams_are_lost)
    except NotPossible as e:
        print(e)
    harness.main(*tests)
