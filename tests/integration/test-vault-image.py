#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Images, clones, backups after rotations, and a move to a new board as doc/new-board.md has it, command by command."""
import os
import re
import shlex
import shutil
import subprocess
import time

import harness
from agent_bench import sim_bench, wait_samples
from harness import check, wait_for

PAGE = os.path.join(harness.ROOT, "doc", "new-board.md")


def vault_files(directory):
    return [f for f in os.listdir(directory) if f.startswith(("vault.db", "spool.db"))]


def reset_for_image(bench):
    agent, _, _, _ = sim_bench(bench, ["d1"])
    reset = ("vault", "reset", "--for-image", "--keyfile", bench.keyfile, "--state-dir", bench.state)
    bench.ctl(*reset, "--yes", status=1)
    check(os.path.exists(bench.keyfile), "the keyfile of a running agent is removed")
    agent.stop()
    bench.ctl("vault", "reset", "--yes", status=2)
    bench.ctl(*reset, stdin=b"no\n", status=1)
    check(os.path.exists(bench.keyfile) and vault_files(bench.state), "removed, though not confirmed")
    before = harness.read_bytes(bench.keyfile)
    shutil.copy(os.path.join(bench.state, "vault.db"), os.path.join(bench.state, "vault.db.replaced-1"))
    with open(os.path.join(bench.state, "spool.db.corrupt-1"), "wb"):
        pass
    check(os.path.exists(os.path.join(bench.state, "spool.db")), "there was never a spool")
    bench.ctl(*reset, stdin=b"yes\n")
    check(not os.path.exists(bench.keyfile) and not vault_files(bench.state), f"left: {os.listdir(bench.state)}")
    bench.ctl(*reset, "--yes")
    bench.make_keyfile()
    check(harness.read_bytes(bench.keyfile) != before, "the same keyfile again")
    agent.start()
    bench.wait_agent(agent)
    check(bench.get("d1", "State") == "no-credential", "a key is left")


def restored_by(bench, file, *options, stdin=b""):
    return subprocess.run([harness.program("agent/gatehoused/gatehoused"), "--config-dir", bench.config, "--state-dir",
                           bench.state, "--keyfile", bench.keyfile, "--restore", file, "--force", *options], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, env=dict(os.environ, **bench.env), input=stdin, timeout=harness.DEADLINE)


def backup_of_a_bound_vault(bench):
    """What is written by itself beside the vault does not open without what the vault is bound to."""
    directory, stick = bench.path("backups"), bench.path("stick")
    file = os.path.join(directory, "vault.backup")
    os.mkdir(directory)
    agent, _, cloud, _ = sim_bench(bench, ["d1", "d2"], vault={"backup": directory})
    recovery = re.search(r"(?m)^[0-9a-f -]{64,}$", bench.ctl("vault", "recovery-key")).group(0).encode()
    bench.ctl("rotate", "d1")
    wait_for("a backup", lambda: os.path.exists(file))
    check(restored_by(bench, file).returncode == 75, "under a running agent")
    agent.stop()
    with open(stick, "wb") as f:
        f.write(os.urandom(16))
    unbound = harness.read_bytes(file)
    bench.write_config(cloud.url, vault={"backup": directory, "bind": "file:" + stick})
    agent.start()
    bench.wait_agent(agent)
    wait_for("another in place of the one that opens without", lambda: harness.read_bytes(file)[4] == 2)
    agent.stop()
    check(unbound[:5] == b"GHVB\1", "as it was before")
    bench.write_config(cloud.url)
    done = restored_by(bench, file)
    check(done.returncode != 0 and b"its own board" in done.stdout, done.stdout)
    done = restored_by(bench, file, "--recover", stdin=recovery)
    check(done.returncode == 0, done.stdout)
    bench.write_config(cloud.url, vault={"bind": "file:" + stick})
    done = restored_by(bench, file)
    check(done.returncode == 0, done.stdout)
    agent.start()
    bench.wait_agent(agent)
    bench.wait_property("d1", "State", "online")


