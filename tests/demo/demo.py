#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The main job, to look at: three Modbus devices, the agent, a development cloud on loopback.

usage: demo.py [--serial] [--for SECONDS]

With --serial the three are on one serial line, a pseudo terminal at 19200 baud. Without --for it stays until Ctrl-C. With it, status 0 means: samples of every device arrived over its own session, the register
was written, the rotation finished, and every value that the Modbus server served is in the cloud, none twice. The last line is
JSON with the figures.
"""
import argparse
import json
import os
import signal
import sys
import time

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [os.path.join(TESTS, "integration"), os.path.join(TESTS, "prove")]
import harness  # noqa: E402
from harness import check, wait_for  # noqa: E402
from lines import Gateway, Line  # noqa: E402

DEVICES = ("boiler-1", "boiler-2", "boiler-3")
WRITTEN, ROTATED = "boiler-1", "boiler-2"
SETPOINT = 22.5
COUNTER = ("input", 2)


def say(text=""):
    print(text, flush=True)


class Show:
    """Prints what the cloud sees, as it comes."""

    def __init__(self, cloud):
        self.cloud, self.seen = cloud, 0

    def step(self):
        events = self.cloud.events()
        for e in events[self.seen:]:
            if e["event"] == "session":
                say(f"  cloud  {e['device']}: session of identity {e['identity']}, {e['suite']}, forward secrecy "
                    f"{'yes' if e['forward_secrecy'] else 'no'}")
            elif e["event"] == "sample":
                say(f"  cloud  {e['device']}: {e['name']} = {e['value']} {e.get('unit', '')}")
            elif e["event"] in ("credential", "deleted"):
                say(f"  cloud  {e['device']}: {'learnt' if e['event'] == 'credential' else 'deleted'} credential "
                    f"{e.get('identity', e.get('id'))}")
        self.seen = len(events)


def follow(show, what, condition, seconds):
    def step():
        show.step()
        return condition()
    return wait_for(what, step, seconds)


def write_files(bench, cloud, url):
    # Both ends have one clock, which nobody may have set: on a new board, under qemu-user.
    bench.write_config(cloud.url, rotation={"retire_after": "3s"}, clock="trust")
    for unit, device in enumerate(DEVICES, 1):
        bench.write_device(device, "modbus", url=url, unit=unit, interval="1s", points={
            "flow_temp": {"table": "input", "address": 0, "type": "int16", "scale": 0.1, "unit": "Cel"},
            "reads": {"table": "input", "address": 2, "type": "uint16"},
            "setpoint": {"table": "holding", "address": 10, "type": "int16", "scale": 0.1, "unit": "Cel",
                         "writable": True, "min": 5, "max": 30}})


def start(bench, serial):
    say(f"Starting {'a serial line' if serial else 'a Modbus TCP server'} with three devices, a development cloud, the agent and its "
        "Modbus driver,")
    say("all on this machine, on a D-Bus of their own.")
    keys = {device: bench.new_key() for device in DEVICES}
    modbus = bench.modbus_server(devices=len(DEVICES))
    cloud = bench.devcloud([(f"first-{i}", keys[d], d) for i, d in enumerate(DEVICES, 1)])
    url = f"tcp://127.0.0.1:{modbus.port}"
    if serial:
        url = f"rtu:{Line(Gateway(modbus.port)).path}?baud=19200&parity=even"
        say(f"The line is {url}")
    write_files(bench, cloud, url)
    bench.agent()
    driver = bench.driver("modbus")
    for i, device in enumerate(DEVICES, 1):
        bench.key_set(device, f"first-{i}", keys[device])
    say("Each device has a key of its own, which the cloud knows. To look around from another terminal:")
    say(f"  export DBUS_SYSTEM_BUS_ADDRESS={bench.env['DBUS_SYSTEM_BUS_ADDRESS']}")
    say(f"  {harness.program('agent/gatehousectl/gatehousectl')} show {ROTATED}")
    say()
    return modbus, cloud, driver


def write_register(bench, show, modbus):
    say(f"\nWriting {SETPOINT} to the set-point of {WRITTEN} (gatehousectl write {WRITTEN} setpoint {SETPOINT})")
    bench.ctl("write", WRITTEN, "setpoint", str(SETPOINT))
    unit = DEVICES.index(WRITTEN) + 1
    served = modbus.served(unit, "holding", 10, verb="write")
    check(served and served[-1][1] == round(SETPOINT * 10), f"the Modbus server has {served[-1:]} in the register")
    say(f"  modbus unit {unit}: holding register 10 = {served[-1][1]}")
    follow(show, "the new set-point in the cloud",
           lambda: any(s["value"] == SETPOINT for s in show.cloud.samples(WRITTEN, "setpoint")), 10)


def rotate(bench, show):
    before = bench.get(ROTATED, "MainIdentity")
    say(f"\nRotating the key of {ROTATED} while it reports (gatehousectl rotate {ROTATED})")
    mark = show.cloud.mark()
    bench.ctl("rotate", ROTATED)
    after = bench.get(ROTATED, "MainIdentity")
    check(after and after != before, f"main is still {after}")
    follow(show, "a sample over the new key's session",
           lambda: show.cloud.find_events("sample", since=mark, device=ROTATED, identity=after), 10)
    say(f"  {ROTATED}: identity {before} -> {after}; the old key is kept until the cloud has deleted it\n")


def compare(bench, modbus, cloud):
    """Every value that was served against every one that arrived, per device."""
    figures = {}
    for unit, device in enumerate(DEVICES, 1):
        served = [value for _, value in modbus.served(unit, *COUNTER)]
        dropped = bench.get(device, "Dropped") + bench.get(device, "Rejected")
        wait_for(lambda d=device, n=len(served): f"{n} values of {d} in the cloud; "
                 f"{len({s['value'] for s in cloud.samples(d, 'reads')})} are",
                 lambda d=device, s=served: len({v['value'] for v in cloud.samples(d, 'reads')}) + dropped >= len(s), 10)
        arrived = [s["value"] for s in cloud.samples(device, "reads")]
        figures[device] = {"served": len(served), "arrived": len(arrived), "lost": len(set(served) - set(arrived)),
                           "twice": len(arrived) - len(set(arrived)), "dropped": dropped,
                           "in_order": arrived == sorted(arrived)}
    return figures


def run(bench, serial, seconds):
    started = time.monotonic()
    modbus, cloud, driver = start(bench, serial)
    show = Show(cloud)
    follow(show, "samples of every device", lambda: all(cloud.samples(d, "reads") for d in DEVICES), 15)
    write_register(bench, show, modbus)
    rotate(bench, show)
    if seconds is None:
        say("Samples go on arriving. Ctrl-C ends it.\n")
    while seconds is None or time.monotonic() < started + seconds:
        show.step()
        time.sleep(0.05)
    # No more is read from here on, so what was served can be compared with what arrived.
    driver.stop()
    figures = compare(bench, modbus, cloud)
    show.step()
    identities = {d: bench.get(d, "MainIdentity") for d in DEVICES}
    found = bench.find_keys()
    ok = not found and len(set(identities.values())) == len(DEVICES) and \
        all(f["arrived"] and not f["lost"] and not f["twice"] and f["in_order"] for f in figures.values())
    say(f"\n{'Every value served has arrived once, in order.' if ok else 'Not everything held.'}")
    say(json.dumps({"demo": "ok" if ok else "failed", "devices": figures, "identities": identities, "rotated": ROTATED,
                    "keys_in_logs": found}))
    return 0 if ok else 1


def main():
    parser = argparse.ArgumentParser(prog="./dev demo")
    parser.add_argument("--for", dest="seconds", type=float, help="end by itself after so many seconds")
    parser.add_argument("--serial", action="store_true", help="the devices are on one serial line")
    options = parser.parse_args()
    bench = harness.Bench()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return run(bench, options.serial, options.seconds)
    except KeyboardInterrupt:
        say("\nEnded.")
        return 0
    except harness.Failure as e:
        say(f"\nThe demo failed: {e}")
        bench.tails()
        say(json.dumps({"demo": "failed", "why": str(e)}))
        return 1
    finally:
        bench.remove()


if __name__ == "__main__":
    sys.exit(main())
