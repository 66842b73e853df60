#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""`gatehousectl check` while the agent does not run: handshakes of its own, and what it says of them."""
import contextlib
import hashlib
import json
import os
import pwd
import select
import shlex
import shutil
import signal
import socket
import subprocess
import time

import harness
from agent_bench import TEMPERATURE, check_options, sim_bench
from harness import check, wait_for
from mqtt_peers import Broker, Subscriber


def places(bench):
    return ["--config-dir", bench.config, "--state-dir", bench.state, "--keyfile", bench.keyfile, *check_options(bench, verb=True)]


def found(bench):
    """{(id, subject): finding}"""
    done = bench.ctl("--json=short", "check", *places(bench), status=2)  # agent-stopped is an error
    return {(f["id"], f["subject"]): f for f in json.loads(done)["result"]["findings"]}


def found_in_time(bench):
    """The same; again where a handshake ran out of its time, as it may on a busy machine though the server is there."""
    until = time.monotonic() + harness.DEADLINE
    while True:
        findings = found(bench)
        if not any(i == "server-silent" for i, _ in findings) or time.monotonic() > until:
            return findings


def digest(path):
    """Names and bytes of a directory's files."""
    return {name: hashlib.sha256(open(os.path.join(path, name), "rb").read()).hexdigest()
            for name in sorted(os.listdir(path)) if os.path.isfile(os.path.join(path, name))}


def stopped(bench, **more):
    agent, driver, cloud, keys = sim_bench(bench, **more)
    agent.stop()
    driver.stop()
    return cloud, keys


def good_keys_and_nothing_written(bench):
    cloud, _ = stopped(bench, devices=("boiler-1", "boiler-2"))
    before, samples = digest(bench.state), len(cloud.samples("boiler-1"))
    findings = found_in_time(bench)
    tried = findings["handshake-tried", "cloud"]
    check("of 2 of 2 devices" in tried["cause"] and "slot main" in tried["cause"] and tried["severity"] == "note", tried)
    check(not {"key-refused", "server-silent", "not-looked"} & {i for i, _ in findings}, findings)
    check(digest(bench.state) == before, "the state directory has been written to")
    check(len(cloud.samples("boiler-1")) == samples, "samples were sent")


def a_wrong_key_beside_a_good_one(bench):
    """Of the refused device alone, with its identity; the mend starts the agent that takes the key."""
    keys = {"boiler-1": bench.new_key(), "boiler-2": bench.new_key()}
    with contextlib.ExitStack() as stack:
        broker = Broker(stack, {"opaque-boiler-1": bench.new_key(), "opaque-boiler-2": keys["boiler-2"]}, tls="tlsv1.2")
        bench.write_config(f"mqtts://127.0.0.1:{broker.port}", uplink={"profile": "senml-mqtt", "registrar": {"type": "manual"}})
        for device in keys:
            bench.write_device(device, "sim", points={"x": TEMPERATURE})
        agent = bench.agent()
        for device, key in keys.items():
            bench.key_set(device, f"opaque-{device}", key)
        agent.stop()
        findings = found_in_time(bench)
    refused = findings["key-refused", "boiler-1"]
    check("opaque-boiler-1" in refused["cause"] and "gatehousectl key set boiler-1" in refused["mend"], refused)
    check(refused["mend"].startswith("sudo systemctl start gatehouse && "), refused)
    check("of 1 of 2 devices" in findings["handshake-tried", "cloud"]["cause"], findings)
    check(("key-refused", "boiler-2") not in findings, findings)


def a_server_that_is_away(bench):
    """The uplink's trouble is told once, and devices without a key are told apart."""
    cloud, _ = stopped(bench, devices=("boiler-1", "boiler-2"))
    bench.write_device("boiler-3", "sim", points={"x": TEMPERATURE})
    cloud.stop()
    findings = found(bench)
    check(("port-closed", "cloud") in findings and ("key-missing", "boiler-3") in findings, findings)
    check("of 0 of 1 device " in findings["handshake-tried", "cloud"]["cause"], findings)


def several_hosts(bench):
    """The command looks at the host that the cause names: the last one that was tried."""
    stopped(bench)
    urls = [f"coaps://127.0.0.1:{harness.free_port(socket.SOCK_DGRAM)}", "coaps://nowhere.invalid"]
    bench.write_config("", uplinks={"cloud": {"url": urls, "profile": "senml"}})
    findings = found(bench)
    unresolved = findings.get(("name-unresolved", "cloud"))
    check(unresolved, findings)
    check("nowhere.invalid" in unresolved["cause"] and unresolved["mend"] == "getent ahosts nowhere.invalid", unresolved)


