#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Servers with which a session has nothing in common, each with the right identity and key: told as a mismatch, with what was
offered and the setting to change, and no evidence about the key. Beside each a wrong key or identity, which is.

usage: test-uplink-mismatch.py [CASE...]
"""
import base64
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time

from cases import Cases
from mqtt_peers import MqttClient
from ports import free_port
from uplink_peers import Client, check, record, start_peer
from waiting import wait_for

KEY = "a-key-of-25-ASCII-letters"
OTHER_KEY = "another-key-of-27-ascii-chr"
cases = Cases()
case = cases.case
# Of a server whose answer did not come in time, or went with the connection that it ended right behind it, as on a busy machine:
# nothing is known then, and it is asked again.
TOO_LATE = ("says nothing|fell silent in the TLS handshake|does not say whether it misses|no answer to the attempt|"
            "no answer: is the server up|reset by peer|Broken pipe")
TRIES = 5


def key_file(stack, key=KEY, identity="device-0"):
    keys = stack.enter_context(tempfile.NamedTemporaryFile("w", suffix=".psk"))
    keys.write(f"{identity}:{key.encode().hex()}\n")
    keys.flush()
    return keys.name


def in_use(port):
    """Listened on, of whatever family."""
    tables = [open(f"/proc/net/{name}", encoding="ascii").read() for name in ("tcp", "tcp6")]
    return any(re.search(rf":{port:04X} \S+ 0A ", table) for table in tables)


def listens(server, port):
    wait_for(f"{server.args[0]} to listen", lambda: server.poll() is not None or in_use(port))
    check(server.poll() is None, server.args, "ended with", server.returncode)


def s_server(stack, *options, key=KEY, identity="device-0"):
    port = free_port(socket.SOCK_STREAM)
    command = ["openssl", "s_server", "-accept", str(port), "-psk", key.encode().hex(), "-psk_identity", identity, "-nocert",
               "-quiet", *options]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    stack.callback(server.wait)
    stack.callback(server.kill)
    listens(server, port)
    return port


def gnutls_serv(stack, priority, *options, key=KEY, identity="device-0"):
    port = free_port(socket.SOCK_STREAM)
    server = subprocess.Popen(["gnutls-serv", "--quiet", "--port", str(port), "--pskpasswd", key_file(stack, key, identity),
                               "--priority", priority, *options], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    stack.callback(server.wait)
    stack.callback(server.kill)
    listens(server, port)
    return port


def outcome(stack, port, suites="ecdhe-psk,psk"):
    return outcome_of(MqttClient(stack, port, suites=suites))


def outcome_of(client):
    """What the first answer of the server is taken for."""
    client.credential(KEY)
    client.say("start 0 main")
    for _ in range(TRIES):
        result, reason = client.expect(r"^result 0 (\w+) full (.*)").groups()
        if result not in ("unreachable", "failed") or not re.search(TOO_LATE, reason):
            break
    return result, reason


def told_as_mismatch(found, *words):
    result, reason = found
    check(result == "failed", "counted as", result, "with", reason)
    for word in ("offered: ", *words):
        check(word in reason, repr(word), "is not in", reason)
    check("did not accept" not in reason, "blames the key:", reason)


def told_as_refusal(found):
    result, reason = found
    check(result == "refused" and "did not accept key or identity" in reason, result, "with", reason)


@case
def tls_1_2_without_a_common_suite(stack):
    told_as_mismatch(outcome(stack, s_server(stack, "-tls1_2", "-cipher", "PSK-AES256-CBC-SHA")), '"suites"', "ecdhe-psk, psk")


@case
def tls_1_2_without_a_common_group(stack):
    told_as_mismatch(outcome(stack, s_server(stack, "-tls1_2", "-groups", "P-521"), "ecdhe-psk"), '"suites"', "X25519, P-256, P-384")


@case
def tls_1_1_only(stack):
    told_as_mismatch(outcome(stack, s_server(stack, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")), "version", "TLS 1.2", "TLS 1.3")


@case
def tls_1_2_wrong_key(stack):
    told_as_refusal(outcome(stack, s_server(stack, "-tls1_2", key=OTHER_KEY)))


def der(tag, *contents):
    body = b"".join(contents)
    return bytes([tag, len(body)]) + body if len(body) < 128 else bytes([tag, 0x81, len(body)]) + body


def integer(n):
    return der(2, n.to_bytes(n.bit_length() // 8 + 1, "big"))


def bound_to_sha384(stack, key):
    """A key as OpenSSL keeps one that is bound to a hash: as a session of that hash's suite."""
    now = int(time.time())
    session = der(0x30, der(2, b"\1"), der(2, b"\x03\x04"), der(4, b"\x13\x02"), der(4, b""), der(4, key.encode()),
                  der(0xA1, integer(now)), der(0xA2, integer(86400)))
    file = stack.enter_context(tempfile.NamedTemporaryFile("w", suffix=".pem"))
    file.write("-----BEGIN SSL SESSION PARAMETERS-----\n" + base64.encodebytes(session).decode() +
               "-----END SSL SESSION PARAMETERS-----\n")
    file.flush()
    return file.name


