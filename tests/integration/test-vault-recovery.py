#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""vault recovery-key, bind, and the agent started with --recover: keyfile or board lost, and the devices online again."""
import json
import os
import re
import secrets
import subprocess

import harness
from agent_bench import sim_bench
from harness import check

FORM = re.compile(r"^[0-9a-f]{4}(-[0-9a-f]{4}){15}$")


def run_agent(bench, *options, stdin=""):
    done = subprocess.run([harness.program("agent/gatehoused/gatehoused"), "--config-dir", bench.config, "--state-dir",
                           bench.state, "--keyfile", bench.keyfile, *options], input=stdin.encode(), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, env=dict(os.environ, **bench.env), timeout=harness.DEADLINE)
    with open(bench.path("by-hand.out"), "ab") as f:
        f.write(done.stdout)
    return done.returncode, done.stdout.decode(errors="replace")


def recovery_key(bench):
    """Not through bench.ctl, which keeps what it printed in a log that is searched for keys."""
    done = subprocess.run([harness.program("agent/gatehousectl/gatehousectl"), "vault", "recovery-key"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ, **bench.env), timeout=harness.DEADLINE)
    text = done.stdout.decode().strip()
    check(done.returncode == 0 and FORM.match(text), f"no recovery key: {done.stderr.decode()}")
    check(b"--recover" in done.stderr and b"not shown again" in done.stderr, "it does not say what it is for")
    bench.keys.append(bytes.fromhex(text.replace("-", "")))
    return text


def new_keyfile(bench):
    bench.keys.append(harness.read_bytes(bench.keyfile))
    os.unlink(bench.keyfile)
    bench.make_keyfile()


def add_to_config(bench, **vault):
    text = harness.read(os.path.join(bench.config, "gatehouse.json"))
    bench.write_json("gatehouse.json", dict(json.loads(text), vault=vault))


def keyfile_lost(bench):
    agent, _, _, _ = sim_bench(bench, ["d1"])
    text = recovery_key(bench)
    status, said = run_agent(bench, "--recover", stdin=text)
    check(status == 75, f"under a running agent: {said}")
    agent.stop()
    new_keyfile(bench)
    agent.start()
    check(agent.wait() == 78, "the vault opens with any keyfile")
    status, said = run_agent(bench, "--recover", stdin="0" + text[1:] if text[0] != "0" else "1" + text[1:])
    check(status == 1 and "mistyped" in said, said)
    status, said = run_agent(bench, "--recover", stdin=text.upper().replace("-", " ") + "\n")
    check(status == 0, said)
    agent.start()
    bench.wait_agent(agent)
    bench.wait_property("d1", "State", "online")
    bench.ctl("vault", "verify")


def board_exchanged(bench):
    """`bind` as asked for with the vault there already; then another board, which the error names, and both ways out."""
    agent, _, _, _ = sim_bench(bench, ["d1"])
    value = bench.path("board")
    with open(value, "wb") as f:
        f.write(secrets.token_bytes(16))
    text = recovery_key(bench)
    add_to_config(bench, bind=f"file:{value}")
    agent.restart()
    bench.wait_agent(agent)
    bench.wait_property("d1", "State", "online")
    bench.ctl("vault", "backup", bench.path("backup"))
    agent.stop()
    with open(value, "wb") as f:
        f.write(secrets.token_bytes(16))
    agent.start()
    check(agent.wait() == 78 and "the value of `bind` has changed" in agent.text(), "the error does not name the bind value")
    check(f"file:{value}" in agent.text() and "--recover" in agent.text(), "nor which one, nor the way out")
    status, said = run_agent(bench, "--recover", stdin=text)
    check(status == 0 and "bind" in said, said)
    agent.start()
    bench.wait_agent(agent)
    bench.wait_property("d1", "State", "online")
    agent.stop()
    with open(value, "wb") as f:
        f.write(secrets.token_bytes(16))
    status, said = run_agent(bench, "--restore", bench.path("backup"))
    check(status == 1 and "cannot be compared" in said, said)
    status, said = run_agent(bench, "--restore", bench.path("backup"), "--force")
    check(status == 0, said)
    agent.start()
    bench.wait_agent(agent)
    bench.wait_property("d1", "State", "online")
    os.unlink(value)
    agent.stop()
    agent.start()
    check(agent.wait() == 1 and "the vault is bound to" in agent.text(), "the missing value is not named")


if __name__ == "__main__":
    harness.main(keyfile_lost, board_exchanged)
