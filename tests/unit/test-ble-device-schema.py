#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The Bluetooth plugin's keys of a device are the same in what reads them, in their schema and in the README; the schema takes the README's
device, and refuses what the plugin refuses where a schema can tell."""
import importlib.util
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PLUGIN = ROOT / "plugins/ble"
ADDRESS = "A4:C1:38:02:83:F4"
GOOD = [
    ({"address": ADDRESS.lower()}, {}), ({"address": ADDRESS, "interval": "0", "timeout": "1h", "adapter": "any"}, {"t": {}}),
    ({"address": ADDRESS, "format": "ruuvi-5", "adapter": ADDRESS}, {"warmth": {"value": "temperature", "unit": "Cel"}}),
    ({"address": ADDRESS, "scan": "passive"}, {}), ({"address": ADDRESS, "scan": "active"}, {}),
    ({"address": ADDRESS, "pairing": "just-works"}, {"t": {"characteristic": "2a6e", "service": "181a", "read": "30s"}}),
    ({"address": ADDRESS, "pairing": "passkey", "passkey": "012345"},
     {"t": {"characteristic": "0000aa01-0000-1000-8000-00805f9b34fb", "type": "uint8", "notify": True, "writable": True, "max": 5}}),
]
WRONG = [
    ({}, {}), ({"address": "x"}, {}), ({"address": ADDRESS, "interval": "soon"}, {}), ({"address": ADDRESS, "adapter": "hci0"}, {}),
    ({"address": ADDRESS, "more": 1}, {}), ({"address": ADDRESS, "scan": "never"}, {}), ({"address": ADDRESS, "pairing": "passkey"}, {}), ({"address": ADDRESS, "passkey": "012345"}, {}),
    ({"address": ADDRESS, "pairing": "passkey", "passkey": "1"}, {}), ({"address": ADDRESS}, {"t": {"characteristic": "zz"}}),
    ({"address": ADDRESS}, {"t": {"service": "181a"}}), ({"address": ADDRESS}, {"t": {"characteristic": "2a6e", "notify": "yes"}}),
]


def checker():
    spec = importlib.util.spec_from_file_location("schemas", ROOT / "tests/unit/test-config-schema.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def keys_known(array):
    """The strings of an array of config.c."""
    source = (PLUGIN / "config.c").read_text()
    return set(re.findall(r'"(\w+)"', re.search(rf"\b{array}\[\] = \{{(\"address\"[^}}]*|\"characteristic\"[^}}]*)\}}", source).group(1)))


def keys_documented(readme):
    """Those of the two tables of a device."""
    part = readme.split("## A device\n")[1].split("\n## ")[0]
    return [{k for row in re.findall(r"^\| (`[^|]*) \|", table, re.MULTILINE) for k in re.findall(r"`(\w+)`", row)}
            for table in re.findall(r"(?:^\|.*\n)+", part, re.MULTILINE)]


def main():
    schemas = checker()
    schema = json.loads((ROOT / "etc/schema/ble.schema.json").read_text())
    readme = (PLUGIN / "README.md").read_text()
    section, point = set(schema["properties"]["ble"]["properties"]), set(schema["$defs"]["point"]["properties"])
    documented = keys_documented(readme)
    problems = []
    for what, in_schema, others in (("device", section, keys_known("known") | (documented[0] - {"passkey"})),
                                    ("point", point, keys_known("own"))):
        if in_schema != others:
            problems.append(f"{what}: the schema lacks {sorted(others - in_schema)}, has beyond {sorted(in_schema - others)}")
    missing = (section - {"passkey"}) - documented[0] | (point - {"value", "characteristic", "service"}) - documented[1]
    if missing or "passkey" not in readme:
        problems.append(f"the README's tables lack {sorted(missing)}")
    example = json.loads(re.search(r"## A device\n\n((?:    .*\n)+)", readme).group(1))
    for device, good in [(example, True)] + [({"device": "a", "driver": "ble", "ble": s, "points": p}, good)
                                             for cases, good in ((GOOD, True), (WRONG, False)) for s, p in cases]:
        faults = list(schemas.faults(schema, device, schema, ""))
        if bool(faults) == good:
            problems.append(f"{json.dumps(device)}: {faults or 'was taken'}")
    print("\n".join(problems) or "the same keys everywhere")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
