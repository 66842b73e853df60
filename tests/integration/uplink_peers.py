# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the uplink's tests talk to: the client by hand, libcoap's servers, and a proxy for datagrams between them."""
import contextlib
import os
import queue
import re
import select
import signal
import socket
import subprocess
import tempfile
import threading
import time

from ports import free_port
from waiting import BUILD_DIR, DEADLINE

CLIENT = os.path.join(BUILD_DIR, "tests/tools/uplink-client")


class Failed(Exception):
    pass


def check(condition, *what):
    if not condition:
        raise Failed(" ".join(str(w) for w in what))


def lines_of(stream, into):
    for line in stream:
        into.put(line.rstrip("\n"))
    into.put(None)


class Lines:
    """The lines of a program as they come, and all those that have come."""

    def __init__(self, stream):
        self.queue, self.seen = queue.Queue(), []
        threading.Thread(target=lines_of, args=(stream, self.queue), daemon=True).start()

    def expect(self, pattern, seconds=DEADLINE, unless=None):
        """The first line not yet looked at that matches. `seconds` matters only beyond DEADLINE."""
        limit = max(seconds, DEADLINE)
        end = time.monotonic() + limit
        while True:
            try:
                line = self.queue.get(timeout=max(0.001, end - time.monotonic()))
            except queue.Empty:
                raise Failed(f"no line like {pattern!r} within {limit} s; had: {self.seen[-8:]}") from None
            check(line is not None, "the program ended; had:", self.seen[-8:])
            self.seen.append(line)
            check(not unless or not re.search(unless, line), "got", line)
            match = re.search(pattern, line)
            if match:
                return match


    def rest(self):
        """All lines, once the program has ended."""
        for line in iter(lambda: self.queue.get(timeout=DEADLINE), None):
            self.seen.append(line)
        return self.seen


class Client:
    def __init__(self, stack, port, suites="ecdhe-psk,psk", host="127.0.0.1"):
        state = stack.enter_context(tempfile.TemporaryDirectory())
        self.process = subprocess.Popen([CLIENT, state, host, str(port), suites, "unlimited"], text=True, bufsize=1,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        stack.callback(self.end)
        self.lines = Lines(self.process.stdout)
        self.expect("^ready")

    def end(self):
        if self.process.poll() is None:
            self.say("quit")
            try:
                status = self.process.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise Failed("the client does not end") from None
        else:
            status = self.process.returncode
        check(status == 0, "the client ended with", status)

    def say(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def expect(self, pattern, seconds=DEADLINE, unless=None):
        return self.lines.expect(pattern, seconds, unless)

    def credential(self, key, identity="device-0", slot="main", n=0):
        self.say(f"credential {n} {slot} {identity} {key.encode().hex()}")

    def connect(self, key, identity="device-0"):
        self.credential(key, identity)
        self.say("start 0 main")
        self.expect("^state 0 online")

    def put(self, text, path="box", n=0):
        self.say(f"put {n} {path} {text}")
        return self.expect(rf"^response {n} (\d\.\d\d)")[1]

    def info(self, n=0):
        self.say(f"info {n}")
        return dict(pair.split("=", 1) for pair in self.expect(rf"^info {n} (.*)")[1].split())


class Server:
    def __init__(self, stack, program, keys, hint="CoAP"):
        # coap-server takes one port for coap, the next for coaps.
        self.program, self.port, self.hint = program, free_port(row=2), hint
        self.keys = tempfile.NamedTemporaryFile("w", suffix=".psk")
        stack.enter_context(self.keys)
        self.write_keys(keys)
        self.process = None
        stack.callback(self.stop, signal.SIGKILL)
        self.start()

    def write_keys(self, keys):
        self.keys.seek(0)
        self.keys.truncate()
        self.keys.write("".join(f"{self.hint},{identity},{key}\n" for identity, key in keys.items()))
        self.keys.flush()

    def start(self):
        self.process = subprocess.Popen([self.program, "-A", "127.0.0.1", "-p", str(self.port - 1), "-k", "not-this-one",
                                         "-h", self.hint, "-i", self.keys.name, "-d", "10", "-v", "7"],
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        self.lines = Lines(self.process.stdout)
        self.lines.expect(rf"created DTLS *endpoint .*:{self.port}")

    def stop(self, how=signal.SIGKILL):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(DEADLINE)


class Proxy:
    """Between client and server; each client address gets a socket of its own to the server."""

    def __init__(self, stack, port):
        self.server = ("127.0.0.1", port)
        self.front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.front.bind(("127.0.0.1", 0))
        self.port = self.front.getsockname()[1]
        self.backs, self.clients, self.from_server = {}, [], []
        self.blocked, self.block_all, self.running = set(), False, True
        self.drop_nth, self.count = None, 0  # counted both ways together
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        stack.callback(self.end)

    def end(self):
        self.running = False
        self.thread.join()
        for s in [self.front, *self.backs.values()]:
            s.close()

    def run(self):
        while self.running:
            ready, _, _ = select.select([self.front, *self.backs.values()], [], [], 0.05)
            for s in ready:
                # An ICMP error that made it ready may have been taken by a send since: then there is nothing to receive.
                with contextlib.suppress(ConnectionError, BlockingIOError):
                    self.forward(s)

    def forward(self, s):
        if s is self.front:
            data, client = s.recvfrom(65536, socket.MSG_DONTWAIT)
            if client not in self.backs:
                self.backs[client] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                self.backs[client].connect(self.server)
                self.clients.append(client)
            if self.passes(client):
                self.backs[client].send(data)
            return
        data = s.recv(65536, socket.MSG_DONTWAIT)
        client = next(c for c, b in self.backs.items() if b is s)
        if self.passes(client):
            self.from_server.append((client, data))
            self.front.sendto(data, client)

    def passes(self, client):
        self.count += 1
        return not self.block_all and client not in self.blocked and self.count - 1 != self.drop_nth

    def inject(self, data, client=0):
        self.front.sendto(data, self.clients[client])


def start_peer(stack, command, port, **arguments):
    """A server that says nothing when it is ready: until its port is taken."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **arguments)
    stack.callback(process.wait)
    stack.callback(process.kill)
    deadline = time.monotonic() + DEADLINE
    while f":{port:04X} " not in open("/proc/net/udp").read() + open("/proc/net/udp6").read():
        check(time.monotonic() < deadline and process.poll() is None, command[0], "does not come up")
        time.sleep(0.02)
    return process


def record(kind, epoch, sequence, payload):
    return bytes([kind, 0xFE, 0xFD]) + epoch.to_bytes(2, "big") + sequence.to_bytes(6, "big") + \
        len(payload).to_bytes(2, "big") + payload
