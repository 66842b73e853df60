#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Uplink sessions against a server upon mbedTLS (tests/peers/mbedtls-server.c), which asks for cookies and alerts a wrong key.

usage: test-uplink-mbedtls.py
"""
import contextlib
import os
import subprocess
import tempfile

from cases import Cases
from harness import BUILD_DIR
from ports import free_port
from uplink_peers import Client, Lines, check

SERVER = os.path.join(BUILD_DIR, "tests/peers/mbedtls-server")
cases = Cases()
KEY = "a-key-of-25-ASCII-letters"
OTHER_KEY = "another-key-of-27-ascii-chr"
SUITES = {
    "ecdhe-psk": ("TLS-ECDHE-PSK-WITH-CHACHA20-POLY1305-SHA256", "1"),
    "ecdhe-psk-cbc": ("TLS-ECDHE-PSK-WITH-AES-128-CBC-SHA256", "1"),
    "psk": ("TLS-PSK-WITH-AES-", "0"),
    "psk-ccm8": ("TLS-PSK-WITH-AES-128-CCM-8", "0"),
}


class Server:
    def __init__(self, stack, lookup=0):
        self.port, self.lookup = free_port(), lookup
        self.keys = stack.enter_context(tempfile.NamedTemporaryFile("w", suffix=".psk"))
        self.keys.write(f"device-0:{KEY.encode().hex()}\n")
        self.keys.flush()
        stack.callback(self.kill)
        self.start()

    def start(self):
        self.process = subprocess.Popen([SERVER, str(self.port), self.keys.name, str(self.lookup)], stdout=subprocess.PIPE, text=True)
        self.lines = Lines(self.process.stdout)
        self.lines.expect("^listening")

    def kill(self):
        self.process.kill()
        self.process.wait()


@cases.case
def each_suite_carries_a_request(stack):
    server = Server(stack)
    for name, (suite, secrecy) in SUITES.items():
        with contextlib.ExitStack() as inner:
            client = Client(inner, server.port, name)
            client.connect(KEY)
            server.lines.expect(f"^session {suite}")
            check(client.put(f"over-{name}") == "2.04", "put failed with", name)
            client.say("get 0 box")
            client.expect(f"^response 0 2.05 over-{name}")
            check(client.info()["secrecy"] == secrecy, name, "forward secrecy")


def refused(stack, key, identity):
    client = Client(stack, Server(stack).port)
    client.credential(key, identity)
    client.say("start 0 main")
    client.expect("^result 0 refused full .*(key|identity)", unless="unreachable|failed")
    client.expect("^result 0 refused full", unless="unreachable|failed")
    client.expect("^state 0 refused .*ASCII, hex or base64")


@cases.case
def a_wrong_key_is_refused(stack):
    refused(stack, OTHER_KEY, "device-0")


@cases.case
def an_unknown_identity_is_refused(stack):
    refused(stack, KEY, "nobody")


@cases.case
def a_slow_look_up_is_no_refusal(stack):
    """The server judges an identity only after nine seconds: once that is taken for silence, and never twice; when it is known to
    be so slow, not even once."""
    client = Client(stack, Server(stack, lookup=9).port)
    client.credential(KEY)
    client.say("start 0 main")
    client.expect("^state 0 online", unless="^state 0 refused")
    check(int(client.info()["failed"]) <= 1, "took", client.info()["failed"], "attempts that failed")
    before = client.info()["failed"]
    client.say("renew 0")
    client.expect("^result 0 ok full", unless="^result 0 (refused|failed|unreachable)")
    check(client.info()["failed"] == before, "the slowness was forgotten")


@cases.case
def a_probe_waits_for_a_slow_look_up(stack):
    client = Client(stack, Server(stack, lookup=9).port)
    client.credential(KEY)
    client.say("once 0 main")
    client.expect("^result 0 ok full", unless="^result 0 (refused|failed|unreachable)")


@cases.case
def a_server_that_is_away_is_unreachable(stack):
    server = Server(stack)
    server.kill()
    client = Client(stack, server.port)
    client.credential(KEY)
    client.say("start 0 main")
    client.expect("^result 0 unreachable full .*nothing listens", unless="refused")


@cases.case
def a_restarted_server_is_found_stale(stack):
    server = Server(stack)
    client = Client(stack, server.port)
    client.connect(KEY)
    check(client.put("one") == "2.04", "put failed")
    server.kill()
    server.start()
    check(client.put("two") == "2.04", "put after the restart failed")
    client.say("get 0 box")
    client.expect("^response 0 2.05 two")
    check(client.info()["state"] == "online", "not online")


if __name__ == "__main__":
    cases.main(missing=None if os.path.exists(SERVER) else "mbedTLS, when this was built")
