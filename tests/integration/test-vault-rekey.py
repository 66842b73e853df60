#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""vault rekey: with sessions open, and cut at every step between: the vault opens, and the same command goes on."""
import fcntl
import os
import secrets
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import dbus_client
import harness
from harness import check

ROOT, MANAGER = "/org/gatehouse1", "org.gatehouse1.Manager"
SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK


def setup(bench):
    key = bench.new_key()
    cloud = bench.devcloud([("abc-1", key, "d1")])
    bench.write_config(cloud.url)
    bench.write_device("d1", "sim", {"x": {"signal": "counter"}}, interval="100ms")
    agent = bench.agent()
    bench.driver("sim")
    bench.key_set("d1", "abc-1", key)
    bench.wait_property("d1", "State", "online")
    return cloud, agent


def keyfile(bench):
    """The one that stands now, to be found in no log either."""
    data = harness.read_bytes(bench.keyfile)
    bench.keys.append(data)
    return data


def memfd(data):
    fd = os.memfd_create("keyfile", os.MFD_ALLOW_SEALING)
    os.write(fd, data)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, SEALS)
    return fd


def rekey(bench, data):
    with dbus_client.Client(bench) as c:
        c.call(ROOT, MANAGER, "Rekey", "h", memfd(data))


def write_next(bench):
    data = bench.new_key()
    with open(bench.keyfile + ".next", "wb", opener=lambda p, f: os.open(p, f, 0o400)) as f:
        f.write(data)
    return data


def expect_online(bench, cloud):
    """Over a new session: the key opened, and the cloud accepts it."""
    mark = cloud.mark()
    bench.call("d1", "Disconnect")
    bench.call("d1", "Connect")
    bench.wait_property("d1", "State", "online")
    cloud.wait_event("sample", device="d1", since=mark)


def rekey_while_online(bench):
    cloud, agent = setup(bench)
    before, fingerprint = keyfile(bench), bench.get("d1", "MainFingerprint")
    bench.ctl("vault", "rekey", "--keyfile", bench.keyfile)
    check(keyfile(bench) != before, "the keyfile is the old one")
    check(os.stat(bench.keyfile).st_mode & 0o777 == 0o400, "the new keyfile is not 0400")
    check(not os.path.exists(bench.keyfile + ".next"), "the next keyfile is left behind")
    expect_online(bench, cloud)
    bench.ctl("rotate", "d1")
    bench.ctl("vault", "verify")
    agent.restart()
    bench.wait_agent(agent)
    check("cut short" not in agent.text(), "the agent thinks that the rekey was cut short")
    bench.wait_property("d1", "State", "online")
    check(bench.get("d1", "BackupFingerprint") == fingerprint, "a fingerprint changed")
    # The old keyfile opens nothing any more.
    agent.stop()
    new = keyfile(bench)
    os.chmod(bench.keyfile, 0o600)
    with open(bench.keyfile, "wb") as f:
        f.write(before)
    agent.start()
    check(agent.wait() == 78 and "another one" in agent.text(), "the old keyfile opens the vault")
    with open(bench.keyfile, "wb") as f:
        f.write(new)


def cut_before_the_agent_was_told(bench):
    cloud, agent = setup(bench)
    before, data = keyfile(bench), write_next(bench)
    agent.kill()
    agent.start()
    bench.wait_agent(agent)
    check(harness.read_bytes(bench.keyfile) == before, "the keyfile was exchanged, and nothing is sealed with it")
    bench.wait_property("d1", "State", "online")
    said = bench.ctl("vault", "rekey", "--keyfile", bench.keyfile)
    check("finished" in said, f"it does not say that it went on: {said}")
    check(harness.read_bytes(bench.keyfile) == data, "not the key that was begun with")
    expect_online(bench, cloud)


def cut_before_the_rename(bench):
    cloud, agent = setup(bench)
    keyfile(bench)
    data = write_next(bench)
    rekey(bench, data)
    rekey(bench, data)  # the tool again: nothing to be done
    agent.kill()
    agent.start()
    bench.wait_agent(agent)
    check("cut short is finished" in agent.text(), "the agent did not finish it")
    check(harness.read_bytes(bench.keyfile) == data and not os.path.exists(bench.keyfile + ".next"),
          "the new keyfile is not in its place")
    bench.wait_property("d1", "State", "online")
    bench.ctl("vault", "verify")


def credentials_of_systemd(bench):
    """Both as systemd shows them: the agent cannot rename there, and opens with the next until the tool has done it."""
    cloud, agent = setup(bench)
    data = write_next(bench)
    rekey(bench, data)
    agent.stop()
    credentials = bench.path("credentials")
    os.mkdir(credentials)
    os.rename(bench.keyfile, os.path.join(credentials, "key_current"))
    os.rename(bench.keyfile + ".next", os.path.join(credentials, "key_next"))
    at = agent.argv.index("--keyfile")
    del agent.argv[at:at + 2]
    agent.env["CREDENTIALS_DIRECTORY"] = credentials
    agent.start()
    bench.wait_agent(agent)
    agent.wait_text("gatehousectl vault rekey finishes it")
    bench.wait_property("d1", "State", "online")


def refused(bench):
    cloud, agent = setup(bench)
    with dbus_client.Client(bench) as c:
        for data, name in ((secrets.token_bytes(31), "InvalidArgument"), (b"x" * 32, "WeakKey")):
            try:
                c.call(ROOT, MANAGER, "Rekey", "h", memfd(data))
                check(False, f"{data!r} was taken for a keyfile")
            except dbus_client.Error as e:
                check(e.name.endswith(name), f"{e}, not {name}")
    keyfile(bench)
    said = bench.ctl("vault", "rekey", "--keyfile", bench.path("nowhere"), status=1)
    check(not os.path.exists(bench.path("nowhere.next")), f"a keyfile for nobody: {said}")
    agent.stop()
    bench.ctl("vault", "rekey", "--keyfile", bench.keyfile, status=3)
    agent.start()
    bench.wait_agent(agent)
    bench.ctl("vault", "rekey", "--keyfile", bench.keyfile)
    expect_online(bench, cloud)


if __name__ == "__main__":
    harness.main(rekey_while_online, cut_before_the_agent_was_told, cut_before_the_rename, credentials_of_systemd, refused)
