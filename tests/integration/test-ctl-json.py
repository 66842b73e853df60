#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What gatehousectl prints for programs: one document a call, whether it goes well or not, as its schema describes it, of every verb."""
import json
import os
import re
import signal

import ctl_schema
import harness
from agent_bench import check_options, sim_bench
from harness import check, wait_for

CTL = "agent/gatehousectl/gatehousectl"
STRICT = ctl_schema.closed(ctl_schema.load())
# Never in the documents of one call: what is chosen by an option, or by the caller.
METHOD = re.compile(r"[A-Z][A-Za-z]*: ")
POINTS = {"x": {"signal": "sine", "unit": "Cel"}, "w": {"signal": "constant", "value": 1, "writable": True}}


def said(bench, *words, status=0, **options):
    """The result of a call whose document is valid."""
    document = bench.ctl_json(*words, status=None, **options)
    faults = ctl_schema.faults(document, STRICT)
    check(not faults and document["status"] == status, f"{words}: {faults}: {document}")
    return document


def write(path, value):
    with open(path, "w", encoding="utf-8") as f:
        f.write(value if isinstance(value, str) else json.dumps(value))
    return path


def as_agent(bench):
    """A program that checks a configuration with the plugins of the build directory."""
    path = write(bench.path("check-agent"), "#!/bin/sh\nexec '" + "' '".join(
        [harness.program("agent/gatehoused/gatehoused"), *check_options(bench)]) + "' \"$@\"\n")
    os.chmod(path, 0o755)
    return path


def verbs_that_look(bench, server):
    scan = f"tcp://127.0.0.1:{server.port}"
    return [["status"], ["list"], ["show", "a"], ["show", "none"], ["read", "a", "x"], ["read", "--all"], ["read", "--latest", "a", "b"],
            ["job", "list"], ["metrics"], ["metrics", bench.path("metrics")], ["help", "list"],
            ["scan", "modbus", scan, "--units=1-2", "--timeout=10s"],
            ["read", "--url=" + scan, "--unit=1", "--read=input:2:1:uint16", "--timeout=10s"]]


def verbs_that_act(bench, key):
    apply = ["apply", bench.path("wanted"), "--config-dir", bench.config, "--state-dir", bench.state, "--agent-program",
             as_agent(bench)]
    device = {"device": "new", "uplink": "cloud", "driver": "sim", "sim": {}, "points": {"x": {}}}
    os.makedirs(bench.path("wanted", "devices.d"))
    for name in ("a.json", "b.json"):  # that of ble would need its plugin
        write(bench.path("wanted", "devices.d", name), harness.read(os.path.join(bench.config, "devices.d", name)))
    write(bench.path("wanted", "devices.d", "more.json"), {**device, "device": "more"})
    for name in ("lists", "keys"):
        os.mkdir(bench.path(name))
    write(bench.path("lists", "two.csv"), "device\np-3\n")
    template = write(bench.path("lists", "template.json"), {k: v for k, v in device.items() if k != "device"})
    return [["write", "a", "w", "-5"], ["write", "a", "w=-4"], ["device", "add", "new", write(bench.path("new-file"), device)],
            ["key", "set", "new", "first-new", "--encoding=hex", write(bench.path("keys", "new"), key.hex())],
            ["key", "set", "none", "--kind=bind", write(bench.path("keys", "bind"), os.urandom(16).hex())],
            ["key", "counter-reset", "none"], ["key", "forget", "none", "--kind=bind"],
            ["rotate", "a"], ["rotate", "a", "--no-wait"], ["job", "wait", "1"],
            ["key", "export", "new", "main", bench.path("keys", "out")], ["export", "csv", bench.path("keys", "all")],
            ["disconnect", "b"], ["connect", "b"], ["disconnect", "a", "b"], ["connect", "--all"], ["reload"],
            ["provision", "--count=2", "--prefix=p-", "--template", template],
            ["provision", "--directory", bench.path("lists")], [*apply, "--dry-run"], apply,
            ["device", "remove", "new", "--yes"], ["vault", "verify"], ["vault", "backup", bench.path("backup")],
            ["vault", "recovery-key"], ["vault", "rekey", "--keyfile", bench.keyfile],
            ["vault", "init", "--keyfile", bench.path("key2")],
            ["support-bundle", bench.path("bundle"), "--config-dir", bench.config, "--state-dir", bench.state]]


def every_verb_is_as_described(bench):
    agent, _, cloud, _ = sim_bench(bench, ("a", "b"), points=POINTS)
    bench.write_device("none", "ble", points={}, address="00:11:22:33:44:55")
    bench.ctl("reload")
    bench.driver("modbus")
    server, key, called = bench.modbus_server(devices=2), bench.new_key(), [["watch"], ["key promote"]]  # this one in test-ctl-mistyped.py
    cloud.do("add-credential", identity="first-new", key=key.hex(), device="new")
    wait_for("the driver", lambda: any(d[0] == "modbus" and d[2] == "connected" for d in bench.get(None, "Drivers")))
    wait_for("samples", lambda: len(bench.ctl_json("read", "--all")["samples"]) == 4)
    for words in (*verbs_that_look(bench, server), *verbs_that_act(bench, key)):
        document = said(bench, *words)
        called.append([document["verb"]])
        check(all(document["errors"]), f"{words}: an error without words: {document}")
        names = list(document["result"])
        check(not any(c.isupper() for name in names for c in name), f"{words}: {names}")
    rows = said(bench, "list")["result"]["devices"]
    check([r["device"] for r in rows] == ["a", "b", "more", "p-1", "p-2", "p-3"], rows)
    called.append(cancelled(bench, cloud))
    called.append(checked(bench))
    watched(bench, agent)
    for words in (["list"], ["status"], ["metrics"]):
        document = said(bench, *words, status=3)
        check(words == ["metrics"] or "not running" in document["errors"][0], document)
    called += [["vault restore"], ["vault reset"]]
    document = said(bench, "vault", "restore", bench.path("backup"), status=1)
    check("gatehoused --restore" in json.dumps(document), document)
    said(bench, "vault", "reset", "--for-image", "--yes", "--keyfile", bench.keyfile, "--state-dir", bench.state)
    verbs = {v["verb"] for v in said(bench, "help")["result"]["verbs"]}
    missing = verbs - {c[0] for c in called}
    check(not missing, f"no document of these verbs was looked at: {missing}")


