# SPDX-License-Identifier: LGPL-2.1-or-later
"""A CoAP server over DTLS with pre-shared keys that misbehaves as it is told, for what libcoap's servers cannot be made to do. GnuTLS
does the DTLS, called directly; each client has a thread."""
import ctypes
import errno
import queue
import socket
import struct
import threading
import time

from waiting import DEADLINE

CON, NON, ACK, RST = range(4)
EMPTY, CHANGED, CONTINUE, TOO_LARGE, UNAVAILABLE = 0, 0x44, 0x5f, 0x8d, 0xa3
URI_PATH, CONTENT_FORMAT, MAX_AGE, BLOCK1, SIZE1 = 11, 12, 14, 27, 60
CLOSE, REJECT, NOTHING = "close", "reject", "nothing"
GNUTLS_SERVER, GNUTLS_DATAGRAM, GNUTLS_CRD_PSK, GNUTLS_SHUT_WR = 1, 4, 4, 1
GNUTLS_E_AGAIN, GNUTLS_E_INTERRUPTED = -28, -52
PRIORITY = b"NORMAL:-VERS-ALL:+VERS-DTLS1.2:-KX-ALL:+ECDHE-PSK:+PSK"

TLS = ctypes.CDLL("libgnutls.so.30")
LIBC = ctypes.CDLL(None)
LIBC.malloc.restype = ctypes.c_void_p
LIBC.malloc.argtypes = [ctypes.c_size_t]


class Datum(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("size", ctypes.c_uint)]


PSK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(Datum))
TRANSFER = ctypes.CFUNCTYPE(ctypes.c_ssize_t, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
AWAIT = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_uint)
for name, arguments in {"gnutls_init": [ctypes.POINTER(ctypes.c_void_p), ctypes.c_uint], "gnutls_deinit": [ctypes.c_void_p],
                        "gnutls_priority_set_direct": [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p],
                        "gnutls_credentials_set": [ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p],
                        "gnutls_psk_allocate_server_credentials": [ctypes.POINTER(ctypes.c_void_p)],
                        "gnutls_psk_set_server_credentials_function": [ctypes.c_void_p, PSK],
                        "gnutls_transport_set_pull_function": [ctypes.c_void_p, TRANSFER],
                        "gnutls_transport_set_push_function": [ctypes.c_void_p, TRANSFER],
                        "gnutls_transport_set_pull_timeout_function": [ctypes.c_void_p, AWAIT],
                        "gnutls_transport_set_errno": [ctypes.c_void_p, ctypes.c_int], "gnutls_handshake": [ctypes.c_void_p],
                        "gnutls_record_recv": [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t],
                        "gnutls_record_send": [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t],
                        "gnutls_bye": [ctypes.c_void_p, ctypes.c_int]}.items():
    getattr(TLS, name).argtypes = arguments
TLS.gnutls_record_recv.restype = TLS.gnutls_record_send.restype = ctypes.c_ssize_t


def number(value):
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def encode_options(options):
    data, before = b"", 0
    for option, value in sorted(options):
        parts, extended = [], b""
        for n in (option - before, len(value)):
            parts.append(n if n < 13 else 13 if n < 269 else 14)
            extended += b"" if n < 13 else bytes([n - 13]) if n < 269 else struct.pack(">H", n - 269)
        data += bytes([parts[0] << 4 | parts[1]]) + extended + value
        before = option
    return data


class Message:
    def __init__(self, data):
        self.type, self.code, self.mid = data[0] >> 4 & 3, data[1], struct.unpack(">H", data[2:4])[0]
        at = 4 + (data[0] & 15)
        self.token, self.options, option = data[4:at], [], 0
        while at < len(data) and data[at] != 0xff:
            lengths, at = [data[at] >> 4, data[at] & 15], at + 1
            for i in range(2):
                if lengths[i] == 13:
                    lengths[i], at = data[at] + 13, at + 1
                elif lengths[i] == 14:
                    lengths[i], at = struct.unpack(">H", data[at:at + 2])[0] + 269, at + 2
            option += lengths[0]
            self.options.append((option, data[at:at + lengths[1]]))
            at += lengths[1]
        self.payload, self.size = data[at + 1:], len(data)

    def get(self, option):
        return next((value for o, value in self.options if o == option), None)

    @property
    def path(self):
        return "/".join(value.decode() for o, value in self.options if o == URI_PATH)