def backup_after_rotation(bench):
    directory = bench.path("backups")
    os.mkdir(directory)
    agent, _, cloud, _ = sim_bench(bench, ["d1", "d2"], vault={"backup": directory})
    file = os.path.join(directory, "vault.backup")
    check(not os.path.exists(file), "a backup before the first rotation")
    since = time.monotonic()
    bench.ctl("rotate", "d1")
    first = wait_for("a backup", lambda: os.path.exists(file) and harness.read_bytes(file))
    bench.ctl("rotate", "d2")
    # The first one was there sooner than so many samples.
    wait_samples(cloud, "d2", 20)
    if time.monotonic() - since < 60:
        check(harness.read_bytes(file) == first, "two backups within a minute")
        check(os.listdir(directory) == ["vault.backup"], f"left over: {os.listdir(directory)}")
    else:
        print("  when the next backup is made: not judged, this took longer than the minute")
    agent.stop()
    os.unlink(os.path.join(bench.state, "vault.db"))
    done = subprocess.run([harness.program("agent/gatehoused/gatehoused"), "--config-dir", bench.config, "--state-dir",
                           bench.state, "--keyfile", bench.keyfile, "--restore", file], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, env=dict(os.environ, **bench.env), timeout=harness.DEADLINE)
    check(done.returncode == 0, done.stdout.decode())
    agent.start()
    bench.wait_agent(agent)
    bench.wait_property("d1", "State", "online")


def clone_is_noticed(bench):
    """The same state on two machines: the second that rotates is told."""
    agent, _, cloud, _ = sim_bench(bench, ["d1"], rotation={"retire_after": "1h"})
    agent.stop()
    other = harness.Bench()
    try:
        for name in ("config", "state"):
            shutil.copytree(getattr(bench, name), getattr(other, name), dirs_exist_ok=True)
        shutil.copy(bench.keyfile, other.keyfile)
        other.agent()
        other.driver("sim")
        other.wait_property("d1", "State", "online")
        other.ctl("rotate", "d1")
        agent.start()
        bench.wait_agent(agent)
        bench.wait_property("d1", "State", "online")
        bench.ctl("rotate", "d1", status=1)
        bench.wait_property("d1", "State", "conflict")
        check("clone" in bench.get("d1", "LastError"), bench.get("d1", "LastError"))
        check(len(cloud.credentials("d1")) == 2, f"{cloud.credentials('d1')}")
        check(other.get("d1", "State") == "online", "the other one suffers")
    finally:
        other.remove()


class Board:
    """A machine: its files below a directory, its agent and driver on the bench's bus."""

    def __init__(self, bench, name):
        self.bench, self.root, self.agent = bench, bench.path(name), None
        self.config, self.state, self.run = (self.path(p) for p in ("etc/gatehouse", "var/lib/gatehouse", "run"))
        for directory in (self.path("root"), os.path.join(self.config, "devices.d"), os.path.join(self.config, "keys"),
                          self.state, self.run):
            os.makedirs(directory, mode=0o700)
        self.keyfile = os.path.join(self.config, "keys", "current")
        self.umask = 0o022

    def path(self, *parts):
        return os.path.join(self.root, *parts)

    def own(self, command):
        """The page's paths, on this machine, which has no user of the package's."""
        command = command.replace("-o gatehouse -g gatehouse ", "")
        command = re.sub(r"(?<![\w.])/(root|etc|var)/", rf"{self.root}/\1/", command)
        return command.replace(" -C / ", f" -C {self.root} ")

    def systemctl(self, *verbs):
        if "stop" in verbs or "disable" in verbs:
            self.agent.stop()
            self.driver.kill()
        else:
            self.start()

    def start(self):
        if not os.path.exists(self.keyfile):
            self.bench.ctl("vault", "init", "--keyfile", self.keyfile)
        self.agent = self.bench.spawn("agent-" + os.path.basename(self.root),
                                      [harness.program("agent/gatehoused/gatehoused"), *self.options(), "--runtime-dir",
                                       self.run, "--allow-volatile-state"])
        self.bench.wait_agent(self.agent)
        self.driver = self.bench.spawn("driver-" + os.path.basename(self.root),
                                       [harness.program("agent/gatehouse-driver/gatehouse-driver"), "sim", "--runtime-dir",
                                        self.run, "--plugin-dir", os.path.join(harness.BUILD_DIR, "plugins", "sim")])

    def options(self):
        return ["--config-dir", self.config, "--state-dir", self.state, "--keyfile", self.keyfile]

    def do(self, command):
        words = shlex.split(self.own(command))
        if words[0] == "systemctl":
            self.systemctl(*words[1:])
            return
        if words[0] == "umask":
            self.umask = int(words[1], 8)
            return
        if words[0] == "gatehoused":
            words = [harness.program("agent/gatehoused/gatehoused"), *self.options(), *words[1:]]
        elif words[0] == "gatehousectl":
            more = ["--keyfile", self.keyfile] if "vault" in words else []
            more += ["--state-dir", self.state] if "reset" in words else []
            words = [harness.program("agent/gatehousectl/gatehousectl"), *words[1:], *more]
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env=dict(os.environ, **self.bench.env), timeout=harness.DEADLINE, umask=self.umask)
        with open(self.bench.path("commands.out"), "ab") as f:
            f.write(f"$ {command}\n".encode() + done.stdout)
        check(done.returncode == 0, f"{command}: {done.stdout.decode(errors='replace')}")


