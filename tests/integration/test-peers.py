#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The whole agent against libcoap's own servers as the cloud, over GnuTLS and OpenSSL.

The shipped profile `senml` does with libcoap's servers: they take POST on a path that they do not know for making it. A
cloud that knows only PUT is served by an administrator's own profile, which is a copy of senml.json under another name in
the folder profiles/ beside gatehouse.json; one of the two devices here uses such a one.
"""
import re
import shutil
import socket
import sys
import time

import harness
from agent_bench import own_profile
from agent_peers import COUNTER, CoapServer, check_list, write_counter
from harness import check, wait_for

SERVERS = [s for s in ("coap-server-gnutls", "coap-server-openssl") if shutil.which(s)]
GOOD = ("boiler-1", "boiler-2")
OUTAGE_SAMPLES = 12


def write_uplinks(bench, urls):
    """`urls`: by uplink; all but `by-put` with the shipped profile. Nothing there is learnt by a registrar."""
    bench.write_json("gatehouse.json", {"uplinks": {
        name: {"url": url, "profile": name if name == "by-put" else "senml", "max_payload": 512,
               "registrar": {"type": "manual"}} for name, url in urls.items()}})


def wait_refused(bench, device, server, identity):
    """Told from a server that is away, and in words that say where to look."""
    bench.wait_property(device, "State", "refused", 40)
    words = (f"127.0.0.1:{server.port}", f"identity {identity}:", "server answered", "registered there", "ASCII, hex or base64")
    wait_shown(bench, device, "refused", lambda error: all(part in error for part in words))


def wait_shown(bench, device, state, judge):
    """That state, and a last error that judge() likes: of the latest attempt, which may have met the machine busy."""
    error = bench.wait_property(device, "LastError", judge)

    def looks():
        shown = bench.ctl("show", device)
        return f"state: {state}" in shown and error in shown
    wait_for(f"{state} and {error!r} in show", looks)
    print(f"  {device}: {error}")


def wait_unreachable(bench, device, pattern, seconds=20):
    bench.wait_property(device, "State", "unreachable", seconds)
    wait_shown(bench, device, "unreachable", lambda error: re.search(pattern, error))


def has_silent(program):
    """Silence is known for certain after 30 s; refusals by OpenSSL take nearly as long, so it costs little there."""
    return program == "coap-server-openssl" or len(SERVERS) == 1


def start_all(bench, program):
    keys = {identity: bench.new_key(text=True) for identity in ("id-1", "id-2", "id-wrong", "id-unknown")}
    known = {"id-1": keys["id-1"], "id-2": keys["id-2"], "id-wrong": bench.new_key(text=True)}
    server = bench.add(CoapServer(bench, program, known))
    modbus = bench.modbus_server(devices=2)
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind(("127.0.0.1", 0))
    own_profile(bench, "by-put", "senml", ('"POST"', '"PUT"'))
    write_uplinks(bench, {"cloud": server.url, "by-put": server.url, "closed": f"coaps://127.0.0.1:{harness.free_port()}",
                          "silent": f"coaps://127.0.0.1:{silent.getsockname()[1]}"})
    write_counter(bench, "boiler-1", 1, modbus.port)
    write_counter(bench, "boiler-2", 2, modbus.port, uplink="by-put")
    for device, uplink in (("wrong", "cloud"), ("unknown", "cloud"), ("closed", "closed"), ("silent", "silent")):
        bench.write_device(device, "sim", uplink=uplink, interval="1s", points={"x": {"signal": "counter"}})
    bench.agent()
    bench.driver("sim")
    driver = bench.driver("modbus")
    for device, identity in (("boiler-1", "id-1"), ("boiler-2", "id-2"), ("wrong", "id-wrong"), ("unknown", "id-unknown")):
        bench.key_set(device, identity, keys[identity])
    for device in ("closed", "silent"):
        bench.key_set(device, "id-" + device, bench.new_key())
    return server, modbus, driver, silent


def kill_and_restart(bench, server):
    """With -9 and no farewell; back after a while. The agent is not touched."""
    server.kill()
    before = {d: len(server.samples(d)) for d in GOOD}
    wait_for("samples of the outage in the queues", lambda: all(bench.get(d, "Spooled") >= OUTAGE_SAMPLES for d in GOOD))
    for device in GOOD:
        wait_unreachable(bench, device, r"nothing listens there \(ICMP")
    server.start()
    back = time.monotonic()
    wait_for("samples after the restart", lambda: all(len(server.samples(d)) > before[d] for d in GOOD), 30)
    print(f"  samples flow {time.monotonic() - back:.1f} s after the server is back")


def compare(bench, server, modbus, driver):
    driver.stop()
    for unit, device in enumerate(GOOD, 1):
        bench.wait_property(device, "Spooled", 0)
        served = [value for _, value in modbus.served(unit, *COUNTER)]
        arrived = server.samples(device)
        repeats = check_list(device, served, arrived)
        check(bench.get(device, "Delivered") == len(served), f"Delivered of {device}")
        check(bench.get(device, "Dropped") == 0 and bench.get(device, "Rejected") == 0, f"{device} dropped or rejected")
        print(f"  {device}: {len(served)} served, all arrived in order, {repeats} repeated")


def with_server(bench, program):
    server, modbus, driver, silent = start_all(bench, program)
    for device in GOOD:
        wait_for(f"ten samples of {device}", lambda d=device: len(server.samples(d)) >= 10)
    wait_unreachable(bench, "closed", r"nothing listens there \(ICMP")
    wait_refused(bench, "wrong", server, "id-wrong")
    wait_refused(bench, "unknown", server, "id-unknown")
    kill_and_restart(bench, server)
    if has_silent(program):
        wait_unreachable(bench, "silent", "no answer: is the server up, and does a firewall let UDP through", 40)
    compare(bench, server, modbus, driver)
    text = server.text()
    check("c:POST" in text and "c:PUT" in text, "one of the two methods was not used")
    for identity in ("id-1", "id-2"):
        check(f"got psk_identity: '{identity}'" in text, f"{identity} made no session")
    silent.close()


def gnutls(bench):
    with_server(bench, "coap-server-gnutls")


def openssl(bench):
    with_server(bench, "coap-server-openssl")


def main():
    tests = {"coap-server-gnutls": gnutls, "coap-server-openssl": openssl}
    for name in tests:
        if name not in SERVERS:
            print(f"{name} is not installed: left out")
    if not SERVERS:
        sys.exit(harness.SKIPPED)
    harness.main(*(tests[name] for name in SERVERS))


if __name__ == "__main__":
    main()
