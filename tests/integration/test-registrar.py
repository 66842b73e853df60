#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""gatehouse-registrar as its socket shows it, against the development cloud's Golioth and Hono, and an administrator's
programs: what is sent field by field, what is answered, and what it refuses."""
import base64
import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time

import harness
from harness import DEADLINE, check, wait_for
from registrar_peers import (API_KEY, PROJECT, TENANT, Proxy, Registrar, Stub, fingerprint, holds, hono_device, hono_path,
                             hono_set, manage)

DEVICES = f"/v1/projects/{PROJECT}/devices"


def golioth(bench, **more):
    cloud = bench.devcloud([], project=PROJECT, tenant=TENANT, api_key=API_KEY)
    return cloud, Registrar(bench, cloud, "golioth", **more)


def hono(bench, **more):
    cloud = bench.devcloud([], project=PROJECT, tenant=TENANT, api_key=API_KEY)
    hono_device(cloud, "boiler-1")
    return cloud, Registrar(bench, cloud, "hono", **more)


def calls(cloud, since):
    return [(r["method"], r["path"], r.get("query"), json.loads(r["body"]) if r["body"] else None)
            for r in cloud.recorded()[since:]]


def is_answer(answer, result, *words, **fields):
    check(answer["result"] == result, f"{answer}, not {result}")
    check(all(w in answer.get("reason", "") for w in words), f"{answer}: does not say {words}")
    check(all(answer.get(k) == v for k, v in fields.items()), f"{answer}: not {fields}")
    return answer


def golioth_calls_field_by_field(bench):
    cloud, registrar = golioth(bench)
    first, second = bench.new_key(64, text=True), bench.new_key(64, text=True)
    page = {"page": "0", "perPage": "100"}
    look = ("GET", DEVICES, {"hardwareId": "boiler-1", **page}, None)

    made = is_answer(registrar.put("boiler-1", "abc-1", first), "ok")
    device, credential = made["cloud_id"].split("~")
    list_of = ("GET", f"{DEVICES}/{device}/credentials", page, None)
    check(calls(cloud, 0) == [
        look, ("POST", f"/v1/projects/{PROJECT}/provisioning", None,
               {"name": "boiler-1", "hardwareIds": ["boiler-1"], "identity": "abc-1", "preSharedKey": first.decode(),
                "type": "PRE_SHARED_KEY"}), list_of], calls(cloud, 0))
    check(holds(cloud, "boiler-1") == {f"abc-1@{PROJECT}": fingerprint(first)}, "the key is the text's own bytes")

    mark = len(cloud.recorded())
    added = is_answer(registrar.put("boiler-1", "abc-2", second, other_id=made["cloud_id"]), "ok")
    check(calls(cloud, mark) == [
        look, list_of, ("POST", f"{DEVICES}/{device}/credentials", None,
                        {"identity": "abc-2", "preSharedKey": second.decode(), "type": "PRE_SHARED_KEY"})], calls(cloud, mark))

    mark = len(cloud.recorded())
    is_answer(registrar.put("boiler-1", "abc-2", second, offered=True), "exists-ours", cloud_id=added["cloud_id"])
    is_answer(registrar.find("boiler-1", "abc-1", offered=True), "ok", cloud_id=f"{device}~{credential}")
    is_answer(registrar.find("boiler-1", "abc-9"), "absent")
    is_answer(registrar.find("boiler-2", "abc-1"), "retry", "hardware id boiler-2")
    is_answer(registrar.put("boiler-2", "xyz-2", second, create=False), "retry", "hardware id boiler-2", maybe_sent=False)
    check(all(c[0] == "GET" for c in calls(cloud, mark)), "looking writes nothing")

    mark = len(cloud.recorded())
    is_answer(registrar.delete("boiler-1", "abc-1", made["cloud_id"]), "ok")
    check(calls(cloud, mark)[0] == ("DELETE", f"{DEVICES}/{device}/credentials/{credential}", None, None), calls(cloud, mark))
    is_answer(registrar.delete("boiler-1", "abc-1", made["cloud_id"]), "absent")
    check(holds(cloud, "boiler-1") == {f"abc-2@{PROJECT}": fingerprint(second)}, "the other is left")


def golioth_conflicts(bench):
    """What stands under our identity is ours only if it was ever sent, or by its id."""
    cloud, registrar = golioth(bench)
    key, other = bench.new_key(64, text=True), bench.new_key(64, text=True)
    made = is_answer(registrar.put("boiler-1", "abc-1", key), "ok")
    is_answer(registrar.put("boiler-1", "abc-1", other), "conflict", "never sent it")
    is_answer(registrar.put("boiler-1", "abc-1", other, offered=True, cloud_id="x~y"), "conflict", "another credential")
    is_answer(registrar.find("boiler-1", "abc-1", cloud_id="x~y"), "conflict")
    check(manage(cloud, "POST", f"{DEVICES}/{made['cloud_id'].split('~')[0]}/credentials",
                 {"identity": "abc-5", "preSharedKey": other.decode(), "type": "PRE_SHARED_KEY"})[0] == 200, "added by hand")
    is_answer(registrar.put("boiler-2", "xyz-1", bench.new_key(64, text=True)), "ok")
    is_answer(registrar.put("boiler-2", "abc-5", bench.new_key(64, text=True)), "conflict", "elsewhere in the project")
    is_answer(registrar.put("boiler-1", "abc-6", b"short"), "invalid", "preSharedKey")
    check(holds(cloud, "boiler-1") == {f"abc-1@{PROJECT}": fingerprint(key), f"abc-5@{PROJECT}": fingerprint(other)}, "untouched")


def stub(bench, answer, kind="golioth"):
    """A registrar whose cloud is `answer(method, path, query)`: status, headers, body."""
    cloud = Stub(bench, answer)
    return cloud, Registrar(bench, cloud, kind)


def page_of(query, everything, per_page=100):
    page = int(query["page"])
    return 200, {}, {"list": everything[page * per_page:(page + 1) * per_page], "page": page, "perPage": per_page,
                     "total": len(everything)}


def golioth_pages(bench):
    """A search that finds many by part of the hardware id, in pages of the cloud's own size."""
    devices = [{"id": f"d{n}", "name": f"n{n}", "hardwareIds": [f"boiler-1{n}"]} for n in range(250)]
    devices[249]["hardwareIds"] = ["other", "boiler-1"]
    credentials = [{"id": f"c{n}", "identity": f"abc-{n}@{PROJECT}", "type": "PRE_SHARED_KEY"} for n in range(120)]

    def answer(method, path, query):
        if path == DEVICES:
            return page_of(query, devices, 50)
        check(path == f"{DEVICES}/d249/credentials", path)
        return page_of(query, credentials)
    cloud, registrar = stub(bench, answer)
    is_answer(registrar.find("boiler-1", "abc-119"), "ok", cloud_id="d249~c119")
    check([q["page"] for m, p, q in cloud.asked] == ["0", "1", "2", "3", "4", "0", "1"], cloud.asked)
    devices[3]["hardwareIds"] = ["boiler-1"]
    is_answer(registrar.put("boiler-1", "abc-200", b"0123456789abcdef"), "conflict", "two devices")


