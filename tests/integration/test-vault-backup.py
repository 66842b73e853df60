#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""vault backup and --restore as a user meets them: where it may go, who may be in the way, and that sessions go on."""
import os
import subprocess

import dbus_client
import harness
from agent_bench import sim_bench
from harness import check

ROOT, MANAGER = "/org/gatehouse1", "org.gatehouse1.Manager"


def restore(bench, file, *options):
    done = subprocess.run([harness.program("agent/gatehoused/gatehoused"), "--config-dir", bench.config, "--state-dir",
                           bench.state, "--keyfile", bench.keyfile, "--restore", file, *options],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=dict(os.environ, **bench.env), timeout=harness.DEADLINE)
    with open(bench.path("restore.out"), "ab") as f:
        f.write(done.stdout)
    return done.returncode, done.stdout.decode(errors="replace")


def there_and_back(bench):
    agent, _, cloud, _ = sim_bench(bench, ["d1", "d2"])
    file = bench.path("backup")
    said = bench.ctl("vault", "backup", file)
    check("keyfile" in said and "recovery key" in said, f"it does not say what opens it: {said}")
    check(os.stat(file).st_mode & 0o777 == 0o600, "a backup is not 0600")
    data = harness.read_bytes(file)
    check(b"first-d1" not in data, "a name can be read in a backup")
    status, said = restore(bench, file)
    check(status == 75 and "held by process" in said, f"under a running agent: {status}, {said}")
    said = bench.ctl("vault", "restore", file, status=1)
    agent.stop()
    status, said = restore(bench, file)
    check(status == 0, f"nothing changed since, and yet: {said}")
    agent.start()
    bench.wait_agent(agent)
    for d in ("d1", "d2"):
        bench.wait_property(d, "State", "online")
        agent.wait_text(f"{d}: a key from the backup is accepted")
    bench.ctl("rotate", "d1")
    # Not taken as restored once more after a restart.
    agent.restart()
    bench.wait_agent(agent)
    bench.ctl("rotate", "d2")


def while_stopped(bench):
    agent, _, _, _ = sim_bench(bench, ["d1"])
    agent.stop()
    file = bench.path("backup")
    bench.ctl("vault", "backup", file, status=3)
    check(not os.path.exists(file), "a file is left behind")
    done = subprocess.run([harness.program("agent/gatehoused/gatehoused"), "--config-dir", bench.config, "--state-dir",
                           bench.state, "--keyfile", bench.keyfile, "--backup", file], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, env=dict(os.environ, **bench.env), timeout=harness.DEADLINE)
    check(done.returncode == 0 and os.stat(file).st_mode & 0o777 == 0o600, done.stdout.decode())
    os.unlink(os.path.join(bench.state, "vault.db"))
    status, said = restore(bench, file)
    check(status == 0, said)
    agent.start()
    bench.wait_agent(agent)
    bench.wait_property("d1", "State", "online")


def where_it_may_go(bench):
    sim_bench(bench, ["d1"])
    full, empty = bench.path("full"), bench.path("empty")
    for path in (full, empty):
        with open(path, "wb") as f:
            f.write(b"something" if path == full else b"")
    pipe_read, pipe_write = os.pipe()
    with dbus_client.Client(bench) as c:
        for fd, words in ((os.open(full, os.O_WRONLY), "not empty"), (os.open(empty, os.O_RDONLY), "open for writing"),
                          (pipe_write, "regular file")):
            try:
                c.call(ROOT, MANAGER, "Backup", "ha{sv}", fd, {})
                check(False, f"taken: {words}")
            except dbus_client.Error as e:
                check(e.name.endswith("InvalidArgument") and words in e.text, str(e))
        try:
            c.call(ROOT, MANAGER, "Backup", "ha{sv}", os.open(empty, os.O_WRONLY), {"colour": ("s", "blue")})
            check(False, "an option that nobody knows is taken")
        except dbus_client.Error as e:
            check("colour" in e.text, str(e))
    os.close(pipe_read)
    check(harness.read_bytes(full) == b"something", "a file was written over")
    said = bench.ctl("vault", "backup", full, status=1)
    check(harness.read_bytes(full) == b"something", f"a file was written over: {said}")


def the_way_back_from_a_forced_restore(bench):
    """What was committed last may stand in the vault's log only; it comes back with the vault that was replaced."""
    agent, _, _, _ = sim_bench(bench, ["d1", "d2"])
    file, kept = bench.path("backup"), bench.path("kept-keyfile")
    bench.ctl("vault", "backup", file)
    bench.ctl("key", "forget", "d2", "main", "--force", status=None)
    bench.key_set("d2", "newest-d2", bench.new_key())
    check(bench.get("d2", "MainIdentity") == "newest-d2", "its newest key")
    agent.kill()
    os.rename(bench.keyfile, kept)
    bench.ctl("vault", "init", "--keyfile", bench.keyfile)
    restore(bench, file, "--backup-keyfile", kept, "--force")
    os.rename(os.path.join(bench.state, "vault.db.replaced-1"), os.path.join(bench.state, "vault.db"))
    os.replace(kept, bench.keyfile)
    agent.start()
    bench.wait_agent(agent)
    check(bench.get("d2", "MainIdentity") == "newest-d2", f"it is {bench.get('d2', 'MainIdentity')!r}")


if __name__ == "__main__":
    harness.main(the_way_back_from_a_forced_restore, there_and_back, while_stopped, where_it_may_go)
