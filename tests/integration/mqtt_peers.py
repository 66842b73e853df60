# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests of MQTT sessions talk to: mosquitto with pre-shared keys, a subscriber that sees what it carries, and
the client by hand. From 2.0.12 on mosquitto takes pre-shared keys under TLS 1.2 only: there stunnel stands before it for TLS 1.3."""
import os
import pwd
import re
import signal
import socket
import subprocess
import tempfile
import threading

from ports import free_port
from uplink_peers import CLIENT, Client, Lines, check
from waiting import DEADLINE

MOSQUITTO = os.environ.get("GATEHOUSE_MOSQUITTO", "mosquitto")


def takes_tls_1_3():
    said = subprocess.run([MOSQUITTO, "-h"], stdout=subprocess.PIPE, text=True, check=False).stdout
    version = re.search(r"mosquitto version (\d+)\.(\d+)\.(\d+)", said)
    check(version, "no version in", said)
    return tuple(int(n) for n in version.groups()) < (2, 0, 12)


class Broker:
    """mosquitto; what goes through it is seen over a second listener, in clear text on loopback.

    keys: identity to key (text or bytes); acl: lines for every user; tls: "tlsv1.2", "tlsv1.3" or None for both; persistent: it keeps
    sessions over a restart, so that a Subscriber that stays misses nothing; by_listener: who may what is said of each listener,
    where 2.0.21 keeps no message for who is absent."""

    def __init__(self, stack, keys, tls=None, acl=None, extra="", identity_is_user=True, quiet=False, persistent=False,
                 listen="127.0.0.1", port=None, by_listener=True):
        self.directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="gatehouse-mosquitto-"))
        os.chmod(self.directory, 0o755)
        self.port, self.plain = port or free_port(socket.SOCK_STREAM), free_port(socket.SOCK_STREAM)
        self.tls, self.acl, self.extra, self.identity_is_user = tls, acl, extra, identity_is_user
        self.quiet, self.persistent, self.listen, self.by_listener = quiet, persistent, listen, by_listener
        self.process = self.front = None
        self.fronted = tls == "tlsv1.3" and not takes_tls_1_3()
        self.write_keys(keys)
        self.configure()
        stack.callback(self.stop, signal.SIGKILL)
        self.start()

    def path(self, name):
        return os.path.join(self.directory, name)

    def write_keys(self, keys):
        with open(self.path("psk"), "w") as f:
            for identity, key in keys.items():
                f.write(f"{identity}:{(key.encode() if isinstance(key, str) else key).hex()}\n")
        os.chmod(self.path("psk"), 0o644)

    def configure(self):
        lines = [f"per_listener_settings {str(self.by_listener).lower()}", f"user {pwd.getpwuid(os.getuid()).pw_name}",
                 "log_dest stderr", *(["log_type warning", "log_type notice", "log_type information"] if self.quiet else ["log_type all"]),
                 f"connection_messages {str(not self.quiet).lower()}",
                 f"listener {self.plain} 127.0.0.1", "allow_anonymous true"]
        if not self.fronted:
            lines += [f"listener {self.port} {self.listen}", "psk_hint gatehouse", f"psk_file {self.path('psk')}",
                      "allow_anonymous true", f"use_identity_as_username {str(self.identity_is_user).lower()}"]
        if self.persistent:
            lines += ["persistence true", f"persistence_location {self.directory}/", "autosave_on_changes true", "autosave_interval 1"]
        if self.tls == "tlsv1.3" and not self.fronted:
            lines.append("tls_version tlsv1.3")
        if self.acl is not None:
            with open(self.path("acl"), "w") as f:
                f.write("".join(line + "\n" for line in self.acl))
            os.chmod(self.path("acl"), 0o644)
            lines.append(f"acl_file {self.path('acl')}")
        with open(self.path("mosquitto.conf"), "w") as f:
            f.write("\n".join(lines) + "\n" + self.extra)

    def start(self):
        environment = dict(os.environ)
        if self.tls == "tlsv1.2":  # to mosquitto that only is the oldest
            with open(self.path("openssl.cnf"), "w") as f:
                f.write("openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\nMaxProtocol = TLSv1.2\n"
                        "CipherString = DEFAULT:@SECLEVEL=0\n")
            environment["OPENSSL_CONF"] = self.path("openssl.cnf")
        self.process = subprocess.Popen([MOSQUITTO, "-c", self.path("mosquitto.conf")], text=True, errors="replace",
                                        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.lines = Lines(self.process.stdout)
        self.lines.expect(r"mosquitto version .* running")
        if self.fronted:
            with open(self.path("stunnel.conf"), "w") as f:
                f.write(f"foreground = yes\nsyslog = no\npid =\n[mqtt]\naccept = 127.0.0.1:{self.port}\n"
                        f"connect = 127.0.0.1:{self.plain}\nPSKsecrets = {self.path('psk')}\nsslVersionMin = TLSv1.3\n"
                        "ciphersuites = TLS_CHACHA20_POLY1305_SHA256\n")
            self.front = subprocess.Popen(["stunnel", self.path("stunnel.conf")], text=True, errors="replace",
                                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            Lines(self.front.stdout).expect("Configuration successful")

    def processes(self):
        return [process for process in (self.front, self.process) if process]

    def send_signal(self, number):
        for process in self.processes():
            process.send_signal(number)

    def stop(self, how=signal.SIGTERM):
        for process in (self.process, self.front):
            if process and process.poll() is None:
                process.send_signal(how)
                process.wait(DEADLINE)


STAYS = ("-c", "-i", "observer")


class Subscriber:
    """Sees every message, as "TOPIC PAYLOAD" lines, over the broker's listener in clear text. With the options STAYS the broker keeps
    its session: what comes while it is away is sent to it later."""

    def __init__(self, stack, broker, topic="#", options=()):
        self.process = subprocess.Popen(["stdbuf", "-oL", "mosquitto_sub", "-h", "127.0.0.1", "-p", str(broker.plain), "-q", "1", "-t",
                                         topic, "-F", "%t %r %p", "-d", *options], text=True, bufsize=1,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        stack.callback(self.stop)
        self.lines = Lines(self.process.stdout)
        self.lines.expect("^Subscribed")

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(DEADLINE)

    def expect(self, pattern, seconds=DEADLINE):
        return self.lines.expect(pattern, seconds)


class HostileBroker:
    """Knows the key, lets everybody in as a broker of version 5, and then sends the pieces of bytes of `bytes_then(read)`, for as
    long as they are taken; read() is what the client has sent next."""

    def __init__(self, stack, identity, key, bytes_then, tls="tls1_3", options=()):
        self.port, self.bytes_then, self.process, self.stopped = free_port(socket.SOCK_STREAM), bytes_then, None, False
        self.served = 0  # clients that were let in
        self.command = ["openssl", "s_server", "-accept", str(self.port), "-psk", key.encode().hex(), "-psk_identity", identity, "-nocert",
                        "-" + tls, "-quiet", "-naccept", "1", *options]
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()
        stack.callback(self.stop)

    def serve(self):
        while not self.stopped:
            self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0)
            try:
                # One read is CONNECT, whole: it is in one record.
                if self.process.stdout.read(4096):
                    self.served += 1
                    self.process.stdin.write(b"\x20\x03\0\0\0")
                    for piece in self.bytes_then(lambda: self.process.stdout.read(4096)):
                        self.process.stdin.write(piece)
                while self.process.stdout.read(4096):
                    pass
            except OSError:
                pass  # the client has gone
            self.end()

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def stop(self):
        self.stopped = True
        while self.thread.is_alive():  # it may be about to start another one
            if self.process:
                self.process.kill()
            self.thread.join(0.1)


def write_program(broker, path):
    """Tells mosquitto a key, or takes one away: an administrator's program for the registrar `exec`. What it was ever told stands in
    the broker's file "told", a line of device, identity and key each."""
    with open(broker.path("pid"), "w", encoding="ascii") as f:
        f.write(" ".join(str(process.pid) for process in broker.processes()))
    with open(path, "w", encoding="utf-8") as f:
        f.write(f"""#!/usr/bin/env python3
import fcntl, json, os, signal, sys
q, path = json.load(sys.stdin), {broker.path("psk")!r}
lock = open({broker.path("lock")!r}, "w")
fcntl.flock(lock, fcntl.LOCK_EX)
lines = [l for l in open(path).read().splitlines() if l]
others = [l for l in lines if not l.startswith(q["identity"] + ":")]
if q["action"] == "find":
    print(json.dumps({{"result": "ok", "cloud_id": q["identity"]}} if len(others) < len(lines) else {{"result": "absent"}}))
    sys.exit()
if q["action"] == "put":
    others.append(q["identity"] + ":" + q["key"])
    open({broker.path("told")!r}, "a").write(q["device"] + " " + q["identity"] + " " + q["key"] + "\\n")
elif q["cloud_id"] != q["identity"]:
    others = [l for l in lines if not l.startswith(q["cloud_id"] + ":")]
open(path + "~", "w").write("".join(l + "\\n" for l in others))
os.chmod(path + "~", 0o644)
os.rename(path + "~", path)
for pid in open({broker.path("pid")!r}).read().split():
    os.kill(int(pid), signal.SIGHUP)
print(json.dumps({{"result": "ok", "cloud_id": q["identity"]}}))
""")
    os.chmod(path, 0o755)


