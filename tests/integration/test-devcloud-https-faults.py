#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""gatehouse-devcloud's management calls with each fault: what the caller sees, and what the cloud then knows."""
import subprocess
import time

import harness
from harness import DEADLINE, check
from management_calls import (API_KEY, COAP_CLIENT, PROJECT, TENANT, Golioth, Hono, auth_ids, check_status, let_in,
                              one_golioth_device, one_hono_device, psk)


def refused_on_demand(bench):
    cloud, golioth, device, _ = one_golioth_device(bench)
    key = bench.new_key(64, text=True)
    cloud.do("refuse", code="500", path=f"/v1/projects/{PROJECT}/devices/*/credentials", method="POST", times=2)
    for _ in range(2):
        check(check_status(golioth.add(device, "abc-2", key), 500).json["code"] == 13, "in the cloud's words")
    check(list(golioth.credentials(device)) == [f"abc-1@{PROJECT}"], "other methods are answered, and nothing was added")
    cloud.do("refuse", code="429", max_age=7, path="/v1", device="boiler-1")
    check(golioth.devices().status == 200, "a rule for a device leaves calls that name none alone")
    busy = check_status(golioth.add(device, "abc-2", key), 429)
    check(busy.json["code"] == 8 and busy.headers["retry-after"] == "7", busy.headers)
    check(golioth.add(device, "abc-2", key).status == 200, "once, unless told otherwise")
    cloud.do("refuse", code="503", path="/v1/credentials")
    check_status(Hono(cloud).get("boiler-1"), 503, "demand")
    cloud.do("refuse", code="4.03")
    check(Hono(cloud).get("boiler-1").status == 200, "a code of CoAP is for CoAP")
    check(not let_in(cloud, f"abc-2@{PROJECT}", key), "where it counts")
    check(let_in(cloud, f"abc-2@{PROJECT}", key), "once")
    answer = cloud.ask("refuse", code="999")
    check(not answer["ok"] and "429" in answer["error"], answer)


def answers_are_lost(bench):
    cloud, golioth, device, _ = one_golioth_device(bench)
    key = bench.new_key(64, text=True)
    cloud.do("lose-before-apply", method="POST", path="/v1/projects/*/devices/*/credentials")
    golioth.lost("POST", golioth.path(device), {"identity": "abc-2", "preSharedKey": key.decode()})
    check(set(golioth.credentials(device)) == {f"abc-1@{PROJECT}"}, "lost before it was carried out")
    cloud.do("lose-after-apply", method="POST", path="/v1")
    golioth.lost("POST", golioth.path(device), {"identity": "abc-2", "preSharedKey": key.decode()})
    check(set(golioth.credentials(device)) == {f"abc-1@{PROJECT}", f"abc-2@{PROJECT}"}, "lost after it")
    check_status(golioth.add(device, "abc-2", key), 409, "identity")
    check(let_in(cloud, f"abc-2@{PROJECT}", key), "it stands")
    cloud.do("lose-after-apply", method="DELETE", path="/v1")
    golioth.lost("DELETE", golioth.path(device, golioth.credentials(device)[f"abc-2@{PROJECT}"]))
    check(set(golioth.credentials(device)) == {f"abc-1@{PROJECT}"}, "deleted all the same")
    cloud.do("lose-after-apply", method="POST", path="/v1/projects/*/provisioning")
    golioth.lost("POST", golioth.base + "/provisioning", {"name": "boiler-2", "hardwareIds": ["hw-2"], "identity": "xyz-1",
                                                          "preSharedKey": key.decode()})
    check(golioth.devices(hardwareId="hw-2").json["total"] == 1, "and so is a device made")
    check([e["fault"] for e in cloud.find_events("fault")] == ["lose-before-apply"] + ["lose-after-apply"] * 3, "each is told")


