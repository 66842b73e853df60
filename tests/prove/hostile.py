#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Attackers beside twenty healthy devices: do those notice, and does the agent pay?

usage: hostile.py [--seconds S] [--attack NAME]... [--asan-seconds S]

The agent, the drivers sim and modbus, and each attacker run as users of their own in namespaces of their own. Twenty healthy devices
of the two drivers report twice a second to a development cloud; an administrator writes to a twenty-first over the bus, and the
cloud to another. After S seconds of that, each attacker does for S seconds what hostile_NAME.py lists:

  driver   a driver: as each other user, with sessions mutated in every way
  caller   a user on the machine, over the bus
  cloud    the cloud of some other uplink, over CoAP and MQTT
  path     somebody on the path to a third cloud who holds the old keys of its devices

Of each attack is asserted, against the phase without one:

  samples   the healthy devices' samples taken in that time and arrived at most two seconds later: at least 99 %
  memory    the agent's highest resident set: at most 8 MiB more
  CPU       of the agent: at most 15 % of a core more
  turn      none of its loop over 20 ms on the processor, as it says at --debug, in a time of its own; what it waited within a
            turn, for another thread that had to wait for the processor, say, is shown beside it
  audit     each act of the administrator and of the healthy cloud succeeds and leaves its line in the journal
  journal   at most a tenth of the lines that journald lets through before it begins to drop (10,000 in 30 s)
  and what the attack wanted to gain, as its module says

Then a driver's mutated sessions are played for 200 s against an agent with AddressSanitizer and UBSan (built into build-asan): no report, no end.

