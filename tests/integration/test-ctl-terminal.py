#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a person sees who works at a terminal: no key is ever shown on it, neither one that is typed nor one that is kept."""
import os
import re
import signal

import harness
from agent_bench import sim_bench
from harness import check, wait_for
from terminal import CTL, Screen


def shows(screen, *keys):
    """None of these in any form that a key has."""
    text = screen.text.replace(b"\r\n", b"")
    for key in keys:
        for form in (key, key.hex().encode(), key.hex().upper().encode()):
            check(form not in text, f"a key is on the screen: {screen.text!r}")


def typed_keys_are_not_shown(bench):
    _, _, cloud, _ = sim_bench(bench)
    key = bench.new_key()
    cloud.do("add-credential", identity="second", key=key.hex(), device="boiler-1")
    screen = Screen(bench, "key", "set", "boiler-1", "second", "--encoding=hex")
    screen.wait_text("Key (not shown)")
    check(not screen.echoes(), "the echo is off when the key is asked for")
    screen.type(key.hex() + "\n")
    check(screen.end() == 0 and b"32 bytes, read as hex" in screen.text, f"one line is the key: {screen.text!r}")
    shows(screen, key)
    bench.wait_property("boiler-1", "MainIdentity", "second")
    # a name that is the terminal too
    other = bench.new_key()
    screen = Screen(bench, "key", "set", "boiler-1", "third", "/dev/tty", "--encoding=hex", "--force")
    screen.wait_text("Key (not shown)")
    check(not screen.echoes(), "the echo of /dev/tty is off")
    screen.type(other.hex() + "\n")
    screen.end()
    shows(screen, other)
    # raw bytes: the end of the line is none of them
    bench.write_device("raw", "sim", {"x": {}})
    bench.ctl("reload")
    screen = Screen(bench, "key", "set", "raw", "r")
    screen.wait_text("Key (not shown)")
    screen.type(b"k8Tz-q0Wb_e3Rm7Y\n")
    check(screen.end() == 0 and b"16 bytes, read as raw" in screen.text, f"{screen.text!r}")
    shows(screen, b"k8Tz-q0Wb_e3Rm7Y")


def typed_logins_are_not_shown(bench):
    """Neither of the two lines; and an uplink over CoAP takes none."""
    sim_bench(bench)
    screen = Screen(bench, "key", "set", "boiler-1", "--kind=login")
    screen.wait_text("User name or access token (not shown)")
    check(not screen.echoes(), "the echo is off when the user name is asked for")
    screen.type("anna-of-hall-3\n")
    screen.wait_text("Password (not shown")
    check(not screen.echoes(), "the echo is off when the password is asked for")
    screen.type("open-sesame-17\n")
    check(screen.end() == 1 and b"not over MQTT" in screen.text, f"{screen.text!r}")
    shows(screen, b"anna-of-hall-3", b"open-sesame-17")


def typed_ahead(bench):
    """What was typed before it was asked for was shown, and is not taken."""
    sim_bench(bench)
    shown, key = bench.new_key(), bench.new_key()
    screen = Screen(bench, "key", "set", "boiler-1", "second", "--encoding=hex", ahead=shown.hex() + "\n")
    screen.wait_text("Key (not shown)")
    screen.type(key.hex() + "\n")
    screen.end()
    shows(screen, key)


def the_terminal_comes_back(bench):
    """However it ends, what is typed at the terminal afterwards is shown again."""
    sim_bench(bench)
    # What this process was told to ignore (nohup, a job in the background) its children would ignore too.
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        screen = Screen(bench, "key", "set", "boiler-1", "second")
        screen.wait_text("Key (not shown)")
        check(not screen.echoes(), "the echo is off")
        if number == signal.SIGINT:
            screen.type("half a k\x03")
        else:
            os.kill(screen.pid, number)
        check(screen.end() == -number, f"it ends by signal {number}: {screen.status}")
        check(screen.echoes(), f"the echo is back after signal {number}")
    # suspended and continued by a shell that leaves the terminal to its jobs
    screen = Screen(bench, "-i", program="/bin/dash")
    screen.wait_text("shell> ")
    screen.type(f"{harness.program(CTL)} key set boiler-1 second --encoding=hex\n")
    screen.wait_text("Key (not shown)")
    screen.type("\x1a")
    wait_for("the shell", lambda: screen.read() or screen.text.count(b"shell> ") >= 2)
    check(screen.echoes(), "the echo is on while it is suspended")
    screen.type("fg\n")
    wait_for("the question again", lambda: screen.read() or screen.text.count(b"Key (not shown)") >= 2)
    check(not screen.echoes(), "and off when it goes on")
    key = bench.new_key()
    screen.type(key.hex() + "\n")
    screen.wait_text("32 bytes, read as hex")
    shows(screen, key)
    screen.type("exit\n")
    screen.end()


