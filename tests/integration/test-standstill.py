#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A session that is online while nothing is accepted is told so, with the reason: by LastError, `show` and the journal. Nothing is
given up for it, and all arrives afterwards."""
import contextlib

import harness
from harness import check
from scripted_broker import NOTHING, ScriptedBroker
from scripted_coap import NOTHING as NO_ANSWER, ScriptedCoap

DEVICE = "d1"
WORDS = "samples wait: nothing accepted for "


def waits(bench, agent, resume, *why):
    text = bench.wait_property(DEVICE, "LastError", lambda text: text.startswith(WORDS) and any(w in text for w in why))
    agent.wait_text(WORDS)
    check(WORDS in bench.ctl("show", DEVICE), "shown")
    check(int(text[len(WORDS):].split()[0]) >= 30, text)
    check(bench.get(DEVICE, "Delivered") == 0 and bench.get(DEVICE, "Rejected") == 0, "nothing is given up")
    resume()
    bench.wait_property(DEVICE, "LastError", lambda text: WORDS not in text)
    bench.wait_property(DEVICE, "Delivered", lambda n: n > 10)
    agent.wait_text("samples are accepted again, after ")
    check(bench.get(DEVICE, "Rejected") == 0, "nothing was given up")


def start(bench, url, key, **uplink):
    bench.write_config(url, uplink={"registrar": {"type": "manual"}, **uplink})
    bench.write_device(DEVICE, "sim", {"n": {"signal": "counter"}}, interval="200ms")
    agent = bench.agent()
    bench.driver("sim")
    bench.key_set(DEVICE, "first-1", key)
    return agent


def broker(bench, stack, is_silent):
    key = bench.new_key(text=True)
    silent = [True]
    server = ScriptedBroker(stack, {"first-1": key}, lambda client, topic, payload: NOTHING if silent and is_silent(topic, payload) else None)
    agent = start(bench, f"mqtts://127.0.0.1:{server.port}", key, profile="senml-mqtt")
    waits(bench, agent, silent.clear, "the broker did not acknowledge in time", "the server does not answer it", "does not answer")


def a_broker_that_acknowledges_no_sample(bench):
    with contextlib.ExitStack() as stack:
        broker(bench, stack, lambda topic, payload: topic.endswith("/telemetry") and b"_probe" not in payload)


def a_broker_that_acknowledges_nothing(bench):
    with contextlib.ExitStack() as stack:
        broker(bench, stack, lambda topic, payload: True)


def a_server_that_answers_pings_only(bench):
    with contextlib.ExitStack() as stack:
        key, silent = bench.new_key(), [True]
        server = ScriptedCoap(stack, {"first-1": key}, lambda client, m: NO_ANSWER if silent else None)
        waits(bench, start(bench, server.url, key), silent.clear, "the server does not answer it", "does not answer")


if __name__ == "__main__":
    harness.main(a_broker_that_acknowledges_no_sample, a_broker_that_acknowledges_nothing, a_server_that_answers_pings_only, needs=("stunnel",))
