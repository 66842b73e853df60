#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who set, exported, rotated, forced, restored: in the journal with a message id, who asked, and never a key.

The journal's socket is this test's own, in a mount namespace of its own: as root only."""
import json
import os
import re
import select
import socket
import subprocess
import threading

import harness
import namespaces
from agent_bench import sim_bench
from harness import check, wait_for

SOCKET = "/run/systemd/journal/socket"
IDS = dict(re.findall(r'#define MESSAGE_(\w+) "([0-9a-f]{32})"',
                      harness.read(os.path.join(harness.ROOT, "src", "base", "messages.h"))))


class Journal:
    """Read all the time: who writes to a journal that does not read waits, and the agent writes in its loop."""

    def __init__(self, bench):
        self.bench, self.entries, self.reading = bench, [], threading.Lock()
        if os.path.exists(SOCKET):
            os.unlink(SOCKET)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(SOCKET)
        self.socket.setblocking(False)
        threading.Thread(target=self.keep_reading, daemon=True).start()

    def keep_reading(self):
        while True:
            select.select([self.socket], [], [])
            self.read()

    def read(self):
        """All that was written until now."""
        with self.reading:
            while True:
                try:
                    data = self.socket.recv(1 << 20)
                except BlockingIOError:
                    return list(self.entries)
                # Where the harness looks for keys.
                with open(self.bench.path("journal.out"), "ab") as f:
                    f.write(data)
                self.entries.append(dict(line.split("=", 1) for line in data.decode().splitlines()))

    def wait(self, name, device=None, uid=None, says=""):
        def found():
            return [e for e in self.read() if e.get("MESSAGE_ID") == IDS[name] and e.get("GATEHOUSE_DEVICE") == device
                    and e.get("GATEHOUSE_CALLER_UID") == uid and says in e["MESSAGE"]]
        return wait_for(lambda: f"{name} of {device} by {uid} ({says}); there is {self.entries}", found)[0]


def by_hand(bench, *options, stdin=b""):
    done = subprocess.run([harness.program("agent/gatehoused/gatehoused"), "--config-dir", bench.config, "--state-dir",
                           bench.state, "--keyfile", bench.keyfile, *options], input=stdin, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, env=dict(os.environ, **bench.env), timeout=harness.DEADLINE)
    check(done.returncode == 0, f"{options}: {done.stdout.decode()}")


def acts_are_written_down(bench):
    journal, me = Journal(bench), str(os.geteuid())
    agent, _, cloud, _ = sim_bench(bench, ["d1"], rotation={"retire_after": "1h"})
    journal.wait("KEY_SET", "d1", me, "main key is set, identity first-d1")
    bench.ctl("write", "d1", "x", "1", status=1)
    journal.wait("WRITE_FAILED", "d1", me, "a caller on the bus wanted 1 of x of d1")
    bench.ctl("rotate", "d1")
    journal.wait("ROTATION_ASKED", "d1", me)
    journal.wait("ROTATION_DONE", "d1")
    bench.ctl("key", "export", "d1", "main", bench.path("exported"))
    bench.keys.append(harness.read_bytes(bench.path("exported")))
    journal.wait("KEY_EXPORTED", "d1", me, "main")
    for options in ((), ("--uplink=cloud",)):
        listing = bench.path("keys" + "".join(options).strip("-"))
        bench.ctl("export", "mosquitto", listing, *options)
        journal.wait("KEYS_EXPORTED", None, me, "uplink cloud are" if options else "all devices are")
        bench.keys.append(bytes.fromhex(harness.read(listing).split(":")[1]))
    bench.ctl("provision", "-", stdin=b"device\nd1\n", status=1)
    journal.wait("PROVISIONED", None, me)
    bench.ctl("key", "forget", "d1", "backup", "--force", status=None)
    journal.wait("KEY_FORGOTTEN", "d1", me, "forced")
    bench.ctl("vault", "backup", bench.path("backup"))
    journal.wait("BACKUP_MADE", None, me)
    bench.keys.append(harness.read_bytes(bench.keyfile))
    bench.ctl("vault", "rekey", "--keyfile", bench.keyfile)
    journal.wait("VAULT_REKEYED", None, me)
    bench.ctl("rotate", "--all", "--yes", status=None)
    journal.wait("ROTATION_ALL_ASKED", None, me)
    # What was refused was not done.
    bench.ctl("key", "set", "d1", "x", "--encoding=hex", stdin=b"00" * 32, status=1)
    check(len([e for e in journal.read() if e.get("MESSAGE_ID") == IDS["KEY_SET"]]) == 1, "a refused key counts as set")
    bench.ctl("device", "add", "d2", stdin=json.dumps({"device": "d2", "uplink": "cloud", "driver": "sim", "sim": {},
                                                       "points": {}}).encode())
    bench.ctl("device", "remove", "d2", "--yes")
    journal.wait("DEVICE_REMOVED", "d2", me, "with its keys")
    agent.stop()
    by_hand(bench, "--backup", bench.path("another"))
    by_hand(bench, "--restore", bench.path("another"), "--force")
    journal.wait("VAULT_RESTORED", None, me, "forced")
    bench.ctl("vault", "reset", "--for-image", "--yes", "--keyfile", bench.keyfile, "--state-dir", bench.state)
    journal.wait("VAULT_RESET", None, me)
    for entry in journal.read():
        check("MESSAGE_ID" not in entry or entry["PRIORITY"] in "456", f"{entry}")


def main():
    namespaces.enter("--mount", trial="mount -t tmpfs tmpfs /run")
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
    os.makedirs(os.path.dirname(SOCKET))
    harness.main(acts_are_written_down)


if __name__ == "__main__":
    main()
