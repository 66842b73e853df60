#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What images and Ansible use: `apply` makes a directory the configuration, `provision --directory` takes lists once."""
import contextlib
import fcntl
import json
import os
import sqlite3
import stat
import subprocess

import dbus_client
import harness
from agent_bench import check_options, refused, sim_bench
from harness import check

SIM = {"uplink": "cloud", "driver": "sim", "sim": {"interval": "100ms"}, "points": {"x": {"signal": "counter"}}}
CTL = "agent/gatehousectl/gatehousectl"


def write(path, value):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(value if isinstance(value, str) else json.dumps(value))
    return path


def device(directory, name, **changes):
    return write(os.path.join(directory, "devices.d", name + ".json"), {"device": name, **SIM, **changes})


def options(bench):
    """The agent as it is in the build directory, to check with."""
    path = write(bench.path("check-agent"), "#!/bin/sh\nexec '" + "' '".join(
        [harness.program("agent/gatehoused/gatehoused"), *check_options(bench)]) + "' \"$@\"\n")
    os.chmod(path, 0o755)
    return ["--config-dir", bench.config, "--state-dir", bench.state, "--agent-program", path]


def apply(bench, directory, *more, status=0):
    envelope = bench.ctl_json("apply", directory, *options(bench), *more, status=None)
    check(envelope["status"] == status, envelope)
    return envelope["result"]


def files(directory):
    """{name: (text, inode)} of all below it."""
    found = {}
    for at, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(at, name)
            found[os.path.relpath(path, directory)] = (harness.read(path), os.stat(path).st_ino)
    return found


def wanted(bench):
    """A directory that says the same as what runs, and two devices."""
    directory = bench.path("wanted")
    write(os.path.join(directory, "gatehouse.json"), harness.read(os.path.join(bench.config, "gatehouse.json")))
    device(directory, "a")
    device(directory, "b")
    return directory


def names(bench):
    return sorted(row["device"] for row in bench.ctl_json("list")["devices"])


def becomes_the_configuration(bench):
    sim_bench(bench, ("old",))
    directory = wanted(bench)
    before = files(bench.config)
    dry = apply(bench, directory, "--dry-run")
    check(dry["changed"] == ["devices.d/a.json", "devices.d/b.json", "devices.d/old.json"] and dry["dry_run"], dry)
    check(files(bench.config) == before and names(bench) == ["old"], "--dry-run touched something")
    done = apply(bench, directory)
    check(done["changed"] == dry["changed"] and done["reloaded"] and done["mistakes"] == [], done)
    check(names(bench) == ["a", "b"], "the agent has them")
    check(stat.S_IMODE(os.stat(os.path.join(bench.config, "devices.d", "a.json")).st_mode) == 0o644, "the agent's user reads it")
    after = files(bench.config)
    again = apply(bench, directory)
    check(again["changed"] == [] and files(bench.config) == after, "a second time changes nothing, not even an inode")
    device(directory, "a", enabled=False)
    os.unlink(os.path.join(directory, "gatehouse.json"))
    check(apply(bench, directory)["changed"] == ["devices.d/a.json"], "what the directory has not at all is left alone")
    check(bench.get("a", "State") == "disabled" and os.path.exists(os.path.join(bench.config, "gatehouse.json")), "as applied")
    text = bench.ctl("apply", directory, *options(bench))
    check(text == "nothing to change\n", text)


def a_mistake_changes_nothing(bench):
    sim_bench(bench, ("old",))
    directory = wanted(bench)
    write(os.path.join(directory, "devices.d", "b.json"), '{"device": "b",\n "uplink": "clod", "driver": "sim"}')
    before = files(bench.config)

    def refuses(name, *more):
        result = apply(bench, directory, *more, status=78)
        check(result["changed"] == [] and files(bench.config) == before and names(bench) == ["old"], "something changed")
        check([m["file"] for m in result["mistakes"]] == [os.path.join(directory, "devices.d", name + ".json")], result)
        return result["mistakes"][0]
    for more in ((), ("--dry-run",)):
        found = refuses("b", *more)
        check((found["line"], found["column"]) == (2, 12) and '"clod"' in found["text"], found)
    os.unlink(os.path.join(directory, "devices.d", "b.json"))
    device(directory, "c", points={"x": {"signal": "sinus"}})
    found = refuses("c")
    check(found["line"] == 1 and "sine" in found["text"], f"what its plugin says of it: {found}")
    os.unlink(os.path.join(directory, "devices.d", "c.json"))
    write(os.path.join(directory, "keys", "current"), "x")
    result = apply(bench, directory, status=78)
    check("expected nothing but" in result["mistakes"][0]["text"] and files(bench.config) == before, result)


