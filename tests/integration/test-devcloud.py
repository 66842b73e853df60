#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""gatehouse-devcloud against a client that is not ours: coap-client-gnutls. Its exit status says nothing about delivery, so
what is asserted is the answer that it shows and what the cloud counted."""
import base64
import json
import re
import signal
import subprocess
import time

import coap_client
import harness
from coap_client import COAP_CLIENT
from harness import DEADLINE, check, wait_for

FORMATS = {"senml": "110", "json": "50"}
LONG = 10 * DEADLINE  # for clients that are there as long as their test


class Answer:
    def __init__(self, text):
        self.code, self.text = coap_client.code_of(text), text

    def id(self):
        return json.loads(re.findall(r'\{"id":"[^"]*"\}', self.text)[-1])["id"]


class Child:
    """What one sensor would do, a session a request; `seconds` where no answer is to come."""

    def __init__(self, cloud, identity, key):
        self.cloud, self.identity, self.key = cloud, identity, key

    def command(self, method, path, body=None, form=None, seconds=DEADLINE, more=()):
        return coap_client.command_of(self.cloud, self.identity, self.key, method, path, body, FORMATS.get(form, form), seconds, more)

    def request(self, method, path, body=None, form=None, seconds=DEADLINE, more=()):
        return Answer(coap_client.say(self.cloud, self.identity, self.key, method, path, body, FORMATS.get(form, form),
                                      seconds=seconds, more=more))

    def send(self, value, device="boiler-1", seconds=DEADLINE, **more):
        pack = json.dumps([{"bn": device + ":", "n": "flow_temp", "u": "Cel", "v": value, "t": -1}])
        return self.request("post", "telemetry", pack, "senml", seconds, **more)

    def offer(self, identity, key, seconds=DEADLINE):
        text = key if isinstance(key, str) else base64.b64encode(key).decode()
        return self.request("post", "credentials", json.dumps({"identity": identity, "key": text}), "json", seconds)

    def delete(self, credential):
        return self.request("delete", f"credentials/{credential}")


def one_device(bench, **options):
    key = bench.new_key(text=True)
    cloud = bench.devcloud([("abc-1", key, "boiler-1")], **options)
    return cloud, Child(cloud, "abc-1", key)


def telemetry(bench):
    cloud, child = one_device(bench)
    check(child.send(21.25).code == "2.04", "a pack is accepted")
    session = cloud.wait_event("session", device="boiler-1", identity="abc-1")
    check(session["suite"] == "TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256" and session["forward_secrecy"], session)
    sample = cloud.wait_event("sample", device="boiler-1", name="flow_temp", value=21.25, unit="Cel")
    check(abs(sample["time"] - time.time()) < 60, "the relative time was resolved")
    cloud.wait_event("closed", identity="abc-1")
    pack = [{"bn": "boiler-1:", "bt": 1700000000.5, "bu": "Cel", "n": "a", "v": 1}, {"n": "a", "t": 1, "v": 2},
            {"n": "name", "u": "", "vs": "kettle"}, {"n": "on/bad", "vb": False}]
    check(child.request("post", "telemetry", json.dumps(pack), "senml").code == "2.04", "a pack of four")
    got = [(e["name"], e["value"], e["time"], e.get("unit")) for e in cloud.wait_events(5, "sample")[1:]]
    check(got == [("a", 1, 1700000000.5, "Cel"), ("a", 2, 1700000001.5, "Cel"), ("name", "kettle", 1700000000.5, None),
                  ("on/bad", False, 1700000000.5, "Cel")], got)
    check(cloud.stats("boiler-1")["samples"] == 5 and cloud.stats("boiler-1")["packs"] == 2, cloud.stats())


def big_pack_in_blocks(bench):
    cloud, child = one_device(bench)
    pack = [{"bn": "boiler-1:", "bt": 1700000000, "n": "x", "v": 0}] + [{"n": "x", "t": i, "v": i} for i in range(1, 200)]
    answer = child.request("post", "telemetry", json.dumps(pack), "senml", more=["-b", "512"])
    check(answer.code == "2.04", f"block-wise: {answer.code}")
    check([e["value"] for e in cloud.samples("boiler-1")] == list(range(200)), "every sample, in order, once")


def bad_telemetry(bench):
    cloud, child = one_device(bench)
    for body, form, code in (('{"a":1}', "senml", "4.00"), ("[]", "senml", "4.00"), ("[{}]", "senml", "4.00"),
                             ('[{"bn":"boiler-1:","n":"x","v":"text"}]', "senml", "4.00"),
                             ('[{"bn":"boiler-1:","n":"x","v":1,"vb":true}]', "senml", "4.00"),
                             ('[{"bn":"boiler-1:","n":"x","v":1,"new_":1}]', "senml", "4.00"),
                             ('[{"bn":"boiler-1:","n":"x","v":1},{"bn":"boiler-2:","n":"x","v":1}]', "senml", "4.00"),
                             ('[{"bn":"boiler-2:","n":"x","v":1}]', "senml", "4.03"),
                             ('[{"bn":"boiler-1:","n":"x","v":1}]', "json", "4.15")):
        answer = child.request("post", "telemetry", body, form)
        check(answer.code == code, f"{body}: {answer.code}, not {code}")
    check(child.request("get", "telemetry").code == "4.05", "GET telemetry")
    check(child.request("post", "elsewhere", "x").code == "4.04", "POST elsewhere")
    check(cloud.stats("boiler-1")["samples"] == 0, "nothing was counted")
    cloud.wait_event("refused", code="4.03", path="telemetry", device="boiler-1")


def probe_is_not_counted(bench):
    cloud, child = one_device(bench)
    probe = '[{"bn":"boiler-1:","n":"_probe","vb":true}]'
    check(child.request("post", "telemetry", probe, "senml").code == "2.04", "the probe is accepted")
    cloud.wait_event("probe", device="boiler-1", identity="abc-1")
    stats = cloud.stats("boiler-1")
    check((stats["probes"], stats["samples"], stats["packs"]) == (1, 0, 0), stats)


def wrong_key_and_unknown_identity(bench):
    cloud, child = one_device(bench)
    check(Child(cloud, "abc-1", bench.new_key(text=True)).send(1).code is None, "a wrong key gets no answer")
    check(Child(cloud, "nobody", child.key).send(1).code is None, "an unknown identity gets no answer")
    cloud.wait_event("handshake-failed", identity="nobody", reason="unknown identity")
    cloud.wait_event("handshake-failed", identity="abc-1", device="boiler-1")
    check(child.send(2).code == "2.04", "the right key still does")
    check([e["value"] for e in cloud.samples("boiler-1")] == [2], "and nothing else arrived")


def credentials_add_up(bench):
    cloud, child = one_device(bench)
    key = bench.new_key(text=True)
    added = child.offer("abc-2", key)
    check(added.code == "2.01", f"a new key: {added.code}")
    again = child.offer("abc-2", key)
    check(again.code == "2.04" and again.id() == added.id(), f"the same again: {again.code}")
    check(child.offer("abc-2", bench.new_key()).code == "4.09", "the identity with another key")
    second = Child(cloud, "abc-2", key)
    check(second.send(1).code == "2.04" and child.send(2).code == "2.04", "both are accepted")
    shown = {c["identity"]: c for c in cloud.credentials("boiler-1")}
    check(set(shown) == {"abc-1", "abc-2"} and shown["abc-2"]["id"] == added.id(), shown)
    check(second.delete(shown["abc-1"]["id"]).code == "2.02", "the old one is deleted")
    check(second.delete(shown["abc-1"]["id"]).code == "4.04", "it is gone")
    check(child.send(3).code is None, "and does not authenticate")
    check([e["value"] for e in cloud.samples("boiler-1")] == [1, 2], "samples of one device under two identities")


def bad_credentials(bench):
    key = bench.new_key(text=True)
    cloud, child = one_device(bench)
    cloud.do("add-credential", identity="xyz-1", key=key.hex(), device="boiler-2")
    other = Child(cloud, "xyz-1", key)
    check(child.offer("xyz-1", key).code == "4.09", "an identity of another device")
    theirs = cloud.credentials("boiler-2")[0]["id"]
    check(child.delete(theirs).code == "4.04" and other.send(1, "boiler-2").code == "2.04", "nor may it be deleted")
    for identity, offered in (("", bench.new_key()), ("a" * 129, bench.new_key()), ("b", bench.new_key(15)),
                              ("b", bench.new_key(65)), ("b", "not base64!"), ("b\x01", bench.new_key())):
        check(child.offer(identity, offered).code == "4.00", f"{identity!r} {offered!r}")
    for body in ("{}", "[]", "nonsense", '{"identity":"b","key":"YWFhYWFhYWFhYWFhYWFhYQ==","more":1}'):
        check(child.request("post", "credentials", body, "json").code == "4.00", body)
    check(len(cloud.credentials("boiler-1")) == 1, "nothing was kept")


def replaces(bench):
    cloud, child = one_device(bench, replaces=True)
    before = cloud.credentials("boiler-1")[0]
    check(child.offer("abc-2", bench.new_key()).code == "4.09", "one identity a device")
    key = bench.new_key(text=True)
    answer = child.offer("abc-1", key)
    check(answer.code == "2.04" and answer.id() != before["id"], f"replaced: {answer.code}")
    check(child.send(1).code is None, "the old key is displaced")
    check(Child(cloud, "abc-1", key).send(2).code == "2.04", "by the new one")
    after = cloud.credentials("boiler-1")
    check(len(after) == 1 and after[0]["fingerprint"] != before["fingerprint"], after)


def first_pack_names_the_device(bench):
    key, other = bench.new_key(text=True), bench.new_key(text=True)
    cloud = bench.devcloud([("abc-1", key), ("xyz-1", other)])
    child = Child(cloud, "abc-1", key)
    check(child.send(1).code == "2.04", "an identity without a device takes the name in its first pack")
    check(child.send(2, "boiler-2").code == "4.03", "and keeps it")
    check(Child(cloud, "xyz-1", other).send(3).code == "4.03", "nobody else may take it")
    cloud.kill()
    cloud.start()
    check(child.send(4).code == "2.04" and child.send(5, "boiler-2").code == "4.03", "a restart keeps it too")


def refuse(bench):
    cloud, child = one_device(bench)
    cloud.do("refuse", code="5.03", path="telemetry", max_age=7, times=2)
    first = child.send(1)
    check(first.code == "5.03" and "Max-Age:7" in first.text.replace(" ", ""), first.text)
    check([child.send(i).code for i in (2, 3)] == ["5.03", "2.04"], "twice, no more")
    cloud.do("refuse", code="4.03", method="DELETE")
    check(child.delete("c-0").code == "4.03" and child.delete("c-0").code == "4.04", "by method, once unless told")
    cloud.do("refuse", code="4.01", device="boiler-9", times=0)
    check(child.send(4).code == "2.04", "another device's rule")
    check([e["value"] for e in cloud.samples("boiler-1")] == [3, 4], "refused packs are not taken")


def unanswered(bench, child, path, body, form, repeats):
    """What a client shows that was not answered until it had sent its request so often again, and the cloud had looked at that."""
    shown = bench.path("unanswered")  # the key that it offers, too
    with open(shown, "wb") as out, subprocess.Popen(child.command("post", path, body, form), stdin=subprocess.DEVNULL, stdout=out,
                                                    stderr=subprocess.STDOUT) as client:
        wait_for(f"{repeats} repeats", lambda: harness.read(shown).count("c:POST") > repeats)
        check(child.request("get", "elsewhere").code, "the cloud answers")
        client.kill()
    return Answer(harness.read(shown))


def lose_before_and_after(bench):
    cloud, child = one_device(bench)
    cloud.do("lose-before-apply", path="credentials")
    key = bench.new_key(text=True)
    offer = json.dumps({"identity": "abc-2", "key": base64.b64encode(key).decode()})
    lost = unanswered(bench, child, "credentials", offer, "json", repeats=2)
    check(lost.code is None, f"its repeats are not answered either: {lost.text}")
    check(len(cloud.credentials("boiler-1")) == 1, "nothing was registered")
    cloud.do("lose-after-apply", path="credentials")
    check(unanswered(bench, child, "credentials", offer, "json", repeats=1).code is None, "no answer")
    check(len(cloud.credentials("boiler-1")) == 2, "but it was registered")
    check(child.offer("abc-2", key).code == "2.04", "the same again")
    cloud.do("lose-after-apply", path="telemetry", times=1)
    pack = json.dumps([{"bn": "boiler-1:", "n": "flow_temp", "u": "Cel", "v": 1, "t": -1}])
    check(unanswered(bench, child, "telemetry", pack, "senml", repeats=1).code is None, "a pack whose answer is lost")
    check(cloud.stats("boiler-1")["packs"] == 1, "is taken once, however often it is repeated")


def slow(bench):
    cloud, child = one_device(bench)
    cloud.do("slow", ms=3500, path="telemetry")
    started = time.monotonic()
    check(child.send(1).code == "2.04", "answered at last")
    check(time.monotonic() - started >= 3.5, "not before its time")
    check(cloud.stats("boiler-1")["packs"] == 1, "taken once, though it may have been repeated")
    cloud.do("slow", ms=3600000, path="telemetry")
    cloud.do("clear")
    check(child.send(2).code == "2.04", "and at once when cleared")


def silence(bench):
    cloud, child = one_device(bench)
    started = time.monotonic()
    cloud.do("silence", ms=2500)
    check(child.send(1).code == "2.04", "the handshake is repeated until somebody answers")
    check(time.monotonic() - started >= 2.5, "nobody did for a while")
    check(child.send(2).code == "2.04", "and all is well afterwards")


def restart_drops_sessions(bench):
    cloud, child = one_device(bench)
    cloud.do("slow", ms=3600000, times=1)
    mark = cloud.mark()
    waiting = bench.spawn("waiting", child.command("post", "telemetry", '[{"bn":"boiler-1:","n":"x","v":1}]', "senml"))
    cloud.wait_event("fault", fault="slow", since=mark)
    cloud.do("restart")
    check(cloud.stats()["sessions"] == 0, "no session is left")
    check(child.send(2).code == "2.04", "credentials are")
    waiting.kill()
    check(Answer(waiting.text()).code is None, f"what was under way is lost with its session: {waiting.text()}")
    check([e["value"] for e in cloud.samples("boiler-1")] == [2], "only the new one arrived")


def restart_keeps_state(bench):
    cloud, child = one_device(bench)
    key = bench.new_key(text=True)
    check(child.offer("abc-2", key).code == "2.01", "registered")
    second = Child(cloud, "abc-2", key)
    first_id = next(c["id"] for c in cloud.credentials("boiler-1") if c["identity"] == "abc-1")
    check(second.delete(first_id).code == "2.02", "the one of the PSK file is deleted")
    cloud.kill()
    with open(bench.path("devcloud.state"), "ab") as f:
        f.write(b'{"op":"put","id":"c-torn')
    cloud.start()
    check(second.send(1).code == "2.04", "what was registered is still there")
    check(child.send(2).code is None, "what was deleted does not come back from the PSK file")
    check([c["identity"] for c in cloud.credentials("boiler-1")] == ["abc-2"], cloud.credentials("boiler-1"))
    cloud.stop()


def forget(bench):
    cloud, child = one_device(bench)
    key = bench.new_key(text=True)
    second_id = child.offer("abc-2", key).id()
    cloud.do("forget-key", key=second_id)
    check(Child(cloud, "abc-2", key).send(1).code is None, "forgotten by id")
    cloud.do("forget-key", key="abc-1")
    check(child.send(2).code is None, "and by identity")
    cloud.do("add-credential", identity="abc-3", key=key.hex(), device="boiler-1")
    third = Child(cloud, "abc-3", key)
    check(third.send(3).code == "2.04", "the operator added one")
    mark = cloud.mark()
    live = bench.spawn("live", third.command("post", "telemetry", '[{"bn":"boiler-1:","n":"x","v":1}]', "senml", more=["-G", "250"]))
    cloud.wait_event("sample", since=mark, name="x")
    cloud.do("forget-device", device="boiler-1")
    wait_for(lambda: f"a session of a forgotten device is told so: {live.text()}", lambda: Answer(live.text()).code == "4.01")
    live.kill()
    check(cloud.ask("forget-device", device="boiler-1")["ok"] is False, "it is not there any more")


def control_refuses_nonsense(bench):
    cloud, child = one_device(bench)
    for line in (b"\n", b"nonsense\n", b"[]\n", b'{"command":"explode"}\n', b'{"command":"clear","more":1}\n',
                 b'{"command":"refuse","code":"9.99"}\n', b'{"command":"slow"}\n', b'{"command":"silence","ms":-1}\n',
                 b'{"command":"add-credential","identity":"x","key":"00"}\n'):
        answer = json.loads(cloud.control_line(line))
        check(answer["ok"] is False and answer["error"], f"{line}: {answer}")
    try:
        cloud.control_line(b"x" * 70000)
        check(False, "a line without end is refused")
    except (harness.Failure, OSError):
        pass
    check(child.send(1).code == "2.04", "and all goes on")


def a_planted_key_is_found(bench):
    """The bench's own look for keys, which every test here ends with."""
    key = bench.new_key()
    check(bench.find_keys() == [], "nothing yet")
    for form in (key, key.hex().encode(), base64.b64encode(key)):
        with open(bench.path("planted.err"), "wb") as f:
            f.write(b"the key is " + form + b".\n")
        check(bench.find_keys() == ["planted.err"], f"{form} is found")
    sleeper = bench.spawn("sleeper", ["sleep", "60"], env={"KEY": key.hex()})
    with open(bench.path("planted.err"), "wb"):
        pass
    check(bench.find_keys() == ["sleeper's environ"], bench.find_keys())
    sleeper.kill()
    bench.keys.clear()