def old_tls_is_refused(bench):
    """A cloud, or whoever sits in between, that offers no more than TLS 1.1."""
    cloud, registrar = stub(bench, lambda method, path, query: page_of(query, []))
    is_answer(registrar.find("boiler-1", "abc-1"), "retry", "hardware id")
    cloud.context.minimum_version = cloud.context.maximum_version = ssl.TLSVersion.TLSv1_2
    is_answer(registrar.find("boiler-1", "abc-1"), "retry", "hardware id")
    asked = len(cloud.asked)
    cloud.context.set_ciphers("ALL:@SECLEVEL=0")
    cloud.context.minimum_version, cloud.context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    is_answer(registrar.find("boiler-1", "abc-1"), "retry", maybe_sent=False)
    check(len(cloud.asked) == asked, "asked over TLS 1.1")


def answers_that_are_none(bench):
    """No verdict comes of what is not the cloud's own word."""
    said = {}
    cloud, registrar = stub(bench, lambda method, path, query: said.get(method) or said["*"])
    key = b"0123456789abcdef"
    for answer in ((404, {}, b"<html>not here</html>"), (200, {}, b"<html>welcome</html>"), (200, {}, b'{"list": 7}'),
                   (302, {"location": cloud.https_url + "/elsewhere"}, b""), (200, {}, b"[" * 5000), (200, {}, b"x" * 2000000),
                   (400, {}, b""), (204, {}, b"")):
        said["*"] = answer
        for outcome in (registrar.put("boiler-1", "abc-1", key), registrar.find("boiler-1", "abc-1"),
                        registrar.delete("boiler-1", "abc-1", "d~c")):
            check(outcome["result"] == "retry" and outcome["reason"], f"{answer[0]} {answer[2][:40]}: {outcome}")
    check(not any(path == "/elsewhere" for _, path, _ in cloud.asked), "no redirect is followed")
    said["*"] = 200, {}, {"list": [{"id": "x", "hardwareIds": ["y"]}], "total": 10**9}
    is_answer(registrar.find("boiler-1", "abc-1"), "retry", "does not end")
    said["*"] = 200, {}, {"list": []}
    said["POST"] = 201, {}, b'{"data": {"deviceId": "../etc"}}'
    is_answer(registrar.put("boiler-1", "abc-1", key), "retry", maybe_sent=True)
    hono_registrar = Registrar(bench, cloud, "hono")
    for answer in ((200, {}, []), (200, {"etag": '"1"'}, {}), (200, {"etag": '"1"'}, ["x"])):
        said["*"] = answer
        is_answer(hono_registrar.put("boiler-1", "abc-1", key), "retry", maybe_sent=False)
    check(not any(method == "PUT" for method, _, _ in cloud.asked), "without an ETag nothing is written")


