#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The whole agent with profiles other than `senml`, against libcoap's own server: what arrives is read by libraries of others,
and every value that a Modbus server has served is in it, once and in order. Commands in CBOR. And profiles that are wrong."""
import datetime
import json
import os
import re
import shutil
import subprocess
import sys

import cbor2
import harness
from agent_bench import own_profile
from agent_peers import COUNTER, CoapServer, check_list, write_counter
from harness import check, wait_for

SERVER = "coap-server-gnutls"
# As an administrator writes one: a word in the path, one record a sample, PUT.
OWN = """{
    "format": "json", "max_payload": 400, "drain_rate": 100,
    "telemetry": { "method": "PUT", "path": "own/{hardware_id}", "content_format": 60 },
    "group": "sample", "batch": "when-many",
    "record": ["{point}", "{time_us}", "{value}", "{quality}"],
    "probe": { "method": "PUT", "path": "own/probe", "text": "{device}" },
    "responses": { "accept": ["2.xx"], "refuse": ["4.01", "4.03"] }
}
"""

# Calls as Golioth documents them, asked for in CBOR.
CALLS = """{
    "telemetry": { "path": "packs" },
    "probe": { "path": "packs", "body": [{ "bn": "{device}:", "n": "_probe", "vb": true }] },
    "commands": [{
        "poll": { "method": "GET", "path": "calls/{device}" }, "every": "200ms", "accept": 60,
        "id": "/id", "point": "/method", "value": "/params/0",
        "reply": { "method": "PUT", "path": "status", "body": { "id": "{id}", "status": "{status}", "detail": "{error}" } },
        "status": { "done": 0, "denied": 7 }
    }],
    "responses": { "accept": ["2.xx"], "refuse": ["4.01", "4.03"] }
}
"""


def seconds(text):
    """Microseconds since 1970 of an RFC 3339 time in UTC."""
    whole, fraction = re.fullmatch(r"([^.Z]+)(?:\.(\d+))?Z", text).groups()
    at = datetime.datetime.fromisoformat(whole).replace(tzinfo=datetime.timezone.utc)
    return int(at.timestamp()) * 1000000 + int((fraction or "0").ljust(6, "0"))


def senml_cbor(body):
    pack = cbor2.loads(body)
    base = pack[0]
    return [] if base[0] == "_probe" else [(round((base[-3] + r.get(6, 0)) * 1e6), r[2]) for r in pack]


def own(body):
    records = cbor2.loads(body)
    return [(usec, value) for _, usec, value, quality in ([records] if isinstance(records[0], str) else records)]


def flat(body):
    return [(seconds(r["ts"]), r["reads"]) for r in json.loads(body)]


def nested(body):
    return [(seconds(r["time"]), r["values"]["reads"]) for r in json.loads(body)]


# device: profile, the path that its samples come to, how they are read
KINDS = {"d-golioth": ("golioth", ".s/points", flat), "d-hono": ("hono", "telemetry", nested),
         "d-cbor": ("cbor-here", "packs", senml_cbor), "d-own": ("own", "own/HW-7", own)}


class Server(CoapServer):
    HEAD = re.compile(r"^v:1 t:CON c:(?:POST|PUT) i:\w+ \{\w*\} \[ (.*?)\](.*)$")

    def bodies(self, path):
        """Those of the requests to this path, in order; empty ones left out."""
        found, wanted = [], False
        for line in self.text().splitlines():
            head = self.HEAD.match(line)
            if head:
                wanted = "/".join(re.findall(r"Uri-Path:([^,\s]+)", head[1])) == path
            text = re.search(r"(?:<<((?:[0-9a-f]{2})+)>>|'(.*)')$", line) if wanted else None
            if text:
                found.append(bytes.fromhex(text[1]) if text[1] else text[2].encode())
                wanted = False
        return found


def write_profiles(bench):
    own_profile(bench, "cbor-here", "senml-cbor", ('"path": "telemetry"', '"path": "packs"'))
    with open(os.path.join(bench.config, "profiles", "own.json"), "w", encoding="utf-8") as f:
        f.write(OWN)


def arrived(server, device):
    _, path, read = KINDS[device]
    return [sample for body in server.bodies(path) for sample in read(body)]


def every_value_arrives(bench):
    keys = {f"id-{device}": bench.new_key(text=True) for device in KINDS}
    server = bench.add(Server(bench, SERVER, keys))
    modbus = bench.modbus_server(devices=len(KINDS))
    write_profiles(bench)
    bench.write_json("gatehouse.json", {"uplinks": {
        device: {"url": server.url, "profile": profile, "max_payload": 400, "registrar": {"type": "manual"}}
        for device, (profile, _, _) in KINDS.items()}})
    for unit, device in enumerate(KINDS, 1):
        write_counter(bench, device, unit, modbus.port, uplink=device)
        if device == "d-own":
            path = os.path.join(bench.config, "devices.d", device + ".json")
            with open(path, encoding="utf-8") as f:
                content = json.load(f)
            with open(path, "w", encoding="utf-8") as f:
                json.dump(content | {"hardware_id": "HW-7"}, f)
    bench.agent()
    driver = bench.driver("modbus")
    for device in KINDS:
        bench.key_set(device, f"id-{device}", keys[f"id-{device}"])
    for device in KINDS:
        wait_for(f"ten samples of {device}", lambda d=device: len(arrived(server, d)) >= 10)
    driver.stop()
    for unit, device in enumerate(KINDS, 1):
        bench.wait_property(device, "Spooled", 0)
        served = [value for _, value in modbus.served(unit, *COUNTER)]
        repeats = check_list(device, served, arrived(server, device))
        check(bench.get(device, "Delivered") == len(served) and bench.get(device, "Rejected") == 0, f"{device}: counters")
        print(f"  {device}: {len(served)} served, all arrived in order, {repeats} repeated")


def show_call(bench, server, key, number, value):
    """As whoever operates the device would."""
    body = bench.path(number)
    with open(body, "wb") as f:
        f.write(cbor2.dumps({"id": number, "method": "setpoint", "params": [value]}))
    subprocess.run(["coap-client-gnutls", "-B", "5", "-u", "operator", "-k", key.decode(), "-m", "put", "-t", "60", "-f", body,
                    f"{server.url}/calls/boiler-1"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, timeout=harness.DEADLINE, check=False)


def outcome_of(server, number):
    return wait_for(f"the outcome of {number}", lambda: [o for o in map(cbor2.loads, server.bodies("status")) if o["id"] == number])[0]


def commands_in_cbor(bench):
    """They are polled for, carried out, and answered in CBOR: with a server and a client that are not ours."""
    keys = {"id-device": bench.new_key(text=True), "operator": bench.new_key(text=True)}
    server = bench.add(Server(bench, SERVER, keys))
    modbus = bench.modbus_server()
    folder = os.path.join(bench.config, "profiles")
    os.makedirs(folder)
    with open(os.path.join(folder, "calls.json"), "w", encoding="utf-8") as f:
        f.write(CALLS)
    bench.write_config(server.url, uplink={"profile": "calls", "registrar": {"type": "manual"}})
    bench.write_device("boiler-1", "modbus", url=f"tcp://127.0.0.1:{modbus.port}", unit=1, interval="100ms", timeout="10s", points={
        "setpoint": {"table": "holding", "address": 10, "type": "int16", "scale": 0.1, "writable": True, "min": 5, "max": 30}})
    bench.agent()
    bench.driver("modbus")
    show_call(bench, server, keys["operator"], "dlXdqyeh", 21.5)
    bench.key_set("boiler-1", "id-device", keys["id-device"])
    check(outcome_of(server, "dlXdqyeh") == {"id": "dlXdqyeh", "status": 0}, "the register was not written")
    show_call(bench, server, keys["operator"], "dlXdqyei", 31)
    said = outcome_of(server, "dlXdqyei")
    check(said["status"] == 7 and "beyond the limits" in said["detail"], f"{said}")
    written = [value for _, value in modbus.served(1, "holding", 10, "write")]
    check(written == [215], f"the register: {written}")


def wrong_profile(bench):
    """Each mistake with its place, all in one run."""
    folder = os.path.join(bench.config, "profiles")
    os.makedirs(folder)
    path = os.path.join(folder, "wrong.json")
    with open(path, "w", encoding="utf-8") as f:
        f.write('{\n  "telemetry": { "path": "/a", "topic": "x" },\n  "probe": { "path": "p", "body": "{devise}" },\n'
                '  "responses": { "accept": ["2.xx"] },\n  "drain_rat": 5\n}\n')
    bench.write_json("gatehouse.json", {"uplinks": {"cloud": {"url": "coaps://127.0.0.1:5684", "profile": "wrong",
                                                              "registrar": {"type": "manual"}}}})
    checked = subprocess.run([harness.program("agent/gatehoused/gatehoused"), "--config-dir", bench.config, "--check-config"],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                             env=dict(os.environ, **bench.env), timeout=harness.DEADLINE)
    said = checked.stdout
    check(checked.returncode == 78, f"status {checked.returncode}: {said}")
    for place, words in (("2:26", '"/a" is not a path'), ("2:32", '"topic" is of MQTT'), ("3:35", "{devise} means nothing"),
                         ("5:3", 'did you mean "drain_rate"')):
        check(re.search(rf"wrong\.json:{place}: .*{re.escape(words)}", said), f"{place} {words} is not in {said}")


def main():
    if not shutil.which(SERVER):
        print(f"{SERVER} is not installed")
        sys.exit(harness.SKIPPED)
    harness.main(every_value_arrives, commands_in_cbor, wrong_profile)


if __name__ == "__main__":
    main()
