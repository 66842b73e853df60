#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A new key for every device: so many at once and no more, whatever some of the devices meet; ended early; gone on with after
a crash; and what the operator is told of it."""
import json
import time

import harness
from agent_bench import refused, sessions, sim_bench, wait_samples
from harness import check, wait_for

MANAGER = ("/org/gatehouse1", "org.gatehouse1.Manager")
JOB = "org.gatehouse1.Job"


def begin(bench, *options):
    (path,) = bench.call(None, "RotateAll", "a{sv}", *(options or ("0",)))
    return path


def job(bench, path, name):
    text = bench.busctl("get-property", harness.BUS_NAME, path, JOB, name).stdout
    return json.loads(text)["data"]


def results(bench, path):
    """(outcome, reason) by device."""
    return {r["device"]["data"]: (r["outcome"]["data"], r["reason"]["data"]) for r in job(bench, path, "Results")}


def wait_job(bench, path, state, seconds=30):
    wait_for(lambda: f"{path} {state}; it is {job(bench, path, 'State')}, {job(bench, path, 'Done')} done",
             lambda: job(bench, path, "State") == state, seconds)


def rotated(bench, devices):
    return [d for d in devices if not bench.get(d, "MainIdentity").startswith("first-")]


def in_flight(bench):
    """At one moment: a few devices are all read in one turn of the agent's loop."""
    text = bench.busctl("call", harness.BUS_NAME, "/org/gatehouse1", "org.freedesktop.DBus.ObjectManager",
                        "GetManagedObjects").stdout
    shown = [o["org.gatehouse1.Device"] for o in json.loads(text)["data"][0].values() if "org.gatehouse1.Device" in o]
    return [p["Id"]["data"] for p in shown if p["RotationState"]["data"] in ("staged", "offered", "probing")]


def everybody(bench):
    devices = [f"d{i:02d}" for i in range(20)]
    _, _, cloud, _ = sim_bench(bench, devices, interval="1s", rotation={"rate": 1000})
    before = {d: sessions(cloud, d) for d in devices}
    text = bench.ctl("rotate", "--all")
    check("done: 20 of 20 done, 0 failed" in text, text)
    check(rotated(bench, devices) == devices, f"rotated: {rotated(bench, devices)}")
    more = {d: sessions(cloud, d) - before[d] for d in devices}
    check(set(more.values()) == {1}, f"one handshake each: {more}")
    text = bench.ctl("job", "list")
    check("rotate-all" in text and "done" in text, text)
    done = bench.ctl_json("job", "wait", "1")["jobs"][0]
    check((done["kind"], done["done"], done["total"], done["failed"]) == ("rotate-all", 20, 20, 0), done)
    check(len(done["batch_id"]) == 32 and len(done["results"]) == 20, done)
    check(bench.ctl_json("job", "list")["jobs"][0]["job"] == "1", "as JSON")
    refused(bench.ctl("job", "cancel", "1", status=None), 1, "ended already")
    refused(bench.ctl("job", "wait", "99", status=None), 1, "there is no job 99")
    refused(bench.ctl("job", "stop", "1", status=None), 2)


def partly(bench):
    """One without a key, one disconnected, one whose offer is refused for good: the rest, and status 6."""
    devices = ["a", "b", "c"]
    _, _, cloud, _ = sim_bench(bench, devices)
    bench.write_device("keyless", "sim", {"x": {}})
    bench.ctl("reload")
    bench.ctl("disconnect", "b")
    cloud.do("refuse", path="credentials", method="POST", device="c", code="4.00", times=0)
    text = refused(bench.ctl("rotate", "--all", status=None), 6, "keyless: failed: the device has no key yet",
                   "b: failed: b is disabled: connect it first", "c: abandoned: ")
    check(rotated(bench, devices) == ["a"], f"{rotated(bench, devices)}: {text}")
    cloud.do("clear")
    bench.ctl("connect", "b")
    refused(bench.ctl("rotate", "--all", "--compromised", status=None), 1, "a: failed: uplink cloud has no way to tell")


def bounded(bench):
    """Two at once, and no more."""
    devices = [f"d{i}" for i in range(8)]
    _, _, cloud, _ = sim_bench(bench, devices, rotation={"concurrent": 2, "rate": 1000})
    cloud.do("slow", path="credentials", method="POST", ms=1500, times=0)  # so long that one of them is seen
    path = begin(bench)
    most = 0
    while job(bench, path, "State") == "running":
        most = max(most, len(in_flight(bench)))
    check(most == 2, f"at most {most} were in flight")
    check(rotated(bench, devices) == devices, "and all were rotated")


