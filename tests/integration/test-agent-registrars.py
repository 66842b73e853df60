#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The agent rotating by registrars of their own process: keys reach Golioth, Hono and a program, and none gets lost on the
way, whatever becomes of the registrar or of its cloud."""
import contextlib
import json
import os
import socket
import threading

import harness
from harness import check, wait_for
from ports import close_listener
from registrar_peers import (API_KEY, PROJECT, TENANT, Registrar, fingerprint, holds, hono_device, hono_path, hono_set, manage)

IDLE = 40


def cloud_with_device(bench, kind, mode="adds"):
    """A devcloud, a registrar, and boiler-1 with a first key that the cloud knows: (cloud, registrar)."""
    cloud = bench.devcloud([], project=PROJECT, tenant=TENANT, api_key=API_KEY)
    registrar = Registrar(bench, cloud, kind)
    key = bench.new_key(64, text=True) if kind == "golioth" else bench.new_key(32)
    local = "first-1" if mode == "adds" else "first"
    if kind == "hono":
        hono_device(cloud, "boiler-1", [{"type": "hashed-password", "auth-id": "user", "secrets": [{"pwd-plain": "x"}]}])
    registrar.put("boiler-1", local, key, mode=mode)
    settings = {k: v for k, v in registrar.settings.items()}
    if kind == "hono":
        settings["mode"] = mode
    agent(bench, cloud, registrar.directory, settings)
    bench.ctl("key", "set", "boiler-1", registrar.identity(local), "--encoding=text" if kind == "golioth" else "--encoding=hex",
              stdin=key if kind == "golioth" else key.hex().encode())
    bench.wait_property("boiler-1", "State", "online")
    return cloud, registrar


def agent(bench, cloud, directory, settings, **rotation):
    bench.write_config(cloud.url, uplink={"registrar": settings}, rotation={"retire_after": "1s", **rotation})
    bench.write_device("boiler-1", "sim", points={"x": {"signal": "counter"}}, interval="200ms")
    bench.agent("--registrar-dir", directory)
    bench.driver("sim")


def rotated(bench, *options):
    bench.ctl("rotate", "boiler-1", *options, seconds=60)
    bench.wait_property("boiler-1", "RotationState", "idle", seconds=IDLE)


def golioth_rotates(bench):
    cloud, registrar = cloud_with_device(bench, "golioth")
    rotated(bench)
    now = holds(cloud, "boiler-1")
    identity = bench.get("boiler-1", "MainIdentity")
    check(list(now) == [identity] and identity.endswith(f"-1@{PROJECT}"), f"the new one alone: {now}")
    keys = [r["body"] for r in cloud.recorded() if r["method"] == "POST"]
    check(len(keys) == 2, "one call made the device, one the new credential")
    text = keys[1].split('"preSharedKey":"')[1].split('"')[0]
    bench.keys.append(text.encode())
    check(len(text) == 64 and set(text) <= set("0123456789abcdef"), "64 lower-case hex digits")
    check(now[identity] == fingerprint(text.encode()), "whose ASCII is the key")
    cloud.wait_event("sample", device="boiler-1", since=cloud.mark())


def hono_rotates(bench):
    cloud, registrar = cloud_with_device(bench, "hono")
    rotated(bench)
    now = holds(cloud, "boiler-1")
    check(list(now) == [bench.get("boiler-1", "MainIdentity")], f"the new one alone: {now}")
    check(sorted(e["type"] for e in hono_set(cloud, "boiler-1")) == ["hashed-password", "psk"], "the other entry stays")


def hono_replaces(bench):
    cloud, registrar = cloud_with_device(bench, "hono", "replaces")
    before = holds(cloud, "boiler-1")
    rotated(bench)
    now = holds(cloud, "boiler-1")
    check(len(now) == 1 and now != before, f"{before}, then {now}")


def compromised_key_is_rotated(bench):
    """By the registrar's own login: the old key retires at once."""
    cloud, registrar = cloud_with_device(bench, "golioth")
    bench.write_config(cloud.url, uplink={"registrar": registrar.settings}, rotation={"retire_after": "1h"})
    bench.ctl("reload")
    job, = bench.call("boiler-1", "Rotate", "a{sv}", "1", "compromised", "b", "true")
    bench.wait_property("boiler-1", "RotationState", "idle", seconds=IDLE)
    wait_for("the old key to be gone", lambda: list(holds(cloud, "boiler-1")) == [bench.get("boiler-1", "MainIdentity")], IDLE)


