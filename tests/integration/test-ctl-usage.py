#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""How gatehousectl is called: what belongs to which verb, what is refused and in which words, and what programs read."""
import json
import os
import subprocess

import harness
from agent_bench import refused, sim_bench
from harness import check

CTL = "agent/gatehousectl/gatehousectl"
OPERANDS = {"DEVICE": "a", "POINT": "x", "VALUE": "1", "NUMBER": "1", "SLOT": "main", "IDENTITY": "i", "FILE": "/nowhere/f",
            "FORMAT": "csv", "DEVICE...|--all": "a", "FILE|--count=N": "/nowhere/f"}
VALUES = {"encoding": "hex", "keyfile": "/nonexistent/keyfile", "kind": "psk", "type": "d", "json": "off"}


def table(bench):
    return bench.ctl_json("help")


def words_of(verb):
    """The verb with operands that let it get as far as the agent."""
    operands = [w for w in verb["operands"].split() if w in OPERANDS]
    return verb["verb"].split() + [OPERANDS[w] for w in operands]


def typed(option):
    return "--" + option["option"] + ("=" + VALUES.get(option["option"], "1") if option["value"] else "")


def options_belong_to_verbs(bench):
    bench.bus()
    verbs, general = table(bench)["verbs"], table(bench)["options"]
    every = {o["option"]: o for v in verbs for o in v["options"]}
    check(len(verbs) > 25 and len(every) > 14, f"{len(verbs)} verbs, {len(every)} options")
    for verb in verbs:
        own = {o["option"] for o in verb["options"]}
        for name, option in every.items():
            done = bench.ctl(*words_of(verb), typed(option), status=None)
            said = done.stderr.decode()
            if name in own:
                check("has no option" not in said and "unknown option" not in said, f"{verb['verb']} {typed(option)}: {said}")
                continue
            check(done.returncode == 2 and not done.stdout and f"{verb['verb']} has no option --{name}; it takes " in said,
                  f"{verb['verb']} {typed(option)}: {done}")
            check(all("--" + o in said for o in own) and (own or "none of its own" in said), f"the verb's own are named: {said}")
        for option in general:
            if option["option"] in ("help", "version", "host"):
                continue
            said = bench.ctl(*words_of(verb), typed(option), status=None).stderr.decode()
            check("option" not in said, f"{verb['verb']} {typed(option)}: {said}")
        done = bench.ctl("-H", "nowhere.invalid", *words_of(verb), status=None) if verb["local"] else None
        check(not done or (done.returncode == 2 and b"runs on the gateway itself: ssh nowhere.invalid" in done.stderr), done)


def help_comes_from_the_table(bench):
    whole, listed = bench.ctl("--help"), table(bench)
    check(bench.ctl("help") == whole, "help and --help")
    for verb in listed["verbs"]:
        words = verb["verb"].split()
        text = bench.ctl(*words, "--help")
        check(text == bench.ctl("help", *words) == bench.ctl("-h", *words), f"three ways to the help of {verb['verb']}")
        check(f"gatehousectl {verb['verb']}" in text and verb["operands"] in text and verb["summary"] in text, text)
        for option in verb["options"] + listed["options"]:
            check("--" + option["option"] in text and option["help"] in text, f"{option} is not in {text}")
        check(f"  {verb['verb']} {verb['operands']}" in whole and verb["summary"] in whole, whole)
        check("exit status:" in whole, "and what it ends with")
    check(bench.ctl("key", "--help").count("gatehousectl key ") == 5, "the help of a group")
    for words in (["help", "stat"], ["help", "key", "put"], ["help", "list", "x"], ["stat", "--help"]):
        done = bench.ctl(*words, status=None)
        check(done.returncode == 2 and b"unknown verb" in done.stderr and not done.stdout, done)
    check(b"or     gatehousectl key export" in bench.ctl("key", status=None).stderr, "a group without its second word")


