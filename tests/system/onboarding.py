# SPDX-License-Identifier: LGPL-2.1-or-later
"""doc/getting-started.md in a booted system: each case from a machine without gatehouse to the first sample, its commands taken out of
the page, typed at a terminal, counted and timed. Addresses of the cloud and of the controller are replaced, nothing else."""
import contextlib
import json
import os
import pty
import re
import signal
import stat
import subprocess
import termios
import time

import onair
import page
from console import Cloud, check, ok, read, run, unit, wait_for

SHARED = "/t"
AGENT = "gatehouse.service"
COMMANDS_MAX = 6
FOREGROUND = "gatehouse-devcloud"  # goes on until Ctrl-C
CTRL_D = "\x04"
REPLACED = {
    "tcp://192.0.2.10:502": "tcp://127.0.0.1:1502",
    "coaps://coap.golioth.io:5684": "coaps://127.0.0.1:5685",
    "https://api.golioth.io": "https://localhost:8443",
    # the state is a mount of its own here
    "/var/lib/gatehouse\n": "/var/lib/gatehouse/*\n",
}
API_KEY = "secret-of-the-page"


class Terminal:
    """root's shell with a terminal to type at, in a directory of its own; what is printed goes to a file."""

    def __init__(self, directory, umask):
        os.makedirs(directory)
        self.directory, self.output = directory, os.path.join(directory, "output")
        self.statuses = os.path.join("/root", os.path.basename(directory) + ".statuses")
        open(self.statuses, "w", encoding="utf-8").close()
        self.typed = 0
        self.master, slave = pty.openpty()
        settings = termios.tcgetattr(slave)
        settings[3] &= ~termios.ECHO
        termios.tcsetattr(slave, termios.TCSANOW, settings)
        with open(self.output, "ab") as out:
            self.popen = subprocess.Popen(["bash"], stdin=slave, stdout=out, stderr=out, cwd=directory, start_new_session=True)
        os.close(slave)
        self.type(f"umask {umask}")

    def write(self, text):
        os.write(self.master, text.encode())

    def type(self, command, prompt=None, answer=None):
        """A command, whose status must be 0; `answer` is given once `prompt` is shown."""
        for shown, real in REPLACED.items():
            command = (command + "\n").replace(shown, real).rstrip("\n")
        if command.startswith(FOREGROUND):
            command += " &"
        self.typed += 1
        mark = len(read(self.output))
        if "\n" in command:
            self.write(f"{command}\necho $? >>{self.statuses}\n")
        else:
            separator = "" if command.endswith("&") else ";"
            self.write(f"{command}{separator} echo $? >>{self.statuses}\n")
        if answer is not None:
            wait_for(f"{prompt} of: {command}", lambda: prompt in read(self.output)[mark:], 300)
            self.write(answer)
        wait_for(lambda: f"the end of: {command}: {read(self.output)[mark:][-1000:]}", lambda: len(read(self.statuses).split()) == self.typed, 600)
        status = read(self.statuses).split()[-1]
        check(status == "0", f"'{command}' ended with status {status}: {read(self.output)[mark:][-1500:]}")
        return read(self.output)[mark:]

    def end_cloud(self):
        self.type("kill $!; wait $! || true")

    def close(self):
        """With all that runs in it."""
        os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()
        os.close(self.master)


def shown():
    return page.cases(read(os.path.join(SHARED, "getting-started.md")))


def no_key_is_readable(directory):
    """Neither the files that the page's commands made, nor those of the configuration, show a key to others; and the agent reads its
    own."""
    keys = re.findall(r",([0-9a-f]{64,}),hex$", ok("gatehousectl", "-q", "export", "csv"), re.MULTILINE)
    check(keys, "there are keys")
    keys += [text for text in (bytes.fromhex(k).decode("ascii", "replace") for k in keys) if text.isalnum()]
    for top in (directory, "/root", "/etc/gatehouse", "/etc/mosquitto"):
        for place, _, names in os.walk(top):
            for name in names:
                path = os.path.join(place, name)
                s = os.lstat(path)
                if stat.S_ISREG(s.st_mode) and s.st_mode & 0o077:
                    check(not any(k in read(path) for k in (*keys, API_KEY)), f"{path} (mode {s.st_mode & 0o777:o}) has a key")
    for path in ("/etc/gatehouse/gatehouse.json", *(f"/etc/gatehouse/devices.d/{n}" for n in os.listdir("/etc/gatehouse/devices.d"))):
        check(run("head", "-c1", path, user="gatehouse")[0] == 0, f"the agent cannot read {path}")


