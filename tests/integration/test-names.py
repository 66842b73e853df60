#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The cloud's name moves to another address while the old one still answers: a portal, another cloud, a server of
certificates. /etc/hosts of a mount namespace is the name server."""
import contextlib
import socket
import ssl
import subprocess
import threading

import harness
import namespaces
from harness import check
from mqtt_peers import Broker
from ports import close_listener

NAME = "cloud.gatehouse.test"
OLD, NEW = "127.0.0.1", "127.0.0.2"
DEVICE = "boiler-1"


def name_means(*addresses):
    """Written in place: the namespace has this very file mounted."""
    with open("/etc/hosts", "w", encoding="utf-8") as f:
        f.write("127.0.0.1 localhost\n" + "".join(f"{a} {NAME}\n" for a in addresses))


def start(bench, url, **uplink):
    bench.write_config(url, uplink)
    bench.write_device(DEVICE, "sim", {"x": {"signal": "sine", "period": "10s"}}, interval="1s")
    bench.agent()
    bench.driver("sim")


def two_clouds(bench):
    """One at the old address that has another key, or none, for the device; the right one at the new address."""
    key, other = bench.new_key(), bench.new_key()
    old = bench.devcloud([("first-1", other, DEVICE)], name="old-cloud", listen=OLD)
    new = bench.devcloud([("first-1", key, DEVICE)], name="new-cloud", listen=NEW, port=old.port)
    return key, old, new


def another_cloud_got_the_address(bench):
    key, old, new = two_clouds(bench)
    name_means(OLD)
    start(bench, f"coaps://{NAME}:{old.port}")
    bench.key_set(DEVICE, "first-1", key)
    bench.wait_property(DEVICE, "State", lambda s: s in ("refused", "backing-off"), 60)
    name_means(NEW)
    new.wait_event("sample", device=DEVICE, seconds=90)
    check(not old.samples(DEVICE), "samples went to a cloud that has another key")


def connect_looks_the_name_up(bench):
    """Whoever has mended the name server does not wait for the end of a backoff."""
    key, old, new = two_clouds(bench)
    name_means(OLD)
    start(bench, f"coaps://{NAME}:{old.port}")
    bench.key_set(DEVICE, "first-1", key)
    bench.wait_property(DEVICE, "State", "refused", 90)
    name_means(NEW)
    bench.call(DEVICE, "Connect")
    new.wait_event("sample", device=DEVICE, seconds=30)


def the_second_address_is_the_cloud(bench):
    """Every address is tried, also where the first one answers."""
    key, old, new = two_clouds(bench)
    name_means(OLD, NEW)
    start(bench, f"coaps://{NAME}:{old.port}")
    bench.key_set(DEVICE, "first-1", key)
    new.wait_event("sample", device=DEVICE, seconds=90)


class Impostor:
    """Accepts connections at the old address and answers each in a way of its own."""

    def __init__(self, stack, port, answer):
        self.answer, self.met = answer, 0
        self.listener = socket.create_server((OLD, port))
        stack.callback(close_listener, self.listener)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.met += 1
            with connection, contextlib.suppress(OSError):
                connection.settimeout(5)
                self.answer(connection)


def portal(connection):
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://portal.test/\r\nContent-Length: 0\r\n\r\n")


def certificate_server(bench):
    files = [bench.path("impostor.pem"), bench.path("impostor.crt")]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                    "2", "-subj", "/CN=portal.test", "-keyout", files[0], "-out", files[1]], check=True,
                   stderr=subprocess.DEVNULL)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files[1], files[0])

    def answer(connection):
        with context.wrap_socket(connection, server_side=True) as tls:
            tls.recv(4096)
    return answer


def moved_broker(bench, answer):
    """The old broker's address answers otherwise; the broker is at another one."""
    key = bench.new_key()
    with contextlib.ExitStack() as stack:
        broker = Broker(stack, {"first-1": key}, listen=NEW)
        impostor = Impostor(stack, broker.port, answer)
        name_means(OLD)
        start(bench, f"mqtts://{NAME}:{broker.port}", profile="senml-mqtt", registrar={"type": "manual"})
        bench.key_set(DEVICE, "first-1", key)
        harness.wait_for("the impostor to be met", lambda: impostor.met >= 2, 60)
        name_means(NEW)
        bench.wait_property(DEVICE, "State", "online", 90)
        bench.wait_property(DEVICE, "Delivered", lambda n: n > 0, 30)


def a_portal_got_the_address(bench):
    moved_broker(bench, portal)


def a_server_of_certificates_got_the_address(bench):
    moved_broker(bench, certificate_server(bench))


def main():
    namespaces.enter("--mount", trial="mount -t tmpfs tmpfs /mnt")
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/mnt"], check=True)
    with open("/mnt/hosts", "w", encoding="utf-8"):
        pass
    subprocess.run(["mount", "--bind", "/mnt/hosts", "/etc/hosts"], check=True)
    harness.main(another_cloud_got_the_address, connect_looks_the_name_up, the_second_address_is_the_cloud,
                 a_portal_got_the_address, a_server_of_certificates_got_the_address)


if __name__ == "__main__":
    main()
