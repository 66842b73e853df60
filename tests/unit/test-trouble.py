#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""doc/trouble.md knows every state of a device and of a sensor, its references lead somewhere, and the findings and verbs that it names
are there.

usage: test-trouble.py BUILD_DIR"""
import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
CTL = pathlib.Path(sys.argv[1]).resolve() / "agent/gatehousectl/gatehousectl"
TEXT = (ROOT / "doc" / "trouble.md").read_text(encoding="utf-8")


def section(title):
    return TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0]


def states(function):
    """Those that a function of the source names."""
    for path in sorted((ROOT / "src").rglob("*.c")):
        found = re.search(rf"^const char \*{function}\(.*?^}}", path.read_text(encoding="utf-8"), re.M | re.S)
        if found:
            return re.findall(r'case \w+:\s*return "([a-z-]+)"', found.group(0))
    raise AssertionError(f"no function {function}")


def anchor(heading):
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def device_states():
    rows = re.findall(r'row\(DEVICE_\w+, "([a-z-]+)"\)', (ROOT / "src" / "base" / "device-state.h").read_text(encoding="utf-8"))
    assert len(rows) > 10, rows
    return rows


def test_states_of_devices():
    assert set(re.findall(r"(?m)^\| `([a-z-]+)` \|", section("States of a device"))) == set(device_states())


def test_states_in_the_schema():
    schema = json.loads((ROOT / "etc" / "schema" / "gatehousectl.schema.json").read_text(encoding="utf-8"))
    assert set(schema["$defs"]["state"]["enum"]) == set(device_states())


def test_states_of_sensors():
    assert set(re.findall(r"(?m)^\| `([a-z-]+)` \|", section("States of a sensor"))) == set(states("sensor_state_name"))


def test_the_tree_leads_to_sections():
    headings = re.findall(r"(?m)^##+ (.*)$", TEXT)
    leaves = re.findall(r"\.{3,} (.*)$", section("Where to begin"), re.M)
    assert len(leaves) > 10
    for leaf in leaves:
        assert leaf in headings or leaf in ("The samples are in the cloud: look there", "The table below"), leaf


def test_references_lead_somewhere():
    for page in (ROOT / "doc").glob("*.md"):
        text = page.read_text(encoding="utf-8")
        for file, place in re.findall(r"\]\(((?!https?:)[^)#]*)(?:#([^)]*))?\)", text):
            target = (page.parent / file).resolve() if file else page
            assert target.exists(), f"{page.name}: {file}"
            if place and target.suffix == ".md":
                headings = [anchor(h) for h in re.findall(r"(?m)^#+ (.*)$", target.read_text(encoding="utf-8"))]
                assert place in headings, f"{page.name}: {file}#{place}"


def test_findings_and_verbs_are_there():
    known = {k["id"] for k in json.loads((ROOT / "doc/man/findings.json").read_text())["result"]["kinds"]}
    for name in re.findall(r"`((?:name|route|port|server|suites|serial|bluetooth|driver)-[a-z]+)`", TEXT):
        assert name in known, name
    told = subprocess.run([str(CTL), "--json=short", "help"], capture_output=True, text=True, timeout=60, check=True).stdout
    verbs = {v["verb"].split()[0] for v in json.loads(told)["result"]["verbs"]}
    for verb in re.findall(r"gatehousectl ([a-z-]+)", TEXT):
        assert verb in verbs, f"gatehousectl {verb}"


if __name__ == "__main__":
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
            print("ok", name)