class Client:
    """One session."""

    def __init__(self, server, address):
        self.server, self.address, self.datagrams, self.gone = server, address, queue.Queue(), False
        self.waiting, self.body, self.answers = None, b"", {}
        self.pings = []
        self.session = ctypes.c_void_p()
        self.callbacks = TRANSFER(self.pull), TRANSFER(self.push), AWAIT(self.wait)

    def wait(self, _, milliseconds):
        try:
            self.waiting = self.waiting or self.datagrams.get(timeout=min(milliseconds / 1000, 1))
            return 1
        except queue.Empty:
            return 0

    def pull(self, _, buffer, size):
        if not self.waiting and not self.wait(None, 200):
            TLS.gnutls_transport_set_errno(self.session, errno.EAGAIN)
            return -1
        data, self.waiting = self.waiting[:size], None
        ctypes.memmove(buffer, data, len(data))
        return len(data)

    def push(self, _, buffer, size):
        try:
            self.server.socket.sendto(ctypes.string_at(buffer, size), self.address)
        except OSError:
            pass
        return size

    def serve(self):
        TLS.gnutls_init(ctypes.byref(self.session), GNUTLS_SERVER | GNUTLS_DATAGRAM)
        TLS.gnutls_priority_set_direct(self.session, PRIORITY, None)
        TLS.gnutls_credentials_set(self.session, GNUTLS_CRD_PSK, self.server.credentials)
        TLS.gnutls_transport_set_pull_function(self.session, self.callbacks[0])
        TLS.gnutls_transport_set_push_function(self.session, self.callbacks[1])
        TLS.gnutls_transport_set_pull_timeout_function(self.session, self.callbacks[2])
        end = time.monotonic() + DEADLINE
        while (r := TLS.gnutls_handshake(self.session)) in (GNUTLS_E_AGAIN, GNUTLS_E_INTERRUPTED):
            if time.monotonic() > end or self.server.stopped:
                break
        if r == 0:
            self.server.sessions += 1
            self.converse()
        self.gone = True
        TLS.gnutls_deinit(self.session)

    def converse(self):
        buffer = ctypes.create_string_buffer(4096)
        while not self.server.stopped:
            n = TLS.gnutls_record_recv(self.session, buffer, len(buffer))
            if n in (GNUTLS_E_AGAIN, GNUTLS_E_INTERRUPTED):
                continue
            if n <= 0 or not self.take(Message(buffer.raw[:n])):
                return

    def send(self, kind, code, mid, token=b"", options=(), payload=b""):
        data = struct.pack(">BBH", 0x40 | kind << 4 | len(token), code, mid) + token + encode_options(options)
        data += b"\xff" + payload if payload else b""
        TLS.gnutls_record_send(self.session, data, len(data))

    def take(self, m):
        if m.type in (ACK, RST):
            return True
        if m.code == EMPTY:
            self.pings.append(time.monotonic())
            self.send(RST, EMPTY, m.mid)
            return True
        if m.mid in self.answers:  # a repeat
            if self.answers[m.mid]:
                self.send(ACK, *self.answers[m.mid])
            return True
        todo = self.server.answer(self, m)
        self.server.requests.append((m, todo))
        self.answers[m.mid] = None
        if todo is NOTHING:
            return True
        if todo is CLOSE:
            TLS.gnutls_bye(self.session, GNUTLS_SHUT_WR)
            return False
        if todo is REJECT:
            self.send(RST, EMPTY, m.mid)
            return True
        code, options = todo or self.receive(m)
        self.answers[m.mid] = code, m.mid, m.token, options
        self.send(ACK, code, m.mid, m.token, options)
        return True

    def receive(self, m):
        """The default: takes bodies, also in blocks."""
        block = m.get(BLOCK1)
        if block is None:
            self.server.bodies.append((m.path, m.payload))
            return CHANGED, []
        value = int.from_bytes(block, "big")
        if value >> 4 == 0:
            self.body = b""
        self.body += m.payload
        if value & 8:
            return CONTINUE, [(BLOCK1, block)]
        self.server.bodies.append((m.path, self.body))
        return CHANGED, [(BLOCK1, block)]


class ScriptedCoap:
    """`answer(client, message)`: None to take it, (code, options), or CLOSE (close_notify), REJECT (RST), NOTHING. What was taken is in
    `bodies`: (path, body); every request in `requests`, with what became of it."""

    def __init__(self, stack, keys, answer=lambda client, message: None, listen="127.0.0.1"):
        self.keys, self.answer, self.bodies, self.requests, self.sessions, self.stopped = keys, answer, [], [], 0, False
        self.clients, self.threads = {}, []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((listen, 0))
        self.socket.settimeout(0.2)
        self.port = self.socket.getsockname()[1]
        self.credentials = ctypes.c_void_p()
        self.psk = PSK(self.find_key)
        TLS.gnutls_psk_allocate_server_credentials(ctypes.byref(self.credentials))
        TLS.gnutls_psk_set_server_credentials_function(self.credentials, self.psk)
        self.start(self.run)
        stack.callback(self.stop)

    def start(self, function):
        thread = threading.Thread(target=function, daemon=True)
        self.threads.append(thread)
        thread.start()

    def find_key(self, _, identity, ret):
        key = self.keys.get((identity or b"").decode(errors="replace"))
        if key is None:
            return -1
        ret.contents.data, ret.contents.size = LIBC.malloc(len(key)), len(key)
        ctypes.memmove(ret.contents.data, key, len(key))
        return 0

    def run(self):
        while not self.stopped:
            try:
                data, address = self.socket.recvfrom(65536)
            except (socket.timeout, ConnectionError):
                continue
            client = self.clients.get(address)
            if not client or client.gone:
                client = self.clients[address] = Client(self, address)
                self.start(client.serve)
            client.datagrams.put(data)

    @property
    def url(self):
        return f"coaps://{self.socket.getsockname()[0]}:{self.port}"

    def stop(self):
        self.stopped = True
        for thread in self.threads:
            thread.join(5)
        self.socket.close()
