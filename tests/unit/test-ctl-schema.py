#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The schema of gatehousectl's JSON knows every verb, every property of the agent's objects that is printed, and what can be
printed without an agent; the example in its page is valid.

usage: test-ctl-schema.py BUILD_DIR"""
import json
import pathlib
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(sys.argv[1]).resolve()
sys.path.insert(0, str(ROOT / "tests/integration"))

import ctl_schema  # noqa: E402
import jsonschema  # noqa: E402

CTL = str(BUILD / "agent/gatehousectl/gatehousectl")
SCHEMA = ctl_schema.load()


def says(*words):
    done = subprocess.run([CTL, "--json=short", *words], capture_output=True, text=True, timeout=60)
    lines = done.stdout.splitlines()
    assert len(lines) == 1, f"{words}: one document: {done}"
    document = json.loads(lines[0])
    assert document["status"] == done.returncode, done
    return document


def properties(interface):
    tree = ET.parse(ROOT / f"src/bus/interfaces/org.gatehouse1.{interface}.xml")
    return {re.sub(r"(?<=[^A-Z])(?=[A-Z])", "_", p.get("name")).lower() for p in tree.iter("property")}


def test_it_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_every_verb_has_a_result_and_the_reverse():
    verbs = {v["verb"] for v in says("help")["result"]["verbs"]} | {""}
    described = {b["if"]["properties"]["verb"]["const"] for b in SCHEMA["else"]["allOf"]}
    assert verbs == described, f"not described: {verbs - described}; described, and no verbs: {described - verbs}"


def test_every_property_is_described():
    for interface, name in (("Manager", "result_status"), ("Device", "result_show"), ("Job", "job")):
        missing = properties(interface) - set(SCHEMA["$defs"][name]["properties"])
        assert not missing, f"{interface}: {missing}"


def test_what_is_printed_without_an_agent():
    strict = ctl_schema.closed(SCHEMA)
    for words, status in ((["help"], 0), (["help", "list"], 0), (["list", "--help"], 0), (["--version"], 0),
                          (["check", "--list"], 0), (["lst"], 2), (["list", "--colour"], 2), (["show"], 2),
                          (["apply", "/nonexistent"], 1), (["support-bundle"], 2)):
        document = says(*words)
        assert document["status"] == status, document
        assert not ctl_schema.faults(document, strict), f"{words}: {ctl_schema.faults(document, strict)}"
        assert (status == 0) == (not document["errors"]), document


def test_the_strict_form_finds_what_is_not_described():
    document = says("--version")
    document["result"]["more"] = 1
    assert not ctl_schema.faults(document, SCHEMA) and ctl_schema.faults(document)
    del document["version"]
    assert ctl_schema.faults(document, SCHEMA)


def test_the_example_of_the_page():
    text = (ROOT / "doc/man/gatehousectl-json.5").read_text()
    example, = re.findall(r'\.\\" example document\n(.*?)\.\\" end', text, re.DOTALL)
    assert not ctl_schema.faults(json.loads(example.replace("\\-", "-")))


if __name__ == "__main__":
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
            print("ok", name)
