# SPDX-License-Identifier: LGPL-2.1-or-later
"""Cuts: the agent ends in the middle of rotations, while the cloud misbehaves, and is started again. Does the promise hold?

What prove kill and prove powercut share. Several devices rotate at once against gatehouse-devcloud, which keeps what it
registered, and which is slow, refuses, and loses requests before or after it has carried them out. The agent runs under
tests/tools/cut-layer.c and ends by SIGKILL before or after a call by which something becomes durable or leaves it; which
kinds of calls, how many of them from a moment that is aimed at a rotation state, and before or after, is drawn. Some cuts fall
into the making of the vault, and into the start after another cut. The agent is looked at before and after it is started again:

  - every slot of the vault opens, with the agent dead (in a copy, so that the agent has its own recovery to do) and alive;
  - every credential that the cloud accepts, and whose deletion it has not confirmed, is in the vault, key for key;
  - no identity was registered twice;
  - a device that was added over D-Bus, and answered or once shown, is there;
  - every device has a message accepted over a new session within 60 s of the cloud being there;
  - at an episode's end every rotation that nothing holds back comes to its end.

An episode has devices and a cloud of its own, and its own random numbers, made from seed and number: it runs alone with
--cuts 10 --seed S --first-episode E. Several run at once: they mostly wait. Cuts are counted by the rotation states that were
durable at the cut, and by the calls at which they fell. The last line is JSON; status 0 only if everything held and no state was
without a cut (from 20 cuts on; what is missing at the end is looked for in some episodes more), and no call that the agent
makes (from 1,000 cuts on).
"""
import json
import os
import random
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "integration"))
import cut_layer  # noqa: E402
import dbus_client  # noqa: E402
import harness  # noqa: E402
import episodes  # noqa: E402
from episodes import STATES, say  # noqa: E402
from harness import Failure, check, wait_for  # noqa: E402

