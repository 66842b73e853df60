#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A new key that was offered and is not accepted: whoever waits, whoever looks, the job and the journal are told why, and what
works goes on working."""
import contextlib
import os
import subprocess

import harness
from harness import check, wait_for
from mqtt_peers import Broker, write_program
from registrar_peers import API_KEY, PROJECT, TENANT, Registrar

DEVICE = "boiler-1"
TOOK = "which its registrar took"  # a matter of those who wait
NOT_YET = "the new key is not accepted yet"
VAIN_LINES = 8  # of which the journal has no more; then one that says so
TRIES = 3


def show(bench, word):
    """What stands behind that word in `show`."""
    lines = [line.split(":", 1)[1].strip() for line in bench.ctl("show", DEVICE).splitlines() if line.strip().startswith(word + ":")]
    return lines[0] if lines else ""



def journal(agent):
    return [line for line in agent.text().splitlines() if NOT_YET in line]


def result(bench):
    """Of the one device of the first job: outcome and reason."""
    results = bench.ask("/org/gatehouse1/job/1", "org.gatehouse1.Job", "Results")
    check(len(results) == 1, f"one line for one device, not {results}")
    return results[0]["outcome"]["data"], results[0]["reason"]["data"]


def waits_in_vain(bench, agent, *words):
    """Begins a rotation that is not waited for to the end; all who could tell why say these words."""
    reasons = [word for word in words if word != TOOK]
    said = bench.path("rotate.err")
    with open(said, "wb") as err:
        waiting = subprocess.Popen([harness.program("agent/gatehousectl/gatehousectl"), "rotate", DEVICE, "--timeout=100s"],
                                   env=dict(os.environ, **bench.env), stdout=err, stderr=err)
    try:
        wait_for(lambda: f"the reason in show, which says: {show(bench, 'waits for')!r}",
                 lambda: all(word in show(bench, "waits for") for word in words), 60)
        bench.wait_property(DEVICE, "LastError", lambda text: all(word in text for word in reasons))
        wait_for(lambda: f"the journal to say {reasons}; it says: {journal(agent)}",
                 lambda: any(all(word in line for word in reasons) for line in journal(agent)))
        wait_for(lambda: f"the job's results: {result(bench)}",
                 lambda: result(bench)[0] == "waiting" and all(word in result(bench)[1] for word in reasons))
        wait_for("rotate to say so", lambda: all(word in harness.read(said) for word in words), 60)
    finally:
        waiting.kill()
        waiting.wait()


def with_broker(bench, stack, version, acl):
    key = bench.new_key(text=True)
    broker = Broker(stack, {"first-1": key.decode()}, acl=acl)
    os.makedirs(bench.path("programs"))
    registrar = Registrar(bench, None, "exec", options=("--program-dir", bench.path("programs")), program="tell")
    bench.write_config(f"mqtts://127.0.0.1:{broker.port}",
                       uplink={"profile": "senml-mqtt", "mqtt_version": version,
                               "registrar": {"type": "exec", "program": "tell", "encoding": "hex"}})
    bench.write_device(DEVICE, "sim", interval="100ms", points={"x": {"signal": "sine", "period": "10s"}})
    agent = bench.agent("--registrar-dir", registrar.directory)
    bench.driver("sim")
    write_program(broker, bench.path("programs", "tell"))
    bench.key_set(DEVICE, "first-1", key)
    bench.wait_property(DEVICE, "State", "online")
    return agent, broker


def keys_of(bench, broker):
    """Those that the agent made, so that the bench looks for them."""
    bench.keys.extend(bytes.fromhex(line.split(":")[1]) for line in harness.read(broker.path("psk")).splitlines())


def rights_by_user_name(bench, version, *words):
    with contextlib.ExitStack() as stack:
        agent, broker = with_broker(bench, stack, version, ["user first-1", "topic readwrite #"])
        waits_in_vain(bench, agent, "rights by user name", "%c", *words)
        check(bench.get(DEVICE, "MainIdentity") == "first-1", "main is what works")
        keys_of(bench, broker)


def acl_by_user_name(bench):
    rights_by_user_name(bench, "5", "0x87")


def acl_by_user_name_3_1_1(bench):
    rights_by_user_name(bench, "3.1.1", "does not deliver it back")


def acl_by_client_id(bench):
    """As README has it: it survives a new identity."""
    with contextlib.ExitStack() as stack:
        _, broker = with_broker(bench, stack, "5", ["pattern readwrite gatehouse/%c/#"])
        bench.ctl("rotate", DEVICE, seconds=90)
        check(bench.get(DEVICE, "MainIdentity") != "first-1", "another key is main")
        keys_of(bench, broker)


def registrar_that_lies(bench):
    """It says that it has the key, and the cloud does not store it; given up, what was said of it is in the job."""
    cloud = bench.devcloud([], project=PROJECT, tenant=TENANT, api_key=API_KEY)
    registrar = Registrar(bench, cloud, "golioth")
    key = bench.new_key(64, text=True)
    registrar.put(DEVICE, "first-1", key)
    bench.write_config(cloud.url, uplink={"registrar": registrar.settings})
    bench.write_device(DEVICE, "sim", points={"x": {"signal": "counter"}}, interval="200ms")
    agent = bench.agent("--registrar-dir", registrar.directory)
    bench.driver("sim")
    bench.ctl("key", "set", DEVICE, registrar.identity("first-1"), "--encoding=text", stdin=key)
    bench.wait_property(DEVICE, "State", "online")
    cloud.do("pretend", method="POST", path="/v1", times=0)
    waits_in_vain(bench, agent, TOOK, "did not accept key or identity")
    check(bench.get(DEVICE, "MainIdentity") == registrar.identity("first-1"), "main is what works")
    new = bench.get(DEVICE, "BackupIdentity")
    tried = cloud.mark()
    cloud.wait_events(TRIES, "handshake-failed", since=tried, identity=new)
    reasons = [line.split(NOT_YET, 1)[1] for line in journal(agent)]
    check(len(reasons) <= VAIN_LINES and all(a != b for a, b in zip(reasons, reasons[1:])), f"a line for each other reason, not {reasons}")
    cloud.do("clear")
    bench.ctl("key", "forget", DEVICE, "backup")
    bench.wait_property(DEVICE, "RotationState", "idle", 120)
    check(show(bench, "waits for") == "" and NOT_YET not in bench.get(DEVICE, "LastError"), "it is still said")
    wait_for("the job's end", lambda: bench.ask("/org/gatehouse1/job/1", "org.gatehouse1.Job", "State") == "failed")
    outcome, reason = result(bench)
    check(outcome == "abandoned" and "did not accept" in reason, f"the job's results: {outcome}, {reason}")


if __name__ == "__main__":
    harness.main(acl_by_user_name, acl_by_user_name_3_1_1, acl_by_client_id, registrar_that_lies)
