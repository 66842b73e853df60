#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""How fast a backlog is sent, as an uplink's `drain_rate` bounds its devices together. Judged by what delay cannot break: so many
requests take so long at least, and a bound that a reload lifts would have taken longer than anybody waits."""
import time

import harness
from agent_bench import own_profile
from harness import check, wait_for

DEVICES = ("a", "b", "c")


def piled(bench, rate, count):
    """An agent with so many samples of each device waiting, a few to a request, and a function that connects them."""
    keys = {d: bench.new_key() for d in DEVICES}
    cloud = bench.devcloud([(f"first-{d}", keys[d], d) for d in DEVICES])
    own_profile(bench, "small", "senml", ('"max_payload": 1024', '"max_payload": 128'))
    bench.write_config(cloud.url, uplink={"profile": "small", "drain_rate": rate})
    for d in DEVICES:
        bench.write_device(d, "sim", {"n": {"signal": "counter"}}, interval="10ms", count=count)
    bench.agent()
    bench.driver("sim")
    for d in DEVICES:
        bench.wait_property(d, "Spooled", count)

    def connect():
        for d in DEVICES:
            bench.key_set(d, f"first-{d}", keys[d])
    return cloud, connect


def totals(cloud):
    devices = cloud.stats()["devices"]
    return sum(devices[d]["samples"] for d in DEVICES if d in devices), sum(devices[d]["packs"] for d in DEVICES if d in devices)


def bounded_together(bench):
    rate, count = 10, 50
    cloud, connect = piled(bench, rate, count)
    begun = time.monotonic()
    connect()
    wait_for("all samples", lambda: totals(cloud)[0] == len(DEVICES) * count)
    took, packs = time.monotonic() - begun, totals(cloud)[1]
    print(f"{packs} requests in {took:.1f} s")
    check(packs >= 40, f"only {packs} requests")
    check(took >= (packs - rate) / rate, f"{packs} requests took {took:.1f} s, at {rate} a second, of which {rate} may come at once")


def lifted_by_a_reload(bench):
    """The same backlog as before the reload, without the bound: no sample is lost, or sent twice."""
    count = int(4 * harness.DEADLINE)  # a few to a request: over a second each while it is bound
    cloud, connect = piled(bench, 1, count)
    connect()
    wait_for("the first of them", lambda: totals(cloud)[0] >= 3)
    bench.write_config(cloud.url, uplink={"profile": "small"})
    bench.call(None, "Reload")
    wait_for("all samples", lambda: totals(cloud)[0] == len(DEVICES) * count)


if __name__ == "__main__":
    harness.main(bounded_together, lifted_by_a_reload, needs=("busctl",))
