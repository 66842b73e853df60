#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""doc/clouds.md: each profile's requests as its cloud documents them, beside what the agent really sends, captured here: from libcoap's
own server, and from mosquitto. GATEHOUSE_WRITE_EXPECTED=1 writes the page."""
import contextlib
import json
import os
import re
import subprocess

import cbor2
import harness
from agent_peers import CoapServer
from harness import check, wait_for
from waiting import ROOT
from mqtt_peers import Broker, Subscriber, publish

PAGE = os.path.join(ROOT, "doc", "clouds.md")
with open(os.path.join(ROOT, "tests", "fixtures", "documented.json"), encoding="utf-8") as f:
    DOCUMENTED = json.load(f)
DEVICE = "boiler-1"
COMMANDS = {  # what the operator of each cloud does
    "golioth": [(".rpc", {"id": "setpoint/74e4", "method": "setpoint", "params": [21.5]}), (".d/desired", {"setpoint": 20}),
                (".c", {"version": 1652109801583, "settings": {"setpoint": 19, "TEMPERATURE_FORMAT": "celsius"}})],
    "thingsboard": [("v1/devices/me/rpc/request/17", {"method": "setpoint", "params": {"value": 21.5}})],
}
HEAD = """# What clouds document, and what they get

Each profile's requests as its cloud documents them, beside what the agent sent of that kind to a real server or broker. The part that
says *sent* is captured and compared by `tests/integration/test-documented.py`; times are written `TIME`. Home Assistant's whole rules
are in `tests/fixtures/homeassistant-rules.json`.
"""


class Server(CoapServer):
    def requests(self):
        """METHOD PATH?QUERY BODY of each request of the device, in order."""
        found = []
        for line in self.text().splitlines():
            head = re.match(r"^v:1 t:CON c:(GET|POST|PUT) i:\w+ \{\w*\} \[ (.*?)\](.*)$", line)
            if head:
                path = "/".join(re.findall(r"Uri-Path:([^,\s]+)", head[2]))
                query = "&".join(re.findall(r"Uri-Query:([^,\s]+)", head[2]))
                found.append([head[1], path + ("?" + query if query else ""), b""])
            body = re.search(r"(?:<<((?:[0-9a-f]{2})+)>>|'(.*)')$", line)
            if body and body[2] != "- Unknown -" and found and not found[-1][2]:
                found[-1][2] = bytes.fromhex(body[1]) if body[1] else body[2].encode()
        return [(f"{method} {target}", body) for method, target, body in found]


def tidy(body):
    """Times are not the same each time; of a list of records the first will do."""
    try:
        value = json.loads(body)
    except ValueError:
        try:
            value = cbor2.loads(body)  # ... in JSON's words
        except (cbor2.CBORDecodeError, ValueError):
            return body.decode(errors="replace"), None
    if isinstance(value, list) and value and isinstance(value[0], dict) and "bn" not in value[0]:
        value = value[:1]
    text = json.dumps(value, ensure_ascii=False)
    text = re.sub(r'"20\d\d-\d\d-\d\dT[0-9:.]+Z"', '"TIME"', text)
    return re.sub(r'("(?:ts|bt)": )[0-9.]+', r"\1TIME", text), value


def configure(bench, url, profile, **more):
    bench.write_config(url, uplink={"profile": profile, "registrar": {"type": "manual"}, **more})
    bench.write_device(DEVICE, "sim", {"setpoint": {"signal": "constant", "value": 21, "unit": "Cel", "writable": True, "min": 5, "max": 30}},
                       interval="200ms")
    bench.agent()
    bench.driver("sim")
    bench.wait_property(DEVICE, "SensorState", "ok")  # or the first answers would tell of the driver


def over_coap(bench, stack, profile):
    keys = {"id-device": bench.new_key(text=True), "operator": bench.new_key(text=True)}
    server = bench.add(Server(bench, "coap-server-gnutls", keys))
    configure(bench, server.url, profile, keepalive="40s")
    for n, (path, body) in enumerate(COMMANDS.get(profile, [])):
        file = bench.path(f"command-{n}")
        with open(file, "w", encoding="utf-8") as f:
            json.dump(body, f)
        subprocess.run(["coap-client-gnutls", "-B", str(harness.DEADLINE), "-u", "operator", "-k", keys["operator"].decode(), "-m", "put", "-t", "50", "-f", file,
                        f"{server.url}/{path}"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       timeout=harness.DEADLINE, check=False)
    bench.key_set(DEVICE, "id-device", keys["id-device"])
    return server.requests


def over_mqtt(bench, stack, profile):
    key = bench.new_key(text=True)
    broker = Broker(stack, {"first-1": key.decode()})
    seen = Subscriber(stack, broker)
    configure(bench, f"mqtts://127.0.0.1:{broker.port}", profile)
    bench.key_set(DEVICE, "first-1", key)
    bench.wait_property(DEVICE, "State", "online")
    for topic, body in COMMANDS.get(profile, []):
        broker.lines.expect(r"Received SUBSCRIBE from boiler-1")
        wait_for("its subscription", lambda: any("rpc/request" in line for line in broker.lines.seen) or not broker.lines.expect("rpc/request"))
        publish(broker, topic, json.dumps(body))

    def requests():
        while not seen.lines.queue.empty():
            line = seen.lines.queue.get()
            if line is not None:
                seen.lines.seen.append(line)
        matches = [re.match(r"(\S+/\S+) \d (.*)", line) for line in list(seen.lines.seen)]
        return [(m[1], m[2].encode()) for m in matches if m and not m[1].startswith("Client")]
    return requests


def find(requests, entry):
    """The first of that kind."""
    for target, body in requests():
        text, value = tidy(body)
        first = value[0] if isinstance(value, list) and value else value
        if target == entry["target"] and all(isinstance(first, dict) and key in first for key in entry["keys"]):
            return f"{target} {text}".rstrip()
    return None


def capture(profile):
    over = over_mqtt if profile in ("thingsboard", "homeassistant") else over_coap

    def run(bench):
        with contextlib.ExitStack() as stack:
            requests = over(bench, stack, profile)
            parts = [f"\n## `{profile}`\n"]
            for entry in DOCUMENTED[profile]:
                sent = wait_for(lambda e=entry: f"{e['what']}: {e['target']} with {e['keys']}", lambda e=entry: find(requests, e))
                check(all(f'"{key}"' in entry["documented"] for key in entry["keys"]), f"{entry['what']}: not as documented")
                parts.append(f"\n{entry['what']} ([documentation]({entry['source']})):\n\n    documented  {entry['documented']}\n"
                             f"    sent        {sent}\n")
            compare(profile, "".join(parts))
    run.__name__ = profile
    return run


def compare(profile, part):
    text = harness.read(PAGE) if os.path.exists(PAGE) else HEAD
    parts = {m[1]: m[0] for m in re.finditer(r"\n## `(\w+)`\n.*?(?=\n## `|\Z)", text, re.DOTALL)}
    if os.environ.get("GATEHOUSE_WRITE_EXPECTED"):
        parts[profile] = part
        with open(PAGE, "w", encoding="utf-8") as f:
            f.write(HEAD + "".join(parts[p] for p in DOCUMENTED if p in parts))
        return
    check(parts.get(profile) == part, f"doc/clouds.md has\n{parts.get(profile)}\nbut this was captured:\n{part}")


if __name__ == "__main__":
    harness.main(*(capture(profile) for profile in DOCUMENTED), needs=("coap-server-gnutls", "mosquitto"))
