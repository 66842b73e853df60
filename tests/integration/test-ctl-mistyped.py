#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Keys that were typed wrong: whoever did it is told at each step what to type, and comes online with the right one."""
import ctl_schema
import harness
from agent_bench import refused, sim_bench, wait_samples
from agent_peers import CoapServer
from harness import check, wait_for

DEVICE = "boiler-1"
SERVER = "coap-server-gnutls"
MANUAL = {"registrar": {"type": "manual"}}


def set_key(bench, identity, key, *options, status=0):
    return bench.ctl("key", "set", DEVICE, identity, "--encoding=hex", *options, status=status, stdin=key.hex().encode())


def fails(bench, *arguments, says):
    return refused(bench.ctl("key", *arguments, status=None), 1, *says)


def fails_to_set(bench, identity, key, says):
    return refused(set_key(bench, identity, key, status=None), 1, *says)


def no_key_yet(bench):
    right = bench.new_key(text=True)
    server = bench.add(CoapServer(bench, SERVER, {"first-1": right, "first-3": right}))
    bench.write_config(server.url, uplink=MANUAL)
    bench.write_device(DEVICE, "sim", interval="200ms", points={"x": {"signal": "counter"}})
    bench.agent()
    bench.driver("sim")
    return server, right


def two_wrong_keys(bench):
    """At a server that knows the right one, also under the identity of the first."""
    server, right = no_key_yet(bench)
    check("main key set" in set_key(bench, "first-1", bench.new_key()), "into main")
    bench.wait_property(DEVICE, "State", "refused", 60)
    fails(bench, "forget", DEVICE, "main", says=["only key", "main --force"])
    check("backup key set" in set_key(bench, "first-2", bench.new_key()), "into backup")
    return server, right


def online(bench, server):
    bench.wait_property(DEVICE, "State", "online", 60)
    before = len(server.samples(DEVICE))
    wait_for("samples", lambda: len(server.samples(DEVICE)) > before + 2)


def no_backup(bench):
    bench.wait_property(DEVICE, "RotationState", "idle", 60)
    check(bench.get(DEVICE, "BackupIdentity") == "", "no backup")


def the_right_one_in_place_of_main(bench):
    server, right = two_wrong_keys(bench)
    bench.wait_property(DEVICE, "State", "refused", 60)
    fails_to_set(bench, "first-1", right, ["backup", "key set DEVICE IDENTITY --force"])
    fails(bench, "forget", DEVICE, "backup", says=["may be the way in", "key forget DEVICE backup", "--force"])
    fails(bench, "forget", DEVICE, "main", says=["key forget DEVICE backup"])
    check("is tried now" in bench.ctl("key", "promote", DEVICE), "what promote does")
    document = bench.ctl_json("key", "promote", DEVICE, status=None)
    check(not ctl_schema.faults(document) and document["status"] == 0, f"{document}: {ctl_schema.faults(document)}")
    check("main key set" in set_key(bench, "first-1", right, "--force"), "in its place")
    check((bench.get(DEVICE, "MainIdentity"), bench.get(DEVICE, "BackupIdentity")) == ("first-1", "first-2"), "and no other")
    online(bench, server)
    check("backup key is forgotten once" in bench.ctl("key", "forget", DEVICE, "backup"), "when it is done")
    no_backup(bench)
    online(bench, server)


def the_right_one_in_place_of_backup(bench):
    server, right = two_wrong_keys(bench)
    fails_to_set(bench, "first-3", right, ["backup", "key set DEVICE IDENTITY --force"])
    check("backup key set" in set_key(bench, "first-3", right, "--force"), "in its place")
    bench.wait_property(DEVICE, "MainIdentity", "first-3", 60)
    online(bench, server)
    bench.ctl("key", "forget", DEVICE, "backup")
    no_backup(bench)
    online(bench, server)


def both_are_forgotten(bench):
    server, right = two_wrong_keys(bench)
    check("backup key forgotten" in bench.ctl("key", "forget", DEVICE, "backup", "--force"), "at once")
    no_backup(bench)
    # the same identity as that of main, which is in the way
    fails_to_set(bench, "first-1", right, ["key forget boiler-1 main --force"])
    check("main key forgotten" in bench.ctl("key", "forget", DEVICE, "main", "--force"), "at once")
    check(bench.get(DEVICE, "State") == "no-credential", "without a key")
    set_key(bench, "first-1", right)
    online(bench, server)


def another_identity(bench):
    """The right key with a wrong identity: it is the same key, which no other device can have, and none twice."""
    server, right = no_key_yet(bench)
    set_key(bench, "frist-1", right)
    bench.wait_property(DEVICE, "State", "refused", 60)
    fails_to_set(bench, "first-1", right, ["very key", "frist-1", "key set boiler-1 IDENTITY --force"])
    check("main key set" in set_key(bench, "first-1", right, "--force"), "in its place")
    online(bench, server)


def with_a_registrar(bench):
    """The agent has a way of its own to tell the cloud of a key: it looks whether the cloud refuses both, and then lets go."""
    _, _, cloud, keys = sim_bench(bench, [DEVICE], connect=False)
    set_key(bench, "first-1", bench.new_key())
    bench.wait_property(DEVICE, "State", "refused", 60)
    set_key(bench, "first-2", bench.new_key())
    fails(bench, "forget", DEVICE, "backup", "--force", says=["refused both keys"])

    def forgotten():
        """Asked after each try of backup: every question makes the agent try once more."""
        since = cloud.mark()
        if bench.ctl("key", "forget", DEVICE, "backup", "--force", status=None).returncode == 0:
            return True
        cloud.wait_event("handshake-failed", identity="first-2", since=since, seconds=60)
        return False
    wait_for("backup to be refused as well", forgotten, 60)
    no_backup(bench)
    set_key(bench, f"first-{DEVICE}", keys[DEVICE], "--force")
    bench.wait_property(DEVICE, "State", "online", 60)
    check(bench.get(DEVICE, "MainIdentity") == f"first-{DEVICE}" and not bench.get(DEVICE, "BackupIdentity"), "in place of main")
    wait_samples(cloud, DEVICE, 2)
    # a main that the cloud accepts is not pushed out, however hard one insists: the new one is introduced beside it
    check("backup key set" in set_key(bench, "first-4", bench.new_key(), "--force"), "beside it")
    bench.wait_property(DEVICE, "MainIdentity", "first-4")
    check(bench.get(DEVICE, "BackupIdentity") == f"first-{DEVICE}", "kept until it may go")


def promoting_while_disconnected(bench):
    """It says so, instead of promising to try."""
    sim_bench(bench, [DEVICE], uplink=MANUAL)
    set_key(bench, "first-2", bench.new_key())
    bench.ctl("disconnect", DEVICE)
    fails(bench, "promote", DEVICE, says=["connect it first"])


if __name__ == "__main__":
    harness.main(the_right_one_in_place_of_main, the_right_one_in_place_of_backup, both_are_forgotten, another_identity,
                 with_a_registrar, promoting_while_disconnected, needs=("busctl", SERVER))
