#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""gatehousectl key: credentials put in, forgotten, promoted and exported by hand, and a cloud that is told by hand."""
import base64
import fcntl
import json
import os
import subprocess
import time

import harness
from agent_bench import refused, sessions, sim_bench, wait_samples
from dbus_client import Client, Error
from harness import check, device_path, wait_for

DEVICE = "org.gatehouse1.Device"
ERROR = "org.gatehouse1.Error."
CTL = "agent/gatehousectl/gatehousectl"


def fails(bench, *arguments, says=(), stdin=b"", status=1):
    return refused(bench.ctl(*arguments, status=None, stdin=stdin), status, *says)


def bench_with(bench, *devices, **more):
    """Devices without keys; a key of each is known to the cloud."""
    return sim_bench(bench, devices, connect=False, **more)


def encodings(bench):
    _, _, cloud, keys = bench_with(bench, "raw", "hex", "base64", "text", "file")
    text = bench.new_key(text=True)
    cloud.do("forget-key", key="first-text")
    cloud.do("add-credential", identity="first-text", key=text.hex(), device="text")
    check("32 bytes" in bench.ctl("key", "set", "raw", "first-raw", stdin=keys["raw"]), "raw")
    bench.ctl("key", "set", "hex", "first-hex", "--encoding=hex", stdin=keys["hex"].hex().upper().encode() + b"\n")
    said = bench.ctl("key", "set", "base64", "first-base64", "--encoding=base64", stdin=base64.b64encode(keys["base64"]))
    check("32 bytes" in said and "base64" in said and bench.get("base64", "MainFingerprint") in said, said)
    bench.ctl("key", "set", "text", "first-text", "--encoding=text", stdin=text + b"\n")
    with open(bench.path("key-file"), "wb") as f:
        f.write(keys["file"])
    bench.ctl("key", "set", "file", "first-file", bench.path("key-file"))
    for device in ("raw", "hex", "base64", "text", "file"):
        bench.wait_property(device, "State", "online")
        check(bench.get(device, "MainIdentity") == "first-" + device, "its identity")
        wait_samples(cloud, device, 2)


def what_is_no_key(bench):
    agent, _, _, keys = bench_with(bench, "a", "b")
    good, other = keys["a"], keys["b"]
    text = bench.new_key(text=True)
    done = bench.ctl("key", "set", "b", "x", status=None, stdin=text)
    check(b"looks like hex" in done.stderr and done.returncode == 0, "hex digits taken as they are are warned of")
    bench.ctl("key", "forget", "b", "main", "--force")
    done = bench.ctl("key", "set", "b", "x", status=None, stdin=other + b"\n")
    check(b"newline" in done.stderr and done.returncode == 0, "a newline that becomes part of the key is warned of")
    bench.ctl("key", "forget", "b", "main", "--force")
    for arguments, stdin, words in (
            (["--encoding=hex"], b"zz" * 16, "is not hex"), (["--encoding=hex"], good.hex()[:-1].encode(), "is not hex"),
            (["--encoding=base64"], b"*" * 24, "is not base64"), (["--encoding=hexadecimal"], good, "encoding must be"),
            ([], good[:15], "15 bytes"), ([], b"", "0 bytes"), ([], good * 3, "16 to 64"), ([], good * 9, "over 256"),
            ([], bytes(32), "weak"), ([], b"a" * 32, "weak"), ([], b"passwordpassword", "weak"),
            (["--encoding=text"], b"0123456789abcdef", "weak")):
        fails(bench, "key", "set", "a", "i", *arguments, stdin=stdin, says=[words])
        check(bench.get("a", "MainIdentity") == "" and bench.get("a", "State") == "no-credential", "nothing was stored")
    for identity in ("", "i" * 129, "tab\there"):
        fails(bench, "key", "set", "a", identity, stdin=good, says=["identity"])
    fails(bench, "key", "set", "a", "i", bench.path("nowhere"), says=["nowhere"])
    bench.ctl("key", "set", "a", "i", "--force", stdin=b"passwordpassword")
    check(bench.get("a", "MainIdentity") == "i", "a weak key that was forced")
    agent.stop()


def in_use_elsewhere(bench):
    _, _, _, keys = bench_with(bench, "a", "b")
    bench.key_set("a", "first-a", keys["a"])
    for arguments, stdin in (([], keys["a"]), (["--encoding=hex"], keys["a"].hex().encode()),
                             (["--encoding=base64"], base64.b64encode(keys["a"]))):
        fails(bench, "key", "set", "b", "i", *arguments, stdin=stdin, says=["device a has or had this very key"])
    fails(bench, "key", "set", "b", "first-a", stdin=keys["b"], says=["device a has the identity first-a"])
    bench.key_set("b", "first-b", keys["b"])
    fails(bench, "key", "set", "b", "first-b", stdin=bench.new_key(), says=["main slot of b has the identity first-b"])
    fails(bench, "key", "set", "b", "i", stdin=keys["b"], says=["device b has or had this very key"])
    bench.ctl("key", "forget", "a", "main", "--force")
    fails(bench, "key", "set", "b", "i", stdin=keys["a"], says=["device a has or had this very key"])
    check(bench.get("b", "BackupIdentity") == "", "nothing was stored")