def half_an_answer(bench):
    cloud, golioth, device, _ = one_golioth_device(bench)
    key = bench.new_key(64, text=True)
    cloud.do("half-answer", method="POST", path="/v1")
    golioth.lost("POST", golioth.path(device), {"identity": "abc-2", "preSharedKey": key.decode()})
    check(f"abc-2@{PROJECT}" in golioth.credentials(device), "it was carried out")
    cloud.do("half-answer", method="GET", path="/v1")
    with subprocess.Popen(["curl", "-sS", "-m", str(DEADLINE), "--cacert", cloud.ca, "-H", "x-api-key: " + API_KEY,
                           cloud.https_url + golioth.path(device)], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as curl:
        half, error = curl.communicate(timeout=DEADLINE)
    whole = golioth.call("GET", golioth.path(device)).text
    check(curl.returncode != 0 and half == whole[:len(whole) // 2], f"{half}, {whole}, {error}")


def answered_without_applying(bench):
    cloud, golioth, device, _ = one_golioth_device(bench)
    key = bench.new_key(64, text=True)
    cloud.do("pretend", method="POST", path="/v1")
    answer = check_status(golioth.add(device, "abc-2", key), 200)
    check(answer.json["data"]["id"], "an answer like any other")
    check(set(golioth.credentials(device)) == {f"abc-1@{PROJECT}"}, "and nothing behind it")
    check(not let_in(cloud, f"abc-2@{PROJECT}", key), "which a handshake finds out")
    check(golioth.add(device, "abc-2", key).status == 200, "the same again takes")
    cloud.do("pretend", method="POST", path="/v1")
    check_status(golioth.add(device, "abc-2", key), 409, "identity")
    check(not cloud.find_events("credential", id=answer.json["data"]["id"]), "what was not done is not told")
    cloud.do("pretend", method="DELETE", path="/v1")
    check(golioth.delete(device, golioth.credentials(device)[f"abc-2@{PROJECT}"]).status == 200, "deleted, it says")
    check(let_in(cloud, f"abc-2@{PROJECT}", key), "it is not")
    hono = Hono(cloud)
    cloud.do("pretend", method="PUT", path="/v1")
    before = hono.get("boiler-1").headers["etag"]
    put = hono.put("boiler-1", [psk("abc-3", bench.new_key())])
    check(put.status == 204 and put.headers["etag"] != before, put)
    check(hono.get("boiler-1").headers["etag"] == before and auth_ids(hono) == set(), "nor is a set")


def applied_late(bench):
    cloud, golioth, device, _ = one_golioth_device(bench)
    keys = [bench.new_key(64, text=True) for _ in range(3)]
    cloud.do("apply-late", method="POST", path="/v1")
    golioth.lost("POST", golioth.path(device), {"identity": "abc-2", "preSharedKey": keys[0].decode()})
    check(set(golioth.credentials(device)) == {f"abc-1@{PROJECT}"}, "not yet")
    check(golioth.add(device, "abc-3", keys[1]).status == 200, "a second offer")
    check(set(golioth.credentials(device)) == {f"abc-{i}@{PROJECT}" for i in (1, 2, 3)}, "then the first arrives as well")
    check(let_in(cloud, f"abc-2@{PROJECT}", keys[0]), "and counts")
    late = cloud.wait_event("request", late=True)
    check((late["status"], late["method"], late["device"]) == (200, "POST", "boiler-1"), late)
    cloud.do("apply-late", method="DELETE", path="/v1")
    golioth.lost("DELETE", golioth.path(device, golioth.credentials(device)[f"abc-2@{PROJECT}"]))
    check(f"abc-2@{PROJECT}" in golioth.credentials(device), "a deletion is not yet")
    check(cloud.do("deliver")["delivered"] == 1, "until it is delivered")
    check(f"abc-2@{PROJECT}" not in golioth.credentials(device), "it was")
    cloud.do("apply-late", method="POST", path="/v1")
    golioth.lost("POST", golioth.path(device), {"identity": "abc-4", "preSharedKey": keys[2].decode()})
    check(golioth.add(device, "abc-4", keys[2]).status == 200, "the same offer again takes")
    cloud.wait_event("request", late=True, status=409)


def a_set_applied_late(bench):
    cloud, hono, key = one_hono_device(bench)
    second, third = bench.new_key(text=True), bench.new_key(text=True)
    shown = hono.get("boiler-1")
    path = f"/v1/credentials/{TENANT}/boiler-1"
    cloud.do("apply-late", method="PUT", path="/v1")
    hono.lost("PUT", path, shown.json + [psk("abc-2", second)], if_match=shown.headers["etag"])
    check(hono.put("boiler-1", shown.json + [psk("abc-3", third)], if_match=shown.headers["etag"]).status == 204, "second")
    cloud.wait_event("request", late=True, status=412)
    check(auth_ids(hono) == {"abc-1", "abc-3"}, "a late one is of an old version")
    cloud.do("apply-late", method="PUT", path="/v1")
    hono.lost("PUT", path, shown.json + [psk("abc-2", second)])
    check(hono.put("boiler-1", hono.get("boiler-1").json).status == 204, "second")
    check(auth_ids(hono) == {"abc-1", "abc-2"}, "without a condition it undoes what came between")
    check(let_in(cloud, f"abc-1@{TENANT}", key) and let_in(cloud, f"abc-2@{TENANT}", second), "these count")
    check(not let_in(cloud, f"abc-3@{TENANT}", third), "and this not")


def stale_reads(bench):
    cloud, golioth, device, _ = one_golioth_device(bench)
    golioth.provision("boiler-2", "xyz-1", bench.new_key(64, text=True))
    cloud.do("stale-read", path="/v1/projects/*/devices")
    check(golioth.devices().json["total"] == 1, "the newest device is not seen yet")
    check(golioth.devices().json["total"] == 2, "once")
    golioth.add(device, "abc-2", bench.new_key(64, text=True))
    golioth.call("POST", f"/v1/projects/{PROJECT}/provisioning")  # refused: it changes nothing
    cloud.do("stale-read", path="/v1")
    check(set(golioth.credentials(device)) == {f"abc-1@{PROJECT}"}, "from before the last change")
    check(set(golioth.credentials(device)) == {f"abc-{i}@{PROJECT}" for i in (1, 2)}, "once")
    golioth.delete(device, golioth.credentials(device)[f"abc-1@{PROJECT}"])
    cloud.do("stale-read", path="/v1")
    check(set(golioth.credentials(device)) == {f"abc-{i}@{PROJECT}" for i in (1, 2)}, "a deleted one is seen for a while")
    hono = Hono(cloud)
    hono.put("boiler-1", [psk("h-1", bench.new_key())])
    old = hono.get("boiler-1")
    hono.put("boiler-1", old.json + [psk("h-2", bench.new_key())])
    hono.make("boiler-3")
    cloud.do("stale-read", path="/v1")
    stale = hono.get("boiler-1")
    check(stale.json == old.json and stale.headers["etag"] == old.headers["etag"], "of this device, with its version")
    check_status(hono.put("boiler-1", [], if_match=stale.headers["etag"]), 412)


def exists_with_another_key(bench):
    cloud, golioth, device, _ = one_golioth_device(bench)
    theirs, ours = bench.new_key(text=True), bench.new_key(64, text=True)
    cloud.do("add-credential", identity=f"abc-2@{PROJECT}", key=theirs.hex(), device="boiler-1")
    check_status(golioth.add(device, "abc-2", ours), 409, "identity")
    check(not let_in(cloud, f"abc-2@{PROJECT}", ours) and let_in(cloud, f"abc-2@{PROJECT}", theirs), "theirs counts")
    cloud.do("add-credential", identity=f"xyz-1@{TENANT}", key=theirs.hex(), device="boiler-2")
    check_status(Hono(cloud).put("boiler-1", [psk("xyz-1", ours)]), 409, "[0].auth-id")


def revoked_and_restored(bench):
    cloud, golioth, device, first = one_golioth_device(bench)
    second = bench.new_key(64, text=True)
    check(not cloud.ask("restore")["ok"], "there is no snapshot yet")
    cloud.do("snapshot")
    check(golioth.add(device, "abc-2", second).status == 200, "added")
    check(golioth.delete(device, golioth.credentials(device)[f"abc-1@{PROJECT}"]).status == 200, "deleted")
    hono = Hono(cloud)
    check(hono.make("boiler-9").status == 201 and hono.put("boiler-9", [psk("h", bench.new_key())]).status == 204, "made")
    check(let_in(cloud, f"abc-2@{PROJECT}", second) and not let_in(cloud, f"abc-1@{PROJECT}", first), "rotated")
    cloud.do("restore")
    for _ in range(2):
        check(set(golioth.credentials(device)) == {f"abc-1@{PROJECT}"}, "as it was")
        check_status(hono.get("boiler-9"), 404)
        check(let_in(cloud, f"abc-1@{PROJECT}", first) and not let_in(cloud, f"abc-2@{PROJECT}", second), "for handshakes too")
        cloud.restart()
        golioth, hono = Golioth(cloud), Hono(cloud)
    cloud.do("forget-key", key=f"abc-1@{PROJECT}")
    check(golioth.credentials(device) == {} and not let_in(cloud, f"abc-1@{PROJECT}", first), "revoked")


def slow_answers(bench):
    cloud, golioth, device, _ = one_golioth_device(bench)
    key = bench.new_key(64, text=True)
    cloud.do("slow", ms=1500, path="/v1", times=1)
    started = time.monotonic()
    check(golioth.add(device, "abc-2", key).status == 200 and time.monotonic() - started >= 1.5, "answered when it is due")
    mark = cloud.mark()
    cloud.do("slow", ms=8000, path="/v1", times=1)  # not answered yet when the client has given up, however late that looks
    golioth.lost("DELETE", golioth.path(device, "c-0"), seconds=1)
    cloud.wait_event("request", since=mark, method="DELETE", status=404)
    mark = cloud.mark()
    cloud.do("slow", ms=3600000, path="/v1", times=1)
    golioth.lost("DELETE", golioth.path(device, "c-0"), seconds=1)
    check(golioth.devices().status == 200, "others are not held up")
    cloud.do("ping")
    check(not cloud.find_events("request", since=mark, method="DELETE"), "nor is it carried out before it is due")
    cloud.stop()


if __name__ == "__main__":
    harness.main(refused_on_demand, answers_are_lost, half_an_answer, answered_without_applying, applied_late,
                 a_set_applied_late, stale_reads, exists_with_another_key, revoked_and_restored, slow_answers,
                 needs=(COAP_CLIENT, "curl"))