def publish(broker, topic, text):
    subprocess.run(["mosquitto_pub", "-h", "127.0.0.1", "-p", str(broker.plain), "-q", "1", "-t", topic, "-m", text],
                   check=True, timeout=DEADLINE)


class MqttClient(Client):
    """The client by hand; each device has two credentials and so two sessions, of one client id."""

    def __init__(self, stack, port, version="mqtt", suites="ecdhe-psk,psk", keepalive=60, nstart=1,
                 admission="unlimited"):
        state = stack.enter_context(tempfile.TemporaryDirectory())
        self.process = subprocess.Popen([CLIENT, state, "127.0.0.1", str(port), suites, admission, version,
                                         str(keepalive), str(nstart)], text=True, bufsize=1, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        stack.callback(self.end)
        self.lines = Lines(self.process.stdout)
        self.expect("^ready")

    def publish(self, topic, text, n=0, verb="publish"):
        self.say(f"{verb} {n} {topic} {text}")

    def answer(self, n=0):
        """"ok": acknowledged, whether or not anybody has subscribed (0x10); else the reason or the error."""
        text = self.expect(rf"^response {n} (.*)")[1]
        return "ok" if text in ("0x00", "0x10") else text

    def answers(self, total):
        """Waits until that many requests in all have been acknowledged."""
        while True:
            answers = [line for line in self.lines.seen if line.startswith("response ")]
            check(all(line.endswith(("0x00", "0x10")) for line in answers), "refused:", answers[-3:])
            if len(answers) >= total:
                check(len(answers) == total, len(answers), "answers to", total, "requests")
                return
            self.expect("^response")

    def once(self):
        """What came of one attempt. A broker that ends the connection right behind its alert may take that along: then it is tried again."""
        for _ in range(5):
            self.say("once 0 main")
            result = self.expect("^result 0 (.*)")[1]
            self.expect("^state 0 stopped")
            if not re.match("unreachable full .*(reset by peer|Broken pipe)", result):
                break
        return result

    def cpu(self):
        """Seconds of CPU so far."""
        with open(f"/proc/{self.process.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_peak(process):
    """MB that it has had in memory at most."""
    with open(f"/proc/{process.pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmHWM")) / 1024
