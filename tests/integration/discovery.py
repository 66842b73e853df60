# SPDX-License-Identifier: LGPL-2.1-or-later
"""Judges MQTT discovery messages by rules that are data: tests/fixtures/homeassistant-rules.json has each of them with its source."""
import json
import os
import re

RULES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "fixtures", "homeassistant-rules.json")


def load_rules():
    with open(RULES, encoding="utf-8") as f:
        return json.load(f)


def is_topic(value, wildcards):
    return (isinstance(value, str) and 0 < len(value.encode()) <= 65535 and "\0" not in value and
            (wildcards or not re.search("[+#]", value)))


def is_template(value):
    """Balanced, and of what it is given only: an expression over value or value_json."""
    return isinstance(value, str) and value.count("{{") == value.count("}}") and bool(re.search(r"\bvalue(_json)?\b", value))


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


KINDS = {
    "text": lambda v: isinstance(v, str),
    "text or null": lambda v: v is None or isinstance(v, str),
    "texts": lambda v: isinstance(v, str) or (isinstance(v, list) and all(isinstance(one, str) for one in v)),
    "pairs": lambda v: isinstance(v, list) and all(isinstance(one, list) and len(one) == 2 for one in v),
    "boolean": lambda v: isinstance(v, bool),
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool) and v >= 0,
    "seconds": lambda v: isinstance(v, int) and not isinstance(v, bool) and v >= 0,
    "number": is_number,
    "template": is_template,
    "topic to subscribe to": lambda v: is_topic(v, True),
    "topic to publish to": lambda v: is_topic(v, False),
    "availabilities": lambda v: isinstance(v, list) and all(is_topic(one.get("topic"), True) for one in v),
}


def object_faults(where, value, rule):
    if not isinstance(value, dict):
        yield f"{where} is no object"
        return
    for key in rule.get("required", []):
        if key not in value:
            yield f"{where} lacks {key} ({rule['source']})"
    if "one_of" in rule and not any(value.get(key) for key in rule["one_of"]):
        yield f"{where} has none of {rule['one_of']} ({rule['source']})"
    for key, one in value.items():
        if key not in rule["keys"]:
            yield f"{where} does not know {key} ({rule['source']})"
        elif not KINDS[rule["keys"][key]](one):
            yield f"{where}: {key} is {one!r}, not a {rule['keys'][key]} ({rule['source']})"


def key_faults(rules, keys, source, config):
    for key, value in config.items():
        kind = keys[key]
        if isinstance(kind, list):
            if value not in kind:
                yield f"{key} is {value!r}; expected one of {kind} ({source})"
        elif kind in ("device", "origin"):
            yield from object_faults(kind, value, rules[kind])
        elif kind == "device class":
            if value not in rules["units"]["of"]:
                yield f"{key} {value!r} is not known ({rules['units']['source']})"
        elif not KINDS[kind](value):
            yield f"{key} is {value!r}, not a {kind} ({source})"


def number_faults(component, config):
    have = component.get("defaults", {}) | config
    low, high = component.get("ascending", (None, None))
    if not all(is_number(have[key]) for key in (low, high) if key):
        return
    if low and not have[low] < have[high]:
        yield f"{low} {have[low]} is not below {high} {have[high]}"
    for key, least in component.get("at_least", {}).items():
        if have[key] < least:
            yield f"{key} {have[key]} is below {least}"


def class_faults(rules, config):
    device_class, unit = config.get("device_class"), config.get("unit_of_measurement")
    if device_class in rules["units"]["of"] and unit not in rules["units"]["of"][device_class]:
        yield f"the unit {unit!r} is not one of {device_class}: {rules['units']['of'][device_class]} ({rules['units']['source']})"
    classes = rules["state_classes"]["of"].get(device_class)
    if classes and "state_class" in config and config["state_class"] not in classes:
        yield f"{config['state_class']} is not for {device_class}: {classes} ({rules['state_classes']['source']})"


def rendered_faults(component, config):
    """What the template makes of true and false has to be what the states are called."""
    have = component.get("defaults", {}) | config
    for key, states in component.get("renders", {}).items():
        match = re.fullmatch(r"\{\{ '(.*)' if value_json\.value else '(.*)' \}\}", config.get(key, ""))
        if not match or match[1] != have[states["true"]] or match[2] != have[states["false"]]:
            yield f"{key} {config.get(key)!r} does not give {have[states['true']]} and {have[states['false']]}"


def faults(rules, topic, payload, retained, seen):
    """What Home Assistant would not take of one message. `seen`: ids before, by component."""
    match = re.fullmatch(rules["topic"]["pattern"], topic)
    if not match:
        yield f"the topic is not one ({rules['topic']['source']})"
        return
    if not retained:
        yield rules["retained"]["why"]
    component = rules["components"].get(match["component"])
    if not component:
        yield f"{match['component']} has no rules"
        return
    try:
        config = json.loads(payload)
    except ValueError as e:
        yield f"no JSON: {e}"
        return
    keys = rules["common"]["keys"] | component["keys"]
    unknown = [key for key in config if key not in keys]
    if unknown:
        yield f"{unknown} are not known ({component['source']})"
        return
    yield from key_faults(rules, keys, component["source"], config)
    for key in component["required"]:
        if key not in config:
            yield f"{key} is missing ({component['source']})"
    for rule in rules["together"]:
        if rule["if"] in config and rule["then"] not in config:
            yield f"{rule['then']} is missing: {rule['why']} ({rule['source']})"
    for keys_ in rules["exclusive"]:
        if sum(key in config for key in keys_) > 1:
            yield f"only one of {keys_} may be there"
    yield from number_faults(component, config)
    yield from class_faults(rules, config)
    yield from rendered_faults(component, config)
    name = (match["component"], config.get("unique_id"))
    if name in seen:
        yield f"unique_id {name[1]} is also that of {seen[name]} ({rules['unique']['source']})"
    seen[name] = topic


def state_faults(rules, component, config, state):
    """Whether the entity shows this state: a payload of its state topic."""
    value = json.loads(state)["value"]
    have = rules["components"][component].get("defaults", {}) | config
    if any(key in config for key in rules["components"][component].get("numeric_with", [])) and not is_number(value):
        yield f"{value!r} is no number, but it has a unit or is summed up"
    low, high = rules["components"][component].get("state_within", (None, None))
    if low and not (is_number(value) and have[low] <= value <= have[high]):
        yield f"{value!r} is beyond {have[low]} and {have[high]}"
    if component in ("switch", "binary_sensor") and not isinstance(value, bool):
        yield f"{value!r} is neither true nor false"
