# SPDX-License-Identifier: LGPL-2.1-or-later
"""Modbus lines that misbehave as asked: a serial line on a pseudo terminal, and a TCP server. Each has units with registers; what
was answered, and when, is kept.

A unit's input 2 is a counter, one more at each answered read; register A else holds 257 * A + unit, so that a value that was taken
for another's shows. A manner is a function (line, request, answer) that sends what the line is to send.
"""
import contextlib
import fcntl
import os
import select
import shutil
import socket
import struct
import sys
import threading
import time
import tty

COUNTER = 2
READS = (1, 2, 3, 4)


def crc(data):
    c = 0xFFFF
    for byte in data:
        c ^= byte
        for _ in range(8):
            c = (c >> 1) ^ 0xA001 if c & 1 else c >> 1
    return struct.pack("<H", c)


def framed(data):
    return data + crc(data)


class Request:
    def __init__(self, unit, pdu, frame, at, transaction=0):
        self.unit, self.pdu, self.frame, self.at, self.transaction = unit, pdu, frame, at, transaction
        self.function, self.address, self.count = pdu[0], *struct.unpack(">HH", pdu[1:5].ljust(4, b"\0"))

    def covers(self, address):
        return self.function in READS and self.address <= address < self.address + self.count


class Units:
    """What is behind a line."""

    def __init__(self):
        self.counters, self.written, self.set = {}, [], {}

    def register(self, unit, address):
        if address == COUNTER:
            self.counters[unit] = self.counters.get(unit, 0) + 1
            return self.counters[unit] & 0xFFFF
        return self.set.get((unit, address), (257 * address + unit) & 0xFFFF)

    def answer(self, request):
        """The PDU of a good answer."""
        if request.function in (3, 4):
            values = [self.register(request.unit, a) for a in range(request.address, request.address + request.count)]
            return struct.pack(f">BB{len(values)}H", request.function, 2 * len(values), *values)
        if request.function in (1, 2):
            return bytes([request.function, (request.count + 7) // 8]) + bytes((request.count + 7) // 8)
        if request.function == 6:
            self.set[(request.unit, request.address)] = request.count
            self.written.append((request.unit, request.address, request.count))
        return request.pdu[:5]


def exception(request, code):
    return bytes([request.function | 0x80, code])


class Line:
    """A serial line. `manner` is called in the line's own thread for each request; its `path` is the driver's end."""

    def __init__(self, manner, link=None):
        self.units, self.requests, self.served = Units(), [], []
        self.manner, self.link, self.path = manner, link, link
        self.last_sent = 0.0
        self.gaps = []
        self.master = self.slave = -1
        self.running = True
        self.thread = threading.Thread(target=self._run, daemon=True)
        if link is None:
            self.plug()
        self.thread.start()

    def plug(self):
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        os.set_blocking(self.master, False)
        name = os.ttyname(self.slave)
        if self.link is None:
            self.path = name
        else:
            os.symlink(name, self.link + ".new")
            os.replace(self.link + ".new", self.link)

    def unplug(self):
        master, slave, self.master, self.slave = self.master, self.slave, -1, -1
        if self.link:
            os.unlink(self.link)
        time.sleep(0.1)  # the thread lets go of it
        os.close(master)
        os.close(slave)

    def stop(self):
        self.running = False
        self.thread.join(5)

    def lock(self):
        fcntl.flock(self.slave, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def send(self, data):
        while data:
            self.last_sent = time.monotonic()
            try:
                data = data[os.write(self.master, data):]
            except BlockingIOError:
                select.select([], [self.master], [], 1)
            except OSError:
                return

    def send_slowly(self, data, seconds):
        for i in range(len(data)):
            self.send(data[i:i + 1])
            time.sleep(seconds)

    def _run(self):
        pending = b""
        while self.running:
            if self.master < 0:
                time.sleep(0.01)
                continue
            try:
                if not select.select([self.master], [], [], 0.05)[0]:
                    continue
                data = os.read(self.master, 512)
            except OSError:
                time.sleep(0.01)
                continue
            if not pending and self.last_sent:
                self.gaps.append(time.monotonic() - self.last_sent)
            pending += data
            while len(pending) >= 7:
                size = 9 + pending[6] if pending[1] in (15, 16) else 7 if pending[1] == 43 else 8
                if len(pending) < size:
                    break
                frame, pending = pending[:size], pending[size:]
                if crc(frame[:-2]) != frame[-2:]:
                    pending = b""
                    break
                self._take(Request(frame[0], frame[1:-2], frame, time.monotonic()))

    def _take(self, request):
        self.requests.append(request)
        self.manner(self, request)

    def answer(self, request):
        """The good answer's bytes; its counter's value counts as served when it is sent."""
        return framed(bytes([request.unit]) + self.units.answer(request))

    def refuse(self, request, code):
        return framed(bytes([request.unit]) + exception(request, code))


class Pair:
    """Two pseudo terminals that are one line: what is written to one end is read at the other."""

    def __init__(self):
        (a, self.slave_a), (b, self.slave_b) = os.openpty(), os.openpty()
        for slave in (self.slave_a, self.slave_b):
            tty.setraw(slave)
        self.ends = os.ttyname(self.slave_a), os.ttyname(self.slave_b)
        for source, sink in ((a, b), (b, a)):
            threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    @staticmethod
    def _copy(source, sink):
        while True:
            os.write(sink, os.read(source, 512))


class Gateway:
    """A manner: what is behind the line is a Modbus TCP server; bytes come at the line's rate. Units that the server does not have
    are silent, as on any line."""
    ABSENT = 11

    def __init__(self, port, baud=19200):
        self.socket, self.byte, self.transaction = socket.create_connection(("127.0.0.1", port)), 11 / baud, 0

    def __call__(self, line, request):
        self.transaction = (self.transaction + 1) & 0xFFFF
        self.socket.sendall(struct.pack(">HHHB", self.transaction, 0, len(request.pdu) + 1, request.unit) + request.pdu)
        head = self._take(7)
        pdu = self._take(struct.unpack(">H", head[4:6])[0] - 1)
        if pdu[0] & 0x80 and pdu[1] == self.ABSENT:
            return
        answer = framed(bytes([request.unit]) + pdu)
        time.sleep(self.byte * (len(request.frame) + len(answer)))
        line.send(answer)

    def _take(self, n):
        data = b""
        while len(data) < n:
            more = self.socket.recv(n - len(data))
            if not more:
                raise ConnectionError("the Modbus server is gone")
            data += more
        return data


class Server:
    """A Modbus TCP server, a thread a connection."""

    def __init__(self, manner):
        self.units, self.requests, self.connections, self.manner = Units(), [], 0, manner
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        pending = b""
        self.first = True
        with connection:
            while True:
                try:
                    data = connection.recv(4096)
                except OSError:
                    return
                if not data:
                    return
                pending += data
                while len(pending) >= 7 and len(pending) >= 6 + pending[5]:
                    size = 6 + pending[5]
                    frame, pending = pending[:size], pending[size:]
                    request = Request(frame[6], frame[7:], frame, time.monotonic(), frame[:2])
                    request.connection = connection
                    self.requests.append(request)
                    self.manner(self, request)

    def stop(self):
        # A thread that waits in accept() would listen on otherwise.
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def wrap(self, request, pdu, unit=None):
        return (request.transaction + struct.pack(">HHB", 0, len(pdu) + 1, request.unit if unit is None else unit) + pdu)

    def send(self, request, data):
        try:
            request.connection.sendall(data)
        except OSError:
            pass

    def answer(self, request):
        return self.wrap(request, self.units.answer(request))

    def refuse(self, request, code):
        return self.wrap(request, exception(request, code))


def main():
    """lines.py LINK: a clean line at LINK, for members of dialout, until it is ended."""
    link = sys.argv[1]
    line = Line(lambda line, request: line.send(line.answer(request)), link)
    line.plug()
    shutil.chown(os.ttyname(line.slave), group="dialout")
    os.chmod(os.ttyname(line.slave), 0o660)
    line.thread.join()


if __name__ == "__main__":
    main()
