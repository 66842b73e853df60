#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""gatehouse-devcloud's management calls against clients that are not ours: Python's http.client, curl, and over DTLS
coap-client-gnutls, which has to be let in with what was registered, and with nothing else."""
import base64
import http.client
import json
import os
import stat
import subprocess

import harness
from harness import DEADLINE, check
from management_calls import (API_KEY, COAP_CLIENT, PROJECT, TENANT, Golioth, Hono, both, check_status, let_in,
                              one_golioth_device, psk)


def golioth_provisions_and_rotates(bench):
    cloud, golioth, _ = both(bench)
    first, second = bench.new_key(64, text=True), bench.new_key(64, text=True)
    check(golioth.devices(hardwareId="hw-boiler-1").json == {"list": [], "page": 0, "perPage": 100, "total": 0}, "none yet")
    made = check_status(golioth.provision("boiler-1", "abc-1", first), 200)
    device = made.json["data"]["deviceId"]
    check(made.json == {"data": {"deviceId": device}} and device, made)
    found = golioth.devices(hardwareId="hw-boiler-1").json["list"]
    check([(d["id"], d["name"], d["hardwareIds"]) for d in found] == [(device, "boiler-1", ["hw-boiler-1"])], found)
    check(let_in(cloud, f"abc-1@{PROJECT}", first), "what was provisioned authenticates")
    check(not let_in(cloud, "abc-1", first), "an identity without its project does not")
    added = check_status(golioth.add(device, "abc-2", second), 200).json["data"]
    check(added["identity"] == f"abc-2@{PROJECT}" and added["type"] == "PRE_SHARED_KEY", added)
    check(let_in(cloud, f"abc-1@{PROJECT}", first) and let_in(cloud, f"abc-2@{PROJECT}", second), "both are accepted")
    listed = golioth.credentials(device)
    check(set(listed) == {f"abc-1@{PROJECT}", f"abc-2@{PROJECT}"} and listed[f"abc-2@{PROJECT}"] == added["id"], listed)
    check(second.decode() not in golioth.call("GET", golioth.path(device)).text.decode(), "no key is shown")
    gone = golioth.delete(device, listed[f"abc-1@{PROJECT}"])
    check(gone.status == 200 and gone.json == {}, gone)
    check_status(golioth.delete(device, listed[f"abc-1@{PROJECT}"]), 404, "credential")
    check(not let_in(cloud, f"abc-1@{PROJECT}", first), "a deleted one is refused")
    check(let_in(cloud, f"abc-2@{PROJECT}", second), "the other is not")


def golioth_keeps_identities_and_keys_unique(bench):
    cloud, golioth, _ = both(bench)
    key, other = bench.new_key(64, text=True), bench.new_key(64, text=True)
    device = golioth.provision("boiler-1", "abc-1", key).json["data"]["deviceId"]
    for answer, word in ((golioth.provision("boiler-1", "x", other, "hw-9"), "name"),
                         (golioth.provision("boiler-2", "x", other, "hw-boiler-1"), "hardwareIds"),
                         (golioth.provision("boiler-2", "abc-1", other), "identity"),
                         (golioth.provision("boiler-2", "x", key), "preSharedKey"),
                         (golioth.add(device, "abc-1", key), "identity"),
                         (golioth.add(device, "abc-1", other), "identity"),
                         (golioth.add(device, f"abc-1@{PROJECT}", other), "identity"),
                         (golioth.add(device, "x", key), "preSharedKey")):
        check(check_status(answer, 409, word).json["code"] == 6, answer)
    check(list(golioth.credentials(device)) == [f"abc-1@{PROJECT}"], "nothing was added")
    check(golioth.devices().json["total"] == 1, "nor any device")


def golioth_names_what_is_malformed(bench):
    _, golioth, _ = both(bench)
    key = bench.new_key(64, text=True)
    device = golioth.provision("boiler-1", "abc-1", bench.new_key(64, text=True)).json["data"]["deviceId"]
    good = {"name": "b", "hardwareIds": ["h"], "identity": "i", "preSharedKey": key.decode(), "type": "PRE_SHARED_KEY"}
    for wrong in ({"name": ""}, {"name": None}, {"name": "a b"}, {"hardwareIds": []}, {"hardwareIds": "h"},
                  {"hardwareIds": [1]}, {"identity": ""}, {"identity": "a@elsewhere"}, {"identity": "@" + PROJECT},
                  {"identity": "a" * 129}, {"identity": "a\x01"}, {"preSharedKey": "short"}, {"preSharedKey": "x" * 65},
                  {"preSharedKey": "ümlaut-ümlaut-ümlaut"}, {"type": "ASYMMETRIC_KEY_PAIR"}, {"type": 1}, {"colour": "red"}):
        answer = golioth.call("POST", golioth.base + "/provisioning", {**good, **wrong})
        check_status(answer, 400, next(iter(wrong)))
    for body in (b"", b"nonsense", b"[]", b'"text"', b"{" * 100):
        check_status(golioth.call("POST", golioth.path(device), body), 400)
    check_status(golioth.call("POST", golioth.path(device), b" " * 70000), 413)
    for query, name in (({"perPage": 0}, "perPage"), ({"perPage": 101}, "perPage"), ({"page": "x"}, "page"), ({"size": 1}, "size")):
        check_status(golioth.devices(**query), 400, name)
    for method, path, status in (("GET", "/v1/projects/elsewhere/devices", 404), ("GET", golioth.path("0" * 24), 404),
                                 ("PUT", golioth.path(device), 405), ("GET", "/v1/nothing", 404), ("GET", "/", 404),
                                 ("DELETE", golioth.path(device), 405), ("GET", "/" + "a/" * 300, 404)):
        check_status(golioth.call(method, path), status)
    check(list(golioth.credentials(device)) == [f"abc-1@{PROJECT}"], "nothing was added")


def golioth_lists_devices_in_pages(bench):
    _, golioth, _ = both(bench)
    names = {f"boiler-{i}" for i in range(7)}
    for name in sorted(names):
        check_status(golioth.provision(name, name, bench.new_key(64, text=True)), 200)
    pages = [golioth.devices(page=i, perPage=3).json for i in range(4)]
    check([len(p["list"]) for p in pages] == [3, 3, 1, 0], pages)
    check(all((p["page"], p["perPage"], p["total"]) == (i, 3, 7) for i, p in enumerate(pages)), pages)
    check({d["name"] for p in pages for d in p["list"]} == names, "each once")
    check([d["name"] for d in golioth.devices(deviceName="boiler-3").json["list"]] == ["boiler-3"], "by name")


def api_key_is_asked_for(bench):
    cloud, golioth, hono = both(bench, [("abc-1", bench.new_key(), "boiler-1")])
    check(check_status(golioth.call("GET", golioth.base + "/devices", x_api_key=None), 401, "x-api-key").json["code"] == 16, "none")
    check_status(golioth.call("GET", golioth.base + "/devices", x_api_key="wrong"), 401, "x-api-key")
    for header in (None, "Bearer wrong", API_KEY):
        answer = check_status(hono.call("GET", f"/v1/credentials/{TENANT}/boiler-1", authorization=header), 401, "authorization")
        check("Bearer" in answer.headers["www-authenticate"], answer.headers)
    cloud.set_api_key("user:another-key-of-the-test")
    check_status(golioth.devices(), 401, "x-api-key")
    basic = "Basic " + base64.b64encode(b"user:another-key-of-the-test").decode()
    check(hono.call("GET", f"/v1/credentials/{TENANT}/boiler-1", authorization=basic).status == 200, "a changed file counts at once")
    seen = cloud.text() + "".join(json.dumps(r) for r in cloud.recorded())
    check(API_KEY not in seen and "another-key" not in seen, "no API key is written anywhere")


def hono_replaces_whole_sets(bench):
    cloud, _, hono = both(bench)
    first, second = bench.new_key(text=True), bench.new_key(text=True)
    check_status(hono.get("boiler-1"), 404, "device")
    check_status(hono.put("boiler-1", [psk("abc-1", first)]), 404, "device")
    check(check_status(hono.make("boiler-1"), 201).json == {"id": "boiler-1"}, "made")
    check_status(hono.make("boiler-1"), 409)
    empty = hono.get("boiler-1")
    check(empty.status == 200 and empty.json == [] and empty.headers["etag"], empty)
    password = {"type": "hashed-password", "auth-id": "user", "secrets": [{"pwd-plain": "hello"}]}
    put = hono.put("boiler-1", [psk("abc-1", first), password], if_match=empty.headers["etag"])
    check(put.status == 204 and not put.text and put.headers["etag"] != empty.headers["etag"], put)
    check(let_in(cloud, f"abc-1@{TENANT}", first), "what was put authenticates")
    shown = hono.get("boiler-1")
    check(shown.headers["etag"] == put.headers["etag"], "the version is the one that the change answered")
    check([(c["type"], c["auth-id"]) for c in shown.json] == [("psk", "abc-1"), ("hashed-password", "user")], shown)
    check(all(set(s) == {"id"} for c in shown.json for s in c["secrets"]), f"ids, and no keys: {shown}")
    both_keys = hono.put("boiler-1", shown.json + [psk("abc-2", second)], if_match=shown.headers["etag"])
    check(both_keys.status == 204, both_keys)
    check(let_in(cloud, f"abc-1@{TENANT}", first), "a secret sent back as its id keeps its key")
    check(let_in(cloud, f"abc-2@{TENANT}", second), "beside the new one")
    check_status(hono.put("boiler-1", [], if_match=shown.headers["etag"]), 412, "if-match")
    check(let_in(cloud, f"abc-1@{TENANT}", first), "a change of an old version changes nothing")
    last = [c for c in hono.get("boiler-1").json if c["auth-id"] != "abc-1"]
    check([c["auth-id"] for c in last] == ["abc-2", "user"], "others' entries are kept")
    check(hono.put("boiler-1", last).status == 204, "without If-Match")
    check(not let_in(cloud, f"abc-1@{TENANT}", first), "what the new set has not is gone")
    check(let_in(cloud, f"abc-2@{TENANT}", second), "what it has stays")


def hono_tries_only_the_first_valid_secret(bench):
    cloud, _, hono = both(bench)
    keys = [bench.new_key(text=True) for _ in range(4)]
    secrets = [{"key": base64.b64encode(k).decode()} for k in keys]
    secrets[0]["not-after"] = "2020-01-01T00:00:00Z"
    secrets[1]["not-before"] = "2999-01-01T02:00:00+02:00"
    hono.make("boiler-1")
    check(hono.put("boiler-1", [psk("abc", *secrets)]).status == 204, "four secrets")
    check([let_in(cloud, f"abc@{TENANT}", k) for k in keys] == [False, False, True, False], "the third is the first valid one")
    shown = hono.get("boiler-1").json[0]
    check(shown["secrets"][1]["not-before"] == "2999-01-01T00:00:00Z", shown)
    check(hono.put("boiler-1", [psk("abc", dict(shown["secrets"][2], enabled=False), shown["secrets"][3])]).status == 204, "one disabled")
    check([let_in(cloud, f"abc@{TENANT}", k) for k in keys[2:]] == [False, True], "then the next one is")
    check(hono.put("boiler-1", [psk("abc", shown["secrets"][3], enabled=False)]).status == 204, "all disabled")
    check(not let_in(cloud, f"abc@{TENANT}", keys[3]), "then nobody is let in")


def hono_names_what_is_malformed(bench):
    _, _, hono = both(bench)
    key = bench.new_key()
    for name in ("boiler-1", "boiler-2"):
        hono.make(name)
    check(hono.put("boiler-2", [psk("theirs", key)]).status == 204, "another device's")
    check(hono.put("boiler-1", [psk("ours", key)]).status == 204, "ours")
    their_secret = hono.get("boiler-2").json[0]["secrets"][0]["id"]
    for entries, status, word in (
            ({}, 400, "array"), ([1], 400, "[0]"), ([{}], 400, "[0].type"), ([psk("a b", key)], 400, "[0].auth-id"),
            ([psk("", key)], 400, "[0].auth-id"), ([psk("a" * 128, key)], 400, "[0].auth-id"),
            ([dict(psk("a", key), type="magic")], 400, "[0].type"), ([psk("a")], 400, "[0].secrets"),
            ([psk("a", {})], 400, "[0].secrets[0].key"), ([psk("a", {"key": "not base64"})], 400, "[0].secrets[0].key"),
            ([psk("a", bench.new_key(15))], 400, "[0].secrets[0].key"),
            ([psk("a", {"id": "no-such-id"})], 400, "[0].secrets[0].id"),
            ([psk("a", {"id": their_secret})], 400, "[0].secrets[0].id"),
            ([psk("a", dict(psk("a", key)["secrets"][0], **{"not-before": "tomorrow"}))], 400, "[0].secrets[0].not-before"),
            ([psk("a", dict(psk("a", key)["secrets"][0], **{"not-before": "2026-01-02T00:00:00Z",
                                                            "not-after": "2026-01-01T00:00:00Z"}))], 400, "not-after"),
            ([psk("a", key), psk("a", key)], 400, "[1].auth-id"), ([psk("a", key, colour="red")], 400, "[0].colour"),
            ([psk("a", key, enabled="yes")], 400, "[0].enabled"), ([psk("theirs", key)], 409, "[0].auth-id")):
        check_status(hono.put("boiler-1", entries), status, word)
    check_status(hono.put("boiler-1", [], content_type="text/plain"), 400, "content-type")
    check_status(hono.put("boiler-1", b"nonsense"), 400, "JSON")
    check_status(hono.call("GET", "/v1/credentials/elsewhere/boiler-1"), 404, "tenant")
    check_status(hono.call("DELETE", f"/v1/credentials/{TENANT}/boiler-1"), 405)
    check([c["auth-id"] for c in hono.get("boiler-1").json] == ["ours"], "nothing was changed")


def one_store_for_all(bench):
    """What the PSK file and the devices themselves brought is seen by the management calls, and outlives a restart."""
    keys = [bench.new_key(text=True) for _ in range(4)]
    cloud, golioth, hono = both(bench, [(f"abc-1@{TENANT}", keys[0], "boiler-1"), (f"abc-2@{PROJECT}", keys[1], "boiler-1")])
    device = golioth.devices(hardwareId="boiler-1").json["list"][0]["id"]
    check(list(golioth.credentials(device)) == [f"abc-2@{PROJECT}"], "of the project")
    shown = hono.get("boiler-1").json
    check([c["auth-id"] for c in shown] == ["abc-1"], "of the tenant")
    check(golioth.add(device, "abc-3", keys[2]).status == 200, "added")
    check(hono.put("boiler-1", shown + [psk("abc-4", keys[3])]).status == 204, "put")
    before = (golioth.credentials(device), hono.get("boiler-1").json, hono.get("boiler-1").headers["etag"])
    cloud.kill()
    cloud.start()
    golioth, hono = Golioth(cloud), Hono(cloud)
    after = (golioth.credentials(device), hono.get("boiler-1").json, hono.get("boiler-1").headers["etag"])
    check(after == before, f"{before} was {after} after a restart")
    for identity, key in ((f"abc-1@{TENANT}", keys[0]), (f"abc-2@{PROJECT}", keys[1]), (f"abc-3@{PROJECT}", keys[2]),
                          (f"abc-4@{TENANT}", keys[3])):
        check(let_in(cloud, identity, key), identity)


def requests_are_told_and_recorded(bench):
    cloud, golioth, hono = both(bench)
    key = bench.new_key(64, text=True)
    device = golioth.provision("boiler-1", "abc-1", key).json["data"]["deviceId"]
    golioth.devices(hardwareId="hw-boiler-1")
    golioth.add(device, "abc-1", key)
    hono.put("boiler-1", [], if_match="old")
    cloud.do("ping")
    told = [{k: v for k, v in e.items() if k not in ("event", "reason", "at")} for e in cloud.find_events("request")]
    base = f"/v1/projects/{PROJECT}"
    check(told == [{"method": "POST", "path": base + "/provisioning", "status": 200},
                   {"method": "GET", "path": base + "/devices", "query": {"hardwareId": "hw-boiler-1"}, "status": 200},
                   {"method": "POST", "path": f"{base}/devices/{device}/credentials", "status": 409, "device": "boiler-1"},
                   {"method": "PUT", "path": f"/v1/credentials/{TENANT}/boiler-1", "status": 412, "device": "boiler-1"}], told)
    recorded = cloud.recorded()
    check(json.loads(recorded[0]["body"]) == {"name": "boiler-1", "hardwareIds": ["hw-boiler-1"], "identity": "abc-1",
                                              "preSharedKey": key.decode(), "type": "PRE_SHARED_KEY"}, recorded[0])
    check(recorded[3]["if_match"] == "old" and recorded[3]["content_type"] == "application/json", recorded[3])
    check(stat.S_IMODE(os.stat(cloud.record).st_mode) == 0o600, "the record is for its owner")


def curl_trusts_the_certificate(bench):
    cloud, golioth, _ = both(bench)
    url = f"{cloud.https_url}{golioth.base}/devices"
    command = ["curl", "-sS", "-m", str(DEADLINE), "-H", "x-api-key: " + API_KEY]
    done = subprocess.run([*command, "--cacert", cloud.ca, url], stdout=subprocess.PIPE, check=False, timeout=DEADLINE)
    check(done.returncode == 0 and json.loads(done.stdout)["total"] == 0, done)
    strangers = subprocess.run([*command, url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, timeout=DEADLINE)
    check(strangers.returncode == 60, f"nobody else does: {strangers}")
    by_name = subprocess.run([*command, "--cacert", cloud.ca, url.replace("127.0.0.1", "localhost")], stdout=subprocess.PIPE,
                             check=False, timeout=DEADLINE)
    check(by_name.returncode == 0, by_name)


def connections_are_kept(bench):
    """Several calls over one connection; and many connections do not hide the CoAP endpoint from a restart of it."""
    cloud, golioth, device, key = one_golioth_device(bench)
    connections = [http.client.HTTPSConnection("127.0.0.1", cloud.https_port, timeout=DEADLINE, context=golioth.trust)
                   for _ in range(80)]
    for i in range(3):
        body = json.dumps({"identity": f"k-{i}", "preSharedKey": bench.new_key(64, text=True).decode()})
        connections[0].request("POST", golioth.path(device), body, {"x-api-key": API_KEY})
        answer = connections[0].getresponse()
        check(answer.status == 200 and json.loads(answer.read())["data"]["id"], f"call {i}")
    for connection in connections[1:]:
        connection.connect()
    cloud.do("restart")
    check(let_in(cloud, f"abc-1@{PROJECT}", key), "after a restart")
    check(golioth.devices().status == 200, "and the calls go on")
    for connection in connections:
        connection.close()


def options_are_checked(bench):
    program = harness.program("agent/gatehouse-devcloud/gatehouse-devcloud")
    base = [program, "--psk-file", "/dev/null", "--port", "0"]
    for more, word in ((["--https-port", "0"], "--https-ca"), (["--https-port", "70000"], "65535"),
                       (["--https-port", "0", "--https-cert", "a", "--hono-tenant", "t"], "--https-key"),
                       (["--https-port", "0", "--https-ca", bench.path("ca")], "--hono-tenant")):
        done = subprocess.run(base + more, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, text=True, timeout=DEADLINE)
        check(done.returncode == 2 and word in done.stderr, f"{more}: {done}")


if __name__ == "__main__":
    harness.main(golioth_provisions_and_rotates, golioth_keeps_identities_and_keys_unique,
                 golioth_names_what_is_malformed, golioth_lists_devices_in_pages, api_key_is_asked_for,
                 hono_replaces_whole_sets, hono_tries_only_the_first_valid_secret, hono_names_what_is_malformed,
                 one_store_for_all, requests_are_told_and_recorded, curl_trusts_the_certificate, connections_are_kept,
                 options_are_checked, needs=(COAP_CLIENT, "curl"))
