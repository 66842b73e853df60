# SPDX-License-Identifier: LGPL-2.1-or-later
"""A DTLS-PSK or TLS-PSK server whose owner decides what is said inside: GnuTLS, called directly, since Python's own ssl module knows
neither DTLS nor, before 3.13, pre-shared keys.

    server = Server(port, {"identity": key}, serve, datagrams=True)
    server.run()     # serve(session) runs in a thread of its own for each client that has proved its key

A Session has identity, send(bytes), receive(seconds) (None when nothing came, b"" when the peer has gone) and close().
"""
import contextlib
import ctypes
import select
import socket
import threading

PRIORITIES = {True: b"NORMAL:-VERS-ALL:+VERS-DTLS1.2:-KX-ALL:+ECDHE-PSK:+PSK",
              False: b"NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+ECDHE-PSK:+PSK"}
SERVER, DATAGRAM = 1, 4
CREDENTIALS_PSK = 4
AGAIN, TIMED_OUT, INTERRUPTED, REHANDSHAKE = -28, -319, -52, -37
SHUT_RDWR = 0
RECORD_MAX = 16384
HANDSHAKE_MS, RETRANSMIT_MS = 20000, 1000
GNUTLS = ctypes.CDLL("libgnutls.so.30")
GNUTLS.gnutls_record_send.restype = GNUTLS.gnutls_record_recv.restype = ctypes.c_ssize_t
GNUTLS.gnutls_record_send.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
GNUTLS.gnutls_record_recv.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
GNUTLS.gnutls_handshake.argtypes = GNUTLS.gnutls_deinit.argtypes = [ctypes.c_void_p]
GNUTLS.gnutls_bye.argtypes = [ctypes.c_void_p, ctypes.c_int]
GNUTLS.gnutls_psk_server_get_username.restype = ctypes.c_char_p
GNUTLS.gnutls_psk_server_get_username.argtypes = [ctypes.c_void_p]
ALLOCATE = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_size_t)(ctypes.c_void_p.in_dll(GNUTLS, "gnutls_malloc").value)


class Datum(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("size", ctypes.c_uint)]


KEY_OF = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(Datum))


class Session:
    def __init__(self, server, end):
        self.server, self.end, self.identity = server, end, None
        self.handle, self.lock = ctypes.c_void_p(), threading.Lock()
        GNUTLS.gnutls_init(ctypes.byref(self.handle), SERVER | (DATAGRAM if server.datagrams else 0))
        GNUTLS.gnutls_priority_set_direct(self.handle, PRIORITIES[server.datagrams], None)
        GNUTLS.gnutls_credentials_set(self.handle, CREDENTIALS_PSK, server.credentials)
        GNUTLS.gnutls_transport_set_int2(self.handle, end.fileno(), end.fileno())
        GNUTLS.gnutls_handshake_set_timeout(self.handle, HANDSHAKE_MS)
        if server.datagrams:
            GNUTLS.gnutls_dtls_set_timeouts(self.handle, RETRANSMIT_MS, HANDSHAKE_MS)
            GNUTLS.gnutls_dtls_set_mtu(self.handle, 1280)
        self.buffer = ctypes.create_string_buffer(RECORD_MAX)

    def handshake(self):
        while True:
            r = GNUTLS.gnutls_handshake(self.handle)
            if r == 0:
                self.identity = GNUTLS.gnutls_psk_server_get_username(self.handle).decode(errors="replace")
                return True
            if r not in (AGAIN, INTERRUPTED):
                return False

    def send(self, data):
        """False when the peer has gone."""
        if self.server.datagrams:
            return self.send_part(data)
        return all(self.send_part(data[at:at + RECORD_MAX]) for at in range(0, len(data), RECORD_MAX))

    def send_part(self, data):
        while True:
            r = GNUTLS.gnutls_record_send(self.handle, data, len(data))
            if r >= 0:
                return True
            if r not in (AGAIN, INTERRUPTED):
                return False

    def receive(self, seconds):
        if not GNUTLS.gnutls_record_check_pending(self.handle) and not select.select([self.end], [], [], seconds)[0]:
            return None
        r = GNUTLS.gnutls_record_recv(self.handle, self.buffer, RECORD_MAX)
        if r > 0:
            return self.buffer.raw[:r]
        return None if r in (AGAIN, INTERRUPTED, TIMED_OUT, REHANDSHAKE) else b""

    def goodbye(self):
        GNUTLS.gnutls_bye(self.handle, SHUT_RDWR + 1)

    def close(self):
        GNUTLS.gnutls_deinit(self.handle)
        with contextlib.suppress(OSError):
            self.end.shutdown(socket.SHUT_RDWR)
        self.end.close()


class Server:
    def __init__(self, port, keys, serve, datagrams):
        self.keys, self.serve, self.datagrams = keys, serve, datagrams
        self.credentials = ctypes.c_void_p()
        GNUTLS.gnutls_psk_allocate_server_credentials(ctypes.byref(self.credentials))
        self.key_of = KEY_OF(self.give_key)
        GNUTLS.gnutls_psk_set_server_credentials_function(self.credentials, self.key_of)
        self.front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM)
        self.front.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.front.bind(("127.0.0.1", port))

    def give_key(self, _session, identity, datum):
        key = self.keys.get((identity or b"").decode(errors="replace"))
        if not key:
            return -1
        datum[0].data, datum[0].size = ALLOCATE(len(key)), len(key)
        ctypes.memmove(datum[0].data, key, len(key))
        return 0

    def one(self, end):
        session = Session(self, end)
        try:
            if session.handshake():
                self.serve(session)
        except OSError:
            pass  # the peer has gone
        finally:
            session.close()

    def begin(self, end):
        threading.Thread(target=self.one, args=(end,), daemon=True).start()

    def run(self):
        if self.datagrams:
            self.run_datagrams()
        self.front.listen(64)
        while True:
            end, _ = self.front.accept()
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.begin(end)

    def run_datagrams(self):
        """A pair of sockets for each client; what its session writes leaves by the one socket that all clients know."""
        pairs = {}
        while True:
            datagram, client = self.front.recvfrom(65536)
            if client not in pairs or pairs[client].fileno() < 0:
                ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                ours.setblocking(False)
                pairs[client] = ours
                threading.Thread(target=self.outward, args=(ours.dup(), client), daemon=True).start()
                self.begin(theirs)
            try:
                pairs[client].send(datagram)
            except BlockingIOError:
                pass
            except OSError:
                pairs.pop(client).close()

    def outward(self, end, client):
        end.setblocking(True)
        with contextlib.suppress(OSError):
            while data := end.recv(65536):
                self.front.sendto(data, client)
        end.close()