def sealed(data, seals=fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK):
    fd = os.memfd_create("key", os.MFD_ALLOW_SEALING)
    os.write(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


def piped(data):
    r, w = os.pipe()
    os.write(w, data)
    os.close(w)
    return r


def descriptors(bench):
    """SetCredential takes what cannot change under it, to its end, and never waits for ever."""
    _, _, _, keys = bench_with(bench, "a", "b")
    hex_key = ("s", "hex")

    def put(client, fd, device="a", slot="main", **options):
        client.call(device_path(device), DEVICE, "SetCredential", "ssha{sv}", slot, "first-" + device, fd, options)

    def wrong(client, fd, name, words, **options):
        try:
            put(client, fd, **options)
        except Error as e:
            check(e.name == ERROR + name and words in e.text, f"{e}, expected {name} {words}")
            return
        raise harness.Failure(f"taken: {words}")
    with Client(bench) as c, Client(bench) as patient, open(bench.path("plain"), "w+b") as plain:
        plain.write(keys["a"])
        plain.flush()
        endless, writer = os.pipe()
        os.write(writer, keys["b"])

        def refused_meanwhile():
            """When the agent was asked for what does not end, if it was still at it when asked for more; that is no key, for then it isn't."""
            began = time.monotonic()
            serial = patient.send(device_path("b"), DEVICE, "SetCredential", "ssha{sv}", ("main", "first-b", endless, {}), harness.BUS_NAME)
            try:
                put(c, piped(b""), device="b")
            except Error as e:
                if e.name == ERROR + "Busy" and "under way" in e.text:
                    return began
                check(e.name == ERROR + "WeakKey" or "0 bytes" in e.text, str(e))
            check(not patient.answered(serial), "an endless pipe was taken")
            return None
        began = wait_for("Busy", refused_meanwhile)
        wrong(c, plain.fileno(), "InvalidArgument", "sealed against writing")
        wrong(c, sealed(keys["a"], 0), "InvalidArgument", "sealed against writing")
        wrong(c, piped(keys["a"] * 10), "InvalidArgument", "256")
        wrong(c, piped(keys["a"]), "InvalidArgument", "'encode'", encode=hex_key)
        wrong(c, piped(keys["a"]), "InvalidArgument", "encoding must be", encoding=("s", "octal"))
        wrong(c, piped(keys["a"]), "InvalidArgument", "kind must be psk", kind=("s", "x509"))
        wrong(c, piped(keys["a"]), "InvalidArgument", "main or backup", slot="third")
        wrong(c, piped(keys["a"]), "InvalidArgument", "main is empty", slot="backup")
        put(c, piped(keys["a"].hex().encode() + b"\n"), encoding=hex_key, kind=("s", "psk"), force=("b", False))
        wrong(c, sealed(bench.new_key()), "Busy", "main is in use")
        wrong(c, sealed(bench.new_key()), "Busy", "main is in use", force=("b", True))
        check(bench.get("a", "MainIdentity") == "first-a", "a pipe")
        answer = patient.receive()
        while answer.kind not in (2, 3):
            answer = patient.receive()
        check(4 < time.monotonic() - began < harness.DEADLINE / 2 and "5 s" in answer.body[0], f"a pipe without end: {answer.body}")
        os.close(writer)
        put(c, sealed(keys["b"]), device="b")
        bench.wait_property("b", "State", "online")
        fd, = c.call(device_path("b"), DEVICE, "ExportCredential", "s", "main")
        check(os.pread(fd, 100, 0) == keys["b"], "what is exported")
        try:
            os.pwrite(fd, b"x", 0)
            check(False, "an exported key can be written to")
        except OSError:
            pass


def exporting(bench):
    _, _, _, keys = bench_with(bench, "a")
    bench.key_set("a", "first-a", keys["a"])
    path = bench.path("exported")
    bench.ctl("key", "export", "a", "main", path)
    with open(path, "rb") as f:
        check(f.read() == keys["a"] and os.stat(path).st_mode & 0o7777 == 0o600, "the bytes, for the owner only")
    fails(bench, "key", "export", "a", "main", path, says=["exported"])
    bench.ctl("key", "export", "a", "main", path + "2", "--encoding=hex")
    with open(path + "2", "rb") as f:
        check(f.read() == keys["a"].hex().encode() + b"\n", "in hex")
    for encoding, expected in (("base64", base64.b64encode(keys["a"]) + b"\n"), ("raw", keys["a"])):
        done = subprocess.run([harness.program(CTL), "key", "export", "a", "main", "--encoding=" + encoding], check=True,
                              stdout=subprocess.PIPE, env=dict(os.environ, **bench.env))
        check(done.stdout == expected, f"to standard output as {encoding}")
    fails(bench, "key", "export", "a", "backup", path + "3", says=["a has no backup key"])
    check(not os.path.exists(path + "3"), "no empty file stays")
    fails(bench, "key", "export", "a", "third", says=["'third'"])
    fails(bench, "key", "export", "a", "main", "--encoding=octal", says=["octal"], status=2)


def forgetting_and_promoting(bench):
    _, _, cloud, keys = bench_with(bench, "a")
    fails(bench, "key", "forget", "a", "main", says=["main is empty"])
    fails(bench, "key", "forget", "a", "backup", says=["backup is empty"])
    fails(bench, "key", "promote", "a", says=["backup is empty"])
    bench.key_set("a", "first-a", keys["a"])
    bench.wait_property("a", "State", "online")
    fails(bench, "key", "forget", "a", "main", says=["the device's only key"])
    # a key that the cloud has been given takes over by itself once it is accepted
    second = bench.new_key()
    cloud.do("add-credential", identity="second-a", key=second.hex(), device="a")
    bench.key_set("a", "second-a", second)
    bench.wait_property("a", "MainIdentity", "second-a")
    check(bench.get("a", "BackupIdentity") == "first-a" and bench.get("a", "RotationState") == "swapped", "roles exchanged")
    wait_for("a session of the second", lambda: cloud.find_events("session", device="a", identity="second-a"))
    fails(bench, "key", "promote", "a", says=["backup is the old key"])
    # the old one goes once the cloud has deleted it
    bench.ctl("key", "forget", "a", "backup")
    bench.wait_property("a", "RotationState", "idle")
    check(bench.get("a", "BackupIdentity") == "", "forgotten")
    check([c["identity"] for c in cloud.credentials("a")] == ["second-a"], "and deleted at the cloud")
    bench.ctl("key", "forget", "a", "main", "--force")
    check(bench.get("a", "State") == "no-credential", "without a key")
    wait_for("the session's end", lambda: cloud.find_events("closed", device="a", identity="second-a"))


def told_by_hand(bench):
    """A cloud that learns keys from a person: staged here, carried there, accepted, the old one deleted by hand."""
    _, _, cloud, keys = bench_with(bench, "a", uplink={"registrar": {"type": "manual"}})
    bench.key_set("a", "first-a", keys["a"])
    bench.wait_property("a", "State", "online")
    rotation = bench.spawn("rotate", [harness.program(CTL), "rotate", "a"])
    bench.wait_property("a", "RotationState", "staged")
    identity = bench.get("a", "BackupIdentity")
    check(identity and bench.get("a", "MainIdentity") == "first-a", "a new key waits in backup")
    fails(bench, "key", "promote", "a", says=["never offered"])
    check(len(cloud.credentials("a")) == 1 and not cloud.find_events("refused", device="a"), "nobody was told")
    path = bench.path("new-key")
    bench.ctl("key", "export", "a", "backup", path, "--encoding=hex")
    check(bench.get("a", "RotationState") == "offered", "exporting is the offer")
    with open(path, encoding="ascii") as f:
        exported = f.read().strip()
    bench.keys.append(bytes.fromhex(exported))
    cloud.do("add-credential", identity=identity, key=exported, device="a")
    since = cloud.mark()
    bench.ctl("connect", "a")
    bench.wait_property("a", "RotationState", "swapped")
    check(rotation.wait() == 0, "the rotation has finished")
    check((bench.get("a", "MainIdentity"), bench.get("a", "BackupIdentity")) == (identity, "first-a"), "roles exchanged")
    wait_for("samples of the new key", lambda: cloud.find_events("sample", since=since, device="a", identity=identity))
    fails(bench, "rotate", "a", says=["delete the old key at the cloud", "key forget DEVICE backup"])
    cloud.do("forget-key", key="first-a")
    bench.ctl("key", "forget", "a", "backup")
    bench.wait_property("a", "RotationState", "idle")
    check(bench.get("a", "BackupIdentity") == "", "forgotten")
    check(bench.ctl_json("list")["devices"][0]["state"] == "online", "and online all the time")
    check(sessions(cloud, "a", since) == 1, "one session more")


if __name__ == "__main__":
    harness.main(encodings, what_is_no_key, in_use_elsewhere, descriptors, exporting, forgetting_and_promoting, told_by_hand,
                 needs=("busctl",))
