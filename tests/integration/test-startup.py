#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""How the programs that hold keys begin: every symbol bound, and deaf to the variables by which a library would write keys down."""
import contextlib
import os
import re
import shutil
import subprocess

import harness
from agent_bench import TEMPERATURE, sim_bench
from harness import check
from mqtt_peers import MOSQUITTO, Broker
from registrar_peers import API_KEY, PROJECT, TENANT, Registrar, hono_device

LAYER = os.path.join(harness.BUILD_DIR, "tests", "tools", "lazy-objects.so")
CONTROL = "agent/gatehouse-devcloud/gatehouse-devcloud"  # begins as any program does


def unbound(bench):
    """program -> its libraries that were bound lazily, of those that have ended."""
    found = {}
    for line in harness.read(bench.path("lazy")).splitlines():
        name, what, rest = line.split(" ", 2)
        libraries = found.setdefault(name, set())
        if what == "lazy":
            libraries.add(rest)
        else:
            check(int(rest.split()[-1]) > 3, f"{name}: {rest}")
    return found


def every_symbol_is_bound(bench):
    """Whoever starts them, and with whatever is loaded by the time they end."""
    if harness.STRETCH > 1:
        return
    os.environ.pop("LD_BIND_NOW", None)
    layer = {"LD_PRELOAD": LAYER, "LAZY_OBJECTS": bench.path("lazy")}
    subprocess.run([harness.program(CONTROL), "--version"], env={**os.environ, **layer}, check=True, stdout=subprocess.DEVNULL)
    check(unbound(bench).get("gatehouse-devcloud"), "nothing is bound lazily on this system, so nothing is shown")
    bench.bus()
    bench.env.update(layer)
    bench.make_keyfile()
    bench.write_config("coaps://127.0.0.1:9")
    agent = bench.agent()
    registrar = Registrar(bench, None, "exec", options=("--program-dir", bench.dir))
    registrar.stop()
    agent.stop()
    found = unbound(bench)
    for name in ("gatehoused", "gatehouse-registrar", "gatehousectl"):
        check(name in found, f"{name} has said nothing: {found}")
        check(not found[name], f"{name}: bound lazily: {found[name]}")


def started_as(bench):
    """It is the process that was started, by its own name, with its own arguments."""
    bench.write_config("coaps://127.0.0.1:9")
    agent = bench.agent()
    check(harness.read(f"/proc/{agent.pid}/comm").strip() == "gatehoused", harness.read(f"/proc/{agent.pid}/comm"))
    check(harness.read_bytes(f"/proc/{agent.pid}/cmdline").split(b"\0")[:-1] == [a.encode() for a in agent.argv], "other arguments")
    agent.stop()


def tempting(bench):
    """Each variable names a file of its own, which nobody may make."""
    folder = bench.path("written")
    os.makedirs(folder, exist_ok=True)
    conf = bench.path("openssl.cnf")
    with open(conf, "w", encoding="utf-8") as f:
        f.write("openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\nCipherString = NULL\n")
    return {"SSLKEYLOGFILE": os.path.join(folder, "keylog"), "GNUTLS_DEBUG_LEVEL": "99", "OPENSSL_CONF": conf,
            "GNUTLS_SYSTEM_PRIORITY_FILE": conf, "SSL_CERT_FILE": conf, "P11_KIT_DEBUG": "all", "NETTLE_FAT_VERBOSE": "1",
            "LD_BIND_NOW": "1"}


def nothing_written(bench, *processes):
    check(not os.listdir(bench.path("written")), f"written: {os.listdir(bench.path('written'))}")
    for process in processes:
        # what is loaded says so before main(), when there is no key: from the program's own first line on it is silent
        _, own, said = process.text().partition("gatehouse")
        check(own, f"{process.name} has said nothing")
        found = re.findall(r"(?m)^(?:gnutls\[|\(p11-kit:|libnettle:).*", said)
        check(not found, f"{process.name}: debugging output of a library: {found[:2]}")


def a_session_over_coap_is_written_down_nowhere(bench):
    agent, _, _, _ = sim_bench(bench, connect=False)
    agent.stop()
    agent = bench.agent(name="gatehoused-tempted", env=tempting(bench))
    bench.key_set("boiler-1", "first-boiler-1", bench.keys[0])
    bench.wait_property("boiler-1", "State", "online")
    bench.ctl("rotate", "boiler-1")
    agent.stop()
    nothing_written(bench, agent)


def a_session_over_mqtt_is_written_down_nowhere(bench):
    if not shutil.which(MOSQUITTO):
        return
    with contextlib.ExitStack() as stack:
        key = bench.new_key(text=True)
        broker = Broker(stack, {"first-1": key.decode()})
        bench.write_config(f"mqtts://127.0.0.1:{broker.port}", uplink={"profile": "senml-mqtt", "registrar": {"type": "manual"}})
        bench.write_device("boiler-1", "sim", points={"x": TEMPERATURE}, interval="100ms")
        agent = bench.agent(env=tempting(bench))
        bench.driver("sim")
        bench.key_set("boiler-1", "first-1", key)
        bench.wait_property("boiler-1", "State", "online")
        agent.stop()
        nothing_written(bench, agent)


def a_registration_is_written_down_nowhere(bench):
    cloud = bench.devcloud([], project=PROJECT, tenant=TENANT, api_key=API_KEY)
    hono_device(cloud, "boiler-1")
    bench.env.update(tempting(bench))
    registrar = Registrar(bench, cloud, "hono")
    key = bench.new_key()
    answer = registrar.put("boiler-1", "boiler-1-1", key)
    check(answer["result"] == "ok", answer)
    registrar.stop()
    nothing_written(bench, registrar)


if __name__ == "__main__":
    harness.main(every_symbol_is_bound, started_as, a_session_over_coap_is_written_down_nowhere,
                 a_session_over_mqtt_is_written_down_nowhere, a_registration_is_written_down_nowhere)