def blocks():
    """(heading word, commands) of each block of the page."""
    text = harness.read(PAGE)
    board, found = None, []
    for paragraph in text.split("\n\n"):
        name = re.search(r"\*\*(old|new) board\*\*", paragraph)
        board = name.group(1) if name else board
        if paragraph.startswith("    "):
            found.append((board, [line.strip() for line in paragraph.splitlines()]))
    check([b for b, _ in found] == ["old", "new", "new", "old"], f"the page's blocks are {[b for b, _ in found]}")
    return found


def move_to_a_new_board(bench):
    devices = ["d1", "d2", "d3"]
    keys = {d: bench.new_key() for d in devices}
    cloud = bench.devcloud([(f"first-{d}", keys[d], d) for d in devices])
    old, new = Board(bench, "old"), Board(bench, "new")
    bench.config = old.config
    bench.write_config(cloud.url, vault={"bind": "file:" + old.path("board")})
    for board in (old, new):
        with open(board.path("board"), "w", encoding="utf-8") as f:
            f.write(board.root)
    for d in devices:
        bench.write_device(d, "sim", {"n": {"signal": "counter"}}, interval="100ms")
    bench.bus()
    old.start()
    bench.set_keys((d, f"first-{d}", keys[d]) for d in devices)
    for d in devices:
        bench.wait_property(d, "State", "online")
    for d in devices[:2]:
        bench.ctl("rotate", d)
    (_, leave), (_, arrive), (_, after), (_, last) = blocks()
    for command in leave:
        old.do(command)
    # The new board has been started once, as its package does: a keyfile and an empty vault of its own.
    shutil.copy(os.path.join(harness.ROOT, "etc", "gatehouse.json"), new.config)
    new.start()
    shutil.copy(old.path("root", "gatehouse.tar"), new.path("root"))
    mark = cloud.mark()
    for command in arrive:
        if command.startswith("gatehoused"):  # the same configuration names the board's value by the same path
            os.rename(old.path("board"), old.path("board.old"))
            shutil.copy(new.path("board"), old.path("board"))
        new.do(command)
    for d in devices:
        bench.wait_property(d, "State", "online")
        cloud.wait_event("sample", device=d, since=mark)
    bench.keys.append(harness.read_bytes(new.keyfile))
    for command in after:
        new.do(command)
    for command in last:
        old.do(command)
    check(not vault_files(old.state) and not os.path.exists(old.keyfile), "the old board still has keys")
    bench.ctl("vault", "verify")
    bench.keyfile = new.keyfile


if __name__ == "__main__":
    harness.main(reset_for_image, backup_after_rotation, backup_of_a_bound_vault, clone_is_noticed, move_to_a_new_board)