ONLINE_SECONDS = 60
END_SECONDS = 150  # a request whose answer was lost is given up after 93 s (RFC 7252, MAX_TRANSMIT_WAIT), then tried again
DEVICES = 24
AIM_SECONDS = 4  # to wait for the state aimed at
CUT_SECONDS = 1.5  # to wait for the call at which the agent ends; then it is the next call
START_CUT_SECONDS = 3
START_CUTS = 0.2  # of the starts
ADDED_DEVICES = 0.25  # of the cuts
# What the agent calls when it makes its vault, in the order of episodes, and when it adds a device.
CALLS_MAKING = ("link", "unlink", "fsync", "open", "pwrite64", "fdatasync")
CALLS_ADDING = ("mkdir", "fsync", "open", "write", "linkat", "unlinkat")
ROOT = "/org/gatehouse1"
DEVICE = "org.gatehouse1.Device"
MANAGER = "org.gatehouse1.Manager"


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
    """What becomes of the directory at a cut is a matter of the kind of cut: fallen()."""

    new_tally = episodes.Tally

    def __init__(self, seed, number):
        self.number, self.tally, self.rng = number, self.new_tally(), random.Random(f"{seed}/{number}")
        self.bench, self.cut, self.forgotten, self.violated = harness.Bench(), 0, set(), False
        self.devices = [f"d{i:02d}" for i in range(DEVICES)]
        self.added = set()
        self.page = cut_layer.Page(self.bench.path("cut-page"))

    def layer(self):
        """The environment of the agent."""
        return self.page.env()

    def fallen(self):
        """After the agent has ended at the call that was chosen."""

    # --- setting up ---

    def start(self):
        keys = {d: self.bench.new_key() for d in self.devices}
        self.cloud = self.bench.devcloud([(f"first-{d}", keys[d], d) for d in self.devices])
        self.bench.write_config(self.cloud.url, uplink={"admission": "unlimited"}, rotation={"retire_after": "1s"})
        for d in self.devices:
            self.bench.write_device(d, "sim", {"n": {"signal": "counter"}}, interval="1s")
        self.start_first(self.layer())
        self.bench.driver("sim")
        self.bench.set_keys((d, f"first-{d}", keys[d]) for d in self.devices)
        self.bus = dbus_client.Client(self.bench)
        self.faults = Faults(self.cloud, self.rng)
        self.await_online(time.monotonic(), 0, 0)

    def start_first(self, env):
        """The start that makes the vault is cut, too; then there is a whole vault or none."""
        subprocess.run(["true"], env=dict(os.environ, **env), check=True)  # the layer tells its calls
        self.draw([CALLS_MAKING[self.number % len(CALLS_MAKING)]], 2)
        self.agent = self.bench.agent(wait=False, env=env)
        if self.is_cut_starting():
            self.count_call()
            self.fallen()
            if os.path.exists(os.path.join(self.bench.state, "vault.db")):
                self.look()
            self.agent.start()
        self.bench.wait_agent(self.agent, ONLINE_SECONDS)

    def violation(self, text, kind="other_violations"):
        text = f"episode {self.number}, cut {self.cut}: {text}"
        say(f"VIOLATION {text}")
        self.violated = True
        self.tally.violations.append(text)
        self.tally.counts[kind] += 1

    # --- looking ---

    def properties(self):
        """Of each device, by id."""
        objects, = self.bus.call(ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
        found = ({k: v[1] for k, v in o[DEVICE].items()} for o in objects.values() if DEVICE in o)
        return {p["Id"]: p for p in found}

    def property(self, path, interface, name):
        (_, value), = self.bus.call(path, "org.freedesktop.DBus.Properties", "Get", "ss", interface, name)
        return value

    def rotation_state(self, device):
        return self.property(harness.device_path(device), DEVICE, "RotationState")

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
        for device in sorted(set(self.devices) - set(entries)):
            self.violation(f"{device}: the vault has nothing of it", "lost_keys")
            entries[device] = {"rotation": "gone", "main": None, "backup": None}
        if not self.cloud.alive():
            return entries
        for c in self.cloud.do("credentials")["credentials"]:
            slots = [s for s in (entries[c["device"]]["main"], entries[c["device"]]["backup"]) if s]
            if (c["identity"], c["fingerprint"]) not in [(s["identity"], s.get("key")) for s in slots]:
                self.violation(f"{c['device']}: the cloud accepts {c['identity']}, the vault "
                               f"({entries[c['device']]['rotation']}) has {[s['identity'] for s in slots]}", "lost_keys")
        registered = [e["identity"] for e in self.cloud.find_events("credential", result="added")]
        for identity in sorted({i for i in registered if registered.count(i) > 1}):
            self.violation(f"{identity} was registered twice", "registered_twice")
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
                               f"{p['MainIdentity']!r}, {p['BackupIdentity']!r}", "lost_keys")
        for device in sorted(self.added - set(shown)):
            self.violation(f"{device} was added, and is gone")
        self.added |= set(shown) - set(self.devices)  # answered or not: what was shown once stays
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
            if not missing and self.property(ROOT, MANAGER, "Online") == len(self.devices):
                break
            if time.monotonic() > since + limit:
                shown = self.properties()
                for d in sorted(missing) or self.devices:
                    p = shown[d]
                    self.violation(f"{d} is not online {limit} s after the cloud was there: {p['State']}, "
                                   f"{p['RotationState']}, {p['LastError']}", "lock_outs")
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

    def draw(self, calls, most):
        """The agent ends at one of the next calls: near ones as likely as all those far away."""
        left = round(most ** self.rng.random())
        self.page.arm(calls, left, self.rng.random() < 0.5)

    def draw_any(self, most):
        """Among all calls, those on files, or those of one kind, so that rare ones have their share."""
        which = self.rng.random()
        if which < 0.4:
            self.draw(None, most)
        elif which < 0.75:
            self.draw(self.page.file_calls(), max(most // 3, 1))
        else:
            self.draw([self.rng.choice(sorted(call for call, n in self.page.made().items() if n > 0))], 3)

    def draw_staged(self):
        """Which lasts from one commit to the next."""
        if self.rng.random() < 0.5:
            self.page.arm(["fdatasync"], *self.rng.choice(((1, True), (2, False))))
        else:
            self.draw(self.page.file_calls(), 16)

    def aim(self, state, actors):
        """Rotations up to where the cut is near; the device that is being added by D-Bus, and the call's number."""
        changes_his_mind = state == "abandoning" and self.rng.random() < 0.7
        for d in actors:
            getattr(self.faults, "not_accepted" if changes_his_mind else state)(d)
        if state == "staged":
            self.draw_staged()
        elif state == "anywhere":
            self.draw_any(300)
        self.rotate(actors)
        if changes_his_mind:
            self.change_mind(actors)
        elif state not in ("staged", "anywhere"):
            self.await_state(actors, state)
        adds = self.rng.random() < ADDED_DEVICES
        if self.page.armed():
            pass  # it may have ended already
        elif adds and self.rng.random() < 0.7:
            self.draw([self.rng.choice(CALLS_ADDING)], 3)
        else:
            self.draw_any(40)
        return self.add_device() if adds else None

    def add_device(self):
        device = f"added-{self.cut}"
        text = json.dumps({"device": device, "uplink": "cloud", "driver": "sim", "sim": {"interval": "1h"},
                           "points": {"n": {"signal": "counter"}}})
        return device, self.bus.send(ROOT, MANAGER, "AddDevice", "sa{sv}", [device, {"config": ("s", text)}],
                                     harness.BUS_NAME)

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

    def await_cut(self):
        try:
            self.agent.popen.wait(CUT_SECONDS * harness.STRETCH)
        except subprocess.TimeoutExpired:
            self.page.hasten()
        self.agent.wait()
        self.page.disarm()
        check(self.page.cut(), f"the agent ended with status {self.agent.popen.returncode}")

    def is_cut_starting(self):
        """Whether it ended on its way to the bus. If not, it goes on."""
        end = time.monotonic() + START_CUT_SECONDS * harness.STRETCH
        while self.agent.alive() and time.monotonic() < end and not self.bench.answers():
            time.sleep(0.005)
        self.page.settle(self.agent)
        if self.page.cut():
            self.agent.wait()
        return not self.agent.alive()

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

    def count_call(self):
        call, side = self.page.cut()
        self.tally.calls.setdefault(call, {"before": 0, "after": 0})[side] += 1
        return f"{side} {call}"

    def fall(self):
        """The cut has happened: what is durable."""
        call = self.count_call()
        self.fallen()
        entries = self.check_dead()
        self.tally.count({e["rotation"] for e in entries.values()})
        return call, entries

    def start_agent(self):
        """Sometimes cut on its way, and started again; the mark in the cloud's events before its last start."""
        born = self.cloud.mark()
        if self.rng.random() < START_CUTS:
            self.draw_any(60)
        self.agent.start()
        if self.page.armed() and self.is_cut_starting():
            self.tally.counts["cuts_while_starting"] += 1
            self.fall()
            born = self.cloud.mark()
            self.agent.start()
        self.bench.wait_agent(self.agent, ONLINE_SECONDS)
        return born

    def run_cut(self, state, actors):
        adding = self.aim(state, actors)
        self.await_cut()
        if adding and self.bus.answered(adding[1]):
            self.tally.counts["devices_added"] += 1
            self.added.add(adding[0])
        call, entries = self.fall()
        if self.violated:
            return
        kind = self.cloud_meanwhile()
        born = mark = self.start_agent()
        if kind != "there":
            mark = self.cloud_back(kind)
        there = time.monotonic()
        self.await_online(there, born, mark)
        self.check_alive()
        say(f"  {self.number}.{self.cut} aimed at {state}, {call}, cloud {kind}: "
            f"{', '.join(entries[d]['rotation'] for d in actors)}; online after {time.monotonic() - there:.2f} s")

    def run(self, cuts):
        """As many cuts as there are devices left to rotate; how many there were."""
        self.start()
        aims = Aims()
        for self.cut in range(1, cuts + 1):
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
        self.tally.made = self.page.made()
        self.tally.counts["keys_registered"] += len(self.cloud.find_events("credential", result="added"))
        self.tally.counts["deletions_confirmed"] += len(self.cloud.find_events("deleted"))
        found = self.bench.find_keys(self.bench.generated_keys())
        if found:
            self.violation(f"a key stands in {', '.join(found)}")
        self.bench.close()
        reports = self.bench.sanitizer_reports()
        if reports:
            self.violation(f"a sanitizer complains about {', '.join(reports)}")


class Aims:
    """Each state in turn, in an order that changes, and as often anywhere."""

    def __init__(self):
        self.left = []

    def __call__(self, rng):
        if not self.left:
            self.left = [*STATES, "staged", "abandoning", "anywhere", "anywhere", "anywhere"]
            rng.shuffle(self.left)
        return self.left.pop()
