#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Quiesce: once its job is done the power may go, and nothing is lost that a driver was told to be safe; no rotation begins until it is
over."""
import os
import signal

import harness
from agent_bench import SmallDisk, sim_bench
from dbus_client import Client, Error
from harness import check, device_path, wait_for

MANAGER, DEVICE, JOB = ("org.gatehouse1." + n for n in ("Manager", "Device", "Job"))
ROOT = "/org/gatehouse1"
COUNTER = {"n": {"signal": "counter"}}


def of_job(client, job, name):
    return client.call(job, "org.freedesktop.DBus.Properties", "Get", "ss", JOB, name)[0].value


def state(client, job):
    return of_job(client, job, "State")


def quiesce(client, **options):
    job, = client.call(ROOT, MANAGER, "Quiesce", "a{sv}", {k: ("u", v) for k, v in options.items()})
    wait_for("the job's end", lambda: state(client, job) != "running")
    return state(client, job)


def power_goes(bench):
    """The cloud hears and does not answer, so that samples are only in memory for the next seconds; then the agent is killed."""
    agent, _, cloud, _ = sim_bench(bench, points=COUNTER, interval="50ms")
    cloud.wait_event("sample", device="boiler-1")
    cloud.popen.send_signal(signal.SIGSTOP)
    with Client(bench) as c:
        bench.wait_property("boiler-1", "Spooled", lambda n: n >= 10)
        check(quiesce(c) == "done", "quiesced")
        waiting = bench.get("boiler-1", "Spooled")
        agent.kill()
    cloud.popen.send_signal(signal.SIGCONT)
    agent.start()
    bench.wait_agent(agent)
    bench.wait_property("boiler-1", "State", "online")

    def arrived():
        return {s["value"] for s in cloud.samples("boiler-1", "n")}
    before = len(arrived())
    wait_for(lambda: f"what waited: {len(arrived())} values", lambda: len(arrived()) >= before + waiting)
    values = sorted(arrived())
    check(values == list(range(int(values[0]), int(values[0]) + len(values))), f"without a gap: {values}")


def no_rotation_begins(bench):
    agent, _, _, _ = sim_bench(bench, ("a", "b"))
    with Client(bench) as c:
        before = [bench.get(d, "MainIdentity") for d in "ab"]
        check(quiesce(c) == "done", "quiesced")
        try:
            c.call(device_path("a"), DEVICE, "Rotate", "a{sv}", {})
            raise harness.Failure("it rotates")
        except Error as e:
            check(e.name.endswith(".Busy") and "quiesced" in e.text, e)
        job, = c.call(ROOT, MANAGER, "RotateAll", "a{sv}", {})
        bench.call(None, "Reload")
        check(state(c, job) == "running" and [bench.get(d, "MainIdentity") for d in "ab"] == before, "they wait")
        check(quiesce(c, seconds=0) == "done" and "no longer quiesced" in agent.text(), "over")
        wait_for("the rotation of all", lambda: state(c, job) == "done")
        check(not set(before) & {bench.get(d, "MainIdentity") for d in "ab"}, "each has another key")


def ends_by_itself(bench):
    agent, _, _, _ = sim_bench(bench)
    with Client(bench) as c:
        check(quiesce(c) == "done", "quiesced")
        # Of this one only the end counts: whether the disk has settled by then is not promised.
        c.call(ROOT, MANAGER, "Quiesce", "a{sv}", {"seconds": ("u", 1)})
        wait_for("its end", lambda: "no longer quiesced" in agent.text())
        bench.ctl("rotate", "boiler-1")
        for wrong in ({"seconds": ("u", 86401)}, {"hours": ("u", 1)}, {"seconds": ("s", "x")}):
            try:
                c.call(ROOT, MANAGER, "Quiesce", "a{sv}", wrong)
                raise harness.Failure(f"taken: {wrong}")
            except Error as e:
                check("InvalidArg" in e.name, f"{wrong}: {e}")


def disk_full(bench):
    """What is open cannot be made durable: the job ends and says why. With room again the next one is done."""
    if os.geteuid() != 0:
        print("skipped: only root can mount")
        return
    with SmallDisk(bench.state) as disk:
        agent, _, cloud, _ = sim_bench(bench, points=COUNTER, interval="50ms", spool={"durability": "always"})
        cloud.wait_event("sample", device="boiler-1")
        cloud.popen.send_signal(signal.SIGSTOP)
        disk.fill()
        agent.wait_text("samples cannot be kept: ")
        bench.wait_property("boiler-1", "Spooled", lambda n: n >= 1)
        with Client(bench) as c:
            job, = c.call(ROOT, MANAGER, "Quiesce", "a{sv}", {"seconds": ("u", 1)})
            wait_for("the job's end", lambda: state(c, job) != "running")
            results = [{k: v.value for k, v in r.items()} for r in of_job(c, job, "Results")]
            check(state(c, job) == "failed" and [r["outcome"] for r in results] == ["failed"], results)
            check("disk is full" in results[0]["reason"], results)
            disk.empty()
            check(quiesce(c) == "done", "quiesced")
        cloud.popen.send_signal(signal.SIGCONT)


if __name__ == "__main__":
    harness.main(power_goes, no_rotation_begins, ends_by_itself, disk_full)