def a_refused_reload_is_taken_back(bench):
    """What the check does not see, the agent does: the id is taken by a device that was added over D-Bus."""
    sim_bench(bench, ("old",))
    bench.ctl("device", "add", "a", write(bench.path("a.json"), {"device": "a", **SIM}))
    directory = wanted(bench)
    before = {name: text for name, (text, _) in files(bench.config).items()}
    blind = options(bench)
    blind[3] = bench.path("empty-state")
    os.makedirs(blind[3], exist_ok=True)
    envelope = bench.ctl_json("apply", directory, *blind, status=None)
    check(envelope["status"] == 78 and envelope["result"]["changed"] == [] and envelope["result"]["mistakes"], envelope)
    check({name: text for name, (text, _) in files(bench.config).items()} == before, "not all was put back")
    check(names(bench) == ["a", "old"], "the agent goes on as before")
    bench.ctl("reload")


def an_unanswered_reload_is_done_again(bench):
    """The agent may have carried it out: it is asked once more, with the files that are back."""
    bench.bus()
    bench.write_config("coaps://127.0.0.1:5684")
    directory, here = wanted(bench), os.path.join(bench.config, "devices.d", "a.json")
    for answers in (True, False):
        with dbus_client.Client(bench) as agent:
            agent.call("/org/freedesktop/DBus", "org.freedesktop.DBus", "RequestName", "su", harness.BUS_NAME, 4,
                       destination="org.freedesktop.DBus")
            with subprocess.Popen([harness.program(CTL), "apply", directory, *options(bench)], env=dict(os.environ, **bench.env),
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as ctl:
                for present in (True, False):
                    m = agent.receive()
                    while m.member != "Reload":
                        agent.keep(m)
                        m = agent.receive()
                    check(os.path.exists(here) == present, "the files are there the first time, and back the second")
                    if present or not answers:
                        agent.fail(m.fields[dbus_client.SENDER], agent.reply_serial, "org.freedesktop.DBus.Error.NoReply")
                    else:
                        agent.reply(m.fields[dbus_client.SENDER], agent.reply_serial, "")
                said = ctl.communicate(timeout=harness.DEADLINE)[1]
        check(ctl.returncode == 1 and ("nothing is changed" in said) == answers, said)
        check(("not known" in said) != answers, said)


def not_all_is_put_back(bench):
    """The disk fails from the second file on."""
    strace = harness.shutil.which("strace")
    if not strace:
        print("skipped: strace is not installed")
        return
    bench.bus()
    bench.write_config("coaps://127.0.0.1:5684")
    bench.env["DBUS_SYSTEM_BUS_ADDRESS"] = "unix:path=" + bench.path("nowhere")
    directory = wanted(bench)
    changed = harness.read(os.path.join(directory, "gatehouse.json")) + "\n"
    write(os.path.join(directory, "gatehouse.json"), changed)
    done = subprocess.run([strace, "-o", "/dev/null", "-e", "inject=renameat:error=EIO:when=2+", harness.program(CTL), "apply", directory,
                           *options(bench)], env=dict(os.environ, **bench.env), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          text=True, timeout=harness.DEADLINE, check=False)
    check(harness.read(os.path.join(bench.config, "gatehouse.json")) == changed, "as planted: it cannot be put back")
    check("could be put back" in done.stderr and "nothing is changed" not in done.stderr, done.stderr)


def without_an_agent(bench):
    """An image is made: there is no bus, and nobody who reloads."""
    bench.bus()
    bench.write_config("coaps://127.0.0.1:5684")
    bench.env["DBUS_SYSTEM_BUS_ADDRESS"] = "unix:path=" + bench.path("nowhere")
    directory = wanted(bench)
    result = apply(bench, directory)
    check(result["changed"] == ["devices.d/a.json", "devices.d/b.json"] and result["reloaded"] is False, result)
    check(apply(bench, directory)["changed"] == [], "idempotent there too")
    os.mkdir(bench.path("nothing"))
    refused(bench.ctl("apply", bench.path("nothing"), *options(bench), status=None), 1, "has neither gatehouse.json nor")
    refused(bench.ctl("apply", bench.path("away"), *options(bench), status=None), 1, "No such file")


def one_at_a_time(bench):
    """Others can open the directory, and so lock it: that keeps nobody from applying."""
    bench.bus()
    bench.write_config("coaps://127.0.0.1:5684")
    bench.env["DBUS_SYSTEM_BUS_ADDRESS"] = "unix:path=" + bench.path("nowhere")
    directory, lock = wanted(bench), os.path.join(bench.config, ".apply.lock")
    held = os.open(bench.config, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(held, fcntl.LOCK_EX)
    check(apply(bench, directory)["changed"] == ["devices.d/a.json", "devices.d/b.json"], "as if nobody held it")
    check(not os.path.exists(lock), "the lock is left behind")
    os.close(held)
    held = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    check(apply(bench, directory)["changed"] == [] and not os.path.exists(lock), "one that a killed apply left is taken")
    os.close(held)
    held = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(held, fcntl.LOCK_EX)
    for more in ((), ("--dry-run",)):
        refused(bench.ctl("apply", directory, *options(bench), *more, status=None), 1, "another apply is under way")
    os.close(held)


# Lists, each once

def lists(bench):
    directory = bench.path("provision.d")
    write(os.path.join(directory, "template.json"), SIM)
    write(os.path.join(directory, "1.csv"), "device\nd1\nd2\n")
    return directory


def fingerprints(bench):
    return {row["device"]: bench.get(row["device"], "MainFingerprint") for row in bench.ctl_json("list")["devices"]}


def taken_once(bench):
    bench.write_config("coaps://127.0.0.1:5684")
    bench.agent()
    directory = lists(bench)
    key = bench.new_key()
    write(os.path.join(directory, "2.registered.csv"), f"device,identity,key\nd3,i-3,{key.hex()}\n")
    write(os.path.join(directory, "3.csv"), "device\nno id\n")
    write(os.path.join(directory, "4.csv"), "device\nd4\n")
    write(os.path.join(directory, "4.json"), {**SIM, "enabled": False})
    envelope = bench.ctl_json("provision", "--directory", directory, status=None)
    check(envelope["status"] == 1 and envelope["result"]["lists"] == ["1.csv", "2.registered.csv", "4.csv"], envelope)
    check(any("row 2" in e for e in envelope["errors"]) and any("3.csv stays" in e for e in envelope["errors"]), envelope)
    check(sorted(os.listdir(directory)) == ["1.csv.done", "2.registered.csv.done", "3.csv", "4.csv.done", "4.json", "template.json"],
          os.listdir(directory))
    for name in os.listdir(directory):
        check(key.hex() not in harness.read(os.path.join(directory, name)), f"a key is left in {name}")
    made = fingerprints(bench)
    check(sorted(made) == ["d1", "d2", "d3", "d4"] and all(made.values()), made)
    check(bench.get("d3", "State") != "unregistered" and bench.get("d4", "State") == "disabled", "each by its own template")
    write(os.path.join(directory, "3.csv"), "device\nd5\n")
    check(bench.ctl_json("provision", "--directory", directory)["lists"] == ["3.csv"], "mended, it is taken")
    check(bench.ctl_json("provision", "--directory", directory)["lists"] == [], "and nothing is taken twice")
    check({k: v for k, v in fingerprints(bench).items() if k in made} == made, "the keys are those of the first time")


def ended_in_between(bench):
    """As a power cut leaves it, at each step: handed over; renamed; noted."""
    bench.write_config("coaps://127.0.0.1:5684")
    bench.agent()
    directory = lists(bench)
    here, taken = os.path.join(directory, "1.csv"), os.path.join(directory, "1.csv.taken")
    bench.ctl("provision", here, "--template", os.path.join(directory, "template.json"))
    made = fingerprints(bench)
    for left in (here, taken):
        if left == taken:
            write(taken, "device\nd1\nd2\nd9\n")
        check(bench.ctl_json("provision", "--directory", directory)["lists"] == ["1.csv"], left)
        check(sorted(os.listdir(directory)) == ["1.csv.done", "template.json"], os.listdir(directory))
        check(fingerprints(bench) == made, "no device twice, none with another key, and none of a list that was taken")
    write(here, "device\nd3\n")
    bench.ctl("provision", "--directory", directory)
    check(sorted(fingerprints(bench)) == ["d1", "d2", "d3"], "another list of that name is another list")


def killed_at_any_call(bench):
    """gatehousectl killed before each call by which something lasts, and run again."""
    bench.write_config("coaps://127.0.0.1:5684")
    bench.agent()
    strace = harness.shutil.which("strace")
    if not strace:
        print("skipped: strace is not installed")
        return
    expected = []
    for at, call in enumerate(("renameat", "fsync", "unlinkat")):
        for when in (1, 2):
            name = f"k{at}{when}"
            expected.append(name)
            directory = bench.path("lists-" + name)
            write(os.path.join(directory, "template.json"), SIM)
            write(os.path.join(directory, "l.csv"), f"device\n{name}\n")
            subprocess.run([strace, "-f", "-o", "/dev/null", "-e", f"inject={call}:signal=KILL:when={when}",
                            harness.program(CTL), "provision", "--directory", directory], env=dict(os.environ, **bench.env),
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=harness.DEADLINE, check=False)
            before = fingerprints(bench)
            bench.ctl("provision", "--directory", directory)
            check(sorted(f for f in os.listdir(directory) if not f.startswith(".")) == ["l.csv.done", "template.json"], os.listdir(directory))
            after = fingerprints(bench)
            check(sorted(after) == sorted(expected) and before.get(name) in (None, after[name]), (call, when, before, after))


def a_key_that_was_not_taken_is_kept(bench):
    """The list may be the only place where it is."""
    bench.write_config("coaps://127.0.0.1:5684")
    agent = bench.agent()
    directory = bench.path("provision.d")
    write(os.path.join(directory, "template.json"), SIM)
    first, other = (os.urandom(32).hex() for _ in range(2))

    def take(name, key):
        write(os.path.join(directory, name), f"device,identity,key\nd1,i-1,{key}\n")
        envelope = bench.ctl_json("provision", "--directory", directory, status=None)
        return envelope, sorted(n for n in os.listdir(directory) if n.startswith(name))
    check(take("1.registered.csv", first)[1] == ["1.registered.csv.done"], os.listdir(directory))
    made = fingerprints(bench)
    envelope, left = take("2.registered.csv", other)
    check(left == ["2.registered.csv.kept"] and envelope["result"]["lists"] == [], (left, envelope))
    check(other in harness.read(os.path.join(directory, left[0])) and fingerprints(bench) == made, "its key is there")
    check(take("3.registered.csv", first)[1] == ["3.registered.csv.done"], "a key that the vault has")
    agent.stop()
    with contextlib.closing(sqlite3.connect(os.path.join(bench.state, "vault.db"))) as db, db:
        record, = db.execute("SELECT record FROM record WHERE device = 'd1' AND slot = 0").fetchone()
        db.execute("UPDATE record SET record = ? WHERE device = 'd1'", (record[:-1] + bytes([record[-1] ^ 1]),))
    agent.start()
    bench.wait_agent(agent)
    check(bench.get("d1", "State") == "damaged", "as planted")
    envelope, left = take("4.registered.csv", first)
    check(envelope["status"] == 1 and left == ["4.registered.csv"], (left, envelope))
    check(any("damaged" in e for e in envelope["errors"]), envelope)


def needs_the_agent(bench):
    bench.bus()
    directory = lists(bench)
    refused(bench.ctl("provision", "--directory", directory, status=None), 3, "not running", "1.csv stays")
    check(os.path.exists(os.path.join(directory, "1.csv")), "it is there for the next start")
    refused(bench.ctl("provision", "--directory", directory, "x.csv", status=None), 2, "takes either a FILE, or")
    refused(bench.ctl("provision", "--directory", bench.path("away"), status=None), 1, "No such file")


if __name__ == "__main__":
    harness.main(becomes_the_configuration, a_mistake_changes_nothing, a_refused_reload_is_taken_back,
                 an_unanswered_reload_is_done_again, not_all_is_put_back, without_an_agent, one_at_a_time, taken_once,
                 ended_in_between, killed_at_any_call, a_key_that_was_not_taken_is_kept, needs_the_agent)
