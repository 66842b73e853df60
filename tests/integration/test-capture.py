#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What can be seen on the wire: two devices make two DTLS sessions with two identities, and nothing goes in plain text.

Everything runs in a network namespace of its own, whose loopback is captured whole: a datagram that is not DTLS, wherever
it goes, is found. The sensors are simulated, as Modbus itself is plain text.
"""
import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys

import harness
import namespaces
from harness import check, wait_for

DEVICES = {"boiler-one": "identity-of-one", "boiler-two": "identity-of-two"}
POINT, TEXT, NUMBER = "flow_temperature", "a-value-in-words", 4711.8125
SUITE = "0xccac"  # TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
RECORD_TYPES, HANDSHAKE, CLIENT_KEY_EXCHANGE = (20, 21, 22, 23), 22, 16
RECORD_HEADER, MESSAGE_HEADER = 13, 12


def raise_loopback():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        name = b"lo".ljust(16, b"\0")
        flags = struct.unpack("16xH", fcntl.ioctl(s, SIOCGIFFLAGS, name + bytes(2))[:18])[0]
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sH14x", name, flags | IFF_UP))


class Capture(harness.Process):
    def __init__(self, bench):
        self.file = bench.path("capture.pcap")
        tool = shutil.which("dumpcap")
        self.ready = "File: " if tool else "listening on"
        super().__init__(bench, "capture", [tool, "-q", "-i", "lo", "-w", self.file] if tool else
                         ["tcpdump", "-i", "lo", "-U", "-Z", "root", "-w", self.file])

    def start(self):
        super().start()
        self.wait_text(self.ready)
        return self

    def finish(self, port):
        """All that went over the wire until now: what is captured is written a little later, so a datagram of ours, a
        record that no session knows, says where the end is."""
        end = os.urandom(16)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(b"\x17\xfe\xfd" + bytes(8) + len(end).to_bytes(2, "big") + end, ("127.0.0.1", port))
        wait_for("the capture's end", lambda: end in harness.read_bytes(self.file))
        self.send(signal.SIGINT)
        self.wait()
        return harness.read_bytes(self.file)

    def tshark(self, port, display, *fields):
        """The fields of each frame that `display` chooses."""
        options = [x for field in fields for x in ("-e", field)]
        done = subprocess.run(["tshark", "-r", self.file, "-d", f"udp.port=={port},dtls", "-Y", display, "-T", "fields",
                               *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False,
                              timeout=harness.DEADLINE)
        check(done.returncode == 0, f"tshark: {done.stderr}")
        return [line.split("\t") for line in done.stdout.splitlines()]


def records(payload):
    """(type, epoch, body) of each DTLS record of a datagram; Failure where it is anything else."""
    while payload:
        check(len(payload) > RECORD_HEADER and payload[0] in RECORD_TYPES and payload[1] == 0xFE,
              f"not DTLS: {payload[:40]}")
        size = int.from_bytes(payload[11:13], "big")
        yield payload[0], int.from_bytes(payload[3:5], "big"), payload[RECORD_HEADER:RECORD_HEADER + size]
        payload = payload[RECORD_HEADER + size:]


def client_key_exchanges(frames):
    """(port, what it is) of each."""
    for _, source, _, payload in frames:
        for kind, epoch, body in records(bytes.fromhex(payload.replace(":", ""))):
            if kind == HANDSHAKE and epoch == 0 and body[0] == CLIENT_KEY_EXCHANGE:
                yield source, body[MESSAGE_HEADER:]


def check_sessions(capture, cloud, frames):
    """What is sent again, because somebody stood still, is one and the same handshake: of one port."""
    hellos = capture.tshark(cloud.port, "dtls.handshake.type == 2", "udp.dstport", "dtls.handshake.ciphersuite")
    print(f"  ServerHellos (port, suite): {hellos}")
    check(all(int(h[1], 0) == int(SUITE, 0) for h in hellos), f"not all are {SUITE}")
    began = {e["peer"].rsplit(":", 1)[1]: e["identity"] for kind in ("session", "handshake-failed") for e in cloud.find_events(kind)}
    check({h[0] for h in hellos} == set(began), f"the cloud has seen handshakes of {began}")
    check({e["identity"] for e in cloud.find_events("session")} == set(DEVICES.values()), "not a session for each device")
    exchanges = {(port, e[:2 + int.from_bytes(e[:2], "big")]) for port, e in client_key_exchanges(frames)}
    print(f"  ClientKeyExchanges (port, beginning): {[(port, e.hex()) for port, e in exchanges]}")
    wanted = {(port, len(identity).to_bytes(2, "big") + identity.encode()) for port, identity in began.items()}
    check(exchanges == wanted, f"not {wanted}")


def check_secrecy(bench, capture, port, frames, raw):
    check(not capture.tshark(port, "coap && !dtls", "frame.number"), "CoAP outside of DTLS")
    check(all(str(port) in frame[1:3] and frame[3] for frame in frames), "something went to or from elsewhere")
    hidden = [POINT, TEXT, repr(NUMBER), "telemetry", "_probe", *DEVICES]
    needles = [text.encode() for text in hidden] + [struct.pack(order + "d", NUMBER) for order in "<>"]
    needles += [form for key in bench.keys for form in harness.key_forms(key)]
    found = [needle for needle in needles if needle in raw]
    check(not found, f"in plain text: {found}")
    # Identities are clear text in DTLS-PSK: that they are found shows that the search does search.
    check(all(identity.encode() in raw for identity in DEVICES.values()), "the search finds nothing at all")


def two_devices_two_sessions_nothing_in_plain_text(bench):
    keys = {device: bench.new_key() for device in DEVICES}
    cloud = bench.devcloud([(identity, keys[device], device) for device, identity in DEVICES.items()])
    bench.write_config(cloud.url)
    for device in DEVICES:
        bench.write_device(device, "sim", interval="200ms", points={
            POINT: {"signal": "constant", "value": NUMBER}, "words": {"signal": "constant", "value": TEXT}})
    capture = bench.add(Capture(bench))
    agent = bench.agent()
    bench.driver("sim")
    for device, identity in DEVICES.items():
        bench.key_set(device, identity, keys[device])
    for device in DEVICES:
        cloud.wait_events(5, "sample", device=device, name=POINT, value=NUMBER)
        cloud.wait_event("sample", device=device, name="words", value=TEXT)
    agent.stop()
    raw = capture.finish(cloud.port)
    frames = capture.tshark(cloud.port, "frame", "frame.number", "udp.srcport", "udp.dstport", "udp.payload")
    datagrams = [bytes.fromhex(frame[3].replace(":", "")) for frame in frames if frame[3]]
    print(f"  {len(frames)} frames, {len(datagrams)} datagrams")
    check_sessions(capture, cloud, [frame for frame in frames if frame[3]])
    check_secrecy(bench, capture, cloud.port, frames, raw)


def enter():
    """Runs this file again in a namespace of its own."""
    missing = [what for what, there in (("tshark", shutil.which("tshark")), ("unshare", shutil.which("unshare")),
                                        ("dumpcap or tcpdump", shutil.which("dumpcap") or shutil.which("tcpdump")))
               if not there]
    if missing:
        print(f"not installed: {', '.join(missing)}")
        sys.exit(harness.SKIPPED)
    namespaces.enter(*(["--net"] if os.geteuid() == 0 else ["--net", "--map-root-user"]))


if __name__ == "__main__":
    enter()
    raise_loopback()
    harness.main(two_devices_two_sessions_nothing_in_plain_text)