def kept_keys_are_not_shown(bench):
    """Whatever is said in addition, and the agent has not even been asked: an export counts as known."""
    agent, _, _, keys = sim_bench(bench)
    for words in (["key", "export", "boiler-1", "main"], ["key", "export", "boiler-1", "main", "-"],
                  ["key", "export", "boiler-1", "main", "--encoding=hex"], ["key", "export", "boiler-1", "main", "--yes"],
                  ["key", "export", "boiler-1", "main", "--force"], ["key", "export", "boiler-1", "main", "/dev/tty"],
                  ["key", "export", "boiler-1", "main", "/dev/stdout"], ["key", "export", "boiler-1", "main", "--json=short"],
                  ["export", "csv"], ["export", "csv", "-"], ["export", "mosquitto", "--force"], ["export", "csv", "/dev/tty"],
                  ["export", "csv", "/dev/stdout"], ["export", "csv", "--yes", "--json=pretty"]):
        screen = Screen(bench, *words)
        check(screen.end() in (1, 2) and screen.text, f"{words}: {screen.status}, {screen.text!r}")
        shows(screen, *bench.keys)
    check("exported" not in agent.text(), "nothing was handed out")
    screen = Screen(bench, "provision", "-")
    check(screen.end() == 1 and b"not typed" in screen.text, f"a list is not typed either: {screen.text!r}")


def the_recovery_key(bench):
    """Made to be written down: on the screen until Enter, and gone from it then; typed back unseen."""
    agent, _, _, _ = sim_bench(bench)
    screen = Screen(bench, "vault", "recovery-key")
    screen.wait_text("Press Enter to clear")
    key = re.search(rb"[0-9a-f]{4}(?:-[0-9a-f]{4}){15}", screen.text)
    check(key and screen.text.index(b"\x1b[?1049h") < key.start(), f"on the other screen: {screen.text!r}")
    screen.type("\n")
    check(screen.end() == 0 and screen.text.rindex(b"\x1b[?1049l") > key.end(), f"and back: {screen.text!r}")
    check(key.group() not in screen.text[key.end():], "once")
    screen = Screen(bench, "vault", "recovery-key", "--json=short")
    check(screen.end() == 1 and not re.search(rb"[0-9a-f]{4}-", screen.text), f"never in the scrollback: {screen.text!r}")
    agent.stop()
    screen = Screen(bench, "--config-dir", bench.config, "--state-dir", bench.state, "--keyfile", bench.keyfile, "--recover",
                    program="agent/gatehoused/gatehoused")
    screen.wait_text("Recovery key (not shown)")
    check(not screen.echoes(), "the echo is off")
    screen.type(key.group() + b"\n")
    check(screen.end() == 0, f"recovered: {screen.text!r}")
    check(key.group() not in screen.text, f"it was shown: {screen.text!r}")


def removing_asks(bench):
    sim_bench(bench)
    path = bench.path("new-file")
    with open(path, "w", encoding="utf-8") as f:
        f.write('{"device": "new", "uplink": "cloud", "driver": "sim", "sim": {}, "points": {"x": {}}}')
    bench.ctl("device", "add", "new", path)
    for answer in ("n\n", "\n", "\x04"):
        screen = Screen(bench, "device", "remove", "new")
        screen.wait_text("[y/N]")
        screen.type(answer)
        check(screen.end() == 1 and b"not removed" in screen.text, f"{answer!r}: {screen.text!r}")
        check(bench.get("new", "State") == "no-credential", "it is there")
    screen = Screen(bench, "device", "remove", "new")
    screen.wait_text("its waiting samples? [y/N]")
    screen.type("y\n")
    check(screen.end() == 0, f"{screen.text!r}")
    bench.ctl("show", "new", status=4)


if __name__ == "__main__":
    harness.main(typed_keys_are_not_shown, typed_logins_are_not_shown, typed_ahead, the_terminal_comes_back, kept_keys_are_not_shown, the_recovery_key,
                 removing_asks, needs=("busctl",))
