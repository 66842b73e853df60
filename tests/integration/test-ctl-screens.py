#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What gatehousectl shows at a terminal of 80 columns, compared with golden copies in tests/fixtures/screens; times, ports and
random parts are made alike first. With --update the copies are written anew."""
import os
import re
import signal
import sys

import harness
from agent_bench import sim_bench
from harness import check, wait_for
from terminal import Screen

GOLDEN = os.path.join(harness.ROOT, "tests", "fixtures", "screens")
UPDATE = "--update" in sys.argv
POINTS = {"flow": {"signal": "constant", "value": 47.5, "unit": "Cel"}, "pump": {"signal": "constant", "value": True},
          "p-10": {"signal": "constant", "value": 3, "unit": "bar"}, "p-2": {"signal": "constant", "value": 2, "unit": "bar"}}
# What has another number of columns each time stands at a line's end, or between what is padded.
ALIKE = ((r"gatehousectl: job \d+", "gatehousectl: job N"), (r"job (wait|cancel) \d+", r"job \1 N"), (r"job \d+:", "job N:"), (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
         (r"\b[0-9a-f]{16}\b", "FINGERPRINT"), (r"\w{3} \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S+ \([^)]*\)", "TIME"),
         (r"gatehoused \d[\w.~+-]*", "gatehoused VERSION"), (r"room for [\d.]+ hours", "room for N hours"),
         (r"waiting: \d+ samples", "waiting: N samples"), (r"\d+ delivered, \d+ waiting", "N delivered, N waiting"), (r"UNIT +AGE", "UNIT  AGE"), (r" +\d+(\.\d)?s  (good|stale)", r"  AGE  \2"),
         (r"problem: bad-setting:\s[^&]*&& sudo\s+gatehousectl reload", "problem: bad-setting: PLACE; mend: COMMANDS"),
         (r"(comma\.json:\d+:\d+:)\s+", r"\1 "), (r"(bad-setting +)(?:DIR)?/.*", r"\1DIR/..."),
         (r"(sim|modbus) \d[\w.~+-]* connected", r"\1 VERSION connected"), (r"\n +sending: under-way", ""),
         (r"-o (\S+) -g \1 ", "-o gatehouse -g gatehouse "))


def alike(lines, bench):
    text = "\n".join(lines).strip("\n").replace(bench.dir, "DIR")
    for pattern, instead in ALIKE:
        text = re.sub(pattern, instead, text)
    return text + "\n"


def compare(bench, name, lines):
    check(all(len(line) <= 80 for line in lines if bench.dir not in line), f"{name}: a line of over 80 columns: {lines}")
    text, path = alike(lines, bench), os.path.join(GOLDEN, name + ".txt")
    if UPDATE:
        os.makedirs(GOLDEN, exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
    golden = harness.read(path)
    check(text == golden, f"{name} is\n{text}\nand was\n{golden}")


def shown(bench, name, *words, status=0):
    screen = Screen(bench, *words, LC_ALL="C.UTF-8")
    check(screen.end() == status, f"{words}: {screen.text!r}")
    compare(bench, name, screen.lines())
    return screen


def fleet(bench):
    """Devices of several kinds, all quiet but for their samples."""
    devices = ("meter-2", "meter-10", "boiler-1")
    agent, _, cloud, _ = sim_bench(bench, devices, points=POINTS)
    bench.write_device("unkeyed", "sim", points={"x": {}}, interval="100ms")
    bench.write_device("silent", "modbus", url="tcp://127.0.0.1:1", unit=17, points={})
    bench.ctl("reload")
    with open(os.path.join(bench.config, "devices.d", "comma.json"), "w", encoding="utf-8") as f:
        f.write('{ "device": "comma", }')
    bench.ctl("reload", status=None)
    bench.ctl("disconnect", "meter-10")
    bench.wait_property("meter-10", "State", "disabled")
    wait_for("samples of all points", lambda: all(len(bench.ctl_json("read", d)["samples"]) == len(POINTS) for d in devices))
    wait_for("the doctor's word", lambda: "comma.json" in bench.get(None, "Problem"))
    wait_for("a sample in the cloud", lambda: bench.get("boiler-1", "Delivered") > 0)
    bench.wait_property("unkeyed", "SensorState", "ok")
    bench.wait_property(None, "SpoolHours", lambda hours: hours > 0)
    return agent, cloud


def looks(bench):
    fleet(bench)
    screen = shown(bench, "list", "list")
    check(b"\x1b[32m" in screen.text and "●".encode() in screen.text, f"colours and symbols: {screen.text!r}")
    shown(bench, "show", "show", "boiler-1")
    shown(bench, "status", "status")


def found(bench):
    """What a scan finds, without its progress."""
    bench.bus()
    bench.write_config("coaps://127.0.0.1:1")
    bench.agent()
    bench.driver("modbus")
    server = bench.modbus_server(devices=2)
    wait_for("the driver", lambda: any(d[2] == "connected" for d in bench.get(None, "Drivers")))
    shown(bench, "scan", "scan", "modbus", f"tcp://127.0.0.1:{server.port}", "--units=1-3", "--timeout=10s")


def checked(bench):
    """A system that is mounted somewhere, without a state directory and with files of whoever runs this, so that nothing of this machine
    is in it; the words of a cause are broken at 80 columns, a command is not."""
    def write(name, text, mode=0o644):
        path = bench.path("image", *name.split("/"))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(path, mode)
    write("etc/gatehouse/gatehouse.json", '{ "uplinks": { "cloud": { "url": "coaps://cloud.example" } },\n'
          '  "rotation": { "window": "02:00-04:00" } }')
    write("etc/gatehouse/devices.d/fan.json", '{ "device": "fan", }')
    write("etc/gatehouse/keys/current", "0" * 32, 0o644)
    write("boot/firmware/cmdline.txt", "console=serial0,115200 root=/dev/mmcblk0p2")
    for directory, _, _ in os.walk(bench.path("image")):
        os.chmod(directory, 0o755)
    shown(bench, "check", "check", f"--root={bench.path('image')}", "--config-dir=/etc/gatehouse", status=2)


def help_fits(bench):
    """The help of every verb at 80 columns: only what has no space is longer. Through a pager where it is longer than the screen."""
    verbs = sorted(v["verb"] for v in bench.ctl_json("help")["verbs"])
    ctl = harness.program("agent/gatehousectl/gatehousectl")
    commands = ["--help", *(f"help {v}" for v in verbs), *(f"{v} --help" for v in verbs)]
    screen = Screen(bench, "-c", "; ".join(f"{ctl} --no-pager {c} || exit 9" for c in commands), program="/bin/sh", LC_ALL="C.UTF-8")
    check(screen.end() == 0, screen.text)
    lines = screen.lines()
    check(sum(line.startswith("usage: gatehousectl ") for line in lines) == len(commands), lines)
    long = [line for line in lines if len(line) > 80 and " " in line.strip()]
    check(not long, f"longer than the terminal: {long}")
    paged = Screen(bench, "--help", PAGER="sed s/^/paged:/", LC_ALL="C.UTF-8")
    check(paged.end() == 0 and b"paged:usage: " in paged.text, f"--help: {paged.text!r}")
    plain = Screen(bench, "--help", "--no-pager", PAGER="sed s/^/paged:/", LC_ALL="C.UTF-8")
    check(plain.end() == 0 and b"paged:" not in plain.text, f"--no-pager: {plain.text!r}")


def plain_where_it_has_to_be(bench):
    """Neither colours nor symbols into a pipe or a file, and none that were declined."""
    sim_bench(bench, ("a",), points=POINTS)
    for env, colours, symbols in (({}, True, True), ({"NO_COLOR": "1"}, False, True), ({"TERM": "dumb"}, False, False),
                                  ({"LC_ALL": "C"}, True, False)):
        screen = Screen(bench, "list", **{"LC_ALL": "C.UTF-8", **env})
        check(screen.end() == 0, screen.text)
        check((b"\x1b[" in screen.text) == colours and ("●".encode() in screen.text) == symbols, f"{env}: {screen.text!r}")
    text = bench.ctl("list") + bench.ctl("status") + bench.ctl("show", "a") + bench.ctl("read", "a")
    check("\x1b" not in text and text.isascii(), text)
    # as wide as the terminal
    bench.write_device("b", "modbus", url="tcp://127.0.0.1:1", unit=1, points={})
    bench.ctl("reload")
    narrow, wide = (Screen(bench, "list", columns=n, LC_ALL="C.UTF-8") for n in (60, 200))
    check(narrow.end() == 0 and wide.end() == 0 and all(len(line) <= 60 for line in narrow.lines()), narrow.text)
    check("…" in narrow.text.decode() and "…" not in wide.text.decode() and "gatehouse-driver@modbus" in wide.text.decode(), wide.text)
    full = Screen(bench, "list", "--full", columns=60, LC_ALL="C.UTF-8")
    check(full.end() == 0 and "gatehouse-driver@modbus" in full.text.decode(), full.text)


def watched(bench):
    """A table that is drawn over, and stays when it ends; lines where they are asked for."""
    sim_bench(bench, ("b-10", "b-2"), points=POINTS)
    wait_for("samples", lambda: len(bench.ctl_json("read", "--all")["samples"]) == 8)
    screen = Screen(bench, "watch", LC_ALL="C.UTF-8")
    screen.wait_text("\x1b[?1049h")
    screen.wait_text("47.5")
    seen = screen.text.count(b"\x1b[H\x1b[J")
    wait_for("it to be drawn over", lambda: screen.read() or screen.text.count(b"\x1b[H\x1b[J") > seen + 1)

    def rows():
        return [line for line in screen.read() or screen.text.rsplit(b"\x1b[H\x1b[J", 1)[1].splitlines() if b"good" in line]
    wait_for("all points", lambda: len(rows()) == 2 * len(POINTS))
    bench.ctl("disconnect", "b-2")
    screen.wait_text("b-2 is disabled")
    screen.type("\x03")
    check(screen.end() == 0, f"Ctrl-C is its end: {screen.text!r}")
    before, after = screen.text.rsplit(b"\x1b[?1049l", 1)
    check(b"\x1b[?25h" in before, "the cursor is back")
    screen.text = after
    compare(bench, "watch", screen.lines())
    lines = Screen(bench, "watch", "--lines", "b-10", LC_ALL="C.UTF-8")
    lines.wait_text("b-10 flow = 47.5 Cel")
    lines.type("\x03")
    check(lines.end() == 0 and b"\x1b" not in lines.text, f"{lines.text!r}")


def jobs_go_on(bench):
    """A bar while a job runs; Ctrl-C leaves it running and says how to follow."""
    devices = ("a", "b", "c")
    _, _, cloud, _ = sim_bench(bench, devices)
    cloud.do("refuse", code="5.03", path="credentials", method="POST", device="c", times=0)
    screen = Screen(bench, "rotate", "--all", LC_ALL="C.UTF-8")
    screen.wait_text("2 of 3, 0 failed")
    screen.type("\x03")
    check(screen.end() == -signal.SIGINT, f"as whoever is interrupted ends: {screen.status} {screen.text!r}")
    compare(bench, "rotate-all", screen.lines())
    number = re.search(rb"gatehousectl job wait (\d+)", screen.text).group(1).decode()
    check([j["state"] for j in bench.ctl_json("job", "list")["jobs"] if j["job"] == number] == ["running"], "it goes on")


if __name__ == "__main__":
    sys.argv = [a for a in sys.argv if a != "--update"]
    harness.main(looks, found, checked, help_fits, plain_where_it_has_to_be, watched, jobs_go_on, needs=("busctl",))
