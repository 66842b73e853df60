# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a user has in a booted system: a shell to type into, systemd's answers, the journal, and what the development cloud
prints. For the cases that run in there."""
import ctypes
import json
import os
import re
import subprocess
import time

CLONE_FS = 0x200
DEADLINE = 120  # seconds after which what did not happen is taken for lost


class Failure(Exception):
    pass


def check(condition, what):
    if not condition:
        raise Failure(what)


def wait_for(what, get, seconds=DEADLINE):
    """`seconds` matters only beyond DEADLINE: what happens is waited for, however busy the machine is."""
    seconds = max(seconds, DEADLINE)
    end = time.monotonic() + seconds
    while True:
        found = get()
        if found:
            return found
        if time.monotonic() > end:
            raise Failure(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(0.05)


def run(*command, timeout=DEADLINE, user=None):
    """Status and all that was printed."""
    if user:
        command = ("runuser", "-u", user, "--", *command)
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", timeout=timeout)
    print(f"$ {' '.join(command)} -> {done.returncode}\n{done.stdout}", flush=True)
    return done.returncode, done.stdout


def ok(*command, **options):
    status, text = run(*command, **options)
    check(status == 0, f"{' '.join(command)} ended with status {status}: {text[-1500:]}")
    return text


def opens_inside(pid, uid, gid, path, flags=os.O_RDONLY):
    """Whether a user could open a file where a process sees it: in its mount namespace and below its root, in which nothing of ours
    may be executed."""
    libc = ctypes.CDLL(None, use_errno=True)
    child = os.fork()
    if child == 0:
        status = 2
        try:
            space, root = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY), os.open(f"/proc/{pid}/root", os.O_PATH)
            if libc.unshare(CLONE_FS) == 0 and libc.setns(space, 0) == 0:
                os.fchdir(root)
                os.chroot(".")
                os.setgroups([])
                os.setresgid(gid, gid, gid)
                os.setresuid(uid, uid, uid)
                status = 1
                os.read(os.open(path, flags, 0o600), 1) if flags == os.O_RDONLY else os.open(path, flags, 0o600)
                status = 0
        except OSError:
            pass
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    check(status in (0, 1), f"the namespace of {pid} cannot be entered")
    return status == 0


class Shell:
    """root's shell, that commands are typed into one after the other."""

    def __init__(self, directory):
        self.output = os.path.join(directory, "shell.out")
        self.statuses = os.path.join(directory, "shell.statuses")
        open(self.statuses, "w", encoding="utf-8").close()
        self.typed = 0
        with open(self.output, "ab") as out:
            self.popen = subprocess.Popen(["bash"], stdin=subprocess.PIPE, stdout=out, stderr=out, text=True, cwd="/root")

    def type(self, line, seconds=120):
        self.typed += 1
        self.popen.stdin.write(f"{line}\necho $? >>{self.statuses}\n")
        self.popen.stdin.flush()
        statuses = wait_for(f"the end of: {line}", lambda: self.done(), seconds)
        check(statuses[-1] == "0", f"'{line}' ended with status {statuses[-1]}: {read(self.output)[-1500:]}")

    def done(self):
        statuses = read(self.statuses).split()
        return statuses if len(statuses) == self.typed else None


def read(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


def unit(name, *properties):
    """systemctl show: the values of the properties, one of them alone as it is."""
    text = subprocess.run(["systemctl", "show", name, *(f"--property={p}" for p in properties)], stdout=subprocess.PIPE,
                          text=True, check=True).stdout
    values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return values[properties[0]] if len(properties) == 1 else values


def journal(*units, since=None):
    """Entries of the units themselves, oldest first."""
    command = ["journalctl", "--output=json", "--no-pager", *(f"--unit={u}" for u in units)]
    if since:
        command.append(f"--after-cursor={since}")
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def cursor():
    """Of the last entry."""
    text = subprocess.run(["journalctl", "-n", "0", "--show-cursor", "--no-pager"], stdout=subprocess.PIPE, text=True,
                          check=True).stdout
    return re.search(r"-- cursor: (.*)", text).group(1)


class Cloud:
    """The development cloud as a unit, its events read from a file."""

    def __init__(self, directory, lines, name="devcloud", *options):
        self.psk, self.out = os.path.join(directory, name + ".psk"), os.path.join(directory, name + ".json")
        with open(self.psk, "w", encoding="utf-8") as f:
            f.write("".join(line + "\n" for line in lines))
        os.chmod(self.psk, 0o600)
        ok("systemd-run", "--quiet", f"--unit={name}", f"--property=StandardOutput=append:{self.out}", "gatehouse-devcloud",
           "--json", "--psk-file", self.psk, "--state", os.path.join(directory, name + ".state"), *options)

    def events(self):
        if not os.path.exists(self.out):
            return []
        return [json.loads(line) for line in read(self.out).splitlines(keepends=True) if line.endswith("}\n")]

    def mark(self):
        return len(self.events())

    def wait(self, kind, device, after=0, seconds=30):
        return wait_for(f"a {kind} of {device} at the cloud",
                        lambda: next((e for e in self.events()[after:]
                                      if e["event"] == kind and e.get("device") == device), None), seconds)
