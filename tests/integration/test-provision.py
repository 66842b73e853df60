#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Lists of devices and keys: made while the cloud is away, registered when it comes, and carried to other brokers."""
import base64
import json
import os
import shutil
import stat
import subprocess

import harness
from harness import Failure, check, wait_for
from registrar_peers import API_KEY, PROJECT, Registrar, fingerprint, holds, manage

TEMPLATE = {"uplink": "cloud", "driver": "sim", "sim": {"interval": "200ms"}, "points": {"x": {"signal": "counter"}}}


def write(bench, name, text):
    path = bench.path(name)
    with open(path, "w", encoding="utf-8", opener=lambda p, f: os.open(p, f, 0o600)) as f:
        f.write(text)
    return path


def template(bench):
    return "--template=" + write(bench, "template.json", json.dumps(TEMPLATE))


def exported(bench, form):
    """Through a pipe, and into no log."""
    return subprocess.run([harness.program("agent/gatehousectl/gatehousectl"), "export", form], stdout=subprocess.PIPE,
                          env=dict(os.environ, **bench.env), check=True, timeout=harness.DEADLINE).stdout.decode()


def golioth(bench):
    """A cloud and its registrar, both of which can be away: (cloud, registrar, agent)."""
    cloud = bench.devcloud([], project=PROJECT, api_key=API_KEY)
    registrar = Registrar(bench, cloud, "golioth")
    bench.write_config(cloud.url, uplink={"registrar": registrar.settings})
    return cloud, registrar, bench.agent("--registrar-dir", registrar.directory)


def offline_then_registered(bench):
    cloud, registrar, agent = golioth(bench)
    cloud.stop()
    bench.driver("sim")
    key = bench.new_key(32, text=True)
    listing = write(bench, "devices.csv", "hardware_id,device,settings,identity,key,encoding\r\n"
                    "HW-1,boiler-1,,,,\r\n"
                    f"HW-2,boiler-2,\"{{\"\"points\"\": {{\"\"y\"\": {{\"\"signal\"\": \"\"counter\"\"}}}}}}\",second,{key.decode()},text\r\n")
    bench.ctl("provision", listing, template(bench))
    check(sorted(os.listdir(os.path.join(bench.state, "devices.d"))) == ["boiler-1.json", "boiler-2.json"], "files")
    for device in ("boiler-1", "boiler-2"):
        bench.wait_property(device, "State", "unregistered")
    wait_for("samples to wait", lambda: bench.get("boiler-2", "Spooled") > 2)
    check(bench.get("boiler-2", "MainIdentity") == f"second@{PROJECT}", "the list's own identity")
    check(bench.get("boiler-1", "MainFingerprint") != bench.get("boiler-2", "MainFingerprint"), "two keys")
    agent.kill()
    agent.start()
    bench.wait_agent(agent)
    bench.wait_property("boiler-1", "State", "unregistered")
    cloud.start()
    for device in ("boiler-1", "boiler-2"):
        bench.call(device, "Connect")
        bench.wait_property(device, "State", "online", seconds=60)
    check(holds(cloud, "boiler-2") == {f"second@{PROJECT}": fingerprint(key)}, holds(cloud, "boiler-2"))
    cloud.wait_event("sample", device="boiler-2")
    posts = [r for r in cloud.recorded() if r["method"] == "POST"]
    check(sorted(json.loads(r["body"])["hardwareIds"] for r in posts) == [["HW-1"], ["HW-2"]], f"each is made once: {posts}")
    # From here on it is a device like any other, found by its hardware id.
    bench.ctl("rotate", "boiler-1", seconds=60)
    check(bench.get("boiler-1", "MainIdentity") in holds(cloud, "boiler-1"), "rotated")


def mistakes_before_anything(bench):
    cloud, registrar, agent = golioth(bench)
    same = "00112233445566778899aabbccddeeff01" * 2
    rows = ["device,settings,identity,key,encoding", "good-1,,,,", "bad id,,,,", "good-1,,,,", "a,{,,,", "b,,,abc,hex", "c,,,,raw",
            f"d,,,{same[:64]},text", f"e,,,{same[:64]},text", "f,,same,,", "g,,same,,", "h,,", '"open', "i,,,,"]
    done = bench.ctl("provision", write(bench, "bad.csv", "\n".join(rows) + "\n"), template(bench), status=None)
    text = done.stderr.decode()
    check(done.returncode == 1, text)
    for row in (3, 4, 5, 6, 7, 9, 11, 12, 13):
        check(f"row {row}: " in text, f"row {row} is not named: {text}")
    check("row 2: " not in text and "row 8: " not in text and "row 10: " not in text, text)
    check(same[:64] not in text, "a key is told")
    check(not os.path.exists(os.path.join(bench.state, "devices.d")) and bench.get(None, "Devices") == 0, "nothing was done")
    for head, words in (("device,color\n", "row 1, column 2"), ("key\n", "no column device"), ("", "")):
        done = bench.ctl("provision", write(bench, "head.csv", head), template(bench), status=None)
        check(words in done.stderr.decode() and (done.returncode == 1) == bool(words), done.stderr)


