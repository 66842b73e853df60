#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""doc/getting-started.md: its cases are few commands, which a shell can read, whose verbs and options there are, and whose files are
shipped. Booted systems run them (tests/system/onboarding.py).

usage: test-getting-started.py BUILD_DIR"""
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(sys.argv[1]).resolve()
sys.path.insert(0, str(ROOT / "tests" / "system"))
import page  # noqa: E402

TEXT = (ROOT / "doc" / "getting-started.md").read_text(encoding="utf-8")
CASES = page.cases(TEXT)
FIRST = ("simulated", "modbus", "bluetooth", "mosquitto", "golioth")
COMMANDS_MAX = 6
EXAMPLES = "/usr/share/doc/gatehouse/examples/"


def told(name, *arguments):
    done = subprocess.run([str(BUILD / "agent" / name / name), *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done
    return done.stdout


def test_each_case_is_at_most_six_commands():
    for name in FIRST:
        assert 0 < len(CASES[name]) <= COMMANDS_MAX, f"{name}: {CASES[name]}"
        print(f"{name}: {len(CASES[name])} commands")


def test_every_indented_command_is_one_of_a_case():
    in_cases = {line for commands in CASES.values() for c in commands for line in c.splitlines()}
    for line in re.findall(r"(?m)^    (\S.*)$", TEXT):
        assert line.rstrip() in in_cases or re.match(r"sim-1 +level", line), f"run by no test: {line}"


def test_a_shell_can_read_them():
    for name, commands in CASES.items():
        done = subprocess.run(["bash", "-n"], input="\n".join(commands) + "\n", capture_output=True, text=True,
                              env={**os.environ, "LC_ALL": "C.UTF-8"})
        assert done.returncode == 0 and not done.stderr, f"{name}: {done.stderr}"


def test_their_files_are_shipped():
    found = set(re.findall(re.escape(EXAMPLES) + r"([\w./-]+)", TEXT))
    assert len(found) >= 4, found
    for name in found:
        assert (ROOT / "etc" / "examples" / name).exists(), f"etc/examples/{name}"


def test_verbs_and_options_there_are():
    verbs = {v["verb"]: {o["option"] for o in v["options"]} for v in json.loads(told("gatehousectl", "--json=short", "help"))["result"]["verbs"]}
    general = {o["option"] for o in json.loads(told("gatehousectl", "--json=short", "help"))["result"]["options"]}
    for commands in CASES.values():
        for command in commands:
            for part in command.splitlines()[0].split("|"):
                words = shlex.split(part.split("<<")[0])
                if words[:1] != ["gatehousectl"]:
                    continue
                operands = [w for w in words[1:] if not w.startswith("-")]
                verb = next((" ".join(operands[:n]) for n in (2, 1) if " ".join(operands[:n]) in verbs), "status" if not operands else None)
                assert verb, command
                for option in (w[2:].split("=")[0] for w in words if w.startswith("--")):
                    assert option in verbs[verb] | general, f"{command}: gatehousectl {verb} has no --{option}"


def test_the_readme_has_the_first_case():
    readme = (ROOT / "README.md").read_text(encoding="utf-8").split("<!-- installed and run by tests/system -->")[1].split("\n## ")[0]
    commands = re.findall(r"(?m)^    (\S.*)$", readme)
    assert commands == ["apt update", *CASES["simulated"]], commands


if __name__ == "__main__":
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
            print("ok", name)