def removed():
    """As the page says; what was not installed is passed over. Clouds of other cases, which have the ports, are ended."""
    run("systemctl", "stop", "devcloud", "golioth")
    terminal = Terminal(f"/root/removal-{time.monotonic_ns()}", "022")
    for command in shown()["removal"]:
        if command.startswith("apt ") or os.path.exists("/etc/gatehouse"):
            terminal.type(command)
    terminal.close()
    check(not os.path.exists("/etc/gatehouse") and not os.listdir("/var/lib/gatehouse"), "it left nothing")


def sample_shown(terminal, device, point):
    wait_for(lambda: f"a sample of {device}: {read(terminal.output)[-1500:]}",
             lambda: re.search(rf"^{device} +{point} +-?\d", read(terminal.output), re.MULTILINE))


def case(w, name, first_sample, umask="022", installed=None, typed=None):
    """The page's case from nothing; its terminal. `installed` is called once apt is done; `typed` is a part of a command, what is
    shown then, and what is answered."""
    removed()
    commands = shown()[name]
    check(len(commands) <= COMMANDS_MAX, f"{len(commands)} commands")
    terminal = Terminal(f"/root/{name}", umask)
    begun = time.monotonic()
    for n, command in enumerate(commands):
        part, prompt, answer = typed or ("", None, None)
        terminal.type(command, *((prompt, answer) if answer and part in command else ()))
        if n == 0 and installed:
            paused = time.monotonic()
            installed()
            begun += time.monotonic() - paused
    first_sample(terminal)
    w.figures.setdefault("getting_started", {})[name] = {"commands": len(commands), "seconds": round(time.monotonic() - begun, 1)}
    no_key_is_readable(terminal.directory)
    return terminal


def simulated(w):
    """getting-started: a simulated sensor; a look, a rotation, a second device, one by a file under a strict umask"""
    terminal = case(w, "simulated", lambda t: sample_shown(t, "sim-1", "level"), umask="077")
    for command in shown()["look"]:
        terminal.type(command)
    terminal.end_cloud()
    for command in shown()["second"]:
        terminal.type(command)
    sample_shown(terminal, "sim-2", "level")
    terminal.end_cloud()
    for command in shown()["file"]:
        terminal.type(command)
    device = json.loads(ok("gatehousectl", "--json=short", "show", "sim-3"))["result"]
    check(device["main_identity"], device)
    no_key_is_readable(terminal.directory)
    terminal.close()


def modbus(w):
    """getting-started: a Modbus device"""
    if unit("modbus-server", "ActiveState") != "active":
        ok("systemd-run", "--quiet", "--unit=modbus-server", "python3", SHARED + "/pymodbus-server.py", "--port", "1502")
    case(w, "modbus", lambda t: sample_shown(t, "boiler-1", "flow_temp")).close()


def bluetooth(w):
    """getting-started: a Bluetooth sensor, chosen at the terminal"""
    with contextlib.ExitStack() as stack:
        def installed():
            stack.enter_context(onair.thermometer())
            wait_for("it is heard", lambda: onair.NAME in run("gatehousectl", "scan", "ble", "seconds=3")[1])
        case(w, "bluetooth", lambda t: sample_shown(t, onair.NAME, "temperature"), installed=installed,
             typed=("scan ble --add", "Which one", "1\n")).close()


def mosquitto(w):
    """getting-started: a broker of one's own"""
    def at_the_broker(terminal):
        command, = shown()["broker"]
        check("sim-1" in terminal.type(command), "a message of sim-1")
    case(w, "mosquitto", at_the_broker).close()
    ok("systemctl", "stop", "mosquitto")


def golioth(w):
    """getting-started: Golioth, whose calls and paths the development cloud answers"""
    key, clouds = "/root/golioth-page-key", []
    with open(os.open(key, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as f:
        f.write(API_KEY + "\n")

    def installed():
        clouds.append(Cloud("/root", [], "golioth-page", "--port", "5685", "--https-port", "8443", "--https-ca",
                            "/usr/local/share/ca-certificates/golioth-page.crt", "--golioth-project", "your-project",
                            "--api-key-file", key))
        clouds[0].wait("listening", None)
        ok("update-ca-certificates")
    case(w, "golioth", lambda _: clouds[0].wait("sample", "sim-1"), umask="077", installed=installed,
         typed=("api-keys", "", API_KEY + "\n" + CTRL_D)).close()


CASES = (simulated, modbus, bluetooth, mosquitto, golioth)
