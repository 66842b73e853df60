#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A session that is online while nothing is accepted is told so, with the reason: by LastError, `show` and the journal. Nothing is
given up for it, and all arrives afterwards."""
import contextlib

import harness
from harness import check
from scripted_broker import NOTHING, ScriptedBroker
from scripted_coap import NOTHING as NO_ANSWER, ScriptedCoap

WORDS = "samples wait: nothing accepted for "


def is_sample(topic, payload):
    return topic.endswith("/telemetry") and b"_probe" not in payload


def check_told(bench, agent, device):
    text = bench.wait_property(device, "LastError", lambda text: text.startswith(WORDS) and ("does not answer" in text or "did not" in text))
    agent.wait_text(f"{device}: warning: {WORDS}")
    check(WORDS in bench.ctl("show", device), "shown")
    check(int(text[len(WORDS):].split()[0]) >= 30, text)
    check(bench.get(device, "Delivered") == 0 and bench.get(device, "Rejected") == 0, "nothing is given up")


def it_is_told_that_nothing_is_accepted(bench):
    """A broker that acknowledges no sample, one that acknowledges nothing, a CoAP server that answers pings only."""
    silent = [True]
    with contextlib.ExitStack() as stack:
        keys = {name: bench.new_key(text=True) for name in ("samples", "all", "coap")}
        brokers = {"samples": ScriptedBroker(stack, {"samples": keys["samples"]}, lambda client, topic, payload:
                                             NOTHING if silent and is_sample(topic, payload) else None),
                   "all": ScriptedBroker(stack, {"all": keys["all"]}, lambda client, topic, payload: NOTHING if silent else None)}
        server = ScriptedCoap(stack, {"coap": keys["coap"]}, lambda client, m: NO_ANSWER if silent else None)
        uplinks = {name: {"url": f"mqtts://127.0.0.1:{b.port}", "profile": "senml-mqtt"} for name, b in brokers.items()}
        uplinks["coap"] = {"url": server.url, "profile": "senml"}
        bench.write_json("gatehouse.json", {"uplinks": {name: {**u, "registrar": {"type": "manual"}} for name, u in uplinks.items()}})
        for name in keys:
            bench.write_device(name, "sim", {"n": {"signal": "counter"}}, uplink=name, interval="200ms")
        agent = bench.agent()
        bench.driver("sim")
        for name, key in keys.items():
            bench.key_set(name, name, key)
        for name in keys:
            check_told(bench, agent, name)
        bench.wait_property("samples", "Sending", lambda answer: answer == "under-way")
        silent.clear()
        for name in keys:
            bench.wait_property(name, "LastError", lambda text: WORDS not in text)
            bench.wait_property(name, "Delivered", lambda n: n > 10)
            agent.wait_text(f"{name}: samples are accepted again, after ")
            check(bench.get(name, "Rejected") == 0, "nothing was given up")


if __name__ == "__main__":
    harness.main(it_is_told_that_nothing_is_accepted, needs=("stunnel",))