def hono_calls_field_by_field(bench):
    cloud, registrar = hono(bench)
    password = {"type": "hashed-password", "auth-id": "user", "enabled": False, "ext": {"note": "kept", "n": 1.5},
                "secrets": [{"pwd-plain": "hello", "comment": "é", "not-after": "2030-01-01T00:00:00Z"}]}
    check(manage(cloud, "PUT", hono_path("boiler-1"), [password])[0] == 204, "somebody else's entry")
    others = hono_set(cloud, "boiler-1")
    first, second = bench.new_key(), bench.new_key()
    mark = len(cloud.recorded())
    made = is_answer(registrar.put("boiler-1", "abc-1", first), "ok")
    records = cloud.recorded()[mark:]
    check([(r["method"], r["path"]) for r in records] == [(m, hono_path("boiler-1")) for m in ("GET", "PUT", "GET")], records)
    entry = {"type": "psk", "auth-id": "abc-1", "secrets": [{"key": base64.b64encode(first).decode()}]}
    check(json.loads(records[1]["body"]) == others + [entry], records[1]["body"])
    check(records[1]["content_type"] == "application/json" and records[1]["if_match"], "on condition")
    check(holds(cloud, "boiler-1")[f"abc-1@{TENANT}"] == fingerprint(first), "the key's bytes")

    mark = len(cloud.recorded())
    added = is_answer(registrar.put("boiler-1", "abc-2", second, other_id=made["cloud_id"]), "ok")
    sent = json.loads(cloud.recorded()[mark + 1]["body"])
    old = [e for e in sent if e["auth-id"] == "abc-1"]
    check([e["secrets"] for e in old] == [[{"id": made["cloud_id"]}]], f"the old one goes back as its id: {sent}")
    check(set(holds(cloud, "boiler-1")) == {f"abc-1@{TENANT}", f"abc-2@{TENANT}"}, "both live")
    is_answer(registrar.put("boiler-1", "abc-2", second, offered=True), "exists-ours", cloud_id=added["cloud_id"])
    is_answer(registrar.put("boiler-1", "abc-2", second), "conflict", "not ours")
    is_answer(registrar.find("boiler-1", "abc-1"), "ok", cloud_id=made["cloud_id"])
    is_answer(registrar.find("boiler-1", "abc-7"), "absent")
    is_answer(registrar.put("boiler-9", "abc-9", second, create=False), "retry", "register it there first", maybe_sent=False)
    is_answer(registrar.put("boiler-9", "abc-9", third := bench.new_key(), hardware_id="HW-9"), "ok")
    check(holds(cloud, "HW-9") == {f"abc-9@{TENANT}": fingerprint(third)}, "its first credential makes the device")
    hono_device(cloud, "boiler-2")
    is_answer(registrar.put("boiler-2", "abc-2", bench.new_key()), "conflict", "another device")

    is_answer(registrar.delete("boiler-1", "abc-1", made["cloud_id"]), "ok")
    is_answer(registrar.delete("boiler-1", "abc-1", made["cloud_id"]), "absent")
    now = hono_set(cloud, "boiler-1")
    check(sorted(e["auth-id"] for e in now) == ["abc-2", "user"] and others[0] in now, f"others' entries are as they were: {now}")


