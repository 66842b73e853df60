#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Uplink sessions over MQTT against mosquitto.

usage: test-uplink-mqtt.py [CASE...]     GATEHOUSE_MOSQUITTO: another mosquitto than the system's

Cases run beside one another, each with its own client and broker.
"""
import contextlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

from cases import Cases
from mqtt_peers import MOSQUITTO, Broker, HostileBroker, MqttClient, Subscriber, memory_peak, publish
from ports import free_port
from relays import DeafRelay, NarrowPath
from uplink_peers import CLIENT, check
from waiting import DEADLINE

KEY = "a-key-of-25-ASCII-letters"
LONG_KEY = "QzmXwKfPjYtRbNvAhLcGeUsIoDqWxErT7Z9y2V4k6M8n1B3g5H0jFpSdCaLiOuQe"
OTHER_KEY = "another-key-of-27-ascii-chr"
KEYS = {"device-0": KEY}
VERSIONS = ("tlsv1.2", "tlsv1.3")

cases = Cases()
case, case_per_tls = cases.case, cases.each(*VERSIONS)

SUITES = {
    "ecdhe-psk": ("TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256", "1"),
    "ecdhe-psk-cbc": ("TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA256", "1"),
    "psk": ("TLS_PSK_WITH_AES_128_GCM_SHA256", "0"),
    "psk-ccm8": ("TLS_PSK_WITH_AES_128_CCM_8", "0"),
}


@case
def each_suite_carries_a_message_over_tls_1_2(stack):
    broker = Broker(stack, KEYS, "tlsv1.2", extra="ciphers ALL:@SECLEVEL=0\n")
    seen = Subscriber(stack, broker)
    for name, (suite, secrecy) in SUITES.items():
        client = MqttClient(stack, broker.port, suites=name)
        client.connect(KEY)
        info = client.info()
        check(info["suite"].replace("256_GCM_SHA384", "128_GCM_SHA256") == suite and info["secrecy"] == secrecy, name, "gave", info["suite"], info["secrecy"])
        client.publish("t/" + name, "x")
        check(client.answer() == "ok", "not acknowledged")
        seen.expect(f"^t/{name} 0 x$")
        client.say("bye 0")
        client.expect("^state 0 stopped")


@case_per_tls
def messages_go_and_come(stack, tls):
    broker = Broker(stack, {"device-0": LONG_KEY}, tls)
    seen = Subscriber(stack, broker)
    client = MqttClient(stack, broker.port)
    client.connect(LONG_KEY)
    info = client.info()
    check(info["tells"] == "1" and info["secrecy"] == "1", "had", info)
    check(info["suite"] == ("TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256" if tls == "tlsv1.2"
                            else "TLS_CHACHA20_POLY1305_SHA256"), "had", info["suite"])
    client.say("subscribe 0 commands/+")
    broker.lines.expect("Sending SUBACK to d0$")
    publish(broker, "commands/a", "close the valve")
    client.expect("^message 0 commands/a close the valve")
    client.say("unsubscribe 0")
    broker.lines.expect("Sending UNSUBACK to d0$")
    publish(broker, "commands/a", "not heard")
    client.publish("retained", "kept", verb="retain")
    check(client.answer() == "ok", "not acknowledged")
    seen.expect("^retained . kept$")
    check(not any("not heard" in line for line in client.lines.seen), "heard what was unsubscribed")


@case
def an_older_broker_is_spoken_to_in_3_1_1(stack):
    broker = Broker(stack, KEYS)
    client = MqttClient(stack, broker.port, version="mqtt311")
    client.connect(KEY)
    check(client.info()["tells"] == "0", "claims that refusals are told")
    broker.lines.expect(r"New client connected .*\(p2,")
    client.publish("a", "x")
    check(client.answer() == "ok", "not acknowledged")


@case_per_tls
def a_wrong_key_is_refused(stack, tls):
    broker = Broker(stack, KEYS, tls)
    client = MqttClient(stack, broker.port)
    client.credential(OTHER_KEY)
    client.say("start 0 main")
    reason = client.expect("^result 0 refused full (.*)")[1]
    check("identity device-0" in reason and "did not accept key or identity" in reason, "said", reason)
    client.expect("^state 0 refused")
    # With the right one it comes back, whatever went before.
    client.credential(KEY)
    client.say("renew 0")
    client.expect("^state 0 online")


@case_per_tls
def an_unknown_identity_is_refused(stack, tls):
    broker = Broker(stack, KEYS, tls)
    client = MqttClient(stack, broker.port)
    client.credential(KEY, identity="stranger")
    result = client.once()
    check(re.match("refused full .*identity stranger", result), "said", result)


@case
def who_shows_a_certificate_is_told_nothing(stack):
    """Under TLS 1.3 a server may leave the key aside. It would get client id, will and samples, and could command."""
    directory = stack.enter_context(tempfile.TemporaryDirectory())
    key, certificate, port = f"{directory}/key", f"{directory}/certificate", free_port(socket.SOCK_STREAM)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
                    "-subj", "/CN=127.0.0.1", "-keyout", key, "-out", certificate], check=True, stderr=subprocess.DEVNULL)
    with open(f"{directory}/heard", "wb") as heard:
        server = subprocess.Popen(["openssl", "s_server", "-accept", str(port), "-cert", certificate, "-key", key, "-tls1_3",
                                   "-quiet"], stdin=subprocess.PIPE, stdout=heard, stderr=subprocess.DEVNULL)
    stack.callback(server.wait)
    stack.callback(server.kill)
    client = MqttClient(stack, port)
    client.credential(KEY)
    client.say("start 0 main")  # nobody is there until it listens
    client.expect("^result 0 refused full .*certificate", unless="^result 0 (ok|failed|local)")
    server.kill()
    server.wait()
    with open(f"{directory}/heard", "rb") as f:
        check(b"MQTT" not in f.read(), "it was told who we are")


@case
def no_common_suite_says_nothing_about_the_key(stack):
    broker = Broker(stack, KEYS, "tlsv1.2", extra="ciphers PSK-AES128-GCM-SHA256\n")
    client = MqttClient(stack, broker.port, suites="ecdhe-psk")
    client.credential(KEY)
    result = client.once()
    check(re.match("failed full .*no version, suite or group in common.*\"suites\"", result), "said", result)


@case
def nobody_there_costs_nothing(stack):
    client = MqttClient(stack, free_port(socket.SOCK_STREAM))
    client.credential(KEY)
    client.say("start 0 main")
    client.expect("^result 0 unreachable full .*nothing listens there")
    before, until = client.cpu(), time.monotonic() + 3
    while time.monotonic() < until:
        client.info()
        time.sleep(0.2)
    check(client.cpu() - before < 0.3, "took", client.cpu() - before, "s of CPU in 3 s")


class Listener:
    """Takes TCP connections and does `with_each` with them."""

    def __init__(self, stack):
        self.socket = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.socket.settimeout(DEADLINE)
        self.port = self.socket.getsockname()[1]
        self.stack = stack

    def accept(self):
        return self.stack.enter_context(self.socket.accept()[0])


@case
def a_silent_server_is_given_up(stack):
    server = Listener(stack)
    client = MqttClient(stack, server.port)
    client.credential(KEY)
    client.say("start 0 main")
    server.accept()
    before = client.cpu()
    client.expect("^result 0 unreachable full .*says nothing")
    check(client.cpu() - before < 0.3, "took", client.cpu() - before, "s of CPU")


@case
def a_server_that_hangs_up_or_resets_is_no_refusal(stack):
    server = Listener(stack)
    client = MqttClient(stack, server.port)
    client.credential(KEY)
    client.say("start 0 main")
    server.accept().close()
    client.expect("^result 0 failed full .*in the TLS handshake")
    client.say("hurry 0")
    with server.accept() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.expect("^result 0 (failed|unreachable)")
    client.say("hurry 0")
    with server.accept() as connection:
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        client.expect("^result 0 failed")
    before = client.cpu()
    time.sleep(0.5)
    check(client.cpu() - before < 0.2, "took", client.cpu() - before, "s of CPU")


@case
def nothing_is_lost_when_the_broker_is_killed(stack):
    """What was not acknowledged is published again on the next connection, and what was acknowledged the broker has had: so says
    its log, for what a subscriber has of a broker that is killed depends on how fast it reads."""
    broker = Broker(stack, KEYS)
    client = MqttClient(stack, broker.port, nstart=8)
    client.connect(KEY)
    arrived, sent = set(), 0

    def kill():
        broker.stop(signal.SIGKILL)
        arrived.update(re.findall(r"Received PUBLISH from d0 \(.*, 'n/(\d+)',", "\n".join(broker.lines.rest())))
    for _ in range(4):
        for _ in range(20):
            client.publish(f"n/{sent}", "x")
            sent += 1
        client.expect("^response 0 0x")
        kill()
        client.expect("^state 0 (backing-off|connecting|unreachable)")
        broker.start()
        client.say("hurry 0")
        client.answers(sent)
    kill()
    check(arrived == {str(n) for n in range(sent)}, "only", len(arrived), "of", sent, "arrived")


@case
def requests_before_there_is_a_session_wait(stack):
    port_holder = Broker(stack, KEYS)
    port_holder.stop(signal.SIGKILL)
    client = MqttClient(stack, port_holder.port)
    client.credential(KEY)
    client.say("start 0 main")
    for i in range(5):
        client.publish(f"w/{i}", "x")
    client.expect("^state 0 unreachable")
    port_holder.start()
    client.say("hurry 0")
    for i in range(5):
        check(client.answer() == "ok", "refused")
    # By its own log: before anybody could subscribe they may all have come.
    check([port_holder.lines.expect(r"Received PUBLISH from d0 \(.*, 'w/(\d)',")[1] for _ in range(5)] == list("01234"), "out of order")


@case
def a_denied_message_is_told_by_version_5_only(stack):
    broker = Broker(stack, KEYS, acl=["user device-0", "topic readwrite mine/#"])
    new = MqttClient(stack, broker.port)
    new.connect(KEY)
    new.publish("yours", "x")
    check(new.answer() == "0x87", "the refusal is not told")
    new.publish("mine/a", "x")
    check(new.answer() == "ok", "refused what is allowed")
    new.say("bye 0")
    new.expect("^state 0 stopped")
    old = MqttClient(stack, broker.port, version="mqtt311")
    old.connect(KEY)
    # The broker says yes; only the message that does not come back tells.
    old.say("subscribe 0 #")
    broker.lines.expect("Sending SUBACK to d0$")
    old.publish("yours", "denied")
    check(old.answer() == "ok", "version 3.1.1 has learned to tell")
    old.publish("mine/a", "allowed")
    old.expect("^message 0 mine/a allowed")
    check(not any("denied" in line for line in old.lines.seen), "what was denied came back")


@case
def the_will_is_published_but_not_after_a_goodbye(stack):
    broker = Broker(stack, KEYS)
    seen = Subscriber(stack, broker)
    client = MqttClient(stack, broker.port)
    client.connect(KEY)
    client.publish("birth", "here")
    client.answer()
    seen.expect("^birth 0 here")
    client.say("stop 0")
    seen.expect("^will/d0 0 gone")
    client.say("start 0 main")
    client.expect("^state 0 online")
    client.say("bye 0")
    client.expect("^state 0 stopped")
    publish(broker, "after", "goodbye")
    seen.expect("^after 0 goodbye")
    check(sum(line.startswith("will/") for line in seen.lines.seen) == 1, "a will after a goodbye")


@case
def who_leaves_for_good_has_a_will(stack):
    broker = Broker(stack, KEYS)
    for version in ("mqtt5", "mqtt311"):
        seen = Subscriber(stack, broker)
        client = MqttClient(stack, broker.port, version)
        client.connect(KEY)
        client.say("leave 0")
        seen.expect("^will/d0 0 gone")


@case
def another_client_of_the_same_id_is_named(stack):
    broker = Broker(stack, {"device-0": KEY, "device-1": OTHER_KEY})
    client = MqttClient(stack, broker.port)
    client.connect(KEY)
    other = MqttClient(stack, broker.port)
    other.credential(OTHER_KEY, "device-1")
    other.say("start 0 main")
    # A broker that does not say so (2.0.11) is guessed at when it happens again.
    client.expect("^state 0 backing-off .*(another client uses this|does another client use the same) client id")


@case
def a_new_key_ends_the_old_connection_first(stack):
    broker = Broker(stack, {"device-0": KEY, "device-1": OTHER_KEY})
    client = MqttClient(stack, broker.port, nstart=4)
    client.connect(KEY)
    for i in range(8):
        client.publish("n", str(i))
    client.credential(OTHER_KEY, "device-1")
    client.say("renew 0")
    for _ in range(8):
        check(client.answer() == "ok", "refused")
    broker.lines.expect("New client connected .* as d0 .*u'device-1'", unless="already connected")
    check(any("Received DISCONNECT from d0" in line for line in broker.lines.seen), "no goodbye")
    client.publish("n", "9")
    check(client.answer() == "ok", "refused")


@case
def subscriptions_outlive_a_reconnect(stack):
    broker = Broker(stack, KEYS)
    client = MqttClient(stack, broker.port)
    client.connect(KEY)
    client.say("subscribe 0 c/#")
    broker.lines.expect("Sending SUBACK to d0$")
    broker.stop()
    client.expect("^state 0 (backing-off|connecting)")
    broker.start()
    client.say("hurry 0")
    client.expect("^state 0 online")
    broker.lines.expect("Sending SUBACK to d0$")
    publish(broker, "c/1", "again")
    client.expect("^message 0 c/1 again")


@case
def a_broker_that_stops_answering_is_noticed(stack):
    broker = Broker(stack, KEYS)
    client = MqttClient(stack, broker.port, keepalive=5)
    client.connect(KEY)
    broker.lines.expect("Received PINGREQ from d0")
    broker.process.send_signal(signal.SIGSTOP)
    try:
        client.publish("a", "x")
        client.expect("^state 0 backing-off .*(acknowledge in time|PINGREQ)")
    finally:
        broker.process.send_signal(signal.SIGCONT)
    check(client.answer() == "ok", "lost")


@case
def a_large_message_is_told_from_a_lost_one(stack):
    broker = Broker(stack, KEYS, extra="max_packet_size 2000\n")
    client = MqttClient(stack, broker.port)
    client.connect(KEY)
    client.publish("a", "x" * 3000)
    check("Message too long" in client.answer(), "no error for a message over the broker's bound")
    client.publish("a", "x" * 1000)
    check(client.answer() == "ok", "refused")


def count_in_memory(process, what):
    """How often the bytes stand in what the process can write to."""
    found = 0
    with open(f"/proc/{process.pid}/maps") as maps, open(f"/proc/{process.pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            where, rights = line.split()[:2]
            if "w" not in rights:
                continue
            begin, end = (int(part, 16) for part in where.split("-"))
            with contextlib.suppress(OSError):
                memory.seek(begin)
                found += memory.read(end - begin).count(what)
    return found


@case_per_tls
def no_key_stays_in_memory(stack, tls):
    """Neither while the session stands, nor after a refused handshake, nor when it has ended."""
    with open(CLIENT, "rb") as f:
        if b"__asan_init" in f.read():
            return  # its memory has shadows of terabytes, and copies of the sanitizer's own
    broker = Broker(stack, {"device-0": LONG_KEY}, tls)
    client = MqttClient(stack, broker.port)
    client.connect(LONG_KEY)
    client.publish("a", "x" + "find-this-one")
    check(client.answer() == "ok", "refused")
    check(count_in_memory(client.process, b"find-this-") > 0, "looks at nothing")
    for half in (LONG_KEY[:16], LONG_KEY[32:48]):
        check(count_in_memory(client.process, half.encode()) == 0, "the key stands in memory while connected")
    check(count_in_memory(client.process, LONG_KEY.encode().hex().encode()) <= 1, "so does its hex text")
    client.say("bye 0")
    client.expect("^state 0 stopped")
    client.credential(OTHER_KEY)
    client.say("once 0 main")
    client.expect("^result 0 refused")
    for key in (LONG_KEY[:16], LONG_KEY[32:48], OTHER_KEY):
        check(count_in_memory(client.process, key.encode()) == 0, "a key stands in memory afterwards")


@case
def on_3_1_1_the_message_itself_tells(stack):
    """What a probe does where PUBACK tells nothing: it subscribes, publishes, and waits for its own message."""
    broker = Broker(stack, KEYS, acl=["user device-0", "topic readwrite mine/#"])
    client = MqttClient(stack, broker.port, "mqtt311")
    client.credential(KEY)
    client.say("start 0 main")
    client.say("subscribe 0 mine/#")
    client.publish("mine/probe", "here")
    client.expect("mine/probe here")


@case
def an_idle_session_is_kept_alive(stack):
    """mosquitto ends a session of twelve seconds after eighteen without a packet: the client may not get to run for a while."""
    broker = Broker(stack, KEYS)
    client = MqttClient(stack, broker.port, keepalive=12)
    client.connect(KEY)
    for _ in range(3):
        broker.lines.expect("Received PINGREQ from d0", unless="exceeded timeout")


@case
def the_other_credential_finds_the_client_id_free(stack):
    """When a goodbye has returned, the other session of the device may begin: the broker never sees both."""
    broker = Broker(stack, {**KEYS, "device-0b": OTHER_KEY})
    client = MqttClient(stack, broker.port)
    client.connect(KEY)
    client.credential(OTHER_KEY, "device-0b", "backup", 1)
    for _ in range(5):
        client.say("bye 0")
        client.say("once 1 backup")
        client.expect("^state 1 online")
        client.say("bye 1")
        client.say("start 0 main")
        client.expect("^state 0 online")
    for _ in range(10):
        broker.lines.expect("Received DISCONNECT from d0", unless="already connected")


@case
def a_session_may_be_freed_in_any_callback(stack):
    broker = Broker(stack, KEYS)
    for where in ("state", "result", "answer"):
        client = MqttClient(stack, broker.port)
        client.credential(KEY)
        if where != "answer":
            client.say(f"free-in 0 {where}")
            client.say("start 0 main")
        else:
            client.say("start 0 main")
            client.expect("^state 0 online")
            client.say("free-in 0 answer")
            client.publish("a", "x")
        client.expect("^freed 0")


PUBLISH_200_MIB = b"\x30\x80\x80\x80\x64"


@case_per_tls
def a_packet_without_measure_is_not_taken(stack, tls):
    def pieces(_):
        yield PUBLISH_200_MIB + bytes([0, 1]) + b"c"
        for _ in range(200):
            yield bytes(1 << 20)

    broker = HostileBroker(stack, "device-0", KEY, pieces, tls.replace("v1.", "1_"))
    client = MqttClient(stack, broker.port)
    client.credential(KEY)
    before = memory_peak(client.process)
    client.say("start 0 main")
    client.expect("^state 0 (backing-off|connecting) .*packet of 209715205 bytes; expected at most 262144")
    check(memory_peak(client.process) - before < 8, "took", memory_peak(client.process) - before, "MB")


@case
def a_broker_that_breaks_the_rules_is_named(stack):
    """What it sends, and in which words the connection ends."""
    message = bytes([0x32, 7, 0, 1]) + b"c\0\1\0x"
    for pieces, words in (([bytes([0x34, 7, 0, 1]) + b"c\0\1\0x"], "QoS 2"),
                          ([b"\x30\xff\xff\xff\xff\xff"], "not MQTT"),
                          ([bytes([0x30, 7, 0, 1]) + b"c\2\x7f\0x"], "a property that MQTT does not know"),
                          ([b"\x30", b"\xfd\xff", b"\x0f"], "262145 bytes")):
        broker = HostileBroker(stack, "device-0", KEY, lambda _, pieces=pieces: pieces)
        client = MqttClient(stack, broker.port)
        client.credential(KEY)
        client.say("start 0 main")
        client.expect(f"^state 0 (backing-off|connecting) .*{words}")
        broker.stop()
    # And the largest that is allowed, in many records, and many messages in one.
    body = bytes([0, 1]) + b"c\0" + b"x" * (256 * 1024 - 8)

    def fair(read):
        read()  # SUBSCRIBE
        yield from (message * 100, b"\x30\xfc\xff\x0f" + body, message)

    broker = HostileBroker(stack, "device-0", KEY, fair)
    client = MqttClient(stack, broker.port)
    client.credential(KEY)
    client.say("start 0 main")
    client.say("subscribe 0 c")
    client.expect("^message 0 c x{262136}$")
    client.expect("^message 0 c x$")
    check(sum(line == "message 0 c x" for line in client.lines.seen) == 101, "not all came")


def has_ml_kem():
    said = subprocess.run(["openssl", "list", "-kem-algorithms"], capture_output=True, text=True, check=False).stdout
    return "X25519MLKEM768" in said


def group_with(stack, port):
    client = MqttClient(stack, port)
    client.credential(KEY)
    client.say("start 0 main")
    client.expect("^state 0 online")
    return client.info()["group"].lower()


@case
def the_key_exchange_is_post_quantum_where_it_can_be(stack):
    """ML-KEM where both sides have it, and otherwise whatever there was before; `show` says which."""
    best = "x25519mlkem768" if has_ml_kem() else "x25519"
    for tls, options, group in (("tls1_3", (), best), ("tls1_3", ("-groups", "X25519"), "x25519"),
                                ("tls1_3", ("-groups", "P-384"), "secp384r1"), ("tls1_2", ("-groups", "X25519"), "x25519"),
                                ("tls1_2", ("-cipher", "PSK-AES128-GCM-SHA256"), "-")):
        broker = HostileBroker(stack, "device-0", KEY, lambda _: (), tls, options)
        found = group_with(stack, broker.port)
        check(found == group, tls, options, "gave", found)
        broker.stop()


@case
def a_hello_that_is_too_long_for_the_path_is_made_short(stack):
    path = NarrowPath(stack, Broker(stack, KEYS).port)
    group_with(stack, path.port)
    check(path.dropped == (1 if has_ml_kem() else 0), path.dropped, "hellos were too long")


@cases.only_if_named
def deaf_broker_with_small_buffers(stack):
    begin = threading.Event()

    def pieces(_):
        begin.wait(20)
        while True:
            yield (bytes([0x32, 7, 0, 1]) + b"c\0\1\0x") * 1000

    broker = HostileBroker(stack, "device-0", KEY, pieces)
    relay = DeafRelay(stack, broker.port)
    client = MqttClient(stack, relay.port)
    client.credential(KEY)
    client.say("start 0 main")
    client.expect("^state 0 online", 20)
    relay.deaf()
    begin.set()
    client.expect("^state 0 (backing-off|connecting) .*does not read what we answer", 60)


@case
def a_broker_that_does_not_read_is_left(_):
    """It sends messages that want an answer; those pile up here only so far. In a namespace whose sockets hold little."""
    unshare = ["unshare", "-rn"]
    if not shutil.which("ip") or subprocess.run([*unshare, "true"], stderr=subprocess.DEVNULL).returncode != 0:
        return
    small = "ip link set lo up && echo 4096 4096 4096 >/proc/sys/net/ipv4/tcp_wmem && exec \"$@\""
    result = subprocess.run([*unshare, "sh", "-c", small, "sh", sys.executable, __file__, "deaf_broker_with_small_buffers"],
                            capture_output=True, text=True, timeout=3 * DEADLINE)
    check(result.returncode == 0, result.stdout, result.stderr)


if __name__ == "__main__":
    cases.main(workers=6, missing=None if shutil.which(MOSQUITTO) else MOSQUITTO)
