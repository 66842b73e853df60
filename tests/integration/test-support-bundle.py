#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""gatehousectl support-bundle: what it has, and keys planted wherever people put them, which it has not."""
import base64
import json
import os
import re
import stat

import harness
from agent_bench import refused, sim_bench
from harness import check


def forms(key):
    return harness.key_forms(key) | {base64.b64encode(key).decode().encode()}


def bundle(bench, *more):
    path = bench.path("bundle.txt")
    bench.ctl("support-bundle", path, "--config-dir", bench.config, "--state-dir", bench.state, *more)
    with open(path, "rb") as f:
        return path, f.read()


def text_of(key):
    return base64.b64encode(key).decode()


def planted_keys_are_not_in_it(bench):
    """In the vault, the configuration, the environment, the journal."""
    _, _, _, keys = sim_bench(bench)
    planted = [os.urandom(n) for n in (16, 24, 32, 64)]
    text = base64.urlsafe_b64encode(os.urandom(18)).decode()
    lines = [line for key in planted for line in (f'psk {key.hex()}', f'key {base64.b64encode(key).decode()}', f'"{key.hex(":")}"',
                                                  f"bytes {key.hex(' ')}", f"psk={key.hex().upper()}", f"/etc/{key.hex()}")] + [text]
    escaped = json.dumps(text_of(planted[3])).replace("/", "\\/").replace("+", "\\u002B").replace("=", "\\u003d").replace('"', "\\u0022")
    lines += [f"\\u0022psk\\u0022:\\u0022{text_of(planted[1])}\\u0022", escaped,
              ", ".join(f"0x{b:02X}" for b in planted[2])]
    wrapped = [text_of(planted[3])[i:i + 16] for i in range(0, len(text_of(planted[3])), 16)]
    bin_dir = bench.path("bin")
    os.mkdir(bin_dir)
    with open(os.path.join(bin_dir, "journalctl"), "w", encoding="utf-8") as f:
        f.write("#!/bin/sh\ncat <<'END'\nsaid by a program: " + "\n".join(lines + wrapped) + "\nEND\nenv\n")
    os.chmod(f.name, 0o755)
    with open(os.path.join(bench.config, "devices.d", "boiler-1.json"), "a", encoding="utf-8") as f:
        f.write("".join(f"// {line}\n" for line in lines))
    bench.write_json("devices.d/odd.json", {"device": "odd", "driver": "sim", "key": planted[0].hex(), "password": "hunter2"})
    bench.env.update(PATH=bin_dir + ":" + os.environ["PATH"], GATEHOUSE_KEY=planted[0].hex(), API_TOKEN="tiny")
    path, made = bundle(bench)
    check(stat.S_IMODE(os.stat(path).st_mode) == 0o600, "others may not read it")
    for key in [*planted, *keys.values()]:
        for form in forms(key):
            check(form not in made, f"a key of {len(key)} bytes is in the bundle as {form[:12]!r}...")
    # A shorter piece may be in some other word by chance.
    pieces = [piece for piece in [*wrapped, *re.split(r"\\+(?:/|u00..)", escaped)] if len(piece) >= 8]
    for word in (text, "hunter2", "tiny", *pieces, f"0x{planted[2][0]:02X}, 0x{planted[2][1]:02X}, 0x{planted[2][2]:02X}"):
        check(word.encode() not in made, f"{word} is in the bundle")
    for wanted in (b"said by a program", b"boiler-1", b"==== status", b"online", b"gatehouse_up 1", b'"uplink": "cloud"', b"(redacted)"):
        check(wanted in made, f"{wanted} is not in the bundle")


def without_an_agent(bench):
    bench.bus()
    bench.write_config("coaps://127.0.0.1:5684")
    path, made = bundle(bench)
    check(b"not running" in made and b"gatehouse_up 0" in made and b"coaps://127.0.0.1:5684" in made, "it is for when nothing works")
    refused(bench.ctl("support-bundle", path, status=None), 1, "File exists")


def what_is_not_the_agents_is_not_read(bench):
    """The agent's user may put anything into its folder, and root makes the bundle."""
    bench.bus()
    bench.write_config("coaps://127.0.0.1:5684")
    folder = os.path.join(bench.state, "devices.d")
    os.makedirs(folder, exist_ok=True)
    with open(bench.path("shadow"), "w", encoding="utf-8") as f:
        f.write("root of all evil")
    os.symlink(f.name, os.path.join(folder, "link.json"))
    os.mkfifo(os.path.join(folder, "pipe.json"))
    with open(os.path.join(folder, "own.json"), "w", encoding="utf-8") as f:
        f.write("a device of mine")
    made = bundle(bench)[1]
    check(b"root of all evil" not in made, "a link is followed")
    check(b"a device of mine" in made and b"link.json: not looked at" in made and b"pipe.json: not looked at" in made, "the others are there")
    os.rename(folder, bench.path("elsewhere"))
    os.symlink(bench.path("elsewhere"), folder)
    os.unlink(bench.path("bundle.txt"))
    check(b"a device of mine" not in bundle(bench)[1], "a link in place of the folder is followed")


if __name__ == "__main__":
    harness.main(planted_keys_are_not_in_it, without_an_agent, what_is_not_the_agents_is_not_read)