def without_keys(bench):
    """Neither a vault nor a keyfile: names, ports and suites are looked at all the same."""
    port = harness.free_port(socket.SOCK_DGRAM)
    bench.spawn("openssl", ["openssl", "s_server", "-accept", str(port), "-psk", "00112233445566778899aabbccddeeff",
                            "-nocert", "-quiet", "-dtls1_2", "-cipher", "PSK-AES128-GCM-SHA256"])
    wait_for("openssl's server", lambda: f":{port:04X} " in harness.read("/proc/net/udp") + harness.read("/proc/net/udp6"))
    free = harness.free_port(socket.SOCK_STREAM)
    bench.write_config("", uplinks={"cloud": {"url": f"coaps://127.0.0.1:{port}", "profile": "senml", "suites": ["ecdhe-psk"]},
                                "broker": {"url": f"mqtts://127.0.0.1:{free}", "profile": "senml-mqtt"},
                                "nowhere": {"url": "coaps://nowhere.invalid", "profile": "senml"}})
    findings = found(bench)
    suites = findings["suites-differ", "cloud"]
    check("offered:" in suites["cause"] and "suites" in suites["cause"], suites)
    check(("port-closed", "broker") in findings and ("name-unresolved", "nowhere") in findings, findings)


def a_broker_sees_no_connect(bench):
    """A CONNECT would be taken for the device's own, and end what the broker keeps for it."""
    with contextlib.ExitStack() as stack:
        no_connect(bench, stack, "tlsv1.2")


def nor_over_tls_1_3(bench):
    with contextlib.ExitStack() as stack:
        no_connect(bench, stack, "tlsv1.3")


def no_connect(bench, stack, tls):
    key = bench.new_key()
    broker = Broker(stack, {"opaque-1": key}, tls=tls)
    bench.write_config(f"mqtts://127.0.0.1:{broker.port}", uplink={"profile": "senml-mqtt", "registrar": {"type": "manual"}})
    bench.write_device("boiler-1", "sim", points={"x": TEMPERATURE})
    agent, driver = bench.agent(), bench.driver("sim")
    bench.key_set("boiler-1", "opaque-1", key)
    bench.wait_property("boiler-1", "State", "online")
    agent.stop()
    driver.stop()
    broker.lines.expect("disconnect")
    seen = len(broker.lines.seen)
    findings = found_in_time(bench)
    check("of 1 of 1 device " in findings["handshake-tried", "cloud"]["cause"], findings)
    Subscriber(stack, broker)  # what came before it has been logged
    broker.lines.expect("Sending SUBACK")
    connected = [line for line in broker.lines.seen[seen:] if "New client connected" in line]
    check(len(connected) == 1, connected)


def run_check(bench, env, *before):
    told = subprocess.run([*before, harness.program("agent/gatehousectl/gatehousectl"), "--json=short", "check", *places(bench)],
                          env=dict(os.environ, **env), stdout=subprocess.PIPE, timeout=harness.DEADLINE, check=False)
    return {(f["id"], f["subject"]): f for f in json.loads(told.stdout)["result"]["findings"]}


def udp_ports(pid):
    """Local ports of a process's UDP sockets: an agent keeps its own, whatever sessions it makes again."""
    inodes = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    rows = [line.split() for name in ("udp", "udp6") for line in harness.read(f"/proc/net/{name}").splitlines()[1:]]
    return {int(row[1].rpartition(":")[2], 16) for row in rows if f"socket:[{row[9]}]" in inodes}


def an_agent_without_a_bus(bench):
    """It holds the vault, and its sessions are left alone."""
    agent, _, cloud, _ = sim_bench(bench)
    before, ports = len(cloud.find_events("session")), udp_ports(agent.pid)
    findings = run_check(bench, {**bench.env, "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nowhere"})
    held = findings["not-looked", "handshakes"]
    check(f"held by process {agent.pid}" in held["cause"] and held["mend"] == f"ps -p {agent.pid}", held)
    came = {int(e["peer"].rpartition(":")[2]) for e in cloud.find_events("session")[before:]}
    check(came <= ports | udp_ports(agent.pid), "a session beside those of the agent")


