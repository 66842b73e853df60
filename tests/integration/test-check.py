#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""`gatehousectl check`: what it finds, what it says of it, and its exit status; and Check on the bus."""
import json
import os

import harness
from agent_bench import check_options, sim_bench
from harness import check


def places(bench):
    return ["--config-dir", bench.config, "--state-dir", bench.state, "--keyfile", bench.keyfile, *check_options(bench, verb=True)]


def found(bench, status, *more):
    """{(id, subject): finding}"""
    done = bench.ctl("--json=short", "check", *places(bench), *more, status=None)
    findings = json.loads(done.stdout)["result"]["findings"]
    worst = {f["severity"] for f in findings}
    check(done.returncode == (2 if "error" in worst else 1 if "warning" in worst else 0), done)
    check(status in (None, done.returncode), f"status {done.returncode}, not {status}: {done}")
    return {(f["id"], f["subject"]): f for f in findings}


def a_healthy_gateway(bench):
    """The text, too: an identity that tells is all that there is to say of it, except that tests may run in memory."""
    sim_bench(bench)
    bench.wait_property("boiler-1", "SensorState", "ok")
    bench.wait_property("boiler-1", "Delivered", lambda n: n > 0)
    findings = found(bench, None)
    check(set(i for i, _ in findings) <= {"identity-tells", "polkit-absent", "state-volatile", "card-worn"}, findings)
    check("identity-tells" in bench.ctl("check", *places(bench), status=None).stdout.decode(), "as text")


def what_there_is(bench):
    kinds = json.loads(bench.ctl("--json=short", "check", "--list"))["result"]["kinds"]
    check(len(kinds) > 30 and len({k["id"] for k in kinds}) == len(kinds), kinds)
    check(all(k["severity"] in ("note", "warning", "error") and k["meaning"].endswith(".") for k in kinds), kinds)


def no_agent(bench):
    """It says what keeps the agent from starting."""
    agent, *_ = sim_bench(bench, connect=False)
    agent.stop()
    os.chmod(bench.keyfile, 0o644)
    findings = found(bench, 2)
    check(("agent-stopped", "gatehoused") in findings, findings)
    check(findings["keyfile-mode", bench.keyfile]["mend"] == f"chmod 0400 {bench.keyfile}", findings)


if __name__ == "__main__":
    harness.main(a_healthy_gateway, what_there_is, no_agent, needs=("busctl",))
