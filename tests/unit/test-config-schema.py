#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The JSON Schemas take what the parser takes, and refuse what it refuses where a schema can tell.

The fixtures are those of test-config-files.c, so schema and parser cannot drift apart unseen. Knows the keywords that our
schemas use, and refuses any other."""

import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests/fixtures/config"
# Not JSON for a parser that takes the last of two equal keys, or true of other files, or of other keys in the file.
BEYOND_A_SCHEMA = {
    "gatehouse-twice", "device-secret-point-twice", "gatehouse-retire",
    "device-uplink", "device-uplink-unknown", "device-section",
}
KEYWORDS = {
    "$schema", "$defs", "$ref", "title", "description", "type", "properties", "required", "additionalProperties", "propertyNames",
    "maxProperties", "items", "minItems", "maxItems", "uniqueItems", "enum", "const", "pattern", "maxLength", "minimum", "maximum", "anyOf",
    "allOf", "not", "dependentSchemas",
}
TYPES = {
    "object": lambda v: isinstance(v, dict), "array": lambda v: isinstance(v, list), "string": lambda v: isinstance(v, str),
    "boolean": lambda v: isinstance(v, bool), "null": lambda v: v is None, "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "number": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
}


def strip_comments(text):
    """Strings as they are, comments away."""
    return re.sub(r'("(?:[^"\\]|\\.)*")|//[^\n]*|/\*.*?\*/', lambda m: m.group(1) or " ", text, flags=re.DOTALL)


def object_faults(schema, value, root, where):
    properties = schema.get("properties", {})
    for key in schema.get("required", []):
        if key not in value:
            yield f"{where}: {key} is missing"
    if len(value) > schema.get("maxProperties", len(value)):
        yield f"{where}: too many members"
    for key, member in value.items():
        if "propertyNames" in schema:
            yield from faults(schema["propertyNames"], key, root, f"{where}/{key}")
        if key in properties:
            yield from faults(properties[key], member, root, f"{where}/{key}")
        elif schema.get("additionalProperties") is False:
            yield f"{where}: unknown key {key}"
        elif "additionalProperties" in schema:
            yield from faults(schema["additionalProperties"], member, root, f"{where}/{key}")
    for key, more in schema.get("dependentSchemas", {}).items():
        if key in value:
            yield from faults(more, value, root, where)


def array_faults(schema, value, root, where):
    if len(value) < schema.get("minItems", 0):
        yield f"{where}: too few"
    if len(value) > schema.get("maxItems", len(value)):
        yield f"{where}: too many"
    if schema.get("uniqueItems") and any(a == b for i, a in enumerate(value) for b in value[:i]):
        yield f"{where}: twice the same"
    for i, item in enumerate(value):
        yield from faults(schema.get("items", {}), item, root, f"{where}/{i}")


def scalar_faults(schema, value, where):
    if isinstance(value, str):
        if "pattern" in schema and not re.search(schema["pattern"], value):
            yield f"{where}: {value!r} is not {schema['pattern']}"
        if len(value) > schema.get("maxLength", len(value)):
            yield f"{where}: too long"
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        if not schema.get("minimum", value) <= value <= schema.get("maximum", value):
            yield f"{where}: {value} is out of range"
    if "enum" in schema and value not in schema["enum"] or "const" in schema and value != schema["const"]:
        yield f"{where}: {value!r} is not one of those"


def faults(schema, value, root, where=""):
    unknown = set(schema) - KEYWORDS
    assert not unknown, f"keywords that this test does not know: {unknown}"
    if "$ref" in schema:
        yield from faults(root["$defs"][schema["$ref"].rsplit("/", 1)[1]], value, root, where)
    if "type" in schema and not TYPES[schema["type"]](value):
        yield f"{where}: not {schema['type']}"
        return
    if isinstance(value, dict):
        yield from object_faults(schema, value, root, where)
    elif isinstance(value, list):
        yield from array_faults(schema, value, root, where)
    yield from scalar_faults(schema, value, where)
    for one in schema.get("allOf", []):
        yield from faults(one, value, root, where)
    if "anyOf" in schema and all(list(faults(one, value, root, where)) for one in schema["anyOf"]):
        yield f"{where}: none of the possibilities"
    if "not" in schema and not list(faults(schema["not"], value, root, where)):
        yield f"{where}: must not be that"


def main():
    schemas = {kind: json.loads((ROOT / f"etc/schema/{kind}.schema.json").read_text()) for kind in ("gatehouse", "device")}
    failed = []
    files = sorted(FIXTURES.glob("*/*.json")) + [ROOT / "etc/gatehouse.json"]
    for path in files:
        schema = schemas["device" if path.name.startswith("device-") else "gatehouse"]
        good = path.parent.name != "bad"
        try:
            found = list(faults(schema, json.loads(strip_comments(path.read_text())), schema))
        except ValueError as e:
            found = [f"no JSON: {e}"]
        if good and found:
            failed.append(f"{path}: the schema refuses a good file: {found}")
        if not good and bool(found) == (path.stem in BEYOND_A_SCHEMA):
            failed.append(f"{path}: the schema {'refuses' if found else 'takes'} it, which was not expected: {found}")
    print("\n".join(failed) or f"{len(files)} files agree")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