def nobody_elses(bench):
    """Rights that do not reach the vault are a finding with its mend."""
    if os.geteuid() != 0:
        return
    stopped(bench)
    for path in (bench.dir, bench.config, os.path.join(bench.config, "devices.d")):
        os.chmod(path, 0o755)
    for temporary in ("/tmp", bench.dir):  # which is root's
        findings = run_check(bench, {**bench.env, "TMPDIR": temporary}, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
        check(findings["not-looked", "handshakes"]["mend"] == f"sudo gatehousectl check {shlex.join(places(bench))}", findings)
        check("cannot sync" not in json.dumps(list(findings.values())), findings)
    findings = run_check(bench, {**bench.env, "TMPDIR": bench.path("nowhere")})
    check(findings["not-looked", "handshakes"]["mend"] == f"sudo TMPDIR=/run gatehousectl check {shlex.join(places(bench))}", findings)


def what_keeps_it_from_starting(bench):
    """A profile that is not there is an error at its place, and no mend wants an agent that runs."""
    bench.write_config("coaps://127.0.0.1:5684", uplink={"profile": "nowhere"})
    bench.write_json("devices.d/boiler-1.json", {"device": "boiler-1", "uplink": "cloud", "drivr": "sim"})
    findings = found(bench)
    places_of = {s: f for (i, s), f in findings.items() if i == "bad-setting"}
    of_agent = [f for s, f in places_of.items() if s.startswith(os.path.join(bench.config, "gatehouse.json") + ":")]
    check(len(of_agent) == 1 and "nowhere" in of_agent[0]["cause"], findings)
    check(of_agent[0]["mend"].endswith(f"gatehoused --check-config --config-dir {bench.config}"), of_agent)
    of_device = [f for s, f in places_of.items() if "boiler-1.json" in s]
    check(of_device and all(f["mend"].endswith(" && sudo systemctl restart gatehouse") for f in of_device), findings)
    check(("not-looked", "handshakes") not in findings, findings)


def a_vault_that_does_not_open(bench):
    """Each with the command that mends it, for the places that were looked at."""
    stopped(bench)
    vault = os.path.join(bench.state, "vault.db")
    places_given = f"--config-dir {bench.config} --state-dir {bench.state} --keyfile {bench.keyfile}"
    own = bench.path("own")
    os.rename(bench.keyfile, own)
    closed = found(bench)["vault-closed", vault]
    check(closed["mend"] == f"sudo install -m 0400 COPY {bench.keyfile}", closed)
    with open(bench.keyfile, "wb") as file:
        file.write(os.urandom(os.path.getsize(own)))
    os.chmod(bench.keyfile, 0o400)
    closed = found(bench)["vault-closed", vault]
    check(closed["mend"] == f"sudo gatehoused --recover {places_given}", closed)
    os.rename(own, bench.keyfile)
    with open(vault, "r+b") as file:
        file.write(b"no database at all")
    closed = found(bench)["vault-closed", vault]
    check(closed["mend"] == f"sudo gatehoused --restore BACKUP --force {places_given}", closed)


def silent(bench):
    """A device with a key, and a server that says nothing: (its socket, where copies are made, the command, its environment)."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.settimeout(harness.DEADLINE)
    server.bind(("127.0.0.1", 0))
    stopped(bench)
    bench.write_config(f"coaps://127.0.0.1:{server.getsockname()[1]}")
    temporary = bench.path("copies")
    os.mkdir(temporary, 0o755)
    argv = [harness.program("agent/gatehoused/gatehoused"), "--check-handshakes", "--config-dir", bench.config,
            "--state-dir", bench.state, "--keyfile", bench.keyfile, "--user", pwd.getpwuid(os.geteuid()).pw_name]
    return server, temporary, argv, dict(bench.env, TMPDIR=temporary)


def ended_by(bench, sign, until, more, temporary, argv, env):
    """The signal ends it as it ends any program, and nothing of the vault's copy is left."""
    with open(bench.path("interrupted"), "wb") as out:
        process = subprocess.Popen(argv, env=env, stdout=out, stderr=out)
    try:
        until(process)
        process.send_signal(sign)
        status = process.wait(harness.DEADLINE)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    check(status in (-sign, *more), f"{sign.name}: status {status}: {harness.read(bench.path('interrupted'))}")
    check(os.listdir(temporary) == [], os.listdir(temporary))


def an_interrupted_try(bench):
    """Whoever waits for a silent server may give up."""
    server, temporary, argv, env = silent(bench)
    with server:
        for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            ended_by(bench, sign, lambda _: server.recv(4096), (), temporary, argv, env)
            server.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    server.recv(4096)
            server.settimeout(harness.DEADLINE)


def an_interrupted_copy(bench):
    """Also where the signal comes while the copy of the vault has files."""
    server, temporary, argv, env = silent(bench)

    def begun(process):  # or over, on a busy machine
        while not os.listdir(temporary) and process.poll() is None and not select.select([server], [], [], 0)[0]:
            pass

    with server:
        ended_by(bench, signal.SIGTERM, begun, (), temporary, argv, env)
        argv[1:] = ["--can-open", os.path.join(bench.state, "vault.db"), *argv[2:-2]]
        ended_by(bench, signal.SIGTERM, begun, (0,), temporary, argv, env)  # it may be done before


CASES = [good_keys_and_nothing_written, a_wrong_key_beside_a_good_one, a_server_that_is_away, several_hosts, without_keys,
         a_broker_sees_no_connect, nor_over_tls_1_3, an_agent_without_a_bus,
         nobody_elses, what_keeps_it_from_starting, a_vault_that_does_not_open,
         an_interrupted_try, an_interrupted_copy]

if __name__ == "__main__":
    check(shutil.which("openssl"), "openssl")
    harness.main(*CASES, needs=("openssl", "mosquitto"))