The last line is JSON; status 0 only if all held. 77: cannot be proved on this machine or with this build.
"""
import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import hostile_attack
import hostile_ground

AGENT = "agent/gatehoused/gatehoused"
ASAN_OPTIONS = ("-Db_sanitize=address,undefined", "-Db_lundef=false", "-Doptimization=1")
HERE = os.path.dirname(os.path.abspath(__file__))
ATTACKS = ("driver", "caller", "cloud", "path")
SAMPLES_MIN, MEMORY_MAX, CPU_MAX, TURN_MAX = 0.99, 8, 15, 20
JOURNAL_MAX, JOURNAL_SECONDS = 1000, 30  # lines in at most so long
GRACE = 2
ACTS_EVERY = 0.5
ANSWERED_WITHIN, ECHOES = 5, 3  # seconds, and as often as long as the bus takes by itself
DEBUG_PART = 0.4  # of the seconds, for turns
STOOD_STILL, TRIES = GRACE / 2, 3


def say(text):
    print(text, flush=True)


class Echo:
    """Another service on the same bus, that answers Ping at once: how long the bus itself takes."""

    def __init__(self, bench, dbus):
        self.service = dbus.Client(bench)
        self.service.socket.settimeout(None)
        self.peer, self.slowest = dbus.PEER, 0
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        try:
            while True:
                self.service.keep(self.service.receive())
        except Exception:  # the connection was closed
            pass

    def ask(self, client):
        begun = time.monotonic()
        client.call("/", self.peer, "Ping", destination=self.service.name)
        took = time.monotonic() - begun
        self.slowest = max(self.slowest, took)
        return took

    def close(self):
        self.service.socket.shutdown(socket.SHUT_RDWR)


class Administrator:
    """Acts that must succeed and be written down: over the bus as root, and as the healthy cloud. Where the bus itself, as Echo sees it,
    does not deliver within ANSWERED_WITHIN, nothing can be said of the agent: counted as `unheard`."""

    def __init__(self, ground):
        import dbus_client
        self.echo, self.unheard = Echo(ground.bench, dbus_client), 0
        self.ground, self.client, self.dbus = ground, None, dbus_client
        self.number, self.done, self.refused, self.slowest = 100, [], [], 0

    def act(self):
        self.number += 1
        by_bus, by_cloud = self.ground.written
        begun = time.monotonic()
        try:
            if not self.client:
                self.client = self.dbus.Client(self.ground.bench)
                self.client.socket.settimeout(ANSWERED_WITHIN)
            bus = self.echo.ask(self.client)
            self.client.socket.settimeout(ANSWERED_WITHIN + ECHOES * bus)
            self.client.call(self.ground.harness.device_path(by_bus), "org.gatehouse1.Device", "Write", "sv", "set",
                             ("d", float(self.number)))
            self.done.append((by_bus, self.number))
        except OSError as e:
            self.not_answered(e)
        except self.dbus.Error as e:
            self.refused.append(str(e))
            self.disconnect()
        self.slowest = max(self.slowest, time.monotonic() - begun)
        self.ground.cloud.do("command", device=by_cloud, point="set", value=self.number)
        self.done.append((by_cloud, self.number))

    def not_answered(self, e):
        """Whether the bus answers now, for somebody else."""
        self.disconnect()
        try:
            with self.dbus.Client(self.ground.bench) as c:
                c.socket.settimeout(ANSWERED_WITHIN)
                self.echo.ask(c)
            self.refused.append(str(e))
        except OSError:
            self.unheard += 1

    def disconnect(self):
        if self.client:
            self.client.close()
        self.client = None

    def close(self):
        self.disconnect()
        self.echo.close()

    def unwritten(self, message_id):
        """Those without a line."""
        entries = {(e.get("GATEHOUSE_DEVICE"), e.get("MESSAGE", "")) for e in self.ground.journal.read()
                   if e.get("MESSAGE_ID") == message_id}
        return [(d, n) for d, n in self.done
                if not any(device == d and f" {n} written to set" in text for device, text in entries)]


class Proof:
    def __init__(self, ground, seconds):
        self.ground, self.seconds, self.figures, self.failed = ground, seconds, {}, []
        self.messages = self.message_ids()

    def message_ids(self):
        import re
        text = self.ground.harness.read(os.path.join(self.ground.harness.ROOT, "src", "base", "messages.h"))
        return dict(re.findall(r'#define MESSAGE_(\w+) "([0-9a-f]{32})"', text))

    def journal_lines(self):
        """Of all levels but debug."""
        return sum(level < 7 for level, _ in self.ground.lines()) + sum(
            e.get("PRIORITY", "7") < "7" for e in self.ground.journal.read())

    def phase(self, name, make):
        """What the agent does while the attack of make() (None: nobody's) goes on; then, for a while, how long its turns take."""
        g, f = self.ground, {}
        attack = self.begin(make)
        administrator = Administrator(g)
        g.forget_peak()
        lines, cpu, begun, begun_wall = self.journal_lines(), g.cpu(), time.monotonic(), time.time()
        fds = 0
        while time.monotonic() < begun + self.seconds:
            administrator.act()
            fds = max(fds, g.descriptors())
            time.sleep(max(0.0, min(ACTS_EVERY, begun + self.seconds - time.monotonic())))  # the rate of the acts
        ended_wall, took = time.time(), time.monotonic() - begun
        f["cpu_percent"] = round(100 * (g.cpu() - cpu) / took, 1)
        f["memory_mib"], f["descriptors"] = round(g.memory(), 1), fds
        f["journal_lines"] = self.journal_lines() - lines
        g.harness.wait_for("the end of the time for late samples", lambda: time.time() > ended_wall + GRACE, 10)
        if attack:
            f["during"] = attack.during()
            f["did"] = attack.stop()
        # Whole intervals: of the rest of one, some devices' sample is in it, and others' is not.
        whole = took * 1000 // hostile_ground.INTERVAL_MS * hostile_ground.INTERVAL_MS / 1000
        f["samples"] = g.samples(begun_wall, begun_wall + whole, GRACE)
        f["samples_a_second"] = round(f["samples"] / whole, 2)
        f["acts"], f["refused"] = len(administrator.done), administrator.refused[:3]
        f["slowest_act_ms"], f["slowest_echo_ms"] = round(administrator.slowest * 1000, 1), round(administrator.echo.slowest * 1000, 1)
        f["unheard"] = administrator.unheard
        f["unwritten"] = self.unwritten(administrator)
        administrator.close()
        self.calm()
        self.look_at_turns(make, f)
        g.harness.check(g.agent.alive(), f"the agent ended with status {g.agent.popen.poll()} during {name}")
        self.figures[name] = f
        return f

    def begin(self, make):
        attack = make() if make else None
        if attack:
            attack.start()
        return attack

    def look_at_turns(self, make, f):
        """In a time of its own: what the agent writes at --debug costs, too."""
        g = self.ground
        g.level("debug")
        mark, attack = len(g.lines()), self.begin(make)
        time.sleep(self.seconds * DEBUG_PART)  # as long as turns are looked at
        turns = g.turns(mark)
        if attack:
            attack.stop()
        f["longest_turn_ms"], f["turns_over_2_ms"] = max((cpu for _, cpu in turns), default=0), len(turns)
        f["longest_turn_with_waits_ms"] = max((took for took, _ in turns), default=0)
        self.calm()
        g.level("info")

    def unwritten(self, administrator):
        try:
            self.ground.harness.wait_for("every act in the journal", lambda: not administrator.unwritten(self.messages["WRITTEN"]), 10)
        except self.ground.harness.Failure:
            pass
        return len(administrator.unwritten(self.messages["WRITTEN"]))

    def judge(self, name, f, quiet, gained):
        share = f["samples_a_second"] / quiet["samples_a_second"]
        f["samples_share"] = round(share, 4)
        f["memory_more_mib"] = round(f["memory_mib"] - quiet["memory_mib"], 1)
        f["cpu_more_percent"] = round(f["cpu_percent"] - quiet["cpu_percent"], 1)
        f["gained"] = gained
        held = {f"samples at least {SAMPLES_MIN:.0%} ({share:.2%})": share >= SAMPLES_MIN,
                f"memory at most {MEMORY_MAX} MiB more ({f['memory_more_mib']})": f["memory_more_mib"] <= MEMORY_MAX,
                f"CPU at most {CPU_MAX} % of a core more ({f['cpu_more_percent']})": f["cpu_more_percent"] <= CPU_MAX,
                f"no turn over {TURN_MAX} ms ({f['longest_turn_ms']})": f["longest_turn_ms"] <= TURN_MAX,
                f"every act done and in the journal ({f['unwritten']} of {f['acts']} not; refused: {f['refused']})":
                    f["unwritten"] == 0 and not f["refused"] and f["acts"] > 0,
                f"journal at most {JOURNAL_MAX} lines in {JOURNAL_SECONDS} s ({f['journal_lines']})":
                    f["journal_lines"] <= JOURNAL_MAX * max(1, self.seconds / JOURNAL_SECONDS),
                f"nothing gained ({gained})": not gained}
        for what, ok in held.items():
            say(f"  {'held' if ok else 'FAILED'}: {name}: {what}")
            if not ok:
                self.failed.append(f"{name}: {what}")

    def attacked(self, name, module, quiet):
        """Once; again where samples alone were late, and this machine did not run for a while that a sample has to arrive in."""
        from pulse import Pulse
        for left in reversed(range(TRIES)):
            mark = len(self.failed)
            with Pulse() as pulse:
                f = self.phase(name, lambda: module.attack(self.ground))
            say(f"  {f}")
            gained = module.gained(self.ground, f["did"]) if hasattr(module, "gained") else []
            self.judge(name, f, quiet, [*f["during"], *hostile_attack.broken(f["did"]), *gained])
            only_late = self.failed[mark:] and all(what.startswith(f"{name}: samples ") for what in self.failed[mark:])
            if not only_late or pulse.longest < STOOD_STILL or not left:
                return
            del self.failed[mark:]
            say(f"  again: nothing ran here for {pulse.longest:.1f} s")

    def calm(self):
        """Until what was the last attack's doing is over."""
        g = self.ground
        g.harness.wait_for("the agent to answer", g.bench.answers, 60)
        for d in [*g.healthy, *g.written]:
            g.bench.wait_property(d, "State", "online", 60)


def build_asan():
    """Only the agent; the directory is that of ./dev test."""
    directory = os.path.join(hostile_ground.ROOT, "build-asan")
    if not os.path.exists(os.path.join(directory, "build.ninja")):
        subprocess.run(["meson", "setup", directory, *ASAN_OPTIONS], cwd=hostile_ground.ROOT, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "--quiet", "-C", directory, AGENT], check=True)
    return directory