def a_port_is_not_shared(bench):
    """A second cloud says so and ends; the first goes on, also after a restart of its server."""
    cloud, child = one_device(bench)
    for _ in range(2):
        second = bench.spawn("second", [harness.program("agent/gatehouse-devcloud/gatehouse-devcloud"), "--psk-file", cloud.psk_file,
                                        "--port", str(cloud.port)])
        check(second.wait() == 1, "the second one ends")
        check(f"UDP port {cloud.port} is taken" in second.text() and "--port" in second.text(), second.text())
        check(child.send(1).code == "2.04", "the first one answers")
        cloud.do("restart")


def psk_file_is_read_again(bench):
    """On SIGHUP: lines that came, changed and went; with a mistake nothing changes. A live session stays."""
    cloud, child = one_device(bench)
    keys = [bench.new_key(text=True) for _ in range(3)]

    def write(*lines):
        with open(cloud.psk_file, "w", encoding="utf-8") as f:
            f.write("".join(":".join(line) + "\n" for line in lines))
        cloud.send(signal.SIGHUP)
    observer = bench.spawn("observer", child.command("get", "commands", seconds=LONG, more=["-s", str(LONG)]))
    wait_for("the observation's first answer", lambda: coap_client.CODE.findall(observer.text()))
    write(("abc-1", child.key.hex(), "boiler-1"), ("new", keys[0].hex(), "boiler-2"), ("other", keys[1].hex()))
    cloud.wait_text("read again")
    check(Child(cloud, "new", keys[0]).send(1, device="boiler-2").code == "2.04", "a line that came")
    write(("abc-1", child.key.hex(), "boiler-1"), ("new", keys[2].hex(), "boiler-2"), ("odd", "no hex"))
    cloud.wait_text(f"{cloud.psk_file}:3: the key is not")
    check(Child(cloud, "new", keys[0]).send(2, device="boiler-2").code == "2.04", "with a mistake nothing changes")
    write(("abc-1", child.key.hex(), "boiler-1"), ("new", keys[2].hex(), "boiler-2"))
    wait_for("the file to be read", lambda: cloud.text().count("read again") == 2)
    check(Child(cloud, "new", keys[2]).send(3, device="boiler-2").code == "2.04", "a line that changed")
    check(Child(cloud, "new", keys[0]).send(4, device="boiler-2").code is None, "its old key")
    check(Child(cloud, "other", keys[1]).send(5, device="other").code is None, "a line that went")
    check(observer.alive() and cloud.stats("boiler-1")["handshakes"] == 1, "the session stays")
    observer.kill()


