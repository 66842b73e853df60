#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Completion knows every verb and option of gatehousectl's table, in bash and zsh, and what needs no agent.

usage: test-ctl-completion.py BUILD_DIR"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/integration"))

import completing  # noqa: E402

CTL = str(pathlib.Path(sys.argv[1]).resolve() / "agent/gatehousectl/gatehousectl")
NO_BUS = {"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent"}


def table():
    done = subprocess.run([CTL, "--json=short", "help"], capture_output=True, text=True, timeout=60)
    return json.loads(done.stdout)["result"]


def names(options):
    return {f"--{o['option']}{'=' if o['value'] else ''}" for o in options}


def shells():
    """(completion, how a word with = arrives there)"""
    yield completing.bash, lambda word: [part for part in word.replace("=", "\n=\n").split("\n") if part]
    if completing.has_zsh():
        yield completing.zsh, lambda word: [word]
    else:
        print("zsh is not installed")


def test_every_verb():
    first = {v["verb"].split()[0] for v in table()["verbs"]}
    for complete, _ in shells():
        assert sorted(complete(CTL, "")) == sorted(first), "each first word once"
        assert complete(CTL, "stat") == ["status"]
        for word in first:
            second = {v["verb"].split()[1] for v in table()["verbs"] if v["verb"].startswith(word + " ")}
            if second:
                assert set(complete(CTL, word, "")) == second, word
                assert set(complete(CTL, "help", word, "")) == second, word
        assert set(complete(CTL, "help", "")) == first


def test_every_option_and_no_other():
    general = names(table()["options"])
    for complete, _ in shells():
        assert set(complete(CTL, "--")) == general
        for verb in table()["verbs"]:
            found = complete(CTL, *verb["verb"].split(), "--")
            assert set(found) == general | names(verb["options"]), verb["verb"]
            assert len(found) == len(set(found)), found


def test_choices():
    options = {o["option"]: o["choices"].split("|") for v in table()["verbs"] for o in v["options"] if o["choices"]}
    for complete, broken in shells():
        before = "" if complete is completing.bash else "--state="
        assert complete(CTL, "list", *broken("--state=")) == [before + c for c in options["state"]]
        assert complete(CTL, "list", *broken("--state=online,ba")) == [f"{before}online,{c}" for c in ("backing-off", "bad-setting")]
        assert complete(CTL, "list", "--state", "unr") == ["unregistered", "unreachable"]
        before = "" if complete is completing.bash else "--json="
        assert complete(CTL, *broken("--json=p")) == [before + "pretty"]
        assert complete(CTL, "key", "export", "a", "") == ["main", "backup"]
        assert complete(CTL, "export", "") == ["csv", "mosquitto", "emqx", "hono", "golioth"]
        assert complete(CTL, "write", "--", "--") == [], "behind -- there is no option"


def test_files():
    with tempfile.TemporaryDirectory() as d:
        os.mkdir(d + "/some dir")
        pathlib.Path(d, "some file").touch()
        for words in (("device", "add", "a", "so"), ("key", "set", "a", "--kind=bind", "so"), ("key", "set", "a", "i", "so"),
                      ("vault", "init", "--keyfile", "=", "so"), ("support-bundle", "so")):
            assert sorted(completing.bash(CTL, *words, cwd=d)) == ["some dir", "some file"], words
        assert completing.bash(CTL, "apply", "so", cwd=d) == ["some dir"]
        if completing.has_zsh():
            assert completing.zsh(CTL, "device", "add", "a", "so", cwd=d) == ["files:"]
            assert completing.zsh(CTL, "apply", "so", cwd=d) == ["files: -/"]


def test_nothing_where_nothing_can_follow():
    for complete, _ in shells():
        for words in (("status", ""), ("rotate", "--all", ""), ("provision", "--count=3", ""), ("nonsense", ""),
                      ("key", "export", "a", "main", "f", ""), ("device", "add", "a", "f", "")):
            assert complete(CTL, *words) == [], words
        # no agent, and none that is asked over ssh: nothing, at once and without a word
        assert complete(CTL, "show", "", env=NO_BUS) == []
        assert complete(CTL, "-H", "nowhere", "show", "") == []


if __name__ == "__main__":
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
            print("ok", name)