def under_sanitizers(harness, seconds):
    """The driver's sessions against an agent with AddressSanitizer and UBSan: what did not hold, and what was done."""
    import hostile_driver
    ground, failed = hostile_ground.Ground(harness, os.path.join(hostile_ground.ASAN_HERE, AGENT)), []
    ground.seconds = seconds
    try:
        ground.prepare()
        hostile_driver.prepare(ground)
        ground.start()
        hostile_driver.settle(ground)
        attack, begun = hostile_driver.mutated(ground), time.time()
        attack.start()
        end = time.monotonic() + seconds
        while time.monotonic() < end and ground.agent.alive():
            time.sleep(0.2)  # as long as it is played
        did = attack.stop()
        if ground.agent.alive():
            failed += [*hostile_attack.broken(did), *hostile_driver.gained(ground, did)]
            harness.wait_for("samples of the healthy devices to the end", lambda: ground.samples(time.time() - 3, time.time(), 1) >= 20, 20)
            ground.agent.stop(60)
        else:
            failed.append(f"the agent ended with status {ground.agent.popen.poll()}")
        report = [line for line in harness.read(ground.agent.err).splitlines() if "Sanitizer" in line or "runtime error:" in line]
        failed += report[:3]
        if report:
            say(harness.read(ground.agent.err)[-8000:])
        return failed, {"seconds": round(time.time() - begun, 1), "did": did}
    finally:
        ground.close()