def cancelled(bench, cloud):
    """A job that waits, until it is cancelled."""
    cloud.do("refuse", code="5.03", path="credentials", method="POST", device="a", times=0)
    number = said(bench, "rotate", "--all", "--no-wait")["result"]["jobs"][0]["job"]
    said(bench, "job", "cancel", number)
    return ["job cancel"]


def checked(bench):
    """A doctor's document whatever is found, and its status."""
    document = bench.ctl_json("check", "--config-dir", bench.config, "--state-dir", bench.state, "--keyfile", bench.keyfile,
                              *check_options(bench), status=None)
    check(not ctl_schema.faults(document, STRICT) and document["status"] in (0, 1, 2), document)
    result = document["result"]
    check(result["errors"] + result["warnings"] + result["notes"] == len(result["findings"]), result)
    return ["check"]


def watched(bench, agent):
    """A document an event, each as described; the last one is the verb's own."""
    watch = bench.spawn("watch", [harness.program(CTL), "--json=short", "watch", "a"])
    watch.wait_event("sample", device="a")
    bench.ctl("disconnect", "a")
    wait_for("the state", lambda: any(e["properties"]["state"] == "disabled" for e in watch.find_events("state", device="a")))
    agent.stop()
    check(watch.wait() == 3, "the agent's end")
    documents = [json.loads(line) for line in harness.read(watch.out).splitlines()]
    for document in documents:
        check(not ctl_schema.faults(document, STRICT), f"{document}: {ctl_schema.faults(document, STRICT)}")
    last = documents[-1]
    check(last["verb"] == "watch" and last["status"] == 3 and "stopped" in last["errors"][0], f"its last line: {last}")
    check(sum("verb" in d for d in documents) == 1, "one document of the verb")


def failures_have_the_same_shape(bench):
    sim_bench(bench, ("a",))
    for words, status, says in ((["show", "nobody"], 4, "nobody"), (["key", "promote", "a"], 1, ""), (["read", "a", "y"], 1, "'y'"),
                                (["list", "--prefix=x"], 2, "has no option"), (["lst"], 2, "unknown verb"),
                                (["list", "--colour"], 2, "unknown option"), (["device", "remove", "a"], 1, "--yes"),
                                (["key", "export", "a", "main"], 1, "do not share"), (["export", "csv"], 1, "do not share"),
                                (["rotate", "a", "nobody"], 6, "nobody"), (["disconnect", "a", "nobody"], 6, "nobody"),
                                (["provision", "--count=1"], 1, "uplink"), (["write", "a", "x", "1"], 1, "not writable"),
                                (["job", "wait", "x"], 2, "no number"), (["apply", bench.path("nowhere"), "--config-dir", bench.config], 1, "nowhere"),
                                (["vault", "restore", bench.path("backup")], 1, "backup")):
        document = said(bench, *words, status=status)
        check(any(says in e for e in document["errors"]), f"{words}: {document}")
        check(not any(METHOD.match(e) for e in document["errors"]), f"{words}: it begins with a method: {document}")
    watch = bench.spawn("watch", [harness.program(CTL), "--json=pretty", "watch", "a"])
    watch.wait_text('"event": "sample"')
    watch.interrupt()
    check(watch.wait() == 0, "Ctrl-C is no failure")
    decoder, text, n = json.JSONDecoder(), harness.read(watch.out).strip(), 0
    while text:
        document, end = decoder.raw_decode(text)
        check(not ctl_schema.faults(document, STRICT), document)
        text, n = text[end:].strip(), n + 1
    check(n > 1 and document["verb"] == "watch" and document["status"] == 0, f"the last one: {document}")


def an_agent_that_goes_is_no_answer(bench):
    """It ends with a call under way: that is said, and the status is that of an agent that does not run."""
    agent, *_ = sim_bench(bench, ("a",))
    agent.send(signal.SIGSTOP)
    since = bench.monitor.mark()
    asked = bench.spawn("asked", [harness.program(CTL), "--json=short", "list"])
    wait_for("the call", lambda: bench.monitor.messages(since, type="method_call", member="ListDevices"))
    agent.kill()
    check(asked.wait() == 3, asked.text())
    check(json.loads(harness.read(asked.out))["errors"] == ["gatehoused has stopped"], asked.text())


if __name__ == "__main__":
    harness.main(every_verb_is_as_described, failures_have_the_same_shape, an_agent_that_goes_is_no_answer, needs=("busctl",))