def registrar_away(bench):
    """Nobody listens: the key waits, and the reason is shown; then it goes on."""
    cloud, registrar = cloud_with_device(bench, "golioth")
    registrar.stop()
    bench.call("boiler-1", "Rotate", "a{sv}", "0")
    bench.wait_property("boiler-1", "RotationState", "offered")
    bench.wait_property("boiler-1", "LastError", lambda text: "no registrar listens at" in text and "golioth.sock" in text)
    check(len(holds(cloud, "boiler-1")) == 1, "nothing was sent")
    registrar.start()
    bench.wait_property("boiler-1", "RotationState", "idle", seconds=IDLE)
    check(list(holds(cloud, "boiler-1")) == [bench.get("boiler-1", "MainIdentity")], "finished")


@contextlib.contextmanager
def answering(path, answer):
    """A registrar that answers so whenever it is asked; what it was asked."""
    listener, requests = socket.socket(socket.AF_UNIX), []
    listener.bind(path)
    listener.listen()

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # it is over
                return
            with connection, contextlib.suppress(OSError):
                request = b""
                while part := connection.recv(65536):
                    request += part
                requests.append(request)
                connection.sendall(answer)
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield requests
    finally:
        close_listener(listener)
        thread.join()
        os.unlink(path)


def registrar_answers_nonsense(bench):
    """Whatever sits at the socket: the agent stays as it is, says why, and finishes with a registrar."""
    cloud, registrar = cloud_with_device(bench, "golioth")
    registrar.stop()
    answers = {b"": "Connection reset", b"{}": "result", b"x" * 70000: "Message too long",
               b'{"result": "ok", "cloud_id": "../x"}': "cloud_id"}
    bench.call("boiler-1", "Rotate", "a{sv}", "0")
    for answer, word in answers.items():
        with answering(registrar.socket, answer) as requests:
            bench.call("boiler-1", "Connect")  # no longer wait than need be
            bench.wait_property("boiler-1", "LastError", lambda text, w=word: w in text)
        check(requests and all(json.loads(r)["action"] in ("put", "find") for r in requests), f"whole requests came: {requests}")
    check(bench.get("boiler-1", "RotationState") in ("offered", "probing"), "no conclusion is drawn")
    registrar.start()
    bench.call("boiler-1", "Connect")
    # The old key stays for an hour: one of those requests might still be carried out.
    bench.wait_property("boiler-1", "RotationState", "swapped", seconds=IDLE)
    check(bench.get("boiler-1", "MainIdentity") in holds(cloud, "boiler-1"), "finished")


def answer_lost_with_the_agent(bench):
    """The agent dies while the cloud carries out its offer: the same key is found there, and none is made twice."""
    cloud, registrar = cloud_with_device(bench, "golioth")
    agent_process = next(p for p in bench.processes if p.name == "gatehoused")
    cloud.do("slow", path=f"/v1/projects/{PROJECT}/devices/*/credentials", method="POST", ms=8000, times=1)
    bench.call("boiler-1", "Rotate", "a{sv}", "0")
    cloud.wait_event("fault", fault="slow")
    agent_process.kill()
    wait_for("the offer to be carried out", lambda: len(holds(cloud, "boiler-1")) == 2)
    offered = holds(cloud, "boiler-1")
    agent_process.start()
    bench.wait_agent(agent_process)
    wait_for("the swap", lambda: bench.get("boiler-1", "RotationState") in ("swapped", "retiring", "idle"), IDLE)
    now = holds(cloud, "boiler-1")
    check(offered[bench.get("boiler-1", "MainIdentity")] == now[bench.get("boiler-1", "MainIdentity")], "the same key")
    check(len([r for r in cloud.recorded() if r["method"] == "POST"]) == 2, "offered once")


