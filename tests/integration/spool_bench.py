# SPDX-License-Identifier: LGPL-2.1-or-later
"""What tests and proofs of the spool share: counters of the sim plugin, and what of them has arrived.

A device's counter goes on by one a report, and the driver keeps what it was not answered for. So, as long as the driver runs, a
number that never arrives is a sample that it was answered for and that was lost."""
import contextlib
import os
import sqlite3

from harness import check, wait_for

COUNTER = {"signal": "counter"}


def arrived(cloud, device, name="n"):
    """(number, time) of each sample, in the order of arrival, repeats included."""
    return [(int(s["value"]), s["time"]) for s in cloud.samples(device, name)]


def lost(numbers):
    """Those that are missing below the largest."""
    return sorted(set(range(max(numbers, default=-1) + 1)) - set(numbers))


def out_of_order(numbers):
    """Numbers that came for the first time after a larger one had."""
    seen, largest, found = set(), -1, []
    for n in numbers:
        if n not in seen and n < largest:
            found.append(n)
        seen.add(n)
        largest = max(largest, n)
    return found


def other_times(samples):
    """Numbers that came again with another time, and both: not the same sample to the cloud."""
    times = {}
    return sorted({(n, times[n], time) for n, time in samples if times.setdefault(n, time) != time})


def check_whole(cloud, device, allowed=0, same=True):
    """All numbers below the largest are there, in order, and (`same`) a repeat is the same sample; how many numbers there are."""
    samples = arrived(cloud, device)
    numbers = [n for n, _ in samples]
    missing = lost(numbers)
    check(len(missing) <= allowed, f"{device}: {len(missing)} of {max(numbers, default=-1) + 1} are lost: {missing[:20]}")
    check(not out_of_order(numbers), f"{device}: out of order: {out_of_order(numbers)[:20]}")
    check(not same or not other_times(samples), f"{device}: came again with other times: {other_times(samples)[:20]}")
    return len(set(numbers))


def wait_spooled(bench, devices, count, seconds=20):
    for device in devices:
        bench.wait_property(device, "Spooled", lambda n: n >= count, seconds)


def wait_drained(bench, devices, seconds=60):
    """Until what waited is with the cloud; of what comes meanwhile some is always on its way, more on a slow machine."""
    for device in devices:
        wanted = bench.get(device, "Delivered") + bench.get(device, "Spooled")
        wait_for(f"{device} to be drained", lambda d=device, n=wanted: bench.get(d, "Spooled") < 20 or bench.get(d, "Delivered") >= n, seconds)


def finish(bench, driver, devices, seconds=60):
    """The driver hands over what it has, and all of it arrives."""
    driver.stop()
    for device in devices:
        bench.wait_property(device, "Spooled", 0, seconds)


def spool_file(bench):
    return os.path.join(bench.state, "spool.db")


def rows(bench, sql):
    """Of the file of an agent that is stopped."""
    with contextlib.closing(sqlite3.connect(spool_file(bench))) as db:
        return db.execute(sql).fetchall()


def wait_file(bench, seconds=10):
    wait_for("the spool's file", lambda: os.path.exists(spool_file(bench)), seconds)
