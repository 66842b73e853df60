#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The schema of decoder files takes what the plugin takes: the shipped files, and whatever is left of them with one value after
another changed; and it refuses what is plainly wrong. The keys are those of gatehouse-ble(5).

usage: test-ble-schema.py BLE_FORMATS
"""
import copy
import importlib.util
import json
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLE = re.compile(r'^\.\\" example [^\n]*\n\.Bd [^\n]*\n(.*?)^\.Ed', re.MULTILINE | re.DOTALL)
OTHERS = [None, "x", -1, 0, 1000000, 1.5, True, [], {}, ["0x1"], "0x8000"]
# Each is refused by the plugin, and a schema can tell.
WRONG = [
    {}, {"vectors": []}, {"match": {"company": "0x1234"}, "vectors": [{"manufacturer": {"0x1234": "05"}}]},
    {"characteristics": {"2a": {"name": "a", "type": "uint8"}}, "vectors": [{"characteristic": {"2a6e": "05"}}]},
    {"characteristics": {"2a6e": {"name": "a", "type": "u8"}}, "vectors": [{"characteristic": {"2a6e": "05"}}]},
    {"characteristics": {"2a6e": {"name": "a b", "type": "uint8"}}, "vectors": [{"characteristic": {"2a6e": "05"}}]},
    {"characteristics": {"2a6e": {"name": "a", "type": "uint8", "scales": 1}}, "vectors": [{"characteristic": {"2a6e": "05"}}]},
    {"characteristics": {"2a6e": {"name": "a", "type": "uint8"}}, "vectors": [{"characteristic": {"2a6e": "5"}}]},
    {"characteristics": {"2a6e": {"name": "a", "type": "uint8", "when": {"type": "uint8"}}}, "vectors": [{"characteristic": {"2a6e": "05"}}]},
    {"match": {"company": "0x1", "service": "fcd2"}, "fields": [{"name": "a", "type": "uint8"}], "vectors": [{"service": {"fcd2": "05"}}]},
    {"match": {"company": "0x1"}, "walk": {}, "vectors": [{"manufacturer": {"0x1": "05"}}]},
]


def checker():
    spec = importlib.util.spec_from_file_location("schemas", ROOT / "tests/unit/test-config-schema.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def places(value, path=()):
    yield path
    for key, member in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(member, path + (key,))


def changed(document, path, new):
    document = copy.deepcopy(document)
    at = document
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = new
    return document


def small(document):
    """A file with a few vectors; the walk over all of them is the plugin's own test."""
    document = dict(document, vectors=document["vectors"][:2])
    for table in ("objects", "characteristics"):
        if table in document and len(document[table]) > 8:
            document[table] = {k: v for i, (k, v) in enumerate(document[table].items()) if "fields" in v or i < 4}
    return document


def variants(name, document):
    document = small(document)
    for path in places(document):
        if not path or (path[0] == "vectors" and path[1:2] != (0,)):
            continue
        for new in OTHERS:
            yield f"{name}: {'/'.join(map(str, path))} = {json.dumps(new)}", changed(document, path, new)
        if isinstance(path[-1], str):
            yield f"{name}: {'/'.join(map(str, path))} renamed", changed(document, path[:-1] + (path[-1] + "x",), 1)


def taken_by_plugin(program, documents):
    """Which of them; one call for all."""
    with tempfile.TemporaryDirectory() as directory:
        paths = [f"{directory}/{i}.json" for i in range(len(documents))]
        for path, document in zip(paths, documents):
            with open(path, "w") as f:
                json.dump(document, f)
        refused = set()
        for i in range(0, len(paths), 1000):
            done = subprocess.run([program, "--check", *paths[i:i + 1000]], stderr=subprocess.PIPE, text=True)
            refused |= {line.split(":")[0] for line in done.stderr.splitlines()}
        return [path not in refused for path in paths]


def keys_of(schema):
    """All names that a file may have, except those of its own making."""
    keys = set()
    for path in places(schema):
        if len(path) >= 2 and path[-2] == "properties":
            keys.add(path[-1])
    return keys - {"$schema"}


def main():
    program, problems = sys.argv[1], []
    schemas = checker()
    schema = json.loads((ROOT / "etc/schema/ble-decoder.schema.json").read_text())
    files = {path.stem: json.loads(path.read_text()) for path in sorted((ROOT / "etc/ble").glob("*.json"))}
    for name, document in files.items():
        problems += [f"{name}: the schema refuses it: {fault}" for fault in schemas.faults(schema, document, schema)]
    # One of each kind; the others differ in numbers.
    names = ("bthome", "switchbot-meter", "pvvx-encrypted", "tilt", "inkbird-th", "qingping")
    made = [v for name in names for v in variants(name, files[name])]
    taken = taken_by_plugin(program, [document for _, document in made])
    for (what, document), good in zip(made, taken):
        found = list(schemas.faults(schema, document, schema)) if good else []
        if found:
            problems.append(f"{what}: the plugin takes it, the schema does not: {found[0]}")
    for document, good in zip(WRONG, taken_by_plugin(program, WRONG)):
        if good or not list(schemas.faults(schema, document, schema)):
            problems.append(f"{json.dumps(document)}: was taken by {'the plugin' if good else 'the schema'}")
    page = (ROOT / "doc/gatehouse-ble.5").read_text()
    documented = {key for line in re.findall(r"^\.It Cm (.*)", page, re.MULTILINE) for key in line.split(" , ")}
    described = documented | {key for line in re.findall(r"^\.Cm (.*)", page, re.MULTILINE) for key in re.findall(r"\w+", line)}
    problems += [f"doc/gatehouse-ble.5 says nothing of {key}" for key in sorted(keys_of(schema) - described)]
    problems += [f"doc/gatehouse-ble.5 has {key}, which is no key" for key in sorted(documented - keys_of(schema))]
    examples = [json.loads(schemas.strip_comments(text.replace("\\-", "-"))) for text in EXAMPLE.findall(page)]
    for document, good in zip(examples, taken_by_plugin(program, examples)):
        if not good or list(schemas.faults(schema, document, schema)):
            problems.append(f"doc/gatehouse-ble.5: the example is refused: {json.dumps(document)[:80]}")
    if len(examples) != 2:
        problems.append(f"doc/gatehouse-ble.5 has {len(examples)} examples")
    listed = set(re.findall(r"^\| `([\w.-]+)` \|.*\|.*\|.*\|.*\|$", (ROOT / "plugins/ble/README.md").read_text(), re.MULTILINE))
    problems += [f"plugins/ble/README.md and etc/ble differ in {name}" for name in sorted(listed ^ set(files))]
    installed = set(re.findall(r"'ble/([\w.-]+)\.json'", (ROOT / "etc/meson.build").read_text()))
    problems += [f"etc/meson.build and etc/ble differ in {name}" for name in sorted(installed ^ set(files))]
    print("\n".join(problems[:40]) or f"{len(files)} files and {len(made)} changed ones agree, {sum(taken)} of those taken")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
