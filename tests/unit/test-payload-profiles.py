#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Profiles as others see them.

- The schema and the parser take the same profiles: those that are shipped, those of the manual page; and refuse the same, where
  a schema can tell.
- Each key and word that the parser knows stands in the manual page.
- CBOR and JSON, read by another library, are the same samples; no number in CBOR is longer than that library makes it.

usage: test-payload-profiles.py PROFILE_SAY"""

import copy
import importlib.util
import json
import math
import pathlib
import random
import re
import struct
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "doc/gatehouse-profiles.5"
SAY = sys.argv[1]

spec = importlib.util.spec_from_file_location("config_schema", ROOT / "tests/unit/test-config-schema.py")
config_schema = importlib.util.module_from_spec(spec)
spec.loader.exec_module(config_schema)
SCHEMA = json.loads((ROOT / "etc/schema/profile.schema.json").read_text())


def parser_says(text):
    """None if the parser takes it, else its words."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as f:
        f.write(text)
        f.flush()
        done = subprocess.run([SAY, f.name], capture_output=True, text=True)
    assert done.returncode in (0, 1), done
    return done.stdout if done.returncode else None


def schema_says(profile):
    return list(config_schema.faults(SCHEMA, profile, SCHEMA)) or None


def page_examples():
    return {name: re.sub(r"(?m)^\.[^\n]*\n", "", text).replace("\\-", "-")
            for name, text in re.findall(r'\.\\" example (\S+)\n(.*?)\.\\" end', PAGE.read_text(), re.DOTALL)}


def good_profiles():
    shipped = {p.name: p.read_text() for p in sorted((ROOT / "etc/profiles").glob("*.json"))}
    examples = page_examples()
    assert len(shipped) >= 7 and len(examples) >= 2, (list(shipped), list(examples))
    return shipped | examples


def test_good():
    for name, text in good_profiles().items():
        assert parser_says(text) is None, f"{name}: {parser_says(text)}"
        profile = json.loads(config_schema.strip_comments(text))
        assert schema_says(profile) is None, f"{name}: {schema_says(profile)}"


def without(profile, *path):
    changed = copy.deepcopy(profile)
    at = changed
    for key in path[:-1]:
        at = at[key]
    del at[path[-1]]
    return changed


def changed(profile, value, *path):
    new = copy.deepcopy(profile)
    at = new
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return new


def test_bad():
    profiles = {n: json.loads(config_schema.strip_comments(t)) for n, t in good_profiles().items()}
    coap, mqtt, own, home = (profiles[n + ".json"] for n in ("senml", "senml-mqtt", "hono", "homeassistant"))
    bad = {
        "no telemetry": without(coap, "telemetry"), "no probe": without(mqtt, "probe"), "no responses": without(coap, "responses"),
        "no accept": without(coap, "responses", "accept"), "unknown key": changed(coap, 1, "colour"),
        "unknown transport": changed(coap, "http", "transport"), "unknown format": changed(coap, "xml", "format"),
        "topic over coap": changed(coap, {"topic": "x"}, "telemetry"), "path over mqtt": changed(mqtt, {"path": "x"}, "telemetry"),
        "path with /": changed(coap, "/x", "telemetry", "path"), "wildcard": changed(mqtt, "a/+", "telemetry", "topic"),
        "probe none over coap": changed(coap, "none", "probe"), "probe without body": without(coap, "probe", "body"),
        "both bodies": changed(coap, "x", "probe", "text"), "will over coap": changed(coap, {"path": "x"}, "will"),
        "record of SenML": changed(coap, {}, "record"), "json without record": without(own, "record"),
        "base name of json": changed(own, "x", "base_name"), "group": changed(own, "all", "group"),
        "GET": changed(coap, "GET", "telemetry", "method"), "large": changed(coap, 1 << 20, "max_payload"), "small": changed(coap, 1, "max_payload"),
        "rate": changed(coap, -1, "drain_rate"), "coap code": changed(coap, ["0x87"], "responses", "accept"),
        "mqtt code": changed(mqtt, {"accept": ["2.04"]}, "responses"), "code range": changed(coap, ["2.32"], "responses", "accept"),
        "commands": changed(coap, {}, "commands"), "no observe": without(coap, "commands", 0, "observe"),
        "no value": without(coap, "commands", 0, "value"), "pointer": changed(coap, "id", "commands", 0, "id"),
        "members and value": changed(coap, "", "commands", 0, "members"), "status": changed(coap, [], "commands", 0, "status", "done"),
        "outcome": changed(coap, 1, "commands", 0, "status", "good"), "location": changed(own, [], "commands", 0, "location"),
        "every": changed(own, 5, "commands", 0, "every"), "location of observe": changed(coap, ["x"], "commands", 0, "location"),
        "topic filter": changed(mqtt, "a/#", "commands", 0, "topic"), "each": changed(home, "thing", "announcements", 0, "each"),
        "state of a sensor": changed(mqtt, "x", "availability", "status", "well"), "sensor": changed(mqtt, [], "availability", "status", "ok"),
        "availability without topic": without(mqtt, "availability", "topic"),
        "accept of a poll": changed(own, 65536, "commands", 0, "accept"), "accept over mqtt": changed(mqtt, 60, "commands", 0, "accept"),
        "format of commands": changed(mqtt, "xml", "commands", 0, "format"), "format over coap": changed(coap, "cbor", "commands", 0, "format"),
        "time over mqtt": changed(mqtt, {"option": 65000}, "server_time"), "time without option": changed(coap, {"unit": "s"}, "server_time"),
        "time by a known option": changed(coap, {"option": 60}, "server_time"), "unit of time": changed(coap, {"option": 65000, "unit": "min"}, "server_time"),
        "retained probe": changed(mqtt, True, "probe", "retain"),
        "units": changed(own, {"Cel": 1}, "units"), "no object": [],
    }
    for name, profile in bad.items():
        said = parser_says(json.dumps(profile, indent=1))
        assert said, f"{name}: the parser takes it"
        assert all(re.match(r"\S+:\d+:\d+: \S", line) for line in said.splitlines()), f"{name}: {said}"
        assert schema_says(profile), f"{name}: the schema takes it; the parser: {said}"


