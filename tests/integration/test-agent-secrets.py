#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""No key anywhere but where it belongs. Every test of this suite ends with the bench looking for all keys in all logs, on the
bus, in arguments and environments; here it is tried whether it would find one, and where keys are at rest is looked at."""
import base64
import os
import subprocess
import sys

import harness
from agent_bench import TEMPERATURE, refused, sim_bench, wait_samples
from harness import check, key_forms, wait_for


def planted(bench, where, *keys):
    found = bench.find_keys()
    check(any(where in place for place in found), f"planted in {where}, found only in {found}")
    check(found == [place for place in found if where in place], f"planted in {where} alone, found in {found}")


def cut(path, size):
    with open(path, "ab") as f:
        f.truncate(size)


def one_would_be_found(bench):
    """Each form of each kind of key, in each place."""
    sim_bench(bench)
    bench.ctl("rotate", "boiler-1")
    generated, = (k for k in bench.generated_keys() if k not in bench.keys)
    keyfile = harness.read_bytes(bench.keyfile)
    log = bench.path("gatehoused.err")
    check(not bench.find_keys(), "nothing stands anywhere yet")
    for key in (bench.keys[0], generated, keyfile):
        for form in sorted(key_forms(key)):
            size = os.path.getsize(log)
            with open(log, "ab") as f:
                f.write(b"gatehoused: debug: psk=" + form + b" (planted)\n")
            planted(bench, "gatehoused.err")
            cut(log, size)
        text = key.hex()
        sleeper = bench.spawn("sleeper", ["sleep", "100"], env={"PLANTED": text})
        planted(bench, "sleeper's environ")
        sleeper.kill()
        sleeper = bench.spawn("sleeper", [sys.executable, "-c", "import time; print(flush=True); time.sleep(100)",
                                          base64.b64encode(key).decode()])
        wait_for("the program", sleeper.text)
        planted(bench, "sleeper's cmdline")
        sleeper.kill()
        bench.processes.remove(sleeper)
        since, size = bench.monitor.mark(), os.path.getsize(bench.monitor.out)
        arguments = ["ay", str(len(key)), *map(str, key)]
        bench.busctl("call", harness.BUS_NAME, "/org/gatehouse1", "org.gatehouse1.Manager", "GetDevice", *arguments,
                     check_status=False)
        wait_for("the call on the bus", lambda s=since: bench.monitor.messages(s, member="GetDevice"))
        planted(bench, "bus.monitor")
        cut(bench.monitor.out, size)
        bench.monitor._offset = size
    check(not bench.find_keys(), "nothing stands anywhere any more")


def at_rest_and_in_use(bench):
    """Through everything that is done with keys: none in a file of the agent's, in a core, or open to others."""
    agent, _, cloud, keys = sim_bench(bench, ("a", "b"))
    agent.stop()
    debug = bench.agent("--debug", name="gatehoused-debug")
    for device in ("a", "b"):
        bench.wait_property(device, "State", "online")
    refused(bench.ctl("key", "set", "b", "x", status=None, stdin=keys["a"]), 1)
    refused(bench.ctl("key", "set", "b", "x", "--encoding=hex", status=None, stdin=keys["a"].hex().encode() + b"z"), 1)
    refused(bench.ctl("key", "set", "b", "x", "--encoding=base64", status=None, stdin=base64.b64encode(keys["a"]) + b"!"), 1)
    bench.ctl("key", "export", "a", "main", bench.path("exported"))
    bench.ctl("rotate", "--all")
    for device in ("a", "b"):
        wait_samples(cloud, device, 2)
    everything = [*keys.values(), *bench.generated_keys(), harness.read_bytes(bench.keyfile)]
    check(len(bench.generated_keys()) >= 4, "the cloud has the new ones too")
    forms = {f for key in everything for f in key_forms(key)}
    for folder in (bench.state, bench.runtime, bench.config):
        for path, _, names in os.walk(folder):
            for name in names:
                data = harness.read_bytes(os.path.join(path, name))
                try:
                    mode = os.stat(os.path.join(path, name)).st_mode
                except FileNotFoundError:  # written under another name, and renamed since
                    continue
                check(not any(f in data for f in forms), f"a key stands in {name}")
                check(mode & 0o077 == 0 or folder != bench.state, f"{name} is open")
    core = [line.split() for line in harness.read(f"/proc/{debug.pid}/limits").splitlines() if "core file size" in line]
    check(core and core[0][4:6] == ["0", "0"], f"core files: {core}")
    if os.geteuid() != 0:
        check(not os.access(f"/proc/{debug.pid}/environ", os.R_OK), "it is dumpable")
    else:
        check(os.stat(f"/proc/{debug.pid}/mem").st_uid == 0, "it is dumpable")


def memory_forgets(bench):
    """What the agent's memory holds of keys while its sessions stand: nothing, but for the arena's cells in a handshake."""
    if os.geteuid() != 0 or harness.STRETCH > 1:
        print("skipped: only root can look into a process, and sanitizers keep what was freed")
        return
    agent, _, cloud, keys = sim_bench(bench, ("a", "b"), points={"x": TEMPERATURE})
    bench.ctl("rotate", "a")
    for device in ("a", "b"):
        wait_samples(cloud, device, 3)
    secrets = {**keys, **{f"generated {i}": k for i, k in enumerate(bench.generated_keys())}}
    regions = list(memory(agent.pid))
    check(any(b"first-a" in region for region in regions), "an identity, which is no secret, would be found")
    found = {name for region in regions for name, key in secrets.items() if any(f in region for f in key_forms(key))}
    check(not found, f"in the agent's memory: {found}")


def memory(pid):
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        for line in maps:
            area, rights, *rest = line.split()
            begin, end = (int(x, 16) for x in area.split("-"))
            if rights.startswith("rw") and not line.rstrip().endswith(("[vvar]", "[vsyscall]")):
                try:
                    mem.seek(begin)
                    yield mem.read(end - begin)
                except OSError:
                    continue


def programs_link_no_vault(bench):
    """Neither a driver nor gatehousectl could open a vault if it wanted to."""
    for path in ("agent/gatehouse-driver/gatehouse-driver", "agent/gatehousectl/gatehousectl"):
        done = subprocess.run(["nm", harness.program(path)], stdout=subprocess.PIPE, text=True, check=True)
        check(" main\n" in done.stdout and "vault_open" not in done.stdout, f"{path} has a vault")


if __name__ == "__main__":
    harness.main(one_would_be_found, at_rest_and_in_use, memory_forgets, programs_link_no_vault, needs=("busctl", "nm"))
