#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a broker says besides its codes is shown, and cannot do harm: Reason String, Server Reference, refused subscriptions. And it
hears from each device within the keepalive."""
import contextlib

import harness
from harness import check, wait_for
from scripted_broker import REASON_STRING, SERVER_KEEP_ALIVE, SERVER_REFERENCE, ScriptedBroker, text_property
from waiting import DEADLINE

DEVICE = "d1"
EVIL = "over quota until \xe9 \"tomorrow\"" + "x" * 300


def start(bench, broker, key, **uplink):
    bench.write_config(f"mqtts://127.0.0.1:{broker.port}", uplink={"profile": "senml-mqtt", "registrar": {"type": "manual"}, **uplink})
    bench.write_device(DEVICE, "sim", {"n": {"signal": "counter", "writable": True}}, interval="1h")
    agent = bench.agent()
    bench.driver("sim")
    bench.key_set(DEVICE, "first-1", key)
    return agent


def case(function):
    def run(bench):
        with contextlib.ExitStack() as stack:
            key = bench.new_key(text=True)
            function(bench, stack, key, ScriptedBroker(stack, {"first-1": key}))
    run.__name__ = function.__name__
    return run


def check_words(bench, *wanted):
    text = bench.wait_property(DEVICE, "LastError", lambda text: all(w in text for w in wanted))
    check(all(" " <= c <= "~" for c in text), f"not printable: {text!r}")
    check(len(text) < 512, f"{len(text)} characters")
    # An attempt that ends otherwise on a busy machine is followed by one that ends like this.
    wait_for(f"{wanted} to be shown", lambda: (lambda shown: all(w in shown for w in wanted))(bench.ctl("show", DEVICE)))


@case
def words_of_connack(bench, stack, key, broker):
    broker.connack, broker.connack_properties = 0x97, text_property(REASON_STRING, EVIL[:100])
    start(bench, broker, key, mqtt_version="5")
    check_words(bench, "quota", '"over quota until \\xc3\\xa9 \\x22tomorrow\\x22x')


@case
def another_server_is_named(bench, stack, key, broker):
    broker.connack, broker.connack_properties = 0x9c, text_property(SERVER_REFERENCE, "broker-2.example.com:8883")
    start(bench, broker, key)
    check_words(bench, "wants another server", '"broker-2.example.com:8883"')


@case
def another_server_is_followed(bench, stack, key, broker):
    """Only if that is wanted, and as far as somebody is there who has the key; then back to the uplink's own host."""
    other = ScriptedBroker(stack, {"first-1": key})
    named = text_property(SERVER_REFERENCE, f"[::1]:1,127.0.0.1:{other.port}")
    broker.connack, broker.connack_properties = 0x9c, named
    start(bench, broker, key, follow_references=True)
    # The first of those named is taken alone: nobody is there, so the next time another is named.
    bench.wait_property(DEVICE, "LastError", lambda text: "wants another server" in text)
    broker.connack_properties = text_property(SERVER_REFERENCE, f"127.0.0.1:{other.port}")
    server = bench.wait_property(DEVICE, "Server", lambda text: text.startswith(f"127.0.0.1:{other.port}"))
    check("as a broker said" in server and server in bench.ctl("show", DEVICE), server)
    bench.wait_property(DEVICE, "State", "online")
    broker.connack, broker.connack_properties = 0, b""
    other.front.kill()
    other.front.wait(DEADLINE)
    bench.wait_property(DEVICE, "Server", lambda text: text == f"127.0.0.1:{broker.port}")


@case
def a_refusal_there_is_no_evidence(bench, stack, key, broker):
    """The uplink's own broker has accepted the key: that another one does not is nothing that is held against it."""
    other = ScriptedBroker(stack, {"first-1": bench.new_key(text=True)})
    broker.connack, broker.connack_properties = 0x9c, text_property(SERVER_REFERENCE, f"127.0.0.1:{other.port}")
    agent = start(bench, broker, key, follow_references=True)
    bench.wait_property(DEVICE, "LastError", lambda text: "did not accept key or identity" in text)
    wait_for("it to be tried again and again", lambda: broker.connects > 4 or bench.call(DEVICE, "Connect"))
    check(bench.get(DEVICE, "State") != "refused" and "refused" not in agent.text(), agent.text())