def run(ground, options, figures):
    modules = {name: __import__(f"hostile_{name}") for name in options.attack}
    ground.prepare()
    for module in modules.values():
        if hasattr(module, "prepare"):
            module.prepare(ground)
    ground.start()
    ground.seconds = options.seconds
    proof = Proof(ground, options.seconds)
    proof.figures = figures
    for module in modules.values():
        if hasattr(module, "settle"):
            module.settle(ground)
    say(f"nobody attacks, for {options.seconds:g} s")
    quiet = proof.phase("undisturbed", None)
    say(f"  {quiet}")
    for name, module in modules.items():
        say(f"{name} attacks, for {options.seconds:g} s")
        proof.attacked(name, module, quiet)
    found = ground.bench.find_keys()
    if found:
        proof.failed.append(f"a key stands in {', '.join(found)}")
    return proof.failed


def main():
    parser = argparse.ArgumentParser(prog="./dev prove hostile")
    parser.add_argument("--seconds", type=float, default=30, help="of each attack, and of the time without one")
    parser.add_argument("--asan-seconds", type=float, default=200, help="of mutated sessions against the agent with sanitizers; 0: none")
    parser.add_argument("--attack", action="append", choices=ATTACKS, help="only this one; may be repeated")
    options = parser.parse_args()
    options.attack = options.attack or list(ATTACKS)
    build = os.environ.get("GATEHOUSE_BUILD") or os.environ.get("BUILD_DIR") or os.path.join(HERE, "..", "..", "build")
    with_asan = options.asan_seconds > 0 and "driver" in options.attack
    if with_asan and os.geteuid() == 0 and hostile_ground.INSIDE not in os.environ:
        build_asan()
    why = hostile_ground.enter(os.path.abspath(build), os.path.join(hostile_ground.ROOT, "build-asan") if with_asan else None)
    if why:
        say(json.dumps({"hostile": "skipped", "why": why}))
        return 77
    harness = hostile_ground.import_harness()
    if harness.STRETCH > 1:
        say(json.dumps({"hostile": "skipped", "why": "a build with sanitizers says nothing about memory and CPU"}))
        return 77
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started, figures, failed, result = time.monotonic(), {}, ["not finished"], {}
    ground = hostile_ground.Ground(harness)
    try:
        failed = run(ground, options, figures)
    except harness.Failure as e:
        ground.bench.tails()
        result["why"] = str(e)
    finally:
        ground.close()
    if with_asan and not result:
        say(f"a driver's sessions against an agent with sanitizers, for {options.asan_seconds:g} s")
        try:
            more, figures["sanitizers"] = under_sanitizers(harness, options.asan_seconds)
        except harness.Failure as e:
            more = [str(e)]
        say(f"  {'FAILED' if more else 'held'}: sanitizers: {more or 'no report'}")
        failed = [*failed, *(f"sanitizers: {what}" for what in more)]
    say(json.dumps({"hostile": "failed" if failed else "ok", "failed": failed, **result, **figures,
                    "seconds": round(time.monotonic() - started, 1)}))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