def hono_replaces(bench):
    """One identity: the new key's secret in the place of the old one's."""
    cloud, registrar = hono(bench)
    first, second, third = (bench.new_key() for _ in range(3))
    one = is_answer(registrar.put("boiler-1", "abc", first, mode="replaces"), "ok")["cloud_id"]
    two = is_answer(registrar.put("boiler-1", "abc", second, mode="replaces", other_id=one), "ok")["cloud_id"]
    check(one != two and holds(cloud, "boiler-1") == {f"abc@{TENANT}": fingerprint(second)}, "displaced")
    is_answer(registrar.put("boiler-1", "abc", second, mode="replaces", other_id=one, offered=True), "exists-ours", cloud_id=two)
    is_answer(registrar.find("boiler-1", "abc", mode="replaces", other_id=two, offered=True), "absent", "other key")
    is_answer(registrar.find("boiler-1", "abc", mode="replaces", other_id=one, cloud_id=two), "ok", cloud_id=two)
    is_answer(registrar.put("boiler-1", "abc", third, mode="replaces", other_id=one), "conflict")
    check(holds(cloud, "boiler-1") == {f"abc@{TENANT}": fingerprint(second)}, "a stranger's key is not displaced")
    # Keys that were set by hand have no ids.
    is_answer(registrar.put("boiler-1", "abc", third, mode="replaces"), "ok")
    check(holds(cloud, "boiler-1") == {f"abc@{TENANT}": fingerprint(third)}, "written all the same")


def hono_set_changed_meanwhile(bench):
    """Somebody else writes between our look and our write: 412, and both changes stand."""
    cloud, registrar = hono(bench)
    theirs, ours = bench.new_key(), bench.new_key()
    entry = {"type": "psk", "auth-id": "theirs", "secrets": [{"key": base64.b64encode(theirs).decode()}]}
    check(manage(cloud, "PUT", hono_path("boiler-1"), [entry])[0] == 204, "they write")
    cloud.do("stale-read", path="/v1/credentials", method="GET")
    is_answer(registrar.put("boiler-1", "abc-1", ours), "ok")
    check([r["status"] for r in cloud.recorded() if r["method"] == "PUT"][-2:] == [412, 204], "refused once")
    check(set(holds(cloud, "boiler-1")) == {f"theirs@{TENANT}", f"abc-1@{TENANT}"}, holds(cloud, "boiler-1"))
    # A stale look does not make believe that a key is gone.
    made = registrar.find("boiler-1", "abc-1")["cloud_id"]
    cloud.do("stale-read", path="/v1/credentials", method="GET")
    is_answer(registrar.delete("boiler-1", "abc-1", made), "ok")
    check(set(holds(cloud, "boiler-1")) == {f"theirs@{TENANT}"}, holds(cloud, "boiler-1"))


def asked_to_come_again(bench):
    cloud, registrar = golioth(bench)
    key = bench.new_key(64, text=True)
    cloud.do("refuse", code="429", max_age=7, path="/v1", method="POST")
    is_answer(registrar.put("boiler-1", "abc-1", key), "retry", "429", retry_after=7, maybe_sent=False)
    cloud.do("refuse", code="503", max_age=9, path="/v1", method="GET")
    is_answer(registrar.put("boiler-1", "abc-1", key), "retry", "503", retry_after=9, maybe_sent=False)
    cloud.do("refuse", code="500", path="/v1", method="POST")
    is_answer(registrar.put("boiler-1", "abc-1", key), "retry", "500", maybe_sent=True)
    cloud.set_api_key("another-api-key-of-the-test")
    is_answer(registrar.put("boiler-1", "abc-1", key), "ok")
    check(API_KEY not in registrar.text() and "another-api-key" not in registrar.text(), "no API key in the log")
    cloud.set_api_key("")
    is_answer(registrar.put("boiler-1", "abc-2", key), "retry", "API key", "empty", maybe_sent=False)