@case
def the_next_host_of_the_list(bench, stack, key, broker):
    """Nobody is at the first; the broker is the second, and stays in use."""
    start(bench, broker, key, url=[f"mqtts://127.0.0.2:{broker.port}", f"mqtts://127.0.0.1:{broker.port}"])
    bench.wait_property(DEVICE, "Server", f"127.0.0.1:{broker.port}")
    bench.wait_property(DEVICE, "State", "online")
    check(f"127.0.0.1:{broker.port}" in bench.ctl("show", DEVICE), "it is shown which")


@case
def words_of_disconnect(bench, stack, key, broker):
    words = text_property(SERVER_REFERENCE, "b2:8883") + text_property(REASON_STRING, "moved")
    broker.publish = lambda client, topic, payload: (0x9d, words)
    start(bench, broker, key)
    check_words(bench, "wants another server", '"b2:8883"', 'it says "moved"')


@case
def a_refused_subscription_is_named(bench, stack, key, broker):
    broker.suback, broker.suback_properties = lambda topic: 0x87, text_property(REASON_STRING, EVIL[:100])
    agent = start(bench, broker, key)
    check_words(bench, "commands of the cloud cannot be heard", "0x87 (", f'"gatehouse/{DEVICE}/command"',
                '"over quota until \\xc3\\xa9 \\x22tomorrow\\x22x')
    agent.wait_text('commands of the cloud cannot be heard: it answers 0x87 (Not authorized) "over quota')
    # Allowed again, it is over with the next session.
    broker.suback = lambda topic: 1
    bench.call(DEVICE, "Disconnect")
    bench.wait_property(DEVICE, "State", "disabled")
    bench.call(DEVICE, "Connect")
    bench.wait_property(DEVICE, "LastError", "")


@case
def words_of_puback(bench, stack, key, broker):
    """Shown while samples are not taken, and over when they are."""
    broker.publish, broker.puback_properties = lambda client, topic, payload: 0x97, text_property(REASON_STRING, EVIL[:100])
    start(bench, broker, key)
    check_words(bench, '0x97 "over quota until \\xc3\\xa9 \\x22tomorrow\\x22x', f'"gatehouse/{DEVICE}/telemetry"')
    broker.publish, broker.puback_properties = lambda client, topic, payload: 0x87, text_property(REASON_STRING, "no such right")
    check_words(bench, '0x87 "no such right"', "may this identity send there")
    broker.publish = lambda client, topic, payload: None
    bench.call(DEVICE, "Disconnect")
    bench.call(DEVICE, "Connect")
    bench.wait_property(DEVICE, "LastError", "")


@case
def pings_come_within_the_keepalive(bench, stack, key, broker):
    """The broker's own keepalive, which binds the client; it is silent otherwise."""
    broker.connack_properties = bytes([SERVER_KEEP_ALIVE, 0, 4])
    start(bench, broker, key)
    client = wait_for("a client that pings", lambda: next((c for c in broker.clients if len(c.pings) >= 4), None))
    gaps = [b - a for a, b in zip(client.pings, client.pings[1:])]
    # Of several, one that no busy machine has held up.
    check(min(gaps) <= 4, f"gaps of {gaps} s")
    check(len([c for c in broker.clients if c.id]) == 1, "over one connection")


if __name__ == "__main__":
    harness.main(words_of_connack, another_server_is_named, another_server_is_followed, a_refusal_there_is_no_evidence, the_next_host_of_the_list, words_of_disconnect,
                 a_refused_subscription_is_named, words_of_puback,
                 pings_come_within_the_keepalive, needs=("stunnel",))
