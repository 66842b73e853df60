#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The manual pages are whole and true: every option of a program's --help is in its page and the reverse, the parts that are
copies of what a program prints are what it prints, the examples work, mandoc finds nothing to complain of, and a reference leads
to a page.

usage: test-manual-pages.py BUILD_DIR"""
import ast
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
from xml.etree import ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(sys.argv[1]).resolve()
PAGES = {p.name: p for p in (*(BUILD / "doc/man").glob("*.[1-8]"), *(ROOT / "doc").glob("*.[1-8]"))}
PROGRAMS = {"gatehoused": 8, "gatehousectl": 1, "gatehouse-driver": 8, "gatehouse-registrar": 8, "gatehouse-devcloud": 1}
# What mandoc cannot know: whether other packages' pages, and ours, are installed; and names of sections that other pages do not have.
NOT_OURS = re.compile(r"referenced manual not found|outdated mandoc\.db|lacks .* entry|possible typo in section name|conventional order")


def program(name):
    return str(BUILD / "agent" / name / name)


def says(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, **options)
    assert done.returncode == 0, done
    return done.stdout


def help_options(name):
    text = says(program(name), "--help")
    if name == "gatehousectl":
        told = json.loads(says(program(name), "--json=short", "help"))["result"]
        return {o["option"] for o in told["options"]} | {o["option"] for v in told["verbs"] for o in v["options"]}
    return set(re.findall(r"(?<![\w-])--([a-z][a-z0-9-]*)", text))


def test_every_option_is_in_its_page_and_the_reverse():
    for name, section in PROGRAMS.items():
        text = PAGES[f"{name}.{section}"].read_text()
        described = {o.replace("\\", "") for line in re.findall(r"(?m)^\.It (.*Fl.*)$", text)
                     for o in re.findall(r"Fl -([a-z][a-z0-9\\-]*)", line)}
        assert described == help_options(name), f"{name}: page {sorted(described)}, --help {sorted(help_options(name))}"


def test_copies_are_what_programs_print():
    for file, command in (("verbs.json", [program("gatehousectl"), "--json=pretty", "help"]),
                          ("findings.json", [program("gatehousectl"), "--json=pretty", "check", "--list"]),
                          ("rotation-table.txt", [str(BUILD / "tests/tools/rotation-table")])):
        copy, said = (ROOT / "doc/man" / file).read_text(), says(*command)
        if file.endswith(".json"):  # json-c's versions differ in the white space of an empty list
            # Where plugins are is the build's prefix and the processor's name.
            copy, said = (json.loads(re.sub(r"/[^\s()\"]+/gatehouse/plugins", "/LIBDIR/gatehouse/plugins", t)) for t in (copy, said))
        assert copy == said, \
            f"doc/man/{file} is old: {' '.join(command)} > doc/man/{file}"


def test_every_finding_is_in_its_page_and_the_reverse():
    told = [k["id"] for k in json.loads(says(program("gatehousectl"), "--json=short", "check", "--list"))["result"]["kinds"]]
    section = PAGES["gatehouse-check.7"].read_text().split(".Sh FINDINGS")[1].split(".Sh")[0]
    described = [i.replace("\\", "").replace("&", "") for i in re.findall(r'(?m)^\.It Ic "(.*)"$', section)]
    assert described == told and len(set(told)) == len(told), f"page {described}, program {told}"


def interface_members(kind):
    for path in (ROOT / "src/bus/interfaces").glob("*.xml"):
        for interface in ElementTree.parse(path).getroot().findall("interface"):
            yield from (member.get("name") for member in interface.findall(kind))


def test_every_method_is_under_the_action_that_it_needs():
    """As tests/integration/test-polkit.py, which tries each, has them."""
    source = ast.parse((ROOT / "tests/integration/test-polkit.py").read_text())
    needed, = (ast.literal_eval(n.value) for n in source.body if isinstance(n, ast.Assign) and getattr(n.targets[0], "id", "") == "ACTIONS")
    section = PAGES["org.gatehouse1.5"].read_text().split(".Sh AUTHORIZATION")[1].split(".Sh")[0].replace("\\-", "-")
    free, *actions = section.split(".It Ic org.gatehouse1.")
    told = {"": free, **{a.split("\n")[0]: a for a in actions}}
    for action, methods in needed.items():
        for method in (set(methods) - {"Cancel"}) & set(interface_members("method")):
            assert re.search(rf"\b{method}\b", told[action]), f"org.gatehouse1.5: {method} is missing under '{action}'"
    assert set(interface_members("method")) <= {m for methods in needed.values() for m in methods} | {"Cancel"}


def test_every_error_and_kind_of_job_is_told():
    page = PAGES["org.gatehouse1.5"].read_text()
    section = page.split(".Sh DIAGNOSTICS")[1].split(".Sh")[0]
    told = {name for line in re.findall(r"(?m)^\.It Ic (.*)$", section) for name in re.findall(r"\w+", line)}
    names = set(re.findall(r'BUS_ERROR_PREFIX "(\w+)"|"org\.gatehouse1\.Error\.(\w+)"', (ROOT / "src/base/names.h").read_text()))
    assert {a or b for a, b in names} <= told, f"{names} {told}"
    kinds = {k for path in (ROOT / "src").rglob("*.c") for k in re.findall(r'\bjob_new\([^"]*?"([a-z-]+)"', path.read_text())}
    comment = re.search(r'<!-- ([^>]*) -->\s*<property name="Kind"', (ROOT / "src/bus/interfaces/org.gatehouse1.Job.xml").read_text())[1]
    assert kinds and set(re.findall(r"`([a-z-]+)`", comment)) == kinds, f"kinds of jobs: {kinds}, told: {comment}"


def test_mandoc_has_no_complaints():
    if not shutil.which("mandoc"):
        print("mandoc is not installed")
        return
    for page in PAGES.values():
        done = subprocess.run(["mandoc", "-T", "lint", str(page)], capture_output=True, text=True)
        complaints = [line for line in done.stdout.splitlines() if not NOT_OURS.search(line)]
        assert not complaints, "\n".join(complaints)


def test_an_example_comes_first():
    for page in PAGES.values():
        sections = re.findall(r"(?m)^\.Sh (.*)$", page.read_text())
        assert [s for s in sections if s not in ("NAME", "SYNOPSIS")][0] == "EXAMPLES", f"{page.name}: {sections}"


def test_references_lead_to_pages():
    for page in PAGES.values():
        for name, section in re.findall(r"(?m)^\.Xr (\S+) (\d)", page.read_text()):
            if name.startswith(("gatehouse", "org.gatehouse1")):
                assert f"{name}.{section}" in PAGES, f"{page.name}: there is no {name}({section})"


def examples(page):
    for name, text in re.findall(r'\.\\" example (\S+)\n(.*?)\.\\" end', page.read_text(), re.DOTALL):
        text = re.sub(r"(?m)^\.[^\n]*\n", "", text)
        yield name, text.replace("\\e", "\\").replace("\\-", "-").replace("\\&", "")


def test_configurations_are_taken():
    shown = list(examples(PAGES["gatehouse.json.5"]))
    device, = examples(PAGES["gatehouse-device.5"])
    assert len(shown) == 2
    for _, text in shown:
        with tempfile.TemporaryDirectory() as d:
            directory = pathlib.Path(d)
            (directory / "gatehouse.json").write_text(text)
            (directory / "devices.d").mkdir()
            (directory / "profiles").symlink_to(ROOT / "etc/profiles")
            if '"cloud"' in text:
                (directory / "devices.d" / device[0]).write_text(device[1])
            plugins = directory / "plugins"
            plugins.mkdir()
            (plugins / "modbus.so").symlink_to(BUILD / "plugins/modbus/modbus.so")
            says(program("gatehoused"), "--config-dir", d, "--state-dir", d, "--check-config", "--plugin-dir", str(plugins),
                 "--driver-program", program("gatehouse-driver"))


def test_the_plugin_is_one():
    (name, text), = examples(PAGES["gatehouse-plugin.3"])
    compiler = shutil.which("cc")
    if not compiler:
        print("there is no cc")
        return
    with tempfile.TemporaryDirectory() as d:
        source = pathlib.Path(d) / name
        source.write_text(text)
        says(compiler, "-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror", "-shared", "-fPIC", f"-I{ROOT / 'include'}",
             "-o", f"{d}/count.so", str(source))
        said = says(program("gatehouse-driver"), "count", "--plugin-dir", d, "--check-config",
                    input='{"section":{},"points":{}}\n')
        assert json.loads(said) == [], said


if __name__ == "__main__":
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
            print("ok", name)