def a_million_rows(bench):
    """What cannot be is told, and the agent does not grow by it."""
    agent = golioth(bench)[2]
    path = bench.path("million.csv")
    with open(path, "w", encoding="utf-8") as f:
        f.write("device,key\n")
        for i in range(1000000):
            f.write(f"dev {i},\n")

    def resident():
        return int(harness.read(f"/proc/{agent.pid}/status").split("VmHWM:")[1].split()[0])
    before = resident()
    done = bench.ctl("provision", path, template(bench), status=None, seconds=300)
    check(b"and 999800 mistakes more" in done.stderr and done.returncode == 1, done.stderr[-300:])
    # A sanitizer keeps what was freed.
    check(harness.STRETCH > 1 or resident() - before < 16384, f"{before} kB became {resident()} kB")


def conflict_and_its_end(bench):
    """An identity that this gateway never offered stands there with another key."""
    cloud, registrar, agent = golioth(bench)
    bench.driver("sim")
    theirs = bench.new_key(64, text=True)
    registrar.put("stranger", "taken", theirs)
    bench.ctl("provision", write(bench, "one.csv", "device,identity\nboiler-1,taken\n"), template(bench))
    bench.wait_property("boiler-1", "State", "conflict")
    check("elsewhere" in bench.get("boiler-1", "LastError") or "never sent" in bench.get("boiler-1", "LastError"),
          bench.get("boiler-1", "LastError"))
    check(holds(cloud, "stranger") == {f"taken@{PROJECT}": fingerprint(theirs)}, "theirs is left alone")
    agent.kill()
    agent.start()
    bench.wait_agent(agent)
    bench.wait_property("boiler-1", "State", "conflict")
    # It can be removed: nothing of it is at the cloud.
    bench.ctl("device", "remove", "boiler-1", "--yes")
    again = write(bench, "again.csv", "device,identity\nboiler-1,taken\n")
    agent.wait_text("boiler-1: removed here; what the cloud has of it is left at the cloud")
    check(holds(cloud, "stranger") == {f"taken@{PROJECT}": fingerprint(theirs)}, "theirs is left alone at the removal, too")
    bench.ctl("provision", again, template(bench))
    bench.wait_property("boiler-1", "State", "conflict")
    # Another key and identity ends it.
    bench.ctl("key", "forget", "boiler-1", "main", "--force")
    bench.ctl("provision", write(bench, "again.csv", "device\nboiler-1\n"))
    bench.wait_property("boiler-1", "State", "online", seconds=60)


def clash_is_mended_at_the_cloud(bench):
    cloud, registrar, agent = golioth(bench)
    bench.driver("sim")
    there = registrar.put("stranger", "taken", bench.new_key(64, text=True))
    bench.ctl("provision", write(bench, "one.csv", "device,identity\nboiler-1,taken\n"), template(bench))
    bench.wait_property("boiler-1", "State", "conflict")
    registrar.delete("stranger", "taken", there["cloud_id"])
    bench.ctl("connect", "boiler-1")
    bench.wait_property("boiler-1", "State", "online", seconds=60)


def round_trips(bench):
    """What is exported is imported elsewhere, key for key; files are nobody else's."""
    cloud, registrar, agent = golioth(bench)
    bench.ctl("provision", "--count=12", "--prefix=dev-", template(bench))
    mains = {d: bench.get(d, "MainIdentity") for d in ("dev-01", "dev-12")}
    for form in ("csv", "mosquitto", "emqx", "hono", "golioth"):
        path = bench.path("out." + form)
        bench.ctl("export", form, path)
        check(stat.S_IMODE(os.stat(path).st_mode) == 0o600, "its mode")
        text = harness.read(path)
        check(len(text.splitlines()) == 12 + (form == "csv"), "a line each")
        check(exported(bench, form) == text, "the same through a pipe")
        bench.ctl("export", form, path, status=1)  # never over another
        other = harness.Bench()
        try:
            other.write_config(cloud.url, uplink={"registrar": registrar.settings})
            other.agent("--registrar-dir", other.path("nowhere"))
            known = () if form != "csv" else ("--registered",)
            listed = text
            if form in ("mosquitto", "emqx"):
                listed = text.replace(f"@{PROJECT}", "")  # such a list has no devices: each is named as its identity
            other.ctl("provision", write(other, "list", listed), "--format=" + form, template(other), *known)
            again = exported(other, form)
            check(sorted(again.splitlines()) == sorted(text.splitlines()), f"{form}: {len(again.splitlines())} lines come back otherwise")
        finally:
            other.close()
            other.remove()
    bench.keys.extend(line.split(":")[1].encode() for line in harness.read(bench.path("out.emqx")).splitlines())
    check(mains["dev-01"] in harness.read(bench.path("out.mosquitto")), "its identity")


