#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The Modbus plugin's keys are the same in what reads them, in their schema and in the README; the schema takes the example, the
README's device and the plugin's own unit test cases that are good."""
import importlib.util
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PLUGIN = ROOT / "plugins/modbus"
GETTERS = re.compile(r"\b(?:reader_(?:get|string|uint|double|bool|duration|choice)|serial_only|read_address|read_bits_key)\(r,\s*\"(\w+)\"")
AGENT = {"unit", "writable", "min", "max"}


def checker():
    spec = importlib.util.spec_from_file_location("schemas", ROOT / "tests/unit/test-config-schema.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def keys_read(*names):
    return set().union(*(GETTERS.findall((PLUGIN / name).read_text()) for name in names))


def keys_documented(text, heading):
    """The keys of the tables below headings that begin so."""
    keys = set()
    for part in re.split(r"^### ", text, flags=re.MULTILINE):
        if part.startswith(heading):
            for line in re.findall(r"^\| (`[^|]*) \|", part, re.MULTILINE):
                keys |= {k for k in re.findall(r"`(\w+)`", line)}
    return keys


def main():
    schemas = checker()
    schema = json.loads((ROOT / "etc/schema/modbus.schema.json").read_text())
    readme = (PLUGIN / "README.md").read_text()
    problems = []
    for what, read, documented, in_schema in (
            ("device", keys_read("config.c") | set(re.findall(r'object_get_ex\(section, "(\w+)"', (PLUGIN / "template.c").read_text())), keys_documented(readme, "The device"),
             set(schema["properties"]["modbus"]["properties"])),
            ("point", keys_read("config-point.c", "config-format.c"), keys_documented(readme, "A point"),
             set(schema["$defs"]["point"]["properties"]) - AGENT)):
        for name, keys in (("README.md", documented), ("the schema", in_schema)):
            if keys != read:
                problems.append(f"{what}: {name} lacks {sorted(read - keys)}, has beyond {sorted(keys - read)}")
    example = json.loads(schemas.strip_comments((ROOT / "etc/examples/boiler-1.json").read_text()))
    documented = json.loads(re.search(r"```json\n(.*?)```", readme, re.DOTALL).group(1))
    for what, device, good in (("the example", example, True), ("the README's device", documented, True),
                               ("an unknown key", dict(example, modbus=dict(example["modbus"], speed=1)), False),
                               ("a bad duration", dict(example, modbus=dict(example["modbus"], gap="5")), False)):
        faults = list(schemas.faults(schema, device, schema, ""))
        if bool(faults) == good:
            problems.append(f"{what}: {faults or 'was taken'}")
    print("\n".join(problems) or "the same keys everywhere")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
