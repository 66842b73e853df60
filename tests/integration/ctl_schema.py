# SPDX-License-Identifier: LGPL-2.1-or-later
"""The JSON Schema of what gatehousectl prints, as strict as a test wants it: a key that it does not describe is a fault too."""
import copy
import json
import pathlib

import jsonschema

FILE = pathlib.Path(__file__).resolve().parents[2] / "etc/schema/gatehousectl.schema.json"


def load():
    return json.loads(FILE.read_text())


def closed(schema):
    """The same without room for other keys. Objects without any described keys keep theirs: device files, finds."""
    schema = copy.deepcopy(schema)

    def close(one, name=""):
        if isinstance(one, list):
            for part in one:
                close(part)
        elif isinstance(one, dict):
            for key, part in one.items():
                close(part, key)
            if one.get("type") == "object" and "properties" in one and name != "then":
                one.setdefault("additionalProperties", False)
    close(schema["$defs"])
    # an outcome is one or the other: of a device, or what a driver found
    del schema["$defs"]["job"]["properties"]["results"]["items"]["additionalProperties"]
    return schema


def faults(document, schema=None):
    """Texts, none if the document is as described."""
    validator = jsonschema.Draft202012Validator(schema or closed(load()))
    return [f"{'/'.join(map(str, e.absolute_path))}: {e.message}" for e in validator.iter_errors(document)]