def identity_taken_by_somebody(bench):
    """A clone of this gateway was faster: conflict, and its key is left alone."""
    cloud, registrar = cloud_with_device(bench, "golioth")
    theirs = bench.new_key(64, text=True)
    rotated(bench)
    opaque = bench.get("boiler-1", "MainIdentity").split("@")[0].rsplit("-", 1)[0]
    device = manage(cloud, "GET", f"/v1/projects/{PROJECT}/devices?hardwareId=boiler-1")[2]["list"][0]["id"]
    check(manage(cloud, "POST", f"/v1/projects/{PROJECT}/devices/{device}/credentials",
                 {"identity": f"{opaque}-2", "preSharedKey": theirs.decode(), "type": "PRE_SHARED_KEY"})[0] == 200, "theirs")
    bench.call("boiler-1", "Rotate", "a{sv}", "0")
    bench.wait_property("boiler-1", "LastError", lambda text: "clone" in text or "never sent it" in text, seconds=IDLE)
    bench.wait_property("boiler-1", "RotationState", "idle", seconds=IDLE)
    check(holds(cloud, "boiler-1").get(f"{opaque}-2@{PROJECT}") == fingerprint(theirs), "theirs stands as it was")


def held_back_by_the_cloud(bench):
    """429 with Retry-After: no call before its time, by whichever device."""
    seconds = 5
    cloud, registrar = cloud_with_device(bench, "hono")
    cloud.do("refuse", code="429", max_age=seconds, path=hono_path("boiler-1"), method="GET")
    mark = cloud.mark()
    bench.call("boiler-1", "Rotate", "a{sv}", "0")
    refused = cloud.wait_event("request", status=429, since=mark)
    bench.wait_property("boiler-1", "LastError", lambda text: "left alone" in text)
    bench.wait_property("boiler-1", "RotationState", "idle", seconds=IDLE)
    requests = cloud.find_events("request", since=mark)
    check(requests[0] == refused and len(requests) > 1, requests)
    check(requests[1]["at"] - refused["at"] >= seconds * 1e6, f"asked meanwhile: {requests}")


def program_tells_the_cloud(bench):
    """An administrator's program: here it tells the development cloud."""
    cloud = bench.devcloud([("first-1", key := bench.new_key(), "boiler-1")])
    os.makedirs(bench.path("programs"))
    path = bench.path("programs", "tell")
    with open(path, "w", encoding="utf-8") as f:
        f.write(f"""#!/usr/bin/env python3
import json, socket, sys
q = json.load(sys.stdin)
def do(**command):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect({cloud.socket!r})
        s.sendall(json.dumps(command).encode() + b"\\n")
        return json.loads(s.makefile().readline())
if q["action"] == "put":
    print(json.dumps({{"result": "ok", "cloud_id": do(command="add-credential", identity=q["identity"], key=q["key"],
                                                     device=q["device"])["id"]}}))
elif q["action"] == "delete":
    print(json.dumps({{"result": "ok" if do(command="forget-key", key=q["cloud_id"])["ok"] else "absent"}}))
else:
    ids = [c["id"] for c in do(command="credentials", device=q["device"])["credentials"] if c["identity"] == q["identity"]]
    print(json.dumps({{"result": "ok", "cloud_id": ids[0]}} if ids else {{"result": "absent"}}))
""")
    os.chmod(path, 0o755)
    registrar = Registrar(bench, None, "exec", options=("--program-dir", bench.path("programs")), program="tell")
    agent(bench, cloud, registrar.directory, {"type": "exec", "program": "tell"})
    bench.key_set("boiler-1", "first-1", key)
    bench.wait_property("boiler-1", "State", "online")
    rotated(bench)
    check(list(holds(cloud, "boiler-1")) == [bench.get("boiler-1", "MainIdentity")], holds(cloud, "boiler-1"))


if __name__ == "__main__":
    harness.main(golioth_rotates, hono_rotates, hono_replaces, compromised_key_is_rotated, registrar_away, registrar_answers_nonsense,
                 answer_lost_with_the_agent, identity_taken_by_somebody, held_back_by_the_cloud, program_tells_the_cloud)
