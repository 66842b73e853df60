#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Thousands of devices are provisioned while the cloud cannot be reached; then it comes, and the agent is killed three times.

usage: bench-offline.py [--devices N] [--seed S] [--seconds S]

Provisioning may take at most S seconds (10), from the command to its end. Afterwards each device is registered, under the one
identity that the agent shows, with one key, and no call made anything twice. The last line is JSON; status 0 only if all held.
"""
import argparse
import json
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "integration"))
import harness  # noqa: E402
from harness import Failure, check, wait_for  # noqa: E402
from registrar_peers import API_KEY, PROJECT, Registrar  # noqa: E402

KILLS = 3
DRIVER_DEVICES = 4000  # a driver has at most 4,096
STALL_SECONDS = 180    # without a device more


class Run:
    def __init__(self, devices, seed, seconds):
        self.n, self.seed, self.seconds = devices, seed, seconds
        self.rng, self.bench = random.Random(seed), harness.Bench()
        self.problems, self.took, self.drained, self.offset, self.n_made = [], 0.0, 0.0, 0, 0

    def say(self, text):
        print(text, flush=True)

    def listing(self):
        rows = ["hardware_id,device,settings"]
        for i in range(self.n):
            driver = f"bench{i // DRIVER_DEVICES}"
            rows.append(f'SN-{i:06},dev-{i:05},"{{""driver"":""{driver}"",""{driver}"":{{""unit"":{i}}}}}"')
        path = self.bench.path("devices.csv")
        with open(path, "w", encoding="utf-8") as f:
            f.write("\n".join(rows) + "\n")
        template = self.bench.path("template.json")
        with open(template, "w", encoding="utf-8") as f:
            json.dump({"uplink": "cloud", "points": {"x": {"unit": "Cel"}}}, f)
        return path, "--template=" + template


    def posts(self):
        return [r for r in self.cloud.recorded() if r["method"] == "POST" and r.get("status") in (200, 201)]

    def made(self):
        """How many calls of those were answered well so far; only what is new is read."""
        with open(self.cloud.record, "rb") as f:
            f.seek(self.offset)
            data = f.read()
        whole = data[:data.rfind(b"\n") + 1]
        self.offset += len(whole)
        for line in whole.splitlines():
            r = json.loads(line)
            self.n_made += r["method"] == "POST" and r.get("status") in (200, 201)
        return self.n_made

    def provision(self):
        listing, template = self.listing()
        begin = time.monotonic()
        self.bench.ctl("provision", listing, template, seconds=300)
        self.took = time.monotonic() - begin
        self.say(f"{self.n} devices provisioned in {self.took:.2f} s, the cloud out of reach")
        if self.took > self.seconds * harness.STRETCH:
            self.problems.append(f"provisioning took {self.took:.1f} s, more than {self.seconds}")
        check(self.bench.get(None, "Devices") == self.n, "devices are missing here")
        check(self.bench.get("dev-00000", "State") == "unregistered", "the first is not unregistered")

    def drain(self):
        begin = last = time.monotonic()
        kills = sorted(self.rng.sample(range(self.n // 20, self.n * 9 // 10), KILLS))
        self.cloud.start()
        seen = done = 0
        while seen < self.n or done < KILLS:  # a few devices may all be there before it was looked often enough
            now = self.made()
            if now > seen:
                seen, last = now, time.monotonic()
            if done < KILLS and seen >= kills[done]:
                self.agent.kill()
                self.agent.start()
                self.bench.wait_agent(self.agent, 60)
                done += 1
                self.say(f"killed at {seen} of {self.n} registered")
            check(time.monotonic() - last < STALL_SECONDS, f"it stands still at {seen} of {self.n} registered")
            time.sleep(0.5)  # a look at the cloud, not a wait for something to have happened
        wait_for("the agent to know it", lambda: not self.unregistered(), 120)
        self.drained = time.monotonic() - begin
        self.say(f"all registered {self.drained:.0f} s after the cloud came, {done} kills")

    def unregistered(self):
        rows, after = [], None
        while True:
            options = ("a{sv}", "1", "after", "s", after) if after else ("a{sv}", "0")
            page = self.bench.call(None, "ListDevices", *options)[0]
            rows += [row for row in page if row[4] in ("unregistered", "conflict", "no-credential")]
            if len(page) < 1000:
                return rows
            after = page[-1][0]

    def compare(self):
        """The cloud's own store against what the agent exports: device by device, identity and key."""
        path = self.bench.path("export.csv")
        self.bench.ctl("export", "csv", path, seconds=60)
        ours = {}
        for line in harness.read(path).splitlines()[1:]:
            hardware, device, identity, key, _ = line.split(",")
            ours[device] = (hardware, identity, bytes.fromhex(key))
        check(len(ours) == self.n, f"the agent has {len(ours)} keys")
        check(len({key for _, _, key in ours.values()}) == self.n and len({i for _, i, _ in ours.values()}) == self.n, "not distinct")
        bodies = [json.loads(r["body"]) for r in self.posts()]
        names = [b["name"] for b in bodies]
        for name in sorted({n for n in names if names.count(n) > 1})[:5] if len(set(names)) != len(names) else ():
            self.problems.append(f"{name} was registered twice")
        theirs = {b["name"]: (b["hardwareIds"][0], f"{b['identity']}@{PROJECT}", b["preSharedKey"].encode()) for b in bodies}
        wrong = [d for d in ours if theirs.get(d) != ours[d]]
        if wrong or set(theirs) != set(ours):
            self.problems.append(f"{len(wrong)} devices have another key or identity there, or none: {wrong[:5]}")
        for device in self.rng.sample(sorted(ours), min(50, self.n)):
            there = self.cloud.credentials(device)
            if [c["identity"] for c in there] != [ours[device][1]]:
                self.problems.append(f"{device} has {there}")

    def run(self):
        self.cloud = self.bench.devcloud([], project=PROJECT, api_key=API_KEY)
        registrar = Registrar(self.bench, self.cloud, "golioth")
        self.bench.write_config(self.cloud.url, uplink={"registrar": registrar.settings})
        self.agent = self.bench.agent("--registrar-dir", registrar.directory)
        self.cloud.stop()
        self.provision()
        self.drain()
        self.compare()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--devices", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    parser.add_argument("--seconds", type=float, default=10)
    arguments = parser.parse_args()
    run = Run(arguments.devices, arguments.seed, arguments.seconds)
    try:
        run.run()
    except Failure as e:
        run.problems.append(str(e))
        for process in run.bench.processes:
            print(f"--- {process.name}\n" + process.text()[-2000:])
    finally:
        run.bench.close()
    for problem in run.problems:
        print(f"VIOLATION {problem}")
    if not run.problems:
        run.bench.remove()
    print(json.dumps({"proof": "bench-offline", "devices": run.n, "seed": run.seed, "provision_seconds": round(run.took, 2),
                      "registered_seconds": round(run.drained, 1), "kills": KILLS, "violations": len(run.problems)}))
    return 1 if run.problems else 0


if __name__ == "__main__":
    sys.exit(main())
