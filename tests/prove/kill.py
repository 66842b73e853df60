#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""kill -9 of the agent at random moments of rotations, while the cloud misbehaves: does the promise hold?

usage: kill.py [--cuts N] [--seed S] [--first-episode E] [--keep]

Several devices rotate at once against gatehouse-devcloud, which keeps what it registered, and which is slow, refuses, and loses
requests before or after it has carried them out. The agent is killed, and looked at before and after it is started again:

  - every slot of the vault opens, with the agent dead (in a copy, so that the agent has its own recovery to do) and alive;
  - every credential that the cloud accepts, and whose deletion it has not confirmed, is in the vault, key for key;
  - every device has a message accepted over a new session within 60 s of the cloud being there;
  - at an episode's end every rotation that nothing holds back comes to its end.

An episode has devices and a cloud of its own, and its own random numbers, made from seed and number: it runs alone with
--cuts 1 --seed S --first-episode E. Cuts are counted by the rotation states that were durable at the cut. The last line is JSON;
status 0 only if everything held and, from 200 cuts on, no state was without a cut.
"""
import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "integration"))
import dbus_client  # noqa: E402
import harness  # noqa: E402
from harness import Failure, check, wait_for  # noqa: E402

STATES = ("staged", "offered", "probing", "swapped", "retiring", "abandoning")
ALL_STATES_FROM = 200  # cuts
ONLINE_SECONDS = 60
END_SECONDS = 150  # a request whose answer was lost is given up after 93 s (RFC 7252, MAX_TRANSMIT_WAIT), then tried again
DEVICES = 24
CUTS_PER_EPISODE = 10
VIOLATIONS_ENOUGH = 20
AIM_SECONDS = 4  # to wait for the state aimed at
ROOT = "/org/gatehouse1"
DEVICE = "org.gatehouse1.Device"


def say(text):
    print(text, flush=True)


class Faults:
    """What the cloud does to a device from now on, drawn for an aim."""

    def __init__(self, cloud, rng):
        self.cloud, self.rng = cloud, rng

    def add(self, device, command, path, method=None, **arguments):
        if method:
            arguments["method"] = method
        self.cloud.do(command, device=device, path=path, **arguments)

    def lose_or_slow(self, device, path, method, codes, ms=(300, 1500)):
        """Of a request: answered late, refused some times, lost on its way there or back."""
        kind = self.rng.choice(("slow", "slow", "refuse", "lose-before-apply", "lose-after-apply"))
        if kind == "slow":
            self.add(device, kind, path, method, ms=self.rng.randint(*ms), times=self.rng.randint(1, 2))
        elif kind == "refuse":
            # Max-Age: how long the cloud asks to be left alone; a minute where it does not say.
            self.add(device, kind, path, method, code=self.rng.choice(codes), times=self.rng.randint(1, 2), max_age=1)
        else:
            self.add(device, kind, path, method, times=self.rng.randint(1, 2))

    def staged(self, device):
        pass

    def offered(self, device):
        self.lose_or_slow(device, "credentials", "POST", ("5.03", "5.00", "4.29"))

    def probing(self, device):
        self.lose_or_slow(device, "telemetry", None, ("5.03", "5.00", "4.03", "4.01"))

    def swapped(self, device):
        if self.rng.random() < 0.3:
            self.probing(device)

    def retiring(self, device):
        self.lose_or_slow(device, "credentials", "DELETE", ("5.03", "5.00", "4.29"), ms=(500, 2000))

    def abandoning(self, device):
        """Refused for good."""
        self.add(device, "refuse", "credentials", "POST", code=self.rng.choice(("4.09", "4.00")), times=1)

    def not_accepted(self, device):
        """The key is taken, but no message with it is: time for the operator to change his mind."""
        self.add(device, "refuse", "telemetry", code="5.03", times=0, max_age=1)

    def anywhere(self, device):
        for aim in self.rng.sample(("offered", "probing", "retiring", "abandoning"), self.rng.randint(0, 2)):
            getattr(self, aim)(device)


class Episode:
    def __init__(self, seed, number, tally):
        self.number, self.tally, self.rng = number, tally, random.Random(f"{seed}/{number}")
        self.bench, self.cut, self.forgotten, self.violated = harness.Bench(), 0, set(), False
        self.devices = [f"d{i:02d}" for i in range(DEVICES)]

    # --- setting up ---

    def start(self):
        keys = {d: self.bench.new_key() for d in self.devices}
        self.cloud = self.bench.devcloud([(f"first-{d}", keys[d], d) for d in self.devices])
        self.bench.write_config(self.cloud.url, uplink={"admission": "unlimited"}, rotation={"retire_after": "1s"})
        for d in self.devices:
            self.bench.write_device(d, "sim", {"n": {"signal": "counter"}}, interval="1s")
        self.agent = self.bench.agent()
        self.bench.driver("sim")
        self.bench.set_keys((d, f"first-{d}", keys[d]) for d in self.devices)
        self.bus = dbus_client.Client(self.bench)
        self.faults = Faults(self.cloud, self.rng)
        self.await_online(time.monotonic(), 0, 0)

    def violation(self, text):
        text = f"episode {self.number}, cut {self.cut}: {text}"
        say(f"VIOLATION {text}")
        self.violated = True
        self.tally.violations.append(text)

    # --- looking ---

    def properties(self):
        """Of each device, by id."""
        objects, = self.bus.call(ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
        found = ({k: v[1] for k, v in o[DEVICE].items()} for o in objects.values() if DEVICE in o)
        return {p["Id"]: p for p in found}

    def rotation_state(self, device):
        (_, state), = self.bus.call(harness.device_path(device), "org.freedesktop.DBus.Properties", "Get", "ss", DEVICE,
                                    "RotationState")
        return state

    def look(self):
        """What is durable, from a copy of the dead agent's vault."""
        copy = self.bench.path("copy")
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.bench.state, copy)
        done = subprocess.run([harness.program("tests/tools/vault-look"), os.path.join(copy, "vault.db"),
                               self.bench.keyfile], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30)
        check(done.returncode == 0, f"the vault does not open: {done.stderr.decode(errors='replace')}")
        return json.loads(done.stdout)

    def check_dead(self):
        """Every slot readable, and whatever the cloud has in the vault; the durable states."""
        look = self.look()
        for problem in look["problems"]:
            self.violation(f"vault: {problem}")
        entries = {e["device"]: e for e in look["entries"]}
        for c in self.cloud.do("credentials")["credentials"]:
            slots = [s for s in (entries[c["device"]]["main"], entries[c["device"]]["backup"]) if s]
            if (c["identity"], c["fingerprint"]) not in [(s["identity"], s.get("key")) for s in slots]:
                self.violation(f"{c['device']}: the cloud accepts {c['identity']}, the vault "
                               f"({entries[c['device']]['rotation']}) has {[s['identity'] for s in slots]}")
        return entries

    def check_alive(self):
        """The same by D-Bus. What came or went meanwhile is in only one of the cloud's two lists."""
        before = {(c["device"], c["identity"]) for c in self.cloud.do("credentials")["credentials"]}
        shown = self.properties()
        after = {(c["device"], c["identity"]) for c in self.cloud.do("credentials")["credentials"]}
        for device, identity in sorted(before & after):
            p = shown[device]
            if identity not in (p["MainIdentity"], p["BackupIdentity"]):
                self.violation(f"{device}: the cloud accepts {identity}, the agent ({p['RotationState']}) shows "
                               f"{p['MainIdentity']!r}, {p['BackupIdentity']!r}")
        verified = self.bench.ctl("vault", "verify", status=None)
        if verified.returncode != 0:
            self.violation(f"vault verify: {verified.stdout.decode()}{verified.stderr.decode()}")

    def accepted(self, born, mark):
        """Devices that had a message accepted after `mark`, and a session of the agent that was started at `born`."""
        met, accepted = set(), set()
        for i, e in enumerate(self.cloud.events()[born:], born):
            if e["event"] == "session":
                met.add(e["device"])
            elif e["event"] in ("probe", "sample") and i >= mark and e["device"] in met:
                accepted.add(e["device"])
        return accepted

    def await_online(self, since, born, mark):
        """Every device online as the cloud sees it; `since`: when the cloud was there."""
        limit = ONLINE_SECONDS * harness.STRETCH
        while True:
            check(self.agent.alive(), f"the agent ended with status {self.agent.popen.poll()}")
            missing = set(self.devices) - self.accepted(born, mark)
            if not missing and self.bench.get(None, "Online") == len(self.devices):
                break
            if time.monotonic() > since + limit:
                shown = self.properties()
                for d in sorted(missing) or self.devices:
                    p = shown[d]
                    self.violation(f"{d} is not online {limit} s after the cloud was there: {p['State']}, "
                                   f"{p['RotationState']}, {p['LastError']}")
                return
            time.sleep(0.01)
        self.tally.online_seconds.append(time.monotonic() - since)

    # --- a cut ---

    def rotate(self, devices):
        for d in devices:
            self.bus.send(harness.device_path(d), DEVICE, "Rotate", "a{sv}", [{}], harness.BUS_NAME)

    def await_state(self, devices, state):
        """Until one of them is in that state; those that are. Nobody within a while: the cut falls elsewhere."""
        end = time.monotonic() + AIM_SECONDS * harness.STRETCH
        while time.monotonic() < end:
            there = [d for d in devices if self.rotation_state(d) == state]
            if there:
                return there
            time.sleep(0.005)
        return []

    def aim(self, state, actors):
        """Rotations up to the moment of the cut."""
        changes_his_mind = state == "abandoning" and self.rng.random() < 0.7
        for d in actors:
            getattr(self.faults, "not_accepted" if changes_his_mind else state)(d)
        self.rotate(actors)
        if changes_his_mind:
            self.change_mind(actors)
        elif state == "anywhere":
            time.sleep(self.rng.uniform(0, 3))
        elif state == "staged":
            time.sleep(self.tally.staged_delay * self.rng.uniform(0.5, 1.5))
        else:
            self.await_state(actors, state)
            time.sleep(self.rng.uniform(0, 0.8))

    def change_mind(self, actors):
        """The operator gives up keys that the cloud has taken; their deletion takes its time."""
        probing = self.await_state(actors, "probing")
        time.sleep(self.rng.uniform(0.05, 0.2))
        self.cloud.do("clear")
        for d in probing:
            self.forgotten.add(d)
            self.faults.retiring(d)
            self.bus.send(harness.device_path(d), DEVICE, "ForgetCredential", "sa{sv}", ["backup", {}], harness.BUS_NAME)
        self.await_state(probing, "abandoning")
        time.sleep(self.rng.uniform(0, 0.8))

    def cloud_meanwhile(self):
        """Before and while the agent starts: the cloud is there at once, later, or begins anew."""
        kind = self.rng.choice(("there",) * 5 + ("faults stay", "silent", "restarted"))
        if kind == "there":
            self.cloud.do("clear")
        elif kind == "silent":
            self.cloud.do("silence", ms=60000)
        elif kind == "restarted":
            self.cloud.kill()
        return kind

    def cloud_back(self, kind):
        """From now on nothing is wrong with the cloud; a mark in its events."""
        if kind != "there":
            time.sleep(self.rng.uniform(0.2, 1.5))
        if kind == "restarted":
            self.cloud.start()
        mark = self.cloud.mark()
        self.cloud.do("clear")
        return mark

    def run_cut(self, state, actors):
        self.aim(state, actors)
        self.agent.kill()
        entries = self.check_dead()
        self.tally.count({e["rotation"] for e in entries.values()})
        if state == "staged":
            self.tally.learn({entries[d]["rotation"] for d in actors})
        kind = self.cloud_meanwhile()
        born = mark = self.cloud.mark()
        self.agent.start()
        self.bench.wait_agent(self.agent, ONLINE_SECONDS)
        if kind != "there":
            mark = self.cloud_back(kind)
        there = time.monotonic()
        self.await_online(there, born, mark)
        self.check_alive()
        say(f"  cut {self.cut} aimed at {state}, cloud {kind}: {', '.join(entries[d]['rotation'] for d in actors)}; "
            f"online after {time.monotonic() - there:.2f} s")

    def run(self, aims, cuts):
        """As many cuts as there are devices left to rotate; how many there were."""
        self.start()
        for self.cut in range(1, min(cuts, CUTS_PER_EPISODE) + 1):
            shown = self.properties()
            idle = [d for d in self.devices if shown[d]["RotationState"] == "idle"]
            if len(idle) < 3:
                self.cut -= 1
                break
            state = aims(self.rng)
            many = self.rng.randint(4, 8) if state == "staged" else self.rng.randint(2, 5)
            self.run_cut(state, self.rng.sample(idle, min(many, len(idle))))
            if self.violated:
                return self.cut
        self.end()
        return self.cut

    # --- the end ---

    def end(self):
        """With a cloud at its best every rotation gets to its swap; but one that the operator gave up may wait an hour for
        an offer that may still arrive."""
        def under_way():
            return [d for d in self.devices if d not in self.forgotten
                    and self.rotation_state(d) in ("staged", "offered", "probing")]
        try:
            wait_for("the rotations' end", lambda: not under_way(), END_SECONDS)
        except Failure:
            for d in under_way():
                p = self.properties()[d]
                self.violation(f"{d} does not get on: {p['RotationState']}, {p['LastError']}")
        self.bus.close()
        self.tally.rotations += sum(e["event"] == "credential" and e["result"] == "added" for e in self.cloud.events())
        self.tally.deletions += len(self.cloud.find_events("deleted"))
        found = self.bench.find_keys(self.bench.generated_keys())
        if found:
            self.violation(f"a key stands in {', '.join(found)}")
        self.bench.close()
        reports = self.bench.sanitizer_reports()
        if reports:
            self.violation(f"a sanitizer complains about {', '.join(reports)}")