def unending(bench):
    """A registrar that asks for ever to come again keeps its own devices waiting, and no others."""
    devices = ["a", "b", "c", "d", "e"]
    _, _, cloud, _ = sim_bench(bench, devices, rotation={"concurrent": 1, "rate": 1000})
    for d in devices[:2]:
        cloud.do("refuse", path="credentials", method="POST", device=d, code="5.03", max_age=1, times=0)
    path = begin(bench)
    wait_for("the others", lambda: rotated(bench, devices) == devices[2:], 60)
    wait_for("the job to know of them", lambda: job(bench, path, "Done") == 3)
    check(job(bench, path, "State") == "running", "it waits for those two")
    cloud.do("clear")
    for d in devices[:2]:
        bench.ctl("connect", d)  # again at once
    wait_job(bench, path, "done")


def cancelled(bench):
    devices = [f"d{i}" for i in range(8)]
    _, _, cloud, _ = sim_bench(bench, devices, rotation={"concurrent": 2, "rate": 1000})
    cloud.do("slow", path="credentials", method="POST", ms=8000, times=0)  # they are in flight when it is cancelled
    path = begin(bench)
    check(begin(bench) == path, "one that runs is joined")
    wait_for("two in flight", lambda: len(in_flight(bench)) == 2)
    bench.ctl("job", "cancel", path.rsplit("/", 1)[1])
    wait_job(bench, path, "cancelled")
    outcomes = [outcome for outcome, _ in results(bench, path).values()]
    check(sorted(outcomes) == ["cancelled"] * 6 + ["done"] * 2, f"those begun end, the others do not begin: {outcomes}")
    check(len(rotated(bench, devices)) == 2, "and no more")
    cloud.do("clear")
    again = begin(bench)
    wait_job(bench, again, "done")
    check(job(bench, again, "BatchId") != job(bench, path, "BatchId"), "another one is another one")


def gone_on_with(bench):
    """Killed in the middle, twice: the same batch goes on, and nobody gets two keys of it."""
    devices = [f"d{i}" for i in range(9)]
    agent, _, cloud, _ = sim_bench(bench, devices, rotation={"concurrent": 2, "rate": 1000})
    cloud.do("slow", path="credentials", method="POST", ms=500, times=0)
    cloud.do("refuse", path="credentials", method="POST", device=devices[-1], code="5.03", max_age=1, times=0)  # it is not over before the last kill
    path = begin(bench)
    batch = job(bench, path, "BatchId")
    for wanted in (2, 5):
        wait_for("some done", lambda n=wanted: len(rotated(bench, devices)) >= n)
        agent.kill()
        agent.start()
        bench.wait_agent(agent)
        path = "/org/gatehouse1/job/1"
        check(job(bench, path, "BatchId") == batch and job(bench, path, "Kind") == "rotate-all", "the same batch, a new job")
        check(job(bench, path, "Done") >= wanted, "what was done is known")
    cloud.do("clear")
    wait_job(bench, path, "done")
    check((job(bench, path, "Done"), job(bench, path, "Total")) == (9, 9), "all of them")
    check({o for o, _ in results(bench, path).values()} == {"done"}, results(bench, path))
    registered = [e["device"] for e in cloud.find_events("credential") if e["result"] == "added"]
    check(sorted(registered) == devices, f"one new key each: {sorted(registered)}")
    agent.stop()
    agent.start()
    bench.wait_agent(agent)
    check("rotate-all" not in bench.ctl("job", "list"), "and nothing is left to go on with")


def away(bench):
    """A cloud that is not there keeps the rotation waiting; when it is there, it goes on."""
    devices = ["a", "b", "c"]
    _, _, cloud, _ = sim_bench(bench, devices, rotation={"rate": 1000})
    cloud.kill()
    for d in devices:
        bench.wait_property(d, "State", lambda s: s != "online", 60)
    path = begin(bench)
    # Long enough for it to have begun, if it were to.
    seen = {d: bench.get(d, "Spooled") for d in devices}
    wait_for("samples that wait", lambda: all(bench.get(d, "Spooled") >= seen[d] + 10 for d in devices), 60)
    check(job(bench, path, "Done") == 0 and not in_flight(bench), "nothing is begun with nobody there")
    cloud.start()
    wait_job(bench, path, "done", 60)
    check(rotated(bench, devices) == devices, "all")


def window(bench):
    """Keys that came of age wait for their time of day; one that somebody asks for does not."""
    def hours(first, last):
        return "-".join(time.strftime("%H:%M", time.localtime(time.time() + 3600 * h)) for h in (first, last))
    closed = {"max_age": "2s", "window": hours(2, 3)}
    _, _, cloud, _ = sim_bench(bench, ("a", "b"), rotation=closed)
    bench.ctl("rotate", "b")
    wait_samples(cloud, "a", 40)  # for four seconds
    check(rotated(bench, ["a"]) == [], "not before its time")
    check(bench.get("a", "NextRotation") > (time.time() + 3600) * 1e6, "and that is shown")
    bench.write_config(cloud.url, rotation=dict(closed, window=hours(-1, 1)))
    bench.ctl("reload")
    wait_for("the rotation", lambda: rotated(bench, ["a"]))


if __name__ == "__main__":
    harness.main(everybody, partly, bounded, unending, cancelled, gone_on_with, away, window)