@case
def tls_1_3_key_bound_to_sha384(stack):
    port = s_server(stack, "-tls1_3", "-psk_session", bound_to_sha384(stack, KEY))
    told_as_mismatch(outcome(stack, port), "SHA-384", "another hash")


@case
def tls_1_3_without_a_common_suite(stack):
    told_as_mismatch(outcome(stack, s_server(stack, "-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384")), '"suites"')


@case
def tls_1_3_without_a_common_group(stack):
    for groups in ("P-521", "ffdhe2048", "X448"):
        told_as_mismatch(outcome(stack, s_server(stack, "-tls1_3", "-groups", groups)), "X25519, P-256, P-384")


@case
def tls_1_3_after_a_hello_retry_request(stack):
    found = outcome(stack, s_server(stack, "-tls1_3", "-groups", "P-384"))
    check(found[1].endswith("does not answer CONNECT"), "no handshake:", *found)
    for groups in ("P-256", "P-384"):
        told_as_refusal(outcome(stack, s_server(stack, "-tls1_3", "-groups", groups, identity="somebody-else")))


@case
def tls_1_3_wrong_key(stack):
    told_as_refusal(outcome(stack, s_server(stack, "-tls1_3", key=OTHER_KEY)))


@case
def tls_1_3_unknown_identity(stack):
    told_as_refusal(outcome(stack, s_server(stack, "-tls1_3", identity="somebody-else")))


PSK_ONLY = "NORMAL:-KX-ALL:+PSK:+ECDHE-PSK:-CTYPE-ALL"


@cases.needing("gnutls-serv")
def gnutls_without_a_common_suite(stack):
    for version in ("1.2", "1.3"):
        told_as_mismatch(outcome(stack, gnutls_serv(stack, f"{PSK_ONLY}:-VERS-ALL:+VERS-TLS{version}:-CIPHER-ALL:+CAMELLIA-256-GCM"
                                                    ":+AES-256-CBC:+SHA1")), '"suites"')


@cases.needing("gnutls-serv")
def gnutls_wrong_key_and_unknown_identity(stack):
    for version in ("1.2", "1.3"):
        priority = f"{PSK_ONLY}:-VERS-ALL:+VERS-TLS{version}"
        told_as_refusal(outcome(stack, gnutls_serv(stack, priority, key=OTHER_KEY)))
        told_as_refusal(outcome(stack, gnutls_serv(stack, priority, identity="somebody-else")))


# ── DTLS ──


def dtls_outcome(stack, port, suites="ecdhe-psk,psk"):
    return outcome_of(Client(stack, port, suites))


@cases.needing("gnutls-serv")
def dtls_without_a_common_suite(stack):
    for priority, suites in (("-CIPHER-ALL:+AES-256-GCM", "psk-ccm8"), ("-GROUP-ALL:+GROUP-SECP521R1:-PSK", "ecdhe-psk")):
        port = free_port()
        start_peer(stack, ["gnutls-serv", "--udp", "--quiet", "--port", str(port), "--pskpasswd", key_file(stack), "--priority",
                           f"NORMAL:-KX-ALL:+PSK:+ECDHE-PSK:{priority}"], port)
        told_as_mismatch(dtls_outcome(stack, port, suites), "suites", "DTLS 1.2")


class CookieServer:
    """Asks for a cookie of `size` bytes, and takes nothing."""

    def __init__(self, stack, size):
        self.socket = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.socket.bind(("127.0.0.1", 0))
        self.port, self.size = self.socket.getsockname()[1], size
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        body = b"\xfe\xfd" + bytes([self.size]) + bytes(range(self.size))
        message = b"\3" + len(body).to_bytes(3, "big") + b"\0\0" + b"\0\0\0" + len(body).to_bytes(3, "big") + body
        while True:
            try:
                _, client = self.socket.recvfrom(65536)
                self.socket.sendto(record(22, 0, 0, message), client)
            except OSError:
                return


@case
def a_cookie_over_32_bytes_is_a_limit_of_the_library(stack):
    for size in (33, 64, 255):
        result, reason = dtls_outcome(stack, CookieServer(stack, size).port)
        check(result == "failed", "counted as", result, "with", reason)
        check(f"cookie of {size} bytes" in reason and "at most 32" in reason and "limit of that library" in reason, "said", reason)


if __name__ == "__main__":
    cases.main(missing=None if shutil.which("openssl") else "openssl")