class Tally:
    def __init__(self):
        self.states = dict.fromkeys(STATES, 0)
        self.staged_delay = 0.005
        self.cuts, self.episodes, self.rotations, self.deletions = 0, 0, 0, 0
        self.violations, self.online_seconds = [], []

    def count(self, seen):
        for state in seen & set(STATES):
            self.states[state] += 1

    def learn(self, rotated):
        """From a cut aimed at `staged`, which lasts from one commit to the next: was it early or late on this machine?"""
        if rotated == {"idle"}:
            self.staged_delay = min(self.staged_delay * 1.3, 0.1)
        elif not rotated & {"idle", "staged"}:
            self.staged_delay = max(self.staged_delay / 1.3, 0.0005)


class Aims:
    """Each state in turn, in an order that changes, and as often anywhere."""

    def __init__(self):
        self.left = []

    def __call__(self, rng):
        if not self.left:
            self.left = [*STATES, "staged", "abandoning", "anywhere", "anywhere", "anywhere"]
            rng.shuffle(self.left)
        return self.left.pop()


def run_episode(number, seed, cuts, tally, keep):
    episode = Episode(seed, number, tally)
    started = time.monotonic()
    try:
        done = episode.run(Aims(), cuts)
    except (Failure, dbus_client.Error, OSError) as e:
        episode.violation(f"{type(e).__name__}: {e}")
        done = episode.cut
    if episode.violated:
        episode.bench.tails()
    if episode.violated and keep:
        episode.bench.close()
        say(f"kept: {episode.bench.dir}")
    else:
        episode.bench.remove()
    say(f"episode {number}: {done} cuts in {time.monotonic() - started:.0f} s, so far "
        + ", ".join(f"{state} {n}" for state, n in tally.states.items()))
    return done


