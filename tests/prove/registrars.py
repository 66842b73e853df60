#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Each call that a registrar makes to Golioth and Hono, met by each fault in turn: is what it concludes true?

usage: registrars.py [--verbose]

A request is made once without a fault, to see which calls it takes; then for each of these calls and each fault that the
development cloud knows once more, with a device of its own, and repeated as the agent would until it is answered. Then:

  - a key that was said to be registered is, once, and the identity holds no other;
  - a credential that was said to be deleted or not there is not; what was said to be found is there;
  - no other credential of the device, and in Hono's set nothing else, has changed, whatever else arrives late;
  - every call that the cloud recorded is, field by field, one of those that its interface has.

The last line is JSON; status 0 only if everything held.
"""
import argparse
import base64
import json
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "integration"))
import harness  # noqa: E402
from harness import Failure, check  # noqa: E402
from registrar_peers import (API_KEY, PROJECT, TENANT, Registrar, fingerprint, holds, hono_device, hono_path, hono_set,  # noqa: E402
                             manage)

GOLIOTH = f"/v1/projects/{PROJECT}"
TRIES = 6
SLOW_MS = 400
FAULTS = [("refuse", {"code": "500"}), ("refuse", {"code": "503", "max_age": 1}), ("refuse", {"code": "429", "max_age": 1}),
          ("refuse", {"code": "401"}), ("lose-before-apply", {}), ("lose-after-apply", {}), ("half-answer", {})]
READ_FAULTS = FAULTS + [("stale-read", {})]
WRITE_FAULTS = FAULTS + [("apply-late", {}), ("pretend", {})]
PASSWORD = {"type": "hashed-password", "auth-id": "user", "ext": {"note": "kept"}, "secrets": [{"pwd-plain": "x", "comment": "c"}]}


class Kind:
    """A registrar, and how its cloud looks to others."""

    def __init__(self, cloud, registrar, mode):
        self.cloud, self.registrar, self.mode = cloud, registrar, mode
        self.name = registrar.kind + (" that replaces" if mode == "replaces" else "")

    def ask(self, action, case, **more):
        key = {"key": case.key} if action == "put" else {}
        return self.registrar.ask(self.registrar.request(action, case.device, case.local, mode=self.mode, other_id=case.other_id,
                                                         cloud_id=case.cloud_id, offered=case.offered, create=case.first, **key, **more))

    def path_of(self, call):
        """As a rule for any device."""
        method, path = call
        parts = path.split("/")
        if "devices" in parts and len(parts) > 5:
            parts[5] = "*"
        elif "credentials" in parts:
            parts[4] = "*"
        if len(parts) > 7:
            parts[7] = "*"
        return method, "/".join(parts)


class Case:
    """A device with one credential that stands there already, but for a first registration."""

    def __init__(self, kind, number, bench, first):
        self.kind, self.device, self.first = kind, f"dev-{number}", first
        replaces = kind.mode == "replaces"
        self.local = f"id-{number}" if replaces else f"id-{number}-2"
        self.old = self.local if replaces else f"id-{number}-1"
        size, text = (64, True) if kind.registrar.kind == "golioth" else (32, False)
        self.old_key, self.key = bench.new_key(size, text), bench.new_key(size, text)
        self.cloud_id, self.other_id, self.offered, self.theirs = "", "", False, None
        if kind.registrar.kind == "hono":
            hono_device(kind.cloud, self.device, [PASSWORD])
            self.password = hono_set(kind.cloud, self.device)
        if not first:
            answer = kind.registrar.put(self.device, self.old, self.old_key, mode=kind.mode)
            check(answer["result"] == "ok", answer)
            self.other_id = answer["cloud_id"]

    @property
    def identity(self):
        return self.kind.registrar.identity(self.local)

    def put(self):
        """As the agent: until it is taken, and the cloud accepts the key."""
        for _ in range(TRIES):
            answer = self.kind.ask("put", self)
            check(answer["result"] in ("ok", "exists-ours", "retry"), f"put: {answer}")
            if answer["result"] == "retry":
                self.offered |= answer["maybe_sent"]
                continue
            self.offered = True
            self.cloud_id = answer.get("cloud_id", "") or self.cloud_id
            if self.there():
                return answer
        raise Failure(f"not registered after {TRIES} tries: {answer}")

    def delete(self):
        for _ in range(TRIES):
            answer = self.kind.ask("delete", self)
            if answer["result"] != "retry":
                check(answer["result"] in ("ok", "absent"), f"delete: {answer}")
                return answer
        raise Failure(f"not deleted after {TRIES} tries: {answer}")

    def find(self, stale=False):
        for _ in range(TRIES):
            answer = self.kind.ask("find", self)
            check(answer["result"] in ("ok", "absent", "retry"), f"find: {answer}")
            if answer["result"] == "ok" or answer["result"] == "absent" and not stale:
                return answer
        raise Failure(f"not found after {TRIES} tries: {answer}")

    def there(self):
        return holds(self.kind.cloud, self.device).get(self.identity) == fingerprint(self.key)

    def check_others(self, ours):
        """The cloud has what it had, and `ours` or not."""
        wanted = {self.identity: fingerprint(self.key)} if ours else {}
        if not self.first and (self.kind.mode == "adds"):
            wanted[self.kind.registrar.identity(self.old)] = fingerprint(self.old_key)
        credentials = self.kind.cloud.credentials(self.device)
        check({c["identity"]: c["fingerprint"] for c in credentials} == wanted and len(credentials) == len(wanted),
              f"the cloud has {credentials}, not {wanted}")
        if self.kind.registrar.kind == "hono":
            now = [e for e in hono_set(self.kind.cloud, self.device) if e["type"] != "psk"]
            check(now == self.password, f"others' entries were {self.password}, are {now}")


class Scenario:
    """One action: what is to be so before, and what after."""

    def __init__(self, name, first=False):
        self.name, self.first = name, first

    def prepare(self, case):
        if self.name != "put":
            case.put()

    def run(self, case, fault):
        if self.name == "put":
            answer = case.put()
            if not case.cloud_id:
                case.cloud_id = case.find()["cloud_id"]
            check(answer["result"] != "ok" or case.there(), f"said {answer}, and it is not there")
        elif self.name == "find":
            answer = case.find(stale=fault == "stale-read")
            check(answer["result"] == "ok" and answer["cloud_id"] == case.cloud_id, f"it is there, and find says {answer}")
        else:
            answer = case.delete()
            check(not case.there(), f"said {answer}, and it is there still")

    def check_end(self, case):
        case.kind.cloud.do("deliver")
        case.check_others(ours=self.name != "delete")
        found = case.find()
        check(found["result"] == ("absent" if self.name == "delete" else "ok"), f"find afterwards: {found}")


class Proof:
    def __init__(self, verbose):
        self.verbose, self.bench, self.cases, self.violations, self.calls = verbose, harness.Bench(), 0, [], 0
        self.cloud = self.bench.devcloud([], project=PROJECT, tenant=TENANT, api_key=API_KEY)
        golioth, hono = (Registrar(self.bench, self.cloud, kind) for kind in ("golioth", "hono"))
        self.kinds = [Kind(self.cloud, golioth, "adds"), Kind(self.cloud, hono, "adds"), Kind(self.cloud, hono, "replaces")]
        self.known, self.checked = {}, 0

    def say(self, text):
        print(text, flush=True)

    def violation(self, text):
        self.violations.append(text)
        self.say(f"VIOLATION {text}")

    def case(self, kind, scenario):
        self.cases += 1
        case = Case(kind, self.cases, self.bench, scenario.first)
        self.known[case.device] = case
        scenario.prepare(case)
        return case

    def run(self):
        for kind in self.kinds:
            scenarios = [Scenario("put", first=True), Scenario("put"), Scenario("find"), Scenario("delete")]
            for scenario in scenarios:
                if kind.mode == "replaces" and scenario.name == "delete":
                    continue  # nothing is deleted there: the next key displaces
                self.scenario(kind, scenario)
            self.taken_by_somebody(kind)
        self.check_record()

    def scenario(self, kind, scenario):
        case = self.case(kind, scenario)
        mark = len(self.cloud.recorded())
        scenario.run(case, None)
        calls = [(r["method"], r["path"]) for r in self.cloud.recorded()[mark:]]
        scenario.check_end(case)
        self.calls += len(calls)
        for i, call in enumerate(calls):
            for fault, arguments in READ_FAULTS if call[0] == "GET" else WRITE_FAULTS:
                what = f"{kind.name}: {'first ' if scenario.first else ''}{scenario.name}, call {i + 1} ({call[0]}), {fault} " \
                       f"{arguments.get('code', '')}".rstrip()
                try:
                    self.faulted(kind, scenario, calls, i, fault, arguments)
                    if self.verbose:
                        self.say(f"  {what}")
                except Failure as e:
                    self.violation(f"{what}: {e}")
                self.cloud.do("clear")

    def faulted(self, kind, scenario, calls, i, fault, arguments):
        case = self.case(kind, scenario)
        method, path = kind.path_of(calls[i])
        mark, timer = self.cloud.mark(), None
        if calls[i] in calls[:i]:
            # The same call once more: the one before is held until the rule stands.
            before = kind.path_of(calls[i - 1])
            self.cloud.do("slow", method=before[0], path=before[1], ms=SLOW_MS, times=1)
            timer = threading.Thread(target=self.add_when_slow, args=(mark, fault, method, path, arguments))
            timer.start()
        else:
            self.cloud.do(fault, method=method, path=path, times=1, **arguments)
        scenario.run(case, fault)
        if timer:
            timer.join()
        check(self.cloud.find_events("fault", since=mark, fault=fault), "the fault did not happen")
        scenario.check_end(case)

    def add_when_slow(self, mark, fault, method, path, arguments):
        self.cloud.wait_event("fault", since=mark, fault="slow")
        self.cloud.do(fault, method=method, path=path, times=1, **arguments)

    def taken_by_somebody(self, kind):
        """The identity has another key, which this gateway never sent: a conflict, and theirs stays."""
        case = self.case(kind, Scenario("put"))
        theirs = case.theirs = self.bench.new_key(64, text=True)
        if kind.registrar.kind == "golioth":
            device = manage(self.cloud, "GET", f"{GOLIOTH}/devices?hardwareId={case.device}")[2]["list"][0]["id"]
            status = manage(self.cloud, "POST", f"{GOLIOTH}/devices/{device}/credentials",
                            {"identity": case.local, "preSharedKey": theirs.decode(), "type": "PRE_SHARED_KEY"})[0]
        else:
            entries = [e for e in hono_set(self.cloud, case.device) if e["auth-id"] != case.local]
            entries.append({"type": "psk", "auth-id": case.local, "secrets": [{"key": base64.b64encode(theirs).decode()}]})
            status = manage(self.cloud, "PUT", hono_path(case.device), entries)[0]
        check(status in (200, 204), f"theirs is set: {status}")
        answer = kind.ask("put", case)
        stands = holds(self.cloud, case.device).get(case.identity)
        if answer["result"] != "conflict" or stands != fingerprint(theirs):
            self.violation(f"{kind.name}: the identity is taken: {answer}")

    # --- what was sent, field by field ---

    def check_record(self):
        for r in self.cloud.recorded():
            try:
                self.check_call(r)
                self.checked += 1
            except (Failure, KeyError, ValueError) as e:
                self.violation(f"{r['method']} {r['path']}: {e!r}")

    def check_call(self, r):
        method, path, query = r["method"], r["path"], r.get("query")
        body = json.loads(r["body"]) if r["body"] else None
        check(body is None or r["content_type"] == "application/json", "content-type")
        if path.startswith(GOLIOTH):
            return self.check_golioth(method, path[len(GOLIOTH) + 1:].split("/"), query, body)
        parts = path.split("/")
        if parts[2] == "devices":
            return None  # our own preparation
        check(parts[2:4] == ["credentials", TENANT] and parts[4] in self.known and query is None, path)
        if method == "GET":
            return check(body is None, "a body")
        check(method == "PUT" and isinstance(body, list), method)
        return self.check_set(self.known[parts[4]], body, "if_match" in r, r.get("status"))

    def check_golioth(self, method, parts, query, body):
        page = {"page": "0", "perPage": "100"}
        if method == "GET" and parts == ["devices"]:
            return check(query["hardwareId"] in self.known and query in ({"hardwareId": query["hardwareId"], **page},
                                                                          {"hardwareId": query["hardwareId"]}), query)
        if method == "GET":
            return check(parts[0] == "devices" and parts[2:] == ["credentials"] and query == page and body is None, query)
        if method == "DELETE":
            return check(parts[0] == "devices" and parts[2] == "credentials" and len(parts) == 4 and not query and not body, parts)
        check(method == "POST" and body["type"] == "PRE_SHARED_KEY" and not query, body)
        if parts == ["provisioning"]:
            case = self.known[body["name"]]
            check(set(body) == {"name", "hardwareIds", "identity", "preSharedKey", "type"}
                  and body["hardwareIds"] == [case.device], body)
        else:
            check(parts[0] == "devices" and parts[2:] == ["credentials"] and set(body) == {"identity", "preSharedKey", "type"}, body)
            case = next(c for c in self.known.values() if body["identity"] in (c.local, c.old))
        # The key of this gateway's, or that of the stranger who took the identity.
        ours = {case.local: case.key, case.old: case.old_key}[body["identity"]]
        return check(body["preSharedKey"].encode() in (ours, case.theirs), body)

    def check_set(self, case, entries, conditional, status):
        """Others' entries as they stood, secrets by their id, and ours in base64. What was written after a stale look must
        have been refused."""
        ours = [e for e in entries if e["type"] == "psk"]
        if not conditional:
            return None  # our own preparation
        others = [e for e in entries if e["type"] != "psk"]
        check(others == case.password or status == 412, f"others: {others}")
        for entry in ours:
            check(set(entry) <= {"type", "auth-id", "secrets", "enabled", "ext"} and entry["auth-id"] in (case.local, case.old), entry)
            for secret in entry["secrets"]:
                known = {base64.b64encode(k).decode() for k in (case.key, case.old_key)}
                check(set(secret) == {"id"} or set(secret) == {"key"} and secret["key"] in known, secret)
        return None


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1].removeprefix("usage: "))
    parser.add_argument("--verbose", action="store_true")
    proof = Proof(parser.parse_args().verbose)
    try:
        proof.run()
        found = proof.bench.find_keys()
        if found:
            proof.violation(f"a key stands in {', '.join(found)}")
    finally:
        proof.bench.remove()
    print(json.dumps({"prove": "registrars", "cases": proof.cases, "calls": proof.calls, "recorded": proof.checked,
                      "violations": len(proof.violations)}))
    return 1 if proof.violations else 0


if __name__ == "__main__":
    sys.exit(main())