def no_abbreviations(bench):
    """A beginning of an option's name is none, in any program."""
    home = dict(os.environ, **bench.env)
    for program, words, full in (
            (CTL, ["vault", "reset", "--for-image", "--yes", "--state-d=" + bench.path("s")], "--state-dir"),
            (CTL, ["vault", "reset", "--for-image", "--yes", "--state-d", bench.path("s")], "--state-dir"),
            (CTL, ["provision", "--reg", "/nowhere"], "--registered"), (CTL, ["list", "--no-l"], "--no-legend"),
            ("agent/gatehoused/gatehoused", ["--state=" + bench.path("s"), "--check-config"], "--state-dir"),
            ("agent/gatehoused/gatehoused", ["--conf", bench.path("c"), "--check-config"], "--config-dir"),
            ("agent/gatehouse-driver/gatehouse-driver", ["sim", "--run=" + bench.path("r")], "--runtime-dir"),
            ("agent/gatehouse-registrar/gatehouse-registrar", ["r", "--ty=exec"], "--type"),
            ("agent/gatehouse-devcloud/gatehouse-devcloud", ["--psk=" + bench.path("p")], "--psk-file")):
        done = subprocess.run([harness.program(program), *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, env=home, timeout=harness.DEADLINE)
        check(done.returncode == 2 and f"did you mean '{full}'" in done.stderr.decode(), f"{program} {words}: {done}")
    check(not os.path.exists(bench.path("s")), "nothing was looked for there")


def what_is_wrong_is_said(bench):
    bench.bus()
    for words, says in ((["list", "--colour"], "unknown option '--colour'"), (["list", "-x"], "unknown option '-x'"),
                        (["list", "-qx"], "unknown option '-x'"), (["key", "set", "a", "i", "--encoding"], "needs a value"),
                        (["list", "-H"], "needs a value"), (["rotate", "--all=1"], "takes no value"),
                        (["list", "--json=yes"], "--json takes pretty|short|off, not 'yes'"), (["list", "--json="], "not ''"),
                        (["write", "a", "x", "1", "--type=q"], "--type takes b|x|t|d|s, not 'q'"),
                        (["lst"], "unknown verb 'lst'"), (["list", "x"], "too many operands"), (["show"], "an operand is missing"),
                        (["job", "wait", "-1"], "no number of a job"), (["provision"], "either a FILE"),
                        (["provision", "x", "--prefix=y"], "either a FILE")):
        done = bench.ctl(*words, status=None)
        check(done.returncode == 2 and says in done.stderr.decode() and not done.stdout, f"{words}: {done}")


def values_as_they_are_typed(bench):
    points = {"limit": {"signal": "constant", "value": 1, "writable": True},
              "text": {"signal": "constant", "value": "kettle", "writable": True}}
    sim_bench(bench, points=points)
    for value, number in (("-1000", -1000), ("-0.5", -0.5), ("-1e3", -1000), ("-.25", -0.25), ("42", 42),
                          ("-9223372036854775808", -(1 << 63)), ("18446744073709551615", (1 << 64) - 1),
                          ("9223372036854775808", 1 << 63)):
        bench.ctl("write", "boiler-1", "limit", value)
        got = bench.ctl_json("read", "boiler-1", "limit")["value"]
        check(got == number, f"{value} was written, {got} is read")
    bench.ctl("write", "--type=d", "boiler-1", "limit", "-7")
    check(float(bench.ctl("read", "boiler-1", "limit")) == -7, "an option before it")
    bench.ctl("write", "boiler-1", "text", "--", "--force")
    check(bench.ctl("read", "boiler-1", "text") == "--force\n", "a text that looks like an option")
    refused(bench.ctl("write", "boiler-1", "limit", "-inf", status=None), 1, "finite")
    refused(bench.ctl("write", "boiler-1", "text", "--force", status=None), 2, "has no option --force")
    refused(bench.ctl("write", "boiler-1", "limit", "18446744073709551616", "--type=t", status=None), 2, "no value of type 't'")


def quiet_is_quiet(bench):
    sim_bench(bench, ("a", "b"), connect=True)
    for words in (["status"], [], ["list"], ["show", "a"], ["job", "list"], ["read", "a", "x"], ["vault", "verify"], ["reload"],
                  ["rotate", "a"], ["job", "wait", "1"], ["help"], ["disconnect", "b"], ["connect", "b"]):
        for more in ([], ["--json=short"]):
            done = bench.ctl("-q", *words, *more, status=None)
            check(done.returncode == 0 and not done.stdout and not done.stderr, f"{words} {more}: {done}")
    done = bench.ctl("-q", "show", "nobody", status=None)
    check(done.returncode == 4 and b"nobody" in done.stderr and not done.stdout, f"errors are printed: {done}")


def nothing_is_removed_unasked(bench):
    sim_bench(bench)
    path = bench.path("new-file")
    with open(path, "w", encoding="utf-8") as f:
        json.dump({"device": "new", "uplink": "cloud", "driver": "sim", "sim": {}, "points": {"x": {}}}, f)
    bench.ctl("device", "add", "new", path)
    for stdin in (b"", b"y\n"):
        refused(bench.ctl("device", "remove", "new", status=None, stdin=stdin), 1, "--yes")
        check(bench.get("new", "State") == "no-credential", "it is there")
    refused(bench.ctl("device", "remove", "nobody", status=None), 4, "nobody")
    bench.ctl("device", "remove", "new", "--yes")
    bench.ctl("show", "new", status=4)


if __name__ == "__main__":
    harness.main(options_belong_to_verbs, help_comes_from_the_table, no_abbreviations, what_is_wrong_is_said,
                 values_as_they_are_typed, quiet_is_quiet, nothing_is_removed_unasked, needs=("busctl",))