def main():
    parser = argparse.ArgumentParser(prog="./dev prove kill")
    parser.add_argument("--cuts", type=int, default=200)
    parser.add_argument("--seed", type=int, default=None, help="default: drawn, and printed")
    parser.add_argument("--first-episode", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="leave the scratch directory of what failed")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    say(f"seed {seed}")
    tally, started, number = Tally(), time.monotonic(), options.first_episode
    while tally.cuts < options.cuts and len(tally.violations) < VIOLATIONS_ENOUGH:
        tally.cuts += max(run_episode(number, seed, options.cuts - tally.cuts, tally, options.keep), 1)
        number += 1
    missing = [state for state, n in tally.states.items() if n == 0]
    ok = not tally.violations and tally.cuts >= options.cuts and not (missing and options.cuts >= ALL_STATES_FROM)
    say(json.dumps({"kill": "ok" if ok else "failed", "cuts": tally.cuts, "seed": seed,
                    "episodes": number - options.first_episode, "cuts_in": tally.states, "states_without_a_cut": missing,
                    "slowest_online_seconds": round(max(tally.online_seconds, default=0), 2),
                    "keys_registered": tally.rotations, "deletions_confirmed": tally.deletions,
                    "violations": tally.violations, "seconds": round(time.monotonic() - started, 1)}))
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