def test_page():
    page = PAGE.read_text().replace("\\-", "-")
    keys = set()
    for path in sorted((ROOT / "src/payload").glob("read*.c")):
        for table in re.findall(r"const (?:\w+_keys|known|of_json|of_senml|coap_more|mqtt_more|more)\[\] = \{(.*?)NULL", path.read_text(), re.DOTALL):
            keys |= set(re.findall(r'"(\w+)"', table))
    assert len(keys) >= 35, keys
    missing = sorted(k for k in keys if not re.search(rf"\.(?:It )?Cm (?:\w+ , )*{k}\b", page))
    assert not missing, f"keys that the page does not explain: {missing}"
    words = re.findall(r'\[WORD_\w+\]\s*=\s*"(\w+)"', (ROOT / "src/payload/template.c").read_text())
    assert len(words) >= 20, words
    missing = [w for w in words if not re.search(rf"\.It Cm .*\{{{w}\}}", page)]
    assert not missing, f"words that the page does not explain: {missing}"


def test_cbor():
    import cbor2

    rng = random.Random(8428)
    lines, expected = [], []
    usec = 1700000000000000
    values = [("d", v) for v in (0.0, -0.0, 0.1, 1.5, 65504.0, 5.960464477539063e-08, 6.097555160522461e-05, 3.4e38, 1e300, 5e-324)]
    values += [("x", v) for v in (0, 23, 24, -1, -24, -25, 2**31, -2**63, 2**63 - 1)] + [("t", 2**64 - 1)]
    values += [("b", True), ("b", False), ("s", "a\"\\ü€𝄞"), ("s", "x" * 200)]
    values += [("d", struct.unpack(">d", rng.randbytes(8))[0]) for _ in range(300)]
    values += [("d", struct.unpack(">f", rng.randbytes(4))[0]) for _ in range(100)]
    values += [("d", struct.unpack(">e", rng.randbytes(2))[0]) for _ in range(100)]
    for kind, value in values:
        if isinstance(value, float) and not math.isfinite(value):
            continue
        usec += rng.choice((0, 1, 500000, 1000000, rng.randrange(10**9)))
        said = value.hex() if kind == "d" else int(value) if kind == "b" else value
        lines.append(f"p{len(lines)} {usec} {kind} {said}\n")
        expected.append((f"boiler-1:p{len(expected)}", usec, value))

    def packs(profile):
        done = subprocess.run([SAY, ROOT / f"etc/profiles/{profile}.json", "--samples"], input="".join(lines), capture_output=True,
                              text=True, check=True)
        return [bytes.fromhex(line) for line in done.stdout.splitlines()]

    def samples(records, names):
        base = records[0]
        for record in records:
            time = base[names["bt"]] + record.get(names["t"], 0)
            value = next(record[names[k]] for k in ("v", "vs", "vb") if names[k] in record)
            yield base[names["bn"]] + record[names["n"]], round(time * 1e6), value

    labels = {"bn": -2, "bt": -3, "n": 0, "t": 6, "v": 2, "vs": 3, "vb": 4}
    as_json = [json.loads(pack) for pack in packs("senml")]
    raw = packs("senml-cbor")
    as_cbor = [cbor2.loads(pack) for pack in raw]
    for name, found in (("JSON", [s for p in as_json for s in samples(p, {k: k for k in labels})]),
                        ("CBOR", [s for p in as_cbor for s in samples(p, labels)])):
        for a, b in zip(found, expected, strict=True):
            assert a[:2] == b[:2] and a[2] == b[2] and isinstance(a[2], bool) == isinstance(b[2], bool), f"{name}: {a}, expected {b}"
            assert math.copysign(1, a[2]) == math.copysign(1, b[2]) if isinstance(b[2], float) and name == "CBOR" else True
    for pack, records in zip(raw, as_cbor, strict=True):
        # cbor2 5.4 itself misses that 65504 is a half.
        assert len(pack) <= min(1024, len(cbor2.dumps(records, canonical=True))), "not the shortest form"
    print(f"{len(expected)} samples: JSON {sum(map(len, packs('senml')))} bytes, CBOR {sum(map(len, raw))}")


for test in (test_good, test_bad, test_page, test_cbor):
    test()
    print(f"ok {test.__name__}")