def nobody_there(bench):
    cloud, registrar = golioth(bench)
    key = bench.new_key(64, text=True)
    cloud.stop()
    is_answer(registrar.put("boiler-1", "abc-1", key), "retry", "connect", maybe_sent=False)
    registrar.settings["url"] = "https://no-such-host.invalid"
    is_answer(registrar.put("boiler-1", "abc-1", key), "retry", "no-such-host.invalid", maybe_sent=False)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        registrar.settings["url"] = f"https://127.0.0.1:{silent.getsockname()[1]}"
        is_answer(registrar.put("boiler-1", "abc-1", key), "retry", "timed out", maybe_sent=False)


def certificates_are_checked(bench):
    cloud, registrar = golioth(bench)
    key = bench.new_key(64, text=True)
    ca = registrar.settings.pop("ca")
    is_answer(registrar.put("boiler-1", "abc-1", key), "retry", "certificate", maybe_sent=False)
    registrar.settings["ca"] = bench.path("none.pem")
    is_answer(registrar.put("boiler-1", "abc-1", key), "retry", maybe_sent=False)
    registrar.settings.update(ca=ca, url=cloud.https_url.replace("https:", "http:"))
    is_answer(registrar.put("boiler-1", "abc-1", key), "retry", "plain text", maybe_sent=False)
    check(not cloud.recorded(), "nothing was asked")


def clock_is_waited_for(bench):
    """Without the time of day no certificate can be judged: nothing is asked before."""
    cloud, registrar = golioth(bench)
    registrar.stop()
    registrar.argv[0] = harness.program("tests/tools/registrar-no-clock")
    registrar.start()
    wait_for("it to listen", lambda: os.path.exists(registrar.socket))
    is_answer(registrar.find("boiler-1", "abc-1"), "retry", "clock", maybe_sent=False, retry_after=30)
    check(not cloud.recorded(), "nothing was asked")
    is_answer(registrar.find("boiler-1", "abc-1", clock=True), "retry", "hardware id")


def url_is_tied(bench):
    """The API key is shown to the one cloud that the administrator named."""
    cloud, registrar = golioth(bench, options=("--url", "https://api.golioth.io"))
    is_answer(registrar.find("boiler-1", "abc-1"), "retry", "speaks to https://api.golioth.io only", maybe_sent=False)
    check(not cloud.recorded(), "nothing was asked")


def by_proxy(bench):
    cloud, registrar = golioth(bench)
    proxy = Proxy()
    registrar.settings["proxy"] = proxy.url
    key = bench.new_key(64, text=True)
    is_answer(registrar.put("boiler-1", "abc-1", key), "ok")
    check(proxy.targets and set(proxy.targets) == {("CONNECT", f"127.0.0.1:{cloud.https_port}")}, proxy.targets)
    check(proxy.seen and key not in proxy.seen and API_KEY.encode() not in proxy.seen, "what passes is encrypted")


def requests_that_are_none(bench):
    cloud, registrar = golioth(bench)
    good = registrar.request("find", "boiler-1", "abc-1")
    for request, word in ((b"{", "not valid JSON"), (b"[]", "no object"), ({**good, "colour": 1}, "colour"),
                          ({**good, "identity": "abc-1@elsewhere"}, "does not end in"),
                          ({**good, "registrar": {"type": "hono", "tenant": "t", "url": "https://x"}}, "for golioth"),
                          (b" " * 70000, "Message too long")):
        is_answer(registrar.ask(request), "retry", word, maybe_sent=False)
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(registrar.socket)
    is_answer(registrar.find("boiler-1", "abc-1"), "retry", "hardware id")
    mode = os.stat(registrar.socket).st_mode & 0o777
    check(mode == 0o660, f"the socket's mode is {mode:o}")
    registrar.stop()
    check(not os.path.exists(registrar.socket), "it goes with its registrar")