def mosquitto_takes_them(bench):
    """An exported file is mosquitto's psk_file, and a device of it gets in."""
    cloud, registrar, agent = golioth(bench)
    bench.ctl("provision", "--count=3", "--prefix=dev-", template(bench))
    psk = bench.path("mosquitto.psk")
    bench.ctl("export", "mosquitto", psk)
    pairs = [line.split(":") for line in harness.read(psk).splitlines()]
    bench.keys.extend(bytes.fromhex(key) for _, key in pairs)
    port = harness.free_port(harness.socket.SOCK_STREAM)
    config = write(bench, "mosquitto.conf", f"listener {port} 127.0.0.1\npsk_hint gatehouse\npsk_file {psk}\n"
                   f"use_identity_as_username true\nallow_anonymous false\nuser {os.environ.get('USER') or 'root'}\n")
    broker = bench.spawn("mosquitto", [shutil.which("mosquitto") or "/usr/sbin/mosquitto", "-c", config, "-v"])
    wait_for("the broker", lambda: b"running" in harness.read_bytes(broker.err) + harness.read_bytes(broker.out))

    def publish(identity, key):
        return subprocess.run(["mosquitto_pub", "-h", "127.0.0.1", "-p", str(port), "--psk", key, "--psk-identity", identity,
                               "-t", "t", "-m", "x", "-q", "1"], stderr=subprocess.PIPE, timeout=harness.DEADLINE).returncode
    for identity, key in pairs:
        check(publish(identity, key) == 0, f"{identity} does not get in")
    check(publish(pairs[0][0], pairs[1][1]) != 0, "another's key gets in")


def template_by_a_pipe(bench):
    """As a here-document is one, with comments as in a device file; a mistake in it is told with its place."""
    cloud = bench.devcloud([])
    bench.write_config(cloud.url)
    bench.agent()
    bench.driver("sim")
    text = "// Of all of them.\n" + json.dumps(TEMPLATE)
    for n, file in enumerate(("/dev/stdin", "-"), 1):
        bench.ctl("provision", "--count=1", f"--prefix=dev{n}-", f"--template={file}", stdin=text.encode())
        check(bench.get(f"dev{n}-1", "State"), "it is made")
    done = bench.ctl("provision", "--count=1", "--prefix=bad-", "--template=-", stdin=b'{\n  "uplink": "cloud",\n}', status=None)
    check(done.returncode != 0 and b"template: line 2, column 20: trailing comma" in done.stderr, done.stderr)
    done = bench.ctl("provision", "-", "--template=-", stdin=b"{}", status=None)
    check(done.returncode == 2 and b"standard input" in done.stderr, done.stderr)


def by_hand_for_a_cloud_without_calls(bench):
    """A coap uplink has no call for a first key: it is exported, and the cloud takes the file."""
    cloud = bench.devcloud([])
    bench.write_config(cloud.url)
    bench.agent()
    bench.driver("sim")
    done = bench.ctl("provision", "--count=2", "--prefix=dev-", template(bench), status=None)
    check(done.returncode == 0 and b"by hand: gatehousectl export" in done.stderr, done.stderr)
    path = bench.path("keys.psk")
    bench.ctl("export", "mosquitto", path)
    bench.keys.extend(bytes.fromhex(line.split(":")[1]) for line in harness.read(path).splitlines())
    cloud.stop()
    os.replace(path, cloud.psk_file)
    os.unlink(bench.path("devcloud.state"))
    cloud.start()
    for device in ("dev-1", "dev-2"):
        bench.call(device, "Connect")
        bench.wait_property(device, "State", "online", seconds=60)


def removed_before_it_was_registered(bench):
    cloud, registrar, agent = golioth(bench)
    registrar.stop()
    bench.ctl("provision", "--count=1", "--prefix=dev-", template(bench))
    bench.wait_property("dev-1", "LastError", lambda text: "no registrar listens" in text)
    bench.ctl("device", "remove", "dev-1", "--yes")
    bench.ctl("show", "dev-1", status=4)
    bench.ctl("provision", "--count=1", "--prefix=dev-", template(bench))
    done = bench.ctl("provision", "--count=2", "--prefix=dev-", template(bench), status=None)
    check(b"row 2: " in done.stderr and b"has a key already" in done.stderr, done.stderr)
    said = bench.ctl("provision", "--count=2", "--prefix=dev-", "--skip-existing", template(bench))
    check(bench.get(None, "Devices") == 2, "the second was made")
    check("1 devices provisioned, 1 skipped" in said, f"what was skipped was not made: {said}")
    job = bench.ctl_json("provision", "--count=2", "--prefix=dev-", "--skip-existing", template(bench))["jobs"][0]
    check((job["done"], job["total"]) == (0, 2), f"all are skipped: {job}")


if __name__ == "__main__":
    harness.main(offline_then_registered, mistakes_before_anything, a_million_rows, conflict_and_its_end,
                 clash_is_mended_at_the_cloud, round_trips, mosquitto_takes_them, template_by_a_pipe, by_hand_for_a_cloud_without_calls,
                 removed_before_it_was_registered)