def commands(bench):
    """An observer of ours would prove little: coap-client-gnutls observes, and prints what it is notified of."""
    cloud, child = one_device(bench)
    check(child.request("get", "commands").code == "2.05", "no command yet")
    observer = bench.spawn("observer", child.command("get", "commands", seconds=LONG, more=["-s", str(LONG)]))
    cloud.wait_events(2, "session")
    wait_for("the observation's first answer", lambda: coap_client.CODE.findall(observer.text()))
    first = cloud.do("command", device="boiler-1", point="setpoint", value=21.5)["id"]
    observer.wait_text('"point":"setpoint","value":21.5}')
    second = cloud.do("command", device="boiler-1", point="setpoint", value=True)["id"]
    check(child.request("get", "commands").text.count('"value":21.5') > 0, "the oldest is shown")
    outcome = json.dumps({"id": first, "ok": True})
    check(child.request("post", "commands/outcome", outcome, "json").code == "2.04", "an outcome")
    cloud.wait_event("outcome", device="boiler-1", outcome={"id": first, "ok": True})
    observer.wait_text('"point":"setpoint","value":true}')
    check(child.request("post", "commands/outcome", outcome, "json").code == "2.04", "told twice")
    check('"value":true' in child.request("get", "commands").text, "which takes nothing off")
    for bad in ("", "[]", '{"id":2}', '{"id":2,"ok":1}'):
        check(child.request("post", "commands/outcome", bad, "json").code == "4.00", f"outcome {bad}")
    refused = json.dumps({"id": second, "ok": False, "error": "away"})
    check(child.request("post", "commands/outcome", refused, "json").code == "2.04", "a failure")
    check('"value"' not in child.request("get", "commands").text, "nothing waits")
    cloud.do("command", device="boiler-1", body="{nonsense")
    observer.wait_text("{nonsense")
    observer.kill()


if __name__ == "__main__":
    harness.main(telemetry, big_pack_in_blocks, bad_telemetry, probe_is_not_counted, wrong_key_and_unknown_identity,
                 credentials_add_up, bad_credentials, replaces, first_pack_names_the_device, refuse,
                 lose_before_and_after, slow, silence, restart_drops_sessions, restart_keeps_state, forget,
                 a_port_is_not_shared, psk_file_is_read_again, commands, control_refuses_nonsense, a_planted_key_is_found, needs=(COAP_CLIENT,))