def given_a_connection(bench):
    """As a socket unit with Accept=yes starts it: the connection passed, or as standard input."""
    cloud, registrar = golioth(bench)
    program = harness.program("agent/gatehouse-registrar/gatehouse-registrar")
    credentials = bench.path("credentials")
    os.mkdir(credentials, 0o700)
    os.symlink(cloud.api_key_file, os.path.join(credentials, "api-key"))
    request = json.dumps(registrar.request("find", "boiler-1", "abc-1")).encode()
    for passed in (True, False):
        ours, theirs = socket.socketpair(socket.AF_UNIX)

        def pass_on(fd=theirs.fileno()):
            os.dup2(fd, 3)
            os.environ["LISTEN_PID"] = str(os.getpid())

        command = ["sh", "-c", 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"', "sh", program, "golioth"] if passed else [program, "golioth"]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL if passed else theirs, stderr=subprocess.PIPE,
                              preexec_fn=pass_on if passed else None, close_fds=not passed,
                              env={**os.environ, "CREDENTIALS_DIRECTORY": credentials}) as process:
            theirs.close()
            ours.sendall(request)
            ours.shutdown(socket.SHUT_WR)
            ours.settimeout(DEADLINE)
            answer = b""
            while part := ours.recv(65536):
                answer += part
            is_answer(json.loads(answer), "retry", "hardware id")
            check(process.wait(DEADLINE) == 0, process.stderr.read())
        ours.close()
    alone = subprocess.run([program, "golioth"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False,
                           timeout=DEADLINE)
    check(alone.returncode == 2 and "without a connection" in alone.stderr, alone)


def write_program(bench, name, text, mode=0o755):
    path = bench.path("programs", name)
    os.makedirs(bench.path("programs"), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path, mode)


def exec_registrar(bench):
    os.makedirs(bench.path("programs"), exist_ok=True)
    return Registrar(bench, None, "exec", options=("--program-dir", bench.path("programs")), program="tell", timeout="1min")


def exec_tells_the_program(bench):
    registrar = exec_registrar(bench)
    key = bench.new_key()
    write_program(bench, "tell", f"""#!/bin/sh
cat > {bench.path('told')}
env | sort > {bench.path('environment')}
ls /proc/self/fd > {bench.path('descriptors')}
echo $$ $(ps -o pgid= $$) $(ps -o sid= $$) > {bench.path('group')}
echo '{{"result": "ok", "cloud_id": "c-17"}}'
""")
    is_answer(registrar.put("boiler-1", "abc-1", key, other_id="c-16"), "ok", cloud_id="c-17")
    told = json.loads(harness.read(bench.path("told")))
    check(told == {"action": "put", "device": "boiler-1", "identity": "abc-1", "cloud_id": "", "other_id": "c-16",
                   "offered": False, "create": True, "mode": "adds", "encoding": "hex", "key": key.hex()}, told)
    variables = {line.split("=")[0] for line in harness.read(bench.path("environment")).splitlines()}
    check(variables <= {"PATH", "LANG", "GATEHOUSE_PROGRAM", "PWD", "OLDPWD", "SHLVL", "_"}, variables)
    check(f"GATEHOUSE_PROGRAM={bench.path('programs', 'tell')}\n" in harness.read(bench.path("environment")), "its name")
    check(harness.read(bench.path("descriptors")).split() == ["0", "1", "2", "3", "4"], "three descriptors, the script and that of ls itself")
    check(len(set(harness.read(bench.path("group")).split())) == 1, "a group and session of its own")
    write_program(bench, "tell", """#!/bin/sh
case $(cat) in *'"action":"find"'*) echo '{"result": "absent"}' ;; *) echo '{"result": "retry", "retry_after": 3}' ;; esac
""")
    is_answer(registrar.find("boiler-1", "abc-1"), "absent")
    is_answer(registrar.delete("boiler-1", "abc-1", "c-17"), "retry", retry_after=3, maybe_sent=True)


def exec_runs_what_it_has_checked(bench):
    """Somebody exchanges the program all the time for one that others could have written."""
    registrar = exec_registrar(bench)
    key, ended = bench.new_key(), threading.Event()
    shutil.copy("/bin/cat", bench.path("programs", "tell"))
    is_answer(registrar.put("boiler-1", "abc-1", key), "retry", "result", maybe_sent=True)  # no script: it says the request back
    write_program(bench, "good", "#!/bin/sh\necho '{\"result\": \"ok\"}'\n")
    write_program(bench, "evil", f"#!/bin/sh\necho ran >> {bench.path('evil-ran')}\n", 0o777)

    def exchange():
        while not ended.is_set():
            for name in ("good", "evil"):
                os.link(bench.path("programs", name), bench.path("programs", "next"))
                os.rename(bench.path("programs", "next"), bench.path("programs", "tell"))
    thread = threading.Thread(target=exchange)
    thread.start()
    try:
        answers = [registrar.put("boiler-1", "abc-1", key)["result"] for _ in range(150)]
    finally:
        ended.set()
        thread.join()
    check({"ok", "retry"} == set(answers), f"both were met: {set(answers)}")
    check(not os.path.exists(bench.path("evil-ran")), "what was executed is not what was checked")


def exec_bounds_the_program(bench):
    registrar = exec_registrar(bench)
    key = bench.new_key()
    pids = bench.path("pids")
    registrar.settings["timeout"] = "2s"
    write_program(bench, "tell", f"#!/bin/sh\nsleep 300 & echo $! $$ > {pids}; wait\n")
    began = time.monotonic()
    is_answer(registrar.put("boiler-1", "abc-1", key), "retry", "killed", maybe_sent=True)
    check(2 <= time.monotonic() - began < DEADLINE / 2, "at its time")
    for pid in harness.read(pids).split():
        wait_for(f"{pid} to be gone", lambda p=pid: not os.path.exists(f"/proc/{p}") or
                 "Z" in harness.read(f"/proc/{p}/stat").rsplit(")", 1)[-1].split()[0])
    registrar.settings["timeout"] = "1min"
    write_program(bench, "tell", f"#!/bin/sh\nsleep 300 & echo $! > {pids}; echo '{{\"result\": \"ok\"}}'\n")
    began = time.monotonic()
    is_answer(registrar.put("boiler-1", "abc-1", key), "ok")
    check(time.monotonic() - began < 300 / 4, "what it leaves behind is not waited for")
    wait_for("it to be gone", lambda: not os.path.exists(f"/proc/{harness.read(pids).strip()}") or
             " Z " in harness.read(f"/proc/{harness.read(pids).strip()}/stat"))
    for text, word, maybe in (("#!/bin/sh\nexit 3\n", "status 3", True), ("#!/bin/sh\nkill -9 $$\n", "SIGKILL", True),
                              ("#!/bin/sh\necho nonsense\n", "not valid JSON", True), ("#!/bin/sh\n", "empty", True),
                              ("#!/bin/sh\nyes\n", "more than", True), ("#!/no/such/interpreter\n", "cannot be executed", False)):
        write_program(bench, "tell", text)
        is_answer(registrar.put("boiler-1", "abc-1", key), "retry", word, maybe_sent=maybe)
    write_program(bench, "tell", "#!/bin/sh\necho '{\"result\": \"ok\"}'\n", 0o777)
    is_answer(registrar.put("boiler-1", "abc-1", key), "retry", "written by others", maybe_sent=False)
    os.chmod(bench.path("programs", "tell"), 0o644)
    is_answer(registrar.put("boiler-1", "abc-1", key), "retry", "no program", maybe_sent=False)
    os.unlink(bench.path("programs", "tell"))
    is_answer(registrar.put("boiler-1", "abc-1", key), "retry", "No such file", maybe_sent=False)


if __name__ == "__main__":
    harness.main(golioth_calls_field_by_field, golioth_conflicts, golioth_pages, answers_that_are_none, hono_calls_field_by_field, hono_replaces,
                 hono_set_changed_meanwhile, asked_to_come_again, nobody_there, certificates_are_checked,
                 clock_is_waited_for, url_is_tied, by_proxy,
                 requests_that_are_none, given_a_connection, exec_tells_the_program, exec_runs_what_it_has_checked, old_tls_is_refused, exec_bounds_the_program,
                 needs=("openssl",))
